// SPDX-License-Identifier: MIT
// What differs between the threads of a group (I6, docs/ir.md): which values, which control.
// One walk to a fixpoint over a kernel; Normalise, Check and InsertSync ask it.
#pragma once

#include "compiler/arith/analyzer.h"
#include "compiler/ir/func.h"

#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace tilescale::passes {

class Uniformity {
 public:
  explicit Uniformity(const ir::Kernel& kernel);

  // One value for all threads of the group that evaluates it.
  bool IsUniform(const ir::Expr& e) const;
  // Control that reaches the statement is the same for all threads of its group. Only for
  // statements of the kernel given to the constructor.
  bool IsReachedByAll(const ir::StmtObj* s) const { return divergent_.count(s) == 0; }
  // The branch or loop itself divides its threads: by its condition or bounds, or as some of them
  // leave it early.
  bool Divides(const ir::StmtObj* s) const { return dividing_.count(s) != 0; }

 private:
  void Visit(const ir::Stmt& s, bool divergent);
  void VisitLoop(const ir::StmtObj* s, const ir::Stmt& body, bool divergent);
  void Vary(const ir::NodeObj* symbol);
  void VaryWritten(const ir::StmtObj* s);

  std::unordered_set<const ir::NodeObj*> varying_;    // variables, and storages of single threads
  std::unordered_set<const ir::StmtObj*> divergent_;  // statements reached by some threads only
  std::unordered_set<const ir::StmtObj*> dividing_;   // branches and loops
  std::unordered_set<const ir::StmtObj*> divergent_loops_;  // left by some threads early
  const ir::StmtObj* loop_ = nullptr;
  bool in_parallel_ = false;
  bool exited_ = false;  // some threads have ended
  bool changed_ = false;
};

// How far the variables of a nest go.
void BindPoints(const ir::ParallelObj& nest, arith::Analyzer* analyzer);
// Does an expression have several values along a variable of the nest, as far as its indices say?
bool VariesAlong(const ir::ParallelObj& nest, const ir::Expr& e, const ir::VarObj* v);

// Values of thread conditions by enumeration: which threads of the block satisfy `cond`, if it
// depends on nothing but the thread's index. `lets` gives the values of bound variables.
using Lets = std::unordered_map<const ir::VarObj*, ir::Expr>;
std::optional<std::vector<bool>> ThreadsWhere(const ir::Kernel& kernel, const ir::Expr& cond,
                                              const Lets& lets);

// The index of a thread in its block, x fastest.
ir::Expr LinearThread(const ir::KernelObj* kernel);

}  // namespace tilescale::passes
