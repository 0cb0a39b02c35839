// SPDX-License-Identifier: MIT
// Simulator twin: conversions of the 8-bit floating formats on raw bits. Bodies:
// sim/ptx/numeric_fp8.cc.
#pragma once
#include <tilescale/ptx/half.cuh>

namespace ts {
namespace ptx {
#pragma GCC visibility push(default)

#define TS_FP8(F)                                        \
  u8 F##_from_f32(float a) TS_CONST_FN;                  \
  u16 F##_to_f16(u8 a) TS_CONST_FN;                      \
  u16 F##x2_from_f32(float low, float high) TS_CONST_FN; \
  u16 F##x2_from_f16x2(u32 a) TS_CONST_FN;               \
  u32 F##x2_to_f16x2(u16 a) TS_CONST_FN;
TS_FP8(e4m3)
TS_FP8(e5m2)
#undef TS_FP8

#pragma GCC visibility pop
}  // namespace ptx
}  // namespace ts
