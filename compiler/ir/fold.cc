// SPDX-License-Identifier: MIT
#include "compiler/ir/fold.h"

#include "compiler/ir/build.h"
#include "compiler/ir/numeric.h"
#include "compiler/ir/visit.h"
#include "support/diagnostics.h"

#include <cmath>

namespace tilescale::ir {
namespace {

const ConstObj* Literal(const Expr& e) {
  return e.as<ConstObj>();
}
const OpObj* AsOp(const Expr& e, OpCode op) {
  const OpObj* node = e.as<OpObj>();
  return node != nullptr && node->op() == op ? node : nullptr;
}

bool IsCompare(OpCode op) {
  return Info(op).cls == OpClass::kCompare;
}
bool HasBits(DataType t) {
  return IsInteger(t) || IsBool(t);
}

std::optional<double> AsFloat(const Expr& e) {
  const ConstObj* c = Literal(e);
  return c != nullptr && IsFloat(c->dtype) ? std::optional(c->f) : std::nullopt;
}

Expr FoldCast(const Expr& e, DataType to) {
  if (SameType(e.dtype(), to)) return e;
  const ConstObj* c = Literal(e);
  if (c == nullptr || IsHandle(to) || IsHandle(c->dtype) || to.lanes != c->dtype.lanes)
    return Expr();
  if (IsFloat(c->dtype)) {
    if (IsFloat(to)) return MakeFloat(c->f, to);
    if (IsBool(to)) return MakeConst(c->f != 0, to);
    std::optional<int64_t> value = FloatToInt(c->f, to);
    return value ? MakeConst(*value, to) : Expr();
  }
  if (!IsFloat(to)) return MakeConst(c->i, to);
  const bool is_unsigned = IsUInt(c->dtype);
  return MakeFloat(
      is_unsigned ? static_cast<double>(static_cast<uint64_t>(c->i)) : static_cast<double>(c->i),
      to);
}

Expr FoldConstants(OpCode op, const std::vector<Expr>& args, DataType dtype) {
  const ConstObj* a = Literal(args[0]);
  const ConstObj* b = args.size() == 2 ? Literal(args[1]) : a;
  if (a == nullptr || b == nullptr || IsHandle(a->dtype)) return Expr();
  if (HasBits(a->dtype) && HasBits(b->dtype)) {
    std::optional<int64_t> value = EvalInt(op, a->i, b->i, a->dtype);
    return value ? MakeConst(*value, dtype) : Expr();
  }
  if (!IsFloat(a->dtype) || !IsFloat(b->dtype)) return Expr();
  if (IsCompare(op)) {
    std::optional<bool> value = EvalFloatCompare(op, a->f, b->f);
    return value ? MakeConst(*value, dtype) : Expr();
  }
  std::optional<double> value = EvalFloat(op, a->f, b->f, a->dtype);
  return value ? MakeFloat(*value, dtype) : Expr();
}

// (y op c1) op c as y op (c1 op c): right for what wraps, and for the integers of indices if the
// number is one of theirs.
Expr Regroup(OpCode op, const OpObj* inner, int64_t c, DataType dtype) {
  auto c1 = AsInt(inner->args[1]);
  if (!c1) return Expr();
  const int64_t folded = *EvalInt(op, *c1, c, dtype);
  int64_t exact;
  const bool beyond = op == OpCode::kAdd ? __builtin_add_overflow(*c1, c, &exact)
                                         : __builtin_mul_overflow(*c1, c, &exact);
  if (IsInt(dtype) && dtype.bits >= 32 && (beyond || exact != folded)) return Expr();
  return MakeOp(op, {inner->args[0], MakeConst(folded, dtype)}, dtype);
}

// x op c for integers; `c` is the value of `args[1]`.
Expr FoldIntRight(OpCode op, const Expr& x, int64_t c, DataType dtype) {
  const bool zero = c == 0, one = c == 1;
  switch (op) {
    case OpCode::kAdd:
      if (zero) return x;
      // (y + c1) + c
      if (const OpObj* add = AsOp(x, OpCode::kAdd)) return Regroup(op, add, c, dtype);
      return Expr();
    case OpCode::kMul:
      if (zero) return MakeConst(0, dtype);
      if (one) return x;
      if (const OpObj* mul = AsOp(x, OpCode::kMul)) return Regroup(op, mul, c, dtype);
      return Expr();
    case OpCode::kSub:
    case OpCode::kShl:
    case OpCode::kShr:
    case OpCode::kBitOr:
    case OpCode::kBitXor:
      return zero ? x : Expr();
    case OpCode::kBitAnd:
      return zero ? MakeConst(0, dtype) : Expr();
    case OpCode::kFloorDiv:
    case OpCode::kTruncDiv:
      return one ? x : Expr();
    case OpCode::kFloorMod:
    case OpCode::kTruncMod:
      return one ? MakeConst(0, dtype) : Expr();
    default:
      return Expr();
  }
}

// c op x for integers.
Expr FoldIntLeft(OpCode op, int64_t c, const Expr& x, DataType dtype) {
  switch (op) {
    case OpCode::kAdd:
    case OpCode::kBitOr:
    case OpCode::kBitXor:
      return c == 0 ? x : Expr();
    case OpCode::kMul:
      if (c == 1) return x;
      return c == 0 ? MakeConst(0, dtype) : Expr();
    case OpCode::kBitAnd:
    case OpCode::kShl:
    case OpCode::kShr:
      return c == 0 ? MakeConst(0, dtype) : Expr();
    default:
      return Expr();
  }
}

// x op x for integers and bools.
Expr FoldSame(OpCode op, const Expr& x, DataType dtype) {
  switch (op) {
    case OpCode::kSub:
    case OpCode::kBitXor:
      return MakeConst(0, dtype);
    case OpCode::kMin:
    case OpCode::kMax:
    case OpCode::kBitAnd:
    case OpCode::kBitOr:
      return x;
    case OpCode::kEq:
    case OpCode::kLe:
    case OpCode::kGe:
      return MakeConst(1, dtype);
    case OpCode::kNe:
    case OpCode::kLt:
    case OpCode::kGt:
      return MakeConst(0, dtype);
    default:
      return Expr();
  }
}

Expr FoldIntUnits(OpCode op, const std::vector<Expr>& args, DataType dtype) {
  if (auto c = AsInt(args[1])) {
    if (Expr folded = FoldIntRight(op, args[0], *c, dtype); folded.defined()) return folded;
  }
  if (auto c = AsInt(args[0])) {
    if (Expr folded = FoldIntLeft(op, *c, args[1], dtype); folded.defined()) return folded;
  }
  return SameExpr(args[0], args[1]) ? FoldSame(op, args[0], dtype) : Expr();
}

// Only what is exact for infinities, NaNs and signed zeros.
Expr FoldFloatUnits(OpCode op, const std::vector<Expr>& args) {
  std::optional<double> a = AsFloat(args[0]), b = AsFloat(args[1]);
  if (b == 1.0 && (op == OpCode::kMul || op == OpCode::kDiv)) return args[0];
  if (a == 1.0 && op == OpCode::kMul) return args[1];
  if (b == 0.0 && !std::signbit(*b) && op == OpCode::kSub) return args[0];
  return Expr();
}

OpCode Negated(OpCode compare) {
  switch (compare) {
    case OpCode::kEq:
      return OpCode::kNe;
    case OpCode::kNe:
      return OpCode::kEq;
    case OpCode::kLt:
      return OpCode::kGe;
    case OpCode::kGe:
      return OpCode::kLt;
    case OpCode::kLe:
      return OpCode::kGt;
    default:
      return OpCode::kLe;
  }
}

Expr FoldNot(const Expr& a, DataType dtype) {
  if (auto c = AsInt(a)) return MakeConst(*c == 0, dtype);
  if (const OpObj* inner = AsOp(a, OpCode::kNot)) return inner->args[0];
  // not (a < b) is a >= b unless a NaN may be compared.
  const OpObj* compare = a.as<OpObj>();
  if (compare == nullptr || !IsCompare(compare->op()) || IsFloat(compare->args[0].dtype())) {
    return Expr();
  }
  return MakeOp(Negated(compare->op()), {compare->args[0], compare->args[1]}, dtype);
}

Expr FoldLogic(OpCode op, const std::vector<Expr>& args, DataType dtype) {
  if (op == OpCode::kNot) return FoldNot(args[0], dtype);
  std::optional<int64_t> a = AsInt(args[0]);
  if (op == OpCode::kIf || op == OpCode::kSelect) {
    if (a) return *a != 0 ? args[1] : args[2];
    return SameExpr(args[1], args[2]) ? args[1] : Expr();
  }
  const bool absorbing = op == OpCode::kOr;  // true absorbs `or`, false absorbs `and`
  if (a) return (*a != 0) == absorbing ? MakeConst(absorbing, dtype) : args[1];
  std::optional<int64_t> b = AsInt(args[1]);
  if (b) return (*b != 0) == absorbing ? MakeConst(absorbing, dtype) : args[0];
  return SameExpr(args[0], args[1]) ? args[0] : Expr();
}

Expr Fold(OpCode op, const std::vector<Expr>& args, DataType dtype) {
  const OpClass cls = Info(op).cls;
  if (op == OpCode::kCast) return FoldCast(args[0], dtype);
  if (op == OpCode::kBitcast) return SameType(args[0].dtype(), dtype) ? args[0] : Expr();
  if (cls == OpClass::kLogic) return FoldLogic(op, args, dtype);
  if (cls == OpClass::kVector || cls == OpClass::kSpecial || args.size() > 2) return Expr();
  if (Expr folded = FoldConstants(op, args, dtype); folded.defined()) return folded;
  if (args.size() != 2) return Expr();
  if (HasBits(args[0].dtype())) return FoldIntUnits(op, args, dtype);
  return IsFloat(args[0].dtype()) ? FoldFloatUnits(op, args) : Expr();
}

}  // namespace

Expr RawOp(OpCode op, ffi::Array<Expr> args, DataType dtype) {
  auto node = ffi::make_object<OpObj>();
  node->code = static_cast<int64_t>(op);
  node->args = std::move(args);
  node->dtype = dtype;
  return Op(std::move(node));
}

Expr MakeOp(OpCode op, std::vector<Expr> args, DataType dtype) {
  const int arity = Info(op).arity;
  TS_CHECK(arity < 0 || static_cast<int>(args.size()) == arity)
      << Info(op).text << " takes " << arity << " operands, got " << args.size();
  for (const Expr& arg : args) TS_CHECK(arg.defined()) << "null operand of " << Info(op).text;
  if (Expr folded = Fold(op, args, dtype); folded.defined()) return folded;
  return RawOp(op, ffi::Array<Expr>(args.begin(), args.end()), dtype);
}

std::optional<DataType> InferType(OpCode op, const ffi::Array<Expr>& args) {
  const OpInfo& info = Info(op);
  if (info.cls == OpClass::kSpecial) return Int(32);
  if (op == OpCode::kCast || op == OpCode::kBitcast) return std::nullopt;
  if (op == OpCode::kBroadcast || args.empty()) return std::nullopt;
  const DataType first = args[0].dtype();
  if (op == OpCode::kVector) {
    int lanes = 0;
    for (const Expr& arg : args) lanes += arg.dtype().lanes;
    return WithLanes(first, lanes);
  }
  switch (op) {
    case OpCode::kLane:
      return Element(first);
    case OpCode::kIf:
    case OpCode::kSelect:
      if (args.size() < 2) return std::nullopt;
      return args[1].dtype();
    case OpCode::kAnd:
    case OpCode::kOr:
    case OpCode::kNot:
    case OpCode::kIsNan:
    case OpCode::kIsInf:
    case OpCode::kIsFinite:
      return Bool(first.lanes);
    default:
      return info.cls == OpClass::kCompare ? Bool(first.lanes) : first;
  }
}

}  // namespace tilescale::ir
