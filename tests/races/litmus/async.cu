// SPDX-License-Identifier: MIT
// Asynchronous engines: cp.async, bulk copies, mbarriers, the async proxy.
#include "litmus.cuh"

LITMUS(cp_async_groups, 128) {
  IDS;
  TS_SMEM(float, s, 1024, 0);
  cp_async<16>(s + 4 * t, D + 4 * t);
  cp_async_commit();
  cp_async<16>(s + 512 + 4 * t, D + 512 + 4 * t);
  cp_async_commit();
  if (v == 2) cp_async_wait<1>();
  if (v != 1 && v != 2) cp_async_wait<0>();
  if (v != 3) cta_sync();
  O[t] = s[v == 4 ? 4 * t : 1023 - t];
  if (v == 5) cp_async<16>(s + 896 + (t & 31) * 4, D);
  cp_async_wait_all();
}
LITMUS_END(cp_async_groups)

// Two copies in flight to one place race, also of one thread.
LITMUS(cp_async_twice, 32) {
  IDS;
  TS_SMEM(float, s, 128, 0);
  cp_async<16>(s + 4 * t, D + 4 * t);
  cp_async_commit();
  if (v == 0) cp_async_wait<0>();
  cp_async<16>(s + 4 * t, D + 512 + 4 * t);
  cp_async_wait_all();
  O[t] = s[4 * t];
}
LITMUS_END(cp_async_twice)

// The source must not change while it is read.
LITMUS(cp_async_source, 32) {
  IDS;
  TS_SMEM(float, s, 32, 0);
  cp_async<4>(s + t, D + t);
  if (v == 0) cp_async_wait_all();
  D[t] = 1;
  cp_async_wait_all();
}
LITMUS_END(cp_async_source)

// The CTA ends while a copy may still write its shared memory (v1).
LITMUS(cp_async_exit, 32) {
  IDS;
  TS_SMEM(float, s, 32, 0);
  cp_async<4>(s + t, D + t);
  if (v == 0) cp_async_wait_all();
}
LITMUS_END(cp_async_exit)

// cp.async.mbarrier.arrive: the phase publishes the thread's copies (v1: without it), and not its
// stores (v2).
LITMUS(cp_async_mbarrier, 64) {
  IDS;
  TS_SMEM(float, s, 128, 0);
  TS_SMEM(float, other, 64, 512);
  TS_SMEM(mbar, m, 1, 1024);
  if (t == 0) mbar_init(m, 32);
  cta_sync();
  if (t < 32) {
    cp_async<16>(s + 4 * t, D + 4 * t);
    other[t] = 1;
    if (v == 1) {
      mbar_arrive(m);
    } else {
      cp_async_mbar_arrive(m);
    }
    cp_async_wait_all();
  } else {
    mbar_wait(m, 0);
    O[t] = v == 2 ? other[t - 32] : s[4 * (t - 32)];
  }
}
LITMUS_END(cp_async_mbarrier)

LITMUS(tma_load, 64) {
  IDS;
  TS_SMEM(float, s, 256, 0);
  TS_SMEM(mbar, m, 1, 1024);
  if (t == 0) mbar_init(m, 1);
  if (v != 4) cta_sync();
  if (t == 0) {
    mbar_arrive_expect_tx(m, v == 2 ? 512 : v == 3 ? 2048 : 1024);
    bulk_load(s, D, 512, m);
    bulk_load(s + 128, D + 128, 512, m);
  }
  if (v != 1) mbar_wait(m, 0);
  O[t] = s[t * 4];
}
LITMUS_END(tma_load)

LITMUS(tma_ring, 64) {
  IDS;
  TS_SMEM(float, s, 128, 0);
  TS_SMEM(mbar, full, 2, 512);
  TS_SMEM(mbar, empty, 2, 528);
  float a = 0;
  if (t == 0) {
    for (int i = 0; i < 2; ++i) {
      mbar_init(full + i, 1);
      mbar_init(empty + i, 32);
    }
  }
  cta_sync();
  for (int k = 0; k < 8; ++k) {
    const int i = k & 1, phase = k >> 1 & 1;
    if (t == 0) {
      if (v != 1) mbar_wait(empty + i, v == 2 ? phase : phase ^ 1);
      mbar_arrive_expect_tx(full + i, 256);
      bulk_load(s + 64 * i, D + 64 * k, 256, full + i);
    }
    if (t >= 32) {
      if (v == 4) {
        while (!mbar_test(full + i, phase)) spin();
      } else {
        mbar_wait(full + i, phase);
      }
      a += s[64 * i + t] + s[64 * i + t - 32];
      if (v != 3 || k != 2) mbar_arrive(empty + i);
    }
  }
  O[t] = a;
}
LITMUS_END(tma_ring)

LITMUS(tma_store, 64) {
  IDS;
  TS_SMEM(float, s, 64, 0);
  s[t] = t;
  if (v != 1) fence_proxy_async();
  if (v != 2) cta_sync();
  if (t == 0) {
    bulk_store(O, s, 256);
    bulk_commit();
    if (v == 5) bulk_wait<0>();
    if (v != 3 && v != 5) bulk_wait_read<0>();
  }
  cta_sync();
  s[t] = 0;
  if (v == 4) O[t] += 1;
  if (v == 5 && t == 0) O[0] += 1;
}
LITMUS_END(tma_store)

LITMUS(tma_align, 32) {
  IDS;
  TS_SMEM(float, s, 64, 0);
  TS_SMEM(mbar, m, 1, 256);
  if (t) return;
  mbar_init(m, 1);
  fence_mbarrier_init();
  const u32 n = v == 3 ? 24 : 32;
  mbar_arrive_expect_tx(m, n);
  bulk_load(s + (v == 1), D + (v == 2), n, m);
  mbar_wait(m, 0);
  fence_proxy_async();
  bulk_store(O + (v == 4), s + 4 * (v == 5) + (v == 5), v == 6 ? 8 : 16);
  bulk_commit();
  bulk_wait<0>();
}
LITMUS_END(tma_align)

// The proxy fence counts anywhere on the way, on the writer's side or on the issuer's.
LITMUS(proxy_path, 96) {
  IDS;
  TS_SMEM(float, s, 96, 0);
  if (v == 2) fence_proxy_async();
  s[t] = t;
  if (v == 4 && t == 40) fence_proxy_async();
  cta_sync();
  if ((v == 0 && t == 0) || (v == 3 && t == 40)) fence_proxy_async();
  if (v >= 3) cta_sync();
  if (t == 0) {
    bulk_store(O, s, 384);
    bulk_commit();
    bulk_wait<0>();
  }
}
LITMUS_END(proxy_path)

// CTA 0 stores by TMA, CTA 1 loads by TMA: the same proxy, but not the same thread block.
LITMUS(tma_across, 32) {
  IDS;
  TS_SMEM(float, s, 64, 0);
  TS_SMEM(mbar, m, 1, 256);
  if (t) return;
  if (b == 0) {
    for (int i = 0; i < 4; ++i) s[i] = 1;
    fence_proxy_async();
    bulk_store(D, s, 16);
    bulk_commit();
    bulk_wait<0>();
    store(F, 1, release, gpu);
  } else {
    mbar_init(m, 1);
    wait_for(F, 1, acquire, gpu);
    if (v == 0) fence_proxy_async();
    mbar_arrive_expect_tx(m, 16);
    bulk_load(s, D, 16, m);
    mbar_wait(m, 0);
    O[0] = s[0];
  }
}
LITMUS_END(tma_across)

// More arrivals than a phase's count: the next phase completes early.
LITMUS(mbarrier_overrun, 64) {
  IDS;
  TS_SMEM(float, s, 64, 0);
  TS_SMEM(mbar, m, 1, 256);
  if (t == 0) mbar_init(m, v ? 32 : 64);
  cta_sync();
  s[t] = t;
  mbar_arrive(m);
  mbar_wait(m, 0);
  O[t] = s[63 - t];
}
LITMUS_END(mbarrier_overrun)
