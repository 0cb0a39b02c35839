// SPDX-License-Identifier: MIT
// Simulator twin: barriers in shared memory that count arrivals and bytes.
#pragma once

#include <tilescale/ptx/config.cuh>

namespace ts {
struct alignas(8) mbar {
  u64 state;
};
}  // namespace ts

TS_SIM_API void ts_sim_mbar_init(ts::mbar* bar, ts_u32 count);
TS_SIM_API void ts_sim_mbar_inval(ts::mbar* bar);
TS_SIM_API void ts_sim_mbar_arrive(ts::mbar* bar);
TS_SIM_API void ts_sim_mbar_expect_tx(ts::mbar* bar, ts_u32 bytes);
TS_SIM_API void ts_sim_mbar_arrive_expect_tx(ts::mbar* bar, ts_u32 bytes);
TS_SIM_API void ts_sim_mbar_wait(ts::mbar* bar, ts_u32 parity);
TS_SIM_API bool ts_sim_mbar_test(ts::mbar* bar, ts_u32 parity);

namespace ts::ptx {
using ts::mbar;
TS_DEVICE void mbar_init(mbar* bar, u32 count) {
  ts_sim_mbar_init(bar, count);
}
TS_DEVICE void mbar_inval(mbar* bar) {
  ts_sim_mbar_inval(bar);
}
TS_DEVICE void mbar_arrive(mbar* bar) {
  ts_sim_mbar_arrive(bar);
}
TS_DEVICE void mbar_expect_tx(mbar* bar, u32 bytes) {
  ts_sim_mbar_expect_tx(bar, bytes);
}
TS_DEVICE void mbar_arrive_expect_tx(mbar* bar, u32 bytes) {
  ts_sim_mbar_arrive_expect_tx(bar, bytes);
}
TS_DEVICE void mbar_wait(mbar* bar, u32 parity) {
  ts_sim_mbar_wait(bar, parity);
}
TS_DEVICE bool mbar_test(mbar* bar, u32 parity) {
  return ts_sim_mbar_test(bar, parity);
}
}  // namespace ts::ptx
