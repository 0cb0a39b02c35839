// SPDX-License-Identifier: MIT
// Simulator twin: shuffles, votes and other instructions of a warp. None of them orders memory.
#pragma once

#include <tilescale/ptx/config.cuh>

TS_SIM_API ts_u64 ts_sim_shfl(ts_u64 bits, int mode, int lane, int width, ts_u32 mask);
TS_SIM_API ts_u32 ts_sim_vote(int pred, int mode, ts_u32 mask);
TS_SIM_API bool ts_sim_elect(ts_u32 mask);
TS_SIM_API ts_u32 ts_sim_match(ts_u64 bits, int all, ts_u32 mask);
TS_SIM_API ts_u32 ts_sim_redux(ts_u32 bits, int op, ts_u32 mask);
TS_SIM_API ts_u32 ts_sim_activemask();

namespace ts::ptx {
constexpr u32 kFullWarp = 0xffffffffu;
#define TS_SIM_SHUFFLE(name, mode)                                                         \
  template <class T>                                                                       \
  TS_DEVICE T shfl_##name(T v, int lane, int width = 32, u32 mask = kFullWarp) {           \
    return detail::from_bits<T>(ts_sim_shfl(detail::to_bits(v), mode, lane, width, mask)); \
  }
TS_SIM_SHUFFLE(idx, 0)
TS_SIM_SHUFFLE(xor, 1)
TS_SIM_SHUFFLE(up, 2)
TS_SIM_SHUFFLE(down, 3)
#undef TS_SIM_SHUFFLE
TS_DEVICE bool vote_any(bool pred, u32 mask = kFullWarp) {
  return ts_sim_vote(pred, 0, mask) != 0;
}
TS_DEVICE bool vote_all(bool pred, u32 mask = kFullWarp) {
  return ts_sim_vote(pred, 1, mask) != 0;
}
TS_DEVICE u32 vote_ballot(bool pred, u32 mask = kFullWarp) {
  return ts_sim_vote(pred, 2, mask);
}
TS_DEVICE bool elect_one(u32 mask = kFullWarp) {
  return ts_sim_elect(mask);
}
template <class T>
TS_DEVICE u32 match_any(T v, u32 mask = kFullWarp) {
  return ts_sim_match(detail::to_bits(v), 0, mask);
}
template <class T>
TS_DEVICE u32 match_all(T v, u32 mask = kFullWarp) {
  return ts_sim_match(detail::to_bits(v), 1, mask);
}
TS_DEVICE u32 redux_add(u32 v, u32 mask = kFullWarp) {
  return ts_sim_redux(v, 0, mask);
}
TS_DEVICE u32 redux_min(u32 v, u32 mask = kFullWarp) {
  return ts_sim_redux(v, 1, mask);
}
TS_DEVICE u32 redux_max(u32 v, u32 mask = kFullWarp) {
  return ts_sim_redux(v, 2, mask);
}
TS_DEVICE int redux_add(int v, u32 mask = kFullWarp) {
  return (int)ts_sim_redux((u32)v, 0, mask);
}
TS_DEVICE int redux_min(int v, u32 mask = kFullWarp) {
  return (int)ts_sim_redux((u32)v, 3, mask);
}
TS_DEVICE int redux_max(int v, u32 mask = kFullWarp) {
  return (int)ts_sim_redux((u32)v, 4, mask);
}
TS_DEVICE u32 redux_and(u32 v, u32 mask = kFullWarp) {
  return ts_sim_redux(v, 5, mask);
}
TS_DEVICE u32 redux_or(u32 v, u32 mask = kFullWarp) {
  return ts_sim_redux(v, 6, mask);
}
TS_DEVICE u32 redux_xor(u32 v, u32 mask = kFullWarp) {
  return ts_sim_redux(v, 7, mask);
}
TS_DEVICE u32 activemask() {
  return ts_sim_activemask();
}
}  // namespace ts::ptx
