// SPDX-License-Identifier: MIT
// Exact scalar arithmetic of the IR's types: what folding does, and what an interpreter of the IR
// must.
#pragma once

#include "compiler/ir/expr.h"

#include <cstdint>
#include <optional>

namespace tilescale::ir {

// Integers divided toward minus infinity; b is not 0, and the quotient fits.
template <typename Int>
constexpr Int FloorDivInt(Int a, Int b) {
  Int q = a / b;
  return (a % b != 0 && (a < 0) != (b < 0)) ? q - 1 : q;
}
template <typename Int>
constexpr Int FloorModInt(Int a, Int b) {
  return a - FloorDivInt(a, b) * b;
}

// The bits of `value` wrapped to the width of integer or bool type `t`, sign- or zero-extended
// to 64. A 64-bit unsigned value is kept as the int64 of the same bits.
int64_t WrapInt(int64_t value, DataType t);
// `value` rounded to nearest, ties to even, in float type `t`. The 8-bit and narrower formats
// saturate, as the conversions of the device do (cvt with .satfinite); f16, bf16 and wider overflow
// to infinity.
double RoundFloat(double value, DataType t);
// Is the integer `value` a value of integer type `t`?
bool FitsInt(int64_t value, DataType t);

// a op b on integers or bools of type `t` (comparisons: of the operands' type, the result 0 or 1).
// Nothing for division by zero, shifts by the width or more, and other opcodes.
std::optional<int64_t> EvalInt(OpCode op, int64_t a, int64_t b, DataType t);
// The same for floats; comparisons are EvalFloatCompare's.
std::optional<double> EvalFloat(OpCode op, double a, double b, DataType t);
std::optional<bool> EvalFloatCompare(OpCode op, double a, double b);
// A float as an integer, as a cast does it: toward zero; nothing where `t` cannot hold the result.
std::optional<int64_t> FloatToInt(double value, DataType t);

}  // namespace tilescale::ir
