// SPDX-License-Identifier: MIT
// A set of threads of a block.
#pragma once

#include "compiler/target/target.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace tilescale::analysis {

class LaneSet {
 public:
  static LaneSet Range(int64_t first, int64_t count) {
    LaneSet out;
    for (int64_t i = first; i < first + count; ++i) out.Add(i);
    return out;
  }
  void Add(int64_t i) { words_[i / 64] |= uint64_t(1) << (i % 64); }
  bool Has(int64_t i) const { return (words_[i / 64] >> (i % 64) & 1) != 0; }
  bool Any() const {
    return std::any_of(words_.begin(), words_.end(), [](uint64_t w) { return w != 0; });
  }
  int64_t First() const {
    for (size_t i = 0; i < words_.size(); ++i) {
      if (words_[i] != 0) return static_cast<int64_t>(i) * 64 + std::countr_zero(words_[i]);
    }
    return -1;
  }
  int64_t Last() const {
    for (size_t i = words_.size(); i-- > 0;) {
      if (words_[i] != 0) return static_cast<int64_t>(i) * 64 + 63 - std::countl_zero(words_[i]);
    }
    return -1;
  }
  LaneSet& operator&=(const LaneSet& o) {
    for (size_t i = 0; i < words_.size(); ++i) words_[i] &= o.words_[i];
    return *this;
  }
  LaneSet& operator|=(const LaneSet& o) {
    for (size_t i = 0; i < words_.size(); ++i) words_[i] |= o.words_[i];
    return *this;
  }
  LaneSet& operator-=(const LaneSet& o) {
    for (size_t i = 0; i < words_.size(); ++i) words_[i] &= ~o.words_[i];
    return *this;
  }
  friend LaneSet operator&(LaneSet a, const LaneSet& b) { return a &= b; }
  friend LaneSet operator|(LaneSet a, const LaneSet& b) { return a |= b; }
  friend LaneSet operator-(LaneSet a, const LaneSet& b) { return a -= b; }
  friend bool operator==(const LaneSet& a, const LaneSet& b) { return a.words_ == b.words_; }

 private:
  std::array<uint64_t, target::kMaxThreadsPerBlock / 64> words_{};
};

}  // namespace tilescale::analysis
