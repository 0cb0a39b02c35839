// SPDX-License-Identifier: MIT
// Simplify keeps values: random index expressions of the kinds that layouts make, compared at every
// point of a small domain; and the shapes that code generation counts on.
#include "compiler/arith/analyzer.h"
#include "compiler/ir/text.h"
#include "reference.h"

#include <gtest/gtest.h>
#include <random>

namespace tilescale::arith {
namespace {

using namespace ir;  // NOLINT

struct Domain {
  std::vector<Var> vars;
  std::vector<int64_t> extents;
  Analyzer analyzer;

  explicit Domain(std::vector<int64_t> n) : extents(std::move(n)) {
    for (size_t i = 0; i < extents.size(); ++i) {
      vars.push_back(MakeVar("v" + std::to_string(i)));
      analyzer.Bind(vars[i], {0, extents[i] - 1});
    }
  }

  void ExpectSame(const Expr& a, const Expr& b) const {
    int64_t points = 1;
    for (int64_t n : extents) points *= n;
    for (int64_t p = 0; p < points; ++p) {
      Point point;
      int64_t rest = p;
      for (size_t i = 0; i < vars.size(); ++i) {
        point[vars[i].get()] = rest % extents[i];
        rest /= extents[i];
      }
      Reference reference(Meaning::kIndex, point);
      ASSERT_EQ(reference(a), reference(b)) << Print(a) << " is not " << Print(b);
    }
  }
};

Expr Xor(const Expr& a, const Expr& b) {
  return MakeOp(OpCode::kBitXor, {a, b}, a.dtype());
}

TEST(Simplify, KeepsValues) {
  for (uint32_t seed = 0; seed < 2000; ++seed) {
    std::mt19937 random(seed);
    Domain d({8, 4, 6});
    auto draw = [&](int n) { return static_cast<int>(random() % n); };
    std::function<Expr(int)> make = [&](int depth) -> Expr {
      if (depth == 0 || draw(6) == 0) {
        return draw(4) == 0 ? MakeConst(draw(40)) : Expr(d.vars[draw(3)]);
      }
      Expr a = make(depth - 1);
      static constexpr int64_t kFactors[] = {2, 3, 4, 8, 16, 32};
      int64_t c = kFactors[draw(6)];
      switch (draw(8)) {
        case 0:
          return FloorDiv(a, c);
        case 1:
          return FloorMod(a, c);
        case 2:
        case 3:
          return Mul(a, c);
        case 4:
          return Xor(a, Mul(FloorMod(make(depth - 1), 8), c));
        case 5:
          return Sub(a, make(depth - 1));
        default:
          return Add(a, make(depth - 1));
      }
    };
    Expr e = make(4);
    SCOPED_TRACE(seed);
    d.ExpectSame(e, d.analyzer.Simplify(e));
  }
}

TEST(Simplify, KeepsOnlySwizzledDigitsInsideXor) {
  Domain d({8, 4, 2});
  Expr row = d.vars[0], chunk = d.vars[1], half = d.vars[2];
  // Rows of 64 elements, chunks of 8: digit `chunk` is swizzled by the row, the rest is not.
  Expr place = Add(Add(Mul(row, 64), Mul(chunk, 8)), Add(Mul(half, 512), MakeConst(1027)));
  Expr e = d.analyzer.Simplify(Xor(place, Mul(row, 8)));
  d.ExpectSame(Xor(place, Mul(row, 8)), e);
  EXPECT_EQ(Print(e), "%v0 * 64 + %v2 * 512 + (%v1 * 8 ^ %v0 * 8) + 1027");
}

}  // namespace
}  // namespace tilescale::arith
