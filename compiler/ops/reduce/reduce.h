// SPDX-License-Identifier: MIT
// What the lowerings of reduce share.
#pragma once

#include "compiler/ops/common/combine.h"
#include "compiler/ops/tile_op.h"

#include <vector>

namespace tilescale::ops {

// out[i] = combine over k of pre(src[i with k at dim]), combined with the old out[i] unless
// `clear`.
struct Reduction {
  ir::Region src, out;
  std::vector<int64_t> shape;      // of src
  std::vector<int64_t> out_shape;  // without dim, or 1 there
  int dim = 0;
  Combiner combiner = Combiner::kSum;
  bool absolute = false;  // of the elements
  bool nan = false;       // NaN wins
  bool clear = true;
  ir::DataType acc;

  ir::Expr Element(ir::Expr value) const;  // as an accumulator, absolute if asked for
  ir::Expr Join(ir::Expr a, ir::Expr b) const {
    return Combine(combiner, nan, std::move(a), std::move(b));
  }
  ir::Expr Empty() const { return Identity(combiner, acc); }
  int64_t Outputs() const;
  // An output's point as one of src, with `k` at dim.
  std::vector<ir::Expr> SourcePoint(const std::vector<ir::Expr>& out_point, ir::Expr k) const;
  // The store of a result at a point of out: joined with the old value unless `clear`.
  ir::Stmt Finish(const std::vector<ir::Expr>& out_point, ir::Expr result, ir::Span span) const;
};
Reduction ReductionOf(const ir::TileOpObj* op);

}  // namespace tilescale::ops
