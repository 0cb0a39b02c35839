// SPDX-License-Identifier: MIT
// What an integer expression means, point by point: the reference of the analyses' tests. As an
// index, arithmetic of int32 and int64 is of integers; as a value, and for all
// other types, it wraps as the machine does. Shares no code with the analyzer.
#pragma once

#include "compiler/ir/build.h"
#include "compiler/ir/numeric.h"

#include <cstdint>
#include <optional>
#include <unordered_map>

namespace tilescale::arith {

enum class Meaning : uint8_t { kIndex, kValue };

using Point = std::unordered_map<const ir::VarObj*, int64_t>;

// Nothing where the expression is not defined: a division by zero, a shift by the width or more, an
// integer beyond 2^62.
class Reference {
 public:
  Reference(Meaning meaning, const Point& point) : meaning_(meaning), point_(point) {}

  std::optional<int64_t> operator()(const ir::Expr& e) {
    using ir::OpCode;
    if (auto c = ir::AsInt(e)) return c;
    if (const auto* v = e.as<ir::VarObj>()) return point_.at(v);
    const auto* op = e.as<ir::OpObj>();
    if (op == nullptr) return std::nullopt;
    auto a = (*this)(op->args[0]);
    if (!a) return std::nullopt;
    switch (op->op()) {
      case OpCode::kAnd:
        return *a ? (*this)(op->args[1]) : std::optional<int64_t>(0);
      case OpCode::kOr:
        return *a ? std::optional<int64_t>(1) : (*this)(op->args[1]);
      case OpCode::kIf:
        return (*this)(op->args[*a ? 1 : 2]);
      case OpCode::kSelect: {
        auto x = (*this)(op->args[1]), y = (*this)(op->args[2]);
        return !x || !y ? std::nullopt : *a ? x : y;
      }
      case OpCode::kNot:
        return !*a;
      case OpCode::kCast:
        return CastTo(*a, op->args[0].dtype(), op->dtype);
      default:
        break;
    }
    ir::DataType t = op->args[0].dtype();
    auto b = op->args.size() == 1 ? std::optional<int64_t>(0) : (*this)(op->args[1]);
    if (!b) return std::nullopt;
    return IsIndex(t) ? OfIntegers(op->op(), *a, *b, t.bits) : ir::EvalInt(op->op(), *a, *b, t);
  }

  bool beyond = false;  // not defined only because integers here are not larger

 private:
  bool IsIndex(ir::DataType t) const {
    return meaning_ == Meaning::kIndex && ir::IsInt(t) && t.bits >= 32;
  }

  // To a type of indices an index of no more bits is itself; all else is what the machine makes.
  std::optional<int64_t> CastTo(int64_t a, ir::DataType from, ir::DataType to) const {
    if (IsIndex(from) && IsIndex(to) && from.bits <= to.bits) return a;
    return ir::WrapInt(a, to);
  }

  std::optional<int64_t> OfIntegers(ir::OpCode code, int64_t x, int64_t y, int bits) {
    using ir::OpCode;
    const __int128 a = x, b = y;
    const bool shifts = code == OpCode::kShl || code == OpCode::kShr;
    if (shifts && (y < 0 || y >= bits)) return std::nullopt;
    __int128 out = 0;
    switch (code) {
      case OpCode::kAdd:
        out = a + b;
        break;
      case OpCode::kSub:
        out = a - b;
        break;
      case OpCode::kMul:
        out = a * b;
        break;
      case OpCode::kNeg:
        out = -a;
        break;
      case OpCode::kAbs:
        out = a < 0 ? -a : a;
        break;
      case OpCode::kShl:
        out = a * (static_cast<__int128>(1) << y);
        break;
      case OpCode::kShr:
        out = a >> y;
        break;
      default: {
        auto exact = ir::EvalInt(code, x, y, ir::Int(64));
        if (!exact) return std::nullopt;
        out = *exact;
      }
    }
    const __int128 limit = static_cast<__int128>(1) << 62;
    if (out > limit || out < -limit) {
      beyond = true;
      return std::nullopt;
    }
    return static_cast<int64_t>(out);
  }

  Meaning meaning_;
  const Point& point_;
};

}  // namespace tilescale::arith
