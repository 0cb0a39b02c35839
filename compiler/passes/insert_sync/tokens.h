// SPDX-License-Identifier: MIT
// Token protocol → instructions; slots and phases → counters.
#pragma once

#include "compiler/ir/func.h"

namespace tilescale::sync {

// cp_async tokens of one role: commit and wait_group; acquire and release emit nothing. Each side's
// slot is a register cell that goes 0 … depth-1 at every acquire (wait).
ir::Kernel LowerTokens(const ir::Kernel& k);

}  // namespace tilescale::sync
