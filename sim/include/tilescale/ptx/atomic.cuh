// SPDX-License-Identifier: MIT
// Simulator twin: atomics. atom_ functions return the previous value, red_ functions nothing.
#pragma once

#include <tilescale/numeric/numeric.cuh>
#include <tilescale/ptx/config.cuh>

TS_SIM_API ts_u64 ts_sim_atom(void* p, ts_u32 bytes, int op, int type, ts_u64 bits, ts_u64 expected,
                              int sem, int scope);
TS_SIM_API void ts_sim_red(void* p, ts_u32 bytes, int op, int type, const void* values,
                           ts_u32 elements, int sem, int scope);

namespace ts::ptx {
using ts::Scope;
using ts::Sem;
namespace detail {
using namespace ts::detail;
enum Op { kAdd, kMin, kMax, kAnd, kOr, kXor, kExch, kCas };
enum Type { kUnsigned, kSigned, kFloat, kHalf, kBfloat };
template <class T>
struct TypeOf {
  static constexpr int value = T(-1) < T(0) ? kSigned : kUnsigned;
};
template <>
struct TypeOf<float> {
  static constexpr int value = kFloat;
};
template <>
struct TypeOf<double> {
  static constexpr int value = kFloat;
};
template <>
struct TypeOf<f16> {
  static constexpr int value = kHalf;
};
template <>
struct TypeOf<bf16> {
  static constexpr int value = kBfloat;
};
template <class T>
struct Same {
  using type = T;
};
template <Sem kSem, Scope kScope, class T>
TS_DEVICE T atom(T* p, T v, int op, T expected = T()) {
  return from_bits<T>(ts_sim_atom((void*)p, sizeof(T), op, TypeOf<T>::value, to_bits(v),
                                  to_bits(expected), (int)kSem, (int)kScope));
}
template <Sem kSem, Scope kScope, class T>
TS_DEVICE void red(T* p, const void* v, int op, u32 elements = 1) {
  ts_sim_red((void*)p, sizeof(T), op, TypeOf<T>::value, v, elements, (int)kSem, (int)kScope);
}
}  // namespace detail

#define TS_SIM_ATOMIC(name, op)                                     \
  template <Sem kSem, Scope kScope, class T>                        \
  TS_DEVICE T atom_##name(T* p, typename detail::Same<T>::type v) { \
    return detail::atom<kSem, kScope, T>(p, v, detail::op);         \
  }
#define TS_SIM_REDUCTION(name, op)                                    \
  template <Sem kSem, Scope kScope, class T>                          \
  TS_DEVICE void red_##name(T* p, typename detail::Same<T>::type v) { \
    detail::red<kSem, kScope, T>(p, &v, detail::op);                  \
  }
TS_SIM_ATOMIC(add, kAdd)
TS_SIM_ATOMIC(min, kMin)
TS_SIM_ATOMIC(max, kMax)
TS_SIM_ATOMIC(and, kAnd)
TS_SIM_ATOMIC(or, kOr)
TS_SIM_ATOMIC(xor, kXor)
TS_SIM_ATOMIC(exch, kExch)
TS_SIM_REDUCTION(add, kAdd)
TS_SIM_REDUCTION(min, kMin)
TS_SIM_REDUCTION(max, kMax)
TS_SIM_REDUCTION(and, kAnd)
TS_SIM_REDUCTION(or, kOr)
TS_SIM_REDUCTION(xor, kXor)
#undef TS_SIM_ATOMIC
#undef TS_SIM_REDUCTION

template <Sem kSem, Scope kScope, class T>
TS_DEVICE T atom_cas(T* p, typename detail::Same<T>::type expected,
                     typename detail::Same<T>::type v) {
  return detail::atom<kSem, kScope, T>(p, v, detail::kCas, expected);
}

// One instruction, each element its own atomic.
#define TS_SIM_VECTOR_RED(name, T, N)                     \
  template <Sem kSem, Scope kScope>                       \
  TS_DEVICE void red_add_##name(T* p, vec<T, N> v) {      \
    detail::red<kSem, kScope, T>(p, &v, detail::kAdd, N); \
  }
TS_SIM_VECTOR_RED(v2_f16, f16, 2)
TS_SIM_VECTOR_RED(v2_bf16, bf16, 2)
TS_SIM_VECTOR_RED(v2_f32, float, 2)
TS_SIM_VECTOR_RED(v4_f32, float, 4)
#undef TS_SIM_VECTOR_RED
}  // namespace ts::ptx
