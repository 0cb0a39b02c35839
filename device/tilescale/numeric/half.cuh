// SPDX-License-Identifier: MIT
// Arithmetic of f16 and bf16. One rounding to nearest even for each operation; a quotient is the
// rounded f32 quotient, which gives the same.
#pragma once
#include <tilescale/numeric/types.cuh>
#include <tilescale/ptx/half.cuh>

namespace ts {

#define TS_HALF(T)                                                                                \
  TS_DEVICE T operator+(T a, T b) {                                                               \
    return {ptx::T##_add(a.x, b.x)};                                                              \
  }                                                                                               \
  TS_DEVICE T operator-(T a, T b) {                                                               \
    return {ptx::T##_sub(a.x, b.x)};                                                              \
  }                                                                                               \
  TS_DEVICE T operator*(T a, T b) {                                                               \
    return {ptx::T##_mul(a.x, b.x)};                                                              \
  }                                                                                               \
  TS_DEVICE T operator/(T a, T b) {                                                               \
    return {ptx::T##_from_f32(ptx::T##_to_f32(a.x) / ptx::T##_to_f32(b.x))};                      \
  }                                                                                               \
  TS_DEVICE T operator-(T a) {                                                                    \
    return {(u16)(a.x ^ 0x8000)};                                                                 \
  }                                                                                               \
  TS_DEVICE T operator+(T a) {                                                                    \
    return a;                                                                                     \
  }                                                                                               \
  TS_DEVICE T& operator+=(T& a, T b) {                                                            \
    return a = a + b;                                                                             \
  }                                                                                               \
  TS_DEVICE T& operator-=(T& a, T b) {                                                            \
    return a = a - b;                                                                             \
  }                                                                                               \
  TS_DEVICE T& operator*=(T& a, T b) {                                                            \
    return a = a * b;                                                                             \
  }                                                                                               \
  TS_DEVICE T& operator/=(T& a, T b) {                                                            \
    return a = a / b;                                                                             \
  }                                                                                               \
  TS_DEVICE bool operator==(T a, T b) {                                                           \
    return ptx::T##_to_f32(a.x) == ptx::T##_to_f32(b.x);                                          \
  }                                                                                               \
  TS_DEVICE bool operator!=(T a, T b) {                                                           \
    return ptx::T##_to_f32(a.x) != ptx::T##_to_f32(b.x);                                          \
  }                                                                                               \
  TS_DEVICE bool operator<(T a, T b) {                                                            \
    return ptx::T##_to_f32(a.x) < ptx::T##_to_f32(b.x);                                           \
  }                                                                                               \
  TS_DEVICE bool operator<=(T a, T b) {                                                           \
    return ptx::T##_to_f32(a.x) <= ptx::T##_to_f32(b.x);                                          \
  }                                                                                               \
  TS_DEVICE bool operator>(T a, T b) {                                                            \
    return ptx::T##_to_f32(a.x) > ptx::T##_to_f32(b.x);                                           \
  }                                                                                               \
  TS_DEVICE bool operator>=(T a, T b) {                                                           \
    return ptx::T##_to_f32(a.x) >= ptx::T##_to_f32(b.x);                                          \
  }                                                                                               \
  TS_DEVICE T fma(T a, T b, T c) {                                                                \
    return {ptx::T##_fma(a.x, b.x, c.x)};                                                         \
  }                                                                                               \
  /* A NaN operand is ignored; -0 is less than +0. The second pair returns it instead. */         \
  TS_DEVICE T min(T a, T b) {                                                                     \
    return {ptx::T##_min(a.x, b.x)};                                                              \
  }                                                                                               \
  TS_DEVICE T max(T a, T b) {                                                                     \
    return {ptx::T##_max(a.x, b.x)};                                                              \
  }                                                                                               \
  TS_DEVICE T min_nan(T a, T b) {                                                                 \
    return {ptx::T##_min_nan(a.x, b.x)};                                                          \
  }                                                                                               \
  TS_DEVICE T max_nan(T a, T b) {                                                                 \
    return {ptx::T##_max_nan(a.x, b.x)};                                                          \
  }                                                                                               \
  TS_DEVICE T abs(T a) {                                                                          \
    return {(u16)(a.x & 0x7fff)};                                                                 \
  }                                                                                               \
  TS_DEVICE T fabs(T a) {                                                                         \
    return abs(a);                                                                                \
  }                                                                                               \
  /* Both elements by one instruction. */                                                         \
  TS_DEVICE vec<T, 2> add2(vec<T, 2> a, vec<T, 2> b) {                                            \
    return detail::as_pair<T>(ptx::T##x2_add(detail::word(a), detail::word(b)));                  \
  }                                                                                               \
  TS_DEVICE vec<T, 2> sub2(vec<T, 2> a, vec<T, 2> b) {                                            \
    return detail::as_pair<T>(ptx::T##x2_sub(detail::word(a), detail::word(b)));                  \
  }                                                                                               \
  TS_DEVICE vec<T, 2> mul2(vec<T, 2> a, vec<T, 2> b) {                                            \
    return detail::as_pair<T>(ptx::T##x2_mul(detail::word(a), detail::word(b)));                  \
  }                                                                                               \
  TS_DEVICE vec<T, 2> fma2(vec<T, 2> a, vec<T, 2> b, vec<T, 2> c) {                               \
    return detail::as_pair<T>(ptx::T##x2_fma(detail::word(a), detail::word(b), detail::word(c))); \
  }                                                                                               \
  TS_DEVICE vec<T, 2> min2(vec<T, 2> a, vec<T, 2> b) {                                            \
    return detail::as_pair<T>(ptx::T##x2_min(detail::word(a), detail::word(b)));                  \
  }                                                                                               \
  TS_DEVICE vec<T, 2> max2(vec<T, 2> a, vec<T, 2> b) {                                            \
    return detail::as_pair<T>(ptx::T##x2_max(detail::word(a), detail::word(b)));                  \
  }
TS_HALF(f16)
TS_HALF(bf16)
#undef TS_HALF

}  // namespace ts
