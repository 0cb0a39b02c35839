// SPDX-License-Identifier: MIT
// What the device and the Python side share: how many ranks there are, how reports become errors.
#pragma once

#include "sim/machine.h"

#include <string>

namespace tilescale::sim {

// N ranks in this process until all worlds are closed. Throws Diag if work is queued, or if a world
// of another size is open.
void OpenWorld(u32 ranks);
void CloseWorld();

// The knobs as they are now; a seed that was set by SetSeedOverride wins over the environment.
Config WithKnobs(const Config& config);
void SetSeedOverride(u64 seed);
void ClearSeedOverride();

// Raises a report as a Diag of its kind, and keeps it for LastReport.
void RaiseIfFound(const Report& report);
Report LastReport();

}  // namespace tilescale::sim
