// SPDX-License-Identifier: MIT
// Which iteration each unit of a pipelined loop works for: from the user's order, stage and group,
// or, without them, copies `num_stages` - 1 iterations ahead.
#pragma once

#include "compiler/passes/plan_schedule/loop.h"

#include <string>
#include <vector>

namespace tilescale::plan {

// Sets positions, shifts and groups as the user wrote them; where an entry of order and stage is
// -1, the copy goes `stages` - 1 iterations ahead of its first reader. Raises what is wrong with
// the lists, or with what they ask for.
void ApplyHint(Loop* loop, int64_t stages);

// Moves the copies `ahead` iterations ahead, with what prepares them. False: there is no such copy.
// `refused`: why a copy stays in its iteration.
bool MoveCopies(Loop* loop, int64_t ahead, std::vector<std::string>* refused);

}  // namespace tilescale::plan
