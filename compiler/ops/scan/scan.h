// SPDX-License-Identifier: MIT
// What the rows of scan (cumsum, cummax) and their lowering share.
#pragma once

#include "compiler/ops/common/combine.h"
#include "compiler/ops/tile_op.h"

#include <vector>

namespace tilescale::ops {

// dst[.., k, ..] = combine of src[.., 0 … k, ..] along dim; `reverse`: of k … n - 1.
struct Scan {
  ir::Region src, dst;
  std::vector<int64_t> shape;
  int dim = 0;
  bool reverse = false;
  Combiner combiner = Combiner::kSum;
  ir::DataType acc;
  ir::DataType staged;  // dtype of the tile in shared memory
};
Scan ScanOf(const ir::TileOpObj* op);

}  // namespace tilescale::ops
