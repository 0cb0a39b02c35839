// SPDX-License-Identifier: MIT
#pragma once

namespace tilescale {

// The most ranks of a world, as device/tilescale/ptx/peer.cuh has room for.
constexpr int kMaxRanks = 72;

}  // namespace tilescale
