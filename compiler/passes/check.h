// SPDX-License-Identifier: MIT
// The rules of Check. Each raises the contract's error with the user's line, or changes nothing.
#pragma once

#include "compiler/ir/func.h"
#include "compiler/passes/passes.h"

namespace tilescale::passes {

// "T.atomic_add": an op as the user wrote it. A `{param}` in OpSyntax::spelled stands for the value
// of that string. check.cc
std::string SpelledName(const ir::TileOpObj* op);

// Threads, grid, capabilities of the target. check.cc
void CheckLaunch(const ir::Kernel& kernel, const PassContext& ctx);
// What a nest of T.Parallel may hold, and how fragments and thread-local arrays are indexed.
// check_parallel.cc
void CheckNests(const ir::Kernel& kernel, PassContext* ctx);
// Memory that is read and never written before. check_memory.cc
void CheckInitialised(const ir::Kernel& kernel);
// Control around collective operations is the same for all threads that run them. check.cc
void CheckControl(const ir::Kernel& kernel);
// Communication that is started and not ended: warnings. check_ranks.cc
void CheckRanks(const ir::Kernel& kernel, PassContext* ctx);

// The user switched the checks of uninitialised memory off. check_memory.cc
bool SkipsInitialisation(const ir::Func& f);

}  // namespace tilescale::passes
