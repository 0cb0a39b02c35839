// SPDX-License-Identifier: MIT
// What printer and parser agree on beyond the grammar (docs/ir.md): precedence, types of literals,
// and which words must be quoted.
#pragma once

#include "compiler/ir/expr.h"

#include <optional>
#include <string>
#include <string_view>

namespace tilescale::ir::text {

// Binding strength of an operator in infix form; 0 for opcodes written as calls.
int Precedence(OpCode op);
inline constexpr int kNotPrecedence = 3;
inline constexpr int kPrimary = 12;

// A literal without a type takes the type of its sibling operands: those of `op` from this index on
// have one type. Negative: the operands of `op` are independent.
int FirstShared(OpCode op);
// The type that untyped literals among `args` take: that of the first shared operand that is no
// literal. Nothing: their default, i32 or f32.
std::optional<DataType> LiteralType(OpCode op, const ffi::Array<Expr>& args);

// Letters, digits and _, and not a word of the grammar.
bool IsPlainWord(std::string_view word);
bool IsReserved(std::string_view word);
std::string Quote(std::string_view text);  // "a\nb"
std::string WordOrQuoted(std::string_view word);
// The same for names of instructions and targets, which may have points: "mma.m16n8k16".
std::string WordOrQuotedName(std::string_view name);

// The size of a dense buffer, as `sized` in its declaration means it: int64, element bits times
// shape.
Expr ElementBits(const BufferObj* b);

}  // namespace tilescale::ir::text
