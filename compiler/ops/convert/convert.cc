// SPDX-License-Identifier: MIT
// convert: a fragment in another layout. SolveLayouts inserts it; users do not write it
// (convert.md).
#include "compiler/layout/queries.h"
#include "compiler/ops/common/nest.h"
#include "compiler/ops/common/region.h"
#include "compiler/ops/tile_op.h"
#include "support/diagnostics.h"

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

std::vector<int64_t> ShapeOf(const Region& r) {
  std::vector<int64_t> shape;
  for (const Expr& e : r->extent) shape.push_back(*AsInt(e));
  return shape;
}

// Where the elements of a region lie; a part begins at element 0.
Layout LayoutOf(const Region& r, LowerContext* ctx) {
  Layout layout = ctx->LayoutOf(r->buffer);
  std::vector<int64_t> shape = ShapeOf(r);
  for (size_t d = 0; d < shape.size(); ++d) {
    int dim = static_cast<int>(d);
    if (shape[d] == layout.extent(dim)) continue;
    Expected<Layout> part = layout.Slice(dim, 0, shape[d]);
    TS_CHECK(bool(part)) << "a part of " << r->buffer->name << ": " << part.reason();
    layout = *part;
  }
  return layout;
}

// Every owner in dst's layout already has the element: the nest over dst reads src's registers.
bool StaysInThread(const Layout& from, const Layout& to, int bits) {
  Expected<Conversion> c = ConversionOf(from, to, bits);
  return c && (c->kind == ConversionKind::kSame || c->kind == ConversionKind::kMoves);
}

std::optional<Workspace> SharedTile(const TileOpObj* op, LowerContext* ctx) {
  Region src = RegionArg(op, "src"), dst = RegionArg(op, "dst");
  DataType t = src->buffer->dtype;
  Layout from = LayoutOf(src, ctx);
  if (StaysInThread(from, LayoutOf(dst, ctx), t.bits)) return std::nullopt;
  return Workspace{t, from.Size()};
}

void Lower(const TileOpObj* op, LowerContext* ctx) {
  Region src = RegionArg(op, "src"), dst = RegionArg(op, "dst"), ws = RegionArg(op, "workspace");
  Layout from = LayoutOf(src, ctx), to = LayoutOf(dst, ctx);
  std::vector<int64_t> shape = ShapeOf(src);
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
  ctx->Note("through " + std::to_string((from.Size() * src->buffer->dtype.bits + 7) / 8) +
            " bytes of shared memory");
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

TileOp MakeConversion(const Region& src, const Region& dst, const Span& span) {
  TileOp op = MakeTileOp("convert", {src, dst, nullptr}, span);
  auto out = CopyNode(op.get());
  out->lowering = "shared";
  return TileOp(out);
}

}  // namespace tilescale
