// SPDX-License-Identifier: MIT
// mbarrier: a counter in shared memory whose phase completes when all expected arrivals and bytes
// are in. PTX "Parallel Synchronization and Communication Instructions: mbarrier". Scope .cta
// throughout: an arrival releases what the thread knows to the CTA, a wait that returns acquires
// it.
#pragma once
#include <tilescale/ptx/config.cuh>

#ifdef TS_WATCHDOG
#include <tilescale/ptx/watch.cuh>
// The thread that another waits for may have been ended by the host, whose memory is slow to read.
#define TS_MBAR_TURN(turns) \
  if ((turns) % kWatchEvery == 0 && watch_aborted()) exit_thread()
#else
#define TS_MBAR_TURN(turns)
#endif

namespace ts {

// The object: 8 bytes of shared memory, 8-byte aligned, opaque between init and inval.
struct alignas(8) mbar {
  u64 state;
};

namespace ptx {
using ts::mbar;

// One thread, before any other use; others see the barrier after a CTA barrier. `count`: arrivals
// of one phase, 1..2^20-1.
TS_DEVICE void mbar_init(mbar* bar, u32 count) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(smem_address(bar)), "r"(count)
               : "memory");
}

// One thread, when no other will use it; the memory is ordinary again.
TS_DEVICE void mbar_inval(mbar* bar) {
  asm volatile("mbarrier.inval.shared.b64 [%0];" ::"r"(smem_address(bar)) : "memory");
}

// One thread; counts one arrival of the current phase. Release.
TS_DEVICE void mbar_arrive(mbar* bar) {
  asm volatile(
      "{\n.reg .b64 state;\nmbarrier.arrive.shared.b64 state, [%0];\n}" ::"r"(smem_address(bar))
      : "memory");
}

// Whether the phase of this parity (0 for the first) is complete; does not wait. Acquire when true.
TS_DEVICE bool mbar_test(mbar* bar, u32 parity) {
  u32 done;
  asm volatile(
      "{\n.reg .pred p;\n"
      "mbarrier.test_wait.parity.shared.b64 p, [%1], %2;\n"
      "selp.u32 %0, 1, 0, p;\n}"
      : "=r"(done)
      : "r"(smem_address(bar)), "r"(parity)
      : "memory");
  return done;
}

// Any thread waits until the phase of this parity is complete: parity 0 for the first phase, 1 for
// the second, and so on; a wait for the parity before the first phase returns at once. Acquire.
TS_DEVICE void mbar_wait(mbar* bar, u32 parity) {
#if __CUDA_ARCH__ >= 900
  // try_wait suspends the thread for a time limit of the machine's, so the loop does not poll.
  for (u32 turns = 1;; ++turns) {
    u32 done;
    asm volatile(
        "{\n.reg .pred p;\n"
        "mbarrier.try_wait.parity.shared.b64 p, [%1], %2;\n"
        "selp.u32 %0, 1, 0, p;\n}"
        : "=r"(done)
        : "r"(smem_address(bar)), "r"(parity)
        : "memory");
    if (done) return;
    TS_MBAR_TURN(turns);
  }
#else
  for (u32 turns = 1; !mbar_test(bar, parity); ++turns) {
    TS_MBAR_TURN(turns);
  }
#endif
}

#if __CUDA_ARCH__ >= 900
// One thread; the current phase also waits for `bytes` of asynchronous copies. No arrival, relaxed.
TS_DEVICE void mbar_expect_tx(mbar* bar, u32 bytes) {
  asm volatile("mbarrier.expect_tx.relaxed.cta.shared.b64 [%0], %1;" ::"r"(smem_address(bar)),
               "r"(bytes)
               : "memory");
}

// mbar_expect_tx and then mbar_arrive, as one operation. Release.
TS_DEVICE void mbar_arrive_expect_tx(mbar* bar, u32 bytes) {
  asm volatile(
      "{\n.reg .b64 state;\nmbarrier.arrive.expect_tx.shared.b64 state, [%0], %1;\n}" ::"r"(
          smem_address(bar)),
      "r"(bytes)
      : "memory");
}
#endif

}  // namespace ptx
}  // namespace ts
#undef TS_MBAR_TURN
