// SPDX-License-Identifier: MIT
#include "sim/machine_impl.h"
#include "sim/world.h"
#include "support/diagnostics.h"
#include "support/knobs.h"

#include <cstring>

namespace tilescale::sim {
namespace {

void CheckConfig(const Config& config) {
  LimitsOf(config.arch);
  if (config.ranks < 1 || config.ranks > kMaxRanks) {
    throw Diag({}, "ValueError") << "the simulator holds worlds of 1 to " << kMaxRanks
                                 << " ranks, GPUs larger ones; got " << config.ranks;
  }
}

}  // namespace

Config ConfigFromEnvironment(Config c) {
  c.seed = u64(knobs::SimSeed());
  c.races = knobs::SimRaces();
  c.slots = u32(knobs::SimSlots());
  c.hang_ms = u32(knobs::SimHangMs());
  c.strict_proxy = knobs::SimStrictProxy();
  c.strict_stores = knobs::SimStrictStores();
  c.peer_access = knobs::SimPeerAccess();
  c.shadow_budget = u64(knobs::SimShadowMb()) << 20;
  return c;
}

namespace {

std::atomic<Machine*> joined = nullptr;

}  // namespace

Machine& Machine::Get() {
  Machine* other = joined.load(std::memory_order_acquire);
  return other ? *other : Local();
}

Machine& Machine::Local() {
  // Never destroyed: host threads may still be in it at exit.
  static auto* machine = new LocalMachine;
  return *machine;
}

void Machine::Use(std::unique_ptr<Machine> machine) {
  joined.store(machine.release(), std::memory_order_release);
}

LocalMachine::LocalMachine() : impl_(std::make_unique<Impl>()) {
  arena.Reserve(core.config.seed);
}

LocalMachine::~LocalMachine() = default;

void LocalMachine::Configure(const Config& config) {
  auto lock = impl_->Enter();
  if (impl_->running) throw Diag({}, "RuntimeError") << "the simulator is running kernels";
  impl_->DropAll();
  impl_->hosts.clear();
  impl_->owed.clear();
  impl_->death.clear();
  CheckConfig(config);
  core.config = config;
  arena.ReleaseAll();
  arena.Reserve(config.seed);
}

bool LocalMachine::Reconfigure(const Config& config) {
  auto lock = impl_->Enter();
  if (impl_->running || !impl_->AllIdle()) return false;
  CheckConfig(config);
  core.config = config;
  return true;
}

const Config& LocalMachine::config() const {
  return core.config;
}

void LocalMachine::SetSeed(u64 seed) {
  core.config.seed = seed;
}

void* LocalMachine::Allocate(u32 rank, u64 bytes, const AllocInfo& info) {
  auto lock = impl_->Enter();
  impl_->Drives(rank);
  return arena.Allocate(rank, bytes, info)->base;
}

void* LocalMachine::AllocateSymmetric(u64 bytes, const AllocInfo& info) {
  auto lock = impl_->Enter();
  return arena.AllocateSymmetric(core.config.ranks, bytes, info)->base;
}

void* LocalMachine::Peer(const void* p, u32 from, u32 to) const {
  return arena.HeapOf(to) + (static_cast<const u8*>(p) - arena.HeapOf(from));
}

void* LocalMachine::HeapOf(u32 rank) const {
  return arena.HeapOf(rank);
}

void LocalMachine::Free(void* p) {
  auto lock = impl_->Enter();
  Leaving l{p, {}};
  for (const auto& [key, s] : impl_->streams) {
    if (!s.idle()) l.after[key] = s.queued;
  }
  if (l.after.empty()) return Impl::FreeNow(p);
  impl_->leaving.push_back(std::move(l));
}

void LocalMachine::FreeAsync(u32 rank, u64 stream, void* p) {
  auto lock = impl_->Enter();
  auto it = impl_->streams.find({rank, stream});
  if (it == impl_->streams.end() || it->second.idle()) return Impl::FreeNow(p);
  Item item;
  item.kind = Item::Kind::kFree;
  item.address = p;
  it->second.Push(std::move(item));
}

bool LocalMachine::Owns(const void* p) const {
  return arena.Contains(p);
}

u64 LocalMachine::BytesFrom(const void* p) const {
  const Allocation* a = arena.At(p);
  return a ? a->bytes - u64(static_cast<const u8*>(p) - a->base) : 0;
}

void LocalMachine::SetName(void* p, const std::string& name, const std::string& type,
                           u32 element_bytes) {
  auto lock = impl_->Enter();
  Allocation* a = arena.At(p);
  if (!a) return;
  a->name = name;
  a->type = type;
  a->element_bytes = std::max<u32>(element_bytes, 1);
}

void LocalMachine::MarkInitialized(void* p, u64 bytes) {
  auto lock = impl_->Enter();
  if (arena.At(p)) arena.MarkWritten(static_cast<u8*>(p), bytes);
}

void* LocalMachine::Import(u32 rank, u64 stream, void* host, u64 bytes, const AllocInfo& info) {
  {
    auto lock = impl_->Enter();
    impl_->Drives(rank);
    HostRanges::Range range{static_cast<u8*>(host), bytes, rank, stream, nullptr};
    bool overlaps = false;
    if (u8* copy = impl_->imports.Find(range, &overlaps)) return copy;
    if (!overlaps) {
      AllocInfo with = info;
      with.initialized = true;
      range.copy = arena.Allocate(rank, bytes, with)->base;
      std::memcpy(range.copy, host, bytes);
      if (!info.initialized) arena.Poison(range.copy, bytes);
      impl_->imports.Add(range);
      return range.copy;
    }
  }
  // Another launch in flight has a part of it: let that end first.
  Report r = Synchronize();
  RaiseIfFound(r);
  return Import(rank, stream, host, bytes, info);
}

std::shared_ptr<KernelModule> LocalMachine::Load(std::string_view binary) {
  return LoadBytes(binary);
}

void LocalMachine::Launch(LaunchInfo launch) {
  auto lock = impl_->Enter();
  impl_->Drives(launch.rank);
  // Of any architecture; of the compiler's rows the simulator sees targets.def alone.
  constexpr u64 kMaxThreads = 1024;
  u64 threads = launch.block.Count();
  if (threads < 1 || threads > kMaxThreads) {
    throw Diag({}, "RuntimeError")
        << launch.entry << ": a block has 1 to " << kMaxThreads << " threads, got " << threads;
  }
  const Dim3 &g = launch.grid, &c = launch.cluster;
  if (!c.Count() || g.x % c.x || g.y % c.y || g.z % c.z) {
    throw Diag({}, "RuntimeError")
        << launch.entry << ": the grid must be a multiple of the cluster";
  }
  launch.module->Require(launch.entry);
  if (!g.Count()) return;
  if (g.Count() >= kMaxCtas) {  // an entry of the shadow has 20 bits for its block; 0 is none
    throw Diag({}, "SimulationError")
        << launch.entry << ": a grid of " << g.Count() << " blocks; the simulator tells at most "
        << kMaxCtas - 1 << " apart"
        << Help("simulate a smaller problem, or let each block do more");
  }
  Item item;
  item.host = impl_->host;
  Stream& s = impl_->streams[{launch.rank, launch.stream}];
  item.launch = std::move(launch);
  s.Push(std::move(item));
  impl_->version++;
  impl_->changed.notify_all();
}

u64 LocalMachine::RecordEvent(u32 rank, u64 stream) {
  auto lock = impl_->Enter();
  impl_->Drives(rank);
  u64 id = impl_->next_event++;
  impl_->events[id];
  Item item;
  item.kind = Item::Kind::kRecord;
  item.event = id;
  impl_->streams[{rank, stream}].Push(std::move(item));
  impl_->version++;
  impl_->changed.notify_all();
  return id;
}

void LocalMachine::WaitEvent(u32 rank, u64 stream, u64 event) {
  auto lock = impl_->Enter();
  impl_->Drives(rank);
  Item item;
  item.kind = Item::Kind::kWait;
  item.event = event;
  impl_->streams[{rank, stream}].Push(std::move(item));
}

Report LocalMachine::Synchronize() {
  auto lock = impl_->Enter();
  // This thread drives them all.
  for (u32 r = 0; r < core.config.ranks; ++r) impl_->hosts.erase(r);
  return impl_->SynchronizeStreams(lock, [](u32, u64) { return true; });
}

Report LocalMachine::SynchronizeRank(u32 rank) {
  auto lock = impl_->Enter();
  impl_->Drives(rank);
  if (auto report = impl_->TakeOwed(rank)) return *report;
  return impl_->SynchronizeStreams(lock, [rank](u32 r, u64) { return r == rank; });
}

Report LocalMachine::Synchronize(u32 rank, u64 stream) {
  auto lock = impl_->Enter();
  impl_->Drives(rank);
  if (auto report = impl_->TakeOwed(rank)) return *report;
  return impl_->SynchronizeStreams(
      lock, [rank, stream](u32 r, u64 s) { return r == rank && s == stream; });
}

Report LocalMachine::SynchronizeEvent(u64 event) {
  auto lock = impl_->Enter();
  Report report = impl_->Fulfil(lock, [this, event] {
    auto it = impl_->events.find(event);
    return it == impl_->events.end() || it->second.done;
  });
  if (!report.ok()) return report;
  auto it = impl_->events.find(event);
  if (it != impl_->events.end()) impl_->host.Join(it->second.known);
  return report;
}

double LocalMachine::EventSeconds(u64 event) const {
  auto lock = impl_->Enter();
  auto it = impl_->events.find(event);
  return it == impl_->events.end()
             ? 0
             : std::chrono::duration<double>(it->second.when.time_since_epoch()).count();
}

void LocalMachine::DropEvent(u64 event) {
  auto lock = impl_->Enter();
  impl_->events.erase(event);
}

Statistics LocalMachine::TakeStatistics() {
  Statistics s{core.accesses, core.switches, core.launches, core.ctas, core.sampled};
  core.accesses = core.switches = core.launches = core.ctas = 0;
  core.sampled = false;
  return s;
}

std::vector<OlderValue> LocalMachine::TakeOlderValues() {
  auto values = std::move(core.older_values);
  core.older_values.clear();
  for (OlderValue& v : values) {
    Line line = LineOf(u32(v.line));
    v.file = line.file;
    v.line = line.line;
  }
  return values;
}

void LocalMachine::Expect(u32 rank) {
  auto lock = impl_->Enter();
  impl_->hosts[rank] = std::thread::id();
}

void LocalMachine::Depart(u32 rank, const std::string& death) {
  auto lock = impl_->Enter();
  impl_->hosts.erase(rank);
  impl_->owed.erase(rank);
  impl_->version++;
  impl_->changed.notify_all();
  if (death.empty() || !impl_->death.empty()) return;
  impl_->death = death;
  if (!impl_->running) return impl_->Broadcast(impl_->DeathReport());
  core.report = impl_->DeathReport();
  core.failed = true;  // who runs the machine sees it between two bursts
}

}  // namespace tilescale::sim
