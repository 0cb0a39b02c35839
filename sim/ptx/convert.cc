// SPDX-License-Identifier: MIT
// The conversions behind ts::cast that need more than a line (twin of numeric/cast.cuh).
#include "sim/ptx/numeric.h"

#include <tilescale/numeric/cast.cuh>

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

float ts_sim_f32_from_f64_odd(double x) {
  return tilescale::sim::OddF32(x);
}
float ts_sim_f32_from_u64_odd(ts_u64 x) {
  return tilescale::sim::OddF32FromU64(x);
}
float ts_sim_f32_from_i64_odd(ts_i64 x) {
  return x < 0 ? -tilescale::sim::OddF32FromU64(-static_cast<ts_u64>(x))
               : tilescale::sim::OddF32FromU64(x);
}
