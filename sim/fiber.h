// SPDX-License-Identifier: MIT
// Stacks of fibers and the switch between them (fiber.S).
#pragma once

#include "sim/types.h"

namespace tilescale::sim {

// More than a thread's local memory on the hardware (512 KB). Pages never touched cost nothing.
constexpr u64 kStackBytes = u64{576} << 10;

extern "C" void ts_sim_switch(void** save, void* to);

// A stack from the pool, with a guard page below while the process has mappings to spare.
u8* TakeStack();
void GiveStack(u8* stack);
// The stack pointer of a fiber that will begin with entry().
void* PrepareStack(u8* stack, void (*entry)());

}  // namespace tilescale::sim
