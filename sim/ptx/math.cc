// SPDX-License-Identifier: MIT
// Mathematical functions of float and double (twin of math.cuh and ptx/approx.cuh), from the host's
// C library.
#include "sim/ptx/numeric.h"

#include <cmath>
#include <tilescale/math.cuh>

namespace tilescale::sim {
namespace {

// PTX "min, max": a NaN operand is ignored, -0 is less than +0.
template <class T>
T Smaller(T x, T y) {
  if (x != x) return y;
  if (y != y) return x;
  return x < y || (x == y && std::signbit(x)) ? x : y;
}
template <class T>
T Larger(T x, T y) {
  if (x != x) return y;
  if (y != y) return x;
  return x > y || (x == y && std::signbit(y)) ? x : y;
}

}  // namespace
}  // namespace tilescale::sim

namespace ts {

#define TS_MATH_1(name)   \
  float name(float x) {   \
    return std::name(x);  \
  }                       \
  double name(double x) { \
    return std::name(x);  \
  }
#define TS_MATH_2(name)             \
  float name(float x, float y) {    \
    return std::name(x, y);         \
  }                                 \
  double name(double x, double y) { \
    return std::name(x, y);         \
  }
TS_MATH_1(exp)
TS_MATH_1(exp2)
TS_MATH_1(expm1)
TS_MATH_1(log)
TS_MATH_1(log2)
TS_MATH_1(log10)
TS_MATH_1(log1p)
TS_MATH_1(sqrt)
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
TS_MATH_2(atan2)
TS_MATH_2(pow)
TS_MATH_2(fmod)
TS_MATH_2(hypot)
TS_MATH_2(copysign)
TS_MATH_2(nextafter)
#undef TS_MATH_1
#undef TS_MATH_2

double exp10(double x) {
  return std::pow(10.0, x);
}
float exp10(float x) {
  return static_cast<float>(exp10(double{x}));
}
double rsqrt(double x) {
  return 1 / std::sqrt(x);
}
float rsqrt(float x) {
  return static_cast<float>(rsqrt(double{x}));
}
double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}
float sigmoid(float x) {
  return static_cast<float>(sigmoid(double{x}));
}
float fma(float x, float y, float z) {
  return std::fma(x, y, z);
}
double fma(double x, double y, double z) {
  return std::fma(x, y, z);
}
float ldexp(float x, int e) {
  return std::ldexp(x, e);
}
double ldexp(double x, int e) {
  return std::ldexp(x, e);
}

namespace sim = tilescale::sim;
float min(float x, float y) {
  return sim::Smaller(x, y);
}
float max(float x, float y) {
  return sim::Larger(x, y);
}
double min(double x, double y) {
  return sim::Smaller(x, y);
}
double max(double x, double y) {
  return sim::Larger(x, y);
}
double min_nan(double x, double y) {
  return x != x || y != y ? x + y : sim::Smaller(x, y);
}
double max_nan(double x, double y) {
  return x != x || y != y ? x + y : sim::Larger(x, y);
}

namespace ptx {
float ex2_approx(float x) {
  return std::exp2(x);
}
float lg2_approx(float x) {
  return std::log2(x);
}
float rcp_approx(float x) {
  return 1 / x;
}
float rsqrt_approx(float x) {
  return rsqrt(x);
}
float sqrt_approx(float x) {
  return std::sqrt(x);
}
float sin_approx(float x) {
  return std::sin(x);
}
float cos_approx(float x) {
  return std::cos(x);
}
float tanh_approx(float x) {
  return std::tanh(x);
}
float div_approx(float x, float y) {
  return x / y;
}
float min_nan(float x, float y) {
  return x != x || y != y ? x + y : sim::Smaller(x, y);
}
float max_nan(float x, float y) {
  return x != x || y != y ? x + y : sim::Larger(x, y);
}
}  // namespace ptx

}  // namespace ts
