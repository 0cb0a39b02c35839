// SPDX-License-Identifier: MIT
// Barriers of CTAs and warps; accesses of one warp; memory rules that need no second CTA.
#include "litmus.cuh"

LITMUS(cta_barrier, 128) {
  IDS;
  TS_SMEM(float, s, 128, 0);
  s[t] = t;
  if (v != 1) cta_sync();
  O[t] = s[127 - t];
}
LITMUS_END(cta_barrier)

// Warps 0 and 1 produce and arrive, warps 2 and 3 wait. v2: counts differ; v3: nobody arrives; v4:
// what comes after the arrival is not published.
LITMUS(named_barrier, 128) {
  IDS;
  TS_SMEM(float, s, 64, 0);
  if (t < 64) {
    s[t] = t;
    if (v != 3) bar_arrive(1, 128);
    if (v == 4) s[t] = 0;
  } else {
    if (v != 1) bar_sync(1, v == 2 ? 96 : 128);
    O[t] = s[t - 64];
  }
}
LITMUS_END(named_barrier)

// A shuffle aligns lanes, it does not order memory.
LITMUS(warp_order, 32) {
  IDS;
  TS_SMEM(float, s, 32, 0);
  s[t] = t;
  if (v == 1) {
    shfl_idx(t, 0);
  } else if (v == 2) {
    vote_any(true);
  } else {
    warp_sync();
  }
  O[t] = s[31 - t];
}
LITMUS_END(warp_order)

// Lanes of a warp that store one value to one place are allowed; two values are not, nor two warps
// where the check of stores is strict.
LITMUS(same_value, 64) {
  IDS;
  D[v == 1 ? 0 : t / 32] = v == 2 ? t : 5;
}
LITMUS_END(same_value)

LITMUS(same_vector, 32) {
  IDS;
  if (v < 2) {
    vec<float, 4> x;
    x[0] = v ? t : 0;
    x[1] = 1;
    x[2] = 2;
    x[3] = 3;
    *(vec<float, 4>*)D = x;
    return;
  }
  if (t < 2) H[0] = 5;
  if (t == 2) {
    spin();
    H[1] = 7;
  }
  store(F + t, 1, relaxed, gpu);
  O[t] = 1;
}
LITMUS_END(same_vector)

// Elements of two bytes in one word are places of their own.
LITMUS(halves, 64) {
  IDS;
  H[t] = t;
  cta_sync();
  H[t ^ 1] = 0;
  if (v) H[t] = 1;
}
LITMUS_END(halves)

LITMUS(barrier_branch, 64) {
  IDS;
  if (v == 0 || t < 32) bar_sync(3, 64);
}
LITMUS_END(barrier_branch)

LITMUS(bar_groups, 96) {
  IDS;
  TS_SMEM(float, s, 32, 0);
  const int w = t / 32;
  if (w == 0) {
    s[t] = t;
    bar_sync(1, 64);
  }
  if (w == 1) {
    bar_sync(1 + v, 64);
    bar_sync(2 - v, 64);
  }
  if (w == 2) {
    bar_sync(2, 64);
    O[t] = s[t - 64];
  }
}
LITMUS_END(bar_groups)

// Exited lanes are not waited for. v3: half warps never arrive.
LITMUS(exited, 64) {
  IDS;
  TS_SMEM(float, s, 64, 0);
  s[t] = t;
  if (v < 3 && (t & 1)) return;
  if (v == 0) warp_sync();
  if (v == 1) cta_sync();
  if (v == 2) bar_sync(1, 64);
  if (v == 3) bar_sync(1 + (t & 1), 32);
  O[t] = s[t ^ 2];
}
LITMUS_END(exited)

// bar.red: orders as a barrier and returns the predicate of all; wrong results would read out of
// bounds.
LITMUS(barrier_reduce, 64) {
  IDS;
  TS_SMEM(float, s, 64, 0);
  s[t] = t;
  const int n = v == 1 ? 40 : cta_sync_count(t < 40);
  const bool all = v == 1 ? false : cta_sync_and(t < 40);
  const bool any = v == 1 ? true : cta_sync_or(t == 63);
  O[n == 40 && !all && any ? t : 1 << 20] = s[63 - t];
}
LITMUS_END(barrier_reduce)

// Shuffles of a part of the warp. v1: the lanes come to different instructions; v2: masks that
// disagree.
LITMUS(warp_masks, 32) {
  IDS;
  const u32 half = t < 16 ? 0xffffu : 0xffff0000u;
  int x = shfl_xor(t, 1, 16, half);
  if (v == 1) x = t < 16 ? shfl_xor(x, 1) : (int)vote_ballot(x > 3);
  if (v == 2) x = t == 0 ? shfl_xor(x, 1, 32, 0x3u) : shfl_xor(x, 1);
  O[x < 0 ? 1 << 20 : t] = x;
}
LITMUS_END(warp_masks)

// Shared buffers that share planned bytes: reuse needs a barrier between.
LITMUS(reuse, 64) {
  IDS;
  TS_SMEM(float, first, 64, 0);
  TS_SMEM(float, other, 64, 256);
  TS_SMEM(float, over_both, 128, 0);
  first[t] = t;
  other[t] = t;
  cta_sync();
  const float x = first[63 - t] + other[63 - t];
  if (v != 1) cta_sync();
  over_both[t] = x;
  over_both[t + 64] = x;
  cta_sync();
  O[t] = over_both[127 - t];
}
LITMUS_END(reuse)

LITMUS(bounds, 64) {
  IDS;
  TS_SMEM(float, s, 64, 0);
  TS_SMEM(float, behind, 64, 256);
  s[t] = 0;
  behind[t] = 0;
  cta_sync();
  if (v == 1) O[4096 + t] = 1;
  if (v == 2) O[t] = s[t + 1];
  if (v == 3 && t == 0) *peer(O, rank() + 1) = 1;
  if (v == 4 && t == 0) O[t] = D[-1];
  if (v == 5 && t == 0) *(float*)16 = 1;
  if (v == 6 && t == 0) store(F + 64, 1, relaxed, gpu);
  if (v == 7 && t == 0) cp_async<16>(behind + 62, D);
}
LITMUS_END(bounds)

LITMUS(init, 64) {
  IDS;
  TS_SMEM(float, s, 65, 0);
  s[t] = 0;
  cta_sync();
  if (v) O[t] = s[t + 1];
}
LITMUS_END(init)

LITMUS(align, 64) {
  IDS;
  TS_SMEM(float, s, 64, 0);
  if (v < 2) *(vec<float, 4>*)(O + 4 * t + (v ? 1 : 0)) = *(const vec<float, 4>*)(D + 4 * t);
  if (v == 2) cp_async<16>(s + 2, D);
  if (v == 3) add((u32*)(H + 1), 1, relaxed, gpu);
  if (v == 4) mbar_init((mbar*)(s + 1), 1);
}
LITMUS_END(align)
