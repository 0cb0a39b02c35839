// SPDX-License-Identifier: MIT
// Registers that move between the warps of a block (PTX "setmaxnreg").
#pragma once

#include "compiler/target/target.h"

#include <algorithm>
#include <cstdint>

namespace tilescale::target {

constexpr int64_t kMoveStep = 8;          // they move in multiples of it,
constexpr int64_t kFewestRegisters = 24;  // and a thread keeps at least so many
constexpr int64_t kMostRegisters = 256;

// What each thread of a block that has a multiprocessor to itself starts with.
constexpr int64_t LaunchedRegisters(int64_t threads) {
  int64_t share = kRegistersPerSm / std::max<int64_t>(threads, 1);
  return std::min(kMostRegisters, share / kMoveStep * kMoveStep);
}

}  // namespace tilescale::target
