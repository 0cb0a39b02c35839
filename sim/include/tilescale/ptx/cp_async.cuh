// SPDX-License-Identifier: MIT
// Simulator twin: asynchronous copies of a thread from global to shared memory.
#pragma once

#include <tilescale/ptx/config.cuh>
#include <tilescale/ptx/mbarrier.cuh>

// `valid` bytes are copied, the rest of `bytes` is zero.
TS_SIM_API void ts_sim_cp_async(void* smem, const void* gmem, ts_u32 bytes, ts_u32 valid);
TS_SIM_API void ts_sim_cp_async_commit();
TS_SIM_API void ts_sim_cp_async_wait(ts_u32 groups);
TS_SIM_API void ts_sim_cp_async_wait_all();
TS_SIM_API void ts_sim_cp_async_mbar_arrive(ts::mbar* bar);

namespace ts::ptx {
template <int kBytes>
TS_DEVICE void cp_async(void* smem, const void* gmem) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16, "cp.async copies 4, 8 or 16 bytes");
  ts_sim_cp_async(smem, gmem, kBytes, kBytes);
}
template <int kBytes>
TS_DEVICE void cp_async_zfill(void* smem, const void* gmem, bool valid) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16, "cp.async copies 4, 8 or 16 bytes");
  ts_sim_cp_async(smem, gmem, kBytes, valid ? kBytes : 0);
}
TS_DEVICE void cp_async_commit() {
  ts_sim_cp_async_commit();
}
template <int kGroups>
TS_DEVICE void cp_async_wait() {
  ts_sim_cp_async_wait(kGroups);
}
TS_DEVICE void cp_async_wait_all() {
  ts_sim_cp_async_wait_all();
}
TS_DEVICE void cp_async_mbar_arrive(mbar* bar) {
  ts_sim_cp_async_mbar_arrive(bar);
}
}  // namespace ts::ptx
