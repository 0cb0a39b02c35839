// SPDX-License-Identifier: MIT
// Moves of consecutive elements by the threads of a warp or a block, to or from any address that
// the thread can load and store: global memory of this or another rank, shared memory.
#pragma once
#include <tilescale/ptx/config.cuh>
#include <tilescale/ptx/nbi.cuh>
#include <tilescale/ptx/peer.cuh>

namespace ts {
namespace comm {
namespace detail {

// Words of one size, `Unroll` loads in flight for each thread. On a GPU what completes at quiet may
// as well be complete at once: the fence of quiet is what it lacks.
template <int Unroll, bool Nbi, class W>
TS_DEVICE void copy_words(void* dst, const void* src, i64 words, int lane, int lanes) {
  W* to = (W*)dst;
  const W* from = (const W*)src;
  i64 at = lane;
  if constexpr (Nbi && ptx::kNbiDelays) {
    for (; at < words; at += lanes) ptx::put_nbi(to + at, from + at, (u32)sizeof(W));
    return;
  }
  for (; at + (i64)(Unroll - 1) * lanes < words; at += (i64)Unroll * lanes) {
    W held[Unroll];
#pragma unroll
    for (int i = 0; i < Unroll; ++i) held[i] = from[at + (i64)i * lanes];
#pragma unroll
    for (int i = 0; i < Unroll; ++i) to[at + (i64)i * lanes] = held[i];
  }
  for (; at < words; at += lanes) to[at] = from[at];
}

// As wide as both addresses are aligned.
template <int Unroll, bool Nbi, class T>
TS_DEVICE void copy_elements(T* dst, const T* src, i64 count, int lane, int lanes) {
  TS_MOVE();
  const u64 both = (u64)dst | (u64)src;
  const i64 bytes = count * (i64)sizeof(T);
  i64 done = 0;
  if (both % 16 == 0) {
    copy_words<Unroll, Nbi, vec<u32, 4>>(dst, src, bytes / 16, lane, lanes);
    done = bytes / 16 * 16;
  } else if (both % 8 == 0) {
    copy_words<Unroll, Nbi, u64>(dst, src, bytes / 8, lane, lanes);
    done = bytes / 8 * 8;
  } else if (both % 4 == 0) {
    copy_words<Unroll, Nbi, u32>(dst, src, bytes / 4, lane, lanes);
    done = bytes / 4 * 4;
  }
  const i64 moved = done / (i64)sizeof(T);
  copy_words<1, Nbi, T>(dst + moved, src + moved, count - moved, lane, lanes);
}

}  // namespace detail

// `count` elements by threads 0 … lanes - 1 of a warp or a group, each called with its own `lane`.
// Weak accesses; nothing is ordered and nothing is waited for: a thread has written its part when
// it returns. A negative count moves nothing. Loads are coherent: a peer may have written the
// source in this kernel.
template <int Unroll, class T>
TS_DEVICE void copy_run(T* dst, const T* src, i64 count, int lane, int lanes) {
  detail::copy_elements<Unroll, false>(dst, src, count, lane, lanes);
}

// As copy_run, but neither is the source read nor the destination written before the thread's next
// quiet.
template <int Unroll, class T>
TS_DEVICE void copy_run_nbi(T* dst, const T* src, i64 count, int lane, int lanes) {
  detail::copy_elements<Unroll, true>(dst, src, count, lane, lanes);
}

}  // namespace comm
}  // namespace ts
