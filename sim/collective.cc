// SPDX-License-Identifier: MIT
#include "sim/collective.h"

#include "sim/core.h"
#include "sim/report.h"

#include <cstring>

namespace tilescale::sim {
namespace {

u32 Wanted(const Gather& g, const Warp& w) {
  return g.mask & w.alive;
}

void Execute(Cta& c, Warp& w, size_t i, const Fiber* last) {
  Gather& g = w.gathers[i];
  g.execute(g.lanes);
  g.lanes.ForEach([&](u32 l) {
    Fiber& f = c.fibers[g.lanes.warp * 32 + l];
    if (&f != last) MarkReady(f);
  });
  if (i + 1 < w.gathers.size()) w.gathers[i] = w.gathers.back();
  w.gathers.pop_back();
}

[[noreturn]] void Mismatch(Fiber& f, const char* instruction, u32 mask, const Gather& g) {
  u32 other = u32(std::countr_zero(g.lanes.mask));
  const Fiber& o = f.cta->fibers[f.warp() * 32 + other];
  std::string why = std::strcmp(instruction, g.instruction)
                        ? "lanes of one warp are in different warp instructions"
                        : "lanes of one warp name different masks";
  auto line = [](const Fiber& x, const char* name, u32 m) {
    char text[24];
    std::snprintf(text, sizeof text, " (mask 0x%08x)", m);
    return "\n    " + std::string(name) + text + " by " + NameOf(x) + " at " +
           LineOf(x.site).text();
  };
  Fail(DeadlockReport(why + line(o, g.instruction, g.mask) + line(f, instruction, mask)));
}

[[noreturn]] void LaneIsGone(Fiber& f, const char* instruction, u32 missing) {
  Fail(DeadlockReport(std::string(instruction) + " needs all lanes of its warp, but lane " +
                      std::to_string(std::countr_zero(missing)) + " has exited\n    " + NameOf(f) +
                      " at " + LineOf(f.site).text()));
}

}  // namespace

void EnterTwin(void* return_address) {
  current->site = u32(u64(return_address) - code_bias);
}

void Lanes::Read(u32 lane, const void* p, u32 bytes, u32 alignment) const {
  Fiber& f = current->cta->fibers[warp * 32 + lane];
  auto* at = static_cast<u8*>(const_cast<void*>(p));
  if (u64(at) & (alignment - 1)) Fail(AlignmentReport(at, bytes, alignment, f));
  CheckAccess(at, bytes, 0, f);
}

void Lanes::Write(u32 lane, void* p, u32 bytes, u32 alignment) const {
  Fiber& f = current->cta->fibers[warp * 32 + lane];
  auto* at = static_cast<u8*>(p);
  if (u64(at) & (alignment - 1)) Fail(AlignmentReport(at, bytes, alignment, f));
  CheckAccess(at, bytes, kWrite, f);
}

void CollectLanes(const char* instruction, u32 mask, void* arg, void (*execute)(const Lanes&),
                  ExitedLanes exited) {
  Fiber& f = *current;
  Warp& w = f.cta->warps[f.warp()];
  if (!(mask >> f.lane() & 1)) {
    Fail(DeadlockReport(std::string(instruction) + ": the calling lane is not in its mask\n    " +
                        NameOf(f) + " at " + LineOf(f.site).text()));
  }
  if (exited == ExitedLanes::kError && (mask & ~w.alive))
    LaneIsGone(f, instruction, mask & ~w.alive);
  size_t i = 0;
  for (; i < w.gathers.size(); ++i) {
    const Gather& g = w.gathers[i];
    bool same = g.instruction == instruction || std::strcmp(g.instruction, instruction) == 0;
    if (g.mask == mask && same) break;
    // Each waits for the other: on hardware the warp hangs.
    if ((g.mask >> f.lane() & 1) && (mask & g.lanes.mask)) Mismatch(f, instruction, mask, g);
  }
  if (i == w.gathers.size()) {
    w.gathers.emplace_back();
    Gather& g = w.gathers.back();
    g.instruction = instruction;
    g.exited = exited;
    g.mask = mask;
    g.execute = execute;
    g.lanes.warp = f.warp();
  }
  Gather& g = w.gathers[i];
  g.lanes.mask |= 1u << f.lane();
  g.lanes.args[f.lane()] = arg;
  if (g.lanes.mask == Wanted(g, w)) {
    Execute(*f.cta, w, i, &f);
    f.polled.clear();
  } else {
    Block(f, {.kind = WaitKind::kInstruction, .what = instruction});
  }
}

void LeaveGathers(Fiber& f) {
  Warp& w = f.cta->warps[f.warp()];
  for (size_t i = 0; i < w.gathers.size();) {
    Gather& g = w.gathers[i];
    bool named = g.mask >> f.lane() & 1;
    if (named && g.exited == ExitedLanes::kError) {
      u32 waiting = u32(std::countr_zero(g.lanes.mask));
      LaneIsGone(f.cta->fibers[f.warp() * 32 + waiting], g.instruction, 1u << f.lane());
    }
    if (named && g.lanes.mask == Wanted(g, w)) {
      Execute(*f.cta, w, i, nullptr);
    } else {
      ++i;
    }
  }
}

}  // namespace tilescale::sim
