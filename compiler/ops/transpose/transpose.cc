// SPDX-License-Identifier: MIT
// T.transpose: dst[.., j, i] = cast(src[.., i, j]). The contract is in transpose.md.
#include "compiler/ir/diag.h"
#include "compiler/ops/common/nest.h"
#include "compiler/ops/common/region.h"
#include "compiler/ops/tile_op.h"

#include <utility>

namespace tilescale {
namespace {

using namespace ir;   // NOLINT
using namespace ops;  // NOLINT

std::vector<int64_t> Transposed(std::vector<int64_t> shape) {
  std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
  return shape;
}

TileOp Make(TileOp op) {
  Region src = WholeWhereUnknown(RegionArg(op.get(), "src")),
         dst = WholeWhereUnknown(RegionArg(op.get(), "dst"));
  std::vector<int64_t> from = ConstExtents(src, "transpose", op->span),
                       to = ConstExtents(dst, "transpose", op->span);
  if (from.size() < 2) {
    RaiseAt(op->span, "ValueError", "T.transpose: `", src->buffer->name,
            "` must have at least 2 dimensions, got ", from.size());
  }
  if (to != Transposed(from)) {
    RaiseAt(op->span, "ValueError", "T.transpose: `", dst->buffer->name, "` has shape ",
            ShapeText(to), ", expected ", ShapeText(Transposed(from)), ", the shape of `",
            src->buffer->name, "` with its last two dimensions swapped");
  }
  if (src->buffer->storage.same_as(dst->buffer->storage)) {
    RaiseAt(op->span, "ValueError", "T.transpose: `", src->buffer->name,
            "` cannot be transposed in place; give another buffer");
  }
  return WithArg(WithArg(op, "src", src), "dst", dst);
}

Effects EffectsOf(const TileOpObj* op) {
  return {Reads(RegionArg(op, "src")), Writes(RegionArg(op, "dst"))};
}

void Evaluate(const TileOpObj* op, EvalContext* eval) {
  Region src = RegionArg(op, "src"), dst = RegionArg(op, "dst");
  ForEachPoint(eval->Extents(dst), [&](const std::vector<int64_t>& at) {
    eval->Write(dst, at, eval->Read(src, Transposed(at)));
  });
}

// Over dst, which is written densely; dims of extent 1 are no loops.
Stmt Nest(const TileOpObj* op) {
  Region src = RegionArg(op, "src"), dst = RegionArg(op, "dst");
  std::vector<int> walked = WalkedDims(dst);
  std::vector<Expr> extents = ExtentsOf(dst);
  if (extents.empty()) extents.push_back(MakeConst(1));
  std::vector<Var> vars = NestVars(static_cast<int>(extents.size()));
  std::vector<Expr> to(dst->extent.size(), MakeConst(0));
  for (size_t i = 0; i < walked.size(); ++i) to[walked[i]] = vars[i];
  std::vector<Expr> from = to;
  std::swap(from[from.size() - 1], from[from.size() - 2]);
  Stmt nest =
      MakeParallel(vars, extents, StorePoint(dst, to, LoadPoint(src, from), op->span), op->span);
  auto out = CopyNode(nest.as<ParallelObj>());
  out->label = op->label;
  return Stmt(out);
}

std::optional<std::string> Never(const TileOpObj*, const OpContext&) {
  return std::nullopt;
}

const TileOpRegistration kTranspose({
    .syntax = {.name = "transpose",
               .format = "transpose $src -> $dst",
               .params = {{"src", ArgKind::kRegion, 'r'}, {"dst", ArgKind::kRegion, 'w'}},
               .make = Make},
    .effects = EffectsOf,
    .evaluate = Evaluate,
    .lowerings = {{.name = "simt", .refuse = Never, .nest = Nest}},
});

}  // namespace
}  // namespace tilescale
