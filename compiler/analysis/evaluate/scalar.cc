// SPDX-License-Identifier: MIT
#include "compiler/analysis/evaluate/scalar.h"

#include "compiler/ir/numeric.h"
#include "support/diagnostics.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace tilescale::analysis {

using namespace ir;  // NOLINT

namespace {

using Wide = __int128;

Wide Widen(int64_t i, DataType t) {
  return IsUInt(t) ? Wide{static_cast<uint64_t>(i)} : Wide{i};
}

// Modulo 2^bits, in two's complement.
int64_t Narrow(Wide w, DataType t) {
  if (IsBool(t)) return w != 0;
  auto low = static_cast<uint64_t>(w);
  if (t.bits >= 64) return static_cast<int64_t>(low);
  low &= (uint64_t{1} << t.bits) - 1;
  if (IsInt(t) && (low >> (t.bits - 1)) != 0) low |= ~uint64_t{0} << t.bits;
  return static_cast<int64_t>(low);
}

Value OfInt(Wide w, DataType t) {
  return {Narrow(w, t), 0};
}
Value OfBool(bool b) {
  return {b, 0};
}
Value OfFloat(double f, DataType t) {
  return {0, RoundFloat(f, t)};
}

// Layout of a binary float: exponent and mantissa bits. `finite`: all-ones is a NaN, there is no
// infinity (e4m3fn); without NaN at all for the 4- and 6-bit formats.
struct Format {
  int exponent, mantissa;
  bool infinity, nan;
};
Format FormatOf(DataType t) {
  switch (t.code) {
    case kDLBfloat:
      return {8, 7, true, true};
    case kDLFloat:
      if (t.bits == 16) return {5, 10, true, true};
      break;
    case kDLFloat8_e4m3fn:
      return {4, 3, false, true};
    case kDLFloat8_e5m2:
      return {5, 2, true, true};
    case kDLFloat6_e2m3fn:
      return {2, 3, false, false};
    case kDLFloat6_e3m2fn:
      return {3, 2, false, false};
    case kDLFloat4_e2m1fn:
    case kE2M1UnpackedCode:
      return {2, 1, false, false};
    default:
      break;
  }
  throw Refusal{"NotImplementedError", "values of " + LanguageName(t)};
}

uint64_t EncodeFloat(double x, const Format& format) {
  const int bias = (1 << (format.exponent - 1)) - 1;
  const uint64_t sign = uint64_t{std::signbit(x)} << (format.exponent + format.mantissa);
  const uint64_t top = ((uint64_t{1} << format.exponent) - 1) << format.mantissa;
  const uint64_t ones = (uint64_t{1} << format.mantissa) - 1;
  if (std::isnan(x)) return top | ones;
  if (std::isinf(x)) return sign | (format.infinity ? top : top | (ones - 1));
  if (x == 0) return sign;
  const int exponent = std::max(std::ilogb(x), 1 - bias);
  const auto scaled = static_cast<uint64_t>(std::ldexp(std::fabs(x), format.mantissa - exponent));
  const bool normal = scaled >> format.mantissa != 0;
  const uint64_t biased = normal ? static_cast<uint64_t>(exponent + bias) : 0;
  return sign | biased << format.mantissa | (scaled & ones);
}

double DecodeFloat(uint64_t bits, const Format& format) {
  const int bias = (1 << (format.exponent - 1)) - 1;
  const uint64_t ones = (uint64_t{1} << format.mantissa) - 1;
  const uint64_t mantissa = bits & ones;
  const auto biased =
      static_cast<int>(bits >> format.mantissa & ((uint64_t{1} << format.exponent) - 1));
  const bool negative = (bits >> (format.exponent + format.mantissa) & 1) != 0;
  double x;
  const bool last = biased == (1 << format.exponent) - 1;
  if (last && format.infinity) {
    x = mantissa != 0 ? std::numeric_limits<double>::quiet_NaN()
                      : std::numeric_limits<double>::infinity();
  } else if (last && format.nan && mantissa == ones) {
    x = std::numeric_limits<double>::quiet_NaN();
  } else if (biased == 0) {
    x = std::ldexp(static_cast<double>(mantissa), 1 - bias - format.mantissa);
  } else {
    x = std::ldexp(static_cast<double>(mantissa | (ones + 1)), biased - bias - format.mantissa);
  }
  return negative ? -x : x;
}

bool IsSingle(DataType t) {
  return (t.code == kDLFloat && t.bits == 32) || t.code == kTf32Code;
}
bool IsDouble(DataType t) {
  return t.code == kDLFloat && t.bits == 64;
}

[[noreturn]] void NoMeaning(OpCode op, const char* why) {
  throw Refusal{"ValueError", std::string(Info(op).text) + ": " + why};
}

Value ApplyInt(OpCode op, DataType t, int64_t x, int64_t y) {
  const Wide a = Widen(x, t), b = Widen(y, t);
  const bool divides = op == OpCode::kFloorDiv || op == OpCode::kFloorMod ||
                       op == OpCode::kTruncDiv || op == OpCode::kTruncMod;
  if (divides && b == 0) NoMeaning(op, "division by zero");
  const Wide quotient = divides ? a / b : 0, rest = divides ? a % b : 0;
  const bool below = rest != 0 && (rest < 0) != (b < 0);  // the floor is one less
  switch (op) {
    case OpCode::kAdd:
      return OfInt(a + b, t);
    case OpCode::kSub:
      return OfInt(a - b, t);
    case OpCode::kMul:
      return OfInt(
          static_cast<Wide>(static_cast<unsigned __int128>(a) * static_cast<unsigned __int128>(b)),
          t);
    case OpCode::kFloorDiv:
      return OfInt(quotient - (below ? 1 : 0), t);
    case OpCode::kFloorMod:
      return OfInt(below ? rest + b : rest, t);
    case OpCode::kTruncDiv:
      return OfInt(quotient, t);
    case OpCode::kTruncMod:
      return OfInt(rest, t);
    case OpCode::kMin:
      return OfInt(a < b ? a : b, t);
    case OpCode::kMax:
      return OfInt(a < b ? b : a, t);
    case OpCode::kShl:
    case OpCode::kShr:
      if (b < 0 || b >= t.bits) NoMeaning(op, "a shift by the width or more");
      return OfInt(op == OpCode::kShr ? a >> static_cast<int>(b)
                                      : static_cast<Wide>(static_cast<unsigned __int128>(a)
                                                          << static_cast<int>(b)),
                   t);
    case OpCode::kBitAnd:
      return OfInt(a & b, t);
    case OpCode::kBitOr:
      return OfInt(a | b, t);
    case OpCode::kBitXor:
      return OfInt(a ^ b, t);
    case OpCode::kEq:
      return OfBool(a == b);
    case OpCode::kNe:
      return OfBool(a != b);
    case OpCode::kLt:
      return OfBool(a < b);
    case OpCode::kLe:
      return OfBool(a <= b);
    case OpCode::kGt:
      return OfBool(a > b);
    case OpCode::kGe:
      return OfBool(a >= b);
    default:
      NoMeaning(op, "no meaning on integers");
  }
}

Value ApplyIntUnary(OpCode op, DataType t, int64_t x) {
  const Wide a = Widen(x, t);
  const uint64_t bits = t.bits >= 64 ? static_cast<uint64_t>(x)
                                     : static_cast<uint64_t>(x) & ((uint64_t{1} << t.bits) - 1);
  switch (op) {
    case OpCode::kNeg:
      return OfInt(-a, t);
    case OpCode::kAbs:
      return OfInt(a < 0 ? -a : a, t);
    case OpCode::kBitNot:
      return IsBool(t) ? OfBool(x == 0) : OfInt(~a, t);
    case OpCode::kNot:
      return OfBool(x == 0);
    case OpCode::kPopcount:
      return {std::popcount(bits), 0};
    case OpCode::kClz:
      return {std::countl_zero(bits) - (64 - t.bits), 0};
    case OpCode::kFfs:
      return {bits == 0 ? 0 : std::countr_zero(bits) + 1, 0};
    default:
      NoMeaning(op, "no meaning on integers");
  }
}

double Math1(OpCode op, double x) {
  switch (op) {
    case OpCode::kNeg:
      return -x;
    case OpCode::kAbs:
      return std::fabs(x);
    case OpCode::kExp:
    case OpCode::kFastExp:
      return std::exp(x);
    case OpCode::kExp2:
    case OpCode::kFastExp2:
      return std::exp2(x);
    case OpCode::kExp10:
    case OpCode::kFastExp10:
      return std::pow(10.0, x);
    case OpCode::kLog:
    case OpCode::kFastLog:
      return std::log(x);
    case OpCode::kLog2:
    case OpCode::kFastLog2:
      return std::log2(x);
    case OpCode::kLog10:
    case OpCode::kFastLog10:
      return std::log10(x);
    case OpCode::kLog1p:
      return std::log1p(x);
    case OpCode::kSqrt:
    case OpCode::kFastSqrt:
      return std::sqrt(x);
    case OpCode::kRsqrt:
    case OpCode::kFastRsqrt:
      return 1 / std::sqrt(x);
    case OpCode::kFastRcp:
      return 1 / x;
    case OpCode::kSin:
    case OpCode::kFastSin:
      return std::sin(x);
    case OpCode::kCos:
    case OpCode::kFastCos:
      return std::cos(x);
    case OpCode::kTan:
    case OpCode::kFastTan:
      return std::tan(x);
    case OpCode::kSinh:
      return std::sinh(x);
    case OpCode::kCosh:
      return std::cosh(x);
    case OpCode::kTanh:
    case OpCode::kFastTanh:
      return std::tanh(x);
    case OpCode::kAsin:
      return std::asin(x);
    case OpCode::kAcos:
      return std::acos(x);
    case OpCode::kAtan:
      return std::atan(x);
    case OpCode::kAsinh:
      return std::asinh(x);
    case OpCode::kAcosh:
      return std::acosh(x);
    case OpCode::kAtanh:
      return std::atanh(x);
    case OpCode::kErf:
      return std::erf(x);
    case OpCode::kFloor:
      return std::floor(x);
    case OpCode::kCeil:
      return std::ceil(x);
    case OpCode::kTrunc:
      return std::trunc(x);
    case OpCode::kRound:
      return std::round(x);
    case OpCode::kNearbyint:
      return std::nearbyint(x);
    case OpCode::kSigmoid:
      return 1 / (1 + std::exp(-x));
    default:
      NoMeaning(op, "the oracle has no meaning for it");
  }
}

double Math2(OpCode op, double x, double y) {
  switch (op) {
    case OpCode::kAdd:
      return x + y;
    case OpCode::kSub:
      return x - y;
    case OpCode::kMul:
      return x * y;
    case OpCode::kDiv:
    case OpCode::kFastDiv:
      return x / y;
    case OpCode::kMin:
      return std::fmin(x, y);
    case OpCode::kMax:
      return std::fmax(x, y);
    case OpCode::kMinNan:
    case OpCode::kMaxNan:
      if (std::isnan(x) || std::isnan(y)) return std::numeric_limits<double>::quiet_NaN();
      return op == OpCode::kMinNan ? std::fmin(x, y) : std::fmax(x, y);
    case OpCode::kFloorDiv:
      return std::floor(x / y);
    case OpCode::kFloorMod:
      return x - std::floor(x / y) * y;
    case OpCode::kTruncMod:
    case OpCode::kFmod:
      return std::fmod(x, y);
    case OpCode::kAtan2:
      return std::atan2(x, y);
    case OpCode::kPow:
    case OpCode::kFastPow:
      return std::pow(x, y);
    case OpCode::kHypot:
      return std::hypot(x, y);
    case OpCode::kCopysign:
      return std::copysign(x, y);
    default:
      NoMeaning(op, "the oracle has no meaning for it");
  }
}

Value ApplyFloat(OpCode op, DataType t, const Value* args, size_t count) {
  const double x = args[0].f, y = count > 1 ? args[1].f : 0;
  switch (op) {
    case OpCode::kEq:
      return OfBool(x == y);
    case OpCode::kNe:
      return OfBool(x != y);
    case OpCode::kLt:
      return OfBool(x < y);
    case OpCode::kLe:
      return OfBool(x <= y);
    case OpCode::kGt:
      return OfBool(x > y);
    case OpCode::kGe:
      return OfBool(x >= y);
    case OpCode::kIsNan:
      return OfBool(std::isnan(x));
    case OpCode::kIsInf:
      return OfBool(std::isinf(x));
    case OpCode::kIsFinite:
      return OfBool(std::isfinite(x));
    case OpCode::kFma:
      return OfFloat(std::fma(x, y, args[2].f), t);
    case OpCode::kLdexp:
      return OfFloat(std::ldexp(x, static_cast<int>(args[1].i)), t);
    default:
      return OfFloat(count == 1 ? Math1(op, x) : Math2(op, x, y), t);
  }
}

}  // namespace

Value FromReal(Real x, DataType t) {
  if (IsFloat(t)) return OfFloat(static_cast<double>(x), t);
  if (IsBool(t)) return OfBool(x != 0);
  if (std::isnan(x)) return {};
  x = std::trunc(x);
  const Real limit = std::ldexp(Real{1}, 126);
  return OfInt(static_cast<Wide>(std::fmin(std::fmax(x, -limit), limit)), t);
}

Real ToReal(Value v, DataType t) {
  if (IsFloat(t)) return static_cast<Real>(v.f);
  return static_cast<Real>(Widen(v.i, t));
}

Value FromBits(uint64_t bits, DataType t) {
  if (!IsFloat(t)) return OfInt(static_cast<Wide>(bits), t);
  if (IsDouble(t)) return {0, std::bit_cast<double>(bits)};
  if (IsSingle(t)) return {0, std::bit_cast<float>(static_cast<uint32_t>(bits))};
  return {0, DecodeFloat(bits, FormatOf(t))};
}

uint64_t ToBits(Value v, DataType t) {
  if (!IsFloat(t)) return static_cast<uint64_t>(v.i);
  if (IsDouble(t)) return std::bit_cast<uint64_t>(v.f);
  if (IsSingle(t)) return std::bit_cast<uint32_t>(static_cast<float>(v.f));
  return EncodeFloat(v.f, FormatOf(t));
}

// The device's cvt: integers wrap, floats round to nearest, a float out of an integer's range gives
// the nearest value of it and a NaN zero.
Value CastValue(Value v, DataType from, DataType to) {
  if (IsBool(to)) return OfBool(IsTrue(v, from));
  if (IsFloat(to)) {
    // One rounding from an integer: long double holds all 64 bits.
    if (!IsFloat(from) && IsSingle(to)) {
      return {0, static_cast<float>(ToReal(v, from))};
    }
    return OfFloat(static_cast<double>(ToReal(v, from)), to);
  }
  if (!IsFloat(from)) return OfInt(Widen(v.i, from), to);
  if (std::isnan(v.f)) return {};
  const int magnitude = IsUInt(to) ? to.bits : to.bits - 1;
  const Real most = std::ldexp(Real{1}, magnitude) - 1;
  const Real least = IsUInt(to) ? 0 : -std::ldexp(Real{1}, magnitude);
  return FromReal(std::fmin(std::fmax(std::trunc(static_cast<Real>(v.f)), least), most), to);
}

Value Apply(OpCode op, DataType t, const Value* args, size_t count) {
  if (op == OpCode::kNot) return OfBool(!IsTrue(args[0], t));
  if (IsFloat(t)) return ApplyFloat(op, t, args, count);
  return count == 1 ? ApplyIntUnary(op, t, args[0].i) : ApplyInt(op, t, args[0].i, args[1].i);
}

}  // namespace tilescale::analysis
