// SPDX-License-Identifier: MIT
// The host side: streams, events, what launches know of each other, and who runs the machine.
#include "sim/machine.h"

#include "sim/arch.h"
#include "sim/core.h"
#include "sim/fiber.h"
#include "sim/module.h"
#include "sim/report.h"
#include "support/diagnostics.h"
#include "support/knobs.h"

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <thread>

namespace tilescale::sim {
namespace {

struct Item {
  enum class Kind { kLaunch, kRecord, kWait, kFree } kind = Kind::kLaunch;
  LaunchInfo launch;
  Knowledge host;  // what any host thread had synchronised with at enqueue
  u64 event = 0;
  void* address = nullptr;
};

const std::string& Arch(const LaunchInfo& l) {
  return l.arch.empty() ? core.config.arch : l.arch;
}

struct Stream {
  std::deque<Item> queue;
  Knowledge known;    // all its work so far
  bool busy = false;  // a launch of it runs
  bool used = false;  // work that no host thread has synchronised with
  bool idle() const { return queue.empty() && !busy; }
};

struct Event {
  bool done = false;
  std::chrono::steady_clock::time_point when;
  Knowledge known;
};

// A host tensor copied into the arena.
struct HostRange {
  u8* host = nullptr;
  u64 bytes = 0;
  u32 rank = 0;
  u64 stream = 0;
  Allocation* allocation = nullptr;
};

// Kernels leave most of a tensor alone, and some host memory is read-only: only what differs moves.
void CopyBack(const HostRange& r) {
  constexpr u64 kChunk = 64;
  for (u64 at = 0; at < r.bytes; at += kChunk) {
    u64 n = std::min(kChunk, r.bytes - at);
    const u8* from = r.allocation->base + at;
    if (std::memcmp(r.host + at, from, n)) std::memcpy(r.host + at, from, n);
  }
}

}  // namespace

struct Machine::Impl : WorkSource {
  using Lock = std::unique_lock<std::mutex>;
  using Wanted = std::function<bool()>;

  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::pair<u32, u64>, Stream> streams;
  std::map<u64, Event> events;
  std::vector<HostRange> imports;
  std::map<u32, std::thread::id> hosts;          // who last drove a rank
  std::multiset<std::thread::id> waiting_hosts;  // in Synchronize
  u64 next_event = 1, version = 0, failures = 0;
  u32 next_launch = 1;
  bool running = false;
  bool dirty = true;  // a stream's front may be able to go on
  const Wanted* wanted = nullptr;
  Lock* run_lock = nullptr;
  Knowledge host;
  Report last_failure;

  void Drives(u32 rank) {
    if (rank >= core.config.ranks) {
      throw Diag({}, "ValueError") << "rank " << rank << " is out of range: the machine has "
                                   << core.config.ranks << " ranks";
    }
    hosts[rank] = std::this_thread::get_id();
  }

  // ---- WorkSource
  bool Refill() override {
    if (dirty) {
      dirty = false;
      for (auto& [key, s] : streams) {
        while (!s.busy && !s.queue.empty() && Advance(key.first, s)) {
        }
      }
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
        e.when = std::chrono::steady_clock::now();
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

  void StartLaunch(Stream& s, Item& item) {
    if (core.running.empty() && Rested()) {
      core.rng = core.config.seed * 0x9E3779B97F4A7C15ull | 1;
      core.older_values.clear();
      ForgetCode();
    }
    auto l = std::make_unique<Launch_>();
    l->id = next_launch++;
    l->info = std::move(item.launch);
    PlaceCode(*l->info.module);
    l->entry = l->info.module->Find(l->info.entry);
    l->plan = &l->info.module->Plan(l->info.entry);
    l->code_bias = u64(l->info.module->base()) + 1 - l->info.module->site_base;
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
    auto deadline =
        std::chrono::steady_clock::now() + std::chrono::milliseconds(core.config.host_grace_ms);
    while (version == before && someone_runs()) {
      if (changed.wait_until(*run_lock, deadline) == std::cv_status::timeout) break;
    }
    dirty = true;
    return version != before;
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
    for (auto& [key, e] : events) e.known = Knowledge{};
    next_launch = 1;
    if (core.cta_info.size() > kMaxCtas / 2) {
      ForgetAccesses();
      core.cta_info.resize(1);
      core.base_cta = 1;
    }
  }

  void EndImports(const std::function<bool(const HostRange&)>& over, bool copy) {
    std::erase_if(imports, [&](const HostRange& r) {
      if (!over(r)) return false;
      if (copy) CopyBack(r);
      arena.Free(r.allocation);
      return true;
    });
  }

  void DropAll() {
    for (auto& [key, s] : streams) {
      for (const Item& item : s.queue) {
        if (item.kind == Item::Kind::kFree) FreeNow(item.address);
      }
      s = Stream{};
    }
    for (auto& [key, e] : events) e.done = true;
    EndImports([](const HostRange&) { return true; }, false);
    core.failed = false;
    Rest();
  }

  Report Fulfil(Lock& lock, const Wanted& done) {
    auto me = waiting_hosts.insert(std::this_thread::get_id());
    changed.notify_all();
    u64 seen = failures;
    Report report;
    while (!done()) {
      if (running) {
        changed.wait(lock);
        if (failures == seen) continue;
        report = last_failure;
        break;
      }
      running = true;
      wanted = &done;
      run_lock = &lock;
      dirty = true;
      Run(*this);
      running = false;
      if (core.failed) {
        report = last_failure = std::move(core.report);
        failures++;
        DropAll();
      }
      changed.notify_all();
      if (!report.ok()) break;
      if (!done() && core.resident.empty() && core.running.empty()) {
        report = Stuck();
        break;
      }
    }
    waiting_hosts.erase(me);
    return report;
  }

  // Streams that wait for events which nobody will record.
  Report Stuck() {
    Report r = DeadlockReport("deadlock: streams wait for events that are never recorded");
    last_failure = r;
    failures++;
    DropAll();
    return r;
  }

  void HostLearns(Stream& s) {
    host.Join(s.known);
    s.used = false;
  }
  void RestIfQuiet() {
    for (const auto& [key, s] : streams) {
      if (!s.idle() || s.used) return;
    }
    if (core.resident.empty()) Rest();
  }
};

namespace {

void CheckConfig(const Config& config) {
  LimitsOf(config.arch);
  if (config.ranks < 1 || config.ranks > kMaxRanks) {
    throw Diag({}, "ValueError") << "the simulator has 1 to " << kMaxRanks << " ranks, got "
                                 << config.ranks;
  }
}

}  // namespace

Config ConfigFromEnvironment(Config c) {
  c.seed = u64(knobs::SimSeed());
  c.races = knobs::SimRaces();
  c.slots = u32(knobs::SimSlots());
  c.hang_ms = u32(knobs::SimHangMs());
  c.strict_proxy = knobs::SimStrictProxy();
  c.shadow_budget = u64(knobs::SimShadowMb()) << 20;
  return c;
}

Machine::Machine() : impl_(std::make_unique<Impl>()) {
  arena.Reserve(core.config.seed);
}

Machine& Machine::Get() {
  static auto* machine = new Machine;  // never destroyed: host threads may still be in it at exit
  return *machine;
}

void Machine::Configure(const Config& config) {
  Impl::Lock lock(impl_->mutex);
  if (impl_->running) throw Diag({}, "RuntimeError") << "the simulator is running kernels";
  impl_->DropAll();
  impl_->hosts.clear();
  CheckConfig(config);
  core.config = config;
  arena.ReleaseAll();
  arena.Reserve(config.seed);
}

bool Machine::Reconfigure(const Config& config) {
  Impl::Lock lock(impl_->mutex);
  if (impl_->running || !impl_->AllIdle()) return false;
  CheckConfig(config);
  core.config = config;
  return true;
}

const Config& Machine::config() const {
  return core.config;
}

void Machine::SetSeed(u64 seed) {
  core.config.seed = seed;
}

void* Machine::Allocate(u32 rank, u64 bytes, const AllocInfo& info) {
  Impl::Lock lock(impl_->mutex);
  impl_->Drives(rank);
  return arena.Allocate(rank, bytes, info)->base;
}

void* Machine::AllocateSymmetric(u64 bytes, const AllocInfo& info) {
  Impl::Lock lock(impl_->mutex);
  return arena.AllocateSymmetric(core.config.ranks, bytes, info)->base;
}

void* Machine::Peer(const void* p, u32 from, u32 to) const {
  return arena.HeapOf(to) + (static_cast<const u8*>(p) - arena.HeapOf(from));
}

void Machine::Free(void* p) {
  Impl::Lock lock(impl_->mutex);
  Impl::FreeNow(p);
}

void Machine::FreeAsync(u32 rank, u64 stream, void* p) {
  Impl::Lock lock(impl_->mutex);
  auto it = impl_->streams.find({rank, stream});
  if (it == impl_->streams.end() || it->second.idle()) return Impl::FreeNow(p);
  Item item;
  item.kind = Item::Kind::kFree;
  item.address = p;
  it->second.queue.push_back(std::move(item));
}

bool Machine::Owns(const void* p) const {
  return arena.Contains(p);
}

u64 Machine::BytesFrom(const void* p) const {
  const Allocation* a = arena.At(p);
  return a ? a->bytes - u64(static_cast<const u8*>(p) - a->base) : 0;
}

void Machine::SetName(void* p, const std::string& name, const std::string& type,
                      u32 element_bytes) {
  Impl::Lock lock(impl_->mutex);
  Allocation* a = arena.At(p);
  if (!a) return;
  a->name = name;
  a->type = type;
  a->element_bytes = std::max<u32>(element_bytes, 1);
}

void Machine::MarkInitialized(void* p, u64 bytes) {
  Impl::Lock lock(impl_->mutex);
  if (arena.At(p)) arena.MarkWritten(static_cast<u8*>(p), bytes);
}

void* Machine::Import(u32 rank, u64 stream, void* host, u64 bytes, const AllocInfo& info) {
  {
    Impl::Lock lock(impl_->mutex);
    impl_->Drives(rank);
    bool overlaps = false;
    auto* first = static_cast<u8*>(host);
    for (const HostRange& r : impl_->imports) {
      if (first >= r.host + r.bytes || r.host >= first + bytes) continue;
      bool inside = first >= r.host && first + bytes <= r.host + r.bytes;
      if (inside && r.rank == rank && r.stream == stream)
        return r.allocation->base + (first - r.host);
      overlaps = true;
    }
    if (!overlaps) {
      AllocInfo with = info;
      with.initialized = true;
      Allocation* a = arena.Allocate(rank, bytes, with);
      std::memcpy(a->base, host, bytes);
      if (!info.initialized) arena.Poison(a->base, bytes);
      impl_->imports.push_back({first, bytes, rank, stream, a});
      return a->base;
    }
  }
  // Another launch in flight has a part of it: let that end first.
  Report r = Synchronize();
  if (!r.ok()) throw Diag({}, "RuntimeError") << r.text;
  return Import(rank, stream, host, bytes, info);
}

std::shared_ptr<Module> Machine::Load(std::string_view binary) {
  return std::shared_ptr<Module>(LoadBytes(binary));
}

void Machine::Launch(LaunchInfo launch) {
  Impl::Lock lock(impl_->mutex);
  impl_->Drives(launch.rank);
  u64 threads = launch.block.Count();
  if (threads < 1 || threads > 1024) {
    throw Diag({}, "RuntimeError")
        << launch.entry << ": a block has 1 to 1024 threads, got " << threads;
  }
  const Dim3 &g = launch.grid, &c = launch.cluster;
  if (!c.Count() || g.x % c.x || g.y % c.y || g.z % c.z) {
    throw Diag({}, "RuntimeError")
        << launch.entry << ": the grid must be a multiple of the cluster";
  }
  launch.module->Find(launch.entry);
  if (!g.Count()) return;
  Item item;
  item.host = impl_->host;
  Stream& s = impl_->streams[{launch.rank, launch.stream}];
  item.launch = std::move(launch);
  s.queue.push_back(std::move(item));
  impl_->version++;
  impl_->changed.notify_all();
}

u64 Machine::RecordEvent(u32 rank, u64 stream) {
  Impl::Lock lock(impl_->mutex);
  impl_->Drives(rank);
  u64 id = impl_->next_event++;
  impl_->events[id];
  Item item;
  item.kind = Item::Kind::kRecord;
  item.event = id;
  impl_->streams[{rank, stream}].queue.push_back(std::move(item));
  impl_->version++;
  impl_->changed.notify_all();
  return id;
}

void Machine::WaitEvent(u32 rank, u64 stream, u64 event) {
  Impl::Lock lock(impl_->mutex);
  impl_->Drives(rank);
  Item item;
  item.kind = Item::Kind::kWait;
  item.event = event;
  impl_->streams[{rank, stream}].queue.push_back(std::move(item));
}

Report Machine::Synchronize() {
  Impl::Lock lock(impl_->mutex);
  for (u32 r = 0; r < core.config.ranks; ++r) impl_->hosts.erase(r);  // this thread drives them all
  Report report = impl_->Fulfil(lock, [this] { return impl_->AllIdle(); });
  if (!report.ok()) return report;
  for (auto& [key, s] : impl_->streams) impl_->HostLearns(s);
  impl_->EndImports([](const HostRange&) { return true; }, true);
  impl_->RestIfQuiet();
  return report;
}

Report Machine::Synchronize(u32 rank, u64 stream) {
  Impl::Lock lock(impl_->mutex);
  impl_->Drives(rank);
  auto key = std::make_pair(rank, stream);
  Report report = impl_->Fulfil(lock, [this, key] {
    auto it = impl_->streams.find(key);
    return it == impl_->streams.end() || it->second.idle();
  });
  if (!report.ok()) return report;
  auto it = impl_->streams.find(key);
  if (it != impl_->streams.end()) impl_->HostLearns(it->second);
  impl_->EndImports([&](const HostRange& r) { return r.rank == rank && r.stream == stream; }, true);
  impl_->RestIfQuiet();
  return report;
}

Report Machine::SynchronizeEvent(u64 event) {
  Impl::Lock lock(impl_->mutex);
  Report report = impl_->Fulfil(lock, [this, event] {
    auto it = impl_->events.find(event);
    return it == impl_->events.end() || it->second.done;
  });
  if (!report.ok()) return report;
  auto it = impl_->events.find(event);
  if (it != impl_->events.end()) impl_->host.Join(it->second.known);
  return report;
}

double Machine::EventSeconds(u64 event) const {
  Impl::Lock lock(impl_->mutex);
  auto it = impl_->events.find(event);
  return it == impl_->events.end()
             ? 0
             : std::chrono::duration<double>(it->second.when.time_since_epoch()).count();
}

void Machine::DropEvent(u64 event) {
  Impl::Lock lock(impl_->mutex);
  impl_->events.erase(event);
}

Statistics Machine::TakeStatistics() {
  Statistics s{core.accesses, core.switches, core.launches, core.ctas, core.sampled};
  core.accesses = core.switches = core.launches = core.ctas = 0;
  core.sampled = false;
  return s;
}

std::vector<OlderValue> Machine::TakeOlderValues() {
  auto values = std::move(core.older_values);
  core.older_values.clear();
  for (OlderValue& v : values) {
    Line line = LineOf(u32(v.line));
    v.file = line.file;
    v.line = line.line;
  }
  return values;
}

}  // namespace tilescale::sim
