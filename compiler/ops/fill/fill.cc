// SPDX-License-Identifier: MIT
// T.fill and T.clear: buffer[...] = value. The contract is in fill.md.
#include "compiler/ir/diag.h"
#include "compiler/ir/visit.h"
#include "compiler/ops/common/region.h"
#include "compiler/ops/tile_op.h"

namespace tilescale {
namespace {

using namespace ir;   // NOLINT
using namespace ops;  // NOLINT

// An element given as a start address names that element alone.
TileOp Make(TileOp op) {
  Region r = RegionArg(op.get(), "buffer");
  auto out = CopyNode(r.get());
  ffi::Array<Expr> extent;
  for (const Expr& e : r->extent) extent.push_back(e.defined() ? e : MakeConst(1));
  out->extent = extent;
  for (size_t d = 0; d < extent.size(); ++d) {
    auto begin = AsInt(out->begin[d]), n = AsInt(extent[d]), size = AsInt(r->buffer->shape[d]);
    if (begin && n && size && (*begin < 0 || *begin + *n > *size)) {
      RaiseAt(op->span, "ValueError", "T.fill: elements ", *begin, " to ", *begin + *n,
              " of dimension ", d, " are outside `", r->buffer->name, "`, whose extent is ", *size);
    }
  }
  return WithArg(op, "buffer", Region(out));
}

Effects EffectsOf(const TileOpObj* op) {
  return {Writes(RegionArg(op, "buffer"))};
}

void Evaluate(const TileOpObj* op, EvalContext* eval) {
  Region r = RegionArg(op, "buffer");
  std::vector<int64_t> n = eval->Extents(r), at(n.size(), 0);
  Real value = eval->Scalar(ExprArg(op, "value"));
  int64_t total = 1;
  for (int64_t e : n) total *= e;
  for (int64_t i = 0; i < total; ++i) {
    eval->Write(r, at, value);
    for (size_t d = n.size(); d-- > 0;) {
      if (++at[d] < n[d]) break;
      at[d] = 0;
    }
  }
}

// Is the point inside the region? Null: every point is.
Expr Inside(const Region& r, const std::vector<Expr>& point) {
  Expr inside;
  for (size_t d = 0; d < point.size(); ++d) {
    const Expr begin = r->begin[d], end = Add(begin, r->extent[d]);
    if (!IsConst(begin, 0)) inside = And(inside, Ge(point[d], begin));
    if (!SameExpr(end, r->buffer->shape[d])) inside = And(inside, Lt(point[d], end));
  }
  return inside;
}

// A fragment is walked whole, so that each element is written by its owner; other memory by the
// region's own extents.
Stmt Nest(const TileOpObj* op) {
  Region r = RegionArg(op, "buffer");
  const bool whole = r->buffer->space() == Space::kFrag;
  std::vector<Expr> extents = ExtentsOf(r);
  if (whole) extents.assign(r->buffer->shape.begin(), r->buffer->shape.end());
  if (extents.empty()) extents.push_back(MakeConst(1));
  std::vector<Var> vars = NestVars(static_cast<int>(extents.size()));
  std::vector<Expr> point(vars.begin(), vars.end());
  const Expr value = ExprArg(op, "value");
  Stmt body;
  if (whole) {
    body = MakeStore(r->buffer, point, Cast(value, r->buffer->dtype), op->span);
    Expr inside = Inside(r, point);
    if (inside.defined()) body = MakeIf(inside, MakeSeq({body}), op->span);
  } else {
    body = StoreAt(r, point, value, op->span);
  }
  return WithLabel(MakeParallel(vars, extents, body, op->span), Str(op->label));
}

std::optional<std::string> Never(const TileOpObj*, const OpContext&) {
  return std::nullopt;
}

const TileOpRegistration kFill({
    .syntax = {.name = "fill",
               .format = "fill $buffer, $value",
               .params = {{"buffer", ArgKind::kRegion, 'w'}, {"value", ArgKind::kExpr}},
               .make = Make},
    .effects = EffectsOf,
    .evaluate = Evaluate,
    .lowerings = {{.name = "simt", .refuse = Never, .nest = Nest}},
});

}  // namespace
}  // namespace tilescale
