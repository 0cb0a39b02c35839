// SPDX-License-Identifier: MIT
// The host side of the machine: streams, events, what launches know of each other, and who runs it.
#pragma once

#include "sim/arch.h"
#include "sim/core.h"
#include "sim/host_ranges.h"
#include "sim/local_machine.h"
#include "sim/module.h"
#include "sim/report.h"
#include "sim/streams.h"
#include "support/diagnostics.h"

#include <tvm/ffi/extra/c_env_api.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

namespace tilescale::sim {

// How long a launch that waits for other ranks is held back for them.
constexpr auto kGangGrace = std::chrono::milliseconds(200);

inline const std::string& Arch(const LaunchInfo& l) {
  return l.arch.empty() ? core.config.arch : l.arch;
}

// How often a host thread that waits handles its signals.
constexpr auto kHostTurn = std::chrono::milliseconds(100);

// Lets Python handle signals, which it does in its main thread only; true if that raised. Without
// our lock: another thread may hold Python's and wait for ours.
inline bool HostInterrupts(std::unique_lock<std::mutex>& lock) {
  lock.unlock();
  const bool raised = TVMFFIEnvCheckSignals() != 0;
  lock.lock();
  return raised;
}

struct LocalMachine::Impl : WorkSource {
  using Lock = std::unique_lock<std::mutex>;
  using Wanted = std::function<bool()>;

  std::mutex mutex;
  std::condition_variable changed;
  std::map<StreamKey, Stream> streams;
  std::map<u64, Event> events;
  HostRanges imports;
  std::vector<Leaving> leaving;
  std::map<u32, std::thread::id> hosts;          // who last drove a rank
  std::multiset<std::thread::id> waiting_hosts;  // in Synchronize
  std::map<u32, Report> owed;                    // to hosts that did not wait when it was found
  std::string death;                             // of a rank, once one has died
  std::atomic<int> contenders = 0;               // for the mutex, while a thread runs the machine
  Clock::time_point held_until = Clock::time_point::max();  // the first gang launch that goes alone
  u64 next_event = 1, version = 0, failures = 0;
  u32 next_launch = 1;
  bool running = false;
  bool interrupted = false;  // the run that goes on
  bool dirty = true;         // a stream's front may be able to go on
  const Wanted* wanted = nullptr;
  Lock* run_lock = nullptr;
  Knowledge host;
  Report last_failure;

  // The machine runs under the mutex, and lets others in between two bursts.
  Lock Enter() {
    ++contenders;
    Lock lock(mutex);
    --contenders;
    return lock;
  }
  void LetOthersIn() {
    if (contenders.load(std::memory_order_relaxed) == 0) return;
    changed.wait_for(*run_lock, std::chrono::microseconds(50));
    dirty = true;
  }

  void Drives(u32 rank) {
    if (rank >= core.config.ranks) {
      throw Diag({}, "ValueError") << "rank " << rank << " is out of range: the machine has "
                                   << core.config.ranks << " ranks";
    }
    hosts[rank] = std::this_thread::get_id();
  }

  // ---- WorkSource
  bool Refill() override {
    LetOthersIn();
    if (core.failed) return false;
    if (dirty || (held_until != Clock::time_point::max() && Clock::now() >= held_until)) {
      dirty = false;
      held_until = Clock::time_point::max();
      for (auto& [key, s] : streams) {
        while (!s.busy && !s.queue.empty() && Advance(key.first, s)) {
        }
      }
      FreeLeft();
    }
    return !(*wanted)();
  }

  // Runs the front of a stream; false if it must wait.
  bool Advance(u32 rank, Stream& s) {
    Item& item = s.queue.front();
    switch (item.kind) {
      case Item::Kind::kRecord: {
        if (!events.count(item.event)) break;
        Event& e = events[item.event];
        e.done = true;
        e.when = Clock::now();
        e.known = s.known;
        dirty = true;  // other streams may wait for it
        break;
      }
      case Item::Kind::kWait: {
        auto e = events.find(item.event);
        if (e == events.end()) break;  // dropped by its owner
        if (!e->second.done) return false;
        s.known.Join(e->second.known);
        break;
      }
      case Item::Kind::kLaunch:
        if (item.launch.gang && !GangIsReady(rank, item)) return false;
        StartLaunch(s, item);
        break;
      case Item::Kind::kFree:
        FreeNow(item.address);
        break;
    }
    s.queue.pop_front();
    version++;
    return true;
  }

  // Ranks that wait for each other start together, so that what races between them does not depend
  // on which host was faster.
  bool GangIsReady(u32 rank, Item& item) {
    const auto now = Clock::now();
    if (item.held == Clock::time_point{}) item.held = now;
    const auto alone = item.held + kGangGrace;
    for (u32 r = 0; r < core.config.ranks; ++r) {
      const auto driver = hosts.find(r);
      if (r == rank || driver == hosts.end() || waiting_hosts.count(driver->second)) continue;
      bool launched = false;
      for (const auto& [key, s] : streams) launched |= key.first == r && !s.idle();
      if (launched || now >= alone) continue;
      held_until = std::min(held_until, alone);
      return false;
    }
    return true;
  }

  void StartLaunch(Stream& s, Item& item) {
    if (core.running.empty() && Rested()) {
      core.rng = core.config.seed * 0x9E3779B97F4A7C15ull | 1;
      core.older_values.clear();
      ForgetCode();
    }
    auto l = std::make_unique<Launch_>();
    l->id = next_launch++;
    l->info = std::move(item.launch);
    l->module = static_cast<Module*>(l->info.module.get());
    PlaceCode(*l->module);
    l->entry = l->module->Find(l->info.entry);
    l->plan = &l->module->Plan(l->info.entry);
    l->code_bias = u64(l->module->base()) + 1 - l->module->site_base;
    for (auto& a : l->info.args) l->arg_addresses.push_back(a.data());
    l->total = l->info.grid.Count();
    u64 shared = std::max(l->plan->bytes, l->info.shared_bytes);
    l->slots = core.config.slots ? core.config.slots
                                 : SlotsOf(Arch(l->info), u32(l->info.block.Count()), shared);
    l->start = s.known;
    l->start.Join(item.host);
    l->end = l->start;
    s.busy = s.used = true;
    core.launches++;
    core.running.push_back(std::move(l));
  }
  using Launch_ = sim::Launch;

  void Done(Launch_& l) override {
    Stream& s = streams[{l.info.rank, l.info.stream}];
    s.known = std::move(l.end);
    s.busy = false;
    dirty = true;
  }

  bool WaitForHost() override {
    auto me = std::this_thread::get_id();
    u64 before = version;
    auto someone_runs = [&] {
      for (const auto& [rank, id] : hosts) {
        if (id != me && !waiting_hosts.count(id)) return true;
      }
      return false;
    };
    auto deadline = Clock::now() + std::chrono::milliseconds(core.config.host_grace_ms);
    while (version == before && !core.failed && someone_runs() && Clock::now() < deadline) {
      changed.wait_for(*run_lock, kHostTurn);
      if (!Interrupted()) continue;
      core.attend = true;
      return true;
    }
    dirty = true;
    return version != before || core.failed;
  }

  bool Interrupted() override {
    if (!interrupted) interrupted = HostInterrupts(*run_lock);
    return interrupted;
  }

  std::string Waiting() const override {
    std::string text;
    for (u32 r = 0; r < core.config.ranks; ++r) {
      bool has_work = false;
      for (const auto& [key, s] : streams) has_work |= key.first == r && (s.used || !s.idle());
      if (has_work) continue;
      text += "\n    rank " + std::to_string(r) +
              ": its host has launched nothing since it last synchronised";
    }
    return text;
  }

  static void FreeNow(void* p) {
    Allocation* a = arena.At(p);
    if (a && a->base == p && !a->cta) arena.Free(a);
  }

  void FreeLeft() {
    std::erase_if(leaving, [&](const Leaving& l) {
      for (const auto& [key, count] : l.after) {
        auto it = streams.find(key);
        if (it != streams.end() && it->second.done() < count) return false;
      }
      FreeNow(l.address);
      return true;
    });
  }

  // ---- host
  bool AllIdle() const {
    for (const auto& [key, s] : streams) {
      if (!s.idle()) return false;
    }
    return true;
  }
  bool Rested() const { return core.resident.empty() && core.base_cta == core.cta_info.size(); }

  // Nothing runs, and whatever comes is ordered after all that ran: the shadow is as good as empty.
  void Rest() {
    core.base_cta = u32(core.cta_info.size());
    core.words.clear();
    core.sequential.clear();
    host = Knowledge{};
    std::erase_if(streams, [](auto& entry) { return entry.second.idle(); });
    FreeLeft();
    for (auto& [key, e] : events) e.known = Knowledge{};
    next_launch = 1;
    if (core.cta_info.size() > kMaxCtas / 2) {
      ForgetAccesses();
      core.cta_info.resize(1);
      core.base_cta = 1;
    }
  }

  template <class Over>
  void EndImports(const Over& over, bool copy) {
    imports.End(over, copy, [](u8* p) { FreeNow(p); });
  }

  void DropAll() {
    for (auto& [key, s] : streams) {
      for (const Item& item : s.queue) {
        if (item.kind == Item::Kind::kFree) FreeNow(item.address);
      }
      s = Stream{};
    }
    for (auto& [key, e] : events) e.done = true;
    EndImports([](const HostRanges::Range&) { return true; }, false);
    core.failed = false;
    Rest();
  }

  // Ends all work with a report: those who wait get it now, the others that take part when they
  // next wait.
  void Broadcast(const Report& report) {
    last_failure = report;
    last_failure.interrupted = false;  // other threads have no Python error of their own
    failures++;
    for (const auto& [rank, thread] : hosts) {
      if (thread == std::this_thread::get_id() || waiting_hosts.count(thread)) continue;
      for (const auto& [key, s] : streams) {
        if (key.first == rank && (s.used || !s.idle())) owed[rank] = last_failure;
      }
    }
    DropAll();
    changed.notify_all();
  }

  Report Fulfil(Lock& lock, const Wanted& done) {
    if (!death.empty()) return DeathReport();
    auto me = waiting_hosts.insert(std::this_thread::get_id());
    changed.notify_all();
    u64 seen = failures;
    Report report;
    while (!done()) {
      if (failures != seen) {
        report = last_failure;
        break;
      }
      if (running) {
        changed.wait_for(lock, kHostTurn);
        if (!HostInterrupts(lock)) continue;
        report = InterruptReport();
        break;
      }
      running = true;
      interrupted = false;
      wanted = &done;
      run_lock = &lock;
      dirty = true;
      Run(*this);
      running = false;
      if (core.failed) {
        report = std::move(core.report);
        Broadcast(report);
        break;
      }
      changed.notify_all();
      if (done() || !core.resident.empty() || !core.running.empty()) continue;
      if (held_until != Clock::time_point::max()) {
        changed.wait_until(lock, held_until);
        continue;
      }
      // Streams that wait for events which nobody will record.
      report = DeadlockReport("deadlock: streams wait for events that are never recorded");
      Broadcast(report);
      break;
    }
    if (failures != seen && report.ok()) report = last_failure;
    waiting_hosts.erase(me);
    return report;
  }

  Report DeathReport() const {
    Report r = MachineReport(death);
    r.kind = "RuntimeError";
    return r;
  }

  // What a rank's host has not been told yet; then it has.
  std::optional<Report> TakeOwed(u32 rank) {
    const auto it = owed.find(rank);
    if (it == owed.end()) return std::nullopt;
    Report report = std::move(it->second);
    owed.erase(it);
    return report;
  }

  void HostLearns(Stream& s) {
    host.Join(s.known);
    s.used = false;
  }
  Report SynchronizeStreams(Lock& lock, const std::function<bool(u32 rank, u64 stream)>& asked) {
    Report report = Fulfil(lock, [&] {
      for (const auto& [key, s] : streams) {
        if (asked(key.first, key.second) && !s.idle()) return false;
      }
      return true;
    });
    if (!report.ok()) return report;
    for (auto& [key, s] : streams) {
      if (asked(key.first, key.second)) HostLearns(s);
    }
    EndImports([&](const HostRanges::Range& r) { return asked(r.rank, r.stream); }, true);
    RestIfQuiet();
    return report;
  }
  void RestIfQuiet() {
    for (const auto& [key, s] : streams) {
      if (!s.idle() || s.used) return;
    }
    if (core.resident.empty()) Rest();
  }
};

}  // namespace tilescale::sim
