// SPDX-License-Identifier: MIT
// What a statement does to memory: the one model that scheduling, synchronisation,
// shared-memory reuse, the static race check and explain() read. One Effect per region, so that
// "the source may be reused" and "the result is visible" are separate.
#pragma once

#include "compiler/ir/expr.h"

#include <vector>

namespace tilescale::ir {

enum class Mode : uint8_t { kRead, kWrite, kAtomic };
enum class By : uint8_t { kThread, kWarp, kGroup, kOne };  // who issues the access
enum class Proxy : uint8_t { kGeneric, kAsync, kTensor };
enum class Order : uint8_t { kWeak, kRelaxed, kAcquire, kRelease, kAcqRel, kSeqCst };
enum class MemScope : uint8_t { kThread, kWarp, kCta, kCluster, kGpu, kSys };

struct Effect {
  Region region;  // a box in logical coordinates of its buffer
  Mode mode = Mode::kRead;
  By by = By::kThread;
  Proxy proxy = Proxy::kGeneric;
  Order order = Order::kWeak;
  MemScope scope = MemScope::kCta;
  Done done = Done::kProgram;
  bool exact = true;  // false: a data-dependent index widened a dimension
};
using Effects = std::vector<Effect>;

}  // namespace tilescale::ir
