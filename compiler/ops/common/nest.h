// SPDX-License-Identifier: MIT
// Nests of the mapped stage and points of whole regions, for lowerings that emit their own loops.
#pragma once

#include "compiler/ir/build.h"
#include "compiler/layout/layout.h"

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace tilescale::ops {

// A Parallel whose points are where `layout` says; one var a dim of the layout.
ir::Stmt PlacedNest(const std::vector<ir::Var>& vars, const Layout& layout, ir::Stmt body,
                    ir::Span span);
// dst[...] = cast(src[...]) over the side at the lower memory level (registers, shared, global).
ir::Stmt CopyNest(const ir::Region& src, const ir::Region& dst, const ir::Span& span);
// Points in row-major order over the threads of a group, without replicas.
Layout FlatLayout(std::span<const int64_t> shape, int64_t threads);
// The row-major index of a point of a box.
ir::Expr RowMajorOf(const std::vector<ir::Expr>& point, std::span<const int64_t> shape);

// The constant extents of all dims of a region; raises the user's error when one is not constant.
std::vector<int64_t> ConstExtents(const ir::Region& r, const char* what, const ir::Span& span);
// A region with each unknown extent replaced by the buffer's.
ir::Region WholeWhereUnknown(const ir::Region& r);
// Elements at begin + point, one coordinate for every dim, with the region's guards and `guard`.
ir::Expr LoadPoint(const ir::Region& r, const std::vector<ir::Expr>& point,
                   ir::Expr guard = ir::Expr(), ir::Expr other = ir::Expr());
ir::Stmt StorePoint(const ir::Region& r, const std::vector<ir::Expr>& point, ir::Expr value,
                    ir::Span span);

std::vector<ir::Expr> AsExprs(const std::vector<ir::Var>& vars);
std::string ShapeText(std::span<const int64_t> shape);  // "[4, 8]"
const char* ScopeName(const ir::Buffer& b);             // as the user says it: "shared.dyn"
// Calls f(point) for every point of the box, last dim fastest.
void ForEachPoint(const std::vector<int64_t>& shape,
                  const std::function<void(const std::vector<int64_t>&)>& f);

}  // namespace tilescale::ops
