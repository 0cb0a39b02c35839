// SPDX-License-Identifier: MIT
// Expressions share operands, and most walks see them as trees: what puts definitions in the place
// of names asks here first, or a chain that uses each name twice is a tree of 2^n.
#pragma once

#include "compiler/ir/visit.h"

namespace tilescale::ir {

// Has the tree more than `nodes` nodes? Visits no more than that, and siblings.
inline bool LargerThan(const Node& tree, int nodes) {
  Walk(tree, [&](const NodeObj*) { return --nodes >= 0; });
  return nodes < 0;
}

}  // namespace tilescale::ir
