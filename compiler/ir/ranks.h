// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace tilescale::ir {

// The most ranks of a world, as runtime/symm/heap.h and device/tilescale/ptx/peer.cuh have room
// for.
constexpr int64_t kMaxRanks = 72;

}  // namespace tilescale::ir
