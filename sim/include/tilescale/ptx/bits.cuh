// SPDX-License-Identifier: MIT
// Simulator twin: counting bits.
#pragma once
#include <tilescale/ptx/config.cuh>

namespace ts {
namespace ptx {

TS_DEVICE int popc(u64 x) {
  return __builtin_popcountll(x);
}
TS_DEVICE int clz(u64 x) {
  return x ? __builtin_clzll(x) : 64;
}
TS_DEVICE int ffs(u64 x) {
  return __builtin_ffsll((i64)x);
}

}  // namespace ptx
}  // namespace ts
