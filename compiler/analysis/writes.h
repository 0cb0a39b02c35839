// SPDX-License-Identifier: MIT
// What statements may change, and what that ends: the facts that read it.
#pragma once

#include "compiler/arith/analyzer.h"

#include <unordered_set>
#include <vector>

namespace tilescale::analysis {

// Which storages may share memory: a pointer's and a peer's with all global ones, and the
// parameters that annotate_restrict_buffers names with each other.
class Aliases {
 public:
  explicit Aliases(const ir::Func& f);
  bool May(const ir::StorageObj* a, const ir::StorageObj* b) const;
  bool May(const ir::Storage& a, const ir::Storage& b) const { return May(a.get(), b.get()); }

 private:
  std::unordered_set<const ir::StorageObj*> named_;
};

// Memory that a statement, with all that it holds, may write or let others write.
struct Writes {
  std::unordered_set<const ir::StorageObj*> storages;
  bool memory = false;  // anything but registers: it synchronises, or writes behind a pointer
};
Writes WritesOf(const ir::Stmt& s);

// Keeps an analyzer's facts true along a walk in program order: Enter before a statement, Exit
// behind it. A fact that reads memory ends at the first write that may change it; what a loop
// writes anywhere is unknown from its start. What is learnt inside a loop, a branch or a group ends
// with it: it may not have run, or only for some threads.
class FactScope {
 public:
  FactScope(const ir::Func& f, arith::Analyzer* analyzer) : aliases_(f), analyzer_(analyzer) {}
  void Enter(const ir::Stmt& s);
  void Exit(const ir::Stmt& s);

 private:
  void Forget(const ir::Stmt& s);

  Aliases aliases_;
  arith::Analyzer* analyzer_;
  std::vector<size_t> marks_;
};

}  // namespace tilescale::analysis
