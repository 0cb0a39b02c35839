// SPDX-License-Identifier: MIT
// Simulator twin: the names that kernel text and every other twin header stand on. Only
// declarations and thin inline wrappers: no standard header, since parse time is compile time.
#pragma once

typedef signed char ts_i8;
typedef unsigned char ts_u8;
typedef short ts_i16;
typedef unsigned short ts_u16;
typedef int ts_i32;
typedef unsigned int ts_u32;
typedef long long ts_i64;
typedef unsigned long long ts_u64;
typedef unsigned long ts_usize;

// Every function of the library that kernel text may call: C linkage, visible to kernel modules.
#define TS_SIM_API extern "C" __attribute__((visibility("default")))
#define TS_DEVICE static inline __attribute__((always_inline))
#define TS_METHOD inline __attribute__((always_inline))
#define TS_CONST_FN __attribute__((const))
// Empty: a compiler removes a second load across a synchronisation if the pointer is restrict.
#define TS_RESTRICT
#define TS_ALIGN(n) __attribute__((aligned(n)))

// One declaration of TS_SMEM; the machine reads all of a module's before the first launch, so that
// buffers which share planned bytes get common pages and all others get pages of their own. Aligned
// to its size, so that compilers put no gaps between the declarations in their section.
struct alignas(64) ts_smem_decl {
  const char* kernel;
  const char* name;
  const char* type;
  ts_u32 element_bytes;
  ts_u32 alignment;
  ts_u64 count;
  ts_u64 offset;
  ts_u64 index;  // set by the machine: place in the kernel's list
};
// One declaration of TS_LOCAL, for reports.
struct alignas(64) ts_local_decl {
  const char* kernel;
  const char* name;
  const char* type;
  ts_u64 count;
};
TS_SIM_API void* ts_sim_smem(const ts_smem_decl* decl) TS_CONST_FN;
TS_SIM_API int ts_sim_id(int which) TS_CONST_FN;
TS_SIM_API void ts_sim_spin(const char* relation, ts_u64 value, bool is_signed);
TS_SIM_API void ts_sim_poison(void* p, ts_usize bytes);

// While it lives the thread moves data for a put or a get: a transport has its own way for these.
TS_SIM_API void ts_sim_move(int change);
struct ts_sim_moving {
  TS_METHOD ts_sim_moving() { ts_sim_move(1); }
  TS_METHOD ~ts_sim_moving() { ts_sim_move(-1); }
};
#define TS_MOVE() ts_sim_moving ts_moving
#define TS_KERNEL(name, threads, min_blocks) TS_SIM_API void name
// `list` reads the launch record's arguments, one address each, as `args[i]`. The record is host
// memory: its reads are not the kernel's, so they are not instrumented.
#define TS_LAUNCH(name, list)                                                                    \
  TS_SIM_API __attribute__((no_sanitize("thread"), noinline)) void name##__launch(void** args) { \
    (void)args;                                                                                  \
    name list;                                                                                   \
  }                                                                                              \
  TS_SIM_TABLE(name, smem)                                                                       \
  TS_SIM_TABLE(name, local)

// The module's tables of TS_SMEM and TS_LOCAL declarations: the linker names their ends. Weak,
// since a module may declare none.
extern ts_smem_decl __start_ts_smem[] __attribute__((visibility("hidden"), weak));
extern ts_smem_decl __stop_ts_smem[] __attribute__((visibility("hidden"), weak));
extern ts_local_decl __start_ts_local[] __attribute__((visibility("hidden"), weak));
extern ts_local_decl __stop_ts_local[] __attribute__((visibility("hidden"), weak));
#define TS_SIM_TABLE(name, kind)                                                      \
  TS_SIM_API void name##__##kind(ts_##kind##_decl** first, ts_##kind##_decl** last) { \
    *first = __start_ts_##kind;                                                       \
    *last = __stop_ts_##kind;                                                         \
  }
#define TS_SMEM(type, name, elements, offset)                                                \
  static ts_smem_decl name##_decl __attribute__((section("ts_smem"), used)) = {              \
      __func__, #name, #type, sizeof(type), alignof(type), (ts_u64)(elements), (offset), 0}; \
  type* const name = (type*)ts_sim_smem(&name##_decl)

// Registers start as NaN of a marked payload (all bits set), so that a missing initialisation
// shows.
#define TS_LOCAL(type, name, elements)                                                           \
  static ts_local_decl name##_decl                                                               \
      __attribute__((section("ts_local"), used)) = {__func__, #name, #type, (ts_u64)(elements)}; \
  alignas(16) type name[elements];                                                               \
  ts_sim_poison(name, sizeof(name))
#define TS_VAR(type, name) type name = ts::detail::poison<type>()

namespace ts {

using i8 = ts_i8;
using u8 = ts_u8;
using i16 = ts_i16;
using u16 = ts_u16;
using i32 = ts_i32;
using u32 = ts_u32;
using i64 = ts_i64;
using u64 = ts_u64;

// Who takes part in an ordered access, and how strongly it orders.
enum class Scope : int { cta = 0, cluster = 1, gpu = 2, sys = 3 };
enum class Sem : int {
  weak = 0,
  relaxed = 1,
  acquire = 2,
  release = 3,
  acq_rel = 4,
  volatile_ = 5
};
constexpr Scope cta = Scope::cta, cluster = Scope::cluster, gpu = Scope::gpu, sys = Scope::sys;
constexpr Sem weak = Sem::weak, relaxed = Sem::relaxed, acquire = Sem::acquire,
              release = Sem::release, acq_rel = Sem::acq_rel, volatile_ = Sem::volatile_;

namespace detail {
template <int kBytes>
struct Raw;
template <>
struct Raw<1> {
  using type = u8;
};
template <>
struct Raw<2> {
  using type = u16;
};
template <>
struct Raw<4> {
  using type = u32;
};
template <>
struct Raw<8> {
  using type = u64;
};
template <>
struct Raw<16> {
  typedef u64 type __attribute__((vector_size(16)));
};

// The bits of a value as an integer of its size, and back. Folded away by the compiler.
template <class T>
TS_DEVICE u64 to_bits(T v) {
  typename Raw<sizeof(T)>::type r;
  __builtin_memcpy(&r, &v, sizeof(T));
  return r;
}
template <class T>
TS_DEVICE T from_bits(u64 bits) {
  typename Raw<sizeof(T)>::type r = (typename Raw<sizeof(T)>::type)bits;
  T v;
  __builtin_memcpy(&v, &r, sizeof(T));
  return v;
}

template <class T>
TS_DEVICE T poison() {
  T v;
  __builtin_memset(&v, 0xff, sizeof(T));
  return v;
}
template <>
inline bool poison<bool>() {
  return true;
}
}  // namespace detail

TS_DEVICE int tid_x() {
  return ts_sim_id(0);
}
TS_DEVICE int tid_y() {
  return ts_sim_id(1);
}
TS_DEVICE int tid_z() {
  return ts_sim_id(2);
}
TS_DEVICE int bid_x() {
  return ts_sim_id(3);
}
TS_DEVICE int bid_y() {
  return ts_sim_id(4);
}
TS_DEVICE int bid_z() {
  return ts_sim_id(5);
}
TS_DEVICE int nctaid_x() {
  return ts_sim_id(6);
}
TS_DEVICE int nctaid_y() {
  return ts_sim_id(7);
}
TS_DEVICE int nctaid_z() {
  return ts_sim_id(8);
}
TS_DEVICE int ntid_x() {
  return ts_sim_id(9);
}
TS_DEVICE int ntid_y() {
  return ts_sim_id(10);
}
TS_DEVICE int ntid_z() {
  return ts_sim_id(11);
}
TS_DEVICE int lane_id() {
  return ts_sim_id(12);
}
TS_DEVICE int warp_id() {
  return ts_sim_id(13);
}
TS_DEVICE int thread_rank() {
  return ts_sim_id(16);
}

// Stands in every loop that waits for other threads: a scheduling point. A deadlock's report says
// "waits for <relation><value>".
TS_DEVICE void spin() {
  ts_sim_spin(nullptr, 0, true);
}
template <class T>
TS_DEVICE void spin(const char* relation, T value) {
  ts_sim_spin(relation, (ts_u64)value, (T)-1 < (T)0);
}

// The bits of a value as another type of its size.
template <class To, class From>
TS_DEVICE To bits(From x) {
  static_assert(sizeof(To) == sizeof(From), "bits: the types differ in size");
  To r;
  __builtin_memcpy((void*)&r, &x, sizeof(r));
  return r;
}

}  // namespace ts
