// SPDX-License-Identifier: MIT
// Bulk copies without a tensor map (sm_90): contiguous bytes between global and shared memory by
// the async proxy. PTX "Data Movement and Conversion Instructions: Bulk copy". One thread issues;
// addresses and sizes are multiples of 16. Earlier generic writes of the bytes need
// fence_proxy_async before.
#pragma once
#include <tilescale/ptx/mbarrier.cuh>

namespace ts {
namespace ptx {

#if __CUDA_ARCH__ >= 900
// Global to shared. Completes `bytes` on the phase of bar, which must expect them; whoever waits
// for that phase sees the bytes.
TS_DEVICE void bulk_load(void* smem, const void* gmem, u32 bytes, mbar* bar) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(smem_address(smem)),
      "l"(gmem), "r"(bytes), "r"(smem_address(bar))
      : "memory");
}

// Shared to global, in the thread's current bulk group.
TS_DEVICE void bulk_store(void* gmem, const void* smem, u32 bytes) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(gmem),
               "r"(smem_address(smem)), "r"(bytes)
               : "memory");
}

// Closes the thread's current bulk group. PTX "cp.async.bulk.commit_group".
TS_DEVICE void bulk_commit() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

// Waits until at most N of the thread's bulk groups are pending; their writes are then visible to
// it.
template <int N>
TS_DEVICE void bulk_wait() {
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(N) : "memory");
}

// As bulk_wait, for the reads only: the shared source may be written again, the global bytes may
// not be there.
template <int N>
TS_DEVICE void bulk_wait_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(N) : "memory");
}
#endif

}  // namespace ptx
}  // namespace ts
