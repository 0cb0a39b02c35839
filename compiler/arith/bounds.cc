// SPDX-License-Identifier: MIT
// Intervals and congruences of integer expressions.
#include "compiler/arith/analyzer_impl.h"
#include "compiler/target/constants.h"
#include "support/diagnostics.h"
#include "support/ranks.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace tilescale::arith {

using namespace ir;  // NOLINT

namespace {

constexpr int64_t kMin = Interval::kMin, kMax = Interval::kMax;

int64_t SatAdd(int64_t a, int64_t b) {
  if (a == kMin || b == kMin) return kMin;
  if (a == kMax || b == kMax) return kMax;
  int64_t r;
  if (__builtin_add_overflow(a, b, &r)) return a < 0 ? kMin : kMax;
  return r;
}
int64_t SatMul(int64_t a, int64_t b) {
  if (a == 0 || b == 0) return 0;
  bool negative = (a < 0) != (b < 0);
  if (a == kMin || a == kMax || b == kMin || b == kMax) return negative ? kMin : kMax;
  int64_t r;
  if (__builtin_mul_overflow(a, b, &r)) return negative ? kMin : kMax;
  return r;
}
Interval Multiply(Interval a, Interval b) {
  int64_t p[4] = {SatMul(a.lo, b.lo), SatMul(a.lo, b.hi), SatMul(a.hi, b.lo), SatMul(a.hi, b.hi)};
  return {*std::min_element(p, p + 4), *std::max_element(p, p + 4)};
}
// Of the bits of two values: the type's if theirs are, else (integers that are indices) any.
Interval RangeOfBits(Interval a, Interval b, DataType t) {
  Interval type = RangeOfType(t);
  bool both = a.lo >= type.lo && b.lo >= type.lo && a.hi <= type.hi && b.hi <= type.hi;
  return both ? type : Interval{};
}
Interval Union(Interval a, Interval b) {
  return {std::min(a.lo, b.lo), std::max(a.hi, b.hi)};
}
// The infinities are no values: the ends of int64 are widened to them.
Interval Point(int64_t c) {
  if (c == kMin) return {kMin, kMin + 1};
  if (c == kMax) return {kMax - 1, kMax};
  return {c, c};
}

}  // namespace

// Values of the dtype; 64-bit ones are unbounded.
Interval RangeOfType(DataType t) {
  if (IsBool(t)) return {0, 1};
  if (IsUInt(t)) return {0, t.bits >= 63 ? kMax : (int64_t(1) << t.bits) - 1};
  if (IsInt(t) && t.bits < 64)
    return {-(int64_t(1) << (t.bits - 1)), (int64_t(1) << (t.bits - 1)) - 1};
  return {};
}

Interval Add(Interval a, Interval b) {
  return {SatAdd(a.lo, b.lo), SatAdd(a.hi, b.hi)};
}
Interval Scale(Interval a, int64_t k) {
  return Multiply(a, {k, k});
}

Interval Analyzer::Impl::BoundsOf(const LinearForm& f) {
  if (f.overflow) return {};
  Interval out = Point(f.constant);
  for (const auto& [atom, k] : f.terms) out = Add(out, Scale(BoundsOf(atom), k));
  return out;
}

Interval Analyzer::Impl::BoundsOf(const Expr& e) {
  if (auto c = AsInt(e)) return BeyondInt64(e) ? RangeOfType(e.dtype()) : Point(*c);
  switch (e.kind()) {
    case NodeKind::kVar: {
      auto it = vars.find(e.as<VarObj>());
      if (it == vars.end()) return RangeOfType(e.dtype());
      if (!Wraps(e.dtype())) return it->second.range;
      Interval r = it->second.machine, type = RangeOfType(e.dtype());
      return {std::max(r.lo, type.lo), std::min(r.hi, type.hi)};
    }
    case NodeKind::kOp:
      return BoundsOfOp(e.as_or_throw<Op>());
    case NodeKind::kSlot: {
      const auto* s = e.as<SlotObj>();
      return {0, s->phase ? 1 : s->token->depth - 1};
    }
    default:
      return RangeOfType(e.dtype());
  }
}

Interval Analyzer::Impl::CutToType(Interval r, DataType t) {
  if (!IsInteger(t) || !Wraps(t)) return r;
  Interval type = RangeOfType(t);
  return r.Bounded() && r.lo >= type.lo && r.hi <= type.hi ? r : type;
}

Interval Analyzer::Impl::BoundsOfBits(const Op& op) {
  auto arg = [&](int i) { return BoundsOf(op->args[i]); };
  switch (op->op()) {
    case OpCode::kBitAnd: {
      Interval a = arg(0), b = arg(1);
      if (a.lo >= 0 && b.lo >= 0) return {0, std::min(a.hi, b.hi)};
      if (b.lo >= 0) return {0, b.hi};
      return RangeOfBits(a, b, op->dtype);
    }
    case OpCode::kBitOr:
    case OpCode::kBitXor: {
      Interval a = arg(0), b = arg(1);
      if (a.lo < 0 || b.lo < 0 || !a.Bounded() || !b.Bounded()) {
        return RangeOfBits(a, b, op->dtype);
      }
      // All ones up to the highest bit of either.
      auto ones = std::bit_width(static_cast<uint64_t>(std::max(a.hi, b.hi)));
      return {0, static_cast<int64_t>((uint64_t(1) << ones) - 1)};
    }
    case OpCode::kShr: {
      Interval a = arg(0);
      auto s = AsInt(op->args[1]);
      if (!s || *s < 0 || *s > 62) return {std::min(a.lo, int64_t{0}), std::max(a.hi, int64_t{-1})};
      return {a.lo == kMin ? kMin : a.lo >> *s, a.hi == kMax ? kMax : a.hi >> *s};
    }
    case OpCode::kShl: {
      auto s = AsInt(op->args[1]);
      if (!s || *s < 0 || *s > 62) return CutToType({}, op->dtype);
      return CutToType(Multiply(arg(0), Point(int64_t{1} << *s)), op->dtype);
    }
    case OpCode::kBitNot:
      return CutToType(Add(Scale(arg(0), -1), Point(-1)), op->dtype);
    default:
      TS_UNREACHABLE("bits of " << Info(op->op()).text);
  }
}

Interval Analyzer::Impl::BoundsOfOp(const Op& op) {
  auto arg = [&](int i) { return BoundsOf(op->args[i]); };
  if (op->dtype.lanes > 1) return RangeOfType(Element(op->dtype));
  switch (op->op()) {
    case OpCode::kAdd:
    case OpCode::kSub:
    case OpCode::kNeg:
      if (!IsInteger(op->dtype)) return {};
      return CutToType(BoundsOf(ToLinear(op)), op->dtype);
    case OpCode::kMul:
      return CutToType(Multiply(arg(0), arg(1)), op->dtype);
    case OpCode::kFloorDiv:
    case OpCode::kTruncDiv: {
      Interval a = arg(0), b = arg(1);
      if (b.lo <= 0 || b.hi < b.lo) return {};  // no value at all: where facts contradict
      auto div = [&](int64_t x, int64_t y) {
        if (x == kMin || x == kMax) return x;
        if (y == kMax) return x < 0 && op->op() == OpCode::kFloorDiv ? int64_t(-1) : int64_t(0);
        return op->op() == OpCode::kFloorDiv ? FloorDivInt(x, y) : x / y;
      };
      int64_t p[4] = {div(a.lo, b.lo), div(a.lo, b.hi), div(a.hi, b.lo), div(a.hi, b.hi)};
      return {*std::min_element(p, p + 4), *std::max_element(p, p + 4)};
    }
    case OpCode::kFloorMod: {
      Interval a = arg(0), b = arg(1);
      if (b.lo <= 0) return {};
      if (a.lo >= 0 && a.hi < b.lo) return a;
      Interval r{0, b.hi == kMax ? kMax : b.hi - 1};
      if (a.lo >= 0) r.hi = std::min(r.hi, a.hi);
      return r;
    }
    case OpCode::kTruncMod: {
      Interval a = arg(0), b = arg(1);
      if (b.lo <= 0 || b.hi == kMax) return {};
      return {a.lo >= 0 ? 0 : -(b.hi - 1), a.lo >= 0 ? std::min(a.hi, b.hi - 1) : b.hi - 1};
    }
    case OpCode::kMin: {
      Interval a = arg(0), b = arg(1);
      return {std::min(a.lo, b.lo), std::min(a.hi, b.hi)};
    }
    case OpCode::kMax: {
      Interval a = arg(0), b = arg(1);
      return {std::max(a.lo, b.lo), std::max(a.hi, b.hi)};
    }
    case OpCode::kIf:
    case OpCode::kSelect:
      return Union(arg(1), arg(2));
    case OpCode::kCast: {
      DataType from = op->args[0].dtype();
      if (!IsInteger(from) && !IsBool(from)) return RangeOfType(op->dtype);
      Interval a = arg(0), t = RangeOfType(op->dtype);
      bool beyond = a.hi == kMax && IsUInt(from) && !IsUInt(op->dtype);  // 2^63 and more
      if (!beyond && a.lo >= t.lo && a.hi <= t.hi) return a;
      return IsIndexCast(from, op->dtype) && !Wraps(op->dtype) ? a : t;
    }
    case OpCode::kBitAnd:
    case OpCode::kBitOr:
    case OpCode::kBitXor:
    case OpCode::kBitNot:
    case OpCode::kShl:
    case OpCode::kShr:
      return BoundsOfBits(op);
    case OpCode::kAbs: {
      if (!IsInteger(op->dtype)) return {};
      Interval a = arg(0), negated = Scale(a, -1);
      int64_t least = std::max({a.lo, negated.lo, int64_t{0}});
      return CutToType({least, std::max(a.hi, negated.hi)}, op->dtype);
    }
    case OpCode::kLaneId:
      return {0, target::kWarpSize - 1};
    case OpCode::kWarpId:
      return {0, target::kMaxThreadsPerBlock / target::kWarpSize - 1};
    case OpCode::kRank:
      return {0, kMaxRanks - 1};
    case OpCode::kNumRanks:
      return {1, kMaxRanks};
    case OpCode::kPopcount:
      return {0, 64};
    default:
      return RangeOfType(op->dtype);
  }
}

Congruence Analyzer::Impl::ModuloOf(const LinearForm& f) {
  if (f.overflow) return {};
  Congruence out{0, f.constant};
  for (const auto& [atom, k] : f.terms) {
    Congruence m = ModuloOf(atom);
    int64_t d, r;
    if (k == kMin || __builtin_mul_overflow(m.divisor, k < 0 ? -k : k, &d)) return {};
    if (__builtin_mul_overflow(m.remainder, k, &r)) return {};
    if (__builtin_add_overflow(out.remainder, r, &out.remainder)) return {};
    out.divisor = std::gcd(out.divisor, d);
  }
  if (out.divisor > 0) out.remainder = FloorModInt(out.remainder, out.divisor);
  return out;
}

bool Analyzer::Impl::ProductFits(const OpObj* mul) {
  if (!Wraps(mul->dtype)) return true;
  Interval product = Multiply(BoundsOf(mul->args[0]), BoundsOf(mul->args[1]));
  Interval type = RangeOfType(mul->dtype);
  return product.Bounded() && product.lo >= type.lo && product.hi <= type.hi;
}

Congruence Analyzer::Impl::ModuloOf(const Expr& e) {
  if (auto c = AsInt(e)) return BeyondInt64(e) ? Congruence{} : Congruence{0, *c};
  auto fact = [&]() -> Congruence {
    // An assumed e % d == r.
    for (size_t i = 0; i < conditions.size(); ++i) {
      if (!(conditions_use[i] & Use())) continue;
      const auto* eq = conditions[i].as<OpObj>();
      if (eq == nullptr || eq->op() != OpCode::kEq) continue;
      const auto* mod = eq->args[0].as<OpObj>();
      if (mod == nullptr || (mod->op() != OpCode::kFloorMod && mod->op() != OpCode::kTruncMod)) {
        continue;
      }
      auto d = AsInt(mod->args[1]), r = AsInt(eq->args[1]);
      if (d && r && *d > 0 && Compare(mod->args[0], e) == 0) return {*d, FloorModInt(*r, *d)};
    }
    return {};
  };
  const auto* op = e.as<OpObj>();
  if (op == nullptr || op->dtype.lanes > 1) return fact();
  switch (op->op()) {
    case OpCode::kAdd:
    case OpCode::kSub:
    case OpCode::kNeg: {
      if (!IsInteger(op->dtype)) return {};
      LinearForm f = ToLinear(e);
      return Faithful(f, op->dtype) ? ModuloOf(f) : Congruence{};
    }
    case OpCode::kMul: {
      if (!ProductFits(op)) return {};
      Congruence a = ModuloOf(op->args[0]), b = ModuloOf(op->args[1]);
      // (da·x + ra)(db·y + rb): gcd of da·db, da·rb, db·ra.
      int64_t p[4];
      if (__builtin_mul_overflow(a.divisor, b.divisor, &p[0]) ||
          __builtin_mul_overflow(a.divisor, b.remainder, &p[1]) ||
          __builtin_mul_overflow(b.divisor, a.remainder, &p[2]) ||
          __builtin_mul_overflow(a.remainder, b.remainder, &p[3])) {
        return {};
      }
      int64_t d = std::gcd(std::gcd(p[0], p[1]), p[2]);
      return {d, d > 0 ? FloorModInt(p[3], d) : p[3]};
    }
    case OpCode::kFloorMod: {
      auto c = AsInt(op->args[1]);
      Congruence a = ModuloOf(op->args[0]);
      if (!c || *c <= 0) return fact();
      int64_t d = std::gcd(a.divisor, *c);
      return d == 0 ? Congruence{0, FloorModInt(a.remainder, *c)}
                    : Congruence{d, FloorModInt(a.remainder, d)};
    }
    case OpCode::kFloorDiv: {
      auto c = AsInt(op->args[1]);
      Congruence a = ModuloOf(op->args[0]);
      if (c && *c > 0 && a.divisor % *c == 0 && a.divisor > 0) {
        return {a.divisor / *c, FloorDivInt(a.remainder, *c)};
      }
      return fact();
    }
    case OpCode::kIf:
    case OpCode::kSelect:
    case OpCode::kMin:
    case OpCode::kMax: {
      int n = static_cast<int>(op->args.size());
      Congruence a = ModuloOf(op->args[n - 2]), b = ModuloOf(op->args[n - 1]);
      int64_t apart;
      if (__builtin_sub_overflow(a.remainder, b.remainder, &apart) || apart == kMin) return {};
      int64_t d = std::gcd(std::gcd(a.divisor, b.divisor), apart);
      return {d, d > 0 ? FloorModInt(a.remainder, d) : a.remainder};
    }
    case OpCode::kBitXor:
    case OpCode::kBitOr: {
      // Multiples of one power of two stay so.
      Congruence a = ModuloOf(op->args[0]), b = ModuloOf(op->args[1]);
      auto pow2 = [](const Congruence& m) {
        int64_t v = m.remainder == 0 ? m.divisor : std::gcd(m.divisor, m.remainder);
        return v == 0 ? int64_t(1) << 40 : (v & -v);
      };
      return {std::min(pow2(a), pow2(b)), 0};
    }
    case OpCode::kCast:
      if (IsInteger(op->args[0].dtype()) && op->args[0].dtype().bits <= op->dtype.bits) {
        Interval a = BoundsOf(op->args[0]), type = RangeOfType(op->dtype);
        bool kept = a.lo >= type.lo && a.hi <= type.hi;
        if (kept || !Wraps(op->dtype)) return ModuloOf(op->args[0]);
      }
      return fact();
    default:
      return fact();
  }
}

}  // namespace tilescale::arith
