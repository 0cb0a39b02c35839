// SPDX-License-Identifier: MIT
// IEEE operations with a rounding mode (twin of the add_rn family of math.cuh).
#include <cfenv>
#include <cmath>
#include <tilescale/math.cuh>

namespace tilescale::sim {
namespace {

// The host's rounding mode for the life of the object.
class RoundingMode {
 public:
  explicit RoundingMode(int mode) : saved_(std::fegetround()) { std::fesetround(mode); }
  ~RoundingMode() { std::fesetround(saved_); }
  RoundingMode(const RoundingMode&) = delete;
  RoundingMode& operator=(const RoundingMode&) = delete;

 private:
  int saved_;
};

// Operands and result are volatile: without it a compiler may move the operation out of the mode's
// life.
template <class T, class F, class... Args>
T Rounded(int mode, F operation, Args... args) {
  volatile T result;
  RoundingMode scope(mode);
  result = operation(*static_cast<volatile Args*>(&args)...);
  return result;
}

}  // namespace
}  // namespace tilescale::sim

namespace ts {
using tilescale::sim::Rounded;

#define TS_ROUNDED_TYPE(mode, m, T)                                                 \
  T add_##mode(T x, T y) {                                                          \
    return Rounded<T>(m, [](T a, T b) { return a + b; }, x, y);                     \
  }                                                                                 \
  T sub_##mode(T x, T y) {                                                          \
    return Rounded<T>(m, [](T a, T b) { return a - b; }, x, y);                     \
  }                                                                                 \
  T mul_##mode(T x, T y) {                                                          \
    return Rounded<T>(m, [](T a, T b) { return a * b; }, x, y);                     \
  }                                                                                 \
  T div_##mode(T x, T y) {                                                          \
    return Rounded<T>(m, [](T a, T b) { return a / b; }, x, y);                     \
  }                                                                                 \
  T rcp_##mode(T x) {                                                               \
    return Rounded<T>(m, [](T a) { return 1 / a; }, x);                             \
  }                                                                                 \
  T sqrt_##mode(T x) {                                                              \
    return Rounded<T>(m, [](T a) { return std::sqrt(a); }, x);                      \
  }                                                                                 \
  T fma_##mode(T x, T y, T z) {                                                     \
    return Rounded<T>(m, [](T a, T b, T c) { return std::fma(a, b, c); }, x, y, z); \
  }
#define TS_ROUNDED(mode, m)       \
  TS_ROUNDED_TYPE(mode, m, float) \
  TS_ROUNDED_TYPE(mode, m, double)
TS_ROUNDED(rn, FE_TONEAREST)
TS_ROUNDED(rz, FE_TOWARDZERO)
TS_ROUNDED(rm, FE_DOWNWARD)
TS_ROUNDED(rp, FE_UPWARD)
#undef TS_ROUNDED
#undef TS_ROUNDED_TYPE

// The quotient in double has enough bits that its rounding to float is that of the exact value.
float rsqrt_rn(float x) {
  return static_cast<float>(1 / std::sqrt(double{x}));
}

}  // namespace ts
