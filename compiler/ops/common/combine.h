// SPDX-License-Identifier: MIT
// Associative operations as expressions: what reductions and scans combine values with.
#pragma once

#include "compiler/ir/build.h"

namespace tilescale::ops {

enum class Combiner : uint8_t { kSum, kMax, kMin, kBitAnd, kBitOr, kBitXor };

// The type in which values of `t` are combined: float32 for the narrower floats, 32 bits for the
// narrower integers and bool (their low bits are those of the narrow sum); shuffles move 4 or 8
// bytes.
ir::DataType AccumulatorOf(ir::DataType t);
// Combine(Identity, x) == x. `t` is an accumulator.
ir::Expr Identity(Combiner c, ir::DataType t);
// max and min ignore a NaN operand unless `nan`: then NaN wins.
ir::Expr Combine(Combiner c, bool nan, ir::Expr a, ir::Expr b);

}  // namespace tilescale::ops
