// SPDX-License-Identifier: MIT
// Waiting for other ranks. A wait is a load in a loop: with acquire semantics it comes after the
// release whose value it sees (PTX memory model, "Release and Acquire Patterns"); relaxed and
// volatile ones order nothing.
#pragma once
#include <tilescale/ptx/atomic.cuh>
#include <tilescale/ptx/barrier.cuh>
#include <tilescale/ptx/fence.cuh>
#include <tilescale/ptx/ldst.cuh>
#include <tilescale/ptx/peer.cuh>
#include <tilescale/sync/watch.cuh>

namespace ts {
namespace comm {

// One thread waits until the word compares with `value` as the name says; gives the word.
#define TS_WAIT(name, op, words)                         \
  template <Sem S, Scope C, class T, class V>            \
  TS_DEVICE T name(const T* p, V value TS_SITE_PARAMS) { \
    for (Turns turns; turns.more();) {                   \
      const T seen = ptx::ld<S, C>(p);                   \
      if (seen op(T) value) return seen;                 \
      spin(words, (T)value);                             \
    }                                                    \
    for (Watch watch;;) {                                \
      const T seen = ptx::ld<S, C>(p);                   \
      if (seen op(T) value) {                            \
        watch.end();                                     \
        return seen;                                     \
      }                                                  \
      spin(words, (T)value);                             \
      watch.turn(#name, p, seen, value TS_SITE);         \
    }                                                    \
  }
TS_WAIT(wait_eq, ==, "equal to ")
TS_WAIT(wait_ne, !=, "other than ")
TS_WAIT(wait_ge, >=, "at least ")
TS_WAIT(wait_le, <=, "at most ")
TS_WAIT(wait_gt, >, "more than ")
TS_WAIT(wait_lt, <, "less than ")
#undef TS_WAIT

namespace detail {

// The part of one of `lanes` threads in a meeting of all ranks: each rank adds to its own word of
// every peer and takes away its own from theirs, so the words are zero again when all have come.
template <bool Publish>
TS_DEVICE void meet(int* bar, int lane, int lanes TS_SITE_PARAMS) {
  constexpr int kCome = 1024;
  constexpr Sem kRelease = Publish ? Sem::release : Sem::relaxed;
  constexpr Sem kAcquire = Publish ? Sem::acquire : Sem::relaxed;
  for (int r = lane; r < num_ranks(); r += lanes) {
    ptx::red_add<Sem::relaxed, Scope::sys>(bar + r, kCome);
    ptx::red_add<kRelease, Scope::sys>(peer(bar + rank(), r), -kCome);
  }
  for (int r = lane; r < num_ranks(); r += lanes) {
    wait_le<kAcquire, Scope::sys>(bar + r, 0 TS_SITE);
  }
}

}  // namespace detail

// All ranks meet; every thread of the block calls it. `bar` has one word for each rank, is at the
// same place of every rank's heap and starts as zeros. With `Publish`, what any thread of any rank
// did before comes before what follows on any rank: the subtractions release at system scope what
// the block barrier has gathered, and the loads acquire. Without, only the meeting itself is
// promised.
template <bool Publish>
TS_DEVICE void barrier_blocks(int* bar TS_SITE_PARAMS) {
  cta_sync();
  detail::meet<Publish>(bar, thread_rank(), ntid_x() * ntid_y() * ntid_z() TS_SITE);
  cta_sync();
}

// As barrier_blocks<true>, for what the lanes of one warp did and do.
TS_DEVICE void barrier_warp(int* bar TS_SITE_PARAMS) {
  warp_sync();
  detail::meet<true>(bar, lane_id(), 32 TS_SITE);
  warp_sync();
}

// As barrier_blocks<true>, for what one thread did, learnt, and does.
TS_DEVICE void barrier_thread(int* bar TS_SITE_PARAMS) {
  detail::meet<true>(bar, 0, 1 TS_SITE);
}

}  // namespace comm
}  // namespace ts
