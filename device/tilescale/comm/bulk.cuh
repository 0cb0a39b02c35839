// SPDX-License-Identifier: MIT
// Moves between global memory of this and other ranks by the bulk copy engine (sm_90): one thread
// of the group drives a ring of pieces through shared memory, so few blocks fill a link. PTX "Data
// Movement and Conversion Instructions: cp.async.bulk".
#pragma once
#include <tilescale/comm/distributed.cuh>
#include <tilescale/ptx/bulk.cuh>
#include <tilescale/ptx/fence.cuh>
#include <tilescale/ptx/mbarrier.cuh>

namespace ts {
namespace comm {
namespace detail {

// One thread. `bytes`, both addresses and `staging` are multiples of 16; `staging` has `Stages`
// pieces of `Piece` bytes and an mbarrier for each. What the thread knows of source, destination
// and staging comes before (the fence between the proxies); when it returns, the bytes are there
// for it, as by stores of its own ("Async proxy": completion is followed by an implicit proxy
// fence), and staging is ordinary memory again.
template <int Stages, int Piece>
TS_DEVICE void bulk_through(u8* to, const u8* from, i64 bytes, u8* staging) {
  constexpr int kLag = Stages > 2 ? 2 : 1;  // stores that may still read their piece
  ptx::mbar* full = (ptx::mbar*)(staging + Stages * Piece);
  for (int s = 0; s < Stages; ++s) ptx::mbar_init(full + s, 1);
  ptx::fence_mbarrier_init();
  ptx::fence_proxy_async();
  i64 loaded = 0;
  int fill = 0;
  const auto load = [&] {
    const u32 n = bytes - loaded < Piece ? (u32)(bytes - loaded) : (u32)Piece;
    ptx::mbar_arrive_expect_tx(full + fill, n);
    ptx::bulk_load(staging + fill * Piece, from + loaded, n, full + fill);
    loaded += n;
    fill = fill + 1 < Stages ? fill + 1 : 0;
  };
  while (loaded < bytes && loaded < (i64)(Stages - kLag) * Piece) load();
  int s = 0;
  u32 phase = 0;
  for (i64 at = 0; at < bytes; at += Piece) {
    ptx::mbar_wait(full + s, phase);
    ptx::bulk_store(to + at, staging + s * Piece,
                    bytes - at < Piece ? (u32)(bytes - at) : (u32)Piece);
    ptx::bulk_commit();
    if (loaded < bytes) {
      ptx::bulk_wait_read<kLag>();  // the piece that the load fills is read
      load();
    }
    if (++s == Stages) {
      s = 0;
      phase ^= 1;
    }
  }
  ptx::bulk_wait<0>();
  for (int i = 0; i < Stages; ++i) ptx::mbar_inval(full + i);
}

}  // namespace detail

// As copy_run, through `staging` where both addresses are multiples of 16 bytes and there are
// `Least` bytes or more to move; else by the threads themselves. The bytes are written by the
// thread of lane 0: others see them behind a barrier, as they see each other's.
template <int Unroll, int Stages, int Piece, int Least, class T>
TS_DEVICE void copy_run_bulk(T* dst, const T* src, i64 count, int lane, int lanes, u8* staging) {
  TS_MOVE();
  if ((((u64)dst | (u64)src) & 15) != 0 || count * (i64)sizeof(T) < Least) {
    detail::copy_elements<Unroll, false>(dst, src, count, lane, lanes);
    return;
  }
  const i64 bytes = count * (i64)sizeof(T) / 16 * 16, moved = bytes / (i64)sizeof(T);
  if (lane == 0) detail::bulk_through<Stages, Piece>((u8*)dst, (const u8*)src, bytes, staging);
  detail::copy_words<1, false, T>(dst + moved, src + moved, count - moved, lane, lanes);
}

}  // namespace comm
}  // namespace ts
