// SPDX-License-Identifier: MIT
// mbarriers: a phase completes when its arrivals and its bytes are all there ("Parallel
// Synchronization and Communication Instructions: mbarrier"). The word in memory mirrors the state,
// so that polling loops can be woken by a change.
#include "sim/core.h"
#include "sim/report.h"

#include <cstring>

namespace tilescale::sim {
namespace {

void Mirror(const Mbarrier& m) {
  u64 state = u64{m.phase} << 40 | u64(u32(m.transactions) & 0xfffff) << 20 | (m.pending & 0xfffff);
  std::memcpy(m.address, &state, sizeof state);
}

void CompleteIfDone(Cta& c, Mbarrier& m) {
  if (!m.pending && !m.transactions) {
    m.phase++;
    m.pending = m.expected;
    core.progress++;
    m.done = m.sum;
    m.done.before.Set(c.uid, c.threads, ComponentBase(Kind::kMbarrier, c.threads) + m.index,
                      m.phase);
    if (m.in_flight) {
      Report r;
      Place place = PlaceOf(m.address);
      r.kind = "DataRace";
      r.buffer = place.buffer;
      r.space = place.space;
      r.index = place.index;
      r.reason = "expect_tx too small";
      r.text = "data race: a phase of mbarrier " + place.text + " (" + CtaName(c) +
               ") completed while " + std::to_string(m.in_flight) +
               " bulk copies bound to it were in flight: its expect_tx was too small";
      Fail(std::move(r));
    }
    for (Fiber& f : c.fibers) {
      if (f.state == FiberState::kWaiting && f.wait.mbarrier == &m) MarkReady(f);
    }
  }
  Mirror(m);
}

void CheckAlignment(Fiber& f, u8* p) {
  if (u64(p) & 7) Fail(AlignmentReport(p, 8, 8, f));
}

bool Complete(const Mbarrier& m, u32 parity) {
  return (m.phase & 1) != (parity & 1);
}

}  // namespace

Mbarrier& MbarrierTouch(Fiber& f, u8* p) {
  CheckAlignment(f, p);
  CheckAccess(p, 8, u8(StrongFlags(Scope::kCta, 8) | kWrite), f);
  auto& all = f.cta->mbarriers;
  auto it = all.find(p);
  while (it == all.end()) {  // a late initialisation then shows the race
    Block(f, {.kind = WaitKind::kMbarrierInit, .address = p});
    it = all.find(p);
  }
  return it->second;
}

void MbarrierInit(Fiber& f, u8* p, u32 count) {
  CheckAlignment(f, p);
  CheckAccess(p, 8, kWrite, f);
  auto& all = f.cta->mbarriers;
  bool again = all.count(p);
  if (!again && all.size() >= kMaxMbarriers) {
    Fail(DeadlockReport("more than " + std::to_string(kMaxMbarriers) +
                        " mbarriers in one CTA: the simulator has no room for them\n    " +
                        NameOf(f)));
  }
  Mbarrier& m = all[p];
  u32 index = again ? m.index : u32(all.size() - 1);
  EngineUse last = m.last_load;
  // A component's clock only grows: phases of a new initialisation go on from the old ones.
  u32 phase = again ? m.phase + (m.phase & 1) : 0;
  m = Mbarrier{};
  m.address = p;
  m.expected = m.pending = count;
  m.index = index;
  m.phase = phase;
  m.last_load = last;
  Mirror(m);
  for (Fiber& g : f.cta->fibers) {
    if (g.state == FiberState::kWaiting && g.wait.kind == WaitKind::kMbarrierInit &&
        g.wait.address == p) {
      MarkReady(g);
    }
  }
}

void MbarrierInvalidate(Fiber& f, u8* p) {
  CheckAlignment(f, p);
  CheckAccess(p, 8, kWrite, f);
}

void MbarrierCount(Cta& c, Mbarrier& m, Fiber* f) {
  if (m.pending == 0) {
    Place place = PlaceOf(m.address);
    std::string text = "more arrivals in one phase than its count of " +
                       std::to_string(m.expected) + ": later phases complete early";
    if (f) Fail(EngineReport(*f, text, m.address));
    Report r;
    r.kind = "DataRace";
    r.buffer = place.buffer;
    r.reason = text;
    r.text = "data race on " + place.text + " (" + place.detail + "): " + text;
    Fail(std::move(r));
  }
  m.pending--;
  CompleteIfDone(c, m);
}

void MbarrierLanded(Cta& c, Mbarrier& m, u32 bytes) {
  m.transactions -= long(bytes);
  m.in_flight--;
  CompleteIfDone(c, m);
}

void MbarrierArrive(Fiber& f, u8* p, u32 transactions, bool arrive) {
  Mbarrier& m = MbarrierTouch(f, p);
  m.transactions += transactions;
  if (!arrive) {
    CompleteIfDone(*f.cta, m);
    return;
  }
  m.sum.Join(f.known);
  m.sum.before.Set(f.cta->uid, f.cta->threads, f.tid, f.clock);
  f.clock++;
  f.polled.clear();
  MbarrierCount(*f.cta, m, &f);
}

void MbarrierWait(Fiber& f, u8* p, u32 parity) {
  Mbarrier& m = MbarrierTouch(f, p);
  while (!Complete(m, parity)) {
    Block(f, {.kind = WaitKind::kMbarrier, .number = parity, .mbarrier = &m, .address = p});
  }
  Learn(f, m.done);
}

bool MbarrierTest(Fiber& f, u8* p, u32 parity) {
  if (core.Random() & 1) Yield();
  Mbarrier& m = MbarrierTouch(f, p);
  if (!Complete(m, parity)) {
    u64 state = 0;
    std::memcpy(&state, p, sizeof state);
    bool seen = false;
    for (const auto& q : f.polled) seen |= q.address == p && q.value == state;
    if (!seen) {
      constexpr size_t kMaxPolled = 8;
      if (f.polled.size() == kMaxPolled) f.polled.clear();
      f.polled.push_back({p, state, 8});
      return false;
    }
    Poll(f);  // looped without news
    f.polled.clear();
    if (!Complete(m, parity)) return false;
  }
  f.polled.clear();
  Learn(f, m.done);
  return true;
}

}  // namespace tilescale::sim
