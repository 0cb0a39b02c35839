// SPDX-License-Identifier: MIT
// From the fragment of one instruction to the fragment of a block: the atom is repeated over the
// slots of a warp (or warpgroup) and over the grid of warps.
#pragma once

#include "compiler/layout/layout.h"

#include <cstdint>

namespace tilescale {

// How a block of `rows x cols` is shared by warps (or warpgroups): `row_warps x col_warps` of them,
// rows fastest; the unit is what one atom occupies (32 or 128 threads).
struct WarpGrid {
  int64_t row_warps = 1;
  int64_t col_warps = 1;
};

// Accumulator (M, N): each warp owns one slab of M / row_warps rows and N / col_warps columns;
// columns take the inner slots. MakeBlockC(m16n8 C, 128, 128, {2, 2}) is
//   128,128 | 8:4t 2:2s 4:32s 2:32t | 2:1s 4:1t 8:4s 2:64t
Expected<Layout> MakeBlockC(const Layout& atom, int64_t m, int64_t n, const WarpGrid& warps);
// Operand A (M, K): rows as in C, replicated over the column warps.
Expected<Layout> MakeBlockA(const Layout& atom, int64_t m, int64_t k, const WarpGrid& warps);
// Operand B (N, K): the columns of C are its rows, replicated over the row warps.
Expected<Layout> MakeBlockB(const Layout& atom, int64_t n, int64_t k, const WarpGrid& warps);

// The general form. dims[d]: total extent; warp_stride[d]: threads between neighbours along d;
// warps[d]: how many; slot_order: dims whose repetitions take slots, innermost first; free warps
// (extent, thread stride) become replicas.
struct BlockSpec {
  Shape extents;
  FixedVec<int64_t, kMaxDims> warps;
  FixedVec<int64_t, kMaxDims> warp_strides;
  FixedVec<int, kMaxDims> slot_order;
  FixedVec<Mode, kMaxReps> replicas;
};
Expected<Layout> MakeBlock(const Layout& atom, const BlockSpec& spec);

}  // namespace tilescale
