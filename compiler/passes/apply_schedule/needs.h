// SPDX-License-Identifier: MIT
// Which declarations a statement needs: Binds, Views and Allocs are emitted where they are read.
#pragma once

#include "compiler/ir/stmt.h"

#include <unordered_set>

namespace tilescale::schedule {

class Needs {
 public:
  void Add(const ir::Node& node);
  // Is what `s` declares needed? Then, so is what its own text names.
  bool Take(const ir::Stmt& s);

 private:
  std::unordered_set<const ir::NodeObj*> symbols_;  // Vars, Buffers, Storages
};

}  // namespace tilescale::schedule
