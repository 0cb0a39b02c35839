// SPDX-License-Identifier: MIT
// Host tensors outside the arena that launches in flight use. Each has a copy in the arena with its
// exact bounds; what kernels changed goes back when the stream is synchronised.
#pragma once

#include "sim/types.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace tilescale::sim {

class HostRanges {
 public:
  struct Range {
    u8* host = nullptr;
    u64 bytes = 0;
    u32 rank = 0;
    u64 stream = 0;
    u8* copy = nullptr;  // in the arena
  };

  // Where bytes at `host` are in the arena, if an import of the same stream has them all; null
  // else, and `overlaps` says whether any import has a part of them.
  u8* Find(const Range& wanted, bool* overlaps) const {
    *overlaps = false;
    for (const Range& r : ranges_) {
      if (wanted.host >= r.host + r.bytes || r.host >= wanted.host + wanted.bytes) continue;
      const bool inside = wanted.host >= r.host && wanted.host + wanted.bytes <= r.host + r.bytes;
      if (inside && r.rank == wanted.rank && r.stream == wanted.stream) {
        return r.copy + (wanted.host - r.host);
      }
      *overlaps = true;
    }
    return nullptr;
  }
  void Add(const Range& range) { ranges_.push_back(range); }

  // Ends those for which `over(range)` holds; `free(copy)` gives their copies back.
  template <class Over, class Free>
  void End(const Over& over, bool copy_back, const Free& free) {
    std::erase_if(ranges_, [&](const Range& r) {
      if (!over(r)) return false;
      if (copy_back) CopyBack(r);
      free(r.copy);
      return true;
    });
  }

 private:
  // Kernels leave most of a tensor alone, and some host memory is read-only: only what differs
  // moves.
  static void CopyBack(const Range& r) {
    constexpr u64 kChunk = 64;
    for (u64 at = 0; at < r.bytes; at += kChunk) {
      const u64 n = std::min(kChunk, r.bytes - at);
      if (std::memcmp(r.host + at, r.copy + at, n) != 0) std::memcpy(r.host + at, r.copy + at, n);
    }
  }

  std::vector<Range> ranges_;
};

}  // namespace tilescale::sim
