// SPDX-License-Identifier: MIT
// Exact tables on expressions.
#pragma once

#include "compiler/ir/build.h"
#include "compiler/layout/table.h"

#include <vector>

namespace tilescale::arith {

// The largest table without a closed form that is looked up.
inline constexpr int64_t kLookupLimit = 4096;

// The place of a point on one axis of a table without replicas. A closed form where there is one
// (a linear sum modulo n, an XOR of the index's bits), else a search among packed constants; null
// above kLookupLimit.
ir::Expr ApplyTable(const Table& table, Axis axis, const std::vector<ir::Expr>& point);

}  // namespace tilescale::arith
