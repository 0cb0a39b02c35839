// SPDX-License-Identifier: MIT
#include "sim/arch.h"

#include "support/diagnostics.h"

#include <algorithm>

namespace tilescale::sim {
namespace {

constexpr ArchLimits kLimits[] = {
#define TS_ARCH(name, generation, shared_per_block, shared_per_sm, threads, blocks, sms, features) \
  {name, sms, threads, blocks, shared_per_sm, shared_per_block},
#include "compiler/target/targets.def"
};

// Without the suffix of its feature set: "sm_90a" is "sm_90".
std::string_view Base(std::string_view arch) {
  if (!arch.empty() && (arch.back() == 'a' || arch.back() == 'f')) arch.remove_suffix(1);
  return arch;
}

}  // namespace

const ArchLimits& LimitsOf(const std::string& arch) {
  std::string known;
  for (const ArchLimits& l : kLimits) {
    if (Base(arch) == Base(l.arch)) return l;
    known += (known.empty() ? "" : ", ") + std::string(Base(l.arch));
  }
  throw Diag({}, "ValueError") << "the simulator does not know the architecture '" << arch
                               << "'; expected one of: " << known;
}

u32 SlotsOf(const std::string& arch, u32 threads, u64 shared_bytes) {
  const ArchLimits& l = LimitsOf(arch);
  u32 per_sm = std::min(l.blocks, l.threads / std::max(threads, 1u));
  const u64 reserved = l.shared_bytes - l.shared_per_block;
  per_sm = u32(std::min<u64>(per_sm, l.shared_bytes / (shared_bytes + reserved)));
  return std::max(per_sm, 1u) * l.sms;
}

u64 MaxSharedBytes(const std::string& arch) {
  return LimitsOf(arch).shared_per_block;
}

}  // namespace tilescale::sim
