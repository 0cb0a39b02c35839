// SPDX-License-Identifier: MIT
// Simulator twin: loads and stores with an order and a scope.
#pragma once

#include <tilescale/ptx/config.cuh>

TS_SIM_API ts_u64 ts_sim_ld(const void* p, ts_u32 bytes, int sem, int scope);
TS_SIM_API void ts_sim_st(void* p, ts_u32 bytes, ts_u64 bits, int sem, int scope);

namespace ts::ptx {
using ts::Scope;
using ts::Sem;
template <Sem kSem, Scope kScope, class T>
TS_DEVICE T ld(const T* p) {
  static_assert(sizeof(T) <= 8, "strong accesses are of at most 8 bytes");
  return detail::from_bits<T>(ts_sim_ld((const void*)p, sizeof(T), (int)kSem, (int)kScope));
}
template <Sem kSem, Scope kScope, class T, class V>
TS_DEVICE void st(T* p, V v) {
  static_assert(sizeof(T) <= 8, "strong accesses are of at most 8 bytes");
  ts_sim_st((void*)p, sizeof(T), detail::to_bits((T)v), (int)kSem, (int)kScope);
}
// Through the read-only path: the data must not change while the kernel runs.
template <class T>
TS_DEVICE T ld_nc(const T* p) {
  return *p;
}
}  // namespace ts::ptx
