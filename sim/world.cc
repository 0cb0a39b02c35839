// SPDX-License-Identifier: MIT
#include "sim/world.h"

#include "support/diagnostics.h"

#include <tvm/ffi/error.h>

#include <mutex>
#include <optional>

namespace tilescale::sim {
namespace {

std::mutex report_mutex;
u32 open_worlds = 0;
std::optional<u64> seed_override;

Report& Last() {
  static auto* report = new Report;
  return *report;
}

void SetRanks(u32 ranks) {
  Config c = Machine::Get().config();
  c.ranks = ranks;
  if (!Machine::Get().Reconfigure(c)) {
    throw Diag({}, "RuntimeError")
        << "the number of ranks cannot change while kernels are queued or run"
        << Help("synchronize first");
  }
}

}  // namespace

void OpenWorld(u32 ranks) {
  const u32 now = Machine::Get().config().ranks;
  if (open_worlds == 0) {
    SetRanks(ranks);
  } else if (ranks != now) {
    throw Diag({}, "RuntimeError") << "a simulated world of " << now << " ranks is open already"
                                   << Help("close it first, or open one of as many ranks");
  }
  ++open_worlds;
}

void CloseWorld() {
  TS_CHECK(open_worlds > 0) << "no world is open";
  if (open_worlds == 1) SetRanks(1);
  --open_worlds;
}

Config WithKnobs(const Config& config) {
  Config c = ConfigFromEnvironment(config);
  if (seed_override) c.seed = *seed_override;
  return c;
}

void SetSeedOverride(u64 seed) {
  seed_override = seed;
}

void ClearSeedOverride() {
  seed_override.reset();
}

void RaiseIfFound(const Report& report) {
  if (report.ok()) return;
  if (report.interrupted) throw tvm::ffi::EnvErrorAlreadySet();
  {
    const std::lock_guard lock(report_mutex);
    Last() = report;
  }
  throw Diag({}, report.kind) << report.text;
}

Report LastReport() {
  const std::lock_guard lock(report_mutex);
  return Last();
}

}  // namespace tilescale::sim
