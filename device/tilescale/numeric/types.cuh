// SPDX-License-Identifier: MIT
// Storage types of the floating formats that C++ lacks, and vectors. Aggregates of bits:
// `f16{0x3c00}` is 1.
//   f16   1-5-10    bf16  1-8-7    tf32  1-8-10 in the high bits of a float
//   e4m3  1-4-3, no infinity, NaN = S.1111.111, largest 448      e5m2  1-5-2, IEEE, largest 57344
// Arithmetic: numeric/half.cuh. Conversions: numeric/cast.cuh.
#pragma once
#include <tilescale/ptx/config.cuh>

namespace ts {

struct f16 {
  u16 x;
};
struct bf16 {
  u16 x;
};
struct tf32 {
  u32 x;
};
struct e4m3 {
  u8 x;
};
struct e5m2 {
  u8 x;
};

TS_DEVICE constexpr f16 f16_bits(u16 x) {
  return {x};
}
TS_DEVICE constexpr bf16 bf16_bits(u16 x) {
  return {x};
}

// N elements in at most 16 bytes, loaded and stored by one instruction: *(vec<f16, 8>*)p needs p
// aligned to the vector's size.
template <class T, int N>
struct alignas(sizeof(T) * N) vec {
  static_assert(sizeof(T) * N <= 16 && (N & (N - 1)) == 0, "a vec has 1, 2, 4, 8 or 16 bytes");
  T v[N];
  TS_METHOD T& operator[](int i) { return v[i]; }
  TS_METHOD const T& operator[](int i) const { return v[i]; }
};

// Two elements as the machine's packed instructions take them, and back.
namespace detail {
template <class T>
TS_DEVICE u32 word(vec<T, 2> x) {
  return bits<u32>(x);
}
template <class T, class Word>
TS_DEVICE vec<T, 2> as_pair(Word word) {
  return bits<vec<T, 2>>(word);
}
}  // namespace detail

}  // namespace ts
