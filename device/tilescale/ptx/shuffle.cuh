// SPDX-License-Identifier: MIT
// Exchange between the lanes of a warp: shuffles, votes, matches, reductions, election (PTX
// "shfl.sync, vote.sync, match.sync, redux.sync, elect.sync, activemask"). Called by all lanes of
// `mask`, the caller among them, together; lanes that have exited are not waited for. Registers
// only: they order no memory.
#pragma once
#include <tilescale/ptx/config.cuh>

namespace ts {
namespace ptx {
namespace detail {
// 2-byte values travel as 4.
#define TS_SHUFFLE(intrinsic, arg)                                       \
  if constexpr (sizeof(T) == 2)                                          \
    return bits<T>((u16)intrinsic(mask, (u32)bits<u16>(v), arg, width)); \
  else if constexpr (sizeof(T) == 4)                                     \
    return bits<T>(intrinsic(mask, bits<u32>(v), arg, width));           \
  else                                                                   \
    return bits<T>(intrinsic(mask, bits<u64>(v), arg, width));
}  // namespace detail

// The warp is cut into segments of `width` lanes (a power of two). Each returns the v of another
// lane of the segment, or the caller's own if that lane lies outside it. T: 2, 4 or 8 bytes. idx:
// lane `lane % width`.
template <class T>
TS_DEVICE T shfl_idx(T v, int lane, int width = 32, u32 mask = 0xffffffffu) {
  TS_SHUFFLE(__shfl_sync, lane)
}
// xor: lane `own ^ lane_mask`.
template <class T>
TS_DEVICE T shfl_xor(T v, int lane_mask, int width = 32, u32 mask = 0xffffffffu) {
  TS_SHUFFLE(__shfl_xor_sync, lane_mask)
}
// up: lane `own - delta`; the lowest lanes keep their own.
template <class T>
TS_DEVICE T shfl_up(T v, int delta, int width = 32, u32 mask = 0xffffffffu) {
  TS_SHUFFLE(__shfl_up_sync, delta)
}
// down: lane `own + delta`; the highest lanes keep their own.
template <class T>
TS_DEVICE T shfl_down(T v, int delta, int width = 32,
                      u32 mask = 0xffffffffu){TS_SHUFFLE(__shfl_down_sync, delta)}
#undef TS_SHUFFLE

TS_DEVICE bool vote_any(bool pred, u32 mask = 0xffffffffu) {
  return __any_sync(mask, pred);
}
TS_DEVICE bool vote_all(bool pred, u32 mask = 0xffffffffu) {
  return __all_sync(mask, pred);
}
// Bit l is the pred of lane l.
TS_DEVICE u32 vote_ballot(bool pred, u32 mask = 0xffffffffu) {
  return __ballot_sync(mask, pred);
}

// The lanes of `mask` whose v has the same bits as the caller's. T: 4 or 8 bytes.
template <class T>
TS_DEVICE u32 match_any(T v, u32 mask = 0xffffffffu) {
  if constexpr (sizeof(T) == 4)
    return __match_any_sync(mask, bits<u32>(v));
  else
    return __match_any_sync(mask, bits<u64>(v));
}
// `mask` if all its lanes have the same bits, else 0.
template <class T>
TS_DEVICE u32 match_all(T v, u32 mask = 0xffffffffu) {
  int same;
  if constexpr (sizeof(T) == 4)
    return __match_all_sync(mask, bits<u32>(v), &same);
  else
    return __match_all_sync(mask, bits<u64>(v), &same);
}

// Reductions over the lanes of `mask`, the result in each (sm_80). T: i32 or u32 for add, min, max.
TS_DEVICE i32 redux_add(i32 v, u32 mask = 0xffffffffu) {
  return __reduce_add_sync(mask, v);
}
TS_DEVICE u32 redux_add(u32 v, u32 mask = 0xffffffffu) {
  return __reduce_add_sync(mask, v);
}
TS_DEVICE i32 redux_min(i32 v, u32 mask = 0xffffffffu) {
  return __reduce_min_sync(mask, v);
}
TS_DEVICE u32 redux_min(u32 v, u32 mask = 0xffffffffu) {
  return __reduce_min_sync(mask, v);
}
TS_DEVICE i32 redux_max(i32 v, u32 mask = 0xffffffffu) {
  return __reduce_max_sync(mask, v);
}
TS_DEVICE u32 redux_max(u32 v, u32 mask = 0xffffffffu) {
  return __reduce_max_sync(mask, v);
}
TS_DEVICE u32 redux_and(u32 v, u32 mask = 0xffffffffu) {
  return __reduce_and_sync(mask, v);
}
TS_DEVICE u32 redux_or(u32 v, u32 mask = 0xffffffffu) {
  return __reduce_or_sync(mask, v);
}
TS_DEVICE u32 redux_xor(u32 v, u32 mask = 0xffffffffu) {
  return __reduce_xor_sync(mask, v);
}

// True in one lane of `mask`, the same at each call with that mask.
TS_DEVICE bool elect_one(u32 mask = 0xffffffffu) {
#if __CUDA_ARCH__ >= 900
  u32 elected;
  asm volatile(
      "{\n.reg .pred p;\n"
      "elect.sync _|p, %1;\n"
      "selp.u32 %0, 1, 0, p;\n}"
      : "=r"(elected)
      : "r"(mask));
  return elected;
#else
  __syncwarp(mask);
  return lane_id() == __ffs(mask) - 1;
#endif
}

// The lanes that run this instruction together with the caller; says nothing about later ones.
TS_DEVICE u32 activemask() {
  return __activemask();
}

}  // namespace ptx
}  // namespace ts
