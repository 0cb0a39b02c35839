// SPDX-License-Identifier: MIT
// The program of one role: its steps of every segment, with what they read declared before them;
// loops with a prologue and a drain for the shifts.
#pragma once

#include "compiler/analysis/schedule_model.h"

#include <map>
#include <vector>

namespace tilescale::schedule {

// The tokens of the pipes, by index.
using Tokens = std::vector<ir::Token>;

// Does `s` declare shared memory, which all roles see?
bool DeclaresShared(const ir::Stmt& s);

// Sets how many versions the buffer of a pipe has.
ir::Stmt WithVersions(const analysis::Model& model, const ir::Stmt& alloc);

ir::Stmt EmitRole(const analysis::Model& model, const Tokens& tokens, int role);

}  // namespace tilescale::schedule
