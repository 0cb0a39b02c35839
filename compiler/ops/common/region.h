// SPDX-License-Identifier: MIT
// Regions in element-wise code: points of a box with the box's guards.
#pragma once

#include "compiler/ir/build.h"
#include "compiler/ir/effects.h"

#include <string>
#include <vector>

namespace tilescale::ops {

// begin + point on the dims that are walked (extent != 1), begin elsewhere.
std::vector<ir::Expr> IndexAt(const ir::Region& r, const std::vector<ir::Expr>& point);
// The condition under which the point is inside the buffer, by the region's check masks; null:
// always.
ir::Expr GuardAt(const ir::Region& r, const std::vector<ir::Expr>& point);
// A call that uses the address of `r`, one element: skipped where that is out of range.
ir::Stmt GuardedCall(const ir::Region& r, ir::Stmt call);
ir::Expr LoadAt(const ir::Region& r, const std::vector<ir::Expr>& point);
ir::Stmt StoreAt(const ir::Region& r, const std::vector<ir::Expr>& point, ir::Expr value,
                 ir::Span span);

// Dims of extent other than 1, in order, with their extents; all extents must be known expressions.
std::vector<int> WalkedDims(const ir::Region& r);
// A region whose walked dims are the first n coordinates of `point`, in order.
std::vector<ir::Expr> ExtentsOf(const ir::Region& r);
// Variables "i", "j", … for n dims, named after the region's buffer-independent position.
std::vector<ir::Var> NestVars(int n);

// Fills in unknown extents and matches both sides' extents, a 1 taking the other's.
// Raises when neither has extents or static ones differ. `what` names the op in messages.
void Reconcile(const char* what, ir::Region* src, ir::Region* dst, const ir::Span& span);
bool IsWhole(const ir::Region& r);          // begins at 0 and covers the buffer
std::string Describe(const ir::Region& r);  // "A" or "A[0:64, 0:32]", in the user's names

ir::Effect Reads(const ir::Region& r, ir::Done done = ir::Done::kProgram);
ir::Effect Writes(const ir::Region& r, ir::Done done = ir::Done::kProgram);

}  // namespace tilescale::ops
