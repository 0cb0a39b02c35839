// SPDX-License-Identifier: MIT
// Load for the engine's clocks: many barriers, many grid barriers, many atomics, every CTA reads
// everything.
#include "litmus.cuh"

LITMUS(barriers, 1024) {
  IDS;
  for (int i = 0; i < v; ++i) {
    D[t] = i;
    cta_sync();
  }
}
LITMUS_END(barriers)

LITMUS(grid_rounds, 32) {
  IDS;
  const u32 n = 128;
  for (int i = 0; i < v; ++i) {
    D[b * 32 + t] = i;
    warp_sync();
    if (t == 0) {
      add(F, 1, release, gpu);
      while (load(F, acquire, gpu) < n * (i + 1)) spin();
    }
    warp_sync();
    O[b * 32 + t] = D[(b + 1) % n * 32 + t];
    warp_sync();
    if (t == 0) {
      add(F + 1, 1, release, gpu);
      while (load(F + 1, acquire, gpu) < n * (i + 1)) spin();
    }
    warp_sync();
  }
}
LITMUS_END(grid_rounds)

LITMUS(count, 256) {
  IDS;
  for (int i = 0; i < v; ++i) add(F, 1, relaxed, gpu);
}
LITMUS_END(count)

LITMUS(read_all, 128) {
  IDS;
  float a = 0;
  for (int i = 0; i < 4096; ++i) a += D[i];
  if (v) O[(b * 128 + t) & 4095] = 0;
}
LITMUS_END(read_all)
