// SPDX-License-Identifier: MIT
#include "sim/remote.h"

#include "runtime/device.h"
#include "sim/host_ranges.h"
#include "sim/memory.h"
#include "sim/world.h"
#include "support/build_info.h"
#include "support/diagnostics.h"

#include <mutex>
#include <set>
#include <unistd.h>

namespace tilescale::sim {
namespace {

constexpr int64_t kConnectMs = 30000;

// The connection of this process to its server.
struct Session {
  std::mutex mutex;
  Connection connection;
  pid_t owner = 0;
  int rank = -1;
  bool left = false;
};

Session& TheSession() {
  static auto* session = new Session;  // never destroyed: tensors are freed at exit
  return *session;
}

class RemoteModule : public KernelModule {
 public:
  explicit RemoteModule(u64 id) : id_(id) {}
  ~RemoteModule() override { AskQuietly(Packer().Put(Request::kUnload).Put(id_)); }
  void Require(const std::string& kernel) const override {
    Ask(Packer().Put(Request::kRequire).Put(id_).Put(kernel));
  }
  u64 id() const { return id_; }

 private:
  u64 id_;
};

class RemoteMachine : public Machine {
 public:
  RemoteMachine(Config config, u8* base, u64 bytes, u64 heap_start, u64 heap_stride)
      : config_(std::move(config)),
        base_(base),
        bytes_(bytes),
        heap_start_(heap_start),
        heap_stride_(heap_stride) {}

  void Configure(const Config&) override { NotHere("Configure"); }
  // The server reads the knobs when the first rank joins.
  bool Reconfigure(const Config&) override { return true; }
  const Config& config() const override { return config_; }
  void SetSeed(u64) override { NotHere("SetSeed"); }

  void* Allocate(u32 rank, u64 bytes, const AllocInfo& info) override {
    Packer ask;
    ask.Put(Request::kAllocate).Put(rank).Put(bytes);
    PutInfo(&ask, info);
    return Address(Ask(ask));
  }
  void* AllocateSymmetric(u64, const AllocInfo&) override { NotHere("AllocateSymmetric"); }
  void* Peer(const void* p, u32 from, u32 to) const override {
    return const_cast<u8*>(static_cast<const u8*>(p)) + (i64(to) - i64(from)) * i64(heap_stride_);
  }
  void* HeapOf(u32 rank) const override { return base_ + heap_start_ + rank * heap_stride_; }
  void Free(void* p) override { AskQuietly(Packer().Put(Request::kFree).Put(u64(p))); }
  void FreeAsync(u32 rank, u64 stream, void* p) override {
    AskQuietly(Packer().Put(Request::kFreeAsync).Put(rank).Put(stream).Put(u64(p)));
  }
  bool Owns(const void* p) const override {
    return u64(static_cast<const u8*>(p) - base_) < bytes_;
  }
  u64 BytesFrom(const void* p) const override {
    return Ask(Packer().Put(Request::kBytesFrom).Put(u64(p))).Get<u64>();
  }
  void SetName(void* p, const std::string& name, const std::string& type,
               u32 element_bytes) override {
    Ask(Packer().Put(Request::kSetName).Put(u64(p)).Put(name).Put(type).Put(element_bytes));
  }
  void MarkInitialized(void* p, u64 bytes) override {
    Ask(Packer().Put(Request::kMarkInitialized).Put(u64(p)).Put(bytes));
  }
  void* Import(u32 rank, u64 stream, void* host, u64 bytes, const AllocInfo& info) override {
    HostRanges::Range range{static_cast<u8*>(host), bytes, rank, stream, nullptr};
    {
      const std::lock_guard lock(mutex_);
      bool overlaps = false;
      if (u8* copy = imports_.Find(range, &overlaps)) return copy;
      if (!overlaps) {
        range.copy = static_cast<u8*>(Allocate(rank, bytes, info));
        if (info.initialized) std::memcpy(range.copy, host, bytes);
        imports_.Add(range);
        return range.copy;
      }
    }
    // Another launch in flight has a part of it: let that end first.
    const Report r = SynchronizeRank(rank);
    if (!r.ok()) throw Diag({}, r.kind) << r.text;
    return Import(rank, stream, host, bytes, info);
  }
  std::shared_ptr<KernelModule> Load(std::string_view binary) override {
    return std::make_shared<RemoteModule>(Ask(Packer().Put(Request::kLoad).Put(binary)).Get<u64>());
  }

  void Launch(LaunchInfo l) override {
    Packer ask;
    ask.Put(Request::kLaunch).Put(l.rank).Put(l.stream);
    ask.Put(static_cast<const RemoteModule&>(*l.module).id()).Put(l.entry).Put(l.name).Put(l.arch);
    ask.Put(l.grid).Put(l.block).Put(l.cluster).Put(l.shared_bytes).Put(l.gang);
    ask.Put(u64{l.args.size()});
    for (const auto& a : l.args) {
      ask.Put(std::string_view(reinterpret_cast<const char*>(a.data()), a.size()));
    }
    Ask(ask);
    if (!l.gang) return;
    const std::lock_guard lock(mutex_);
    busy_.insert(l.stream);
  }
  u64 RecordEvent(u32 rank, u64 stream) override {
    return Ask(Packer().Put(Request::kRecordEvent).Put(rank).Put(stream)).Get<u64>();
  }
  void WaitEvent(u32 rank, u64 stream, u64 event) override {
    Ask(Packer().Put(Request::kWaitEvent).Put(rank).Put(stream).Put(event));
  }
  double EventSeconds(u64 event) const override {
    return Ask(Packer().Put(Request::kEventSeconds).Put(event)).Get<double>();
  }
  void DropEvent(u64 event) override { AskQuietly(Packer().Put(Request::kDropEvent).Put(event)); }

  Report Synchronize() override { return SynchronizeRank(u32(JoinedRank())); }
  Report SynchronizeRank(u32 rank) override {
    return Ended(Ask(Packer().Put(Request::kSynchronizeRank).Put(rank)), [](u64) { return true; });
  }
  Report Synchronize(u32 rank, u64 stream) override {
    return Ended(Ask(Packer().Put(Request::kSynchronizeStream).Put(rank).Put(stream)),
                 [stream](u64 s) { return s == stream; });
  }
  Report SynchronizeEvent(u64 event) override {
    Unpacker answer = Ask(Packer().Put(Request::kSynchronizeEvent).Put(event));
    return GetReport(&answer);
  }

  Statistics TakeStatistics() override {
    return Ask(Packer().Put(Request::kStatistics)).Get<Statistics>();
  }
  std::vector<OlderValue> TakeOlderValues() override {
    Unpacker answer = Ask(Packer().Put(Request::kOlderValues));
    std::vector<OlderValue> values(answer.Get<u64>());
    for (OlderValue& v : values) {
      v.place = answer.Get<std::string>();
      v.file = answer.Get<std::string>();
      v.line = answer.Get<int>();
      v.got = answer.Get<u64>();
      v.newest = answer.Get<u64>();
      v.rank = answer.Get<u32>();
    }
    return values;
  }

  void Settle(u32 rank, u64 stream) {
    {
      const std::lock_guard lock(mutex_);
      if (!busy_.count(stream)) return;
    }
    RaiseIfFound(Synchronize(rank, stream));
  }

 private:
  using i64 = int64_t;

  [[noreturn]] static void NotHere(const char* what) {
    throw Diag({}, "RuntimeError") << what << ": the machine belongs to another process"
                                   << Help("set TILESCALE_SIM_* before the program starts");
  }
  static void* Address(Unpacker answer) { return reinterpret_cast<void*>(answer.Get<u64>()); }

  // `asked(stream)`: its work is over. After a report that holds for all streams.
  template <class Asked>
  Report Ended(Unpacker answer, const Asked& asked) {
    Report report = GetReport(&answer);
    const std::lock_guard lock(mutex_);
    const bool ok = report.ok();
    imports_.End([&](const HostRanges::Range& r) { return !ok || asked(r.stream); }, ok,
                 [this](u8* p) { Free(p); });
    std::erase_if(busy_, [&](u64 stream) { return !ok || asked(stream); });
    return report;
  }

  Config config_;
  u8* base_;
  u64 bytes_, heap_start_, heap_stride_;
  std::mutex mutex_;
  HostRanges imports_;
  std::set<u64> busy_;  // streams with launches that wait for other ranks
};

}  // namespace

Unpacker Ask(const Packer& request) {
  Session& session = TheSession();
  if (session.owner != getpid()) {
    throw Diag({}, "RuntimeError") << "a process that was forked cannot use the rank of its parent"
                                   << Help("start ranks with the method 'spawn'");
  }
  const std::lock_guard lock(session.mutex);
  std::string bytes;
  if (session.left || !session.connection.Send(request.bytes()) ||
      !session.connection.Receive(&bytes)) {
    throw Diag({}, "RuntimeError")
        << (session.left ? "this rank has left the simulated machine"
                         : "the process of the simulated machine has ended");
  }
  Unpacker answer(std::move(bytes));
  if (answer.Get<bool>()) return answer;
  std::string type = answer.Get<std::string>();
  throw Diag({}, std::move(type)) << answer.Get<std::string>();
}

void AskQuietly(const Packer& request) {
  try {
    if (!TheSession().left) Ask(request);
  } catch (const std::exception&) {  // at exit, or behind the end of the server
  }
}

int JoinedRank() {
  return TheSession().rank;
}

void SettleStream(u64 stream) {
  const int rank = JoinedRank();
  if (rank >= 0) static_cast<RemoteMachine&>(Machine::Get()).Settle(u32(rank), stream);
}

void Leave() {
  Session& session = TheSession();
  if (session.rank < 0 || session.owner != getpid() || session.left) return;
  AskQuietly(Packer().Put(Request::kLeave));
  session.left = true;
}

void Join(const JoinInfo& info) {
  Session& session = TheSession();
  if (session.rank >= 0 && session.owner == getpid()) {
    throw Diag({}, "RuntimeError")
        << "this process is rank " << session.rank << " of the simulated machine already";
  }
  session.connection = Connect(info.address, kConnectMs);
  session.owner = getpid();
  session.left = false;
  Unpacker answer = Ask(Packer()
                            .Put(Request::kJoin)
                            .Put(BuildId())
                            .Put(info.rank)
                            .Put(info.ranks)
                            .Put(info.program)
                            .Put(getpid()));
  Config config;
  config.ranks = info.ranks;
  config.arch = answer.Get<std::string>();
  config.seed = answer.Get<u64>();
  auto* base = reinterpret_cast<u8*>(answer.Get<u64>());
  const u64 bytes = answer.Get<u64>();
  const u64 heap_start = answer.Get<u64>();
  const u64 heap_stride = answer.Get<u64>();
  const int file = session.connection.ReceiveDescriptor();
  if (file < 0) throw Diag({}, "BootstrapError") << "the simulated machine sent no memory";
  try {
    MapSharedArena(file, base, bytes);
  } catch (...) {
    close(file);
    throw;
  }
  close(file);  // the mapping keeps it
  session.rank = int(info.rank);
  runtime::SetProcessRank(session.rank);
  Machine::Use(std::make_unique<RemoteMachine>(config, base, bytes, heap_start, heap_stride));
}

void PutReport(Packer* to, const Report& r) {
  to->Put(r.kind).Put(r.text).Put(r.kernel).Put(r.arch).Put(r.ranks).Put(r.seed).Put(r.buffer);
  to->Put(r.space).Put(r.index).Put(r.owner_rank).Put(r.reason).Put(u64{r.accesses.size()});
  for (const AccessInfo& a : r.accesses) {
    to->Put(a.kind).Put(a.scope).Put(a.agent).Put(a.rank).Put(a.cta).Put(a.warp).Put(a.lane);
    to->Put(a.file).Put(a.line);
  }
}

Report GetReport(Unpacker* from) {
  Report r;
  r.kind = from->Get<std::string>();
  r.text = from->Get<std::string>();
  r.kernel = from->Get<std::string>();
  r.arch = from->Get<std::string>();
  r.ranks = from->Get<u32>();
  r.seed = from->Get<u64>();
  r.buffer = from->Get<std::string>();
  r.space = from->Get<std::string>();
  r.index = from->Get<long>();
  r.owner_rank = from->Get<int>();
  r.reason = from->Get<std::string>();
  r.accesses.resize(from->Get<u64>());
  for (AccessInfo& a : r.accesses) {
    a.kind = from->Get<std::string>();
    a.scope = from->Get<std::string>();
    a.agent = from->Get<std::string>();
    a.rank = from->Get<u32>();
    a.cta = from->Get<Dim3>();
    a.warp = from->Get<int>();
    a.lane = from->Get<int>();
    a.file = from->Get<std::string>();
    a.line = from->Get<int>();
  }
  return r;
}

void PutInfo(Packer* to, const AllocInfo& info) {
  to->Put(info.name).Put(info.element_bytes).Put(info.type).Put(info.initialized);
}

AllocInfo GetInfo(Unpacker* from) {
  AllocInfo info;
  info.name = from->Get<std::string>();
  info.element_bytes = from->Get<u32>();
  info.type = from->Get<std::string>();
  info.initialized = from->Get<bool>();
  return info;
}

}  // namespace tilescale::sim
