// SPDX-License-Identifier: MIT
// What the numbers of a PipelineHint say.
#pragma once

#include <cstdint>

namespace tilescale::ir {

// PipelineHint.stages: as many as fit.
constexpr int64_t kAutomaticStages = -1;
// An entry of PipelineHint.order and .stage: a copy that the compiler places.
constexpr int64_t kPlaced = -1;

}  // namespace tilescale::ir
