// SPDX-License-Identifier: MIT
// mma.sync: one warp computes D[M,N] = A[M,K] * B[K,N] + C. PTX "Warp-level Matrix Instructions:
// mma".
//
// Names: mma_<shape>_<ctype>_<atype>_<btype>. Called by all 32 lanes of a converged warp; registers
// only, so it orders no memory. a and b are registers as 32-bit words (2, 4 or 8 elements each; a
// double is two words, 8-byte aligned), c and d are elements of the accumulator's type; d may be c.
// A is row-major, B column-major (K runs inside a register).
//
// Fragment of A or B with elements of w bits, e = max(1, 32/w) to a register: lane 4*(row%8) +
// (k/e)%4, register 2*(k/(4e)) + row/8 for A (row = m), k/(4e) for B (row = n). C and D: lane
// 4*(m%8) + n/2, element 2*(m/8) + n%2. f64 m8n8k4 is the same with one row group and one element
// of A, B to a lane.
//
// Floating point: products are exact; the order and the width of the sum are the machine's. tf32
// operands are read without their low 13 bits. Integers wrap.
#pragma once
#include <tilescale/numeric/types.cuh>

namespace ts {
namespace ptx {

// A of four registers, B of two, C of four 32-bit elements.
#define TS_MMA_422(name, text, C, L)                                                          \
  TS_DEVICE void name(C* d, const u32* a, const u32* b, const C* c) {                         \
    asm volatile("mma.sync.aligned." text                                                     \
                 " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"       \
                 : "=" L(d[0]), "=" L(d[1]), "=" L(d[2]), "=" L(d[3])                         \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), L(c[0]), \
                   L(c[1]), L(c[2]), L(c[3]));                                                \
  }
// A of two registers, B of one, C of four 32-bit elements.
#define TS_MMA_211(name, text, C, L)                                                              \
  TS_DEVICE void name(C* d, const u32* a, const u32* b, const C* c) {                             \
    asm volatile("mma.sync.aligned." text " {%0, %1, %2, %3}, {%4, %5}, {%6}, {%7, %8, %9, %10};" \
                 : "=" L(d[0]), "=" L(d[1]), "=" L(d[2]), "=" L(d[3])                             \
                 : "r"(a[0]), "r"(a[1]), "r"(b[0]), L(c[0]), L(c[1]), L(c[2]), L(c[3]));          \
  }
// A and B of one register, C of two 32-bit elements (m8n8).
#define TS_MMA_111(name, text)                                               \
  TS_DEVICE void name(i32* d, const u32* a, const u32* b, const i32* c) {    \
    asm volatile("mma.sync.aligned." text " {%0, %1}, {%2}, {%3}, {%4, %5};" \
                 : "=r"(d[0]), "=r"(d[1])                                    \
                 : "r"(a[0]), "r"(b[0]), "r"(c[0]), "r"(c[1]));              \
  }
// f16 accumulators: four elements in two registers, 4-byte aligned.
#define TS_MMA_F16_422(name, text)                                                                 \
  TS_DEVICE void name(f16* d, const u32* a, const u32* b, const f16* c) {                          \
    const u32* from = (const u32*)c;                                                               \
    u32* to = (u32*)d;                                                                             \
    asm volatile("mma.sync.aligned." text " {%0, %1}, {%2, %3, %4, %5}, {%6, %7}, {%8, %9};"       \
                 : "=r"(to[0]), "=r"(to[1])                                                        \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(from[0]), \
                   "r"(from[1]));                                                                  \
  }
#define TS_MMA_F16_211(name, text)                                               \
  TS_DEVICE void name(f16* d, const u32* a, const u32* b, const f16* c) {        \
    const u32* from = (const u32*)c;                                             \
    u32* to = (u32*)d;                                                           \
    asm volatile("mma.sync.aligned." text " {%0, %1}, {%2, %3}, {%4}, {%5, %6};" \
                 : "=r"(to[0]), "=r"(to[1])                                      \
                 : "r"(a[0]), "r"(a[1]), "r"(b[0]), "r"(from[0]), "r"(from[1])); \
  }

TS_MMA_422(mma_m16n8k16_f32_f16_f16, "m16n8k16.row.col.f32.f16.f16.f32", float, "f")
TS_MMA_422(mma_m16n8k16_f32_bf16_bf16, "m16n8k16.row.col.f32.bf16.bf16.f32", float, "f")
TS_MMA_422(mma_m16n8k8_f32_tf32_tf32, "m16n8k8.row.col.f32.tf32.tf32.f32", float, "f")
TS_MMA_211(mma_m16n8k8_f32_f16_f16, "m16n8k8.row.col.f32.f16.f16.f32", float, "f")
TS_MMA_211(mma_m16n8k8_f32_bf16_bf16, "m16n8k8.row.col.f32.bf16.bf16.f32", float, "f")
TS_MMA_211(mma_m16n8k4_f32_tf32_tf32, "m16n8k4.row.col.f32.tf32.tf32.f32", float, "f")
TS_MMA_F16_422(mma_m16n8k16_f16_f16_f16, "m16n8k16.row.col.f16.f16.f16.f16")
TS_MMA_F16_211(mma_m16n8k8_f16_f16_f16, "m16n8k8.row.col.f16.f16.f16.f16")

#define TS_MMA_INT8(A, B)                                                                    \
  TS_MMA_422(mma_m16n8k32_s32_##A##_##B, "m16n8k32.row.col.s32." #A "." #B ".s32", i32, "r") \
  TS_MMA_211(mma_m16n8k16_s32_##A##_##B, "m16n8k16.row.col.s32." #A "." #B ".s32", i32, "r") \
  TS_MMA_111(mma_m8n8k16_s32_##A##_##B, "m8n8k16.row.col.s32." #A "." #B ".s32")
TS_MMA_INT8(s8, s8)
TS_MMA_INT8(s8, u8)
TS_MMA_INT8(u8, s8)
TS_MMA_INT8(u8, u8)
#undef TS_MMA_INT8

#define TS_MMA_INT4(A, B)                                                                    \
  TS_MMA_422(mma_m16n8k64_s32_##A##_##B, "m16n8k64.row.col.s32." #A "." #B ".s32", i32, "r") \
  TS_MMA_211(mma_m16n8k32_s32_##A##_##B, "m16n8k32.row.col.s32." #A "." #B ".s32", i32, "r") \
  TS_MMA_111(mma_m8n8k32_s32_##A##_##B, "m8n8k32.row.col.s32." #A "." #B ".s32")
TS_MMA_INT4(s4, s4)
TS_MMA_INT4(s4, u4)
TS_MMA_INT4(u4, s4)
TS_MMA_INT4(u4, u4)
#undef TS_MMA_INT4

#if __CUDA_ARCH__ >= 890
#define TS_MMA_FP8(A, B)                                                                       \
  TS_MMA_422(mma_m16n8k32_f32_##A##_##B, "m16n8k32.row.col.f32." #A "." #B ".f32", float, "f") \
  TS_MMA_F16_422(mma_m16n8k32_f16_##A##_##B, "m16n8k32.row.col.f16." #A "." #B ".f16")
TS_MMA_FP8(e4m3, e4m3)
TS_MMA_FP8(e4m3, e5m2)
TS_MMA_FP8(e5m2, e4m3)
TS_MMA_FP8(e5m2, e5m2)
#undef TS_MMA_FP8
#endif

// One element of A and of B to a lane, two of C.
TS_DEVICE void mma_m8n8k4_f64_f64_f64(double* d, const u32* a, const u32* b, const double* c) {
  const double* x = (const double*)a;
  const double* y = (const double*)b;
  asm volatile("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0, %1}, {%2}, {%3}, {%4, %5};"
               : "=d"(d[0]), "=d"(d[1])
               : "d"(x[0]), "d"(y[0]), "d"(c[0]), "d"(c[1]));
}

#undef TS_MMA_422
#undef TS_MMA_211
#undef TS_MMA_111
#undef TS_MMA_F16_422
#undef TS_MMA_F16_211

}  // namespace ptx
}  // namespace ts
