// SPDX-License-Identifier: MIT
// What is known at a place of a program: one place that turns declarations into analyzer facts.
#pragma once

#include "compiler/arith/analyzer.h"

namespace tilescale::arith {

// Shapes, strides and sizes of the parameters are ≥ 0; block and thread variables are in their
// grids; Kernel.requires and the checks of the host hold.
void BindKernel(Analyzer* a, const ir::Func& f, const ir::Kernel& k);
// The range of the loop variables; conditions are the caller's to Assume. Undone by Leave(mark).
void BindLoop(Analyzer* a, const ir::ForObj* loop);
void BindParallel(Analyzer* a, const ir::ParallelObj* nest);

// Reads no memory, and of variables only what the arguments give: the host can evaluate it.
bool IsHostEvaluable(const ir::Expr& e, const ir::Func& f);

}  // namespace tilescale::arith
