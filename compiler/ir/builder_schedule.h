// SPDX-License-Identifier: MIT
// T.annotate_ws_schedule → Schedule.
#pragma once

#include "compiler/ir/builder.h"

namespace tilescale::ir {

// `args`: roles [name, first warp, end, nreg], pipes [name, buffers, depth], scopes [label of a
// loop or
// "" for the kernel, [[role, [[verb, subject, stage], …]], …]]. The steps of a scope go to the
// places of the ops that they name: before, in or behind the loops that have scopes. Ops between an
// acquire and its commit, or a wait and its release, have their stage.
Schedule MakeWsSchedule(const KernelObj* kernel, const std::vector<ffi::Any>& args);

}  // namespace tilescale::ir
