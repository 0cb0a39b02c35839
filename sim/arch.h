// SPDX-License-Identifier: MIT
// What an architecture holds: how many CTAs are resident, how much shared memory one may have. The
// numbers are the compiler's rows (compiler/target/targets.def).
#pragma once

#include "sim/types.h"

#include <string>

namespace tilescale::sim {

struct ArchLimits {
  const char* arch;      // with the suffix of its feature set
  u32 sms;               // of the largest part sold
  u32 threads, blocks;   // of one SM
  u64 shared_bytes;      // of one SM
  u64 shared_per_block;  // the most that one CTA may have; what is left of an SM's is the system's
};

// Throws Diag("ValueError") for an architecture that is not simulated.
const ArchLimits& LimitsOf(const std::string& arch);
// CTAs that a rank holds at a time.
u32 SlotsOf(const std::string& arch, u32 threads, u64 shared_bytes);
// Most shared memory of one CTA.
u64 MaxSharedBytes(const std::string& arch);

}  // namespace tilescale::sim
