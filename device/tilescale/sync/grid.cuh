// SPDX-License-Identifier: MIT
// The blocks of one launch meet. All of them must be resident at a time, which a cooperative launch
// promises or refuses (CUDA programming guide, "Grid Synchronization").
#pragma once
#include <tilescale/ptx/atomic.cuh>
#include <tilescale/ptx/ldst.cuh>
#include <tilescale/sync/watch.cuh>

namespace ts {

// Every thread of every block calls it, between two barriers of its block; one thread of each block
// goes to the others. `bar` starts as zero and belongs to this launch. What the threads of any
// block did before comes before what follows in any block: the addition releases at GPU scope what
// the first block barrier has gathered, and the load acquires (PTX memory model, "Release and
// Acquire Patterns").
//
// One meeting adds 2^31 in all, so that the top bit flips when the last block has come, whatever
// the count was: the word serves the next meeting as it is.
TS_DEVICE void grid_sync(u32* bar TS_SITE_PARAMS) {
  if (thread_rank() != 0) return;
  const u32 blocks = (u32)nctaid_x() * (u32)nctaid_y() * (u32)nctaid_z();
  const bool first = (bid_x() | bid_y() | bid_z()) == 0;
  const u32 mine = first ? 0x80000000u - (blocks - 1u) : 1u;
  const u32 before = ptx::atom_add<Sem::release, Scope::gpu>(bar, mine);
  for (Turns turns; turns.more();) {
    if (((before ^ ptx::ld<Sem::acquire, Scope::gpu>(bar)) & 0x80000000u) != 0u) return;
    spin();
  }
  for (Watch watch;;) {
    const u32 seen = ptx::ld<Sem::acquire, Scope::gpu>(bar);
    if (((before ^ seen) & 0x80000000u) != 0u) return watch.end();
    spin();
    watch.turn("grid_sync", bar, seen, ~before & 0x80000000u TS_SITE);
  }
}

}  // namespace ts
