// SPDX-License-Identifier: MIT
// Puts to memory of another rank that may complete later than they return.
#pragma once
#include <tilescale/ptx/fence.cuh>

namespace ts {
namespace ptx {

// Does a put take effect later than at its return?
constexpr bool kNbiDelays = false;

// One thread copies `bytes` to an address of a peer (ts::peer). Weak stores; ordered for others by
// quiet and a signal after it, not by their return.
TS_DEVICE void put_nbi(void* to, const void* from, u32 bytes) {
  u32 done = 0;
  if ((((u64)to | (u64)from) & 15) == 0) {
    struct alignas(16) Line {
      u64 low, high;
    };
    for (; done + 16 <= bytes; done += 16)
      *(Line*)((char*)to + done) = *(const Line*)((const char*)from + done);
  }
  for (; done < bytes; ++done) ((char*)to)[done] = ((const char*)from)[done];
}

// The thread's puts so far come before whatever it does next, for every rank. PTX
// "fence.acq_rel.sys".
TS_DEVICE void quiet() {
  fence_acq_rel<Scope::sys>();
}

}  // namespace ptx
}  // namespace ts
