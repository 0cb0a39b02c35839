// SPDX-License-Identifier: MIT
// Simulator twin: approximate f32 functions. Here each is the correctly rounded or the host's
// value, which lies within the machine's error. Bodies: sim/ptx/math.cc.
#pragma once
#include <tilescale/ptx/config.cuh>

namespace ts {
namespace ptx {
#pragma GCC visibility push(default)

float ex2_approx(float x) TS_CONST_FN;
float lg2_approx(float x) TS_CONST_FN;
float rcp_approx(float x) TS_CONST_FN;
float rsqrt_approx(float x) TS_CONST_FN;
float sqrt_approx(float x) TS_CONST_FN;
float sin_approx(float x) TS_CONST_FN;
float cos_approx(float x) TS_CONST_FN;
float tanh_approx(float x) TS_CONST_FN;
float div_approx(float x, float y) TS_CONST_FN;
float min_nan(float x, float y) TS_CONST_FN;
float max_nan(float x, float y) TS_CONST_FN;

#pragma GCC visibility pop
}  // namespace ptx
}  // namespace ts
