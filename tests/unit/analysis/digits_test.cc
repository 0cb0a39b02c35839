// SPDX-License-Identifier: MIT
// What DigitsOf claims, against all threads and rounds.
#include "compiler/analysis/digits.h"

#include "compiler/ir/build.h"
#include "compiler/ir/text.h"

#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>
#include <vector>

namespace tilescale::analysis {
namespace {

using namespace ir;  // NOLINT

Expr operator+(const Expr& a, const Expr& b) {
  return Add(a, b);
}
Expr operator+(const Expr& a, int b) {
  return Add(a, MakeConst(b));
}
Expr operator*(const Expr& a, const Expr& b) {
  return Mul(a, b);
}
Expr operator*(const Expr& a, int b) {
  return Mul(a, MakeConst(b));
}

constexpr int64_t kThreads = 12, kI = 5, kJ = 3, kUnknown = 3;

struct Names {
  Var tx = MakeVar("tx", Int(32)), i = MakeVar("i", Int(32)), j = MakeVar("j", Int(32));
  Var x = MakeVar("x", Int(32));  // of which nothing is known
  Threads threads{0, kThreads, kThreads, 1, {tx.get(), nullptr, nullptr}};
  Digits Of(const Expr& index, int64_t count = 1, const std::vector<Expr>& guards = {}) const {
    arith::Analyzer analyzer;
    analyzer.Bind(tx, {0, kThreads - 1});
    analyzer.Bind(i, {0, kI - 1});
    analyzer.Bind(j, {0, kJ - 1});
    return DigitsOf(index, count, guards, threads, &analyzer);
  }
};

struct Place {
  Expr index;
  int64_t count;
  std::vector<Expr> guards;
  Digits digits;
};

// Elements and the threads that touch them, at any point.
std::map<int64_t, std::set<int64_t>> Touched(const Names& n, const Place& p) {
  std::map<int64_t, std::set<int64_t>> out;
  for (int64_t t = 0; t < kThreads; ++t) {
    for (int64_t at = 0; at < kI * kJ * kUnknown; ++at) {
      auto value = [&](const VarObj* v) -> std::optional<int64_t> {
        if (v == n.tx.get()) return t;
        if (v == n.i.get()) return at % kI;
        return v == n.j.get() ? at / kI % kJ : at / kI / kJ - 1;
      };
      bool happens = true;
      for (const Expr& g : p.guards) happens = happens && *arith::EvaluateInt(g, value) != 0;
      if (!happens) continue;
      for (int64_t k = 0; k < p.count; ++k) out[*arith::EvaluateInt(p.index, value) + k].insert(t);
    }
  }
  return out;
}

bool Meet(const Names& n, const Place& a, const Place& b) {
  const auto x = Touched(n, a), y = Touched(n, b);
  for (const auto& [element, threads] : x) {
    auto it = y.find(element);
    if (it == y.end()) continue;
    if (threads.size() > 1 || it->second.size() > 1 || *threads.begin() != *it->second.begin())
      return true;
  }
  return false;
}

TEST(Digits, KnowsPlainForms) {
  Names n;
  EXPECT_NE(n.Of(n.tx).text, "");
  EXPECT_NE(n.Of(n.tx + n.x * 12).text, "") << "a row for each round";
  EXPECT_EQ(n.Of(n.tx + n.x * 11).text, "") << "rows that overlap";
  EXPECT_EQ(n.Of(n.tx * 2 + n.x).text, "") << "nobody knows which";
  EXPECT_NE(n.Of(n.tx * 4, 4).text, "");
  EXPECT_EQ(n.Of(n.tx * 4, 5).text, "") << "more elements than the factor";
  EXPECT_EQ(n.Of(FloorDiv(n.tx, 2)).text, "") << "two threads at one element";
  EXPECT_EQ(n.Of(n.tx * n.x).text, "") << "a factor that nobody knows";
  // Threads have the digits of rows and columns; tiles stand side by side.
  Expr tile = FloorMod(n.tx, 4) + n.i * 4 + FloorDiv(n.tx, 4) * 20 + n.x * 60;
  EXPECT_NE(n.Of(tile).text, "");
  EXPECT_EQ(n.Of(tile + n.i).text, "");
}

TEST(Digits, GuardsBoundASum) {
  Names n;
  Expr column = n.tx + n.i * 12, index = column + n.x * 50;
  EXPECT_EQ(n.Of(index).text, "") << "60 columns in 50";
  EXPECT_NE(n.Of(index, 1, {Lt(column, 50)}).text, "");
  EXPECT_EQ(n.Of(index, 1, {Lt(column, 51)}).text, "");
  EXPECT_NE(n.Of(index, 1, {Le(column, MakeConst(49))}).text, "");
  EXPECT_EQ(n.Of(index, 2, {Lt(column, 50)}).text, "");
  // By rows of 2 elements: the guard is of the row.
  Expr row = FloorDiv(n.tx, 2) + n.i * 6;
  EXPECT_NE(n.Of(column + n.x * 50, 1, {Lt(row, 25)}).text, "");
  EXPECT_EQ(n.Of(column + n.x * 50, 1, {Lt(row, 26)}).text, "");
}

TEST(Digits, ComparesPlacesOfTheSameDigits) {
  Names n;
  Digits rows = n.Of(n.tx + n.x * 12), others = n.Of(n.tx + n.x * 24 + n.i * 36);
  EXPECT_TRUE(DigitsDiffer(rows, others)) << "all are multiples of 12";
  EXPECT_FALSE(DigitsDiffer(rows, n.Of(n.tx + n.x * 12 + 1)));
  EXPECT_TRUE(DigitsDiffer(rows, n.Of(n.tx + n.x * 12 + 24)));
  EXPECT_FALSE(DigitsDiffer(rows, n.Of(n.tx + n.x * 13)));
  EXPECT_FALSE(DigitsDiffer(Digits(), Digits()));
}

// Sums that mostly are numbers of a mixed radix, with faults in some.
class Maker {
 public:
  explicit Maker(unsigned seed) : random_(seed) {}
  Place operator()(const Names& n) {
    Place p{MakeConst(0), One(3) == 0 ? 2 : 1, {}, {}};
    std::vector<Expr> thread = {n.tx};
    if (One(2)) thread = {FloorMod(n.tx, 4), FloorDiv(n.tx, 4)};
    std::vector<std::pair<Expr, int64_t>> digits;
    for (const Expr& e : thread)
      digits.emplace_back(e, thread.size() == 1 ? 12 : &e == thread.data() ? 4 : 3);
    if (One(2)) digits.emplace_back(n.i, kI);
    if (One(2)) digits.emplace_back(One(3) ? Expr(n.j) : FloorMod(n.i + n.j, 3), kJ);
    std::shuffle(digits.begin(), digits.end(), random_);
    if (One(2)) digits.emplace_back(n.x, kUnknown);
    int64_t factor = p.count;
    Expr some;
    for (const auto& [e, extent] : digits) {
      p.index = p.index + e * static_cast<int>(factor);
      if (One(2))
        some = some.defined() ? some + e * static_cast<int>(factor) : e * static_cast<int>(factor);
      factor *= extent;
      if (One(5) == 0) factor += One(5) - 2;
      factor = std::max<int64_t>(1, factor);
    }
    if (One(4) == 0) p.index = p.index + One(40);
    if (some.defined() && One(2)) p.guards.push_back(Lt(some, One(static_cast<int>(factor)) + 1));
    p.digits = n.Of(p.index, p.count, p.guards);
    return p;
  }
  int One(int of) { return std::uniform_int_distribution<int>(0, of - 1)(random_); }

 private:
  std::mt19937 random_;
};

TEST(Digits, ClaimsWhatHolds) {
  Names n;
  int claimed = 0, pairs = 0;
  std::vector<Place> some;
  Maker make(20261123);
  for (int round = 0; round < 3000; ++round) {
    Place p = make(n);
    if (p.digits.text.empty()) continue;
    ++claimed;
    ASSERT_FALSE(Meet(n, p, p)) << Print(p.index) << " of " << p.count;
    for (const Place& other : some) {
      if (!DigitsDiffer(p.digits, other.digits)) continue;
      ++pairs;
      ASSERT_FALSE(Meet(n, p, other)) << Print(p.index) << " and " << Print(other.index);
      if (pairs > 2000) break;
    }
    if (some.size() < 200) some.push_back(std::move(p));
  }
  EXPECT_GT(claimed, 500);
  EXPECT_GT(pairs, 500);
}

}  // namespace
}  // namespace tilescale::analysis
