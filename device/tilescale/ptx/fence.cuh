// SPDX-License-Identifier: MIT
// Fences (PTX "membar, fence"). Each is called by one thread and orders that thread's own accesses,
// and what it has learnt from others, before with those after; none of them waits for another
// thread.
#pragma once
#include <tilescale/ptx/config.cuh>

namespace ts {
namespace ptx {

// Makes a relaxed strong write behind it a release, and a relaxed strong read before it an acquire.
template <Scope C>
TS_DEVICE void fence_acq_rel() {
  if constexpr (C == Scope::cta) asm volatile("fence.acq_rel.cta;" ::: "memory");
#if __CUDA_ARCH__ >= 900
  if constexpr (C == Scope::cluster) asm volatile("fence.acq_rel.cluster;" ::: "memory");
#else
  static_assert(C != Scope::cluster, "cluster scope needs sm_90");
#endif
  if constexpr (C == Scope::gpu) asm volatile("fence.acq_rel.gpu;" ::: "memory");
  if constexpr (C == Scope::sys) asm volatile("fence.acq_rel.sys;" ::: "memory");
}

// As fence_acq_rel; in addition all sc fences of the scope have one order (store buffering is
// excluded).
template <Scope C>
TS_DEVICE void fence_sc() {
  if constexpr (C == Scope::cta) asm volatile("fence.sc.cta;" ::: "memory");
#if __CUDA_ARCH__ >= 900
  if constexpr (C == Scope::cluster) asm volatile("fence.sc.cluster;" ::: "memory");
#else
  static_assert(C != Scope::cluster, "cluster scope needs sm_90");
#endif
  if constexpr (C == Scope::gpu) asm volatile("fence.sc.gpu;" ::: "memory");
  if constexpr (C == Scope::sys) asm volatile("fence.sc.sys;" ::: "memory");
}

#if __CUDA_ARCH__ >= 900
// Between generic accesses of shared or global memory and those of the async proxy (bulk and tensor
// copies, wgmma): either side may follow. PTX "Proxies".
TS_DEVICE void fence_proxy_async() {
  asm volatile("fence.proxy.async;" ::: "memory");
}

// The same for shared memory of the CTA only.
TS_DEVICE void fence_proxy_async_shared() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// Makes the thread's mbar_init visible to the cluster and to the async proxy. A release of
// mbarrier.init only.
TS_DEVICE void fence_mbarrier_init() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
#endif

}  // namespace ptx
}  // namespace ts
