// SPDX-License-Identifier: MIT
// Which shared buffers and mbarriers of a kernel may have the same bytes, and where each goes:
// PlaceMemory decides by it, and who asks for more shared memory sees what is left.
#pragma once

#include "compiler/ir/stmt.h"

#include <string>
#include <unordered_map>
#include <vector>

namespace tilescale::analysis {

struct Life {
  ir::Buffer buffer;  // or
  ir::Token token;    // its mbarriers: `full` of each slot, then `empty`
  const ir::NodeObj* key() const {
    return buffer.defined() ? static_cast<const ir::NodeObj*>(buffer.get()) : token.get();
  }
  std::string name() const { return std::string(buffer.defined() ? buffer->name : token->name); }
  int64_t bytes = 0, align = 16;
  int first = -1, last = -1;  // statement numbers
  int declared = 0;
  int64_t offset = -1;
  bool pinned = false;  // mbarriers live as long as the kernel
};

struct Lives {
  std::vector<Life> all;
  std::unordered_map<const ir::StmtObj*, int> at;  // the number of each statement
};

// Of a kernel's body at any stage. What is used inside a loop, branch or group that its declaration
// is outside of lives for the whole of it.
Lives LivesOf(const ir::Stmt& body);

// Gives each its offset, by first fit over decreasing sizes; the bytes of them all. With `reuse`
// lives that do not overlap share bytes.
int64_t Place(std::vector<Life>* lives, bool reuse);

}  // namespace tilescale::analysis
