// SPDX-License-Identifier: MIT
// What a statement of the tile stage, with all it holds, does to memory: the effects of ops and
// instructions, and the loads and stores between them. Scheduling asks this, never the op.
#pragma once

#include "compiler/ir/effects.h"
#include "compiler/ir/stmt.h"

#include <vector>

namespace tilescale::analysis {

// One access. `region` is null where only the storage is known.
struct Use {
  const ir::StorageObj* storage = nullptr;
  ir::Region region;
  ir::Mode mode = ir::Mode::kRead;
  ir::Done done = ir::Done::kProgram;
  bool reads() const { return mode != ir::Mode::kWrite; }
  bool writes() const { return mode != ir::Mode::kRead; }
};

// In order of appearance; ops whose lowering is chosen complete as it says.
std::vector<Use> UsesOf(const ir::Node& node);

// Does the condition hold `fact` among its conjuncts?
bool Implies(const ir::Expr& condition, const ir::Expr& fact);

// May the two meet, one of them writing? `same_iteration`: variables have one value in both.
bool Conflicts(const Use& a, const Use& b, bool same_iteration);

}  // namespace tilescale::analysis
