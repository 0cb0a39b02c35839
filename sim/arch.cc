// SPDX-License-Identifier: MIT
#include "sim/arch.h"

#include "support/diagnostics.h"

#include <algorithm>

namespace tilescale::sim {
namespace {

constexpr u64 kKb = 1024;
constexpr u64 kReserved = kKb;  // of each CTA, for the system

// CUDA programming guide, "Technical Specifications per Compute Capability".
constexpr ArchLimits kLimits[] = {
    {"sm_80", 108, 2048, 32, 164 * kKb},  {"sm_86", 84, 1536, 16, 100 * kKb},
    {"sm_89", 142, 1536, 24, 100 * kKb},  {"sm_90", 132, 2048, 32, 228 * kKb},
    {"sm_100", 148, 2048, 32, 228 * kKb}, {"sm_103", 160, 2048, 32, 228 * kKb},
    {"sm_120", 188, 1536, 24, 100 * kKb},
};

}  // namespace

const ArchLimits& LimitsOf(const std::string& arch) {
  const std::string base =
      arch.substr(0, arch.size() - (!arch.empty() && (arch.back() == 'a' || arch.back() == 'f')));
  std::string known;
  for (const ArchLimits& l : kLimits) {
    if (base == l.arch) return l;
    known += std::string(known.empty() ? "" : ", ") + l.arch;
  }
  throw Diag({}, "ValueError") << "the simulator does not know the architecture '" << arch
                               << "'; expected one of: " << known;
}

u32 SlotsOf(const std::string& arch, u32 threads, u64 shared_bytes) {
  const ArchLimits& l = LimitsOf(arch);
  u32 per_sm = std::min(l.blocks, l.threads / std::max(threads, 1u));
  per_sm = u32(std::min<u64>(per_sm, l.shared_bytes / (shared_bytes + kReserved)));
  return std::max(per_sm, 1u) * l.sms;
}

u64 MaxSharedBytes(const std::string& arch) {
  return LimitsOf(arch).shared_bytes - kReserved;
}

}  // namespace tilescale::sim
