// SPDX-License-Identifier: MIT
// Release and acquire, scopes, fences, observation: between CTAs of one rank, and between ranks.
#include "litmus.cuh"

LITMUS(relaxed_counter, 64) {
  IDS;
  if (v == 2) {
    F[0] = F[0] + 1;
  } else {
    add(F, 1, relaxed, gpu);
  }
  if (v == 1) O[b * 64 + t] = F[0];
}
LITMUS_END(relaxed_counter)

// CTA 0 -> CTA 1. v1, v2: a relaxed side; v3: fences instead; v4: too narrow a fence; v5: too
// narrow a release.
LITMUS(message, 32) {
  IDS;
  if (b == 0) {
    D[t] = 3;
    warp_sync();
    if (t == 0 && (v == 3 || v == 4)) fence(v == 3 ? gpu : cta);
    if (t == 0) store(F, 1, v == 1 || v >= 3 ? relaxed : release, v == 5 ? cta : gpu);
  } else {
    if (t == 0) wait_for(F, 1, v == 2 || v == 3 ? relaxed : acquire, gpu);
    if (t == 0 && v == 3) fence(gpu);
    warp_sync();
    O[t] = D[t];
  }
}
LITMUS_END(message)

// CTA 1 continues CTA 0's release by an atomic, or breaks it by a store.
LITMUS(release_sequence, 32) {
  IDS;
  if (t) return;
  if (b == 0) {
    D[0] = 1;
    store(F, 1, release, gpu);
  }
  if (b == 1) {
    wait_for(F, 1, relaxed, gpu);
    if (v == 1) {
      store(F, 2, relaxed, gpu);
    } else {
      add(F, 1, relaxed, gpu);
    }
  }
  if (b == 2) {
    wait_for(F, 2, acquire, gpu);
    O[0] = D[0];
  }
}
LITMUS_END(release_sequence)

LITMUS(grid_barrier, 64) {
  IDS;
  D[b * 64 + t] = b;
  cta_sync();
  if (t == 0) {
    add(F, 1, v == 1 ? relaxed : release, gpu);
    wait_for(F, 4, v == 2 ? relaxed : acquire, gpu);
  }
  cta_sync();
  O[b * 64 + t] = D[(b + 1) % 4 * 64 + t];
}
LITMUS_END(grid_barrier)

LITMUS(spin_lock, 32) {
  IDS;
  if (t) return;
  while (cas(F, 0, 1, acquire, gpu) != 0) spin();
  D[0] = D[0] + 1;
  exch(F, 0, v == 1 ? relaxed : release, gpu);
}
LITMUS_END(spin_lock)

// No data race by PTX, but only release and acquire forbid the stale value (O[0] must be 7).
LITMUS(weak_values, 32) {
  IDS;
  if (t) return;
  if (b == 0) {
    store(F + 1, 7, relaxed, gpu);
    store(F, 1, v ? relaxed : release, gpu);
  } else {
    wait_for(F, 1, v ? relaxed : acquire, gpu);
    O[0] = load(F + 1, relaxed, gpu);
  }
}
LITMUS_END(weak_values)

// A plain load that polls: the compiler hoists it, the timer stops it.
LITMUS(plain_poll, 32) {
  IDS;
  if (t) return;
  if (b == 0) {
    store(F, 1, release, gpu);
  } else if (v) {
    while (F[0] == 0) {
    }
  }
}
LITMUS_END(plain_poll)

// A later strong store of the same thread hands its release on. v1: data written between; v2: the
// release's own scope is too narrow.
LITMUS(release_pattern, 32) {
  IDS;
  if (t) return;
  if (b == 0) {
    if (v != 1) D[0] = 1;
    store(F, 1, release, v == 2 ? cta : gpu);
    if (v == 1) D[0] = 1;
    store(F, 2, relaxed, gpu);
  } else {
    wait_for(F, 2, acquire, gpu);
    O[0] = D[0];
  }
}
LITMUS_END(release_pattern)

// A relaxed read of a release, then any acquire of the same word.
LITMUS(acquire_pattern, 32) {
  IDS;
  if (t) return;
  if (b == 0) {
    D[0] = 1;
    store(F, 1, release, gpu);
  }
  if (b == 1) {
    wait_for(F, 1, relaxed, gpu);
    store(F + 8, 1, relaxed, gpu);
    wait_for(F, 2, v ? relaxed : acquire, gpu);
    O[0] = D[0];
  }
  if (b == 2) {
    wait_for(F + 8, 1, relaxed, gpu);
    store(F, 2, relaxed, gpu);
  }
}
LITMUS_END(acquire_pattern)

// A reduction reads nothing that could be acquired, not even with a fence behind it.
LITMUS(red_acquire, 32) {
  IDS;
  if (t) return;
  if (b == 0) {
    D[0] = 1;
    store(F, 1, release, gpu);
    store(F + 8, 1, relaxed, gpu);
  } else {
    wait_for(F + 8, 1, relaxed, gpu);
    if (v) {
      reduce(F, 1, relaxed, gpu);
    } else {
      add(F, 1, relaxed, gpu);
    }
    fence(gpu);
    O[0] = D[0];
  }
}
LITMUS_END(red_acquire)

// A reduction hands a release on. v1: a plain store of another thread does not.
LITMUS(red_hands_on, 32) {
  IDS;
  if (t) return;
  if (b == 0) {
    D[0] = 1;
    store(F, 1, release, gpu);
    store(F + 8, 1, relaxed, gpu);
  }
  if (b == 1) {
    wait_for(F, 1, relaxed, gpu);
    if (v) {
      store(F, 2, relaxed, gpu);
    } else {
      reduce(F, 1, relaxed, gpu);
    }
  }
  if (b == 2) {
    wait_for(F, 2, acquire, gpu);
    O[0] = D[0];
  }
}
LITMUS_END(red_hands_on)

// A failing CAS is a read: it acquires, but writes nothing. v1: relaxed.
LITMUS(failing_cas, 32) {
  IDS;
  if (t) return;
  if (b == 0) {
    D[0] = 1;
    store(F, 1, release, gpu);
  } else {
    while (cas(F, 7, 8, v ? relaxed : acquire, gpu) != 1) spin();
    O[0] = D[0];
  }
}
LITMUS_END(failing_cas)

// Who saw the last ticket resets the counter by a plain store. v1: not the last; v2: no second
// fence.
LITMUS(last_block, 32) {
  IDS;
  if (t) return;
  D[b] = b;
  fence(gpu);
  if (add(F, 1, relaxed, gpu) != (v == 1 ? 2u : 3u)) return;
  if (v == 0) fence(gpu);
  if (v != 1) O[0] = D[0] + D[1] + D[2] + D[3];
  F[0] = 0;
}
LITMUS_END(last_block)

// What a relaxed read saw is ordered for all that comes after it: later reads of others (v0: O[0] =
// 7), a plain store (v1). v2: not handed on.
LITMUS(observed, 32) {
  IDS;
  if (t) return;
  if (b == 0) store(F, 7, relaxed, gpu);
  if (b == 1) {
    wait_for(F, 7, relaxed, gpu);
    store(F + 8, 1, v == 2 ? relaxed : release, gpu);
  }
  if (b == 2) {
    wait_for(F + 8, 1, acquire, gpu);
    if (v) {
      F[0] = 5;
    } else {
      O[0] = load(F, relaxed, gpu);
    }
  }
}
LITMUS_END(observed)

// Rank 0 writes into rank 2 and tells rank 1, which tells rank 2.
LITMUS(three_ranks, 32) {
  IDS;
  if (t) return;
  const int r = rank();
  if (r == 0) {
    *peer(D, 2) = 1;
    if (v >= 2) fence(v == 2 ? gpu : sys);
    store(peer(F, 1), 1, v >= 2 ? relaxed : release, sys);
  }
  if (r == 1) {
    wait_for(F, 1, v == 4 ? relaxed : acquire, sys);
    if (v == 4) fence(gpu);
    store(peer(F, 2), 1, release, v == 1 ? gpu : sys);
  }
  if (r == 2) {
    wait_for(F, 1, acquire, sys);
    O[0] = D[0];
  }
}
LITMUS_END(three_ranks)

// Store buffering. v0: not both 0 (O[0] = 7); v1: one weaker fence; v2: plain accesses still race.
LITMUS(sb_fence_sc, 32) {
  IDS;
  if (t) return;
  if (v == 2) {
    F[b] = 1;
    fence_seq(gpu);
    O[b] = F[1 - b];
    return;
  }
  store(F + b, 1, relaxed, gpu);
  if (v && b) {
    fence(gpu);
  } else {
    fence_seq(gpu);
  }
  const u32 x = load(F + 1 - b, relaxed, gpu);
  store(F + 16 + b, x, relaxed, gpu);
  if (add(F + 8, 1, acq_rel, gpu) == 1) {
    O[0] = load(F + 16, relaxed, gpu) + load(F + 17, relaxed, gpu) ? 7 : 0;
  }
}
LITMUS_END(sb_fence_sc)

// Rank 0's gpu-scope atomic, an ordered one of rank 1, then one of rank 1 that is not ordered (v1).
LITMUS(scope_cover, 32) {
  IDS;
  if (t) return;
  u32* G = peer(F, 0);
  if (rank() == 0) {
    if (b) return;
    add(G, 1, relaxed, gpu);
    store(peer(F, 1) + 8, 1, release, sys);
    return;
  }
  if (b == 0) {
    wait_for(F + 8, 1, acquire, sys);
    add(G, 1, relaxed, gpu);
    store(F + 16, 1, relaxed, gpu);
  } else if (v) {
    wait_for(F + 16, 1, relaxed, gpu);
    add(G, 1, relaxed, gpu);
  }
}
LITMUS_END(scope_cover)

LITMUS(cta_atomics, 32) {
  IDS;
  if (t > 3) return;
  if (v && b) wait_for(F + 8, 4, relaxed, gpu);
  add(F, 1, relaxed, v ? cta : gpu);
  if (v && !b) add(F + 8, 1, relaxed, gpu);
}
LITMUS_END(cta_atomics)

// Strong accesses of different sizes are not morally strong to each other.
LITMUS(mixed, 32) {
  IDS;
  if (t) return;
  u16* Q = (u16*)F;
  if (b) {
    if (v == 0) {
      store(Q, 1, relaxed, gpu);
    } else {
      store((u64*)F, 1, relaxed, gpu);
    }
  } else {
    if (v == 0) {
      store(Q + 1, 1, relaxed, gpu);
    } else {
      add(F + 1, 1, relaxed, gpu);
    }
  }
}
LITMUS_END(mixed)

// Volatile is relaxed, of system scope. v1: a weak access against it.
LITMUS(volatile_flag, 32) {
  IDS;
  if (t) return;
  if (b == 0) {
    store(F, 1, v ? weak : volatile_, sys);
  } else {
    O[0] = load(F, volatile_, sys);
  }
}
LITMUS_END(volatile_flag)

// A vector reduction is its elements, each an atomic. v1: against a plain read.
LITMUS(vector_red, 32) {
  IDS;
  if (t > 1) return;
  vec<float, 2> x;
  x[0] = 1;
  x[1] = 2;
  red_add_v2_f32<Sem::relaxed, Scope::gpu>(O, x);
  if (v && b) D[0] = O[1];
}
LITMUS_END(vector_red)

// A CTA barrier and then one thread's release publish the whole CTA (v1: no barrier).
LITMUS(cumulative, 64) {
  IDS;
  if (b == 0) {
    D[t] = 3;
    if (v != 1) cta_sync();
    if (t == 0) store(F, 1, release, gpu);
  } else {
    if (t == 0) wait_for(F, 1, acquire, gpu);
    cta_sync();
    O[t] = D[t];
  }
}
LITMUS_END(cumulative)

LITMUS(remote_put, 32) {
  IDS;
  const int p = (rank() + 1) % num_ranks();
  D[t] = 1;
  warp_sync();
  if (t) return;
  put_nbi(peer(O, p), D, 128);
  if (v != 1) quiet();
  if (v == 2) D[0] = 2;
  store(peer(F, p), 1, release, v == 3 ? gpu : sys);
  wait_for(F, 1, acquire, sys);
  O[0] += O[31];
}
LITMUS_END(remote_put)

// v1: both wait before they signal.
LITMUS(wait_cycle, 32) {
  IDS;
  const int p = rank() ^ 1;
  if (t) return;
  if (v) wait_for(F, 1, acquire, sys);
  store(peer(F, p), 1, release, sys);
  if (!v) wait_for(F, 1, acquire, sys);
}
LITMUS_END(wait_cycle)
