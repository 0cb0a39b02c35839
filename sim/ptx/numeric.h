// SPDX-License-Identifier: MIT
// Conversions between float and the small formats, inline for the library's own loops. The rules
// are those of PTX "cvt": one rounding to nearest even unless said; a NaN result is the positive
// one with all bits set.
#pragma once

#include "sim/types.h"

#include <bit>

namespace tilescale::sim {

inline float F32FromF16(u16 h) {
  // The magnitude's bits, read as a float, mean a value 2^-112 too small; infinities and NaN then
  // lack the upper exponent bits.
  const u32 magnitude = u32(h & 0x7fff) << 13;
  u32 w = std::bit_cast<u32>(std::bit_cast<float>(magnitude) * 0x1p112f);
  if (magnitude >= 0x0f800000) w |= 0x7f800000;
  return std::bit_cast<float>(w | u32(h & 0x8000) << 16);
}

inline u16 F16FromF32(float f) {
  const u32 w = std::bit_cast<u32>(f), magnitude = w & 0x7fffffff;
  const u16 sign = u16(w >> 16 & 0x8000);
  if (magnitude >= 0x47800000) return magnitude > 0x7f800000 ? 0x7fff : sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // The last place of 0.5 is 2^-24, that of a subnormal f16: the addition rounds to it.
    const float sum = std::bit_cast<float>(magnitude) + 0.5f;
    return sign | u16(std::bit_cast<u32>(sum) - 0x3f000000);
  }
  return sign | u16((magnitude - (112u << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13);
}

inline float F32FromBf16(u16 h) {
  return std::bit_cast<float>(u32(h) << 16);
}

inline u16 Bf16FromF32(float f) {
  const u32 w = std::bit_cast<u32>(f);
  if ((w & 0x7fffffff) > 0x7f800000) return 0x7fff;
  return u16((w + 0x7fff + (w >> 16 & 1)) >> 16);
}

// Ties away from zero.
inline u32 Tf32FromF32(float f) {
  const u32 w = std::bit_cast<u32>(f), magnitude = w & 0x7fffffff;
  if (magnitude > 0x7f800000) return 0x7fffffff;
  return magnitude == 0x7f800000 ? w : (w + 0x1000) & 0xffffe000;
}

// What mma reads of a 32-bit operand.
inline float F32FromTf32(u32 w) {
  return std::bit_cast<float>(w & 0xffffe000);
}

// Toward zero, with the last bit set if inexact ("round to odd"): a later rounding to nearest of at
// least two bits less is then as if it were the only one.
inline float OddF32(double x) {
  const float f = static_cast<float>(x);
  if (f == x || x != x) return f;
  u32 w = std::bit_cast<u32>(f);
  if ((f > x) == (x > 0)) w -= 1;
  return std::bit_cast<float>(w | 1);
}

struct E4m3 {
  static constexpr int kMantissa = 3, kBias = 7;
  static constexpr u32 kLargest = 0x7e;
  static bool IsNan(u8 x) { return (x & 0x7f) == 0x7f; }
  static bool IsInfinite(u8) { return false; }
};
struct E5m2 {
  static constexpr int kMantissa = 2, kBias = 15;
  static constexpr u32 kLargest = 0x7b;
  static bool IsNan(u8 x) { return (x & 0x7f) > 0x7c; }
  static bool IsInfinite(u8 x) { return (x & 0x7f) == 0x7c; }
};

// Saturates to the largest finite value, infinities too.
template <class Format>
inline u8 Fp8FromF32(float f) {
  constexpr int kM = Format::kMantissa;
  const u32 w = std::bit_cast<u32>(f), magnitude = w & 0x7fffffff;
  const u8 sign = u8(w >> 24 & 0x80);
  if (magnitude > 0x7f800000) return 0x7f;
  const float smallest_normal = std::bit_cast<float>(u32(128 - Format::kBias) << 23);
  const float value = std::bit_cast<float>(magnitude);
  u32 code;
  if (value < smallest_normal) {
    // A sum whose last place is that of the subnormals rounds to it.
    const u32 unit = u32(128 - Format::kBias - kM + 23) << 23;
    code = std::bit_cast<u32>(value + std::bit_cast<float>(unit)) - unit;
  } else {
    constexpr int kDrop = 23 - kM;
    const u32 rounded = magnitude + (1u << (kDrop - 1)) - 1 + (magnitude >> kDrop & 1);
    code = (rounded >> kDrop) - (u32(127 - Format::kBias) << kM);
  }
  return sign | u8(code > Format::kLargest ? Format::kLargest : code);
}

// The value of a code, NaN and infinity included.
template <class Format>
inline float F32FromFp8(u8 x) {
  const u32 sign = u32(x & 0x80) << 24;
  if (Format::IsNan(x)) return std::bit_cast<float>(u32{0x7fffffff});
  if (Format::IsInfinite(x)) return std::bit_cast<float>(sign | 0x7f800000);
  const u32 w = u32(x & 0x7f) << (23 - Format::kMantissa);
  const float scale = std::bit_cast<float>(u32(254 - Format::kBias) << 23);
  return std::bit_cast<float>(sign | std::bit_cast<u32>(std::bit_cast<float>(w) * scale));
}

}  // namespace tilescale::sim
