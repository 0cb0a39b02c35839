// SPDX-License-Identifier: MIT
// f16 and bf16 arithmetic and conversions on raw bits (PTX "Half Precision Floating-Point
// Instructions", "cvt"). One thread; pure. Rounds to nearest even, keeps subnormals, any NaN result
// is 0x7fff.
#pragma once
#include <tilescale/ptx/config.cuh>

namespace ts {
namespace ptx {

#define TS_HALF_1(name, text)                \
  TS_DEVICE u16 name(u16 a) {                \
    u16 r;                                   \
    asm(text " %0, %1;" : "=h"(r) : "h"(a)); \
    return r;                                \
  }
#define TS_HALF_2(name, text)                            \
  TS_DEVICE u16 name(u16 a, u16 b) {                     \
    u16 r;                                               \
    asm(text " %0, %1, %2;" : "=h"(r) : "h"(a), "h"(b)); \
    return r;                                            \
  }
#define TS_HALF_3(name, text)                                        \
  TS_DEVICE u16 name(u16 a, u16 b, u16 c) {                          \
    u16 r;                                                           \
    asm(text " %0, %1, %2, %3;" : "=h"(r) : "h"(a), "h"(b), "h"(c)); \
    return r;                                                        \
  }
#define TS_PAIR_2(name, text)                            \
  TS_DEVICE u32 name(u32 a, u32 b) {                     \
    u32 r;                                               \
    asm(text " %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b)); \
    return r;                                            \
  }
#define TS_PAIR_3(name, text)                                        \
  TS_DEVICE u32 name(u32 a, u32 b, u32 c) {                          \
    u32 r;                                                           \
    asm(text " %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(c)); \
    return r;                                                        \
  }

TS_HALF_2(f16_add, "add.rn.f16")
TS_HALF_2(f16_sub, "sub.rn.f16")
TS_HALF_2(f16_mul, "mul.rn.f16")
TS_HALF_3(f16_fma, "fma.rn.f16")
TS_HALF_2(f16_min, "min.f16")
TS_HALF_2(f16_max, "max.f16")
TS_HALF_2(f16_min_nan, "min.NaN.f16")
TS_HALF_2(f16_max_nan, "max.NaN.f16")
TS_PAIR_2(f16x2_add, "add.rn.f16x2")
TS_PAIR_2(f16x2_sub, "sub.rn.f16x2")
TS_PAIR_2(f16x2_mul, "mul.rn.f16x2")
TS_PAIR_3(f16x2_fma, "fma.rn.f16x2")
TS_PAIR_2(f16x2_min, "min.f16x2")
TS_PAIR_2(f16x2_max, "max.f16x2")

TS_HALF_3(bf16_fma, "fma.rn.bf16")
TS_HALF_2(bf16_min, "min.bf16")
TS_HALF_2(bf16_max, "max.bf16")
TS_HALF_2(bf16_min_nan, "min.NaN.bf16")
TS_HALF_2(bf16_max_nan, "max.NaN.bf16")
TS_PAIR_3(bf16x2_fma, "fma.rn.bf16x2")
TS_PAIR_2(bf16x2_min, "min.bf16x2")
TS_PAIR_2(bf16x2_max, "max.bf16x2")
#if __CUDA_ARCH__ >= 900
TS_HALF_2(bf16_add, "add.rn.bf16")
TS_HALF_2(bf16_sub, "sub.rn.bf16")
TS_HALF_2(bf16_mul, "mul.rn.bf16")
TS_PAIR_2(bf16x2_add, "add.rn.bf16x2")
TS_PAIR_2(bf16x2_sub, "sub.rn.bf16x2")
TS_PAIR_2(bf16x2_mul, "mul.rn.bf16x2")
#else
// Only fma exists: a*1+b, a-b = b*-1+a, a*b+(-0); each is exact before its one rounding.
TS_DEVICE u16 bf16_add(u16 a, u16 b) {
  return bf16_fma(a, 0x3f80, b);
}
TS_DEVICE u16 bf16_sub(u16 a, u16 b) {
  return bf16_fma(b, 0xbf80, a);
}
TS_DEVICE u16 bf16_mul(u16 a, u16 b) {
  return bf16_fma(a, b, 0x8000);
}
TS_DEVICE u32 bf16x2_add(u32 a, u32 b) {
  return bf16x2_fma(a, 0x3f803f80u, b);
}
TS_DEVICE u32 bf16x2_sub(u32 a, u32 b) {
  return bf16x2_fma(b, 0xbf80bf80u, a);
}
TS_DEVICE u32 bf16x2_mul(u32 a, u32 b) {
  return bf16x2_fma(a, b, 0x80008000u);
}
#endif
#undef TS_HALF_1
#undef TS_HALF_2
#undef TS_HALF_3
#undef TS_PAIR_2
#undef TS_PAIR_3

TS_DEVICE float f16_to_f32(u16 a) {
  float r;
  asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(a));
  return r;
}
TS_DEVICE u16 f16_from_f32(float a) {
  u16 r;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r) : "f"(a));
  return r;
}
TS_DEVICE float bf16_to_f32(u16 a) {
  return __uint_as_float((u32)a << 16);
}
TS_DEVICE u16 bf16_from_f32(float a) {
  u16 r;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(r) : "f"(a));
  return r;
}
// Two at once; the first argument becomes the low half.
TS_DEVICE u32 f16x2_from_f32(float low, float high) {
  u32 r;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  return r;
}
TS_DEVICE u32 bf16x2_from_f32(float low, float high) {
  u32 r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  return r;
}
// Round to nearest, ties away from zero: the only rounding to tf32 of every sm_80 machine. The low
// 13 bits of the result are not read by mma.
TS_DEVICE u32 tf32_from_f32(float a) {
  u32 r;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(a));
  return r;
}

}  // namespace ptx
}  // namespace ts
