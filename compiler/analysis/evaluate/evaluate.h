// SPDX-License-Identifier: MIT
// Evaluate: runs a program of the tile stage sequentially, in the order that I7 of docs/ir.md gives
// it. The oracle of tests and fuzzer. It shares no code with passes and lowerings: of the compiler
// it uses the IR, the ops' own `evaluate`, and from ir/numeric.h the rounding of narrow floats.
//
// It takes what the builder made, or the result of any tile pass before a schedule is applied.
// Blocks run one after the other; the threads of a block run each statement in lockstep, collective
// statements once. It refuses, with the user's line, what needs concurrency (a wait for another
// group or block), reads of memory that nothing wrote, and on-chip indices out of range.
#pragma once

#include "compiler/ir/func.h"

namespace tilescale::analysis {

// `inputs` are the function's parameters in order: tensors in host memory, which are read and
// written in place, and numbers.
void Evaluate(const ir::Func& f, const ffi::Array<ffi::Any>& inputs);

}  // namespace tilescale::analysis
