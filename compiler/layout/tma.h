// SPDX-License-Identifier: MIT
// Which TMA boxes write a shared-memory layout.
#pragma once

#include "compiler/layout/layout.h"

#include <cstdint>
#include <span>
#include <vector>

namespace tilescale {

struct TmaPlan {
  struct BoxDim {
    int dim;  // of the global tensor
    int64_t extent;
    bool operator==(const BoxDim&) const = default;
  };
  struct Issue {
    int dim;
    int64_t step;  // in coordinates of the global dim
    int64_t n;
    int64_t shared_stride;  // elements
    bool operator==(const Issue&) const = default;
  };
  std::vector<BoxDim> box;    // innermost first; all other dims have box extent 1
  int64_t swizzle = 0;        // bytes: 0, 32, 64, 128
  std::vector<Issue> issues;  // one instruction for each combination
  int64_t align = 128;        // of the shared base address, bytes
};

// shared: tile -> addr, of the same rank as the tensor; global_strides: bytes a dim. The box is a
// dense run of address digits that each walk their own global dim by 1; what remains becomes a
// loop of instructions.
Expected<TmaPlan> PlanTma(const Layout& shared, std::span<const int64_t> global_strides, int bits);

}  // namespace tilescale
