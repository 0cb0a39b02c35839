// SPDX-License-Identifier: MIT
// Simulator twin: mathematical functions. Those of float and double are the host's C library, in
// the library (sim/ptx/math.cc, sim/ptx/rounding.cc); the fast forms are as exact as the others.
#pragma once
#include <tilescale/numeric/cast.cuh>
#include <tilescale/numeric/classify.cuh>
#include <tilescale/numeric/half.cuh>
#include <tilescale/numeric/integer.cuh>
#include <tilescale/ptx/approx.cuh>

namespace ts {
#pragma GCC visibility push(default)

#define TS_MATH_1(name)                      \
  float name(float x) TS_CONST_FN;           \
  double name(double x) TS_CONST_FN;         \
  TS_DEVICE f16 name(f16 x) {                \
    return cast<f16>(name(cast<float>(x)));  \
  }                                          \
  TS_DEVICE bf16 name(bf16 x) {              \
    return cast<bf16>(name(cast<float>(x))); \
  }
#define TS_MATH_2(name)                                      \
  float name(float x, float y) TS_CONST_FN;                  \
  double name(double x, double y) TS_CONST_FN;               \
  TS_DEVICE f16 name(f16 x, f16 y) {                         \
    return cast<f16>(name(cast<float>(x), cast<float>(y)));  \
  }                                                          \
  TS_DEVICE bf16 name(bf16 x, bf16 y) {                      \
    return cast<bf16>(name(cast<float>(x), cast<float>(y))); \
  }
TS_MATH_1(exp)
TS_MATH_1(exp2)
TS_MATH_1(exp10)
TS_MATH_1(expm1)
TS_MATH_1(log)
TS_MATH_1(log2)
TS_MATH_1(log10)
TS_MATH_1(log1p)
TS_MATH_1(sqrt)
TS_MATH_1(rsqrt)
TS_MATH_1(sin)
TS_MATH_1(cos)
TS_MATH_1(tan)
TS_MATH_1(sinh)
TS_MATH_1(cosh)
TS_MATH_1(tanh)
TS_MATH_1(asin)
TS_MATH_1(acos)
TS_MATH_1(atan)
TS_MATH_1(asinh)
TS_MATH_1(acosh)
TS_MATH_1(atanh)
TS_MATH_1(erf)
TS_MATH_1(floor)
TS_MATH_1(ceil)
TS_MATH_1(trunc)
TS_MATH_1(round)
TS_MATH_1(nearbyint)
TS_MATH_1(sigmoid)
TS_MATH_2(atan2)
TS_MATH_2(pow)
TS_MATH_2(fmod)
TS_MATH_2(hypot)
TS_MATH_2(copysign)
#undef TS_MATH_1
#undef TS_MATH_2

float fma(float x, float y, float z) TS_CONST_FN;
double fma(double x, double y, double z) TS_CONST_FN;
float nextafter(float x, float y) TS_CONST_FN;
double nextafter(double x, double y) TS_CONST_FN;
float ldexp(float x, int e) TS_CONST_FN;
double ldexp(double x, int e) TS_CONST_FN;
float min(float x, float y) TS_CONST_FN;
float max(float x, float y) TS_CONST_FN;
double min(double x, double y) TS_CONST_FN;
double max(double x, double y) TS_CONST_FN;
double min_nan(double x, double y) TS_CONST_FN;
double max_nan(double x, double y) TS_CONST_FN;

#define TS_ROUNDED(mode)                                   \
  float add_##mode(float x, float y) TS_CONST_FN;          \
  float sub_##mode(float x, float y) TS_CONST_FN;          \
  float mul_##mode(float x, float y) TS_CONST_FN;          \
  float div_##mode(float x, float y) TS_CONST_FN;          \
  float rcp_##mode(float x) TS_CONST_FN;                   \
  float sqrt_##mode(float x) TS_CONST_FN;                  \
  float fma_##mode(float x, float y, float z) TS_CONST_FN; \
  double add_##mode(double x, double y) TS_CONST_FN;       \
  double sub_##mode(double x, double y) TS_CONST_FN;       \
  double mul_##mode(double x, double y) TS_CONST_FN;       \
  double div_##mode(double x, double y) TS_CONST_FN;       \
  double rcp_##mode(double x) TS_CONST_FN;                 \
  double sqrt_##mode(double x) TS_CONST_FN;                \
  double fma_##mode(double x, double y, double z) TS_CONST_FN;
TS_ROUNDED(rn)
TS_ROUNDED(rz)
TS_ROUNDED(rm)
TS_ROUNDED(rp)
#undef TS_ROUNDED
float rsqrt_rn(float x) TS_CONST_FN;

#pragma GCC visibility pop

TS_DEVICE float abs(float x) {
  return bits<float>(bits<u32>(x) & 0x7fffffffu);
}
TS_DEVICE double abs(double x) {
  return bits<double>(bits<u64>(x) & ~0ull >> 1);
}
TS_DEVICE float fabs(float x) {
  return abs(x);
}
TS_DEVICE double fabs(double x) {
  return abs(x);
}
TS_DEVICE f16 ldexp(f16 x, int e) {
  return cast<f16>(ldexp(cast<float>(x), e));
}
TS_DEVICE bf16 ldexp(bf16 x, int e) {
  return cast<bf16>(ldexp(cast<float>(x), e));
}
TS_DEVICE float min_nan(float x, float y) {
  return ptx::min_nan(x, y);
}
TS_DEVICE float max_nan(float x, float y) {
  return ptx::max_nan(x, y);
}

TS_DEVICE float fast_exp2(float x) {
  return ptx::ex2_approx(x);
}
TS_DEVICE float fast_exp(float x) {
  return exp(x);
}
TS_DEVICE float fast_exp10(float x) {
  return exp10(x);
}
TS_DEVICE float fast_log2(float x) {
  return ptx::lg2_approx(x);
}
TS_DEVICE float fast_log(float x) {
  return log(x);
}
TS_DEVICE float fast_log10(float x) {
  return log10(x);
}
TS_DEVICE float fast_sin(float x) {
  return ptx::sin_approx(x);
}
TS_DEVICE float fast_cos(float x) {
  return ptx::cos_approx(x);
}
TS_DEVICE float fast_tan(float x) {
  return tan(x);
}
TS_DEVICE float fast_tanh(float x) {
  return ptx::tanh_approx(x);
}
TS_DEVICE float fast_div(float x, float y) {
  return ptx::div_approx(x, y);
}
TS_DEVICE float fast_rcp(float x) {
  return ptx::rcp_approx(x);
}
TS_DEVICE float fast_sqrt(float x) {
  return ptx::sqrt_approx(x);
}
TS_DEVICE float fast_rsqrt(float x) {
  return ptx::rsqrt_approx(x);
}
TS_DEVICE float fast_pow(float x, float y) {
  return pow(x, y);
}

}  // namespace ts
