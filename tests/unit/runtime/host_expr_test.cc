// SPDX-License-Identifier: MIT
#include "runtime/host_expr.h"

#include <climits>
#include <gtest/gtest.h>
#include <random>

namespace tilescale::runtime {
namespace {

int64_t Value(const HostExpr& expr, const std::vector<int64_t>& symbols = {}) {
  HostValues values;
  values.symbols = symbols.data();
  int64_t result = 0;
  EXPECT_TRUE(expr.Evaluate(values, &result));
  return result;
}

bool Fails(const HostExpr& expr, const std::vector<int64_t>& symbols) {
  HostValues values;
  values.symbols = symbols.data();
  int64_t result = 0;
  return !expr.Evaluate(values, &result);
}

HostExpr S(int index) {
  return HostExpr::Symbol(index);
}

TEST(HostExpr, FloorDivisionRoundsDown) {
  for (int64_t a = -17; a <= 17; ++a) {
    for (int64_t b = -5; b <= 5; ++b) {
      if (b == 0) continue;
      const int64_t quotient = Value(FloorDiv(S(0), S(1)), {a, b});
      const int64_t remainder = Value(FloorMod(S(0), S(1)), {a, b});
      EXPECT_EQ(quotient * b + remainder, a);
      EXPECT_TRUE(remainder == 0 || (remainder < 0) == (b < 0)) << a << " " << b;
      EXPECT_LT(std::abs(remainder), std::abs(b));
    }
  }
}

TEST(HostExpr, EveryOperator) {
  const auto apply = [](HostOp op, int64_t a, int64_t b) {
    return Value(HostExpr::Make(op, {S(0), S(1)}), {a, b});
  };
  EXPECT_EQ(apply(HostOp::kAdd, 3, 4), 7);
  EXPECT_EQ(apply(HostOp::kSub, 3, 4), -1);
  EXPECT_EQ(apply(HostOp::kMul, 3, 4), 12);
  EXPECT_EQ(apply(HostOp::kMin, 3, 4), 3);
  EXPECT_EQ(apply(HostOp::kMax, 3, 4), 4);
  EXPECT_EQ(apply(HostOp::kEq, 3, 3), 1);
  EXPECT_EQ(apply(HostOp::kNe, 3, 3), 0);
  EXPECT_EQ(apply(HostOp::kLt, 3, 3), 0);
  EXPECT_EQ(apply(HostOp::kLe, 3, 3), 1);
  EXPECT_EQ(apply(HostOp::kAnd, 5, 0), 0);
  EXPECT_EQ(apply(HostOp::kAnd, 5, 2), 1);
  EXPECT_EQ(apply(HostOp::kOr, 0, 2), 1);
  EXPECT_EQ(Value(HostExpr::Make(HostOp::kNot, {S(0)}), {7}), 0);
  EXPECT_EQ(Value(HostExpr::Make(HostOp::kSelect, {S(0), S(1), 9}), {1, 5}), 5);
  EXPECT_EQ(Value(HostExpr::Make(HostOp::kSelect, {S(0), S(1), 9}), {0, 5}), 9);
}

TEST(HostExpr, LeavesReadTheCall) {
  int64_t shape[] = {3, 5};
  int64_t strides[] = {7, 1};
  DLTensor strided{};
  strided.ndim = 2;
  strided.shape = shape;
  strided.strides = strides;
  DLTensor dense = strided;
  dense.strides = nullptr;
  const DLTensor* tensors[] = {&strided, &dense};
  const int64_t scalars[] = {11, 13};
  const int64_t addresses[] = {4096, 4098};
  const HostValues values{nullptr, tensors, scalars, addresses};
  const auto value = [&](const HostExpr& expr) {
    int64_t result = 0;
    EXPECT_TRUE(expr.Evaluate(values, &result));
    return result;
  };
  EXPECT_EQ(value(HostExpr::Dim(0, 1)), 5);
  EXPECT_EQ(value(HostExpr::Stride(0, 0)), 7);
  EXPECT_EQ(value(HostExpr::Stride(1, 0)), 5);
  EXPECT_EQ(value(HostExpr::Stride(1, 1)), 1);
  EXPECT_EQ(value(HostExpr::Numel(0)), 15);
  EXPECT_EQ(value(HostExpr::Scalar(1)), 13);
  EXPECT_EQ(value(FloorMod(HostExpr::Address(1), 16)), 2);
}

TEST(HostExpr, UndefinedResultsFail) {
  EXPECT_TRUE(Fails(FloorDiv(S(0), S(1)), {1, 0}));
  EXPECT_TRUE(Fails(FloorMod(S(0), S(1)), {1, 0}));
  EXPECT_TRUE(Fails(FloorDiv(S(0), S(1)), {INT64_MIN, -1}));
  EXPECT_TRUE(Fails(S(0) + S(1), {INT64_MAX, 1}));
  EXPECT_TRUE(Fails(S(0) * S(1), {INT64_MAX, 2}));
  EXPECT_TRUE(Fails(S(0) - S(1), {INT64_MIN, 1}));
}

TEST(HostExpr, ConstantsFold) {
  EXPECT_EQ(CeilDiv(HostExpr(300), HostExpr(128)), HostExpr(3));
  EXPECT_EQ(S(0) + 0, S(0));
  EXPECT_EQ(S(0) * 1, S(0));
  // An undefined constant stays a program, so that it fails where it is evaluated.
  EXPECT_TRUE(Fails(FloorDiv(HostExpr(1), HostExpr(0)), {}));
}

TEST(HostExpr, DepthFindsMalformedPrograms) {
  EXPECT_EQ(S(0).Depth(), 1);
  EXPECT_EQ((S(0) + S(1) * S(2)).Depth(), 3);
  EXPECT_EQ(HostExpr().Depth(), -1);
  EXPECT_EQ(HostExpr::FromCode({{HostOp::kAdd, 0, 0, 0}}).Depth(), -1);
  EXPECT_EQ(HostExpr::FromCode({{HostOp::kConst, 0, 0, 1}, {HostOp::kConst, 0, 0, 1}}).Depth(), -1);
  EXPECT_EQ(HostExpr::FromCode({{static_cast<HostOp>(99), 0, 0, 0}}).Depth(), -1);
}

TEST(HostExpr, PrintsWithTheUsersNames) {
  const HostNames names{{"m", "k"}, {"A", "B"}};
  EXPECT_EQ(CeilDiv(S(0), 128).ToString(names), "(m + 127) // 128");
  EXPECT_EQ(Equal(FloorMod(HostExpr::Address(0), 16), 0).ToString(names), "A.data % 16 == 0");
  EXPECT_EQ((S(0) - (S(1) - 2)).ToString(names), "m - (k - 2)");
  EXPECT_EQ((S(0) * (S(1) + 2)).ToString(names), "m * (k + 2)");
  EXPECT_EQ(Less(HostExpr::Numel(1) * 2, int64_t{1} << 31).ToString(names),
            "numel(B) * 2 < 2147483648");
  EXPECT_EQ(HostExpr::Make(HostOp::kSelect, {Less(S(0), 4), S(1), 1}).ToString(names),
            "k if m < 4 else 1");
  EXPECT_EQ(HostExpr::Make(HostOp::kMin, {S(0), S(1) + 1}).ToString(names), "min(m, k + 1)");
  EXPECT_EQ(HostExpr::Make(HostOp::kAnd, {HostExpr::Make(HostOp::kOr, {S(0), S(1)}), S(0)})
                .ToString(names),
            "(m or k) and m");
  EXPECT_EQ(HostExpr::Make(HostOp::kNot, {Equal(S(0), 1)}).ToString(names), "not m == 1");
  EXPECT_EQ(HostExpr::Dim(1, 2).ToString(names), "B.shape[2]");
  EXPECT_EQ(HostExpr::Stride(1, 0).ToString(names), "B.strides[0]");
}

// Trees drawn at random, evaluated by postfix program and by recursion over 128-bit integers.
struct Tree {
  HostExpr expr;
  __int128 value;
  bool defined;
};

Tree Draw(std::mt19937_64& random, const std::vector<int64_t>& symbols, int depth) {
  if (depth == 0 || random() % 4 == 0) {
    const int index = static_cast<int>(random() % symbols.size());
    if (random() % 2) return {S(index), symbols[index], true};
    const auto value = static_cast<int64_t>(random() % 200) - 100;
    return {HostExpr(value), value, true};
  }
  const Tree a = Draw(random, symbols, depth - 1);
  const Tree b = Draw(random, symbols, depth - 1);
  const bool defined = a.defined && b.defined;
  const auto fits = [](__int128 v) { return v >= INT64_MIN && v <= INT64_MAX; };
  switch (random() % 5) {
    case 0:
      return {a.expr + b.expr, a.value + b.value, defined && fits(a.value + b.value)};
    case 1:
      return {a.expr - b.expr, a.value - b.value, defined && fits(a.value - b.value)};
    case 2:
      return {a.expr * b.expr, defined ? a.value * b.value : 0, defined && fits(a.value * b.value)};
    case 3: {
      if (!defined || b.value == 0) return {FloorDiv(a.expr, b.expr), 0, false};
      __int128 q = a.value / b.value;
      if (a.value % b.value != 0 && (a.value < 0) != (b.value < 0)) --q;
      return {FloorDiv(a.expr, b.expr), q, fits(q)};
    }
    default:
      return {HostExpr::Make(HostOp::kMax, {a.expr, b.expr}), std::max(a.value, b.value), defined};
  }
}

TEST(HostExpr, AgreesWithRecursionOnRandomTrees) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  int undefined = 0;
  for (int trial = 0; trial < 3000; ++trial) {
    std::vector<int64_t> symbols(3);
    for (int64_t& symbol : symbols) {
      symbol = static_cast<int64_t>(random()) >> (random() % 2 ? 58 : 20);
    }
    const Tree tree = Draw(random, symbols, 5);
    ASSERT_GT(tree.expr.Depth(), 0);
    HostValues values;
    values.symbols = symbols.data();
    int64_t got = 0;
    const bool ok = tree.expr.Evaluate(values, &got);
    // x * 1, x + 0 and x // 1 are dropped when built, which removes no undefined operand.
    ASSERT_EQ(ok, tree.defined) << tree.expr.ToString({});
    if (ok) {
      ASSERT_EQ(got, static_cast<int64_t>(tree.value)) << tree.expr.ToString({});
    }
    undefined += !ok;
  }
  EXPECT_GT(undefined, 0);
}

}  // namespace
}  // namespace tilescale::runtime
