// SPDX-License-Identifier: MIT
// Simulator twin: records of threads that wait, and their end by the host's word. Host memory, so
// only the library touches it.
#pragma once

#include <tilescale/ptx/config.cuh>

namespace ts {
struct WaitRecord {
  u64 ticket;
  u64 address, seen, expected;
  u32 is_signed;
  u32 block[3], thread, line;
  u64 what[3], file[12];
};
struct WatchTable {
  const u32* abort;
  WaitRecord* records;
  u32 count;
  u32 unused;
};
}  // namespace ts

TS_SIM_API ts::WaitRecord* ts_sim_watch_begin(const ts::WatchTable* table, ts_u64* ticket);
TS_SIM_API void ts_sim_watch_store(void* p, ts_u64 value, ts_u32 bytes);
TS_SIM_API void ts_sim_watch_end(ts::WaitRecord* record, ts_u64 ticket);
TS_SIM_API bool ts_sim_watch_aborted(const ts::WatchTable* table);
TS_SIM_API void ts_sim_exit();

// Only a text that is watched has it, once; a program of the library has none.
#ifdef TS_WATCHDOG
TS_SIM_API ts::WatchTable ts_watch;
ts::WatchTable ts_watch = {};

namespace ts::ptx {
// A thread that polls is asked again only when something has changed.
constexpr u32 kWatchEvery = 1;

TS_DEVICE WaitRecord* watch_begin(u64* ticket) {
  return ts_sim_watch_begin(&ts_watch, ticket);
}
TS_DEVICE void watch_store(u64* p, u64 value) {
  ts_sim_watch_store(p, value, 8);
}
TS_DEVICE void watch_store(u32* p, u32 value) {
  ts_sim_watch_store(p, value, 4);
}
TS_DEVICE void watch_publish(WaitRecord* record, u64 ticket) {
  ts_sim_watch_store(&record->ticket, ticket, 8);
}
TS_DEVICE void watch_end(WaitRecord* record, u64 ticket) {
  ts_sim_watch_end(record, ticket);
}
TS_DEVICE bool watch_aborted() {
  return ts_sim_watch_aborted(&ts_watch);
}
TS_DEVICE void exit_thread() {
  ts_sim_exit();
}
}  // namespace ts::ptx
#endif
