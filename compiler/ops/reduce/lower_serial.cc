// SPDX-License-Identifier: MIT
// reduce where one thread makes each output: thread-local arrays, and tiles that lie in shared
// memory.
#include "compiler/ops/common/nest.h"
#include "compiler/ops/common/region.h"
#include "compiler/ops/reduce/reduce.h"

namespace tilescale::ops {

using namespace ir;  // NOLINT

namespace {

bool InThread(const TileOpObj* op) {
  Space s = RegionArg(op, "buffer")->buffer->space();
  return s == Space::kLocal || s == Space::kVar;
}

// acc = empty; for k: acc = acc ⊕ src[.., k, ..]; out[..] = acc.
Stmt OneOutput(const Reduction& r, const std::vector<Expr>& point, const Buffer& acc,
               const Span& span) {
  Var k = MakeVar("k");
  Expr zero = MakeConst(0), value = r.Element(LoadPoint(r.src, r.SourcePoint(point, k)));
  Stmt step = MakeStore(acc, {zero}, r.Join(MakeLoad(acc, {zero}), value), span);
  return MakeSeq({MakeStore(acc, {zero}, r.Empty(), span),
                  MakeFor(k, MakeConst(r.shape[r.dim]), step, span),
                  r.Finish(point, MakeLoad(acc, {zero}), span)});
}

std::optional<std::string> RefuseThread(const TileOpObj* op, const OpContext&) {
  if (!InThread(op)) return "the tile is shared by threads";
  return std::nullopt;
}

void LowerThread(const TileOpObj* op, LowerContext* ctx) {
  Reduction r = ReductionOf(op);
  Buffer acc = ctx->Local("red", r.acc, 1);
  std::vector<Var> vars = NestVars(static_cast<int>(r.out_shape.size()));
  Stmt body = OneOutput(r, AsExprs(vars), acc, ctx->span);
  for (size_t d = vars.size(); d-- > 0;) {
    body = MakeFor(vars[d], MakeConst(r.out_shape[d]), body, ctx->span, ForKind::kUnroll);
  }
  ctx->Emit(body);
}

std::optional<std::string> RefuseSerial(const TileOpObj* op, const OpContext&) {
  if (RegionArg(op, "buffer")->buffer->space() != Space::kShared)
    return "the tile is not in shared memory";
  return std::nullopt;
}

std::vector<Expr> Extents(const Reduction& r) {
  std::vector<Expr> extents;
  for (int64_t e : r.out_shape) extents.push_back(MakeConst(e));
  return extents;
}

// The accesses, for the solver: what one thread of the nest reads and writes.
Stmt SerialNest(const TileOpObj* op) {
  Reduction r = ReductionOf(op);
  std::vector<Var> vars = NestVars(static_cast<int>(r.out_shape.size()));
  Var k = MakeVar("k");
  std::vector<Expr> point = AsExprs(vars);
  Stmt step = r.Finish(point, r.Element(LoadPoint(r.src, r.SourcePoint(point, k))), op->span);
  return MakeParallel(vars, Extents(r), MakeFor(k, MakeConst(r.shape[r.dim]), step, op->span),
                      op->span);
}

void LowerSerial(const TileOpObj* op, LowerContext* ctx) {
  Reduction r = ReductionOf(op);
  Buffer acc = ctx->Local("red", r.acc, 1);
  std::vector<Var> vars = NestVars(static_cast<int>(r.out_shape.size()));
  Stmt nest =
      MakeParallel(vars, Extents(r), OneOutput(r, AsExprs(vars), acc, ctx->span), ctx->span);
  auto out = CopyNode(nest.as<ParallelObj>());
  out->layout = op->layout;
  ctx->Emit(Stmt(out));
  ctx->Note("one thread an output, " + std::to_string(r.shape[r.dim]) + " elements each");
}

}  // namespace

extern const Lowering kReduceThread, kReduceSerial;
const Lowering kReduceThread = {.name = "thread", .refuse = RefuseThread, .lower = LowerThread};
const Lowering kReduceSerial = {
    .name = "serial", .refuse = RefuseSerial, .nest = SerialNest, .lower = LowerSerial};

}  // namespace tilescale::ops
