// SPDX-License-Identifier: MIT
// Mathematical functions of float, double, f16 and bf16 (the 16-bit ones through float), integer
// division, fast and directed forms. One thread; pure.
#pragma once
#include <tilescale/numeric/cast.cuh>
#include <tilescale/numeric/classify.cuh>
#include <tilescale/numeric/half.cuh>
#include <tilescale/numeric/integer.cuh>
#include <tilescale/ptx/approx.cuh>

namespace ts {

// f(x) in four types from the C library's pair of functions. Templates: what a kernel does not call
// costs little.
#define TS_MATH_1(name, f32, f64)            \
  template <class T>                         \
  TS_DEVICE T name(T x) {                    \
    if constexpr (detail::kSame<T, double>)  \
      return ::f64(x);                       \
    else                                     \
      return cast<T>(::f32(cast<float>(x))); \
  }
#define TS_MATH_2(name, f32, f64)                            \
  template <class T>                                         \
  TS_DEVICE T name(T x, T y) {                               \
    if constexpr (detail::kSame<T, double>)                  \
      return ::f64(x, y);                                    \
    else                                                     \
      return cast<T>(::f32(cast<float>(x), cast<float>(y))); \
  }
TS_MATH_1(exp, expf, exp)
TS_MATH_1(exp2, exp2f, exp2)
TS_MATH_1(exp10, exp10f, exp10)
TS_MATH_1(expm1, expm1f, expm1)
TS_MATH_1(log, logf, log)
TS_MATH_1(log2, log2f, log2)
TS_MATH_1(log10, log10f, log10)
TS_MATH_1(log1p, log1pf, log1p)
TS_MATH_1(sqrt, sqrtf, sqrt)
TS_MATH_1(rsqrt, rsqrtf, rsqrt)
TS_MATH_1(sin, sinf, sin)
TS_MATH_1(cos, cosf, cos)
TS_MATH_1(tan, tanf, tan)
TS_MATH_1(sinh, sinhf, sinh)
TS_MATH_1(cosh, coshf, cosh)
TS_MATH_1(tanh, tanhf, tanh)
TS_MATH_1(asin, asinf, asin)
TS_MATH_1(acos, acosf, acos)
TS_MATH_1(atan, atanf, atan)
TS_MATH_1(asinh, asinhf, asinh)
TS_MATH_1(acosh, acoshf, acosh)
TS_MATH_1(atanh, atanhf, atanh)
TS_MATH_1(erf, erff, erf)
TS_MATH_1(floor, floorf, floor)
TS_MATH_1(ceil, ceilf, ceil)
TS_MATH_1(trunc, truncf, trunc)
// Halves away from zero; nearbyint: to the even neighbour.
TS_MATH_1(round, roundf, round)
TS_MATH_1(nearbyint, nearbyintf, nearbyint)
TS_MATH_2(atan2, atan2f, atan2)
TS_MATH_2(pow, powf, pow)
TS_MATH_2(fmod, fmodf, fmod)
TS_MATH_2(hypot, hypotf, hypot)
TS_MATH_2(copysign, copysignf, copysign)
#undef TS_MATH_1
#undef TS_MATH_2

TS_DEVICE float fabs(float x) {
  return ::fabsf(x);
}
TS_DEVICE double fabs(double x) {
  return ::fabs(x);
}
TS_DEVICE float abs(float x) {
  return ::fabsf(x);
}
TS_DEVICE double abs(double x) {
  return ::fabs(x);
}
TS_DEVICE float fma(float x, float y, float z) {
  return ::fmaf(x, y, z);
}
TS_DEVICE double fma(double x, double y, double z) {
  return ::fma(x, y, z);
}
TS_DEVICE float nextafter(float x, float y) {
  return ::nextafterf(x, y);
}
TS_DEVICE double nextafter(double x, double y) {
  return ::nextafter(x, y);
}
TS_DEVICE float ldexp(float x, int e) {
  return ::ldexpf(x, e);
}
TS_DEVICE double ldexp(double x, int e) {
  return ::ldexp(x, e);
}
TS_DEVICE f16 ldexp(f16 x, int e) {
  return cast<f16>(::ldexpf(cast<float>(x), e));
}
TS_DEVICE bf16 ldexp(bf16 x, int e) {
  return cast<bf16>(::ldexpf(cast<float>(x), e));
}
template <class T>
TS_DEVICE T sigmoid(T x) {
  if constexpr (detail::kSame<T, double>)
    return 1. / (1. + ::exp(-x));
  else
    return cast<T>(1.f / (1.f + ::expf(-cast<float>(x))));
}

// Floating: a NaN operand is ignored and -0 is less than +0; the _nan forms return NaN instead.
TS_DEVICE float min(float x, float y) {
  return ::fminf(x, y);
}
TS_DEVICE float max(float x, float y) {
  return ::fmaxf(x, y);
}
TS_DEVICE double min(double x, double y) {
  return ::fmin(x, y);
}
TS_DEVICE double max(double x, double y) {
  return ::fmax(x, y);
}
TS_DEVICE float min_nan(float x, float y) {
  return ptx::min_nan(x, y);
}
TS_DEVICE float max_nan(float x, float y) {
  return ptx::max_nan(x, y);
}
TS_DEVICE double min_nan(double x, double y) {
  return x != x || y != y ? x + y : ::fmin(x, y);
}
TS_DEVICE double max_nan(double x, double y) {
  return x != x || y != y ? x + y : ::fmax(x, y);
}
// Fast forms, f32: see ptx/approx.cuh for the errors.
TS_DEVICE float fast_exp2(float x) {
  return ptx::ex2_approx(x);
}
TS_DEVICE float fast_exp(float x) {
  return ptx::ex2_approx(x * 1.44269504f);
}
TS_DEVICE float fast_exp10(float x) {
  return ptx::ex2_approx(x * 3.32192809f);
}
TS_DEVICE float fast_log2(float x) {
  return ptx::lg2_approx(x);
}
TS_DEVICE float fast_log(float x) {
  return ptx::lg2_approx(x) * 0.693147181f;
}
TS_DEVICE float fast_log10(float x) {
  return ptx::lg2_approx(x) * 0.301029996f;
}
TS_DEVICE float fast_sin(float x) {
  return ptx::sin_approx(x);
}
TS_DEVICE float fast_cos(float x) {
  return ptx::cos_approx(x);
}
TS_DEVICE float fast_tan(float x) {
  return ptx::div_approx(fast_sin(x), fast_cos(x));
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
// x > 0.
TS_DEVICE float fast_pow(float x, float y) {
  return ptx::ex2_approx(y * ptx::lg2_approx(x));
}

// IEEE operations with a rounding mode: nearest even, toward zero, down, up.
#define TS_ROUNDED_OP(name, parameters, arguments, f32, f64) \
  template <class T>                                         \
  TS_DEVICE T name parameters {                              \
    if constexpr (detail::kSame<T, double>)                  \
      return f64 arguments;                                  \
    else                                                     \
      return f32 arguments;                                  \
  }
#define TS_ROUNDED(mode, suffix)                                                         \
  TS_ROUNDED_OP(add_##mode, (T x, T y), (x, y), __fadd_##suffix, __dadd_##suffix)        \
  TS_ROUNDED_OP(sub_##mode, (T x, T y), (x, y), __fsub_##suffix, __dsub_##suffix)        \
  TS_ROUNDED_OP(mul_##mode, (T x, T y), (x, y), __fmul_##suffix, __dmul_##suffix)        \
  TS_ROUNDED_OP(div_##mode, (T x, T y), (x, y), __fdiv_##suffix, __ddiv_##suffix)        \
  TS_ROUNDED_OP(fma_##mode, (T x, T y, T z), (x, y, z), __fmaf_##suffix, __fma_##suffix) \
  TS_ROUNDED_OP(rcp_##mode, (T x), (x), __frcp_##suffix, __drcp_##suffix)                \
  TS_ROUNDED_OP(sqrt_##mode, (T x), (x), __fsqrt_##suffix, __dsqrt_##suffix)
TS_ROUNDED(rn, rn)
TS_ROUNDED(rz, rz)
TS_ROUNDED(rm, rd)
TS_ROUNDED(rp, ru)
#undef TS_ROUNDED
#undef TS_ROUNDED_OP
TS_DEVICE float rsqrt_rn(float x) {
  return __frsqrt_rn(x);
}

}  // namespace ts
