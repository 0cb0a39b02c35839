// SPDX-License-Identifier: MIT
// Where integers meet the limits of machine words: cases that random expressions found.
#include "compiler/arith/analyzer.h"
#include "compiler/ir/text.h"

#include <gtest/gtest.h>

namespace tilescale::arith {
namespace {

using namespace ir;  // NOLINT

constexpr int64_t kLeast = -(int64_t{1} << 31), kMost = (int64_t{1} << 31) - 1;

Expr Binary(OpCode op, const Expr& a, const Expr& b) {
  return MakeOp(op, {a, b}, a.dtype());
}

// v % 16 is v + 2^31 here, which int32 cannot say.
TEST(Edges, NumbersBeyondTheTypeAreNotWritten) {
  Analyzer a;
  Var v = MakeVar("v");
  a.Bind(v, {kLeast, kLeast + 5});
  EXPECT_EQ(Print(a.Simplify(FloorMod(v, 16))), "%v % 16");
  EXPECT_TRUE(a.Prove(Lt(FloorMod(v, 16), 6)));
  EXPECT_FALSE(a.Prove(Lt(FloorMod(v, 16), 5)));
}

TEST(Edges, KnownVariablesAreNotFoldedBeyondTheType) {
  Analyzer a;
  Var v = MakeVar("v"), x = MakeVar("x");
  a.Bind(v, {kLeast, kLeast});
  a.Bind(x, {0, 1});
  EXPECT_EQ(a.Bounds(MakeOp(OpCode::kNeg, {v}, Int(32))).lo, kMost + 1);
  EXPECT_EQ(a.Bounds(Add(Mul(v, 2), x)).hi, 2 * kLeast + 1);
}

TEST(Edges, BitsOfIndicesBeyondTheType) {
  Analyzer a;
  Var v = MakeVar("v"), s = MakeVar("s");
  a.Bind(v, {-1, kMost});
  a.Bind(s, {0, 3});
  Expr wide = Mul(v, 4);
  EXPECT_GE(a.Bounds(Binary(OpCode::kBitXor, wide, MakeConst(1))).hi, 4 * kMost);
  EXPECT_GE(a.Bounds(Binary(OpCode::kShr, wide, s)).hi, 4 * kMost);
  EXPECT_EQ(a.Bounds(Binary(OpCode::kShl, v, MakeConst(14))).hi, kMost << 14);
  EXPECT_EQ(a.Bounds(MakeOp(OpCode::kAbs, {wide}, Int(32))).hi, 4 * kMost);
  EXPECT_EQ(a.Bounds(MakeOp(OpCode::kBitNot, {wide}, Int(32))).lo, -4 * kMost - 1);
  EXPECT_EQ(a.ValueBounds(Binary(OpCode::kShl, v, MakeConst(14))).hi, kMost);
}

TEST(Edges, CastsMakeWhatTheMachineMakes) {
  Analyzer a;
  Var v = MakeVar("v"), w = MakeVar("w", Int(64)), u = MakeVar("u", UInt(64));
  a.Bind(v, {-3, 3});
  a.Bind(w, {int64_t{1} << 40, (int64_t{1} << 40) + 3});
  EXPECT_FALSE(a.Prove(Lt(Cast(v, UInt(32)), MakeConst(4, UInt(32)))));
  EXPECT_FALSE(a.Prove(Compare(OpCode::kGt, Cast(w, Int(32)), MakeConst(3))));
  EXPECT_TRUE(a.Prove(Lt(Cast(w, Int(32)), MakeConst(4))));
  EXPECT_EQ(a.Bounds(Cast(u, Int(64))).lo, Interval::kMin);
}

TEST(Edges, LiteralsOfUint64AreNoNegativeNumbers) {
  Analyzer a;
  Var u = MakeVar("u", UInt(64));
  a.Bind(u, {0, 5});
  Expr large = MakeConst(-8, UInt(64));
  a.Assume(Ge(large, Binary(OpCode::kBitXor, large, u)));
  EXPECT_FALSE(a.Prove(Compare(OpCode::kGt, Mul(u, 17), MakeConst(0, UInt(64)))));
  EXPECT_FALSE(a.Prove(Lt(large, u)));
}

// Facts with a variable that nothing bounds: enumeration cannot answer.
TEST(Edges, TheSolverKnowsWhatWraps) {
  Analyzer a;
  Var x = MakeVar("x", Int(8)), y = MakeVar("y", Int(8)), n = MakeVar("n");
  a.Bind(x, {120, 127});
  a.Bind(y, {3, 4});
  a.Assume(Compare(OpCode::kGt, n, MakeConst(0)));
  Expr zero = MakeConst(0, Int(8));
  EXPECT_FALSE(a.Prove(Compare(OpCode::kGt, Mul(x, y), zero)));
  // x + y wraps, x + y - 112 does not: at most 19.
  Expr sum = Sub(Add(x, y), MakeConst(112, Int(8)));
  EXPECT_FALSE(a.Prove(Lt(sum, MakeConst(19, Int(8)))));
  EXPECT_TRUE(a.Prove(Lt(sum, MakeConst(20, Int(8)))));
}

TEST(Edges, IntervalsWithoutValues) {
  Analyzer a;
  Var v = MakeVar("v"), n = MakeVar("n");
  a.Bind(v, {0, 5});
  a.Bind(n, {1, 0});
  EXPECT_EQ(a.Bounds(FloorDiv(v, n)).hi, Interval::kMax);
}

}  // namespace
}  // namespace tilescale::arith
