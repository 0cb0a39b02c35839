// SPDX-License-Identifier: MIT
// Simulator twin: arithmetic of f16 and bf16.
#pragma once
#include <tilescale/numeric/types.cuh>
#include <tilescale/ptx/half.cuh>

namespace ts {

#define TS_HALF(T)                                                                        \
  TS_DEVICE T operator+(T a, T b) {                                                       \
    return {ptx::T##_add(a.x, b.x)};                                                      \
  }                                                                                       \
  TS_DEVICE T operator-(T a, T b) {                                                       \
    return {ptx::T##_sub(a.x, b.x)};                                                      \
  }                                                                                       \
  TS_DEVICE T operator*(T a, T b) {                                                       \
    return {ptx::T##_mul(a.x, b.x)};                                                      \
  }                                                                                       \
  TS_DEVICE T operator/(T a, T b) {                                                       \
    return {ptx::T##_from_f32(ptx::T##_to_f32(a.x) / ptx::T##_to_f32(b.x))};              \
  }                                                                                       \
  TS_DEVICE T operator-(T a) {                                                            \
    return {(u16)(a.x ^ 0x8000)};                                                         \
  }                                                                                       \
  TS_DEVICE T operator+(T a) {                                                            \
    return a;                                                                             \
  }                                                                                       \
  TS_DEVICE T& operator+=(T& a, T b) {                                                    \
    return a = a + b;                                                                     \
  }                                                                                       \
  TS_DEVICE T& operator-=(T& a, T b) {                                                    \
    return a = a - b;                                                                     \
  }                                                                                       \
  TS_DEVICE T& operator*=(T& a, T b) {                                                    \
    return a = a * b;                                                                     \
  }                                                                                       \
  TS_DEVICE T& operator/=(T& a, T b) {                                                    \
    return a = a / b;                                                                     \
  }                                                                                       \
  TS_DEVICE bool operator==(T a, T b) {                                                   \
    return ptx::T##_to_f32(a.x) == ptx::T##_to_f32(b.x);                                  \
  }                                                                                       \
  TS_DEVICE bool operator!=(T a, T b) {                                                   \
    return ptx::T##_to_f32(a.x) != ptx::T##_to_f32(b.x);                                  \
  }                                                                                       \
  TS_DEVICE bool operator<(T a, T b) {                                                    \
    return ptx::T##_to_f32(a.x) < ptx::T##_to_f32(b.x);                                   \
  }                                                                                       \
  TS_DEVICE bool operator<=(T a, T b) {                                                   \
    return ptx::T##_to_f32(a.x) <= ptx::T##_to_f32(b.x);                                  \
  }                                                                                       \
  TS_DEVICE bool operator>(T a, T b) {                                                    \
    return ptx::T##_to_f32(a.x) > ptx::T##_to_f32(b.x);                                   \
  }                                                                                       \
  TS_DEVICE bool operator>=(T a, T b) {                                                   \
    return ptx::T##_to_f32(a.x) >= ptx::T##_to_f32(b.x);                                  \
  }                                                                                       \
  TS_DEVICE T fma(T a, T b, T c) {                                                        \
    return {ptx::T##_fma(a.x, b.x, c.x)};                                                 \
  }                                                                                       \
  /* A NaN operand is ignored; -0 is less than +0. The second pair returns it instead. */ \
  TS_DEVICE T min(T a, T b) {                                                             \
    return {ptx::T##_min(a.x, b.x)};                                                      \
  }                                                                                       \
  TS_DEVICE T max(T a, T b) {                                                             \
    return {ptx::T##_max(a.x, b.x)};                                                      \
  }                                                                                       \
  TS_DEVICE T min_nan(T a, T b) {                                                         \
    return {ptx::T##_min_nan(a.x, b.x)};                                                  \
  }                                                                                       \
  TS_DEVICE T max_nan(T a, T b) {                                                         \
    return {ptx::T##_max_nan(a.x, b.x)};                                                  \
  }                                                                                       \
  TS_DEVICE T abs(T a) {                                                                  \
    return {(u16)(a.x & 0x7fff)};                                                         \
  }                                                                                       \
  TS_DEVICE T fabs(T a) {                                                                 \
    return abs(a);                                                                        \
  }                                                                                       \
  /* Both elements by one instruction. */                                                 \
  TS_DEVICE vec<T, 2> add2(vec<T, 2> a, vec<T, 2> b) {                                    \
    a.word = ptx::T##x2_add(a.word, b.word);                                              \
    return a;                                                                             \
  }                                                                                       \
  TS_DEVICE vec<T, 2> sub2(vec<T, 2> a, vec<T, 2> b) {                                    \
    a.word = ptx::T##x2_sub(a.word, b.word);                                              \
    return a;                                                                             \
  }                                                                                       \
  TS_DEVICE vec<T, 2> mul2(vec<T, 2> a, vec<T, 2> b) {                                    \
    a.word = ptx::T##x2_mul(a.word, b.word);                                              \
    return a;                                                                             \
  }                                                                                       \
  TS_DEVICE vec<T, 2> fma2(vec<T, 2> a, vec<T, 2> b, vec<T, 2> c) {                       \
    a.word = ptx::T##x2_fma(a.word, b.word, c.word);                                      \
    return a;                                                                             \
  }                                                                                       \
  TS_DEVICE vec<T, 2> min2(vec<T, 2> a, vec<T, 2> b) {                                    \
    a.word = ptx::T##x2_min(a.word, b.word);                                              \
    return a;                                                                             \
  }                                                                                       \
  TS_DEVICE vec<T, 2> max2(vec<T, 2> a, vec<T, 2> b) {                                    \
    a.word = ptx::T##x2_max(a.word, b.word);                                              \
    return a;                                                                             \
  }
TS_HALF(f16)
TS_HALF(bf16)
#undef TS_HALF

}  // namespace ts
