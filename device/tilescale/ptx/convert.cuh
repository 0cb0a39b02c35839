// SPDX-License-Identifier: MIT
// Conversions between C++'s own types with the machine's rounding. One thread; pure.
#pragma once
#include <tilescale/ptx/config.cuh>

namespace ts {
namespace ptx {

namespace detail {
TS_DEVICE float odd(float toward_zero, bool inexact) {
  return bits<float>(bits<u32>(toward_zero) | (u32)inexact);
}
}  // namespace detail

// A float rounded to odd (toward zero, the last bit set if inexact): a second rounding to a format
// of at most 11 significant bits is then the only one.
TS_DEVICE float f32_from_f64_odd(double x) {
  const float f = __double2float_rz(x);
  return detail::odd(f, (double)f != x);
}
TS_DEVICE float f32_from_i64_odd(i64 x) {
  const float f = __ll2float_rz(x);
  return detail::odd(f, (i64)f != x);
}
TS_DEVICE float f32_from_u64_odd(u64 x) {
  const float f = __ull2float_rz(x);
  return detail::odd(f, (u64)f != x);
}

// Float or double to an integer of at least 32 bits, toward zero; saturates. NaN is 0 from float to
// 32 bits, else the highest bit alone. PTX "cvt.rzi".
template <class To, class From>
TS_DEVICE To truncate(From x) {
  return (To)x;
}

}  // namespace ptx
}  // namespace ts
