// SPDX-License-Identifier: MIT
// Counting bits, and conversions that C++ leaves undefined or inexact. One thread; pure.
#pragma once
#include <tilescale/ptx/config.cuh>

namespace ts {
namespace ptx {

// Bits that are one. PTX "popc.b64".
TS_DEVICE int popc(u64 x) {
  return __popcll(x);
}
// Zero bits above the highest one; 64 for 0. PTX "clz.b64".
TS_DEVICE int clz(u64 x) {
  return __clzll((i64)x);
}
// Number of the lowest one, from 1; 0 for 0. PTX "brev.b64", "bfind".
TS_DEVICE int ffs(u64 x) {
  return __ffsll((i64)x);
}

}  // namespace ptx
}  // namespace ts
