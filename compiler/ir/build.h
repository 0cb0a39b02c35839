// SPDX-License-Identifier: MIT
// Making nodes. Arithmetic constructors fold constants and unit cases; they never promote: both
// operands have one dtype (the Python builder promotes, ir/builder.h). Passes make nodes only
// through here.
#pragma once

#include "compiler/ir/func.h"

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace tilescale::ir {

Var MakeVar(std::string_view name, DataType dtype = Int(32));
Expr MakeConst(int64_t value, DataType dtype = Int(32));  // integers and bools; wraps to the width
Expr MakeFloat(double value, DataType dtype);             // rounds to the dtype
Expr MakeNumber(double value, DataType dtype);            // either
Expr MakeOp(OpCode op, std::vector<Expr> args, DataType dtype);  // folds
Expr Add(Expr a, Expr b);
Expr Sub(Expr a, Expr b);
Expr Mul(Expr a, Expr b);
Expr FloorDiv(Expr a, Expr b);
Expr FloorMod(Expr a, Expr b);
Expr CeilDiv(Expr a, Expr b);
Expr Min(Expr a, Expr b);
Expr Max(Expr a, Expr b);
Expr And(Expr a, Expr b);  // logical; a null operand is `true`
Expr Or(Expr a, Expr b);
Expr Not(Expr a);
Expr Compare(OpCode op, Expr a, Expr b);
inline Expr Lt(Expr a, Expr b) {
  return Compare(OpCode::kLt, std::move(a), std::move(b));
}
inline Expr Le(Expr a, Expr b) {
  return Compare(OpCode::kLe, std::move(a), std::move(b));
}
inline Expr Ge(Expr a, Expr b) {
  return Compare(OpCode::kGe, std::move(a), std::move(b));
}
inline Expr Eq(Expr a, Expr b) {
  return Compare(OpCode::kEq, std::move(a), std::move(b));
}
Expr If3(Expr cond, Expr a, Expr b);  // opcode `if`: lazy
Expr Select(Expr cond, Expr a, Expr b);
Expr Cast(Expr e, DataType dtype);
// With int32 constants.
inline Expr Add(Expr a, int64_t b) {
  DataType t = a.dtype();
  return Add(std::move(a), MakeConst(b, t));
}
inline Expr Mul(Expr a, int64_t b) {
  DataType t = a.dtype();
  return Mul(std::move(a), MakeConst(b, t));
}
inline Expr FloorDiv(Expr a, int64_t b) {
  DataType t = a.dtype();
  return FloorDiv(std::move(a), MakeConst(b, t));
}
inline Expr FloorMod(Expr a, int64_t b) {
  DataType t = a.dtype();
  return FloorMod(std::move(a), MakeConst(b, t));
}
inline Expr Lt(Expr a, int64_t b) {
  DataType t = a.dtype();
  return Lt(std::move(a), MakeConst(b, t));
}

// The value of an integer or bool literal.
std::optional<int64_t> AsInt(const Expr& e);
inline bool IsConst(const Expr& e, int64_t v) {
  auto c = AsInt(e);
  return c && *c == v;
}

Storage MakeStorage(std::string_view name, Space space, Root root, Expr bits = Expr());
Buffer MakeBuffer(std::string_view name, DataType dtype, std::vector<Expr> shape, Storage storage);
Expr MakeLoad(Buffer b, std::vector<Expr> index, Expr guard = Expr(), Expr other = Expr(),
              int lanes = 1);
Region MakeRegion(Buffer b, std::vector<Expr> begin, std::vector<Expr> extent);
Region FullRegion(Buffer b);
// How many elements `r` names, neighbours of the last dim; 0: not known, or of several dims.
int64_t NumNeighbours(const Region& r);
Expr MakeAddr(Region r);
Expr MakeAddr(Buffer b, std::vector<Expr> index,
              int64_t count = 1);  // `count` elements of the last dim
Expr MakeSlot(Token t, bool out, int64_t back = 0, bool phase = false);

Stmt MakeSeq(std::vector<Stmt> stmts);  // flattens, drops nulls
Stmt MakeBind(Var v, Expr value, Span span);
Stmt MakeStore(Buffer b, std::vector<Expr> index, Expr value, Span span, Expr guard = Expr());
Stmt MakeFor(Var v, Expr extent, Stmt body, Span span, ForKind kind = ForKind::kSerial);
Stmt MakeIf(Expr cond, Stmt then_case, Span span, Stmt else_case = Stmt());
Stmt MakeParallel(std::vector<Var> vars, std::vector<Expr> extents, Stmt body, Span span);
Stmt MakeCall(std::string_view instr, std::vector<Expr> args, Span span,
              std::vector<Expr> results = {}, std::string_view text = "");
Stmt MakeTokenOp(TokenVerb verb, Token token, Span span, int64_t pending = 0);
TileOp MakeTileOp(std::string_view op, std::vector<ffi::Any> args, Span span);
Token MakeToken(std::string_view name, Done kind, int64_t depth);

// Constant shape of an on-chip buffer (they are constants).
std::vector<int64_t> ConstShape(const Buffer& b);
int64_t NumElements(const Buffer& b);
int64_t StorageBytes(const Buffer& b);     // of an on-chip buffer; sub-byte elements are packed
std::vector<Stmt> StmtsOf(const Stmt& s);  // the elements of a Seq, or the statement itself

}  // namespace tilescale::ir
