// SPDX-License-Identifier: MIT
// Operators of the language: promotion, folding, and the errors that name the user's operator.
#include "compiler/ir/builder.h"
#include "compiler/ir/text.h"
#include "compiler/ir/visit.h"

#include <algorithm>
#include <array>

namespace tilescale::ir {

namespace {

enum class Rule : uint8_t { kArith, kInteger, kShift, kDivide, kCompare };

struct BinaryRow {
  std::string_view name;    // of the language's table
  std::string_view symbol;  // as the user writes it
  OpCode op;
  Rule rule;
};
constexpr std::array kBinary = {
    BinaryRow{"add", "+", OpCode::kAdd, Rule::kArith},
    BinaryRow{"sub", "-", OpCode::kSub, Rule::kArith},
    BinaryRow{"mul", "*", OpCode::kMul, Rule::kArith},
    BinaryRow{"min", "T.min", OpCode::kMin, Rule::kArith},
    BinaryRow{"max", "T.max", OpCode::kMax, Rule::kArith},
    BinaryRow{"div", "/", OpCode::kDiv, Rule::kDivide},
    BinaryRow{"floordiv", "//", OpCode::kFloorDiv, Rule::kInteger},
    BinaryRow{"floormod", "%", OpCode::kFloorMod, Rule::kInteger},
    BinaryRow{"truncdiv", "T.truncdiv", OpCode::kTruncDiv, Rule::kInteger},
    BinaryRow{"truncmod", "T.truncmod", OpCode::kTruncMod, Rule::kInteger},
    BinaryRow{"and", "&", OpCode::kBitAnd, Rule::kInteger},
    BinaryRow{"or", "|", OpCode::kBitOr, Rule::kInteger},
    BinaryRow{"xor", "^", OpCode::kBitXor, Rule::kInteger},
    BinaryRow{"shl", "<<", OpCode::kShl, Rule::kShift},
    BinaryRow{"shr", ">>", OpCode::kShr, Rule::kShift},
    BinaryRow{"lt", "<", OpCode::kLt, Rule::kCompare},
    BinaryRow{"le", "<=", OpCode::kLe, Rule::kCompare},
    BinaryRow{"gt", ">", OpCode::kGt, Rule::kCompare},
    BinaryRow{"ge", ">=", OpCode::kGe, Rule::kCompare},
    BinaryRow{"eq", "==", OpCode::kEq, Rule::kCompare},
    BinaryRow{"ne", "!=", OpCode::kNe, Rule::kCompare},
};

const BinaryRow* FindBinary(std::string_view name) {
  for (const BinaryRow& row : kBinary) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

std::string Operands(const Expr& a, const Expr& b) {
  return LanguageName(a.dtype()) + " and " + LanguageName(b.dtype());
}

// An integer expression as Σ coefficient · term + constant, so that equal terms of `a - b` cancel.
struct Linear {
  std::vector<std::pair<Expr, int64_t>> terms;
  int64_t constant = 0;
  size_t leaves = 0;  // terms before merging: fewer after it means that something cancelled

  void Add(const Expr& e, int64_t factor, DataType dtype) {
    if (auto c = AsInt(e)) {
      constant += factor * *c;
      return;
    }
    if (const auto* op = e.as<OpObj>(); op != nullptr && SameType(op->dtype, dtype)) {
      if (op->op() == OpCode::kAdd || op->op() == OpCode::kSub) {
        Add(op->args[0], factor, dtype);
        Add(op->args[1], op->op() == OpCode::kAdd ? factor : -factor, dtype);
        return;
      }
      if (op->op() == OpCode::kMul) {
        for (int side = 0; side < 2; ++side) {
          if (auto c = AsInt(op->args[side])) return Add(op->args[1 - side], factor * *c, dtype);
        }
      }
    }
    ++leaves;
    for (auto& [term, coefficient] : terms) {
      if (SameExpr(term, e)) {
        coefficient += factor;
        return;
      }
    }
    terms.emplace_back(e, factor);
  }

  Expr Build(DataType dtype) const {
    Expr sum;
    auto append = [&](Expr e, bool negative) {
      if (!sum.defined()) {
        sum = negative ? Sub(MakeConst(0, dtype), std::move(e)) : std::move(e);
      } else {
        sum = negative ? Sub(sum, std::move(e)) : tilescale::ir::Add(sum, std::move(e));
      }
    };
    // Positive terms first: a leading negative one would need `0 - x`.
    for (bool negative : {false, true}) {
      for (const auto& [term, coefficient] : terms) {
        if (coefficient == 0 || (coefficient < 0) != negative) continue;
        int64_t size = negative ? -coefficient : coefficient;
        append(size == 1 ? term : Mul(term, size), negative);
      }
    }
    if (!sum.defined()) return MakeConst(constant, dtype);
    if (constant == 0) return sum;
    return constant > 0 ? tilescale::ir::Add(sum, MakeConst(constant, dtype))
                        : Sub(sum, MakeConst(-constant, dtype));
  }
};

void CheckOperands(const BinaryRow& row, const Expr& a, const Expr& b, DataType common) {
  bool handles = IsHandle(a.dtype()) || IsHandle(b.dtype());
  if (handles && row.rule != Rule::kCompare) {
    Raise("TypeError", "`", row.symbol,
          "` of a pointer: use T.access_ptr with an offset, or index a buffer",
          " made by T.make_tensor");
  }
  if ((row.rule == Rule::kInteger || row.rule == Rule::kShift) && IsFloat(common)) {
    Raise("TypeError", "`", row.symbol, "` needs integer operands, got ", Operands(a, b));
  }
  if (row.rule == Rule::kDivide && !IsFloat(common)) {
    Raise("TypeError", "`/` of two integers (", Operands(a, b),
          ") is ambiguous in a kernel: use // (floor), T.truncdiv, T.ceildiv, or cast an operand "
          "to a ",
          "float dtype");
  }
  bool divides = row.op == OpCode::kFloorDiv || row.op == OpCode::kFloorMod ||
                 row.op == OpCode::kTruncDiv || row.op == OpCode::kTruncMod;
  if (divides && IsConst(b, 0)) {
    Raise("ZeroDivisionError", "`", row.symbol, "` by zero: `", Spelled(a), " ", row.symbol, " 0`");
  }
}

Expr BinaryOf(const BinaryRow& row, Expr a, Expr b) {
  int lanes = std::max(a.dtype().lanes, b.dtype().lanes);
  if (IsHandle(a.dtype()) || IsHandle(b.dtype())) {
    CheckOperands(row, a, b, Handle());
    return MakeOp(row.op, {CastTo(a, Handle()), CastTo(b, Handle())}, Bool());
  }
  // A shift by a constant keeps the left type, whatever the constant's own.
  if (row.rule == Rule::kShift && IsInteger(a.dtype()) && AsInt(b)) b = CastTo(b, a.dtype());
  DataType common = WithLanes(Promote(Element(a.dtype()), Element(b.dtype())), lanes);
  CheckOperands(row, a, b, common);
  a = CastTo(std::move(a), common);
  b = CastTo(std::move(b), common);
  if (row.rule == Rule::kCompare) return MakeOp(row.op, {a, b}, Bool(lanes));
  if (row.op == OpCode::kSub && IsInteger(common) && lanes == 1) return Minus(a, b);
  return MakeOp(row.op, {std::move(a), std::move(b)}, common);
}

Expr Negate(const Expr& x) {
  DataType t = x.dtype();
  if (IsUInt(t) || IsBool(t) || IsHandle(t)) {
    Raise("TypeError", "unary `-` of ", LanguageName(t), ": cast it to a signed dtype first");
  }
  return MakeOp(OpCode::kNeg, {x}, t);
}

Expr BitNot(const Expr& x) {
  DataType t = x.dtype();
  if (IsBool(t)) return Not(x);
  if (!IsInteger(t)) Raise("TypeError", "`~` needs an integer operand, got ", LanguageName(t));
  return MakeOp(OpCode::kBitNot, {x}, t);
}

Expr Abs(const Expr& x) {
  DataType t = x.dtype();
  if (IsUInt(t) || IsBool(t)) return x;
  return MakeOp(OpCode::kAbs, {x}, t);
}

// `t if c else f` and T.if_then_else evaluate one side; T.Select both.
Expr Choose(OpCode op, const Values& args) {
  Expr cond = ToBool(ToExpr(args[0])), a = ToExpr(args[1]), b = ToExpr(args[2]);
  int lanes = std::max(a.dtype().lanes, b.dtype().lanes);
  if (!IsHandle(a.dtype()) || !IsHandle(b.dtype())) {
    DataType common = WithLanes(Promote(Element(a.dtype()), Element(b.dtype())), lanes);
    a = CastTo(a, common);
    b = CastTo(b, common);
  }
  return op == OpCode::kIf ? If3(cond, a, b) : Select(cond, a, b);
}

Expr Vector(const Values& args, const ffi::Any& result) {
  DataType t = TypeOf(ToText(result, "the dtype of a vector"));
  if (args.size() != t.lanes) {
    Raise("TypeError", LanguageName(t), " needs ", t.lanes, " values, got ", args.size());
  }
  std::vector<Expr> lanes;
  for (const ffi::Any& v : args) lanes.push_back(ToTyped(v, Element(t)));
  return MakeOp(OpCode::kVector, lanes, t);
}

DataType VectorOf(DataType element, int64_t lanes) {
  constexpr int64_t kMaxLanes = 128;  // loads and stores take fewer
  if (lanes >= 1 && lanes <= kMaxLanes) return WithLanes(element, static_cast<int>(lanes));
  Raise("ValueError", "a vector of ", lanes, " lanes: it has from 1 to ", kMaxLanes);
}

Expr Broadcast(const Values& args) {
  Expr value = ToExpr(args[0]);
  return CastTo(value,
                VectorOf(value.dtype(), ToInt(args[1], "the number of lanes of T.Broadcast")));
}

void NeedArgs(std::string_view name, const Values& args, size_t count) {
  if (args.size() == count) return;
  Raise("TypeError", "T.", name, " takes ", count, " arguments, got ", args.size());
}

// Functions of a whole vector, or of its place; all others are computed lane by lane.
bool TakesVectors(std::string_view name) {
  constexpr std::array kNames = {"ramp",         "broadcast",  "vector",     "data",  "reinterpret",
                                 "extract_lane", "address_of", "access_ptr", "__ldg", "any_of",
                                 "all_of",       "add2",       "sub2",       "mul2",  "fma2",
                                 "max2",         "min2",       "abs2"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

// The lanes of the operands that are vectors, 1 without any; `args` with those as expressions.
int OperandLanes(std::string_view name, Values* args) {
  int found = 1;
  for (ffi::Any& arg : *args) {
    if (!arg.as<Expr>() && !arg.as<Region>()) continue;
    Expr e = ToExpr(arg);
    arg = e;
    int lanes = e.dtype().lanes;
    if (lanes == 1) continue;
    if (found > 1 && lanes != found) {
      const BinaryRow* row = FindBinary(name);
      Raise("TypeError", "`", row ? row->symbol : "T." + std::string(name), "` of vectors of ",
            found, " and ", lanes, " lanes: give them the same number");
    }
    found = lanes;
  }
  return found;
}

Expr BuildOne(std::string_view opcode, const Values& args, const ffi::Any& result);

Expr ByLane(std::string_view opcode, const Values& args, int count, const ffi::Any& result) {
  std::vector<Expr> lanes;
  for (int i = 0; i < count; ++i) {
    Values of;
    for (const ffi::Any& arg : args) {
      auto e = arg.as<Expr>();
      of.push_back(e ? ffi::Any(LaneOf(*e, i)) : arg);
    }
    lanes.push_back(BuildOne(opcode, of, result));
  }
  return MakeOp(OpCode::kVector, lanes, WithLanes(lanes[0].dtype(), count));
}

}  // namespace

Expr RampOf(const Expr& base, const Expr& stride, int64_t lanes) {
  if (!IsInteger(base.dtype()) || !IsInteger(stride.dtype())) {
    Raise("TypeError", "T.Ramp needs an integer base and stride, got ", Operands(base, stride));
  }
  // As wide as an index: the lanes of a narrow base do not wrap around.
  const DataType element = Promote(Promote(base.dtype(), stride.dtype()), Int(32));
  const DataType t = VectorOf(element, lanes);
  std::vector<Expr> values;
  for (int64_t i = 0; i < lanes; ++i) {
    values.push_back(
        Binary("add", CastTo(base, element), Binary("mul", stride, MakeConst(i, element))));
  }
  return lanes == 1 ? values[0] : MakeOp(OpCode::kVector, values, t);
}

Expr Minus(const Expr& a, const Expr& b) {
  Linear sum;
  sum.Add(a, 1, a.dtype());
  sum.Add(b, -1, a.dtype());
  size_t left = 0;
  for (const auto& term : sum.terms) left += term.second != 0 ? 1 : 0;
  if (left < sum.leaves || left == 0) return sum.Build(a.dtype());
  return Sub(a, b);
}

Expr Binary(std::string_view opcode, Expr a, Expr b) {
  const BinaryRow* row = FindBinary(opcode);
  if (row == nullptr) Raise("InternalError", "no binary operator `", opcode, "`");
  return BinaryOf(*row, std::move(a), std::move(b));
}

namespace {

Expr BuildOne(std::string_view opcode, const Values& args, const ffi::Any& result) {
  if (const BinaryRow* row = FindBinary(opcode)) {
    NeedArgs(opcode, args, 2);
    return BinaryOf(*row, ToExpr(args[0]), ToExpr(args[1]));
  }
  if (opcode == "neg" || opcode == "bitnot" || opcode == "abs" || opcode == "not") {
    NeedArgs(opcode, args, 1);
    Expr x = ToExpr(args[0]);
    if (opcode == "neg") return Negate(x);
    if (opcode == "bitnot") return BitNot(x);
    return opcode == "abs" ? Abs(x) : Not(ToBool(x));
  }
  if (opcode == "land" || opcode == "lor") {
    NeedArgs(opcode, args, 2);
    Expr a = ToBool(ToExpr(args[0])), b = ToBool(ToExpr(args[1]));
    return opcode == "land" ? And(a, b) : Or(a, b);
  }
  if (opcode == "if" || opcode == "select") {
    NeedArgs(opcode, args, 3);
    return Choose(opcode == "if" ? OpCode::kIf : OpCode::kSelect, args);
  }
  if (opcode == "ramp") {
    Expr base = ToExpr(args[0]);
    return RampOf(base, ToTyped(args[1], base.dtype()),
                  ToInt(args[2], "the number of lanes of T.Ramp"));
  }
  if (opcode == "broadcast") return Broadcast(args);
  if (opcode == "vector") return Vector(args, result);
  if (opcode == "data") {
    NeedArgs(opcode, args, 1);
    return ToAddress(args[0]);
  }
  if (Expr e = BuildMath(opcode, args, result); e.defined()) return e;
  Raise("NotImplementedError", "T.", opcode, " is not supported yet");
}

}  // namespace

Expr BuildOp(std::string_view opcode, const Values& given, const ffi::Any& result) {
  // Almost all are of scalars.
  const bool scalars = std::none_of(given.begin(), given.end(), [](const ffi::Any& arg) {
    auto e = arg.as<Expr>();
    return e && e->defined() ? e->dtype().lanes > 1 : arg.as<Region>().has_value();
  });
  if (scalars || TakesVectors(opcode)) return BuildOne(opcode, given, result);
  Values args = given;
  const int lanes = OperandLanes(opcode, &args);
  return lanes == 1 ? BuildOne(opcode, args, result) : ByLane(opcode, args, lanes, result);
}

}  // namespace tilescale::ir
