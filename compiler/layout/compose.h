// SPDX-License-Identifier: MIT
// The core of composition, shared by Compose and OverDigits: walking a layout by affine steps.
#pragma once

#include "compiler/layout/layout.h"

#include <cstdint>

namespace tilescale {

// Walks layout A by digits whose steps move A's dims. A digit is split so that each part moves
// inside one digit of each group of A; then no sum of parts carries, if Finish() says so, and the
// digits of the sum are the sums of the digits.
class AffineWalk {
 public:
  // `a` in normal form, with every flattened name that a step will use already joined.
  explicit AffineWalk(const Layout& a);

  // n steps of v (strides over dims of A), as digits of A's places, innermost first. `top`: this
  // is the last digit of its index, so its last part may be ragged.
  Expected<ModeList> Walk(int64_t n, const Strides& v, bool top);

  // The constant: A's offset plus the place of `start`. Refused where digits would carry.
  Expected<Strides> Finish(const Strides& start) const;

 private:
  using PerGroup = FixedVec<int64_t, kMaxDims>;
  // Contribution of a vector over dims to the row-major index of every group.
  PerGroup Flatten(const Strides& v) const;

  struct Reach {
    int64_t radix = 1;  // product of the faster digits of the group
    int64_t lo = 0;     // least and greatest sum of the walked steps in this digit
    int64_t hi = 0;
  };
  const Layout& a_;
  FixedVec<Reach, kMaxModes + kMaxDims> reach_;  // per group: its digits, then the end
  FixedVec<int32_t, kMaxDims> begin_;            // of each group in reach_
};

// A with the flattened names among `axes` joined into groups of their own.
Expected<Layout> JoinFor(const Layout& a, std::span<const Axis> axes);

}  // namespace tilescale
