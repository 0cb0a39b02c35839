// SPDX-License-Identifier: MIT
#include "compiler/ir/numeric.h"

#include <cmath>
#include <limits>

namespace tilescale::ir {
namespace {

using Wide = __int128;  // holds sums, quotients and comparisons of all 64-bit operands exactly

Wide Widen(int64_t value, DataType t) {
  return IsUInt(t) ? static_cast<Wide>(static_cast<uint64_t>(value)) : static_cast<Wide>(value);
}

// An IEEE-like binary format. Values below 2^min_exponent are multiples of the smallest subnormal.
struct FloatFormat {
  int mantissa_bits;  // stored, without the leading one
  int min_exponent;   // of the smallest normal value
  double max_finite;
  bool saturates;
};

// Formats: IEEE 754 for f16 and f32, OCP 8-bit and MX specifications for the narrow ones.
std::optional<FloatFormat> FormatOf(DataType t) {
  switch (t.code) {
    case kDLFloat:
      if (t.bits == 16) return FloatFormat{10, -14, 65504.0, false};
      return std::nullopt;
    case kDLBfloat:
      return FloatFormat{7, -126, std::ldexp(255.0, 120), false};
    case kDLFloat8_e4m3fn:
      return FloatFormat{3, -6, 448.0, true};
    case kDLFloat8_e5m2:
      return FloatFormat{2, -14, 57344.0, true};
    case kDLFloat6_e2m3fn:
      return FloatFormat{3, 0, 7.5, true};
    case kDLFloat6_e3m2fn:
      return FloatFormat{2, -2, 28.0, true};
    case kDLFloat4_e2m1fn:
    case kE2M1UnpackedCode:
      return FloatFormat{1, 0, 6.0, true};
    default:
      return std::nullopt;
  }
}

double RoundTo(double value, const FloatFormat& format) {
  if (std::isnan(value) || value == 0) return value;
  const double infinity = std::numeric_limits<double>::infinity();
  const double limit = format.saturates ? format.max_finite : infinity;
  if (std::isinf(value)) return std::copysign(limit, value);
  int exponent = std::ilogb(value);
  if (exponent < format.min_exponent) exponent = format.min_exponent;
  const double quantum = std::ldexp(1.0, exponent - format.mantissa_bits);
  const double rounded = std::nearbyint(value / quantum) * quantum;
  return std::fabs(rounded) > format.max_finite ? std::copysign(limit, value) : rounded;
}

// A power of two, 2^-127 to 2^127; zero and negative values have no e8m0 form and become the least.
double RoundToExponent(double value) {
  if (std::isnan(value)) return value;
  if (value <= 0) return std::ldexp(1.0, -127);
  if (std::isinf(value)) return std::ldexp(1.0, 127);
  int exponent = std::ilogb(value);
  if (value / std::ldexp(1.0, exponent) > 1.5) ++exponent;
  if (exponent < -127) exponent = -127;
  if (exponent > 127) exponent = 127;
  return std::ldexp(1.0, exponent);
}

std::optional<int64_t> EvalShift(OpCode op, Wide a, Wide b, DataType t) {
  if (b < 0 || b >= t.bits) return std::nullopt;
  const int amount = static_cast<int>(b);
  if (op == OpCode::kShr) return WrapInt(static_cast<int64_t>(a >> amount), t);
  return WrapInt(static_cast<int64_t>(static_cast<uint64_t>(a) << amount), t);
}

}  // namespace

int64_t WrapInt(int64_t value, DataType t) {
  if (IsBool(t)) return value != 0;
  if (t.bits >= 64) return value;
  const uint64_t mask = (uint64_t{1} << t.bits) - 1;
  const uint64_t low = static_cast<uint64_t>(value) & mask;
  const bool negative = IsInt(t) && (low >> (t.bits - 1)) != 0;
  return static_cast<int64_t>(negative ? low | ~mask : low);
}

bool FitsInt(int64_t value, DataType t) {
  if (IsUInt(t) && t.bits == 64) return value >= 0;
  return WrapInt(value, t) == value;
}

double RoundFloat(double value, DataType t) {
  if (t.code == kDLFloat8_e8m0fnu) return RoundToExponent(value);
  if (auto format = FormatOf(t)) return RoundTo(value, *format);
  const bool is_double = t.code == kDLFloat && t.bits == 64;
  return is_double ? value : static_cast<double>(static_cast<float>(value));
}

std::optional<int64_t> EvalInt(OpCode op, int64_t x, int64_t y, DataType t) {
  const Wide a = Widen(x, t), b = Widen(y, t);
  auto wrap = [&](Wide v) { return WrapInt(static_cast<int64_t>(v), t); };
  switch (op) {
    case OpCode::kAdd:
      return wrap(a + b);
    case OpCode::kSub:
      return wrap(a - b);
    case OpCode::kMul:
      return WrapInt(static_cast<int64_t>(static_cast<uint64_t>(x) * static_cast<uint64_t>(y)), t);
    case OpCode::kFloorDiv:
      return b == 0 ? std::nullopt : std::optional(wrap(FloorDivInt(a, b)));
    case OpCode::kFloorMod:
      return b == 0 ? std::nullopt : std::optional(wrap(FloorModInt(a, b)));
    case OpCode::kTruncDiv:
      return b == 0 ? std::nullopt : std::optional(wrap(a / b));
    case OpCode::kTruncMod:
      return b == 0 ? std::nullopt : std::optional(wrap(a % b));
    case OpCode::kMin:
      return wrap(a < b ? a : b);
    case OpCode::kMax:
      return wrap(a > b ? a : b);
    case OpCode::kNeg:
      return wrap(-a);
    case OpCode::kAbs:
      return wrap(a < 0 ? -a : a);
    case OpCode::kShl:
    case OpCode::kShr:
      return EvalShift(op, a, b, t);
    case OpCode::kBitAnd:
      return WrapInt(x & y, t);
    case OpCode::kBitOr:
      return WrapInt(x | y, t);
    case OpCode::kBitXor:
      return WrapInt(x ^ y, t);
    case OpCode::kBitNot:
      return WrapInt(IsBool(t) ? !x : ~x, t);
    case OpCode::kEq:
      return a == b;
    case OpCode::kNe:
      return a != b;
    case OpCode::kLt:
      return a < b;
    case OpCode::kLe:
      return a <= b;
    case OpCode::kGt:
      return a > b;
    case OpCode::kGe:
      return a >= b;
    default:
      return std::nullopt;
  }
}

std::optional<double> EvalFloat(OpCode op, double a, double b, DataType t) {
  if (t.bits < 16) return std::nullopt;  // narrow formats have conversions only
  double value = 0;
  switch (op) {
    case OpCode::kAdd:
      value = a + b;
      break;
    case OpCode::kSub:
      value = a - b;
      break;
    case OpCode::kMul:
      value = a * b;
      break;
    case OpCode::kDiv:
      value = a / b;
      break;
    case OpCode::kMin:
      value = std::fmin(a, b);
      break;
    case OpCode::kMax:
      value = std::fmax(a, b);
      break;
    case OpCode::kNeg:
      value = -a;
      break;
    case OpCode::kAbs:
      value = std::fabs(a);
      break;
    case OpCode::kFloor:
      value = std::floor(a);
      break;
    case OpCode::kCeil:
      value = std::ceil(a);
      break;
    case OpCode::kTrunc:
      value = std::trunc(a);
      break;
    case OpCode::kRound:
      value = std::round(a);
      break;
    case OpCode::kNearbyint:
      value = std::nearbyint(a);
      break;
    default:
      return std::nullopt;
  }
  // The payload and sign of a NaN are the device's business.
  if (std::isnan(value)) return std::nullopt;
  // One rounding from double is the correctly rounded result: double has more than 2p + 2 bits of
  // f32's.
  return RoundFloat(value, t);
}

std::optional<bool> EvalFloatCompare(OpCode op, double a, double b) {
  switch (op) {
    case OpCode::kEq:
      return a == b;
    case OpCode::kNe:
      return a != b;
    case OpCode::kLt:
      return a < b;
    case OpCode::kLe:
      return a <= b;
    case OpCode::kGt:
      return a > b;
    case OpCode::kGe:
      return a >= b;
    default:
      return std::nullopt;
  }
}

std::optional<int64_t> FloatToInt(double value, DataType t) {
  if (std::isnan(value)) return std::nullopt;
  value = std::trunc(value);
  const int magnitude = IsUInt(t) ? t.bits : t.bits - 1;
  if (value >= std::ldexp(1.0, magnitude)) return std::nullopt;
  if (value < (IsUInt(t) ? 0.0 : -std::ldexp(1.0, magnitude))) return std::nullopt;
  if (value >= std::ldexp(1.0, 63)) return static_cast<int64_t>(static_cast<uint64_t>(value));
  return static_cast<int64_t>(value);
}

}  // namespace tilescale::ir
