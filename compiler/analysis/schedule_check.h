// SPDX-License-Identifier: MIT
// The verifier of schedules, run before anything changes:
//   S1  each unit runs exactly once per iteration               (BuildModel)
//   S2  every dependence is ordered, in a role or by a pipe     (schedule_run.cc)
//   S3  a slot is filled again after all its releases           (schedule_run.cc)
//   S4  acquire/commit and wait/release balance
//   S5  the roles never wait for each other in a circle         (schedule_run.cc)
//   S6  shared memory, registers and barriers suffice
// A schedule that breaks a rule is the user's error.
#pragma once

#include "compiler/analysis/schedule_model.h"
#include "compiler/target/target.h"

namespace tilescale::analysis {

void CheckSchedule(const Model& model, const target::Target& target);
// S2, S3, S5: runs the schedule for a few iterations of each loop.
void CheckOrder(const Model& model);

}  // namespace tilescale::analysis
