// SPDX-License-Identifier: MIT
// Records of threads that wait: twins of ptx/watch.cuh. Their memory is the host's, which other
// threads of it read and write while kernels run.
#include "sim/collective.h"
#include "sim/core.h"

#include <atomic>
#include <tilescale/ptx/watch.cuh>

namespace sim = tilescale::sim;

ts::WaitRecord* ts_sim_watch_begin(const ts::WatchTable* table, ts_u64* ticket) {
  static std::atomic<ts_u64> tickets{0};
  if (table->records == nullptr) return nullptr;
  const ts_u64 n = tickets++;
  *ticket = n + 1;
  return table->records + n % table->count;
}

void ts_sim_watch_store(void* p, ts_u64 value, ts_u32 bytes) {
  if (bytes == 8) {
    std::atomic_ref(*static_cast<ts_u64*>(p)).store(value);
  } else {
    std::atomic_ref(*static_cast<ts_u32*>(p)).store(static_cast<ts_u32>(value));
  }
}

void ts_sim_watch_end(ts::WaitRecord* record, ts_u64 ticket) {
  std::atomic_ref(record->ticket).compare_exchange_strong(ticket, 0);
}

bool ts_sim_watch_aborted(const ts::WatchTable* table) {
  return table->abort != nullptr && std::atomic_ref(*const_cast<ts_u32*>(table->abort)).load() != 0;
}

void ts_sim_exit() {
  TS_SIM_ENTER();
  sim::EndFiber(*sim::current);
}
