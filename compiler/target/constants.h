// SPDX-License-Identifier: MIT
// What is the same on every GPU that we target (CUDA C++ programming guide, "compute
// capabilities"); what differs is a column of targets.def. Integers only, so the layers below
// `target` may read them.
#pragma once

#include <cstdint>

namespace tilescale::target {

constexpr int kWarpSize = 32;
constexpr int64_t kAllLanes = 0xffffffff;  // the mask of a whole warp
constexpr int kWarpsPerWarpgroup = 4;      // neighbours that act together
constexpr int kMaxThreadsPerBlock = 1024;
constexpr int kMaxNamedBarriers = 16;  // id 0 is the block's own
constexpr int kMaxClusterBlocks = 8;   // without the non-portable attribute

constexpr int kRegistersPerSm = 65536;
constexpr int kMaxRegistersPerThread = 255;
constexpr int kRegisterBits = 32;
constexpr int kRegisterUnit = 256;   // a warp's registers are given in such pieces
constexpr int kPartitionsPerSm = 4;  // each with its own share of the registers

constexpr int kSharedUnit = 128;          // bytes: a block's shared memory is given in such pieces
constexpr int kSystemSharedBytes = 1024;  // of each block
// Above this a launch must raise the kernel's dynamic shared memory attribute.
constexpr int kDefaultSharedLimit = 49152;
// Shared memory serves one word of each bank at a time, global memory whole sectors.
constexpr int kBanks = 32, kBankBytes = 4, kSectorBytes = 32;
constexpr int kMaxAccessBytes = 16;  // one instruction of one thread, without vector_256

}  // namespace tilescale::target
