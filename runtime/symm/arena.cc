// SPDX-License-Identifier: MIT
#include "runtime/symm/arena.h"

#include "support/diagnostics.h"

#include <algorithm>
#include <iterator>

namespace tilescale::runtime {

int64_t Arena::Allocate(int64_t bytes) {
  const int64_t size = (std::max<int64_t>(bytes, 1) + kAlign - 1) / kAlign * kAlign;
  for (auto it = free_.begin(); it != free_.end(); ++it) {
    const auto [offset, gap] = *it;
    if (gap < size) continue;
    free_.erase(it);
    if (gap > size) free_[offset + size] = gap - size;
    used_[offset] = size;
    return offset;
  }
  if (size > capacity_ - end_) return -1;
  const int64_t offset = end_;
  end_ += size;
  used_[offset] = size;
  return offset;
}

void Arena::Free(int64_t offset) {
  const auto block = used_.find(offset);
  TS_CHECK(block != used_.end()) << "no block starts at offset " << offset;
  int64_t size = block->second;
  used_.erase(block);
  const auto next = free_.lower_bound(offset);
  if (next != free_.end() && next->first == offset + size) {
    size += next->second;
    free_.erase(next);
  }
  const auto after = free_.lower_bound(offset);
  if (after != free_.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second == offset) {
      offset = before->first;
      size += before->second;
      free_.erase(before);
    }
  }
  if (offset + size == end_) {
    end_ = offset;
  } else {
    free_[offset] = size;
  }
}

int64_t Arena::SizeOf(int64_t offset) const {
  const auto block = used_.find(offset);
  return block == used_.end() ? 0 : block->second;
}

}  // namespace tilescale::runtime
