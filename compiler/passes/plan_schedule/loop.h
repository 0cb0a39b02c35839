// SPDX-License-Identifier: MIT
// A loop that asks to be pipelined: its units, what must stay in order between them, and which
// buffers may have a version for every iteration in flight.
#pragma once

#include "compiler/analysis/uses.h"
#include "compiler/ir/func.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace tilescale::plan {

// A statement of the loop's body that does something. A plan runs it `shift` iterations ahead of
// the loop's variable, at `position` among the others.
struct Unit {
  ir::Stmt stmt;
  size_t at = 0;  // in Loop::stmts
  std::vector<analysis::Use> uses;
  ir::Expr guard;      // of an `if` that is the whole unit, without Binds; null: always runs
  bool async = false;  // it writes memory asynchronously
  int64_t shift = 0;
  int64_t position = 0;
  int64_t group = 0;  // copies of one group complete together
};

// Unit `second` must run after `first`: of the same iteration, or of the next one (`carried`).
struct Dependence {
  size_t first = 0, second = 0;
  const ir::StorageObj* storage = nullptr;
  bool carried = false;
};

class Loop {
 public:
  Loop(const ir::Kernel& kernel, const ir::For& loop);

  ir::For loop;
  std::vector<ir::Stmt> stmts;
  std::vector<Unit> units;
  std::vector<Dependence> dependences;
  // Why all iterations share one version of a storage that the loop writes; empty: each iteration
  // writes what it reads, and nobody else does.
  std::map<const ir::StorageObj*, std::string> shared_version;

  bool Versioned(const ir::StorageObj* s) const {
    auto it = shared_version.find(s);
    return it != shared_version.end() && it->second.empty();
  }
  bool Writes(const Unit& u, const ir::StorageObj* s) const;
  bool Reads(const Unit& u, const ir::StorageObj* s) const;
  bool Touches(const Unit& u, const ir::StorageObj* s) const { return Writes(u, s) || Reads(u, s); }
  // A dependence that the units' shifts and positions break; of buffers with versions only within
  // an iteration.
  std::optional<Dependence> Broken(const std::vector<Unit>& units) const;
  // Does the dependence hold with one version of the storage?
  static bool Holds(const Dependence& d, const std::vector<Unit>& units);
  // "`gemm` (line 12)"
  static std::string Show(const Unit& u);

 private:
  void FindDependences();
  std::string WhyShared(const ir::Kernel& kernel, const ir::StorageObj* s) const;
  bool Covered(const analysis::Use& read, size_t reader) const;
};

}  // namespace tilescale::plan
