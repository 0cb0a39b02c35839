// SPDX-License-Identifier: MIT
// Simulator twin: bulk asynchronous copies (the TMA engine without a tensor map).
#pragma once

#include <tilescale/ptx/config.cuh>
#include <tilescale/ptx/mbarrier.cuh>

TS_SIM_API void ts_sim_bulk_load(void* smem, const void* gmem, ts_u32 bytes, ts::mbar* bar);
TS_SIM_API void ts_sim_bulk_store(void* gmem, const void* smem, ts_u32 bytes);
TS_SIM_API void ts_sim_bulk_commit();
TS_SIM_API void ts_sim_bulk_wait(ts_u32 groups, int read);

namespace ts::ptx {
TS_DEVICE void bulk_load(void* smem, const void* gmem, u32 bytes, mbar* bar) {
  ts_sim_bulk_load(smem, gmem, bytes, bar);
}
TS_DEVICE void bulk_store(void* gmem, const void* smem, u32 bytes) {
  ts_sim_bulk_store(gmem, smem, bytes);
}
TS_DEVICE void bulk_commit() {
  ts_sim_bulk_commit();
}
template <int kGroups>
TS_DEVICE void bulk_wait() {
  ts_sim_bulk_wait(kGroups, 0);
}
template <int kGroups>
TS_DEVICE void bulk_wait_read() {
  ts_sim_bulk_wait(kGroups, 1);
}
}  // namespace ts::ptx
