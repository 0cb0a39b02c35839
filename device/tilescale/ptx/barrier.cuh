// SPDX-License-Identifier: MIT
// CTA and warp barriers (PTX "Parallel Synchronization and Communication Instructions: bar,
// barrier").
#pragma once
#include <tilescale/ptx/config.cuh>

namespace ts {

// All threads of the CTA that have not exited; orders their shared and global accesses. Barrier 0.
TS_DEVICE void cta_sync() {
  __syncthreads();
}
// As cta_sync; returns to every thread whether all / any / how many preds were true.
TS_DEVICE bool cta_sync_and(bool pred) {
  return __syncthreads_and(pred);
}
TS_DEVICE bool cta_sync_or(bool pred) {
  return __syncthreads_or(pred);
}
TS_DEVICE int cta_sync_count(bool pred) {
  return __syncthreads_count(pred);
}

// Named barrier, id 0..15. Converged warps; `count` threads (a multiple of 32) take part, those
// that arrive without waiting included. Orders the memory accesses of the participants before with
// those after.
TS_DEVICE void bar_sync(int id, int count) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(count) : "memory");
}
// As bar_sync, but does not wait: orders what this thread did before it, and nothing after it.
TS_DEVICE void bar_arrive(int id, int count) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(count) : "memory");
}
// The lanes of `mask`, which includes the caller; orders their memory accesses (PTX
// "bar.warp.sync").
TS_DEVICE void warp_sync(u32 mask = 0xffffffffu) {
  __syncwarp(mask);
}

}  // namespace ts
