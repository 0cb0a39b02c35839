// SPDX-License-Identifier: MIT
// Versions of fragments. Registers have no addresses, so a slot is no index: the versions are
// buffers, the youngest is filled, and each acquire moves all of them one place on.
#pragma once

#include "compiler/ir/stmt.h"

#include <map>
#include <vector>

namespace tilescale::schedule {

class Rotation {
 public:
  // Declares the versions in place of the buffer.
  ir::Stmt Declare(const ir::AllocObj* alloc, int64_t depth);
  // The buffer that was filled `back` acquires ago.
  ir::Buffer Version(const ir::StorageObj* storage, int64_t back) const;
  // The acquire of iteration `at`, `shift` ahead of the loop: frees the youngest version. What was
  // never filled does not move.
  void Rotate(const ir::StorageObj* storage, const ir::Expr& at, int64_t shift,
              const ir::ForObj* loop, bool in_loop, std::vector<ir::Stmt>* out) const;

 private:
  std::map<const ir::StorageObj*, std::vector<ir::Buffer>> versions_;  // the oldest first
};

}  // namespace tilescale::schedule
