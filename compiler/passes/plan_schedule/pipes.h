// SPDX-License-Identifier: MIT
// The pipes and steps of a loop whose units have their shifts: every buffer that more than one
// iteration uses at a time gets as many versions as are in use, no more.
#pragma once

#include "compiler/passes/plan_schedule/loop.h"

#include <string>
#include <vector>

namespace tilescale::plan {

struct PipePlan {
  std::vector<ir::Buffer> buffers;
  int64_t depth = 1;
  bool async = false;
  int64_t fill_shift = 0, wait_shift = 0;
  // Ranks, places among the units of an iteration: of the first and the last unit that fill it, and
  // of the unit that its wait stands before.
  size_t first_fill = 0, last_fill = 0, wait = 0;
  bool registers() const { return ir::IsRegister(buffers[0]->space()); }
  int64_t Bytes() const;  // of shared memory, of one version
};

struct Steps {
  std::vector<size_t> order;  // units, by rank
  std::vector<PipePlan> pipes;
  int64_t SharedBytes() const;
};

// `kernel` declares the buffers. Raises where two iterations would fill one slot at a time.
Steps PlanSteps(const ir::Kernel& kernel, const Loop& loop);

}  // namespace tilescale::plan
