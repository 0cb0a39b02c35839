// SPDX-License-Identifier: MIT
// ts::cast<To>(x): every conversion between scalar types, each with one rounding.
//
//   to a float format    nearest even (tf32: nearest, ties away); f16 and bf16 overflow to
//                        infinity, fp8 saturates to its largest finite value
//   float to integer     toward zero; i32, u32, i64, u64 saturate; NaN is 0 from float to 32
//                        bits, and the highest bit alone from double or to 64 bits; narrower
//                        integers are the low bits of the 32-bit one
//   to bool              x != 0
#pragma once
#include <tilescale/numeric/types.cuh>
#include <tilescale/ptx/convert.cuh>
#include <tilescale/ptx/fp8.cuh>

namespace ts {
namespace detail {

template <class A, class B>
constexpr bool kSame = false;
template <class A>
constexpr bool kSame<A, A> = true;
// Formats that C++ has no conversions for.
template <class T>
constexpr bool kSmall = false;
template <>
constexpr bool kSmall<f16> = true;
template <>
constexpr bool kSmall<bf16> = true;
template <>
constexpr bool kSmall<tf32> = true;
template <>
constexpr bool kSmall<e4m3> = true;
template <>
constexpr bool kSmall<e5m2> = true;
// The integer that a float becomes on its way to a narrower one.
template <bool Signed>
struct Wide {
  typedef i32 Type;
};
template <>
struct Wide<false> {
  typedef u32 Type;
};
template <class T>
constexpr bool kFloat = kSame<T, float> || kSame<T, double>;

TS_DEVICE float widen(f16 x) {
  return ptx::f16_to_f32(x.x);
}
TS_DEVICE float widen(bf16 x) {
  return ptx::bf16_to_f32(x.x);
}
TS_DEVICE float widen(tf32 x) {
  return bits<float>(x.x);
}
TS_DEVICE float widen(e4m3 x) {
  return ptx::f16_to_f32(ptx::e4m3_to_f16(x.x));
}
TS_DEVICE float widen(e5m2 x) {
  return ptx::f16_to_f32(ptx::e5m2_to_f16(x.x));
}

template <class To>
TS_DEVICE To narrow(float x) {
  if constexpr (kSame<To, f16>)
    return {ptx::f16_from_f32(x)};
  else if constexpr (kSame<To, bf16>)
    return {ptx::bf16_from_f32(x)};
  else if constexpr (kSame<To, tf32>)
    return {ptx::tf32_from_f32(x)};
  else if constexpr (kSame<To, e4m3>)
    return {ptx::e4m3_from_f32(x)};
  else
    return {ptx::e5m2_from_f32(x)};
}

// To a float from which a small format is reached with one rounding.
TS_DEVICE float odd_f32(float x) {
  return x;
}
TS_DEVICE float odd_f32(double x) {
  return ptx::f32_from_f64_odd(x);
}
template <class T>
TS_DEVICE float odd_f32(T x) {
  if constexpr (sizeof(T) < 4)
    return (float)x;
  else if constexpr ((T)-1 < (T)0)
    return ptx::f32_from_i64_odd(x);
  else
    return ptx::f32_from_u64_odd(x);
}

}  // namespace detail

template <class To, class From>
TS_DEVICE To cast(From x) {
  if constexpr (detail::kSame<To, From>)
    return x;
  else if constexpr (detail::kSmall<From>)
    return cast<To>(detail::widen(x));
  else if constexpr (detail::kSmall<To>)
    return detail::narrow<To>(detail::odd_f32(x));
  else if constexpr (detail::kFloat<From> && sizeof(To) < 4 && !detail::kSame<To, bool>)
    return (To)cast<typename detail::Wide<((To)-1 < (To)0)>::Type>(x);
  else if constexpr (detail::kFloat<From> && !detail::kFloat<To> && !detail::kSame<To, bool>)
    return ptx::truncate<To>(x);
  else
    return (To)x;
}

namespace detail {

template <class T>
constexpr bool kFp8 = kSame<T, e4m3> || kSame<T, e5m2>;

// Two elements by one instruction, in the bits of both vectors.
template <class To>
TS_DEVICE vec<To, 2> cast_pair(float low, float high) {
  if constexpr (kSame<To, f16>)
    return as_pair<To>(ptx::f16x2_from_f32(low, high));
  else if constexpr (kSame<To, bf16>)
    return as_pair<To>(ptx::bf16x2_from_f32(low, high));
  else if constexpr (kSame<To, e4m3>)
    return as_pair<To>(ptx::e4m3x2_from_f32(low, high));
  else
    return as_pair<To>(ptx::e5m2x2_from_f32(low, high));
}
template <class To>
TS_DEVICE vec<To, 2> cast_pair(f16 low, f16 high) {
  const u32 pair = low.x | (u32)high.x << 16;
  if constexpr (kSame<To, e4m3>)
    return as_pair<To>(ptx::e4m3x2_from_f16x2(pair));
  else
    return as_pair<To>(ptx::e5m2x2_from_f16x2(pair));
}
template <class To>
TS_DEVICE vec<To, 2> cast_pair(e4m3 low, e4m3 high) {
  return as_pair<To>(ptx::e4m3x2_to_f16x2((u16)(low.x | high.x << 8)));
}
template <class To>
TS_DEVICE vec<To, 2> cast_pair(e5m2 low, e5m2 high) {
  return as_pair<To>(ptx::e5m2x2_to_f16x2((u16)(low.x | high.x << 8)));
}

// Whether the machine converts two at once.
template <class To, class From>
constexpr bool kPaired = (kSame<From, float> && (kSame<To, f16> || kSame<To, bf16> || kFp8<To>)) ||
                         (kSame<From, f16> && kFp8<To>) || (kFp8<From> && kSame<To, f16>);

}  // namespace detail

// Element by element, two at a time where the machine has such an instruction. Both vectors are at
// most 16 bytes.
template <class To, int N, class From>
TS_DEVICE vec<To, N> cast_vec(vec<From, N> x) {
  vec<To, N> r;
  if constexpr (detail::kFp8<From> && detail::kSame<To, float> && N % 2 == 0) {
#pragma unroll
    for (int i = 0; i < N; i += 2) {
      const vec<f16, 2> pair = detail::cast_pair<f16>(x[i], x[i + 1]);
      r[i] = cast<float>(pair[0]), r[i + 1] = cast<float>(pair[1]);
    }
  } else if constexpr (detail::kPaired<To, From> && N % 2 == 0) {
#pragma unroll
    for (int i = 0; i < N; i += 2) {
      const vec<To, 2> pair = detail::cast_pair<To>(x[i], x[i + 1]);
      r[i] = pair[0], r[i + 1] = pair[1];
    }
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) r[i] = cast<To>(x[i]);
  }
  return r;
}

}  // namespace ts
