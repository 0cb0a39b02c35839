// SPDX-License-Identifier: MIT
// Definite assignment of registers (machine stage): which elements of a thread's local arrays and
// cells nothing has set where they are read. Only what is certain: in the first block, on every
// path to the read, in whatever iteration comes first. A value made of an unset one is unset, too;
// it counts where it leaves the registers: a store to memory, a branch, an address, an instruction
// with such effects. So a fragment's padding that is computed with and never stored is no finding.
#pragma once

#include "compiler/ir/func.h"

#include <vector>

namespace tilescale::analysis {

struct UnsetRead {
  ir::Storage storage;           // of the array or cell
  ir::Span read;                 // the first statement that read it
  ir::Span use;                  // where its value leaves the registers
  int64_t thread = 0, last = 0;  // first and last of the threads that do so
};

// In program order; one for each statement that uses such a value.
std::vector<UnsetRead> FindUnsetReads(const ir::Kernel& kernel);

}  // namespace tilescale::analysis
