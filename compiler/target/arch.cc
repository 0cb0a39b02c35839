// SPDX-License-Identifier: MIT
#include "compiler/target/target.h"

#include <algorithm>

namespace tilescale::target {
namespace {

// A family of architectures with the same instructions, as far as we use them.
enum class Family { kAmpere, kAda, kHopper, kBlackwell, kBlackwellConsumer };

Arch MakeArch(const char* name, int generation, int shared_per_block, int shared_per_sm,
              int threads_per_sm, int blocks_per_sm, int sms, Family family) {
  const bool fp8 = family != Family::kAmpere;
  const bool hopper = family != Family::kAmpere && family != Family::kAda;
  const bool blackwell = family == Family::kBlackwell || family == Family::kBlackwellConsumer;
  Arch arch{};
  arch.name = name;
  arch.generation = generation;
  arch.shared_per_block = shared_per_block;
  arch.shared_per_sm = shared_per_sm;
  arch.threads_per_sm = threads_per_sm;
  arch.blocks_per_sm = blocks_per_sm;
  arch.sms = sms;
  arch.has_cp_async = arch.has_ldmatrix = arch.has_mbarrier = arch.has_redux = true;
  arch.has_fp8_cvt = arch.has_fp8_mma = fp8;
  arch.has_stmatrix = arch.has_bulk = arch.has_tma = arch.has_cluster = hopper;
  arch.has_pdl = arch.has_elect = hopper;
  arch.has_vector_atomics = arch.has_bf16_atomics = hopper;
  arch.has_setmaxnreg = hopper;
  arch.has_wgmma = family == Family::kHopper;
  arch.has_tcgen05 = family == Family::kBlackwell;
  arch.has_vector_256 = blackwell;
  arch.tested = !blackwell;
  arch.cost = CostWeights{};
  return arch;
}

// "sm_90" for "sm_90a".
std::string_view WithoutSuffix(std::string_view name) {
  return !name.empty() && name.back() == 'a' ? name.substr(0, name.size() - 1) : name;
}

}  // namespace

const std::vector<Arch>& AllArchs() {
  using enum Family;
  static const auto* const archs = new std::vector<Arch>{
#define TS_ARCH(...) MakeArch(__VA_ARGS__),
#include "compiler/target/targets.def"
  };
  return *archs;
}

const Arch* FindArch(std::string_view name) {
  for (const Arch& arch : AllArchs()) {
    if (name == arch.name || name == WithoutSuffix(arch.name)) return &arch;
  }
  return nullptr;
}

// CUDA C++ Programming Guide, "Hardware Multithreading", and the occupancy calculator of the
// toolkit.
Occupancy BlocksPerSm(const Arch& arch, int64_t threads, int64_t registers, int64_t shared_bytes) {
  const auto round_up = [](int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; };
  const int64_t warps = std::max<int64_t>(1, round_up(threads, kWarpSize) / kWarpSize);
  const int64_t of_warp = round_up(std::max<int64_t>(1, registers) * kWarpSize, kRegisterUnit);
  const int64_t warps_by_registers =
      kRegistersPerSm / kPartitionsPerSm / of_warp * kPartitionsPerSm;
  const int64_t of_block = round_up(shared_bytes + kSystemSharedBytes, kSharedUnit);
  Occupancy least{arch.blocks_per_sm, "blocks"};
  for (const Occupancy& other : {Occupancy{arch.warps_per_sm() / warps, "threads"},
                                 Occupancy{warps_by_registers / warps, "registers"},
                                 Occupancy{arch.shared_per_sm / of_block, "shared memory"}}) {
    if (other.blocks < least.blocks) least = other;
  }
  return least;
}

const Arch& DefaultArch() {
  static const Arch* const arch = FindArch("sm_90a");
  return *arch;
}

}  // namespace tilescale::target
