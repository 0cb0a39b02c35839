// SPDX-License-Identifier: MIT
// The macros that the kernel text is written in, fixed-width types, the enums of the memory model,
// thread ids. The only place, with the rest of ptx/, where CUDA keywords appear; sim/include has a
// twin of every file here.
#pragma once

#define TS_DEVICE static __device__ __forceinline__
#define TS_METHOD __device__ __forceinline__
#define TS_RESTRICT __restrict__
// One kernel entry: name, threads of a CTA, least CTAs an SM must hold.
#define TS_KERNEL(name, threads, min_blocks) \
  extern "C" __global__ void __launch_bounds__(threads, min_blocks) name
// A named part of the CTA's one dynamic shared arena, at a planned byte offset.
#define TS_SMEM(type, name, count, offset) type* name = (type*)(ts_smem_arena + (offset))
#define TS_LOCAL(type, name, count) alignas(16) type name[count]
#define TS_VAR(type, name) type name
// Stands where a put or a get moves its data: on a GPU these are loads and stores like any other.
#define TS_MOVE()
// The host passes arguments through the driver: no trampoline on the device.
#define TS_LAUNCH(name, args)

// 1024: the largest period of a shared-memory swizzle (PTX "Shared Memory Layout and Swizzling").
extern __shared__ __align__(1024) unsigned char ts_smem_arena[];

namespace ts {

typedef signed char i8;
typedef unsigned char u8;
typedef short i16;
typedef unsigned short u16;
typedef int i32;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;

// PTX "Memory Consistency Model": semantics and scope of strong operations.
enum class Sem { weak, relaxed, acquire, release, acq_rel, volatile_ };
enum class Scope { cta, cluster, gpu, sys };

namespace detail {
// A parameter that takes no part in deducing T: st(p, 0) stores a T.
template <class T>
struct Same {
  typedef T Type;
};
}  // namespace detail

// PTX "Special Registers". Any thread; pure.
TS_DEVICE int tid_x() {
  const int r = threadIdx.x;
  __builtin_assume(r >= 0 && r < 1024);
  return r;
}
TS_DEVICE int tid_y() {
  const int r = threadIdx.y;
  __builtin_assume(r >= 0 && r < 1024);
  return r;
}
TS_DEVICE int tid_z() {
  const int r = threadIdx.z;
  __builtin_assume(r >= 0 && r < 1024);
  return r;
}
TS_DEVICE int ntid_x() {
  return blockDim.x;
}
TS_DEVICE int ntid_y() {
  return blockDim.y;
}
TS_DEVICE int ntid_z() {
  return blockDim.z;
}
TS_DEVICE int bid_x() {
  const int r = blockIdx.x;
  __builtin_assume(r >= 0);
  return r;
}
TS_DEVICE int bid_y() {
  const int r = blockIdx.y;
  __builtin_assume(r >= 0);
  return r;
}
TS_DEVICE int bid_z() {
  const int r = blockIdx.z;
  __builtin_assume(r >= 0);
  return r;
}
TS_DEVICE int nctaid_x() {
  return gridDim.x;
}
TS_DEVICE int nctaid_y() {
  return gridDim.y;
}
TS_DEVICE int nctaid_z() {
  return gridDim.z;
}
// Position of the thread in its CTA, x fastest: the order in which threads form warps.
TS_DEVICE int thread_rank() {
  return (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
}
TS_DEVICE int lane_id() {
  int r;
  asm("mov.u32 %0, %%laneid;" : "=r"(r));
  return r;
}
// Uniform over the warp, and known to be so to the compiler. All lanes of the warp call it.
TS_DEVICE int warp_id() {
  return __shfl_sync(0xffffffffu, thread_rank() / 32, 0);
}

// A scheduling point of the simulator inside a polling loop; nothing on the device. Its reports say
// "waits for <relation><value>".
TS_DEVICE void spin() {}
template <class T>
TS_DEVICE void spin(const char*, T) {}

// The bits of a value as another type of the same size.
template <class To, class From>
TS_DEVICE To bits(From x) {
  static_assert(sizeof(To) == sizeof(From), "bits: the types differ in size");
  return __builtin_bit_cast(To, x);
}

namespace ptx {
using ts::Scope;
using ts::Sem;
// The 32-bit shared-window address of a generic pointer that points to shared memory.
TS_DEVICE u32 smem_address(const void* p) {
  return (u32)__cvta_generic_to_shared(p);
}
}  // namespace ptx
}  // namespace ts
