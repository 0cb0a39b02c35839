// SPDX-License-Identifier: MIT
// The barriers that a kernel needs, and how they get into its text.
#pragma once

#include "compiler/analysis/covered.h"
#include "compiler/passes/passes.h"

#include <map>

namespace tilescale::sync {

struct Barrier {
  analysis::Cover kind = analysis::Cover::kNothing;
  analysis::Access first, second;  // why
  bool drain = false;    // a release comes behind asynchronous copies that nobody waited for
  bool in_head = false;  // at the end of the loop's head, not in front of the loop
};

// In front of these statements, or at the end of their heads.
using Barriers = std::map<const ir::StmtObj*, Barrier>;

// Puts the barriers into the kernel's text. A group of threads has a barrier of its own, with a
// number that the user does not name.
ir::Stmt PutBarriers(const ir::Kernel& k, const Barriers& barriers, PassContext* ctx);

}  // namespace tilescale::sync
