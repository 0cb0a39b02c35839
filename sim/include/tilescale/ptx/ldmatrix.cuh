// SPDX-License-Identifier: MIT
// Simulator twin: ldmatrix and stmatrix. Bodies: sim/ptx/ldmatrix.cc.
#pragma once
#include <tilescale/ptx/config.cuh>

namespace ts {
namespace ptx {
#pragma GCC visibility push(default)

void ldmatrix_x1(u32* r, const void* smem);
void ldmatrix_x2(u32* r, const void* smem);
void ldmatrix_x4(u32* r, const void* smem);
void ldmatrix_x1_trans(u32* r, const void* smem);
void ldmatrix_x2_trans(u32* r, const void* smem);
void ldmatrix_x4_trans(u32* r, const void* smem);
void stmatrix_x1(void* smem, const u32* r);
void stmatrix_x2(void* smem, const u32* r);
void stmatrix_x4(void* smem, const u32* r);
void stmatrix_x1_trans(void* smem, const u32* r);
void stmatrix_x2_trans(void* smem, const u32* r);
void stmatrix_x4_trans(void* smem, const u32* r);

#pragma GCC visibility pop
}  // namespace ptx
}  // namespace ts
