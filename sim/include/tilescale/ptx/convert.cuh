// SPDX-License-Identifier: MIT
// Simulator twin: conversions between C++'s own types with the machine's rounding. Bodies of the
// first three: sim/ptx/convert.cc.
#pragma once
#include <tilescale/ptx/config.cuh>

namespace ts {
namespace ptx {
#pragma GCC visibility push(default)

float f32_from_f64_odd(double x) TS_CONST_FN;
float f32_from_i64_odd(i64 x) TS_CONST_FN;
float f32_from_u64_odd(u64 x) TS_CONST_FN;

#pragma GCC visibility pop

// In C++ a value out of range is undefined. The bounds are powers of two, so they are exact as
// floats.
template <class To, class From>
TS_DEVICE To truncate(From x) {
  constexpr bool is_signed = (To)-1 < (To)0;
  constexpr To top = is_signed ? (To)(((To)1 << (sizeof(To) * 8 - 2)) - 1) * 2 + 1 : (To)-1;
  constexpr From bound = (From)((u64)1 << (sizeof(To) * 8 - 1)) * (is_signed ? 1 : 2);
  if (x >= bound) return top;
  if (x > (is_signed ? -bound : (From)-1)) return (To)x;
  if (x != x && sizeof(To) == 4 && sizeof(From) == 4) return 0;
  return is_signed || x != x ? (To)((To)1 << (sizeof(To) * 8 - 1)) : 0;
}

}  // namespace ptx
}  // namespace ts
