// SPDX-License-Identifier: MIT
// Simulator twin: ranks and the symmetric heap.
#pragma once

#include <tilescale/ptx/config.cuh>

TS_SIM_API void* ts_sim_peer(const void* p, int rank);

namespace ts {
TS_DEVICE int rank() {
  return ts_sim_id(14);
}
TS_DEVICE int num_ranks() {
  return ts_sim_id(15);
}
// The same place of the symmetric heap on another rank.
template <class T>
TS_DEVICE T* peer(T* p, int rank) {
  return (T*)ts_sim_peer((const void*)p, rank);
}
}  // namespace ts
