// SPDX-License-Identifier: MIT
// The scheduler: seeded and adversarial. A random CTA, a random warp of it, its ready lanes from a
// random lane on; a burst ends early with a small probability. A fiber runs until it waits or
// reaches a scheduling point. Plain accesses need no switch: races are found by order, not by luck.
#include "sim/core.h"
#include "sim/fiber.h"
#include "sim/module.h"
#include "sim/report.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>

namespace tilescale::sim {

Core core;
Fiber* current;
u8* stack_low;
u64 code_bias;

namespace {

void* scheduler_stack;
WorkSource* work;
bool preempted;  // the fiber that has just stopped did so for the host, and goes on

// Ctrl-C ends the run.
void Attend() {
  core.attend = false;
  if (!work->Interrupted()) return;
  core.report = InterruptReport();
  core.failed = true;
  throw Stop{};
}

void SwitchIn(Fiber& f) {
  do {
    current = &f;
    stack_low = f.stack;
    code_bias = f.cta->launch->code_bias;
    preempted = false;
    ts_sim_switch(&scheduler_stack, f.stack_pointer);
    current = nullptr;
    stack_low = nullptr;
    if (preempted) Attend();
  } while (preempted);
  core.switches++;
}

void Park(Fiber& f, FiberState state) {
  core.waits++;
  f.state = state;
  Cta& c = *f.cta;
  Warp& w = c.warps[f.warp()];
  w.ready &= ~(1u << f.lane());
  if (!w.ready) {
    c.warps_ready &= ~(1u << f.warp());
    if (!c.warps_ready) {
      Cta* last = core.ready.back();
      core.ready[size_t(c.ready_index)] = last;
      last->ready_index = c.ready_index;
      core.ready.pop_back();
      c.ready_index = -1;
    }
  }
  SwitchOut();
}

void FiberMain() {
  Fiber& f = *current;
  std::string broken;
  try {
    f.cta->launch->entry(f.cta->launch->arg_addresses.data());
  } catch (const std::exception& e) {  // out of memory, in a function of ours
    broken = e.what();
  }
  if (!broken.empty()) Fail(MachineReport(broken));
  EndFiber(f);
}

Dim3 Unflatten(u64 linear, const Dim3& grid) {
  return {u32(linear % grid.x), u32(linear / grid.x % grid.y), u32(linear / grid.x / grid.y)};
}

// Linear indices of a grid's CTAs in the order of start: clusters whole, else the grid's.
u64 StartOrder(const Launch& l, u64 n) {
  const Dim3 &g = l.info.grid, &k = l.info.cluster;
  u64 size = k.Count();
  if (size == 1) return n;
  Dim3 clusters{g.x / k.x, g.y / k.y, g.z / k.z};
  Dim3 c = Unflatten(n / size, clusters), r = Unflatten(n % size, k);
  return (u64{c.z * k.z + r.z} * g.y + c.y * k.y + r.y) * g.x + c.x * k.x + r.x;
}

void StartCta(Launch& l) {
  if (core.cta_info.size() >= kMaxCtas) {
    Fail(MachineReport("more than " + std::to_string(kMaxCtas - 1) +
                       " CTAs ran since the host last synchronised: the simulator cannot number "
                       "them; synchronise, or use a smaller grid"));
  }
  auto* c = new Cta;
  c->uid = u32(core.cta_info.size());
  c->rank = l.info.rank;
  c->linear = StartOrder(l, l.next);
  c->index = Unflatten(c->linear, l.info.grid);
  u32 count = u32(l.info.block.Count());
  c->threads = (count + 31) / 32 * 32;
  c->live = count;
  c->launch = &l;
  u32 cluster = l.next % l.info.cluster.Count() ? core.cta_info.back().cluster : c->uid;
  core.cta_info.push_back({l.info.rank, cluster, l.id, c->threads, c->linear});
  l.next++;
  l.resident++;
  core.ctas++;
  c->fibers = std::vector<Fiber>(count);
  c->warps.resize(c->threads / 32);
  core.resident.push_back(c);
  l.plan->Place(c);
  const CtaClocks* own = l.start.before.Find(c->uid);
  for (u32 t = 0; t < count; ++t) {
    Fiber& f = c->fibers[t];
    f.tid = t;
    f.cta = c;
    f.known = l.start;
    f.own = own;
    f.stack = TakeStack();
    f.stack_pointer = PrepareStack(f.stack, FiberMain);
    c->warps[t / 32].alive |= 1u << (t & 31);
    MarkReady(f);
  }
}

void Retire(Cta* c) {
  for (Allocation* a : c->blocks) arena.Free(a);
  for (Fiber& f : c->fibers) {
    if (f.stack) GiveStack(f.stack);
  }
  delete c;
}

// All threads of a CTA have exited.
void FinishCta(Cta* c, WorkSource& source) {
  Launch& l = *c->launch;
  Knowledge last;
  const ClockList *before = nullptr, *async = nullptr;
  for (Fiber& f : c->fibers) {
    const Clocks &b = f.known.before, &a = f.known.async;
    if (b.identity() != before || a.identity() != async) last.Join(f.known);
    before = b.identity();
    async = a.identity();
    last.observed.Join(f.known.observed);
  }
  CheckEnginesDone(*c, last);
  while (c->in_flight) LandAny(*c);
  l.end.Join(last);
  core.resident.erase(std::find(core.resident.begin(), core.resident.end(), c));
  Retire(c);
  core.progress++;
  l.resident--;
  if (++l.done < l.total) return;
  if (core.unread && core.unread_launch == l.id) Fail(std::move(*core.unread));
  // Whoever learns that the launch is over needs no clocks of its CTAs.
  u32 id = l.id;
  auto over = [&](u32 cta) { return core.cta_info[cta].launch == id; };
  l.end.before.Remove(over);
  l.end.async.Remove(over);
  l.end.finished.Add(id);
  source.Done(l);
  core.running.erase(std::find_if(core.running.begin(), core.running.end(),
                                  [&](const auto& p) { return p.get() == &l; }));
}

// Starts CTAs of running launches; `one`: at most one (or one cluster) for each launch.
bool Fill(bool one) {
  bool any = false;
  for (auto& l : core.running) {
    u32 limit = one ? l->slots : std::min(l->slots, core.config.active);
    u64 size = l->info.cluster.Count();
    bool started = false;
    while (l->next < l->total && !(one && started)) {
      u64 on_rank = 0;
      for (const auto& other : core.running) {
        if (other->info.rank == l->info.rank) on_rank += other->resident;
      }
      // A cluster starts whole, also if it is larger than what is kept active.
      if (on_rank && on_rank + size > std::max<u64>(limit, size)) break;
      for (u64 i = 0; i < size; ++i) StartCta(*l);
      any = started = true;
    }
  }
  return any;
}

// Wakes threads that poll, all or those whose value has changed.
bool WakePollers(bool all) {
  bool any = false;
  for (size_t i = 0; i < core.polling.size();) {
    Fiber& f = *core.polling[i];
    bool wake = all;
    for (size_t k = 0; k < f.polled.size() && !wake; ++k) {
      wake = std::memcmp(f.polled[k].address, &f.polled[k].value, f.polled[k].bytes) != 0;
    }
    if (wake) {
      MarkReady(f);  // takes it out of the list
      any = true;
    } else {
      ++i;
    }
  }
  return any;
}

void RunBurst(Cta& c) {
  u32 turn = core.Random() & 31;
  u32 w = (u32(std::countr_zero(std::rotr(c.warps_ready, int(turn)))) + turn) & 31;
  u32 first = core.Random() & 31;
  for (u32 i = 0; i < 32; ++i) {
    u32 lane = (first + i) & 31;
    if (!(c.warps[w].ready >> lane & 1)) continue;
    SwitchIn(c.fibers[w * 32 + lane]);
    if (core.failed) throw Stop{};
    if ((core.Random() & 31) == 0) break;
  }
}

// When no fiber is ready: pollers whose value changed, CTAs that wait for a slot, one landing, then
// rounds of waking every poller.
class LastResorts {
 public:
  // True if something can run again.
  bool Try(WorkSource& source) {
    if (WakePollers(false) || Fill(true)) return true;
    std::vector<Cta*> busy;
    for (Cta* c : core.resident) {
      if (c->in_flight) busy.push_back(c);
    }
    if (!busy.empty()) {
      LandAny(*busy[core.Random() % busy.size()]);
      return true;
    }
    if (mark_ != core.progress) {
      mark_ = core.progress;
      rounds_ = 0;
    }
    if (++rounds_ < kRounds && WakePollers(true)) return true;
    rounds_ = 0;
    return source.WaitForHost();
  }

 private:
  static constexpr u32 kRounds = 1000;
  u64 mark_ = ~u64{0};
  u32 rounds_ = 0;
};

void RunLoop(WorkSource& source) {
  LastResorts resorts;
  for (;;) {
    if (core.attend) Attend();
    bool wanted = source.Refill();
    if (core.failed) return;
    Fill(false);
    if (core.resident.empty() || !wanted) return;
    if ((core.Random() & 63) == 0) {
      Cta* c = core.resident[core.Random() % core.resident.size()];
      if (c->in_flight && (core.Random() & 1)) LandAny(*c);
      WakePollers(false);
    }
    if (core.ready.empty()) {
      if (!resorts.Try(source)) ReportDeadlock(source);
      continue;
    }
    Cta* c = core.ready[core.Random() % core.ready.size()];
    RunBurst(*c);
    if (!c->live) FinishCta(c, source);
  }
}

}  // namespace

void SwitchOut() {
  Fiber* f = current;
  if (!f->same_stores.empty() && !core.failed) SettleSameStores(*f);
  ts_sim_switch(&f->stack_pointer, scheduler_stack);
}

void LetHostAttend() {
  preempted = true;
  ts_sim_switch(&current->stack_pointer, scheduler_stack);
}

void EndFiber(Fiber& f) {
  Cta& c = *f.cta;
  Warp& w = c.warps[f.warp()];
  if (!f.same_stores.empty()) SettleSameStores(f);
  c.live--;
  w.alive &= ~(1u << f.lane());
  core.progress++;
  LeaveBarriers(f);
  LeaveGathers(f);
  Park(f, FiberState::kDone);
}

void MarkReady(Fiber& f) {
  if (f.state == FiberState::kPolling) {
    Fiber* last = core.polling.back();
    core.polling[f.polling_index] = last;
    last->polling_index = f.polling_index;
    core.polling.pop_back();
  }
  f.state = FiberState::kReady;
  Cta& c = *f.cta;
  c.warps[f.warp()].ready |= 1u << f.lane();
  c.warps_ready |= 1u << f.warp();
  if (c.ready_index < 0) {
    c.ready_index = int(core.ready.size());
    core.ready.push_back(&c);
  }
}

void Block(Fiber& f, const Wait& wait) {
  f.polled.clear();
  f.wait = wait;
  Park(f, FiberState::kWaiting);
}

void Poll(Fiber& f) {
  f.polling_index = u32(core.polling.size());
  core.polling.push_back(&f);
  Park(f, FiberState::kPolling);
}

void Yield() {
  SwitchOut();
}

void Run(WorkSource& source) {
  work = &source;
  StartWatchdog();
  try {
    RunLoop(source);
  } catch (const Stop&) {              // NOLINT(bugprone-empty-catch): the report is there
  } catch (const std::exception& e) {  // no room for a stack or for shared memory
    core.report = MachineReport(e.what());
    core.failed = true;
  }
  StopWatchdog();
  if (!core.failed) return;
  // Fibers are plain memory: what they held is dropped with their stacks.
  core.polling.clear();
  core.ready.clear();
  for (Cta* c : core.resident) {
    for (Fiber& f : c->fibers) f.state = FiberState::kDone;
    Retire(c);
  }
  core.resident.clear();
  core.running.clear();
  core.unread.reset();
}

}  // namespace tilescale::sim
