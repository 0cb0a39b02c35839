// SPDX-License-Identifier: MIT
// Simulator twin: barriers of a CTA and of a warp.
#pragma once

#include <tilescale/ptx/config.cuh>

TS_SIM_API void ts_sim_bar_sync(ts_u32 id, ts_u32 count);
TS_SIM_API void ts_sim_bar_arrive(ts_u32 id, ts_u32 count);
TS_SIM_API int ts_sim_bar_red(ts_u32 id, ts_u32 count, int pred, int op);
TS_SIM_API void ts_sim_warp_sync(ts_u32 mask);

namespace ts {
// Barriers; a count of 0 means all threads of the CTA.
TS_DEVICE void cta_sync() {
  ts_sim_bar_sync(0, 0);
}
TS_DEVICE void bar_sync(u32 id, u32 count) {
  ts_sim_bar_sync(id, count);
}
TS_DEVICE void bar_arrive(u32 id, u32 count) {
  ts_sim_bar_arrive(id, count);
}
TS_DEVICE bool cta_sync_and(bool pred) {
  return ts_sim_bar_red(0, 0, pred, 0) != 0;
}
TS_DEVICE bool cta_sync_or(bool pred) {
  return ts_sim_bar_red(0, 0, pred, 1) != 0;
}
TS_DEVICE int cta_sync_count(bool pred) {
  return ts_sim_bar_red(0, 0, pred, 2);
}
TS_DEVICE void warp_sync(u32 mask = 0xffffffffu) {
  ts_sim_warp_sync(mask);
}
}  // namespace ts
