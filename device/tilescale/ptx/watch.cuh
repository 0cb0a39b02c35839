// SPDX-License-Identifier: MIT
// What the host sees of threads that wait, and how it ends them: TILESCALE_WATCHDOG. Included by
// need: text that does not define TS_WATCHDOG has none of it.
#pragma once
#include <tilescale/ptx/config.cuh>

namespace ts {

// One thread that has waited for some time; runtime/watchdog.h. Memory of the host.
struct WaitRecord {
  u64 ticket;  // 0: free. Written last, and first when the wait ends
  u64 address, seen, expected;
  u32 is_signed;
  u32 block[3], thread, line;
  u64 what[3], file[12];  // texts
};

// The host fills it in after loading a module that has it.
struct WatchTable {
  const u32* abort;  // not 0: threads that wait shall end
  WaitRecord* records;
  u32 count;
  u32 unused;
};

}  // namespace ts

// Definitions with visible names: the host looks them up in the module.
extern "C" {
__constant__ ts::WatchTable ts_watch;
__device__ ts::u32 ts_watch_tickets;
}

namespace ts {
namespace ptx {

// A wait looks after the host each so many turns of its loop: of about a microsecond.
constexpr u32 kWatchEvery = 1024;

// The record of the next ticket, which is not 0; null where nobody watches. One thread.
TS_DEVICE WaitRecord* watch_begin(u64* ticket) {
  if (ts_watch.records == nullptr) return nullptr;
  const u32 n = atomicAdd(&ts_watch_tickets, 1u);
  *ticket = (u64)n + 1;
  return ts_watch.records + n % ts_watch.count;
}
// Volatile: relaxed at system scope.
TS_DEVICE void watch_store(u64* p, u64 value) {
  *(volatile u64*)p = value;
}
TS_DEVICE void watch_store(u32* p, u32 value) {
  *(volatile u32*)p = value;
}
// The fields of the record are there for whoever sees its ticket.
TS_DEVICE void watch_publish(WaitRecord* record, u64 ticket) {
  __threadfence_system();
  watch_store(&record->ticket, ticket);
}
// Frees the record, unless a later wait has taken it.
TS_DEVICE void watch_end(WaitRecord* record, u64 ticket) {
  if (*(volatile u64*)&record->ticket == ticket) watch_store(&record->ticket, 0);
}
TS_DEVICE bool watch_aborted() {
  return ts_watch.abort != nullptr && *(const volatile u32*)ts_watch.abort != 0;
}
// Ends the thread; barriers of its block no longer wait for it. PTX "exit".
TS_DEVICE void exit_thread() {
  asm volatile("exit;");
}

}  // namespace ptx
}  // namespace ts
