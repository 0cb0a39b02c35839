// SPDX-License-Identifier: MIT
// Simulator twin: mma.sync. Bodies: sim/ptx/mma_sync.cc; the fragments are described in the device
// header.
#pragma once
#include <tilescale/numeric/types.cuh>

namespace ts {
namespace ptx {
#pragma GCC visibility push(default)

#define TS_MMA(name, C) void mma_##name(C* d, const u32* a, const u32* b, const C* c);
TS_MMA(m16n8k16_f32_f16_f16, float)
TS_MMA(m16n8k16_f32_bf16_bf16, float)
TS_MMA(m16n8k8_f32_tf32_tf32, float)
TS_MMA(m16n8k8_f32_f16_f16, float)
TS_MMA(m16n8k8_f32_bf16_bf16, float)
TS_MMA(m16n8k4_f32_tf32_tf32, float)
TS_MMA(m16n8k16_f16_f16_f16, f16)
TS_MMA(m16n8k8_f16_f16_f16, f16)
TS_MMA(m8n8k4_f64_f64_f64, double)
#define TS_MMA_INT8(ab)          \
  TS_MMA(m16n8k32_s32_##ab, i32) \
  TS_MMA(m16n8k16_s32_##ab, i32) \
  TS_MMA(m8n8k16_s32_##ab, i32)
TS_MMA_INT8(s8_s8)
TS_MMA_INT8(s8_u8)
TS_MMA_INT8(u8_s8)
TS_MMA_INT8(u8_u8)
#define TS_MMA_INT4(ab)          \
  TS_MMA(m16n8k64_s32_##ab, i32) \
  TS_MMA(m16n8k32_s32_##ab, i32) \
  TS_MMA(m8n8k32_s32_##ab, i32)
TS_MMA_INT4(s4_s4)
TS_MMA_INT4(s4_u4)
TS_MMA_INT4(u4_s4)
TS_MMA_INT4(u4_u4)
#define TS_MMA_FP8(ab)             \
  TS_MMA(m16n8k32_f32_##ab, float) \
  TS_MMA(m16n8k32_f16_##ab, f16)
TS_MMA_FP8(e4m3_e4m3)
TS_MMA_FP8(e4m3_e5m2)
TS_MMA_FP8(e5m2_e4m3)
TS_MMA_FP8(e5m2_e5m2)
#undef TS_MMA
#undef TS_MMA_INT8
#undef TS_MMA_INT4
#undef TS_MMA_FP8

#pragma GCC visibility pop
}  // namespace ptx
}  // namespace ts
