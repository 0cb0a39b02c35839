// SPDX-License-Identifier: MIT
// Simulator twin: ts::cast<To>(x), every conversion between scalar types, each with one rounding.
// The rules are in the device header.
#pragma once
#include <tilescale/numeric/types.cuh>
#include <tilescale/ptx/fp8.cuh>

// To float, rounded toward zero with the last bit set if inexact. Bodies: sim/ptx/convert.cc.
TS_SIM_API float ts_sim_f32_from_f64_odd(double x) TS_CONST_FN;
TS_SIM_API float ts_sim_f32_from_i64_odd(ts_i64 x) TS_CONST_FN;
TS_SIM_API float ts_sim_f32_from_u64_odd(ts_u64 x) TS_CONST_FN;

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

// Wider types reach a small format through a float rounded to odd, which makes the second rounding
// the only one.
TS_DEVICE float odd_f32(float x) {
  return x;
}
TS_DEVICE float odd_f32(double x) {
  return ts_sim_f32_from_f64_odd(x);
}
template <class T>
TS_DEVICE float odd_f32(T x) {
  if constexpr (sizeof(T) < 4)
    return (float)x;
  else if constexpr ((T)-1 < (T)0)
    return ts_sim_f32_from_i64_odd(x);
  else
    return ts_sim_f32_from_u64_odd(x);
}

// Toward zero, saturating as the machine does; in C++ such a value is undefined. The bounds are
// powers of two, so they are exact as floats. A NaN is 0 from float to 32 bits, else the highest
// bit alone.
template <class To, class From>
TS_DEVICE To truncate(From x) {
  constexpr bool is_signed = (To)-1 < (To)0;
  constexpr To top = is_signed ? (To)(((To)1 << (sizeof(To) * 8 - 2)) - 1) * 2 + 1 : (To)-1;
  constexpr From bound = (From)((u64)1 << (sizeof(To) * 8 - 1)) * (is_signed ? 1 : 2);
  if (x >= bound) return top;
  if (x > (is_signed ? -bound : (From)-1)) return (To)x;
  if (x != x && sizeof(To) == 4 && sizeof(From) == 4) return 0;
  return is_signed || x != x ? (To)((To)1 << (sizeof(To) * 8 - 1)) : 0;
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
    return detail::truncate<To>(x);
  else
    return (To)x;
}

// Element by element. Both vectors are at most 16 bytes.
template <class To, int N, class From>
TS_DEVICE vec<To, N> cast_vec(vec<From, N> x) {
  vec<To, N> r;
  for (int i = 0; i < N; ++i) r[i] = cast<To>(x[i]);
  return r;
}

}  // namespace ts
