// SPDX-License-Identifier: MIT
// Loads and stores with semantics and scope (PTX "Data Movement and Conversion Instructions: ld,
// st" and "Memory Consistency Model"). One thread; 1, 2, 4, 8 or 16 bytes, aligned to their
// size, in shared or global memory. They take effect at once; what they order is said at each. 16
// bytes are a vector of two words: two accesses in no order ("Memory Consistency Model: Vector
// Data-types").
#pragma once
#include <tilescale/numeric/types.cuh>
#include <tilescale/ptx/config.cuh>

namespace ts {
namespace ptx {
namespace detail {

template <int Size>
struct Word;
template <>
struct Word<1> {
  typedef u8 Type;
};
template <>
struct Word<2> {
  typedef u16 Type;
};
template <>
struct Word<4> {
  typedef u32 Type;
};
template <>
struct Word<8> {
  typedef u64 Type;
};
template <>
struct Word<16> {
  typedef vec<u64, 2> Type;
};

// PTX has no 8-bit registers: bytes travel in 16-bit ones.
#define TS_LD(order)                                                           \
  if constexpr (sizeof(T) == 16) {                                             \
    vec<u64, 2> r16;                                                           \
    asm volatile("ld." order ".v2.b64 {%0, %1}, [%2];"                         \
                 : "=l"(r16.v[0]), "=l"(r16.v[1])                              \
                 : "l"(p)                                                      \
                 : "memory");                                                  \
    return bits<T>(r16);                                                       \
  } else if constexpr (sizeof(T) == 8) {                                       \
    asm volatile("ld." order ".b64 %0, [%1];" : "=l"(r8) : "l"(p) : "memory"); \
    return bits<T>(r8);                                                        \
  } else if constexpr (sizeof(T) == 4) {                                       \
    asm volatile("ld." order ".b32 %0, [%1];" : "=r"(r4) : "l"(p) : "memory"); \
    return bits<T>(r4);                                                        \
  } else if constexpr (sizeof(T) == 2) {                                       \
    asm volatile("ld." order ".b16 %0, [%1];" : "=h"(r2) : "l"(p) : "memory"); \
    return bits<T>(r2);                                                        \
  } else {                                                                     \
    asm volatile("ld." order ".b8 %0, [%1];" : "=h"(r2) : "l"(p) : "memory");  \
    return bits<T>((u8)r2);                                                    \
  }
#define TS_ST(order)                                                                      \
  if constexpr (sizeof(T) == 16)                                                          \
    asm volatile("st." order ".v2.b64 [%0], {%1, %2};" ::"l"(p), "l"(w.v[0]), "l"(w.v[1]) \
                 : "memory");                                                             \
  else if constexpr (sizeof(T) == 8)                                                      \
    asm volatile("st." order ".b64 [%0], %1;" ::"l"(p), "l"((u64)w) : "memory");          \
  else if constexpr (sizeof(T) == 4)                                                      \
    asm volatile("st." order ".b32 [%0], %1;" ::"l"(p), "r"((u32)w) : "memory");          \
  else if constexpr (sizeof(T) == 2)                                                      \
    asm volatile("st." order ".b16 [%0], %1;" ::"l"(p), "h"((u16)w) : "memory");          \
  else                                                                                    \
    asm volatile("st." order ".b8 [%0], %1;" ::"l"(p), "h"((u16)w) : "memory");

}  // namespace detail

// weak: an ordinary load. volatile_: relaxed, system scope, never merged or removed. relaxed:
// strong at scope C. acquire: what follows in this thread comes after the release that wrote the
// value.
template <Sem S, Scope C, class T>
TS_DEVICE T ld(const T* p) {
  static_assert(S != Sem::release && S != Sem::acq_rel,
                "a load is weak, relaxed, acquire or volatile");
  u64 r8;
  u32 r4;
  u16 r2;
  if constexpr (S == Sem::weak) {
    return *p;
  } else if constexpr (S == Sem::volatile_) {
    TS_LD("volatile")
  } else if constexpr (S == Sem::relaxed) {
    if constexpr (C == Scope::cta) {
      TS_LD("relaxed.cta")
    } else if constexpr (C == Scope::cluster) {
      TS_LD("relaxed.cluster")
    } else if constexpr (C == Scope::gpu) {
      TS_LD("relaxed.gpu")
    } else {
      TS_LD("relaxed.sys")
    }
  } else {
    if constexpr (C == Scope::cta) {
      TS_LD("acquire.cta")
    } else if constexpr (C == Scope::cluster) {
      TS_LD("acquire.cluster")
    } else if constexpr (C == Scope::gpu) {
      TS_LD("acquire.gpu")
    } else {
      TS_LD("acquire.sys")
    }
  }
}

// weak: an ordinary store. release: what precedes in this thread, and what it has learnt, comes
// before for whoever acquires the value at scope C.
template <Sem S, Scope C, class T>
TS_DEVICE void st(T* p, typename ts::detail::Same<T>::Type v) {
  static_assert(S != Sem::acquire && S != Sem::acq_rel,
                "a store is weak, relaxed, release or volatile");
  const auto w = bits<typename detail::Word<sizeof(T)>::Type>(v);
  if constexpr (S == Sem::weak) {
    *p = v;
  } else if constexpr (S == Sem::volatile_) {
    TS_ST("volatile")
  } else if constexpr (S == Sem::relaxed) {
    if constexpr (C == Scope::cta) {
      TS_ST("relaxed.cta")
    } else if constexpr (C == Scope::cluster) {
      TS_ST("relaxed.cluster")
    } else if constexpr (C == Scope::gpu) {
      TS_ST("relaxed.gpu")
    } else {
      TS_ST("relaxed.sys")
    }
  } else {
    if constexpr (C == Scope::cta) {
      TS_ST("release.cta")
    } else if constexpr (C == Scope::cluster) {
      TS_ST("release.cluster")
    } else if constexpr (C == Scope::gpu) {
      TS_ST("release.gpu")
    } else {
      TS_ST("release.sys")
    }
  }
}
// Neighbours.
template <Sem S, Scope C, class T, int N>
TS_DEVICE void st(T* p, vec<T, N> v) {
  st<S, C>((vec<T, N>*)p, v);
}
template <Sem S, Scope C, class T>
TS_DEVICE vec<T, 2> ld_v2(const T* p) {
  return ld<S, C>((const vec<T, 2>*)p);
}
template <Sem S, Scope C, class T>
TS_DEVICE vec<T, 4> ld_v4(const T* p) {
  return ld<S, C>((const vec<T, 4>*)p);
}
template <Sem S, Scope C, class T>
TS_DEVICE vec<T, 8> ld_v8(const T* p) {
  return ld<S, C>((const vec<T, 8>*)p);
}
template <Sem S, Scope C, class T>
TS_DEVICE vec<T, 16> ld_v16(const T* p) {
  return ld<S, C>((const vec<T, 16>*)p);
}
#undef TS_LD
#undef TS_ST

// Weak load of 4, 8 or 16 bytes through the non-coherent cache: nobody writes the bytes while the
// kernel runs. PTX "ld.global.nc".
template <class T>
TS_DEVICE T ld_nc(const T* p) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8 || sizeof(T) == 16,
                "ld_nc loads 4, 8 or 16 bytes");
  if constexpr (sizeof(T) == 16) {
    struct alignas(16) {
      u64 lo, hi;
    } r;
    asm("ld.global.nc.v2.b64 {%0, %1}, [%2];" : "=l"(r.lo), "=l"(r.hi) : "l"(p));
    return bits<T>(r);
  } else if constexpr (sizeof(T) == 8) {
    u64 r;
    asm("ld.global.nc.b64 %0, [%1];" : "=l"(r) : "l"(p));
    return bits<T>(r);
  } else {
    u32 r;
    asm("ld.global.nc.b32 %0, [%1];" : "=r"(r) : "l"(p));
    return bits<T>(r);
  }
}

}  // namespace ptx
}  // namespace ts
