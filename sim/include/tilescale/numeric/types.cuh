// SPDX-License-Identifier: MIT
// Simulator twin: storage types of the floating formats that C++ lacks, and vectors.
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

namespace detail {
template <int Bytes>
struct VecStorage;
template <>
struct VecStorage<1> {
  typedef u8 Type;
};
template <>
struct VecStorage<2> {
  typedef u16 Type;
};
template <>
struct VecStorage<4> {
  typedef u32 Type;
};
template <>
struct VecStorage<8> {
  typedef u64 Type;
};
template <>
struct VecStorage<16> {
  typedef u64 Type __attribute__((vector_size(16)));
};
}  // namespace detail

// The elements lie in one register-sized word which alone is copied: a load or a store of a vec is
// one access, one callback, with the alignment of the whole. A plain array would be copied element
// by element.
template <class T, int N>
struct alignas(sizeof(T) * N) vec {
  static_assert(sizeof(T) * N <= 16 && (N & (N - 1)) == 0, "a vec has 1, 2, 4, 8 or 16 bytes");
  typename detail::VecStorage<sizeof(T) * N>::Type word;
  vec() = default;
  TS_METHOD vec(const vec& other) : word(other.word) {}
  template <class... Rest>
  TS_METHOD vec(T first, T second, Rest... rest) {
    const T all[] = {first, second, (T)rest...};
    static_assert(sizeof(all) == sizeof(word), "a vec takes all its elements");
    for (int i = 0; i < N; ++i) (*this)[i] = all[i];
  }
  TS_METHOD vec& operator=(const vec& other) {
    word = other.word;
    return *this;
  }
  TS_METHOD T& operator[](int i) { return ((T*)&word)[i]; }
  TS_METHOD const T& operator[](int i) const { return ((const T*)&word)[i]; }
};

namespace detail {
template <class T>
TS_DEVICE u32 word(vec<T, 2> x) {
  return x.word;
}
template <class T, class Word>
TS_DEVICE vec<T, 2> as_pair(Word word) {
  vec<T, 2> r;
  r.word = word;
  return r;
}
}  // namespace detail

}  // namespace ts
