// SPDX-License-Identifier: MIT
// Atomic read-modify-writes (PTX "Parallel Synchronization and Communication Instructions: atom,
// red"). One thread; shared or global memory, aligned to the size. Each is one strong access at
// scope C, relaxed unless S says acquire, release or acq_rel; it takes effect at once. atom_*
// returns the value before, red_* nothing (and is no acquire). The relaxed operation is the
// compiler's own, so that an address known to be shared becomes a shared-memory instruction;
// stronger ones put a fence on the side that S asks for.
#pragma once
#include <tilescale/numeric/types.cuh>
#include <tilescale/ptx/fence.cuh>
#include <tilescale/ptx/half.cuh>

namespace ts {
namespace ptx {
namespace detail {

template <Sem S, Scope C>
TS_DEVICE void before() {
  static_assert(S != Sem::weak && S != Sem::volatile_,
                "an atomic is relaxed, acquire, release or acq_rel");
  if constexpr (S == Sem::release || S == Sem::acq_rel) fence_acq_rel<C>();
}
template <Sem S, Scope C>
TS_DEVICE void after() {
  if constexpr (S == Sem::acquire || S == Sem::acq_rel) fence_acq_rel<C>();
}

// `op` of the compiler at scope C; a cluster's is the GPU's, which is wider.
#define TS_SCOPED(op, ...)                      \
  (C == Scope::cta   ? op##_block(__VA_ARGS__)  \
   : C == Scope::sys ? op##_system(__VA_ARGS__) \
                     : op(__VA_ARGS__))

template <Scope C>
TS_DEVICE u16 cas16(u16* p, u16 expected, u16 desired) {
  u16 r;
  if constexpr (C == Scope::cta)
    asm volatile("atom.relaxed.cta.cas.b16 %0, [%1], %2, %3;"
                 : "=h"(r)
                 : "l"(p), "h"(expected), "h"(desired)
                 : "memory");
  else if constexpr (C == Scope::sys)
    asm volatile("atom.relaxed.sys.cas.b16 %0, [%1], %2, %3;"
                 : "=h"(r)
                 : "l"(p), "h"(expected), "h"(desired)
                 : "memory");
  else
    asm volatile("atom.relaxed.gpu.cas.b16 %0, [%1], %2, %3;"
                 : "=h"(r)
                 : "l"(p), "h"(expected), "h"(desired)
                 : "memory");
  return r;
}

// *p = f(*p), by compare and swap: for what PTX has no instruction.
template <Scope C, class T, class F>
TS_DEVICE T update(T* p, F f) {
  if constexpr (sizeof(T) == 2) {
    u16* word = (u16*)p;
    u16 seen = *(volatile u16*)word, old;
    do {
      old = seen;
      seen = cas16<C>(word, old, bits<u16>(f(bits<T>(old))));
    } while (seen != old);
    return bits<T>(old);
  } else {
    u32* word = (u32*)p;
    u32 seen = *(volatile u32*)word, old;
    do {
      old = seen;
      seen = TS_SCOPED(atomicCAS, word, old, bits<u32>(f(bits<T>(old))));
    } while (seen != old);
    return bits<T>(old);
  }
}

// i64 addition, bit operations and exchange are those of u64.
#define TS_INTEGER_ATOMIC(name, op)   \
  template <Scope C>                  \
  TS_DEVICE i32 name(i32* p, i32 v) { \
    return TS_SCOPED(op, p, v);       \
  }                                   \
  template <Scope C>                  \
  TS_DEVICE u32 name(u32* p, u32 v) { \
    return TS_SCOPED(op, p, v);       \
  }                                   \
  template <Scope C>                  \
  TS_DEVICE u64 name(u64* p, u64 v) { \
    return TS_SCOPED(op, p, v);       \
  }
#define TS_AS_U64(name)                   \
  template <Scope C>                      \
  TS_DEVICE i64 name(i64* p, i64 v) {     \
    return (i64)name<C>((u64*)p, (u64)v); \
  }
TS_INTEGER_ATOMIC(add, atomicAdd)
TS_INTEGER_ATOMIC(max, atomicMax)
TS_INTEGER_ATOMIC(min, atomicMin)
TS_INTEGER_ATOMIC(band, atomicAnd)
TS_INTEGER_ATOMIC(bor, atomicOr)
TS_INTEGER_ATOMIC(bxor, atomicXor)
TS_INTEGER_ATOMIC(exch, atomicExch)
TS_AS_U64(add)
TS_AS_U64(band)
TS_AS_U64(bor)
TS_AS_U64(bxor)
TS_AS_U64(exch)
#undef TS_INTEGER_ATOMIC
#undef TS_AS_U64

template <Scope C>
TS_DEVICE i64 max(i64* p, i64 v) {
  return TS_SCOPED(atomicMax, p, v);
}
template <Scope C>
TS_DEVICE i64 min(i64* p, i64 v) {
  return TS_SCOPED(atomicMin, p, v);
}
template <Scope C>
TS_DEVICE float add(float* p, float v) {
  return TS_SCOPED(atomicAdd, p, v);
}
template <Scope C>
TS_DEVICE double add(double* p, double v) {
  return TS_SCOPED(atomicAdd, p, v);
}
template <Scope C>
TS_DEVICE float exch(float* p, float v) {
  return bits<float>(exch<C>((u32*)p, bits<u32>(v)));
}
template <Scope C>
TS_DEVICE double exch(double* p, double v) {
  return bits<double>(exch<C>((u64*)p, bits<u64>(v)));
}

// Floats of one sign compare as integers do, negative ones in reverse: a maximum is a signed
// maximum with a value that is not negative, else an unsigned minimum. A NaN operand changes
// nothing (fmax, fmin); a NaN in memory stays.
template <Scope C>
TS_DEVICE float max(float* p, float v) {
  if (v != v) return bits<float>(add<C>((u32*)p, 0u));
  return bits<i32>(v) >= 0 ? bits<float>(max<C>((i32*)p, bits<i32>(v)))
                           : bits<float>(min<C>((u32*)p, bits<u32>(v)));
}
template <Scope C>
TS_DEVICE float min(float* p, float v) {
  if (v != v) return bits<float>(add<C>((u32*)p, 0u));
  return bits<i32>(v) >= 0 ? bits<float>(min<C>((i32*)p, bits<i32>(v)))
                           : bits<float>(max<C>((u32*)p, bits<u32>(v)));
}
template <Scope C>
TS_DEVICE double max(double* p, double v) {
  if (v != v) return bits<double>(add<C>((u64*)p, 0ull));
  return bits<i64>(v) >= 0 ? bits<double>(max<C>((i64*)p, bits<i64>(v)))
                           : bits<double>(min<C>((u64*)p, bits<u64>(v)));
}
template <Scope C>
TS_DEVICE double min(double* p, double v) {
  if (v != v) return bits<double>(add<C>((u64*)p, 0ull));
  return bits<i64>(v) >= 0 ? bits<double>(min<C>((i64*)p, bits<i64>(v)))
                           : bits<double>(max<C>((u64*)p, bits<u64>(v)));
}

template <Scope C>
TS_DEVICE f16 add(f16* p, f16 v) {
  u16 r;
  if constexpr (C == Scope::cta)
    asm volatile("atom.cta.add.noftz.f16 %0, [%1], %2;" : "=h"(r) : "l"(p), "h"(v.x) : "memory");
  else if constexpr (C == Scope::sys)
    asm volatile("atom.sys.add.noftz.f16 %0, [%1], %2;" : "=h"(r) : "l"(p), "h"(v.x) : "memory");
  else
    asm volatile("atom.gpu.add.noftz.f16 %0, [%1], %2;" : "=h"(r) : "l"(p), "h"(v.x) : "memory");
  return bits<f16>(r);
}
template <Scope C>
TS_DEVICE bf16 add(bf16* p, bf16 v) {
#if __CUDA_ARCH__ >= 900
  u16 r;
  if constexpr (C == Scope::cta)
    asm volatile("atom.cta.add.noftz.bf16 %0, [%1], %2;" : "=h"(r) : "l"(p), "h"(v.x) : "memory");
  else if constexpr (C == Scope::sys)
    asm volatile("atom.sys.add.noftz.bf16 %0, [%1], %2;" : "=h"(r) : "l"(p), "h"(v.x) : "memory");
  else
    asm volatile("atom.gpu.add.noftz.bf16 %0, [%1], %2;" : "=h"(r) : "l"(p), "h"(v.x) : "memory");
  return bits<bf16>(r);
#else
  return update<C>(p, [v](bf16 x) { return bf16_bits(bf16_add(x.x, v.x)); });
#endif
}
template <Scope C>
TS_DEVICE f16 max(f16* p, f16 v) {
  return update<C>(p, [v](f16 x) { return f16_bits(f16_max(x.x, v.x)); });
}
template <Scope C>
TS_DEVICE f16 min(f16* p, f16 v) {
  return update<C>(p, [v](f16 x) { return f16_bits(f16_min(x.x, v.x)); });
}
template <Scope C>
TS_DEVICE bf16 max(bf16* p, bf16 v) {
  return update<C>(p, [v](bf16 x) { return bf16_bits(bf16_max(x.x, v.x)); });
}
template <Scope C>
TS_DEVICE bf16 min(bf16* p, bf16 v) {
  return update<C>(p, [v](bf16 x) { return bf16_bits(bf16_min(x.x, v.x)); });
}
template <Scope C>
TS_DEVICE f16 exch(f16* p, f16 v) {
  return update<C>(p, [v](f16) { return v; });
}
template <Scope C>
TS_DEVICE bf16 exch(bf16* p, bf16 v) {
  return update<C>(p, [v](bf16) { return v; });
}

}  // namespace detail

// T: i32, u32, i64, u64; add also f32, f64, f16, bf16 (the 16-bit ones round to nearest even); max,
// min and exch also f32, f64, f16, bf16. bf16 addition below sm_90 and 16-bit max, min, exch are
// loops of compare and swap.
#define TS_ATOMIC(name, fn)                                                             \
  template <Sem S, Scope C, class T>                                                    \
  TS_DEVICE T atom_##name(T* p, typename ts::detail::Same<T>::Type v) {                 \
    detail::before<S, C>();                                                             \
    const T r = detail::fn<C>(p, v);                                                    \
    detail::after<S, C>();                                                              \
    return r;                                                                           \
  }                                                                                     \
  template <Sem S, Scope C, class T>                                                    \
  TS_DEVICE void red_##name(T* p, typename ts::detail::Same<T>::Type v) {               \
    static_assert(S == Sem::relaxed || S == Sem::release, "red is relaxed or release"); \
    detail::before<S, C>();                                                             \
    detail::fn<C>(p, v);                                                                \
  }
TS_ATOMIC(add, add)
TS_ATOMIC(max, max)
TS_ATOMIC(min, min)
TS_ATOMIC(and, band)
TS_ATOMIC(or, bor)
TS_ATOMIC(xor, bxor)
#undef TS_ATOMIC

template <Sem S, Scope C, class T>
TS_DEVICE T atom_exch(T* p, typename ts::detail::Same<T>::Type v) {
  detail::before<S, C>();
  const T r = detail::exch<C>(p, v);
  detail::after<S, C>();
  return r;
}

// Writes v if *p has the bits of cmp; returns the value before either way. Any T of 2, 4 or 8
// bytes. A failing one is a read, with the semantics of S all the same.
template <Sem S, Scope C, class T>
TS_DEVICE T atom_cas(T* p, typename ts::detail::Same<T>::Type cmp,
                     typename ts::detail::Same<T>::Type v) {
  static_assert(sizeof(T) == 2 || sizeof(T) == 4 || sizeof(T) == 8,
                "atom_cas takes 2, 4 or 8 bytes");
  detail::before<S, C>();
  T r;
  if constexpr (sizeof(T) == 8)
    r = bits<T>(TS_SCOPED(atomicCAS, (u64*)p, bits<u64>(cmp), bits<u64>(v)));
  else if constexpr (sizeof(T) == 4)
    r = bits<T>(TS_SCOPED(atomicCAS, (u32*)p, bits<u32>(cmp), bits<u32>(v)));
  else
    r = bits<T>(detail::cas16<C>((u16*)p, bits<u16>(cmp), bits<u16>(v)));
  detail::after<S, C>();
  return r;
}
#undef TS_SCOPED

// Vector additions to global memory, aligned to the vector; relaxed or release, each element atomic
// by itself. One instruction where the machine has it, else one for each element (bf16: one compare
// and swap).
#define TS_VECTOR_RED(text, ...)                                                       \
  if constexpr (C == Scope::cta)                                                       \
    asm volatile("red.relaxed.cta.global.add." text ::"l"(p), __VA_ARGS__ : "memory"); \
  else if constexpr (C == Scope::sys)                                                  \
    asm volatile("red.relaxed.sys.global.add." text ::"l"(p), __VA_ARGS__ : "memory"); \
  else                                                                                 \
    asm volatile("red.relaxed.gpu.global.add." text ::"l"(p), __VA_ARGS__ : "memory");

template <Sem S, Scope C>
TS_DEVICE void red_add_v2_f16(f16* p, vec<f16, 2> v) {
  detail::before<S, C>();
  TS_VECTOR_RED("noftz.f16x2 [%0], %1;", "r"(bits<u32>(v)))
}
template <Sem S, Scope C>
TS_DEVICE void red_add_v2_bf16(bf16* p, vec<bf16, 2> v) {
  detail::before<S, C>();
#if __CUDA_ARCH__ >= 900
  TS_VECTOR_RED("noftz.bf16x2 [%0], %1;", "r"(bits<u32>(v)))
#else
  detail::update<C>((u32*)p, [v](u32 x) { return bf16x2_add(x, bits<u32>(v)); });
#endif
}
template <Sem S, Scope C>
TS_DEVICE void red_add_v2_f32(float* p, vec<float, 2> v) {
  detail::before<S, C>();
#if __CUDA_ARCH__ >= 900
  TS_VECTOR_RED("v2.f32 [%0], {%1, %2};", "f"(v[0]), "f"(v[1]))
#else
  for (int i = 0; i < 2; ++i) detail::add<C>(p + i, v[i]);
#endif
}
template <Sem S, Scope C>
TS_DEVICE void red_add_v4_f32(float* p, vec<float, 4> v) {
  detail::before<S, C>();
#if __CUDA_ARCH__ >= 900
  TS_VECTOR_RED("v4.f32 [%0], {%1, %2, %3, %4};", "f"(v[0]), "f"(v[1]), "f"(v[2]), "f"(v[3]))
#else
  for (int i = 0; i < 4; ++i) detail::add<C>(p + i, v[i]);
#endif
}
#undef TS_VECTOR_RED

}  // namespace ptx
}  // namespace ts
