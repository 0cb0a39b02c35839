// SPDX-License-Identifier: MIT
// Simulator twin: f16 and bf16 arithmetic and conversions on raw bits. Bodies:
// sim/ptx/numeric_half.cc.
#pragma once
#include <tilescale/ptx/config.cuh>

namespace ts {
namespace ptx {
#pragma GCC visibility push(default)

#define TS_HALF(T)                                       \
  u16 T##_add(u16 a, u16 b) TS_CONST_FN;                 \
  u16 T##_sub(u16 a, u16 b) TS_CONST_FN;                 \
  u16 T##_mul(u16 a, u16 b) TS_CONST_FN;                 \
  u16 T##_fma(u16 a, u16 b, u16 c) TS_CONST_FN;          \
  u16 T##_min(u16 a, u16 b) TS_CONST_FN;                 \
  u16 T##_max(u16 a, u16 b) TS_CONST_FN;                 \
  u16 T##_min_nan(u16 a, u16 b) TS_CONST_FN;             \
  u16 T##_max_nan(u16 a, u16 b) TS_CONST_FN;             \
  u32 T##x2_add(u32 a, u32 b) TS_CONST_FN;               \
  u32 T##x2_sub(u32 a, u32 b) TS_CONST_FN;               \
  u32 T##x2_mul(u32 a, u32 b) TS_CONST_FN;               \
  u32 T##x2_fma(u32 a, u32 b, u32 c) TS_CONST_FN;        \
  u32 T##x2_min(u32 a, u32 b) TS_CONST_FN;               \
  u32 T##x2_max(u32 a, u32 b) TS_CONST_FN;               \
  u16 T##_from_f32(float a) TS_CONST_FN;                 \
  u32 T##x2_from_f32(float low, float high) TS_CONST_FN; \
  float T##_to_f32(u16 a) TS_CONST_FN;
TS_HALF(f16)
TS_HALF(bf16)
#undef TS_HALF
u32 tf32_from_f32(float a) TS_CONST_FN;

#pragma GCC visibility pop
}  // namespace ptx
}  // namespace ts
