// SPDX-License-Identifier: MIT
// Simulator twin: loads and stores with an order and a scope.
#pragma once

#include <tilescale/numeric/types.cuh>
#include <tilescale/ptx/config.cuh>

// Fails unless `p` is a multiple of `bytes`.
TS_SIM_API void ts_sim_check_place(const void* p, ts_u32 bytes);
TS_SIM_API ts_u64 ts_sim_ld(const void* p, ts_u32 bytes, int sem, int scope);
TS_SIM_API void ts_sim_st(void* p, ts_u32 bytes, ts_u64 bits, int sem, int scope);

namespace ts::detail {
// 16 bytes are two words, accessed in no order: here the second comes first. Their place must suit
// the whole.
struct Pair {
  u64 first, second;
};
}  // namespace ts::detail

namespace ts::ptx {
using ts::Scope;
using ts::Sem;
template <Sem kSem, Scope kScope, class T>
TS_DEVICE T ld(const T* p) {
  if constexpr (sizeof(T) == 16) {
    ts_sim_check_place(p, 16);
    detail::Pair r;
    r.second = ts_sim_ld((const ts_u64*)p + 1, 8, (int)kSem, (int)kScope);
    r.first = ts_sim_ld((const void*)p, 8, (int)kSem, (int)kScope);
    return bits<T>(r);
  } else
    return detail::from_bits<T>(ts_sim_ld((const void*)p, sizeof(T), (int)kSem, (int)kScope));
}
template <Sem kSem, Scope kScope, class T, class V>
TS_DEVICE void st(T* p, V v) {
  if constexpr (sizeof(T) == 16) {
    ts_sim_check_place(p, 16);
    const auto r = bits<detail::Pair>((T)v);
    ts_sim_st((ts_u64*)p + 1, 8, r.second, (int)kSem, (int)kScope);
    ts_sim_st((void*)p, 8, r.first, (int)kSem, (int)kScope);
  } else
    ts_sim_st((void*)p, sizeof(T), detail::to_bits((T)v), (int)kSem, (int)kScope);
}
// Neighbours.
template <Sem kSem, Scope kScope, class T, int N>
TS_DEVICE void st(T* p, ts::vec<T, N> v) {
  st<kSem, kScope, ts::vec<T, N>, ts::vec<T, N>>((ts::vec<T, N>*)p, v);
}
template <Sem kSem, Scope kScope, class T>
TS_DEVICE auto ld_v2(const T* p) {
  return ld<kSem, kScope>((const ts::vec<T, 2>*)p);
}
template <Sem kSem, Scope kScope, class T>
TS_DEVICE auto ld_v4(const T* p) {
  return ld<kSem, kScope>((const ts::vec<T, 4>*)p);
}
template <Sem kSem, Scope kScope, class T>
TS_DEVICE auto ld_v8(const T* p) {
  return ld<kSem, kScope>((const ts::vec<T, 8>*)p);
}
template <Sem kSem, Scope kScope, class T>
TS_DEVICE auto ld_v16(const T* p) {
  return ld<kSem, kScope>((const ts::vec<T, 16>*)p);
}
// Through the read-only path: the data must not change while the kernel runs.
template <class T>
TS_DEVICE T ld_nc(const T* p) {
  return *p;
}
}  // namespace ts::ptx
