// SPDX-License-Identifier: MIT
// Simulator twin: puts that return before the data has moved; `quiet` waits for all of a thread's.
#pragma once

#include <tilescale/ptx/config.cuh>

TS_SIM_API void ts_sim_put_nbi(void* to, const void* from, ts_u32 bytes);
TS_SIM_API void ts_sim_quiet();

namespace ts::ptx {
constexpr bool kNbiDelays = true;
TS_DEVICE void put_nbi(void* to, const void* from, u32 bytes) {
  ts_sim_put_nbi(to, from, bytes);
}
TS_DEVICE void quiet() {
  ts_sim_quiet();
}
}  // namespace ts::ptx
