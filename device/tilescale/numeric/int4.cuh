// SPDX-License-Identifier: MIT
// Integers of four bits, two a byte, the even element in the low half. A single value is an i8 or a
// u8 that holds it; to_i4 and to_u4 take the low four bits of any integer.
#pragma once
#include <tilescale/numeric/cast.cuh>
#include <tilescale/numeric/half.cuh>

namespace ts {

TS_DEVICE i8 to_i4(i32 x) {
  return (i8)((i32)((u32)x << 28) >> 28);
}
TS_DEVICE u8 to_u4(u32 x) {
  return (u8)(x & 15u);
}

// N elements in N / 2 bytes, an even N up to 32.
template <int N>
struct i4vec {
  vec<u8, N / 2> bytes;
  TS_METHOD i8 operator[](int i) const { return to_i4(bytes[i / 2] >> (i % 2 * 4)); }
};
template <int N>
struct u4vec {
  vec<u8, N / 2> bytes;
  TS_METHOD u8 operator[](int i) const { return to_u4(bytes[i / 2] >> (i % 2 * 4)); }
};

namespace detail {

// Both halves of a byte as two numbers of a 16-bit format: the bits of 2^m + n are those of 2^m
// with n put into the low mantissa bits, so that a subtraction leaves n. `flip` turns the halves of
// a signed element, n, into n + 8.
template <class To>
TS_DEVICE vec<To, 2> halves(u32 byte, u32 flip, u32 power, u32 less) {
  const u32 n = ((byte | byte << 12) & 0x000f000fu) ^ flip;
  return sub2(bits<vec<To, 2>>(n | power), bits<vec<To, 2>>(less));
}

template <class To, int N>
TS_DEVICE vec<To, N> widen_4(vec<u8, N / 2> x, bool is_signed) {
  vec<To, N> r;
  const u32 flip = is_signed ? 0x00080008u : 0u;
  const u32 power = kSame<To, f16> ? 0x64006400u : 0x43004300u;  // 1024, 128
  const u32 less = power | flip;
#pragma unroll
  for (int i = 0; i < N; i += 2) {
    const vec<To, 2> pair = halves<To>(x[i / 2], flip, power, less);
    r[i] = pair[0], r[i + 1] = pair[1];
  }
  return r;
}

// The low halves of neighbours as one byte.
template <int N, class From>
TS_DEVICE vec<u8, N / 2> narrow_4(vec<From, N> x) {
  vec<u8, N / 2> r;
#pragma unroll
  for (int i = 0; i < N; i += 2) {
    r[i / 2] = (u8)(to_u4((u32)cast<i32>(x[i])) | to_u4((u32)cast<i32>(x[i + 1])) << 4);
  }
  return r;
}

}  // namespace detail

// Element by element; to f16 and bf16 two at a time.
template <class To, int N>
TS_DEVICE vec<To, N> cast_vec(i4vec<N> x) {
  if constexpr (detail::kSame<To, f16> || detail::kSame<To, bf16>) {
    return detail::widen_4<To, N>(x.bytes, true);
  } else {
    vec<To, N> r;
#pragma unroll
    for (int i = 0; i < N; ++i) r[i] = cast<To>(x[i]);
    return r;
  }
}
template <class To, int N>
TS_DEVICE vec<To, N> cast_vec(u4vec<N> x) {
  if constexpr (detail::kSame<To, f16> || detail::kSame<To, bf16>) {
    return detail::widen_4<To, N>(x.bytes, false);
  } else {
    vec<To, N> r;
#pragma unroll
    for (int i = 0; i < N; ++i) r[i] = cast<To>(x[i]);
    return r;
  }
}
// The low four bits of each element; floats become integers first, toward zero.
template <int N, class From>
TS_DEVICE i4vec<N> cast_i4vec(vec<From, N> x) {
  return {detail::narrow_4<N>(x)};
}
template <int N, class From>
TS_DEVICE u4vec<N> cast_u4vec(vec<From, N> x) {
  return {detail::narrow_4<N>(x)};
}

}  // namespace ts
