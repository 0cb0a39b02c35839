// SPDX-License-Identifier: MIT
// cp.async: copies from global to shared memory that the issuing thread waits for in groups
// (sm_80). Generic proxy. PTX "Data Movement and Conversion Instructions: Non-bulk copy".
#pragma once
#include <tilescale/ptx/config.cuh>

namespace ts {
struct mbar;
namespace ptx {

// One thread copies B bytes; both addresses are aligned to B. Weak; ordered only by the wait of the
// issuing thread's group or by cp_async_mbar_arrive. 16-byte copies bypass L1 (.cg), others cannot.
template <int B>
TS_DEVICE void cp_async(void* smem, const void* gmem) {
  static_assert(B == 4 || B == 8 || B == 16, "cp_async copies 4, 8 or 16 bytes");
  if constexpr (B == 16) {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;" ::"r"(smem_address(smem)),
                 "l"(gmem)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global.L2::128B [%0], [%1], %2;" ::"r"(smem_address(smem)),
                 "l"(gmem), "n"(B)
                 : "memory");
  }
}

// As cp_async; when !valid nothing is read (gmem may be any address) and B zero bytes are written.
template <int B>
TS_DEVICE void cp_async_zfill(void* smem, const void* gmem, bool valid) {
  static_assert(B == 4 || B == 8 || B == 16, "cp_async_zfill copies 4, 8 or 16 bytes");
  const int size = valid ? B : 0;
  if constexpr (B == 16) {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(smem_address(smem)),
                 "l"(gmem), "r"(size)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global.L2::128B [%0], [%1], %2, %3;" ::"r"(smem_address(smem)),
                 "l"(gmem), "n"(B), "r"(size)
                 : "memory");
  }
}

// Closes the thread's current group; an empty group is complete. PTX "cp.async.commit_group".
TS_DEVICE void cp_async_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

// Waits until at most N of the thread's groups are pending; only their issuer sees the bytes then,
// others after a barrier. PTX "cp.async.wait_group".
template <int N>
TS_DEVICE void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

// Waits for all copies of the thread, committed or not. PTX "cp.async.wait_all".
TS_DEVICE void cp_async_wait_all() {
  asm volatile("cp.async.wait_all;" ::: "memory");
}

// Arrives on the mbarrier when all copies that the thread issued so far are complete, whatever
// their groups. `.noinc`: this arrival is counted in mbar_init. Publishes the copies, not the
// thread's stores. PTX "cp.async.mbarrier.arrive".
TS_DEVICE void cp_async_mbar_arrive(mbar* bar) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(smem_address(bar))
               : "memory");
}

}  // namespace ptx
}  // namespace ts
