// SPDX-License-Identifier: MIT
// Simulator twin: timers, sleep, trap, register hints, printing, assertions.
#pragma once

#include <tilescale/ptx/config.cuh>

TS_SIM_API void ts_sim_nanosleep(ts_u32 ns);
TS_SIM_API ts_u64 ts_sim_globaltimer();
TS_SIM_API ts_u64 ts_sim_clock();
TS_SIM_API void ts_sim_trap(const char* message);
TS_SIM_API void ts_sim_print(const char* format, ...);

namespace ts {
template <class... Args>
TS_DEVICE void print(const char* format, Args... args) {
  ts_sim_print(format, args...);
}
TS_DEVICE void device_assert(bool condition, const char* message) {
  if (!condition) ts_sim_trap(message);
}
namespace ptx {
TS_DEVICE void nanosleep(u32 ns) {
  ts_sim_nanosleep(ns);
}
TS_DEVICE u64 globaltimer() {
  return ts_sim_globaltimer();
}
TS_DEVICE u64 clock() {
  return ts_sim_clock();
}
TS_DEVICE void trap() {
  ts_sim_trap(nullptr);
}
// Register allocation is not simulated.
template <int kRegisters>
TS_DEVICE void setmaxnreg_inc() {}
template <int kRegisters>
TS_DEVICE void setmaxnreg_dec() {}
}  // namespace ptx
}  // namespace ts
