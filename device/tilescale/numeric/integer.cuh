// SPDX-License-Identifier: MIT
// Functions of integers: the same on the machine and on the simulator, but for the three that
// ptx/bits.cuh counts bits with.
#pragma once
#include <tilescale/ptx/bits.cuh>

namespace ts {

template <class T>
TS_DEVICE T min(T x, T y) {
  return y < x ? y : x;
}
template <class T>
TS_DEVICE T max(T x, T y) {
  return x < y ? y : x;
}
template <class T>
TS_DEVICE T abs(T x) {
  return x < 0 ? -x : x;
}
namespace detail {
// An integer's bits, zeros above.
template <class T>
TS_DEVICE u64 unsigned_bits(T x) {
  return (u64)x & ~0ull >> (64 - 8 * sizeof(T));
}
template <int Bytes>
struct UnsignedOf {
  using Type = u32;
};
template <>
struct UnsignedOf<8> {
  using Type = u64;
};
}  // namespace detail

// Arithmetic of values, which wraps: in C++ that of signed integers may not overflow.
template <class T>
using Unsigned = typename detail::UnsignedOf<sizeof(T)>::Type;
template <class T>
TS_DEVICE T wrapping_add(T x, T y) {
  return (T)((Unsigned<T>)x + (Unsigned<T>)y);
}
template <class T>
TS_DEVICE T wrapping_sub(T x, T y) {
  return (T)((Unsigned<T>)x - (Unsigned<T>)y);
}
template <class T>
TS_DEVICE T wrapping_mul(T x, T y) {
  return (T)((Unsigned<T>)x * (Unsigned<T>)y);
}
template <class T>
TS_DEVICE T wrapping_neg(T x) {
  return (T)(0 - (Unsigned<T>)x);
}
template <class T, class N>
TS_DEVICE T wrapping_shl(T x, N n) {
  return (T)((Unsigned<T>)x << n);
}

// Bits that are one.
template <class T>
TS_DEVICE int popcount(T x) {
  return ptx::popc(detail::unsigned_bits(x));
}
// Zero bits above the highest one; the width of the type for 0.
template <class T>
TS_DEVICE int clz(T x) {
  return ptx::clz(detail::unsigned_bits(x)) - (64 - 8 * (int)sizeof(T));
}
// Number of the lowest one, from 1; 0 if there is none.
template <class T>
TS_DEVICE int ffs(T x) {
  return ptx::ffs(detail::unsigned_bits(x));
}
// Quotient rounded down, and the remainder with the sign of y.
template <class T>
TS_DEVICE T floordiv(T x, T y) {
  const T q = x / y;
  if constexpr ((T)-1 < (T)0) return x % y != 0 && (x ^ y) < 0 ? q - 1 : q;
  return q;
}
template <class T>
TS_DEVICE T floormod(T x, T y) {
  const T r = x % y;
  if constexpr ((T)-1 < (T)0) return r != 0 && (x ^ y) < 0 ? r + y : r;
  return r;
}

}  // namespace ts
