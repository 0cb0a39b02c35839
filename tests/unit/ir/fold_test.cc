// SPDX-License-Identifier: MIT
// Folding: constants against an independent evaluation on random inputs, unit cases by text.
#include "compiler/ir/fold.h"

#include "compiler/ir/build.h"
#include "compiler/ir/numeric.h"
#include "compiler/ir/text.h"
#include "support/diagnostics.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <random>

namespace tilescale::ir {
namespace {

int64_t Folded(OpCode op, int64_t a, int64_t b, DataType t) {
  const DataType result = *InferType(op, {MakeConst(a, t), MakeConst(b, t)});
  std::optional<int64_t> value = AsInt(MakeOp(op, {MakeConst(a, t), MakeConst(b, t)}, result));
  EXPECT_TRUE(value.has_value());
  return value.value_or(0);
}

// Machine arithmetic of the host's own types is the reference.
template <typename T>
void CompareWithHost(DataType t, uint64_t seed) {
  std::mt19937_64 random(seed);
  const T edges[] = {0,
                     1,
                     2,
                     7,
                     static_cast<T>(-1),
                     static_cast<T>(-2),
                     std::numeric_limits<T>::max(),
                     std::numeric_limits<T>::min(),
                     std::numeric_limits<T>::max() / 2};
  auto draw = [&] {
    return random() % 3 == 0 ? edges[random() % 9] : static_cast<T>(random() >> (random() % 64));
  };
  using U = std::make_unsigned_t<T>;
  for (int i = 0; i < 3000; ++i) {
    const T a = draw(), b = draw();
    auto folded = [&](OpCode op) { return static_cast<T>(Folded(op, a, b, t)); };
    // Unsigned arithmetic of the width wraps; narrow types are widened first, so cast back.
    EXPECT_EQ(folded(OpCode::kAdd),
              static_cast<T>(static_cast<U>(static_cast<U>(a) + static_cast<U>(b))));
    EXPECT_EQ(folded(OpCode::kSub),
              static_cast<T>(static_cast<U>(static_cast<U>(a) - static_cast<U>(b))));
    EXPECT_EQ(folded(OpCode::kMul),
              static_cast<T>(static_cast<U>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b))));
    EXPECT_EQ(folded(OpCode::kMin), std::min(a, b));
    EXPECT_EQ(folded(OpCode::kMax), std::max(a, b));
    EXPECT_EQ(folded(OpCode::kBitXor), static_cast<T>(a ^ b));
    EXPECT_EQ(folded(OpCode::kLt) & 1, a < b);
    EXPECT_EQ(folded(OpCode::kGe) & 1, a >= b);
    const bool overflow =
        std::is_signed_v<T> && a == std::numeric_limits<T>::min() && b == static_cast<T>(-1);
    if (b == 0 || overflow) continue;
    EXPECT_EQ(folded(OpCode::kTruncDiv), static_cast<T>(a / b));
    EXPECT_EQ(folded(OpCode::kTruncMod), static_cast<T>(a % b));
    // Floor division is defined by its remainder: the divisor's sign and smaller in magnitude.
    const T q = folded(OpCode::kFloorDiv), r = folded(OpCode::kFloorMod);
    EXPECT_EQ(static_cast<T>(static_cast<U>(static_cast<uint64_t>(q) * static_cast<uint64_t>(b) +
                                            static_cast<uint64_t>(r))),
              a);
    EXPECT_TRUE(b > 0 ? (r >= 0 && r < b) : (r <= 0 && r > b)) << a << " % " << b << " = " << r;
  }
}

TEST(Fold, IntegersAreTheMachines) {
  CompareWithHost<int32_t>(Int(32), 1);
  CompareWithHost<uint32_t>(UInt(32), 2);
  CompareWithHost<int64_t>(Int(64), 3);
  CompareWithHost<uint64_t>(UInt(64), 4);
  CompareWithHost<int8_t>(Int(8), 5);
  CompareWithHost<uint16_t>(UInt(16), 6);
}

TEST(Fold, IntegerEdges) {
  EXPECT_EQ(Folded(OpCode::kFloorDiv, -7, 2, Int(32)), -4);
  EXPECT_EQ(Folded(OpCode::kFloorMod, -7, 2, Int(32)), 1);
  EXPECT_EQ(Folded(OpCode::kFloorMod, 7, -2, Int(32)), -1);
  EXPECT_EQ(Folded(OpCode::kFloorDiv, INT64_MIN, -1, Int(64)), INT64_MIN);  // wraps
  EXPECT_EQ(Folded(OpCode::kShr, -8, 1, Int(32)), -4);
  EXPECT_EQ(Folded(OpCode::kShr, static_cast<int64_t>(0x80000000u), 31, UInt(32)), 1);
  EXPECT_EQ(Folded(OpCode::kShl, 1, 31, Int(32)), INT32_MIN);
  EXPECT_EQ(Folded(OpCode::kAdd, 7, 1, Int(4)), -8);
  // Undefined on the device: left alone.
  for (OpCode op : {OpCode::kFloorDiv, OpCode::kFloorMod, OpCode::kTruncDiv, OpCode::kTruncMod}) {
    EXPECT_FALSE(AsInt(MakeOp(op, {MakeConst(1), MakeConst(0)}, Int(32))).has_value());
  }
  EXPECT_FALSE(AsInt(MakeOp(OpCode::kShl, {MakeConst(1), MakeConst(32)}, Int(32))).has_value());
}

TEST(Fold, UnitCases) {
  Var x = MakeVar("x"), y = MakeVar("y"), f = MakeVar("f", Float(32));
  Expr zero = MakeConst(0), one = MakeConst(1);
  EXPECT_TRUE(Add(x, zero).same_as(x));
  EXPECT_TRUE(Add(zero, x).same_as(x));
  EXPECT_TRUE(Sub(x, zero).same_as(x));
  EXPECT_TRUE(Mul(x, one).same_as(x));
  EXPECT_TRUE(Mul(one, x).same_as(x));
  EXPECT_TRUE(FloorDiv(x, one).same_as(x));
  EXPECT_TRUE(IsConst(Mul(x, zero), 0));
  EXPECT_TRUE(IsConst(FloorMod(x, one), 0));
  EXPECT_TRUE(IsConst(Sub(Add(x, y), Add(x, y)), 0));
  EXPECT_TRUE(Min(x, x).same_as(x));
  EXPECT_EQ(Print(Add(Add(x, 3), 4)), "%x + 7");
  EXPECT_EQ(Print(Mul(Mul(x, 3), 4)), "%x * 12");
  EXPECT_TRUE(Add(Add(x, 3), -3).same_as(x));
  EXPECT_EQ(Print(Not(Lt(x, y))), "%x >= %y");
  EXPECT_TRUE(IsConst(Le(x, x), 1));
  EXPECT_TRUE(And(MakeConst(1, Bool()), Lt(x, y)).as<OpObj>() != nullptr);
  EXPECT_TRUE(IsConst(And(Lt(x, y), MakeConst(0, Bool())), 0));
  EXPECT_TRUE(And(Expr(), x).same_as(x));
  EXPECT_FALSE(Or(Expr(), Lt(x, y)).defined());
  EXPECT_TRUE(If3(MakeConst(0, Bool()), x, y).same_as(y));
  EXPECT_TRUE(Select(Lt(x, y), x, x).same_as(x));
  EXPECT_TRUE(Cast(x, Int(32)).same_as(x));
  // Not exact for infinities, NaNs or signed zeros: kept.
  EXPECT_EQ(Print(Add(f, MakeFloat(0, Float(32)))), "%f + 0.0");
  EXPECT_EQ(Print(Mul(f, MakeFloat(0, Float(32)))), "%f * 0.0");
  EXPECT_EQ(Print(Sub(f, f)), "%f - %f");
  EXPECT_EQ(Print(Not(Compare(OpCode::kLt, f, MakeFloat(1, Float(32))))), "not %f < 1.0");
  EXPECT_TRUE(Mul(f, MakeFloat(1, Float(32))).same_as(f));
}

TEST(Fold, OperandsHaveOneType) {
  EXPECT_THROW(Add(MakeVar("x"), MakeVar("y", Int(64))), InternalError);
}

// Every value of a 16-bit format is exact, and the nearest of two neighbours is taken, ties to
// even.
template <typename Decode>
void CheckRounding(DataType t, int count, Decode decode) {
  std::mt19937_64 random(t.code * 100 + t.bits);
  for (int i = 0; i + 1 < count; ++i) {
    const double lo = decode(i), hi = decode(i + 1);
    EXPECT_EQ(RoundFloat(lo, t), lo);
    EXPECT_EQ(RoundFloat(-hi, t), -hi);
    const double mid = (lo + hi) / 2;
    EXPECT_EQ(RoundFloat(mid, t), i % 2 == 0 ? lo : hi) << lo << " " << hi;
    EXPECT_EQ(RoundFloat(std::nextafter(mid, lo), t), lo);
    EXPECT_EQ(RoundFloat(std::nextafter(mid, hi), t), hi);
    const double part = std::uniform_real_distribution<>(0, 1)(random);
    EXPECT_EQ(RoundFloat(lo + part * (hi - lo), t), lo + part * (hi - lo) < mid ? lo : hi);
  }
}

// The value of code `i` (sign 0) of a format with these widths.
double DecodeFormat(int i, int mantissa_bits, int bias) {
  const int mantissa = i & ((1 << mantissa_bits) - 1), exponent = i >> mantissa_bits;
  if (exponent == 0) return std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return std::ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
}

TEST(RoundFloat, IsNearestEven) {
  CheckRounding(Float(16), 0x7c00, [](int i) { return DecodeFormat(i, 10, 15); });
  CheckRounding(BFloat16(), 0x7f80, [](int i) { return DecodeFormat(i, 7, 127); });
  CheckRounding(E4M3(), 0x7f, [](int i) { return DecodeFormat(i, 3, 7); });
  CheckRounding(E5M2(), 0x7c, [](int i) { return DecodeFormat(i, 2, 15); });
  CheckRounding(MakeType(kDLFloat4_e2m1fn, 4), 8, [](int i) { return DecodeFormat(i, 1, 1); });
}

TEST(RoundFloat, Overflow) {
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(RoundFloat(65519.9, Float(16)), 65504);
  EXPECT_EQ(RoundFloat(65520, Float(16)), inf);
  EXPECT_EQ(RoundFloat(-1e300, Float(32)), -inf);
  EXPECT_EQ(RoundFloat(1e39, BFloat16()), inf);
  EXPECT_EQ(RoundFloat(1e9, E4M3()), 448);
  EXPECT_EQ(RoundFloat(-inf, E4M3()), -448);
  EXPECT_EQ(RoundFloat(60000, E5M2()), 57344);
  EXPECT_TRUE(std::isnan(RoundFloat(std::nan(""), E4M3())));
  EXPECT_EQ(RoundFloat(0.1, Float(64)), 0.1);
}

TEST(Fold, FloatsRoundInTheirType) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<float> value(-1e3F, 1e3F);
  for (int i = 0; i < 2000; ++i) {
    const float a = value(random), b = value(random);
    Expr x = MakeFloat(a, Float(32)), y = MakeFloat(b, Float(32));
    EXPECT_EQ(Add(x, y).as<ConstObj>()->f, a + b);
    EXPECT_EQ(Mul(x, y).as<ConstObj>()->f, a * b);
    EXPECT_EQ(MakeOp(OpCode::kDiv, {x, y}, Float(32)).as<ConstObj>()->f, a / b);
  }
  Expr big = MakeFloat(60000, Float(16));
  EXPECT_TRUE(std::isinf(Add(big, big).as<ConstObj>()->f));
}

TEST(Fold, Casts) {
  EXPECT_EQ(Print(Cast(MakeFloat(-2.9, Float(32)), Int(32))), "-2");
  EXPECT_EQ(Print(Cast(MakeConst(300), UInt(8))), "u8(44)");
  EXPECT_EQ(Print(Cast(MakeConst(2049), Float(16))), "f16(2048.0)");
  EXPECT_EQ(Print(Cast(MakeConst(-1, UInt(64)), Float(64))), "f64(18446744073709551616.0)");
  EXPECT_EQ(Print(Cast(MakeFloat(0.5, Float(32)), Bool())), "true");
  // Out of the integer's range is the device's business.
  EXPECT_NE(Cast(MakeFloat(3e9, Float(32)), Int(32)).as<OpObj>(), nullptr);
  EXPECT_NE(Cast(MakeFloat(std::nan(""), Float(32)), Int(32)).as<OpObj>(), nullptr);
}

}  // namespace
}  // namespace tilescale::ir
