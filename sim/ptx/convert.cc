// SPDX-License-Identifier: MIT
// The conversions that need more than a line (twin of ptx/convert.cuh).
#include "sim/ptx/numeric.h"

#include <tilescale/ptx/convert.cuh>

namespace tilescale::sim {
namespace {

// Keeps the 24 highest bits; those below are or-ed into the last.
float OddF32FromU64(u64 x) {
  const int drop = 40 - std::countl_zero(x | 1);
  if (drop <= 0) return static_cast<float>(x);
  const bool inexact = (x & ((u64{1} << drop) - 1)) != 0;
  const float scale = std::bit_cast<float>(u32(127 + drop) << 23);
  return static_cast<float>(x >> drop | inexact) * scale;
}

}  // namespace
}  // namespace tilescale::sim

namespace ts::ptx {

float f32_from_f64_odd(double x) {
  return tilescale::sim::OddF32(x);
}
float f32_from_u64_odd(u64 x) {
  return tilescale::sim::OddF32FromU64(x);
}
float f32_from_i64_odd(i64 x) {
  return x < 0 ? -tilescale::sim::OddF32FromU64(-static_cast<u64>(x))
               : tilescale::sim::OddF32FromU64(x);
}

}  // namespace ts::ptx
