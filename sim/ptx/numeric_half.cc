// SPDX-License-Identifier: MIT
// f16 and bf16 arithmetic on raw bits (twin of ptx/half.cuh). A float has more than twice the
// significand of either plus two bits, so that sum, difference and product of two values, computed
// in float, round to the right value; only fma needs more.
#include "sim/ptx/numeric.h"

#include <cmath>
#include <tilescale/ptx/half.cuh>

namespace tilescale::sim {
namespace {

struct F16 {
  static constexpr u16 kInfinity = 0x7c00;
  static float Widen(u16 x) { return F32FromF16(x); }
  static u16 Narrow(float x) { return F16FromF32(x); }
};
struct Bf16 {
  static constexpr u16 kInfinity = 0x7f80;
  static float Widen(u16 x) { return F32FromBf16(x); }
  static u16 Narrow(float x) { return Bf16FromF32(x); }
};

// The product is exact in double; the sum is rounded to odd, so that the last rounding is the only
// one.
template <class T>
u16 Fma(u16 a, u16 b, u16 c) {
  const double product = double{T::Widen(a)} * T::Widen(b), addend = T::Widen(c);
  double sum = product + addend;
  if (std::isfinite(sum)) {
    const double part = sum - product;
    const double error = (product - (sum - part)) + (addend - part);
    if (error != 0) {
      u64 w = std::bit_cast<u64>(sum);
      if ((error > 0) != (sum > 0)) w -= 1;
      sum = std::bit_cast<double>(w | 1);
    }
  }
  return T::Narrow(OddF32(sum));
}

template <class T>
bool IsNan(u16 x) {
  return (x & 0x7fff) > T::kInfinity;
}

// Order of the values as integers, -0 below +0.
u16 Key(u16 x) {
  return x & 0x8000 ? u16(~x) : u16(x | 0x8000);
}

template <class T>
u16 Select(u16 a, u16 b, bool largest) {
  if (IsNan<T>(a)) return IsNan<T>(b) ? 0x7fff : b;
  if (IsNan<T>(b)) return a;
  return (Key(a) < Key(b)) == largest ? b : a;
}

template <class T>
u16 SelectNan(u16 a, u16 b, bool largest) {
  return IsNan<T>(a) || IsNan<T>(b) ? 0x7fff : Select<T>(a, b, largest);
}

template <class F>
u32 Pair(u32 a, u32 b, F f) {
  return f(u16(a), u16(b)) | u32(f(u16(a >> 16), u16(b >> 16))) << 16;
}

}  // namespace
}  // namespace tilescale::sim

namespace ts::ptx {
namespace sim = tilescale::sim;

#define TS_HALF(name, T)                                                    \
  u16 name##_add(u16 a, u16 b) {                                            \
    return sim::T::Narrow(sim::T::Widen(a) + sim::T::Widen(b));             \
  }                                                                         \
  u16 name##_sub(u16 a, u16 b) {                                            \
    return sim::T::Narrow(sim::T::Widen(a) - sim::T::Widen(b));             \
  }                                                                         \
  u16 name##_mul(u16 a, u16 b) {                                            \
    return sim::T::Narrow(sim::T::Widen(a) * sim::T::Widen(b));             \
  }                                                                         \
  u16 name##_fma(u16 a, u16 b, u16 c) {                                     \
    return sim::Fma<sim::T>(a, b, c);                                       \
  }                                                                         \
  u16 name##_min(u16 a, u16 b) {                                            \
    return sim::Select<sim::T>(a, b, false);                                \
  }                                                                         \
  u16 name##_max(u16 a, u16 b) {                                            \
    return sim::Select<sim::T>(a, b, true);                                 \
  }                                                                         \
  u16 name##_min_nan(u16 a, u16 b) {                                        \
    return sim::SelectNan<sim::T>(a, b, false);                             \
  }                                                                         \
  u16 name##_max_nan(u16 a, u16 b) {                                        \
    return sim::SelectNan<sim::T>(a, b, true);                              \
  }                                                                         \
  u32 name##x2_add(u32 a, u32 b) {                                          \
    return sim::Pair(a, b, name##_add);                                     \
  }                                                                         \
  u32 name##x2_sub(u32 a, u32 b) {                                          \
    return sim::Pair(a, b, name##_sub);                                     \
  }                                                                         \
  u32 name##x2_mul(u32 a, u32 b) {                                          \
    return sim::Pair(a, b, name##_mul);                                     \
  }                                                                         \
  u32 name##x2_min(u32 a, u32 b) {                                          \
    return sim::Pair(a, b, name##_min);                                     \
  }                                                                         \
  u32 name##x2_max(u32 a, u32 b) {                                          \
    return sim::Pair(a, b, name##_max);                                     \
  }                                                                         \
  u32 name##x2_fma(u32 a, u32 b, u32 c) {                                   \
    return name##_fma(u16(a), u16(b), u16(c)) |                             \
           u32(name##_fma(u16(a >> 16), u16(b >> 16), u16(c >> 16))) << 16; \
  }                                                                         \
  u16 name##_from_f32(float a) {                                            \
    return sim::T::Narrow(a);                                               \
  }                                                                         \
  u32 name##x2_from_f32(float low, float high) {                            \
    return sim::T::Narrow(low) | u32(sim::T::Narrow(high)) << 16;           \
  }                                                                         \
  float name##_to_f32(u16 a) {                                              \
    return sim::T::Widen(a);                                                \
  }
TS_HALF(f16, F16)
TS_HALF(bf16, Bf16)
#undef TS_HALF

u32 tf32_from_f32(float a) {
  return sim::Tf32FromF32(a);
}

}  // namespace ts::ptx
