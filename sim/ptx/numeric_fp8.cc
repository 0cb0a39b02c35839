// SPDX-License-Identifier: MIT
// Conversions of the 8-bit floating formats (twin of ptx/fp8.cuh).
#include "sim/ptx/numeric.h"

#include <tilescale/ptx/fp8.cuh>

namespace ts::ptx {
namespace sim = tilescale::sim;

#define TS_FP8(name, Format)                                                          \
  u8 name##_from_f32(float a) {                                                       \
    return sim::Fp8FromF32<sim::Format>(a);                                           \
  }                                                                                   \
  u16 name##_to_f16(u8 a) {                                                           \
    return sim::F16FromF32(sim::F32FromFp8<sim::Format>(a));                          \
  }                                                                                   \
  u16 name##x2_from_f32(float low, float high) {                                      \
    return u16(name##_from_f32(low) | name##_from_f32(high) << 8);                    \
  }                                                                                   \
  u16 name##x2_from_f16x2(u32 a) {                                                    \
    return name##x2_from_f32(sim::F32FromF16(u16(a)), sim::F32FromF16(u16(a >> 16))); \
  }                                                                                   \
  u32 name##x2_to_f16x2(u16 a) {                                                      \
    return name##_to_f16(u8(a)) | u32(name##_to_f16(u8(a >> 8))) << 16;               \
  }
TS_FP8(e4m3, E4m3)
TS_FP8(e5m2, E5m2)
#undef TS_FP8

}  // namespace ts::ptx
