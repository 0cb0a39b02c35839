// SPDX-License-Identifier: MIT
// The rewriting simplifier: children first, then one rule set an opcode.
#include "compiler/arith/analyzer_impl.h"
#include "compiler/ir/fold.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <utility>

namespace tilescale::arith {

using namespace ir;  // NOLINT

Expr Analyzer::Impl::Rewrite(const Expr& e) {
  if (!e.defined()) return e;
  switch (e.kind()) {
    case NodeKind::kVar: {
      auto it = vars.find(e.as<VarObj>());
      if (it == vars.end()) return e;
      Interval r = BoundsOf(e);
      return r.IsPoint() ? MakeConst(r.lo, e.dtype()) : e;
    }
    case NodeKind::kOp:
      return RewriteOp(e.as_or_throw<Op>());
    case NodeKind::kLoad: {
      const auto* load = e.as<LoadObj>();
      bool same = true, outer = std::exchange(values, false);  // an index is an integer
      ffi::Array<Expr> index;
      for (const Expr& i : load->index) {
        index.push_back(Rewrite(i));
        same = same && index.back().same_as(i);
      }
      Expr guard = Rewrite(load->guard);
      values = outer;
      Expr other = Rewrite(load->other);
      if (guard.defined() && IsConst(guard, 1)) guard = Expr();
      if (same && guard.same_as(load->guard) && other.same_as(load->other)) return e;
      auto n = CopyNode(load);
      n->index = index;
      n->guard = guard;
      n->other = other;
      return Expr(n);
    }
    default:
      return e;
  }
}

// As MakeOp, but folds no integers to one that is no value of the type.
Expr Analyzer::Impl::Remake(OpCode op, const std::vector<Expr>& args, DataType t) {
  if (args.size() <= 2 && !args.empty() && IsInteger(t) && !Wraps(t)) {
    auto a = AsInt(args[0]), b = AsInt(args.back());
    auto exact = a && b ? EvalInt(op, *a, *b, Int(64)) : std::nullopt;
    if (exact && !FitsInt(*exact, t)) return RawOp(op, {args.begin(), args.end()}, t);
  }
  return MakeOp(op, args, t);
}

Expr Analyzer::Impl::RewriteOp(const Op& op) {
  if (op->dtype.lanes == 1 && (op->op() == OpCode::kAnd || op->op() == OpCode::kOr ||
                               op->op() == OpCode::kIf || op->op() == OpCode::kSelect)) {
    return RewriteLogic(op);
  }
  std::vector<Expr> args;
  bool same = true;
  for (const Expr& a : op->args) {
    args.push_back(Rewrite(a));
    same = same && args.back().same_as(a);
  }
  DataType t = op->dtype;
  bool integers = t.lanes == 1 && !args.empty();
  for (const Expr& a : args) integers = integers && IsInteger(a.dtype()) && a.dtype().lanes == 1;
  Expr rebuilt = same ? Expr(op) : Remake(op->op(), args, t);
  if (!integers || rebuilt.kind() != NodeKind::kOp) return rebuilt;
  switch (op->op()) {
    case OpCode::kAdd:
    case OpCode::kSub:
    case OpCode::kMul:
    case OpCode::kNeg: {
      LinearForm f = ToLinear(rebuilt);  // right modulo 2^bits, whatever wraps
      RecombineDivMod(&f);
      Expr sum = Build(f, t);
      bool unlike = std::exchange(escaped, false);
      return unlike || Compare(sum, rebuilt) == 0 ? rebuilt : sum;
    }
    case OpCode::kFloorDiv:
      return RewriteDiv(args[0], args[1], true, t);
    case OpCode::kFloorMod:
      return RewriteMod(args[0], args[1], true, t);
    case OpCode::kTruncDiv:
      return RewriteDiv(args[0], args[1], false, t);
    case OpCode::kTruncMod:
      return RewriteMod(args[0], args[1], false, t);
    case OpCode::kMin:
    case OpCode::kMax:
      return RewriteMinMax(op->op(), args[0], args[1]);
    case OpCode::kBitXor:
      return RewriteXor(args[0], args[1], t);
    case OpCode::kEq:
    case OpCode::kNe:
    case OpCode::kLt:
    case OpCode::kLe:
    case OpCode::kGt:
    case OpCode::kGe:
      return RewriteCompare(op->op(), args[0], args[1]);
    default:
      return rebuilt;
  }
}

Expr Analyzer::Impl::RewriteDiv(const Expr& a, const Expr& b, bool floor, DataType t) {
  Interval range = BoundsOf(a);
  auto c = AsInt(b);
  if (c && *c > 0 && (floor || range.lo >= 0)) {
    Expr out = DivByConst(ToLinear(a), *c, t);
    if (!std::exchange(escaped, false)) return out;
  }
  // x·n / n for a symbolic, positive n.
  if (!c && !Wraps(t) && BoundsOf(b).lo > 0 && (floor || range.lo >= 0)) {
    LinearForm f = ToLinear(a), quotient, rest;
    for (const auto& [atom, k] : f.terms) {
      const auto* mul = atom.as<OpObj>();
      if (Compare(atom, b) == 0) {
        quotient.constant += k;
      } else if (mul != nullptr && mul->op() == OpCode::kMul && Compare(mul->args[1], b) == 0) {
        AddTerm(&quotient, mul->args[0], k);
      } else if (mul != nullptr && mul->op() == OpCode::kMul && Compare(mul->args[0], b) == 0) {
        AddTerm(&quotient, mul->args[1], k);
      } else {
        AddTerm(&rest, atom, k);
      }
    }
    rest.constant = f.constant;
    LinearForm room = ToLinear(b);  // b - 1 - rest >= 0
    AddForm(&room, rest, -1);
    AddConstant(&room, -1);
    if (NonNegative(rest, 2) && NonNegative(room, 2)) {
      Expr out = Build(quotient, t);
      if (!std::exchange(escaped, false)) return out;
    }
  }
  return MakeOp(floor ? OpCode::kFloorDiv : OpCode::kTruncDiv, {a, b}, t);
}

Expr Analyzer::Impl::RewriteMod(const Expr& a, const Expr& b, bool floor, DataType t) {
  Interval range = BoundsOf(a);
  auto c = AsInt(b);
  if (c && *c > 0 && (floor || range.lo >= 0)) {
    Expr out = ModByConst(ToLinear(a), *c, t);
    if (!std::exchange(escaped, false)) return out;
  }
  if (!c) {
    LinearForm room = ToLinear(b), form = ToLinear(a);
    bool faithful = Faithful(room, t) && Faithful(form, t);
    AddForm(&room, form, -1);
    AddConstant(&room, -1);
    if (faithful && range.lo >= 0 && NonNegative(room, 2)) return a;
  }
  return MakeOp(floor ? OpCode::kFloorMod : OpCode::kTruncMod, {a, b}, t);
}

namespace {

// Splits f = d·high + low with 0 ≤ low < d, d a divisor of c, d > 1: the largest d that works.
// Terms whose coefficient d divides go to `high` (already divided).
bool SplitDigits(Analyzer::Impl* impl, const LinearForm& f, int64_t c, int64_t* d, LinearForm* high,
                 LinearForm* low) {
  std::vector<int64_t> candidates;
  for (const auto& [atom, k] : f.terms) {
    int64_t g = std::gcd(k, c);
    if (g > 1) candidates.push_back(g);
  }
  std::sort(candidates.begin(), candidates.end(), std::greater<>());
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  for (int64_t g : candidates) {
    LinearForm h, l;
    for (const auto& [atom, k] : f.terms) {
      if (k % g == 0) {
        impl->AddTerm(&h, atom, k / g);
      } else {
        impl->AddTerm(&l, atom, k);
      }
    }
    h.constant = FloorDivInt(f.constant, g);
    l.constant = FloorModInt(f.constant, g);
    Interval range = impl->BoundsOf(l);
    if (range.lo < 0 || range.hi >= g) continue;
    *d = g;
    *high = h;
    *low = l;
    return true;
  }
  return false;
}

}  // namespace

Expr Analyzer::Impl::DivByConst(LinearForm f, int64_t c, DataType t) {
  CheckFaithful(f, t);
  if (c == 1 || escaped) return Build(f, t);
  LinearForm quotient, rest;
  for (const auto& [atom, k] : f.terms) {
    if (k % c == 0) {
      AddTerm(&quotient, atom, k / c);
    } else {
      AddTerm(&rest, atom, k);
    }
  }
  quotient.constant = FloorDivInt(f.constant, c);
  rest.constant = FloorModInt(f.constant, c);
  Interval range = BoundsOf(rest);
  if (range.Bounded() && FloorDivInt(range.lo, c) == FloorDivInt(range.hi, c)) {
    quotient.constant += FloorDivInt(range.lo, c);
    return Build(quotient, t);
  }
  int64_t d;
  LinearForm high, low;
  if (SplitDigits(this, rest, c, &d, &high, &low)) {
    AddForm(&quotient, ToLinear(DivByConst(high, c / d, t)), 1);
    return Build(quotient, t);
  }
  // (x / a) / c is x / (a·c).
  if (rest.terms.size() == 1 && rest.terms[0].second == 1) {
    const auto* inner = rest.terms[0].first.as<OpObj>();
    if (inner != nullptr && inner->op() == OpCode::kFloorDiv) {
      if (auto a = AsInt(inner->args[1]); a && *a > 0) {
        LinearForm x = ToLinear(inner->args[0]), shift;
        shift.constant = rest.constant;
        AddForm(&x, shift, *a);
        int64_t product;
        bool fits = !__builtin_mul_overflow(*a, c, &product) && FitsInt(product, t);
        if (fits && Faithful(x, t)) {
          AddForm(&quotient, ToLinear(DivByConst(x, product, t)), 1);
          return Build(quotient, t);
        }
      }
    }
  }
  CheckFaithful(rest, t);
  AddTerm(&quotient, MakeOp(OpCode::kFloorDiv, {Build(rest, t), MakeConst(c, t)}, t), 1);
  return Build(quotient, t);
}

Expr Analyzer::Impl::ModByConst(LinearForm f, int64_t c, DataType t) {
  if (c == 1) return MakeConst(0, t);
  CheckFaithful(f, t);
  if (escaped) return Build(f, t);
  LinearForm rest;
  for (const auto& [atom, k] : f.terms) AddTerm(&rest, atom, k % c == 0 ? 0 : k);
  rest.constant = FloorModInt(f.constant, c);
  Interval range = BoundsOf(rest);
  if (range.Bounded() && FloorDivInt(range.lo, c) == FloorDivInt(range.hi, c)) {
    rest.constant -= FloorDivInt(range.lo, c) * c;
    return Build(rest, t);
  }
  int64_t d;
  LinearForm high, low;
  if (SplitDigits(this, rest, c, &d, &high, &low)) {
    AddForm(&low, ToLinear(ModByConst(high, c / d, t)), d);
    RecombineDivMod(&low);
    return Build(low, t);
  }
  // Coefficients modulo c, towards the small positive ones; (x % a) % c is x % c where c divides a.
  LinearForm reduced;
  reduced.constant = rest.constant;
  for (const auto& [atom, k] : rest.terms) {
    Expr term = atom;
    const auto* inner = atom.as<OpObj>();
    if (inner != nullptr && inner->op() == OpCode::kFloorMod) {
      LinearForm x = ToLinear(inner->args[0]);
      if (auto a = AsInt(inner->args[1]); a && *a > 0 && *a % c == 0 && Faithful(x, t)) {
        AddForm(&reduced, x, FloorModInt(k, c));
        continue;
      }
    }
    AddTerm(&reduced, term, FloorModInt(k, c));
  }
  bool shrunk = reduced.terms.size() != rest.terms.size();
  for (size_t i = 0; !shrunk && i < rest.terms.size(); ++i) {
    shrunk = Compare(reduced.terms[i].first, rest.terms[i].first) != 0;
  }
  CheckFaithful(reduced, t);
  if (shrunk && !escaped) return ModByConst(reduced, c, t);
  return MakeOp(OpCode::kFloorMod, {Build(reduced, t), MakeConst(c, t)}, t);
}

Expr Analyzer::Impl::RewriteMinMax(OpCode op, const Expr& a, const Expr& b) {
  LinearForm diff = ToLinear(a), other = ToLinear(b);  // a - b
  if (!Faithful(diff, a.dtype()) || !Faithful(other, b.dtype()))
    return MakeOp(op, {a, b}, a.dtype());
  AddForm(&diff, other, -1);
  Interval range = BoundsOf(diff);
  bool is_min = op == OpCode::kMin;
  if (range.lo >= 0) return is_min ? b : a;
  if (range.hi <= 0) return is_min ? a : b;
  return MakeOp(op, {a, b}, a.dtype());
}

// (high + mid + low) ^ y is high + (mid ^ y) + low where y and mid lie between two powers of two,
// low below and high above them: of a swizzled address only the swizzled digits stay inside the
// XOR, and the rest can be moved into bases and immediate offsets.
Expr Analyzer::Impl::RewriteXor(const Expr& a, const Expr& b, DataType t) {
  for (int side = 0; side < 2; ++side) {
    const Expr &x = side == 0 ? a : b, &y = side == 0 ? b : a;
    if (!Faithful(ToLinear(x), t) || !Faithful(ToLinear(y), t)) continue;
    Congruence m = ModuloOf(y);
    int64_t unit = m.remainder == 0 ? m.divisor : std::gcd(m.divisor, m.remainder);
    unit = unit == 0 ? int64_t(1) << 40 : unit & -unit;
    Interval reach = BoundsOf(ToLinear(y));
    if (reach.lo < 0 || reach.hi >= int64_t(1) << 40) continue;
    auto top = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(reach.hi) + 1));
    LinearForm f = ToLinear(x), high, mid, low;
    for (const auto& [atom, k] : f.terms) {
      AddTerm(k % top == 0 ? &high : k % unit == 0 ? &mid : &low, atom, k);
    }
    low.constant = FloorModInt(f.constant, unit);
    mid.constant = FloorModInt(f.constant, top) - low.constant;
    high.constant = f.constant - mid.constant - low.constant;
    Interval below = BoundsOf(low);
    if (below.lo < 0 || below.hi >= unit) continue;
    Interval within = BoundsOf(mid);
    if (within.lo < 0 || within.hi >= top) {
      AddForm(&mid, high, 1);
      high = LinearForm();
    }
    auto nothing = [](const LinearForm& part) { return part.terms.empty() && part.constant == 0; };
    if (nothing(high) && nothing(low)) continue;  // the other side may tell more
    LinearForm out;
    bool zero = nothing(mid);
    AddForm(&out, ToLinear(zero ? y : MakeOp(OpCode::kBitXor, {Build(mid, t), y}, t)), 1);
    AddForm(&out, high, 1);
    AddForm(&out, low, 1);
    Expr sum = Build(out, t);
    if (!std::exchange(escaped, false)) return sum;
  }
  return MakeOp(OpCode::kBitXor, {a, b}, t);
}

Expr Analyzer::Impl::RewriteCompare(OpCode op, const Expr& a, const Expr& b) {
  LinearForm diff = ToLinear(a), other = ToLinear(b);
  if (!Faithful(diff, a.dtype()) || !Faithful(other, b.dtype())) return MakeOp(op, {a, b}, Bool());
  AddForm(&diff, other, -1);
  Interval r = BoundsOf(diff);
  auto truth = [](bool v) { return MakeConst(v, Bool()); };
  switch (op) {
    case OpCode::kLt:
      if (r.hi < 0) return truth(true);
      if (r.lo >= 0) return truth(false);
      break;
    case OpCode::kLe:
      if (r.hi <= 0) return truth(true);
      if (r.lo > 0) return truth(false);
      break;
    case OpCode::kGt:
      if (r.lo > 0) return truth(true);
      if (r.hi <= 0) return truth(false);
      break;
    case OpCode::kGe:
      if (r.lo >= 0) return truth(true);
      if (r.hi < 0) return truth(false);
      break;
    default: {
      bool eq = op == OpCode::kEq;
      if (r.IsPoint() && r.lo == 0) return truth(eq);
      if (r.hi < 0 || r.lo > 0) return truth(!eq);
      Congruence m = ModuloOf(diff);
      if (m.divisor > 1 && m.remainder != 0) return truth(!eq);
      break;
    }
  }
  return MakeOp(op, {a, b}, Bool());
}

Expr Analyzer::Impl::RewriteLogic(const Op& op) {
  Expr a = Rewrite(op->args[0]);
  bool is_and = op->op() == OpCode::kAnd, is_or = op->op() == OpCode::kOr;
  auto known = AsInt(a);
  if (!known && !is_or && !is_and && ProveFast(a)) known = 1;
  if (is_and && known) return *known ? Rewrite(op->args[1]) : a;
  if (is_or && known) return *known ? a : Rewrite(op->args[1]);
  if (!is_and && !is_or && known) return Rewrite(op->args[*known ? 1 : 2]);
  // The second operand is evaluated only where the first holds (and) or fails (or): a fact there.
  size_t mark = self->Mark();
  if (!is_or) AssumeSimplified(a, Use());
  Expr b = Rewrite(op->args[1]);
  self->Leave(mark);
  if (is_and || is_or) return MakeOp(op->op(), {a, b}, op->dtype);
  Expr c = Rewrite(op->args[2]);
  if (Compare(b, c) == 0 && IsInteger(b.dtype())) return b;
  return MakeOp(op->op(), {a, b, c}, op->dtype);
}

}  // namespace tilescale::arith
