// SPDX-License-Identifier: MIT
// AssignResources (passes.h): launch bounds, block order, and the limits of a launch.
#include "compiler/ir/build.h"
#include "compiler/ir/diag.h"
#include "compiler/ir/visit.h"
#include "compiler/passes/passes.h"
#include "compiler/target/registers.h"

namespace tilescale {

using namespace ir;  // NOLINT

namespace {

// Blocks in panels (T.use_swizzle): p panels of `panel` rows (or columns) of the grid; inside a
// panel blocks run along the panel first, every other panel backwards, so that neighbours in time
// share operands in L2.
//   linear = by·gx + bx;  rows: size = panel·gx;  p = linear / size;  at = linear % size
//   rows_here = min(panel, gy - p·panel);  by' = p·panel + at % rows_here;  c = at / rows_here
//   bx' = p odd ? gx - 1 - c : c
Kernel SwizzleBlocks(const Kernel& k) {
  if (k->swizzle_panel <= 0 || k->block_vars.size() < 2) return k;
  bool rows = k->swizzle_rows;
  Expr gx = Cast(k->grid[0], Int(32)), gy = Cast(k->grid[1], Int(32));
  Var raw_x = MakeVar(std::string(k->block_vars[0]->name) + "_raw");
  Var raw_y = MakeVar(std::string(k->block_vars[1]->name) + "_raw");
  Expr along = rows ? gx : gy, across = rows ? gy : gx;
  std::vector<Stmt> head;
  auto bind = [&](const char* name, Expr value) {
    Var v = MakeVar(name);
    head.push_back(MakeBind(v, std::move(value), k->span));
    return v;
  };
  Expr panel = MakeConst(k->swizzle_panel);
  Var linear = bind("block", Add(Mul(raw_y, gx), raw_x));
  Expr size = Mul(panel, along);
  auto div = [](Expr a, Expr b) { return MakeOp(OpCode::kTruncDiv, {a, b}, Int(32)); };
  auto mod = [](Expr a, Expr b) { return MakeOp(OpCode::kTruncMod, {a, b}, Int(32)); };
  Var p = bind("panel", div(linear, size));
  Var at = bind("in_panel", mod(linear, size));
  Var width = bind("panel_width", Min(panel, Sub(across, Mul(p, panel))));
  Var step = bind("panel_step", div(at, width));
  Expr other = Add(Mul(p, panel), mod(at, width));
  Expr one = Select(Compare(OpCode::kEq, mod(p, MakeConst(2)), MakeConst(1)),
                    Sub(Add(along, -1), step), step);
  head.push_back(MakeBind(k->block_vars[rows ? 0 : 1], one, k->span));
  head.push_back(MakeBind(k->block_vars[rows ? 1 : 0], other, k->span));
  auto out = CopyNode(k.get());
  for (const Stmt& s : StmtsOf(k->body)) head.push_back(s);
  out->body = MakeSeq(head);
  ffi::Array<Var> vars = k->block_vars;
  vars.Set(0, raw_x);
  vars.Set(1, raw_y);
  out->block_vars = vars;
  out->swizzle_panel = 0;
  return Kernel(out);
}

// Roles with a number of registers of their own take it from, or leave it to, the pool of the
// block: as their first statement, by all warps of their warpgroups (PTX "setmaxnreg").
class MoveRegisters : public Mutator {
 public:
  explicit MoveRegisters(int64_t threads) : launched_(target::LaunchedRegisters(threads)) {}
  Stmt MutateGroup(const Group& s) override {
    Stmt inner = DefaultStmt(s);
    if (s->nreg == 0) return inner;
    auto out = CopyNode(inner.as<GroupObj>());
    if (s->nreg != launched_) {
      const char* verb = s->nreg > launched_ ? "setmaxnreg.inc" : "setmaxnreg.dec";
      out->body = MakeSeq({MakeCall(verb, {MakeConst(s->nreg)}, s->span), out->body});
    }
    out->nreg = 0;
    return Stmt(out);
  }

 private:
  int64_t launched_;
};

void CheckLimits(const Kernel& k, const Target& target) {
  const target::Arch& arch = *target.arch;
  if (k->total_threads() > target::kMaxThreadsPerBlock) {
    RaiseAt(k->span, "CompileError", "kernel `", k->name, "` has ", k->total_threads(),
            " threads in a block, ", arch.name, " allows ", target::kMaxThreadsPerBlock);
  }
}

}  // namespace

namespace passes {

Func AssignResources(Func f, PassContext& ctx) {
  return MapKernels(f, [&](const Kernel& k) {
    CheckLimits(k, ctx.target);
    // A function of the user's may be called `main`; the device function never is.
    auto named = CopyNode(k.get());
    named->name = std::string(k->name) + "_kernel";
    named->body = MoveRegisters(k->total_threads()).MutateStmt(k->body);
    return SwizzleBlocks(Kernel(named));
  });
}

}  // namespace passes
}  // namespace tilescale
