// SPDX-License-Identifier: MIT
// Nodes that walks and rewrites of this thread have visited so far: the measure of work that tests
// bound, as time depends on the machine.
#pragma once

#include <cstdint>

namespace tilescale::ir {

int64_t VisitsMade();
// For a pass with a recursion of its own over statements.
void CountVisit();

}  // namespace tilescale::ir
