// SPDX-License-Identifier: MIT
// What the lowerings of gemm share: the operands' roles and the warp partition.
#pragma once

#include "compiler/isa/instr.h"
#include "compiler/layout/block.h"
#include "compiler/ops/tile_op.h"

#include <optional>
#include <string>

namespace tilescale::ops {

// C[m, n] += op(A)[m, k] · op(B)[k, n] of one gemm; regions are 2-D behind unit leading dims.
struct GemmOperands {
  ir::Region a, b, c;
  bool transpose_a = false, transpose_b = false;
  int64_t m = 0, n = 0, k = 0;
  ir::Expr clear;  // null: never
  int policy = 0;
};
GemmOperands OperandsOf(const ir::TileOpObj* op);

// Warps along rows and columns: each warp at least `atom_m` rows and `atom_n`
// columns. policy 0 square, 1 full row, 2 full column. nullopt: no exact cover.
std::optional<WarpGrid> PartitionWarps(int64_t m, int64_t n, int64_t warps, int policy,
                                       int64_t atom_m, int64_t atom_n);

// The matrix instruction for these operands: nullptr with the reason when there is none.
const isa::MmaRow* ChooseMma(const GemmOperands& g, const Target& target, std::string* reason);
// What the target's matrix instructions for the types of A and B ask for, as a sentence; empty: it
// has none.
std::string NeedsOfMma(const GemmOperands& g, const Target& target);

}  // namespace tilescale::ops
