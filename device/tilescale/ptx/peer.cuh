// SPDX-License-Identifier: MIT
// Addresses of the symmetric heap on other ranks. One thread; pure. Included by need: the table
// would be in every module otherwise.
#pragma once
#include <tilescale/ptx/config.cuh>

namespace ts {

// The host fills it in after loading a module that has it: the heap's address on each rank as seen
// from this one.
struct HeapTable {
  int rank;
  int num_ranks;
  u64 base[72];
};

}  // namespace ts

// A definition with a visible name: the host looks it up in the module.
extern "C" {
__constant__ ts::HeapTable ts_heap;
}

namespace ts {

TS_DEVICE int rank() {
  return ts_heap.rank;
}
TS_DEVICE int num_ranks() {
  return ts_heap.num_ranks;
}
// The same object of the symmetric heap on another rank.
#ifdef TS_HEAP_DEBUG
// A rank that there is not ends the kernel and is told of on stdout, with the caller's line.
template <class T>
TS_DEVICE T* peer(T* p, int rank, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE()) {
  if ((u32)rank >= (u32)ts_heap.num_ranks) {
    printf("tilescale: %s:%d: rank %d reaches rank %d, and there are ranks 0 to %d\n", file, line,
           ts_heap.rank, rank, ts_heap.num_ranks - 1);
    __trap();
  }
#else
template <class T>
TS_DEVICE T* peer(T* p, int rank) {
#endif
  return (T*)((u64)p - ts_heap.base[ts_heap.rank] + ts_heap.base[rank]);
}

}  // namespace ts
