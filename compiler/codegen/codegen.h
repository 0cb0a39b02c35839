// SPDX-License-Identifier: MIT
// Printers of machine IR. A back end is one folder; none sees another, and none chooses anything:
// what is printed was decided before.
#pragma once

#include "compiler/ir/func.h"
#include "compiler/target/target.h"

#include <string>

namespace tilescale::codegen {

// CUDA C++ over ts:: names (device/), the same text for the GPU and the simulator. All kernels of
// `f` in one source. `f` is at the machine stage, without TokenOps. Options.source_comments adds
// the user's line before each of its statements.
std::string EmitCuda(const ir::Func& f, const target::Target& target);

}  // namespace tilescale::codegen
