// SPDX-License-Identifier: MIT
// mma.sync (twin of ptx/mma_sync.cuh): the last lane to come gathers the fragments of all into
// matrices, multiplies, and scatters the result.
//
// Products are exact in float for every operand type but f64. Floating sums run over k in order, in
// float, from C on; an f16 accumulator is rounded once at the end. Integer sums of one instruction
// are below 2^24, so they are exact in float as well, and are added to C modulo 2^32.
#include "sim/collective.h"
#include "sim/ptx/numeric.h"

#include <cmath>
#include <tilescale/ptx/mma_sync.cuh>

namespace tilescale::sim {
namespace {

struct Lane {
  void* d;
  const u32* a;
  const u32* b;
  const void* c;
};

// One operand type: bits of an element, and the value of element `i` of a register.
struct F16 {
  static constexpr int kBits = 16;
  static float Get(u32 w, int i) { return F32FromF16(u16(w >> 16 * i)); }
};
struct Bf16 {
  static constexpr int kBits = 16;
  static float Get(u32 w, int i) { return F32FromBf16(u16(w >> 16 * i)); }
};
struct Tf32 {
  static constexpr int kBits = 32;
  static float Get(u32 w, int) { return F32FromTf32(w); }
};
struct S8 {
  static constexpr int kBits = 8;
  static float Get(u32 w, int i) { return static_cast<float>(static_cast<int8_t>(w >> 8 * i)); }
};
struct U8 {
  static constexpr int kBits = 8;
  static float Get(u32 w, int i) { return static_cast<float>(static_cast<u8>(w >> 8 * i)); }
};
struct S4 {
  static constexpr int kBits = 4;
  static float Get(u32 w, int i) {
    return static_cast<float>(static_cast<int32_t>(w << (28 - 4 * i)) >> 28);
  }
};
struct U4 {
  static constexpr int kBits = 4;
  static float Get(u32 w, int i) { return static_cast<float>(w >> 4 * i & 15); }
};
template <class Format>
struct Fp8 {
  static constexpr int kBits = 8;
  static float Get(u32 w, int i) { return kTable.value[w >> 8 * i & 255]; }

 private:
  struct Table {
    float value[256];
    Table() {
      for (int x = 0; x < 256; ++x) value[x] = F32FromFp8<Format>(u8(x));
    }
  };
  static inline const Table kTable;
};

// One accumulator type: where the sum starts, and what becomes of it.
struct ToF32 {
  using Type = float;
  static float Start(float c) { return c; }
  static float Finish(float sum, float) { return sum; }
};
struct ToF16 {
  using Type = u16;
  static float Start(u16 c) { return F32FromF16(c); }
  static u16 Finish(float sum, u16) { return F16FromF32(sum); }
};
struct ToS32 {
  using Type = u32;
  static float Start(u32) { return 0; }
  static u32 Finish(float sum, u32 c) { return c + static_cast<u32>(static_cast<int32_t>(sum)); }
};

// Fragment of an operand: lane 4*(row%8) + t has in register kGroups*block + row/8 the elements
// k = block*4e + t*e + i. Writes [k][row] for B (kGroups = 1), [row][k] for A.
template <class T, int kGroups, int kK, class F>
void Gather(const u32* registers, u32 l, F put) {
  constexpr int e = 32 / T::kBits;
  for (int block = 0; block < kK / (4 * e); ++block) {
    for (int group = 0; group < kGroups; ++group) {
      const u32 w = registers[kGroups * block + group];
      for (int i = 0; i < e; ++i)
        put(int(l) / 4 + 8 * group, block * 4 * e + int(l) % 4 * e + i, T::Get(w, i));
    }
  }
}

template <int kM, int kK, class C, class A, class B>
void Multiply(const Lanes& lanes) {
  constexpr int kGroups = kM / 8;
  using Element = typename C::Type;
  float a[kM][kK];
  alignas(16) float b[kK][8], d[kM][8];
  for (u32 l = 0; l < 32; ++l) {
    const Lane& lane = lanes.As<Lane>(l);
    Gather<A, kGroups, kK>(lane.a, l, [&](int row, int k, float v) { a[row][k] = v; });
    Gather<B, 1, kK>(lane.b, l, [&](int row, int k, float v) { b[k][row] = v; });
    const Element* c = static_cast<const Element*>(lane.c);
    for (int i = 0; i < 2 * kGroups; ++i)
      d[l / 4 + 8 * (i / 2)][l % 4 * 2 + i % 2] = C::Start(c[i]);
  }
  typedef float Row __attribute__((vector_size(16)));
  for (int m = 0; m < kM; ++m) {
    Row* sum = reinterpret_cast<Row*>(d[m]);
    Row low = sum[0], high = sum[1];
    for (int k = 0; k < kK; ++k) {
      const Row* column = reinterpret_cast<const Row*>(b[k]);
      low += a[m][k] * column[0];
      high += a[m][k] * column[1];
    }
    sum[0] = low, sum[1] = high;
  }
  for (u32 l = 0; l < 32; ++l) {
    const Lane& lane = lanes.As<Lane>(l);
    const Element* c = static_cast<const Element*>(lane.c);
    Element* out = static_cast<Element*>(lane.d);
    for (int i = 0; i < 2 * kGroups; ++i)
      out[i] = C::Finish(d[l / 4 + 8 * (i / 2)][l % 4 * 2 + i % 2], c[i]);
  }
}

// One element of A and B to a lane; a chain of fused multiply-adds over k.
void MultiplyF64(const Lanes& lanes) {
  double a[8][4], b[4][8];
  for (u32 l = 0; l < 32; ++l) {
    const Lane& lane = lanes.As<Lane>(l);
    a[l / 4][l % 4] = *reinterpret_cast<const double*>(lane.a);
    b[l % 4][l / 4] = *reinterpret_cast<const double*>(lane.b);
  }
  for (u32 l = 0; l < 32; ++l) {
    const Lane& lane = lanes.As<Lane>(l);
    for (u32 i = 0; i < 2; ++i) {
      double sum = static_cast<const double*>(lane.c)[i];
      for (u32 k = 0; k < 4; ++k) sum = std::fma(a[l / 4][k], b[k][l % 4 * 2 + i], sum);
      static_cast<double*>(lane.d)[i] = sum;
    }
  }
}

void Collect(const char* name, Lane lane, void (*execute)(const Lanes&)) {
  CollectLanes(name, ~u32{0}, &lane, execute, ExitedLanes::kError);
}

}  // namespace
}  // namespace tilescale::sim

namespace ts::ptx {
namespace sim = tilescale::sim;

#define TS_MMA_BODY(name, C, ...)                                 \
  void mma_##name(C* d, const u32* a, const u32* b, const C* c) { \
    TS_SIM_ENTER();                                               \
    sim::Collect("mma.sync " #name, {d, a, b, c}, __VA_ARGS__);   \
  }
// Shape m<M>n8k<K>, accumulator type and its sum, operand types with the names of their elements.
#define TS_MMA(M, K, C, Type, Sum, A, B, ElementA, ElementB) \
  TS_MMA_BODY(m##M##n8k##K##_##C##_##A##_##B, Type,          \
              sim::Multiply<M, K, sim::Sum, sim::ElementA, sim::ElementB>)
TS_MMA(16, 16, f32, float, ToF32, f16, f16, F16, F16)
TS_MMA(16, 8, f32, float, ToF32, f16, f16, F16, F16)
TS_MMA(16, 16, f32, float, ToF32, bf16, bf16, Bf16, Bf16)
TS_MMA(16, 8, f32, float, ToF32, bf16, bf16, Bf16, Bf16)
TS_MMA(16, 8, f32, float, ToF32, tf32, tf32, Tf32, Tf32)
TS_MMA(16, 4, f32, float, ToF32, tf32, tf32, Tf32, Tf32)
TS_MMA(16, 16, f16, f16, ToF16, f16, f16, F16, F16)
TS_MMA(16, 8, f16, f16, ToF16, f16, f16, F16, F16)
TS_MMA_BODY(m8n8k4_f64_f64_f64, double, sim::MultiplyF64)

#define TS_MMA_INT8(a, b, A, B)               \
  TS_MMA(16, 32, s32, i32, ToS32, a, b, A, B) \
  TS_MMA(16, 16, s32, i32, ToS32, a, b, A, B) \
  TS_MMA(8, 16, s32, i32, ToS32, a, b, A, B)
TS_MMA_INT8(s8, s8, S8, S8)
TS_MMA_INT8(s8, u8, S8, U8)
TS_MMA_INT8(u8, s8, U8, S8)
TS_MMA_INT8(u8, u8, U8, U8)

#define TS_MMA_INT4(a, b, A, B)               \
  TS_MMA(16, 64, s32, i32, ToS32, a, b, A, B) \
  TS_MMA(16, 32, s32, i32, ToS32, a, b, A, B) \
  TS_MMA(8, 32, s32, i32, ToS32, a, b, A, B)
TS_MMA_INT4(s4, s4, S4, S4)
TS_MMA_INT4(s4, u4, S4, U4)
TS_MMA_INT4(u4, s4, U4, S4)
TS_MMA_INT4(u4, u4, U4, U4)

#define TS_MMA_FP8(a, b, A, B)                                      \
  TS_MMA(16, 32, f32, float, ToF32, a, b, Fp8<sim::A>, Fp8<sim::B>) \
  TS_MMA(16, 32, f16, f16, ToF16, a, b, Fp8<sim::A>, Fp8<sim::B>)
TS_MMA_FP8(e4m3, e4m3, E4m3, E4m3)
TS_MMA_FP8(e4m3, e5m2, E4m3, E5m2)
TS_MMA_FP8(e5m2, e4m3, E5m2, E4m3)
TS_MMA_FP8(e5m2, e5m2, E5m2, E5m2)
#undef TS_MMA
#undef TS_MMA_BODY
#undef TS_MMA_INT8
#undef TS_MMA_INT4
#undef TS_MMA_FP8

}  // namespace ts::ptx
