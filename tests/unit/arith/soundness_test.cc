// SPDX-License-Identifier: MIT
// What the analyzer says of random expressions, against every point of small domains: a simplified
// expression has the same value, an interval and a congruence contain it, and what is proven holds.
// Of indices and of values that wrap, with and without facts, each tier by itself.
#include "compiler/arith/analyzer.h"
#include "compiler/ir/text.h"
#include "reference.h"

#include <gtest/gtest.h>
#include <random>

namespace tilescale::arith {
namespace {

using namespace ir;  // NOLINT

class Draw {
 public:
  explicit Draw(uint32_t seed) : random_(seed) {}
  int64_t Below(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }
  int64_t From(std::initializer_list<int64_t> list) { return list.begin()[Below(list.size())]; }
  bool OneOf(int64_t n) { return Below(n) == 0; }

 private:
  std::mt19937_64 random_;
};

int64_t Lowest(DataType t) {
  if (IsUInt(t) || IsBool(t)) return 0;
  return t.bits == 64 ? -(int64_t{1} << 40) : -(int64_t{1} << (t.bits - 1));
}
int64_t Highest(DataType t) {
  if (IsBool(t)) return 1;
  if (t.bits == 64) return int64_t{1} << (IsUInt(t) ? 62 : 40);
  return (int64_t{1} << (t.bits - (IsInt(t) ? 1 : 0))) - 1;
}

// Random expressions of three variables, most of them of one type.
class Generator {
 public:
  Generator(uint32_t seed, bool tidy, bool wide) : draw_(seed), tidy_(tidy) {
    static const DataType kTypes[] = {Int(32), Int(32), Int(32),  Int(64), Int(8),
                                      UInt(8), Int(16), UInt(32), UInt(64)};
    main_ = tidy ? Int(32) : kTypes[draw_.Below(std::size(kTypes))];
    for (int i = 0; i < 3; ++i) {
      DataType t = tidy || !draw_.OneOf(4) ? main_ : kTypes[draw_.Below(std::size(kTypes))];
      Var v = MakeVar("v" + std::to_string(i), t);
      int64_t n = 1 + draw_.Below(6), lo = draw_.From({0, 0, -2, 1, 3});
      if (!tidy && draw_.OneOf(3)) lo = draw_.OneOf(2) ? Lowest(t) : Highest(t) - n + 1;
      if (IsUInt(t)) lo = std::max<int64_t>(lo, 0);
      int64_t hi = lo + n - 1;
      std::vector<int64_t> sample;
      for (int64_t x = lo; x <= hi; ++x) sample.push_back(x);
      if (wide && draw_.OneOf(2)) {  // more than can be enumerated: looked at here and there
        hi = lo >= 0 && draw_.OneOf(2) ? lo + 100000 : Highest(t);
        hi = std::min(hi, Highest(t));
        sample = {lo, lo + (hi - lo) / 2, hi, hi - std::min<int64_t>(hi - lo, draw_.Below(9))};
      }
      vars.push_back(v);
      ranges.push_back({lo, hi});
      samples.push_back(sample);
    }
  }

  Expr Value(int depth) { return Integer(main_, depth); }

  Expr Integer(DataType t, int depth) {
    if (depth == 0 || draw_.OneOf(8)) return Leaf(t);
    auto sub = [&] { return Integer(t, depth - 1); };
    auto op = [&](OpCode code, Expr a, Expr b) {
      return MakeOp(code, {std::move(a), std::move(b)}, t);
    };
    switch (draw_.Below(tidy_ ? 14 : 20)) {
      case 0:
      case 1:
      case 2:
        return Add(sub(), sub());
      case 3:
        return Sub(sub(), sub());
      case 4:
      case 5:
        return Mul(sub(), Factor(t));
      case 6:
      case 7:
        return op(OpCode::kFloorDiv, sub(), Factor(t));
      case 8:
      case 9:
        return op(OpCode::kFloorMod, sub(), Factor(t));
      case 10:
        return op(OpCode::kBitXor, sub(), sub());
      case 11:
        return op(draw_.OneOf(2) ? OpCode::kTruncDiv : OpCode::kTruncMod, sub(), Factor(t));
      case 12:
        return op(draw_.OneOf(2) ? OpCode::kMin : OpCode::kMax, sub(), sub());
      case 13:
        return draw_.OneOf(2) ? If3(Condition(depth - 1), sub(), sub())
                              : Select(Condition(depth - 1), sub(), sub());
      case 14:
        return op(draw_.OneOf(2) ? OpCode::kBitAnd : OpCode::kBitOr, sub(), sub());
      case 15: {
        OpCode code = draw_.OneOf(2) ? OpCode::kShl : OpCode::kShr;
        return op(code, sub(), draw_.OneOf(6) ? sub() : MakeConst(draw_.Below(t.bits), t));
      }
      case 16:
        return MakeOp(
            draw_.From({0, 1}) ? OpCode::kNeg : (draw_.OneOf(2) ? OpCode::kBitNot : OpCode::kAbs),
            {sub()}, t);
      case 17:
        return Mul(sub(), sub());
      case 18:
        return op(static_cast<OpCode>(
                      draw_.From({int64_t(OpCode::kFloorDiv), int64_t(OpCode::kFloorMod),
                                  int64_t(OpCode::kTruncDiv), int64_t(OpCode::kTruncMod)})),
                  sub(), sub());
      default:
        if (draw_.OneOf(4)) return Cast(Condition(depth - 1), t);
        return Cast(Integer(vars[draw_.Below(vars.size())].dtype(), depth - 1), t);
    }
  }

  Expr Condition(int depth) {
    if (depth > 0 && draw_.OneOf(4)) {
      Expr a = Condition(depth - 1);
      int64_t kind = draw_.Below(3);
      if (kind == 0) return Not(a);
      return kind == 1 ? And(a, Condition(depth - 1)) : Or(a, Condition(depth - 1));
    }
    static constexpr OpCode kCompares[] = {OpCode::kEq, OpCode::kNe, OpCode::kLt,
                                           OpCode::kLe, OpCode::kGt, OpCode::kGe};
    DataType t = draw_.OneOf(3) ? vars[draw_.Below(vars.size())].dtype() : main_;
    Expr a = Integer(t, std::max(0, depth - 1));
    Expr b = draw_.OneOf(2) ? Constant(t) : Integer(t, std::max(0, depth - 1));
    return MakeOp(kCompares[draw_.Below(6)], {a, b}, Bool());
  }

  std::vector<Var> vars;
  std::vector<Interval> ranges;
  std::vector<std::vector<int64_t>> samples;  // of each range; all of it if it is small

 private:
  Expr Constant(DataType t) {
    if (!tidy_ && draw_.OneOf(6)) {
      int64_t near = draw_.Below(3);
      return MakeConst(draw_.OneOf(2) ? Lowest(t) + near : Highest(t) - near, t);
    }
    return MakeConst(draw_.From({0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 24, 32, 37, 64}), t);
  }
  Expr Factor(DataType t) {
    if (!tidy_ && draw_.OneOf(8)) return draw_.OneOf(2) ? Constant(t) : MakeConst(-2, t);
    return MakeConst(draw_.From({1, 2, 3, 4, 6, 8, 16, 32}), t);
  }
  Expr Leaf(DataType t) {
    if (draw_.OneOf(4)) return Constant(t);
    const Var& v = vars[draw_.Below(vars.size())];
    return Cast(v, t);
  }

  Draw draw_;
  bool tidy_;  // sums, divisions, moduli and XOR of small int32: what layouts make
  DataType main_;
};

std::vector<Point> AllPoints(const Generator& g) {
  std::vector<Point> points{{}};
  for (size_t i = 0; i < g.vars.size(); ++i) {
    std::vector<Point> next;
    for (const Point& p : points) {
      for (int64_t x : g.samples[i]) {
        next.push_back(p);
        next.back()[g.vars[i].get()] = x;
      }
    }
    points = std::move(next);
  }
  return points;
}

std::string Show(const Generator& g, const Point& p) {
  std::string out;
  for (const Var& v : g.vars) {
    if (!p.count(v.get())) continue;
    out += " " + std::string(v->name) + " (" + ShortName(v.dtype()) +
           ") = " + std::to_string(p.at(v.get()));
  }
  return out;
}

// Unsigned 64-bit values are kept as the int64 of their bits: the analyzer knows little of them.
bool Within(int64_t x, Interval r, DataType t) {
  if (IsUInt(t) && x < 0) return r.hi == Interval::kMax;
  return (r.lo == Interval::kMin || x >= r.lo) && (r.hi == Interval::kMax || x <= r.hi);
}
bool Fits(int64_t x, Congruence m) {
  if (m.divisor == 0) return x == m.remainder;
  return FloorModInt(x, m.divisor) == FloorModInt(m.remainder, m.divisor);
}

struct Case {
  Generator g;
  Analyzer analyzer;
  std::vector<Point> points;
  std::vector<Expr> facts;
  // A variable that has a value, or that runs from `begin` for `extent` values.
  struct Derived {
    Var var;
    Expr value, begin, extent;
  };
  std::vector<Derived> derived;

  Case(uint32_t seed, bool tidy, bool wide = false) : g(seed, tidy, wide), points(AllPoints(g)) {
    for (size_t i = 0; i < g.vars.size(); ++i) analyzer.Bind(g.vars[i], g.ranges[i]);
  }
  void Assume(const Expr& fact) {
    analyzer.Assume(fact);
    facts.push_back(fact);
  }
  void Define() {
    Expr value = g.Value(2);
    Var v = MakeVar("d", value.dtype());
    analyzer.Define(v, value);
    derived.push_back({v, value, Expr(), Expr()});
    g.vars.push_back(v);
  }
  void Loop() {
    Expr begin = g.Value(1), extent = g.Value(2);
    Var v = MakeVar("i", begin.dtype());
    analyzer.Bind(v, begin, extent);
    derived.push_back({v, Expr(), begin, extent});
    g.vars.push_back(v);
  }

  std::vector<Point> Derive(const Derived& d, const std::vector<Point>& from,
                            Meaning meaning) const {
    std::vector<Point> out;
    auto add = [&](Point p, int64_t x) {
      p[d.var.get()] = x;
      out.push_back(std::move(p));
    };
    for (const Point& p : from) {
      Reference at(meaning, p);
      if (d.value.defined()) {
        if (auto x = at(d.value)) add(p, *x);
        continue;
      }
      auto begin = at(d.begin), end = at(Add(d.begin, d.extent));
      if (!begin || !end || *begin >= *end) continue;
      add(p, *begin);
      if (*begin + 1 < *end) add(p, *end - 1);
      if (*begin + 2 < *end) add(p, *begin + 1);
    }
    return out;
  }

  // The points where the facts hold.
  std::vector<Point> Where(Meaning meaning) const {
    std::vector<Point> all = points, out;
    for (const Derived& d : derived) all = Derive(d, all, meaning);
    for (const Point& p : all) {
      bool holds = true;
      for (const Expr& f : facts) holds = holds && Reference(meaning, p)(f).value_or(0) != 0;
      if (holds) out.push_back(p);
    }
    return out;
  }

  void ExpectSame(const Expr& e, const Expr& simple, Meaning meaning) const {
    for (const Point& p : Where(meaning)) {
      auto want = Reference(meaning, p)(e);
      if (!want) continue;
      Reference reference(meaning, p);
      auto got = reference(simple);
      if (reference.beyond) continue;
      ASSERT_EQ(want, got) << Print(e) << " is not " << Print(simple) << " at" << Show(g, p);
    }
  }
  void ExpectWithin(const Expr& e, Interval r, Meaning meaning) const {
    for (const Point& p : Where(meaning)) {
      auto x = Reference(meaning, p)(e);
      if (!x) continue;
      ASSERT_TRUE(Within(*x, r, e.dtype())) << Print(e) << " is " << *x << " outside " << r.lo
                                            << " … " << r.hi << " at" << Show(g, p);
    }
  }
  void ExpectHolds(const Expr& cond, const char* who) const {
    for (const Point& p : Where(Meaning::kIndex)) {
      auto holds = Reference(Meaning::kIndex, p)(cond);
      ASSERT_TRUE(holds.value_or(1))
          << who << " proves " << Print(cond) << ", false at" << Show(g, p);
    }
  }
  std::string Facts() const {
    std::string out = "facts:";
    for (const Expr& f : facts) out += " " + Print(f) + ";";
    for (const Derived& d : derived) {
      if (d.value.defined()) out += " d == " + Print(d.value) + ";";
      if (d.begin.defined()) out += " i from " + Print(d.begin) + " for " + Print(d.extent) + ";";
    }
    return out;
  }
};

void CheckIndex(Case* c, const Expr& e) {
  c->ExpectSame(e, c->analyzer.Simplify(e), Meaning::kIndex);
  if (!IsInteger(e.dtype())) return;
  c->ExpectWithin(e, c->analyzer.Bounds(e), Meaning::kIndex);
  Congruence m = c->analyzer.Modulo(e);
  for (const Point& p : c->Where(Meaning::kIndex)) {
    auto x = Reference(Meaning::kIndex, p)(e);
    if (!x) continue;
    ASSERT_TRUE(Fits(*x, m)) << Print(e) << " is " << *x << ", not " << m.remainder << " mod "
                             << m.divisor << " at" << Show(c->g, p);
  }
}

void CheckValue(Case* c, const Expr& e) {
  c->ExpectSame(e, c->analyzer.SimplifyValue(e), Meaning::kValue);
  if (!IsInteger(e.dtype())) return;
  c->ExpectWithin(e, c->analyzer.ValueBounds(e), Meaning::kValue);
}

void CheckProofs(Case* c, const Expr& cond) {
  static constexpr std::pair<Tier, const char*> kTiers[] = {{Tier::kFast, "the fast tier"},
                                                            {Tier::kEnumerate, "enumeration"},
                                                            {Tier::kSolver, "the solver"}};
  for (auto [tier, who] : kTiers) {
    if (!c->analyzer.Prove(cond, tier)) continue;
    SCOPED_TRACE("simplified: " + Print(c->analyzer.Simplify(cond)));
    c->ExpectHolds(cond, who);
  }
}

// Conditions about `e` that are as tight as can be: its least and greatest value, and beyond them.
std::vector<Expr> TightConditions(const Case& c, const Expr& e) {
  std::optional<int64_t> least, most;
  for (const Point& p : c.Where(Meaning::kIndex)) {
    auto x = Reference(Meaning::kIndex, p)(e);
    if (!x) continue;
    least = least ? std::min(*least, *x) : *x;
    most = most ? std::max(*most, *x) : *x;
  }
  std::vector<Expr> out;
  if (!least || !IsInteger(e.dtype())) return out;
  auto add = [&](OpCode op, int64_t c) {
    if (FitsInt(c, e.dtype())) out.push_back(MakeOp(op, {e, MakeConst(c, e.dtype())}, Bool()));
  };
  add(OpCode::kLe, *most);
  add(OpCode::kLt, *most);
  add(OpCode::kGe, *least);
  add(OpCode::kGt, *least);
  add(OpCode::kNe, *most);
  add(OpCode::kNe, *least + 1);
  return out;
}

template <typename F>
void ForSeeds(uint32_t count, const F& check) {
  for (uint32_t seed = 0; seed < count; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    check(seed);
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(Soundness, OfIndices) {
  ForSeeds(3000, [](uint32_t seed) {
    Case c(seed, seed % 2 == 0, seed % 7 == 0);
    Expr e = c.g.Value(3 + seed % 3);
    CheckIndex(&c, e);
  });
}

TEST(Soundness, OfValues) {
  ForSeeds(3000, [](uint32_t seed) {
    Case c(seed + 100000, seed % 4 == 0, seed % 7 == 0);
    Expr e = seed % 5 == 0 ? c.g.Condition(3) : c.g.Value(2 + seed % 3);
    CheckValue(&c, e);
  });
}

TEST(Soundness, OfProofs) {
  ForSeeds(800, [](uint32_t seed) {
    Case c(seed + 200000, seed % 2 == 0, seed % 5 == 0);
    CheckProofs(&c, c.g.Condition(3));
    for (const Expr& cond : TightConditions(c, c.g.Value(3))) CheckProofs(&c, cond);
  });
}

TEST(Soundness, UnderFacts) {
  ForSeeds(800, [](uint32_t seed) {
    Case c(seed + 300000, seed % 2 == 0, seed % 3 == 0);
    if (seed % 4 == 1) c.Define();
    if (seed % 4 >= 2) c.Loop();
    for (uint32_t i = 0; i < seed % 3; ++i) c.Assume(c.g.Condition(2));
    SCOPED_TRACE(c.Facts());
    Expr e = c.g.Value(3);
    CheckIndex(&c, e);
    CheckValue(&c, e);
    for (const Expr& cond : TightConditions(c, e)) CheckProofs(&c, cond);
    CheckProofs(&c, c.g.Condition(3));
  });
}

}  // namespace
}  // namespace tilescale::arith
