// SPDX-License-Identifier: MIT
// What the litmus kernels share. Each kernel is one rule of the memory model; v = 0 is correct,
// other values are its faulty twins, or variants that are correct too (table.txt says which). D, O:
// float[4096], D[i] = i, O zero; F: u32[64], zero; H: u16[4096], zero; on every rank.
#pragma once

#include <tilescale/kernel.cuh>
#include <tilescale/ptx/atomic.cuh>
#include <tilescale/ptx/bulk.cuh>
#include <tilescale/ptx/cp_async.cuh>
#include <tilescale/ptx/fence.cuh>
#include <tilescale/ptx/ldst.cuh>
#include <tilescale/ptx/mbarrier.cuh>
#include <tilescale/ptx/nbi.cuh>
#include <tilescale/ptx/peer.cuh>
#include <tilescale/ptx/shuffle.cuh>

using namespace ts;
using namespace ts::ptx;

#define LITMUS(name, threads) TS_KERNEL(name, threads, 1)(int v, float* D, u32* F, float* O, u16* H)
#define LITMUS_END(name)                                                                  \
  TS_LAUNCH(name, (*(int*)args[0], *(float**)args[1], *(u32**)args[2], *(float**)args[3], \
                   *(u16**)args[4]))
#define IDS const int t = tid_x(), b = bid_x()

// Order and scope chosen by the variant at run time; template arguments in generated text.
template <class T>
TS_DEVICE T load(const T* p, Sem m, Scope s) {
  return (T)ts_sim_ld((const void*)p, sizeof(T), (int)m, (int)s);
}
template <class T>
TS_DEVICE void store(T* p, u64 x, Sem m, Scope s) {
  ts_sim_st((void*)p, sizeof(T), x, (int)m, (int)s);
}
TS_DEVICE u32 add(u32* p, u32 x, Sem m, Scope s) {
  return (u32)ts_sim_atom(p, 4, ptx::detail::kAdd, ptx::detail::kUnsigned, x, 0, (int)m, (int)s);
}
TS_DEVICE u32 exch(u32* p, u32 x, Sem m, Scope s) {
  return (u32)ts_sim_atom(p, 4, ptx::detail::kExch, ptx::detail::kUnsigned, x, 0, (int)m, (int)s);
}
TS_DEVICE u32 cas(u32* p, u32 expected, u32 x, Sem m, Scope s) {
  return (u32)ts_sim_atom(p, 4, ptx::detail::kCas, ptx::detail::kUnsigned, x, expected, (int)m,
                          (int)s);
}
TS_DEVICE void reduce(u32* p, u32 x, Sem m, Scope s) {
  ts_sim_red(p, 4, ptx::detail::kAdd, ptx::detail::kUnsigned, &x, 1, (int)m, (int)s);
}
TS_DEVICE void fence(Scope s) {
  ts_sim_fence((int)s, 0);
}
TS_DEVICE void fence_seq(Scope s) {
  ts_sim_fence((int)s, 1);
}
// Spins until the word has the value.
TS_DEVICE void wait_for(const u32* p, u32 x, Sem m, Scope s) {
  while (load(p, m, s) != x) spin();
}
