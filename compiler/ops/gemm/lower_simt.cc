// SPDX-License-Identifier: MIT
// gemm without matrix instructions: each thread sums its elements of C. Any shape and dtype.
#include "compiler/ops/common/region.h"
#include "compiler/ops/gemm/gemm.h"

namespace tilescale::ops {

using namespace ir;  // NOLINT

extern const Lowering kGemmMma;

namespace {

std::optional<std::string> Refuse(const TileOpObj* op, const OpContext&) {
  GemmOperands g = OperandsOf(op);
  if (IsRegister(g.a->buffer->space()) || IsRegister(g.b->buffer->space())) {
    return "A and B must be in shared or global memory";
  }
  return std::nullopt;
}

// A surprise where the target has matrix instructions for these types.
std::optional<std::string> Caution(const TileOpObj* op, const OpContext& ctx) {
  const std::string needs = NeedsOfMma(OperandsOf(op), ctx.target);
  auto reason = needs.empty() ? std::nullopt : kGemmMma.refuse(op, ctx);
  if (!reason) return std::nullopt;
  return "without matrix instructions, many times slower than with them: " + *reason + ". " + needs;
}

Stmt Nest(const TileOpObj* op) {
  GemmOperands g = OperandsOf(op);
  std::vector<Var> vars = NestVars(2);
  Var k = MakeVar("k");
  auto at = [](const Region& r, Expr row, Expr col) {
    std::vector<Expr> index(r->begin.begin(), r->begin.end());
    size_t n = index.size();
    index[n - 2] = Add(index[n - 2], Cast(row, index[n - 2].dtype()));
    index[n - 1] = Add(index[n - 1], Cast(col, index[n - 1].dtype()));
    return index;
  };
  DataType t = g.c->buffer->dtype;
  // Products of narrow types are summed in the accumulator's type.
  auto value = [&](const Region& r, bool transposed, Expr row, Expr col) {
    return Cast(MakeLoad(r->buffer, transposed ? at(r, col, row) : at(r, row, col)), t);
  };
  std::vector<Expr> c = at(g.c, vars[0], vars[1]);
  Expr product =
      MakeOp(OpCode::kMul,
             {value(g.a, g.transpose_a, vars[0], k), value(g.b, g.transpose_b, k, vars[1])}, t);
  Expr sum = MakeOp(OpCode::kAdd, {MakeLoad(g.c->buffer, c), product}, t);
  std::vector<Stmt> body;
  if (g.clear.defined()) {
    Stmt zero = MakeStore(g.c->buffer, c, MakeNumber(0, t), op->span);
    body.push_back(IsConst(g.clear, 1) ? zero : MakeIf(g.clear, zero, op->span));
  }
  body.push_back(MakeFor(k, MakeConst(g.k), MakeStore(g.c->buffer, c, sum, op->span), op->span));
  return MakeParallel(vars, {MakeConst(g.m), MakeConst(g.n)}, MakeSeq(body), op->span);
}

}  // namespace

extern const Lowering kGemmSimt;
const Lowering kGemmSimt = {.name = "simt", .refuse = Refuse, .nest = Nest, .caution = Caution};

}  // namespace tilescale::ops
