// SPDX-License-Identifier: MIT
// Operations without folding, for the parser: what a text says is what it makes.
#pragma once

#include "compiler/ir/expr.h"

#include <optional>

namespace tilescale::ir {

// The node itself, nothing folded.
Expr RawOp(OpCode op, ffi::Array<Expr> args, DataType dtype);
// The result type that follows from the operands; nothing where the node must state it (casts,
// broadcasts) or where an operand is missing.
std::optional<DataType> InferType(OpCode op, const ffi::Array<Expr>& args);

}  // namespace tilescale::ir
