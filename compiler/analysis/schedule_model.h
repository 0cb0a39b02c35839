// SPDX-License-Identifier: MIT
// A kernel as its schedule sees it: regions that hold scheduled loops, cut into
// segments; the units of each segment; the steps of each role. The check and ApplySchedule both
// work on this, so they cannot disagree about what a schedule means.
//
//   region of the kernel:  segment `root` · loop %ko · segment `after %ko`
//   region of loop %ko:    segment `loop %ko`
#pragma once

#include "compiler/analysis/uses.h"
#include "compiler/ir/func.h"
#include "compiler/target/constants.h"

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace tilescale::analysis {

struct Segment;

// A labelled statement, or any other that does something, of a segment.
struct Unit {
  std::string name;  // its label
  ir::Stmt stmt;
  std::vector<Use> uses;
  bool async = false;  // it writes memory asynchronously
  ir::Expr guard;      // of an `if` that is the whole unit, without Binds; null: always runs
  Segment* segment = nullptr;
  int order = 0;  // in the program
  int role = -1;  // who runs it; set by Resolve
};

struct ResolvedStep {
  ir::StepVerb verb = ir::StepVerb::kDo;
  Unit* unit = nullptr;  // do, await
  int pipe = -1;         // acquire, commit, wait, release
  int64_t shift = 0;
};

// A stretch of statements between scheduled loops.
struct Segment {
  ir::Scope scope;                               // null: no scope names it
  std::string name;                              // "root", "loop %ko", "after %ko"; "" for none
  std::vector<ir::Stmt> stmts;                   // units, binds and declarations
  std::vector<Unit*> units;                      // in program order
  std::vector<std::vector<ResolvedStep>> steps;  // by role
};

// The kernel's body, or that of a statement that holds scheduled loops.
struct Region {
  ir::Stmt owner;                                  // For, If, While or Group; null: the kernel
  bool scheduled_loop = false;                     // the schedule names it
  std::vector<std::unique_ptr<Segment>> segments;  // one more than children
  std::vector<std::unique_ptr<Region>> children;
  std::unique_ptr<Region> otherwise;  // the else of an If
  bool leaf() const { return scheduled_loop && children.empty(); }
};

struct PipeFacts {
  ir::Pipe pipe;
  int from = -1;
  std::vector<int> to;
  bool local = false;      // one role fills and reads it: no mbarriers
  bool registers = false;  // of fragments; then it is local
  bool all_async = true;   // every write of the units that fill it completes by cp.async
  bool any_async = false;  // one of them does
};

struct Model {
  ir::Kernel kernel;
  ir::Schedule schedule;
  std::vector<ir::Role> roles;
  std::vector<PipeFacts> pipes;
  std::unique_ptr<Region> root;
  std::deque<Unit> units;
  std::unordered_map<const ir::StorageObj*, int> pipe_of;  // storage: pipe
  bool many() const { return roles.size() > 1; }
  int RoleIndex(std::string_view name) const;  // -1: none
  int PipeIndex(std::string_view name) const;
  int64_t FirstThread(int role) const { return roles[role]->first_warp * target::kWarpSize; }
  int64_t Threads(int role) const { return roles[role]->warps * target::kWarpSize; }
  // "`gemm` (line 11)"
  static std::string Show(const Unit& unit);
};

// Builds the model of a kernel with a schedule. Raises what is wrong with the names in it: roles,
// pipes, scopes, steps, units that run never or twice.
Model BuildModel(const ir::Kernel& kernel);

// Visits a region's segments and children in program order.
template <typename F>
void ForEachSegment(Region* r, const F& f) {
  for (size_t i = 0; i < r->segments.size(); ++i) {
    f(r, r->segments[i].get());
    if (i < r->children.size()) ForEachSegment(r->children[i].get(), f);
  }
  if (r->otherwise) ForEachSegment(r->otherwise.get(), f);
}

}  // namespace tilescale::analysis
