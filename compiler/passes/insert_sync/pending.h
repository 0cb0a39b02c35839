// SPDX-License-Identifier: MIT
// The accesses that no barrier has ordered yet, at one place of a walk in program order.
#pragma once

#include "compiler/analysis/covered.h"

#include <vector>

namespace tilescale::sync {

class Pending {
 public:
  void Add(analysis::Access b);
  void Add(const Pending& other) {
    for (const analysis::Access& a : other) Add(a);
  }

  // A barrier of all threads: only copies that nobody waited for are left.
  void Order();
  // A warp barrier orders what lanes of one warp did; for other warps it stays to be ordered.
  void OrderInWarps();
  // The issuing threads have observed the groups of copies before `commit`.
  void Complete(int64_t commit);
  // Of two paths that join the fewer commits count: what was committed on one only goes with the
  // next commit.
  void NotBehind(int64_t commit);
  // The slot just acquired was filled, read and released before: all of it is over for everyone.
  void Free(const ir::TokenObj* token, int64_t slot);
  // A loop may run not at all. What is asynchronous is waited for by tokens, which count skipped
  // iterations, too.
  void DropAsync();

  std::vector<analysis::Access>::const_iterator begin() const { return accesses_.begin(); }
  std::vector<analysis::Access>::const_iterator end() const { return accesses_.end(); }

 private:
  std::vector<analysis::Access> accesses_;
};

}  // namespace tilescale::sync
