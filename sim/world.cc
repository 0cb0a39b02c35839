// SPDX-License-Identifier: MIT
#include "sim/world.h"

#include "support/diagnostics.h"

#include <mutex>
#include <optional>

namespace tilescale::sim {
namespace {

std::mutex report_mutex;
bool world_open = false;
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
  SetRanks(ranks);
  world_open = true;
}

void CloseWorld() {
  SetRanks(1);
  world_open = false;
}

bool WorldIsOpen() {
  return world_open;
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
