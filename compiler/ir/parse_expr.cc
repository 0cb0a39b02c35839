// SPDX-License-Identifier: MIT
#include "compiler/ir/build.h"
#include "compiler/ir/fold.h"
#include "compiler/ir/numeric.h"
#include "compiler/ir/parser.h"
#include "compiler/ir/text_rules.h"
#include "compiler/ir/visit.h"
#include "support/strings.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace tilescale::ir::text {
namespace {

constexpr int kMaxDepthOfExpr = 4000;

// The opcode of an infix operator at this lexeme.
std::optional<OpCode> InfixAt(const Lexeme& l) {
  if (l.kind != LexKind::kWord && l.kind != LexKind::kPunct) return std::nullopt;
  const int code = FindOpCode(l.text);
  if (code < 0 || Precedence(static_cast<OpCode>(code)) == 0) return std::nullopt;
  return static_cast<OpCode>(code);
}

bool IsLogic(OpCode op) {
  return op == OpCode::kAnd || op == OpCode::kOr || op == OpCode::kNot;
}

bool IsShift(OpCode op) {
  return op == OpCode::kShl || op == OpCode::kShr;
}

std::string UnknownFunction(std::string_view name) {
  std::vector<std::string> known = {"ceildiv"};
#define TS_OPCODE(code, text, arity, cls) known.emplace_back(text);
#include "compiler/ir/opcodes.def"
  std::string message = "unknown function `" + std::string(name) + "`";
  const std::string near = ClosestName(name, known);
  return near.empty() ? message : message + "; did you mean `" + near + "`?";
}

}  // namespace

Operand Parser::Typed(Expr e, const Lexeme& at) const {
  Operand operand;
  operand.expr = std::move(e);
  operand.at = &at;
  return operand;
}

Expr Parser::Finish(const Operand& operand, std::optional<DataType> context) const {
  if (operand.expr.defined()) return operand.expr;
  const DataType dtype = context ? *context : operand.is_float ? Float(32) : Int(32);
  if (IsFloat(dtype)) {
    const double value = operand.is_float ? operand.number
                                          : std::copysign(static_cast<double>(operand.magnitude),
                                                          operand.negative ? -1.0 : 1.0);
    return MakeFloat(value, dtype);
  }
  if (operand.is_float || IsBool(dtype)) {
    FailAt(*operand.at, "expected a value of type " + ShortName(dtype) + ", got a number");
  }
  const bool is_unsigned = !IsInt(dtype);
  const int bits = IsHandle(dtype) ? 64 : dtype.bits;
  const auto magnitude = static_cast<__int128>(operand.magnitude);
  const __int128 value = operand.negative ? -magnitude : magnitude;
  const __int128 limit = static_cast<__int128>(1) << (is_unsigned ? bits : bits - 1);
  if (value >= limit || value < (is_unsigned ? 0 : -limit)) {
    FailAt(*operand.at, "the number does not fit in " + ShortName(dtype));
  }
  return MakeConst(static_cast<int64_t>(value), dtype);
}

Expr Parser::Value(std::optional<DataType> context) {
  return Finish(Infix(0), context);
}

std::vector<Expr> Parser::Values(std::string_view close) {
  std::vector<Expr> values;
  while (!Is(close)) {
    if (!values.empty()) Expect(",");
    values.push_back(Value());
  }
  Expect(close);
  return values;
}

Operand Parser::Combine(const Lexeme& at, OpCode op, std::vector<Operand> operands,
                        std::optional<DataType> dtype) const {
  const OpInfo& info = Info(op);
  if (info.arity >= 0 && static_cast<int>(operands.size()) != info.arity) {
    FailAt(at, std::string(info.text) + " takes " + std::to_string(info.arity) + " operands, got " +
                   std::to_string(operands.size()));
  }
  const int first = FirstShared(op);
  // What an untyped literal takes its type from is a sibling that is no literal.
  std::optional<DataType> context;
  for (size_t i = 0; first >= 0 && i < operands.size(); ++i) {
    const Expr& e = operands[i].expr;
    if (static_cast<int>(i) < first || !e.defined() || e.as<ConstObj>() != nullptr || context)
      continue;
    context = e.dtype();
  }
  std::vector<Expr> args;
  for (size_t i = 0; i < operands.size(); ++i) {
    args.push_back(Finish(operands[i], static_cast<int>(i) >= first ? context : std::nullopt));
  }
  const bool cond_first = op == OpCode::kIf || op == OpCode::kSelect;
  for (size_t i = 0; i < args.size(); ++i) {
    const bool condition = IsLogic(op) || (cond_first && i == 0);
    if (condition && !IsBool(args[i].dtype())) {
      FailAt(at, std::string(info.text) + " needs a bool, got " + ShortName(args[i].dtype()));
    }
    const bool typed = !dtype && first >= 0 && static_cast<int>(i) > first && !IsShift(op);
    if (typed && info.cls != OpClass::kVector && !SameType(args[i].dtype(), args[first].dtype())) {
      FailAt(at, "operands of " + std::string(info.text) + " have types " +
                     ShortName(args[first].dtype()) + " and " + ShortName(args[i].dtype()));
    }
  }
  ffi::Array<Expr> array(args.begin(), args.end());
  if (!dtype) dtype = InferType(op, array);
  if (!dtype)
    FailAt(at, std::string(info.text) + " needs its result type: " + info.text + ".f32(…)");
  Operand made = Typed(RawOp(op, std::move(array), *dtype), at);
  for (const Operand& operand : operands) made.depth = std::max(made.depth, operand.depth + 1);
  if (made.depth > kMaxDepthOfExpr) {
    FailAt(at, "an expression of more than " + std::to_string(kMaxDepthOfExpr) + " levels");
  }
  return made;
}

Operand Parser::Infix(int min_precedence) {
  Nested nested(this);
  Operand left = Unary();
  bool compared = false;
  while (std::optional<OpCode> op = InfixAt(Now())) {
    const int precedence = Precedence(*op);
    if (precedence < min_precedence) break;
    const bool compare = Info(*op).cls == OpClass::kCompare;
    if (compare && compared) Fail("comparisons do not chain; write a < b and b < c");
    compared = compare;
    const Lexeme& at = Take();
    Operand right = Infix(precedence + 1);
    left = Combine(at, *op, {std::move(left), std::move(right)}, std::nullopt);
  }
  return left;
}

Operand Parser::Unary() {
  const Lexeme& at = Now();
  if (Accept("not")) return Combine(at, OpCode::kNot, {Infix(kNotPrecedence)}, std::nullopt);
  if (Accept("~")) {
    Nested nested(this);
    Operand operand = Unary();
    return Combine(at, OpCode::kBitNot, {std::move(operand)}, std::nullopt);
  }
  return Primary();
}

Operand Parser::Literal(bool negative) {
  const Lexeme& at = Take();
  Operand operand;
  operand.at = &at;
  operand.negative = negative;
  const char* begin = at.text.data();
  const char* end = begin + at.text.size();
  std::from_chars_result result{};
  if (at.kind == LexKind::kInt) {
    result = std::from_chars(begin, end, operand.magnitude);
  } else {
    operand.is_float = true;
    if (at.text == "inf") {
      operand.number = std::numeric_limits<double>::infinity();
    } else if (at.text == "nan") {
      operand.number = std::numeric_limits<double>::quiet_NaN();
    } else {
      result = std::from_chars(begin, end, operand.number);
    }
    if (negative) operand.number = -operand.number;
  }
  if (result.ec != std::errc()) FailAt(at, "number out of range");
  return operand;
}

Operand Parser::Primary() {
  const Lexeme& at = Now();
  if (Accept("(")) {
    Operand inner = Infix(0);
    Expect(")");
    return inner;
  }
  auto is_number = [](const Lexeme& l) {
    return l.kind == LexKind::kInt || l.kind == LexKind::kFloat || IsAt(l, "inf") || IsAt(l, "nan");
  };
  if (is_number(at)) return Literal(false);
  if (Is("-") && is_number(Ahead(1))) {
    Take();
    return Literal(true);
  }
  if (Accept("&")) return Typed(MakeAddr(RegionValue()), at);
  if (at.kind == LexKind::kSymbol) return SymbolExpr();
  if (at.kind == LexKind::kWord) return WordExpr();
  Fail("expected an expression, got " + Shown(at));
}

Operand Parser::WordExpr() {
  const Lexeme& at = Now();
  if (Is("true") || Is("false")) {
    Take();
    return Typed(MakeConst(at.text == "true", Bool()), at);
  }
  if (IsAt(Ahead(1), "(")) {
    if (std::optional<DataType> dtype = ParseType(at.text)) {
      Take();
      return TypedLiteral(*dtype);
    }
  }
  return CallForm();
}

// "i64(5)", "bf16x2(0.5)".
Operand Parser::TypedLiteral(DataType dtype) {
  const Lexeme& at = Take();  // (
  const bool negative = Accept("-");
  const Lexeme& number = Now();
  if (Is("true") || Is("false")) {
    Take();
    Expect(")");
    if (!IsBool(dtype)) FailAt(number, "expected a number of type " + ShortName(dtype));
    return Typed(MakeConst(number.text == "true", dtype), at);
  }
  const bool is_number =
      number.kind == LexKind::kInt || number.kind == LexKind::kFloat || Is("inf") || Is("nan");
  if (!is_number) Fail("expected a number of type " + ShortName(dtype) + ", got " + Shown(number));
  Operand literal = Literal(negative);
  Expect(")");
  if (IsBool(dtype) && !literal.is_float)
    return Typed(MakeConst(literal.magnitude != 0, dtype), at);
  return Typed(Finish(literal, dtype), at);
}

// "exp2(%x)", "cast.f16(%x)", "op\"+\".i64(%x, %y)".
Operand Parser::CallForm() {
  const Lexeme& at = Take();
  std::string name(at.text);
  if (name == "op" && Now().kind == LexKind::kString) name = Unescape(Take());
  std::optional<DataType> dtype;
  if (Is(".") && Ahead(1).kind == LexKind::kWord) {
    Take();
    dtype = Type();
  }
  const int code = FindOpCode(name);
  const bool ceildiv = name == "ceildiv";
  if (!Is("(")) FailAt(at, "expected an expression, got " + Shown(at));
  if (code < 0 && !ceildiv) FailAt(at, UnknownFunction(name));
  Expect("(");
  std::vector<Operand> operands;
  while (!Is(")")) {
    if (!operands.empty()) Expect(",");
    operands.push_back(Infix(0));
  }
  Expect(")");
  if (!ceildiv) return Combine(at, static_cast<OpCode>(code), std::move(operands), dtype);
  // Sugar for texts written by hand: it is printed as the division it means.
  Operand sum = Combine(at, OpCode::kFloorDiv, std::move(operands), dtype);
  const OpObj* division = sum.expr.as<OpObj>();
  return Typed(CeilDiv(division->args[0], division->args[1]), at);
}

Expr Parser::SlotExpr(const Token& token) {
  Expect(".");
  const Lexeme& at = Take();
  const bool phase = at.text.starts_with("phase_");
  const std::string_view side = phase ? at.text.substr(6) : at.text;
  if (at.kind != LexKind::kWord || (side != "in" && side != "out")) {
    FailAt(at, "expected in, out, phase_in or phase_out of a token, got " + Shown(at));
  }
  int64_t back = 0;
  // "-1" belongs to the slot only if written without a space.
  if (Is("-") && Now().begin == at.end && Ahead(1).begin == Now().end &&
      Ahead(1).kind == LexKind::kInt) {
    Take();
    back = Integer("how many places back");
  }
  return MakeSlot(token, side == "out", back, phase);
}

Operand Parser::SymbolExpr() {
  const Lexeme& at = Take();
  Node symbol = Find(at.text);
  if (!symbol.defined() && declaring_) {
    const bool typed = Accept(":");
    return Typed(DeclareVar(at, typed ? Type() : Int(32)), at);
  }
  symbol = Lookup(at);
  if (const VarObj* var = symbol.as<VarObj>()) return Typed(ffi::GetRef<Var>(var), at);
  if (const TokenObj* token = symbol.as<TokenObj>()) {
    return Typed(SlotExpr(ffi::GetRef<Token>(token)), at);
  }
  return Typed(BufferExpr(ffi::GetRef<Buffer>(symbol.as<BufferObj>())), at);
}

// What follows a buffer's name where a value is expected: an element, or its address.
Expr Parser::BufferExpr(const Buffer& buffer) {
  const Lexeme& at = Now();
  DataType dtype = buffer->dtype;
  if (Is(".")) {
    Take();
    if (Accept("data")) return MakeAddr(FullRegion(buffer));
    dtype = Type();
  }
  auto load = ffi::make_object<LoadObj>();
  load->buffer = buffer;
  load->dtype = dtype;
  std::vector<Expr> index;
  if (Accept("[")) {
    while (!Is("]") && !Is("?")) {
      if (!index.empty()) Expect(",");
      index.push_back(Value());
    }
    if (Accept("?")) {
      if (!Is(":")) load->guard = Value();
      if (Accept(":")) load->other = Value(buffer->dtype);
    }
    Expect("]");
  }
  if (index.size() != buffer->shape.size()) {
    FailAt(at, "buffer %" + std::string(buffer->name) + " has rank " +
                   std::to_string(buffer->shape.size()) + ", got " + std::to_string(index.size()) +
                   " indices");
  }
  load->index = ffi::Array<Expr>(index.begin(), index.end());
  return Load(std::move(load));
}

Region Parser::RegionValue() {
  const Lexeme& name = Symbol("a buffer");
  Buffer buffer = LookupBuffer(name);
  auto region = ffi::make_object<RegionObj>();
  region->buffer = buffer;
  while (Is("@") && (IsAt(Ahead(1), "peer") || IsAt(Ahead(1), "cta"))) {
    Take();
    const bool peer = Take().text == "peer";
    Expect("(");
    (peer ? region->peer : region->cta) = Value();
    Expect(")");
  }
  if (Accept("[")) {
    Box(region.get());
  } else {
    const Region full = FullRegion(buffer);
    region->begin = full->begin;
    region->extent = full->extent;
  }
  if (region->begin.size() != buffer->shape.size()) {
    FailAt(name, "buffer %" + std::string(buffer->name) + " has rank " +
                     std::to_string(buffer->shape.size()) + ", got " +
                     std::to_string(region->begin.size()) + " ranges");
  }
  Guards(region.get());
  return Region(std::move(region));
}

void Parser::Box(RegionObj* region) {
  while (!Is("]")) {
    if (!region->begin.empty()) Expect(",");
    region->begin.push_back(Value());
    if (!Accept("+:")) {
      region->extent.push_back(MakeConst(1));
    } else if (Accept("?")) {
      region->extent.push_back(Expr());
    } else {
      region->extent.push_back(Value());
    }
  }
  Expect("]");
}

void Parser::Guards(RegionObj* region) {
  const auto rank = static_cast<int64_t>(region->begin.size());
  // "guard (…" of the statement has no dimension in front.
  if (Is("guard") && IsAt(Ahead(1), "(") && Ahead(2).kind == LexKind::kInt && IsAt(Ahead(3), ":")) {
    Take();
    Take();
    do {
      const Lexeme& at = Now();
      const int64_t dim = Integer("a dimension");
      if (dim < 0 || dim >= rank) FailAt(at, "the buffer has no dimension " + std::to_string(dim));
      Expect(":");
      if (Accept(">=")) {
        if (Integer("0") != 0) FailAt(at, "a lower guard is >= 0");
        region->check_lo |= int64_t{1} << dim;
      }
      if (!Accept("<")) continue;
      const Expr extent = region->buffer->shape[dim];
      const Lexeme& bound = Now();
      if (!SameExpr(Finish(Infix(Precedence(OpCode::kLt) + 1), extent.dtype()), extent)) {
        FailAt(bound, "a guard's bound is the buffer's extent");
      }
      region->check_hi |= int64_t{1} << dim;
    } while (Accept(","));
    Expect(")");
  }
  if (Is("other") && IsAt(Ahead(1), "(")) {
    Take();
    Take();
    region->other = Value(region->buffer->dtype);
    Expect(")");
  }
}

}  // namespace tilescale::ir::text
