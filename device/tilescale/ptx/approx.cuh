// SPDX-License-Identifier: MIT
// Approximate f32 functions of the special function unit (PTX "ex2, lg2, rcp, rsqrt, sqrt, sin,
// cos, tanh, div"). One thread; pure. Relative error about 2^-22 unless said; subnormals are kept.
#pragma once
#include <tilescale/ptx/config.cuh>

namespace ts {
namespace ptx {

#define TS_APPROX(name, text)                \
  TS_DEVICE float name(float x) {            \
    float r;                                 \
    asm(text " %0, %1;" : "=f"(r) : "f"(x)); \
    return r;                                \
  }
TS_APPROX(ex2_approx, "ex2.approx.f32")
TS_APPROX(lg2_approx, "lg2.approx.f32")
TS_APPROX(rcp_approx, "rcp.approx.f32")
TS_APPROX(rsqrt_approx, "rsqrt.approx.f32")
TS_APPROX(sqrt_approx, "sqrt.approx.f32")
// Absolute error 2^-20 in [-pi, pi].
TS_APPROX(sin_approx, "sin.approx.f32")
TS_APPROX(cos_approx, "cos.approx.f32")
// Relative error 2^-11.
TS_APPROX(tanh_approx, "tanh.approx.f32")
#undef TS_APPROX

// The smaller and the larger (-0 less than +0); NaN if either is (sm_80).
TS_DEVICE float min_nan(float x, float y) {
  float r;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(r) : "f"(x), "f"(y));
  return r;
}
TS_DEVICE float max_nan(float x, float y) {
  float r;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(r) : "f"(x), "f"(y));
  return r;
}

// 0 when |y| is above 2^126.
TS_DEVICE float div_approx(float x, float y) {
  float r;
  asm("div.approx.f32 %0, %1, %2;" : "=f"(r) : "f"(x), "f"(y));
  return r;
}

}  // namespace ptx
}  // namespace ts
