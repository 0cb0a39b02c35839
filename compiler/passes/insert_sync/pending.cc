// SPDX-License-Identifier: MIT
#include "compiler/passes/insert_sync/pending.h"

#include <algorithm>
#include <utility>

namespace tilescale::sync {

using analysis::Access;

void Pending::Add(Access b) {
  for (const Access& a : accesses_) {
    if (a.storage == b.storage && a.place == b.place && a.write == b.write && a.slot == b.slot &&
        a.async == b.async && a.atomic == b.atomic && a.group == b.group && a.one == b.one &&
        a.release == b.release && a.acquire == b.acquire && a.group_of == b.group_of &&
        a.in_warp == b.in_warp) {
      return;
    }
  }
  accesses_.push_back(std::move(b));
}

void Pending::Order() {
  std::erase_if(accesses_, [](const Access& a) { return !a.async; });
}

void Pending::OrderInWarps() {
  for (Access& a : accesses_) a.in_warp = a.in_warp || !a.async;
}

void Pending::Complete(int64_t commit) {
  for (Access& a : accesses_) {
    if (a.async && a.group < commit) a.async = false;
  }
}

void Pending::NotBehind(int64_t commit) {
  for (Access& a : accesses_) a.group = std::min(a.group, commit);
}

void Pending::Free(const ir::TokenObj* token, int64_t slot) {
  std::erase_if(accesses_, [&](const Access& a) {
    return a.token == token && (slot - a.slot) % token->depth == 0;
  });
}

void Pending::DropAsync() {
  std::erase_if(accesses_, [](const Access& a) { return a.async; });
}

}  // namespace tilescale::sync
