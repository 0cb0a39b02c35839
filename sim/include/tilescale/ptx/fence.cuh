// SPDX-License-Identifier: MIT
// Simulator twin: fences.
#pragma once

#include <tilescale/ptx/config.cuh>

TS_SIM_API void ts_sim_fence(int scope, int sequential);
TS_SIM_API void ts_sim_fence_proxy_async();
TS_SIM_API void ts_sim_fence_mbarrier_init();

namespace ts::ptx {
using ts::Scope;
TS_DEVICE void fence_proxy_async() {
  ts_sim_fence_proxy_async();
}
// Narrower than fence_proxy_async on the device; here the same, which orders more.
TS_DEVICE void fence_proxy_async_shared() {
  ts_sim_fence_proxy_async();
}
TS_DEVICE void fence_mbarrier_init() {
  ts_sim_fence_mbarrier_init();
}
template <Scope kScope>
TS_DEVICE void fence_acq_rel() {
  ts_sim_fence((int)kScope, 0);
}
template <Scope kScope>
TS_DEVICE void fence_sc() {
  ts_sim_fence((int)kScope, 1);
}
}  // namespace ts::ptx
