// SPDX-License-Identifier: MIT
// Barriers of a CTA and of a warp: arrivers publish, waiters learn. One phase accumulates in place,
// so it costs O(threads); afterwards all waiters share one knowledge and one clock, which keeps the
// accesses of a warp's lanes mergeable.
#include "sim/core.h"
#include "sim/report.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace tilescale::sim {
namespace {

constexpr u32 kUnset = 0;
constexpr u32 kBarriersOfTurn = 64;  // a loop that waits is taken to have no more at each turn

void Finish(Cta& c, NamedBarrier& b) {
  auto waiters = std::move(b.waiters);
  auto converging = std::move(b.converging);
  Knowledge sum = std::move(b.sum);
  u32 clock = b.max_clock + 1, phase = b.phase + 1;
  const bool every = b.every, any = b.any;
  const int count = b.count;
  b = NamedBarrier{};
  b.phase = phase;
  core.progress++;
  if (c.calm < kBarriersOfTurn) {
    c.calm++;
    core.turns++;
  }
  for (Fiber* f : waiters) {
    f->known = sum;
    f->own = f->known.before.Find(f->cta->uid);
    f->clock = clock;
    f->barrier_result = f->barrier_predicate == 0 ? every : f->barrier_predicate == 1 ? any : count;
    MarkReady(*f);
  }
  for (Fiber* f : converging) MarkReady(*f);
}

// A warp counts 32 when all its lanes that have not exited are there ("barrier{.cta}": arrival is
// per warp).
void CountWarp(NamedBarrier& b, Cta& c, u32 w) {
  if (!b.lanes[w] || (c.warps[w].alive & ~b.lanes[w])) return;
  b.lanes[w] = 0;
  b.arrived += 32;
  for (size_t i = 0; i < b.converging.size();) {
    if (b.converging[i]->warp() == w) {
      MarkReady(*b.converging[i]);
      b.converging.erase(b.converging.begin() + long(i));
    } else {
      ++i;
    }
  }
}

std::string BarrierName(const Wait& why) {
  return why.kind == WaitKind::kWarpSync ? std::string("warp_sync")
                                         : "barrier " + std::to_string(why.number);
}

void Arrive(NamedBarrier& b, Fiber& f, u32 expected, bool wait, bool of_warp, const Wait& why) {
  if (!f.same_stores.empty()) SettleSameStores(f);
  bool open = !b.waiters.empty() || !b.converging.empty() || b.arrived;
  if (open && b.expected != expected) {
    Fail(DeadlockReport(BarrierName(why) + ": this thread expects " + std::to_string(expected) +
                        " threads, earlier ones of the phase expected " +
                        std::to_string(b.expected) + "\n    " + NameOf(f) + " at " +
                        LineOf(f.site).text()));
  }
  b.expected = expected;
  b.max_clock = std::max(b.max_clock, f.clock);
  if (!b.sum.before.identity() || b.last.get() != f.known.before.identity()) {
    b.sum.before.Join(f.known.before);
    b.last = f.known.before.hold();
  }
  b.sum.observed.Join(f.known.observed);
  b.sum.async.Join(f.known.async);
  b.sum.finished.Join(f.known.finished);
  b.sum.before.Set(f.cta->uid, f.cta->threads, f.tid, f.clock);
  if (wait) {
    b.waiters.push_back(&f);
  } else {
    f.clock++;
  }
  u32 w = f.warp();
  b.lanes[w] |= 1u << f.lane();
  if (of_warp) {
    b.arrived++;
  } else {
    CountWarp(b, *f.cta, w);
  }
  if (b.arrived >= expected) {
    Finish(*f.cta, b);  // the last one goes on
    return;
  }
  if (wait) {
    Block(f, why);
  } else if (b.lanes[w]) {
    b.converging.push_back(&f);
    Block(f, why);
  }
}

}  // namespace

u32 LiveThreads(const Cta& c) {
  u32 n = 0;
  for (const Warp& w : c.warps) n += w.alive ? 32 : 0;
  return n;
}

void BarrierArrive(Fiber& f, u32 id, u32 count, bool wait) {
  constexpr u32 kBarriers = 16;
  Wait why{.kind = WaitKind::kBarrier, .number = id};
  if (id >= kBarriers || count % 32 || (count == kUnset && !wait)) {
    Fail(DeadlockReport(BarrierName(why) + ", " + std::to_string(count) +
                        " threads: ids are 0 to 15, counts are multiples of 32\n    " + NameOf(f) +
                        " at " + LineOf(f.site).text()));
  }
  NamedBarrier& b = f.cta->barriers[id];
  why.barrier = &b;
  b.all = count == kUnset;
  Arrive(b, f, b.all ? LiveThreads(*f.cta) : count, wait, false, why);
}

int BarrierReduce(Fiber& f, u32 id, u32 count, bool pred, int op) {
  f.barrier_predicate = op;
  NamedBarrier& b = f.cta->barriers[id & 15];
  b.count += pred;
  b.any |= pred;
  b.every &= pred;
  BarrierArrive(f, id, count, true);
  return f.barrier_result;
}

void WarpBarrierArrive(Fiber& f, u32 mask) {
  if (!(mask >> f.lane() & 1)) {
    Fail(DeadlockReport("warp_sync: the calling lane is not in its mask\n    " + NameOf(f) +
                        " at " + LineOf(f.site).text()));
  }
  Warp& w = f.cta->warps[f.warp()];
  NamedBarrier& b = w.syncs[mask];
  u32 expected = u32(std::popcount(mask & w.alive));
  if (b.arrived) b.expected = expected;  // lanes may have exited since
  Arrive(b, f, expected, true, true, {.kind = WaitKind::kWarpSync, .barrier = &b});
}

void LeaveBarriers(Fiber& f) {
  Cta& c = *f.cta;
  for (NamedBarrier& b : c.barriers) {
    if (b.lanes[f.warp()]) CountWarp(b, c, f.warp());
    if (b.all && !b.waiters.empty()) b.expected = LiveThreads(c);
    if (b.arrived && b.arrived >= b.expected) Finish(c, b);
  }
  Warp& w = c.warps[f.warp()];
  for (auto& [mask, b] : w.syncs) {
    if (!b.arrived) continue;
    b.expected = u32(std::popcount(mask & w.alive));
    if (b.arrived >= b.expected) Finish(c, b);
  }
}

}  // namespace tilescale::sim
