// SPDX-License-Identifier: MIT
// Every rank puts n floats to its neighbour, signals, waits for its own, copies out. DROP plants a
// fault: 1 relaxed signal, 2 no wait, 3 no CTA barrier, 4 gpu scope.
#include <tilescale/kernel.cuh>
#include <tilescale/ptx/ldst.cuh>
#include <tilescale/ptx/peer.cuh>
#ifndef DROP
#define DROP 0
#endif
constexpr ts::Sem kSignal = DROP == 1 ? ts::Sem::relaxed : ts::Sem::release;
constexpr ts::Scope kReach = DROP == 4 ? ts::Scope::gpu : ts::Scope::sys;
TS_KERNEL(exchange, 128, 1)(const float* A, float* B, ts::u32* F, float* O, int n) {
#line 4 "exchange.py"
  const int tid = ts::tid_x(), next = (ts::rank() + 1) % ts::num_ranks();
#line 5 "exchange.py"
  for (int i = tid; i < n; i += 128) ts::peer(B, next)[i] = A[i];
#if DROP != 3
#line 6 "exchange.py"
  ts::cta_sync();
#endif
#line 7 "exchange.py"
  if (tid == 0) {
#line 8 "exchange.py"
    ts::ptx::st<kSignal, kReach>(ts::peer(F, next), 1u);
#if DROP != 2
#line 9 "exchange.py"
    while (ts::ptx::ld<ts::Sem::acquire, ts::Scope::sys>(F) != 1u) ts::spin();
#endif
  }
#line 10 "exchange.py"
  ts::cta_sync();
#line 11 "exchange.py"
  for (int i = tid; i < n; i += 128) O[i] = B[i];
}
TS_LAUNCH(exchange, (*(const float**)args[0], *(float**)args[1], *(ts::u32**)args[2],
                     *(float**)args[3], *(int*)args[4]))
