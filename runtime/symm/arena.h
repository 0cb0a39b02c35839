// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>

namespace tilescale::runtime {

/// Offsets of blocks in a row of bytes that grows at its end: what all ranks of a symmetric heap
/// agree on. First fit; neighbouring free blocks join; every block starts at a multiple of 256.
class Arena {
 public:
  static constexpr int64_t kAlign = 256;

  explicit Arena(int64_t capacity) : capacity_(capacity) {}

  /// -1 if no gap is large enough and the row cannot grow that far.
  int64_t Allocate(int64_t bytes);
  void Free(int64_t offset);
  /// The size that Allocate was asked for, rounded up; 0 if `offset` starts no block.
  int64_t SizeOf(int64_t offset) const;
  /// Bytes from the start to the end of the last block.
  int64_t end() const { return end_; }
  int64_t capacity() const { return capacity_; }

 private:
  int64_t capacity_;
  int64_t end_ = 0;
  std::map<int64_t, int64_t> free_;  // offset to size, all before end_
  std::map<int64_t, int64_t> used_;
};

}  // namespace tilescale::runtime
