// SPDX-License-Identifier: MIT
// Timers, sleep, traps, register reallocation, printing. One thread each unless said; none orders
// memory.
#pragma once
#include <tilescale/ptx/config.cuh>

namespace ts {
namespace ptx {

// Suspends the thread for about `ns` (0 to 2*ns), at most 1 ms. PTX "nanosleep".
TS_DEVICE void nanosleep(u32 ns) {
  __nanosleep(ns);
}

// Nanoseconds since an unspecified start, one for the GPU; may advance in large steps. PTX
// "%globaltimer".
TS_DEVICE u64 globaltimer() {
  u64 r;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(r)::"memory");
  return r;
}

// Cycles of the SM that runs the thread. PTX "%clock64".
TS_DEVICE u64 clock() {
  u64 r;
  asm volatile("mov.u64 %0, %%clock64;" : "=l"(r)::"memory");
  return r;
}

// Ends the launch with an error. PTX "trap".
TS_DEVICE void trap() {
  __trap();
}

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
// All warps of a warpgroup raise or lower the registers of a thread to N (24..256, a multiple of
// 8); inc waits until dec has freed them. PTX "setmaxnreg".
template <int N>
TS_DEVICE void setmaxnreg_inc() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N));
}
template <int N>
TS_DEVICE void setmaxnreg_dec() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N));
}
#endif

}  // namespace ptx

// printf of the driver: shown when the host next synchronises. Arguments are int, 64-bit integers,
// double or text.
template <class... Args>
TS_DEVICE void print(const char* format, Args... args) {
  printf(format, args...);
}

// Prints msg with the CTA and thread, then ends the launch with an error.
TS_DEVICE void device_assert(bool cond, const char* msg) {
  if (!cond) {
    printf("device assertion failed: %s, at block (%d, %d, %d), thread (%d, %d, %d)\n", msg,
           bid_x(), bid_y(), bid_z(), tid_x(), tid_y(), tid_z());
    __trap();
  }
}

}  // namespace ts
