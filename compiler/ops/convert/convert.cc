// SPDX-License-Identifier: MIT
// convert: a fragment in another layout. SolveLayouts inserts it; users do not write it
// (convert.md).
#include "compiler/layout/queries.h"
#include "compiler/ops/common/nest.h"
#include "compiler/ops/common/region.h"
#include "compiler/ops/tile_op.h"

namespace tilescale {
namespace {

using namespace ir;   // NOLINT
using namespace ops;  // NOLINT

Effects EffectsOf(const TileOpObj* op) {
  return {Reads(RegionArg(op, "src")), Writes(RegionArg(op, "dst"))};
}

void Evaluate(const TileOpObj* op, EvalContext* eval) {
  Region src = RegionArg(op, "src"), dst = RegionArg(op, "dst");
  ForEachPoint(eval->Extents(dst),
               [&](const std::vector<int64_t>& at) { eval->Write(dst, at, eval->Read(src, at)); });
}

// Every owner in dst's layout already has the element: the nest over dst reads src's registers.
bool StaysInThread(const Layout& from, const Layout& to, int bits) {
  Expected<Conversion> c = ConversionOf(from, to, bits);
  return c && (c->kind == ConversionKind::kSame || c->kind == ConversionKind::kMoves);
}

std::optional<Workspace> SharedTile(const TileOpObj* op, LowerContext* ctx) {
  Region src = RegionArg(op, "src"), dst = RegionArg(op, "dst");
  DataType t = src->buffer->dtype;
  if (StaysInThread(ctx->LayoutOf(src->buffer), ctx->LayoutOf(dst->buffer), t.bits))
    return std::nullopt;
  return Workspace{t, NumElements(src->buffer)};
}

void Lower(const TileOpObj* op, LowerContext* ctx) {
  Region src = RegionArg(op, "src"), dst = RegionArg(op, "dst"), ws = RegionArg(op, "workspace");
  const Layout& from = ctx->LayoutOf(src->buffer);
  const Layout& to = ctx->LayoutOf(dst->buffer);
  std::vector<int64_t> shape = ConstShape(src->buffer);
  std::vector<Var> vars = NestVars(static_cast<int>(shape.size()));
  std::vector<Expr> point = AsExprs(vars);
  if (!ws.defined()) {
    ctx->Emit(
        PlacedNest(vars, to, StorePoint(dst, point, LoadPoint(src, point), ctx->span), ctx->span));
    return ctx->Note("between registers of one thread");
  }
  // Replica 0 writes the tile, every owner in dst's layout reads it.
  Expr flat = RowMajorOf(point, shape);
  ctx->Emit(PlacedNest(vars, from, MakeStore(ws->buffer, {flat}, LoadPoint(src, point), ctx->span),
                       ctx->span));
  vars = NestVars(static_cast<int>(shape.size()));
  point = AsExprs(vars);
  flat = RowMajorOf(point, shape);
  ctx->Emit(PlacedNest(vars, to, StorePoint(dst, point, MakeLoad(ws->buffer, {flat}), ctx->span),
                       ctx->span));
  ctx->Note("through " + std::to_string(StorageBytes(src->buffer)) + " bytes of shared memory");
}

std::optional<std::string> Never(const TileOpObj*, const OpContext&) {
  return std::nullopt;
}

const TileOpRegistration kConvert({
    .syntax = {.name = "convert",
               .format = "convert $src -> $dst",
               .params = {{"src", ArgKind::kRegion, 'r'},
                          {"dst", ArgKind::kRegion, 'w'},
                          {"workspace", ArgKind::kRegion, 'm', "none"}}},
    .effects = EffectsOf,
    .evaluate = Evaluate,
    .lowerings = {{.name = "shared", .refuse = Never, .workspace = SharedTile, .lower = Lower}},
});

}  // namespace

TileOp MakeConversion(const Buffer& src, const Buffer& dst, const Span& span) {
  TileOp op = MakeTileOp("convert", {FullRegion(src), FullRegion(dst), nullptr}, span);
  auto out = CopyNode(op.get());
  out->lowering = "shared";
  return TileOp(out);
}

}  // namespace tilescale
