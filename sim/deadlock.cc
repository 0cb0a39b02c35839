// SPDX-License-Identifier: MIT
// What a machine that cannot go on says, and the timer that finds loops without any event.
#include "sim/core.h"
#include "sim/module.h"
#include "sim/report.h"

#include <map>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

namespace tilescale::sim {
namespace {

constexpr size_t kMaxGroups = 24;

std::string Str(u64 n) {
  return std::to_string(n);
}

// The low bytes as a number; signed if nobody says otherwise: words that are waited for count from
// below 0, too.
std::string Shown(u64 value, u32 bytes, bool is_signed) {
  const u32 spare = 64 - 8 * bytes;
  if (!is_signed) return Str(value << spare >> spare);
  return std::to_string(static_cast<long long>(value << spare) >> spare);
}

std::string WaitText(const Fiber& f) {
  if (f.state == FiberState::kPolling) {
    std::string s = "spins on";
    for (const auto& p : f.polled) {
      auto bar = f.cta->mbarriers.find(p.address);
      s += " " + PlaceOf(p.address).text;
      if (bar == f.cta->mbarriers.end()) s += " = " + Shown(p.value, p.bytes, f.awaited.is_signed);
    }
    if (f.awaited.relation) {
      s += std::string(", waits for ") + f.awaited.relation +
           Shown(f.awaited.value, sizeof(u64), f.awaited.is_signed);
    }
    return s;
  }
  const Wait& w = f.wait;
  switch (w.kind) {
    case WaitKind::kBarrier:
      return "barrier " + Str(w.number) + ", phase " + Str(w.barrier->phase) + ": " +
             Str(w.barrier->arrived) + " of " + Str(w.barrier->expected) + " threads arrived";
    case WaitKind::kWarpSync:
      return "warp_sync: " + Str(w.barrier->arrived) + " of " + Str(w.barrier->expected) +
             " lanes arrived";
    case WaitKind::kMbarrier: {
      const Mbarrier& m = *w.mbarrier;
      std::string s = "mbarrier " + PlaceOf(w.address).text + ", wait for parity " + Str(w.number) +
                      ": phase " + Str(m.phase) + " misses " + Str(m.pending) + " of " +
                      Str(m.expected) + " arrivals";
      if (m.transactions) s += " and " + std::to_string(m.transactions) + " bytes";
      return s;
    }
    case WaitKind::kMbarrierInit:
      return "mbarrier " + PlaceOf(w.address).text + ", which nobody has initialised";
    case WaitKind::kInstruction:
      return std::string(w.what) + ": waits for the other lanes of its warp";
    case WaitKind::kNone:
      break;
  }
  return "ready";
}

struct Group {
  u64 count = 0;
  std::string first;
};

}  // namespace

void ReportDeadlock(const WorkSource& source) {
  core.reporting = true;
  // By CTA, line and reason, in the machine's order.
  std::map<std::pair<u32, std::string>, Group> groups;
  std::vector<AccessInfo> accesses;
  for (Cta* c : core.resident) {
    for (const Fiber& f : c->fibers) {
      if (f.state == FiberState::kDone) continue;
      Line line = LineOf(f.site);
      Group& g = groups[{c->uid, CtaName(*c) + " at " + line.text() + ": " + WaitText(f)}];
      if (g.count++) continue;
      g.first = " (first: warp " + Str(f.warp()) + " lane " + Str(f.lane()) + ")";
      AccessInfo i;
      i.kind = "wait";
      i.rank = c->rank;
      i.cta = c->index;
      i.warp = int(f.warp());
      i.lane = int(f.lane());
      i.file = line.file;
      i.line = line.line;
      accesses.push_back(i);
    }
  }
  std::string text = "deadlock: nothing can go on";
  size_t shown = 0;
  for (const auto& [key, g] : groups) {
    if (shown++ == kMaxGroups) {
      text += "\n    and " + Str(groups.size() - kMaxGroups) + " more groups of threads";
      break;
    }
    text += "\n    " + Str(g.count) + (g.count == 1 ? " thread of " : " threads of ") + key.second +
            g.first;
  }
  for (const auto& l : core.running) {
    if (l->next == l->total) continue;
    text += "\n    " + Str(l->total - l->next) + " CTAs of " + l->info.entry + " on rank " +
            Str(l->info.rank) + " not started: its " + Str(l->slots) + " slots are taken";
  }
  text += source.Waiting();
  Report r = DeadlockReport(text);
  r.accesses = std::move(accesses);
  core.reporting = false;
  Fail(std::move(r));
}

namespace {

// A timer of the running thread's own processor time looks for loops without end: those that never
// enter the simulator (a plain polling load, hoisted by the compiler), and those that wait for what
// nobody does. It also makes the machine look after its host.
constexpr u32 kTickMs = 10;
constexpr u32 kHostTicks = 10;  // between two looks at the host
constexpr u32 kPatience = 5;    // a loop with events may be only long: so many hang limits

struct Watch {
  u64 events = 0, lasting = 0, spins = 0;
  u32 silent_ticks = 0, idle_ticks = 0, host_ticks = 0;
};
Watch watch;
timer_t timer;
bool timer_made = false;

bool InKernel(u64 pc) {
  return current->cta->launch->module->Contains(reinterpret_cast<void*>(pc));
}

void CountTick() {
  const u64 events = core.waits + core.accesses + core.progress;
  if (events != watch.events) {
    watch.silent_ticks = 0;
  } else if (current) {
    watch.silent_ticks++;
  }
  if (core.Lasting() != watch.lasting) {
    watch.idle_ticks = 0;
  } else if (core.spins != watch.spins) {
    watch.idle_ticks++;
  }
  watch.events = events;
  watch.lasting = core.Lasting();
  watch.spins = core.spins;
  if (watch.idle_ticks * kTickMs >= kPatience * core.config.hang_ms) core.stale = core.Lasting();
  if (++watch.host_ticks < kHostTicks) return;
  watch.host_ticks = 0;
  core.attend = true;
}

void Tick(int, siginfo_t*, void* context) {
  if (core.reporting || core.failed) return;
  CountTick();
  if (!current) return;
#if defined(__x86_64__)
  u64 pc = u64(static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP]);
#else
  u64 pc = static_cast<ucontext_t*>(context)->uc_mcontext.pc;
#endif
  if (!InKernel(pc)) return;  // in the library: it will return
  if (watch.silent_ticks * kTickMs >= core.config.hang_ms) {
    watch.silent_ticks = 0;
    current->site = u32(pc + 1 - code_bias);
    Fail(DeadlockReport(
        "deadlock: a thread runs without end and without any visible event (a plain load "
        "does not see other threads' writes; a waiting loop needs T.ld or ts::spin())\n    " +
        NameOf(*current) + " at " + LineOf(current->site).text()));
  }
  if (core.attend) LetHostAttend();
}

}  // namespace

void ReportEndlessLoop() {
  Fail(DeadlockReport(
      "deadlock: a loop runs without end: for " + Str(u64{kPatience} * core.config.hang_ms) +
      " ms no thread has passed a barrier outside it, ended, or changed what another could "
      "wait for (if it is only long: raise TILESCALE_SIM_HANG_MS)\n    " +
      NameOf(*current) + " at " + LineOf(current->site).text()));
}

void StartWatchdog() {
  struct sigaction action {};
  action.sa_sigaction = Tick;
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART;
  const int signal = SIGRTMIN + 7;
  sigaction(signal, &action, nullptr);
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = signal;
  event._sigev_un._tid = pid_t(syscall(SYS_gettid));
  timer_made = timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) == 0;
  if (!timer_made) return;
  watch = Watch{};
  core.attend = false;
  core.stale = ~u64{0};
  itimerspec spec{};
  spec.it_value.tv_nsec = spec.it_interval.tv_nsec = long{kTickMs} * 1000000;
  timer_settime(timer, 0, &spec, nullptr);
}

void StopWatchdog() {
  if (timer_made) timer_delete(timer);
  timer_made = false;
}

}  // namespace tilescale::sim
