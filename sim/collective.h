// SPDX-License-Identifier: MIT
// How a function of the twin headers is written: what every one of them calls first, and the one
// mechanism of warp instructions.
//
// A warp instruction (shuffle, vote, ldmatrix, mma.sync) waits until every lane of its mask has
// come to the same instruction; the last lane executes for all. It orders no memory: lanes of a
// warp stay separate threads. Example, a function that sums one value over the warp:
//
//   TS_SIM_API ts_u32 ts_sim_sum(ts_u32 value, ts_u32 mask) {
//     TS_SIM_ENTER();
//     struct Lane { u32 value, result; } lane{value, 0};
//     CollectLanes("sum", mask, &lane, [](const Lanes& lanes) {
//       u32 total = 0;
//       lanes.ForEach([&](u32 l) { total += lanes.As<Lane>(l).value; });
//       lanes.ForEach([&](u32 l) { lanes.As<Lane>(l).result = total; });
//     });
//     return lane.result;
//   }
#pragma once

#include "sim/types.h"

#include <bit>

// Records the user's line for reports. Must stand in the exported function itself: it takes the
// return address, which lies in the kernel's code.
#define TS_SIM_ENTER() ::tilescale::sim::EnterTwin(__builtin_return_address(0))

namespace tilescale::sim {

void EnterTwin(void* return_address);

// The lanes that take part in one warp instruction and what each brought.
struct Lanes {
  u32 mask = 0;    // the lanes that came
  u32 warp = 0;    // warp of the CTA
  void* args[32];  // of the lanes that came

  template <class T>
  T& As(u32 lane) const {
    return *static_cast<T*>(args[lane]);
  }
  bool Has(u32 lane) const { return mask >> lane & 1; }
  template <class F>
  void ForEach(F&& body) const {
    for (u32 m = mask; m; m &= m - 1) body(u32(std::countr_zero(m)));
  }

  // Checked accesses by one lane, at the lane's own line: bounds, alignment, initialisation, races.
  // The caller then reads or writes the bytes itself.
  void Read(u32 lane, const void* p, u32 bytes, u32 alignment) const;
  void Write(u32 lane, void* p, u32 bytes, u32 alignment) const;
};

// kSkip: lanes of the mask that have exited are not waited for (shuffle, vote, match, redux,
// elect). kError: they make the instruction an error (ldmatrix, stmatrix, the mma family).
enum class ExitedLanes : u8 { kSkip, kError };

// `instruction` is the name in reports and, by its text, the identity of the instruction.
void CollectLanes(const char* instruction, u32 mask, void* arg, void (*execute)(const Lanes&),
                  ExitedLanes exited = ExitedLanes::kSkip);

}  // namespace tilescale::sim
