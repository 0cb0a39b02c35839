// SPDX-License-Identifier: MIT
// The steps of Normalise, in the order in which they run. Each takes and gives a kernel's body.
#pragma once

#include "compiler/ir/func.h"
#include "compiler/passes/passes.h"

namespace tilescale::passes {

// Loops that the user wants expanded are expanded; names declared in them are made anew.
ir::Stmt ExpandUnrolls(const ir::Stmt& body);
// An index that is a negative constant counts from the end; any other stays.
ir::Stmt WrapNegativeIndices(const ir::Stmt& body);
// T.Parallel directly inside T.Parallel, nothing between: one nest.
ir::Stmt MergeNests(const ir::Stmt& body);
// A condition on the thread's index around collective statements becomes a Group.
ir::Stmt RecoverGroups(const ir::Kernel& kernel, const ir::Stmt& body);
// A branch that stands in a pipelined loop's body: its condition is bound once, then guards each
// unit.
ir::Stmt SplitBranches(const ir::Stmt& body);
// A cell that every point of a nest writes before reading it is the point's own.
ir::Stmt PrivatiseCells(const ir::Stmt& body);
// A plain store whose control, address and value are the same for all threads is done by one of
// them.
ir::Stmt ElectStores(const ir::Kernel& kernel, const ir::Stmt& body);

// Statements that a group runs together: tile ops and nests.
bool HasCollective(const ir::Stmt& s);

}  // namespace tilescale::passes
