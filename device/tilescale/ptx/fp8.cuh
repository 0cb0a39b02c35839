// SPDX-License-Identifier: MIT
// Conversions of the 8-bit floating formats on raw bits (PTX "cvt"; instructions since sm_89,
// integer code below). One thread; pure. To fp8: nearest even, saturating to the largest finite
// value, infinities too; NaN is 0x7f. From fp8: exact.
#pragma once
#include <tilescale/ptx/half.cuh>

namespace ts {
namespace ptx {

#if __CUDA_ARCH__ >= 890
#define TS_FP8(F)                                                                     \
  TS_DEVICE u16 F##x2_from_f32(float low, float high) {                               \
    u16 r;                                                                            \
    asm("cvt.rn.satfinite." #F "x2.f32 %0, %1, %2;" : "=h"(r) : "f"(high), "f"(low)); \
    return r;                                                                         \
  }                                                                                   \
  TS_DEVICE u16 F##x2_from_f16x2(u32 a) {                                             \
    u16 r;                                                                            \
    asm("cvt.rn.satfinite." #F "x2.f16x2 %0, %1;" : "=h"(r) : "r"(a));                \
    return r;                                                                         \
  }                                                                                   \
  TS_DEVICE u32 F##x2_to_f16x2(u16 a) {                                               \
    u32 r;                                                                            \
    asm("cvt.rn.f16x2." #F "x2 %0, %1;" : "=r"(r) : "h"(a));                          \
    return r;                                                                         \
  }                                                                                   \
  TS_DEVICE u8 F##_from_f32(float a) {                                                \
    return (u8)F##x2_from_f32(a, 0.f);                                                \
  }                                                                                   \
  TS_DEVICE u16 F##_to_f16(u8 a) {                                                    \
    return (u16)F##x2_to_f16x2(a);                                                    \
  }
#else
// Rounds a float to M mantissa bits with exponent bias B; `largest` is the code of the largest
// finite value.
template <int M, int B>
TS_DEVICE u8 fp8_from_f32(float a, u32 largest) {
  const u32 w = __float_as_uint(a), sign = w >> 24 & 0x80, magnitude = w & 0x7fffffff;
  if (magnitude > 0x7f800000) return 0x7f;
  const int exponent = (int)(magnitude >> 23) - 127;
  // Below the smallest normal the exponent stays and the significand loses one bit for each step.
  int drop = 23 - M + (exponent < 1 - B ? 1 - B - exponent : 0);
  if (drop > 25) drop = 25;
  const u32 significand = magnitude >> 23 ? (magnitude & 0x7fffff) | 0x800000 : 0;
  const u32 half = (1u << (drop - 1)) - 1 + (significand >> drop & 1);
  const u32 rounded = (significand + half) >> drop;
  // A carry out of the significand adds one to the exponent by itself.
  u32 code = exponent < 1 - B ? rounded : ((u32)(exponent + B - 1) << M) + rounded;
  if (exponent > 16 || code > largest) code = largest;
  return (u8)(sign | code);
}
TS_DEVICE u8 e4m3_from_f32(float a) {
  return fp8_from_f32<3, 7>(a, 0x7e);
}
TS_DEVICE u8 e5m2_from_f32(float a) {
  return fp8_from_f32<2, 15>(a, 0x7b);
}
// The bits of e4m3, moved to f16, mean a value 2^8 too small, which the multiplication repairs
// exactly.
TS_DEVICE u16 e4m3_to_f16(u8 a) {
  if ((a & 0x7f) == 0x7f) return 0x7fff;
  return f16_mul((u16)((a & 0x80) << 8 | (a & 0x7f) << 7), 0x5c00);
}
TS_DEVICE u16 e5m2_to_f16(u8 a) {
  return (a & 0x7f) > 0x7c ? 0x7fff : (u16)(a << 8);
}
#define TS_FP8(F)                                                          \
  TS_DEVICE u16 F##x2_from_f32(float low, float high) {                    \
    return (u16)(F##_from_f32(low) | F##_from_f32(high) << 8);             \
  }                                                                        \
  TS_DEVICE u16 F##x2_from_f16x2(u32 a) {                                  \
    return F##x2_from_f32(f16_to_f32((u16)a), f16_to_f32((u16)(a >> 16))); \
  }                                                                        \
  TS_DEVICE u32 F##x2_to_f16x2(u16 a) {                                    \
    return F##_to_f16((u8)a) | (u32)F##_to_f16((u8)(a >> 8)) << 16;        \
  }
#endif
TS_FP8(e4m3)
TS_FP8(e5m2)
#undef TS_FP8

}  // namespace ptx
}  // namespace ts
