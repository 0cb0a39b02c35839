// SPDX-License-Identifier: MIT
// Values of the sequential oracle and the meaning of each opcode on them. Written apart from
// folding (ir/fold.cc), which it is there to check.
#pragma once

#include "compiler/ir/expr.h"
#include "compiler/ops/tile_op.h"

#include <cstdint>
#include <string>

namespace tilescale::analysis {

// Integers and bools in `i` (unsigned 64-bit values as the int64 of the same bits), floats in `f`.
struct Value {
  int64_t i = 0;
  double f = 0;
};

// A program that the oracle cannot give a value to; the statement that was running names the line.
struct Refusal {
  const char* kind;  // of the Python exception
  std::string text;
};

Value FromReal(Real x, ir::DataType t);  // rounds; integers wrap
Real ToReal(Value v, ir::DataType t);
Value FromBits(uint64_t bits, ir::DataType t);
uint64_t ToBits(Value v, ir::DataType t);
Value CastValue(Value v, ir::DataType from, ir::DataType to);
inline bool IsTrue(Value v, ir::DataType t) {
  return ir::IsFloat(t) ? v.f != 0 : v.i != 0;
}

// op(args…) for opcodes that evaluate all operands. `t` is the operands' type.
Value Apply(ir::OpCode op, ir::DataType t, const Value* args, size_t count);

}  // namespace tilescale::analysis
