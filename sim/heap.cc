// SPDX-License-Identifier: MIT
// The transport of simulated ranks: symmetric memory of the machine.
#include "runtime/symm/heap.h"

#include "runtime/artifact.h"
#include "sim/machine.h"
#include "sim/remote.h"
#include "sim/world.h"
#include "support/diagnostics.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <vector>

namespace tilescale::sim {
namespace {

// Sizes of living blocks by rank 0's address. Launches look addresses up while others allocate.
class Blocks {
 public:
  void Add(void* base, int64_t bytes) {
    const std::unique_lock lock(mutex_);
    sizes_[base] = bytes;
  }
  void Remove(void* base) {
    const std::unique_lock lock(mutex_);
    sizes_.erase(base);
  }
  int RankOf(const void* address, const runtime::SymmetricHeap& heap) const {
    const std::shared_lock lock(mutex_);
    for (int r = 0; r < heap.ranks(); ++r) {
      const void* at = heap.Peer(address, r, 0);
      const auto above = sizes_.upper_bound(const_cast<void*>(at));
      if (above == sizes_.begin()) continue;
      const auto& [base, bytes] = *std::prev(above);
      if (static_cast<const char*>(at) < static_cast<const char*>(base) + bytes) return r;
    }
    return -1;
  }
  std::vector<void*> All() const {
    const std::shared_lock lock(mutex_);
    std::vector<void*> all;
    for (const auto& [base, bytes] : sizes_) all.push_back(base);
    return all;
  }

 private:
  mutable std::shared_mutex mutex_;
  std::map<void*, int64_t> sizes_;
};

runtime::HeapTable TableOf(int rank, int ranks) {
  runtime::HeapTable table;
  table.rank = rank;
  table.num_ranks = ranks;
  for (int r = 0; r < ranks; ++r) table.base[r] = u64(Machine::Get().HeapOf(u32(r)));
  return table;
}

class SimHeap : public runtime::SymmetricHeap {
 public:
  explicit SimHeap(const runtime::HeapRequest& request) : SymmetricHeap(request) {
    OpenWorld(u32(request.ranks));
  }
  ~SimHeap() override {
    for (void* base : blocks_.All()) Machine::Get().Free(base);
  }

  const char* transport() const override { return "sim"; }
  std::shared_ptr<runtime::Device> device(int rank) const override {
    return runtime::GetDevice("sim", "", rank);
  }
  runtime::Stream stream(int) const override { return nullptr; }

  void* Peer(const void* address, int from, int to) const override {
    return Machine::Get().Peer(address, u32(from), u32(to));
  }
  int RankOf(const void* address) const override { return blocks_.RankOf(address, *this); }
  runtime::HeapTable Table(int rank) const override { return TableOf(rank, ranks()); }

 protected:
  void* Make(const runtime::HeapBlock& block) override {
    Machine& m = Machine::Get();
    const u32 element = std::max<u32>(u32(block.dtype.bits) * u32(block.dtype.lanes) / 8, 1);
    void* base = m.AllocateSymmetric(u64(block.bytes), {.name = block.name,
                                                        .element_bytes = element,
                                                        .type = runtime::DTypeName(block.dtype),
                                                        .initialized = true});
    for (int r = 0; r < ranks(); ++r) std::memset(Peer(base, 0, r), 0, size_t(block.bytes));
    blocks_.Add(base, block.bytes);
    return base;
  }
  void Release(void* address) override {
    blocks_.Remove(address);
    Machine::Get().Free(address);
  }
  void OnClose() override { CloseWorld(); }
  bool HasGuards() const override { return false; }

 private:
  Blocks blocks_;
};

// The heap of one rank whose machine is another process's: that process has a SimHeap for all.
class RemoteHeap : public runtime::SymmetricHeap {
 public:
  explicit RemoteHeap(const runtime::HeapRequest& request)
      : SymmetricHeap(request),
        opened_(Ask(Packer().Put(Request::kOpenHeap).Put(u64(request.limit)))),
        index_(opened_.Get<u64>()) {}

  const char* transport() const override { return "sim"; }
  std::shared_ptr<runtime::Device> device(int rank) const override {
    return runtime::GetDevice("sim", "", rank);
  }
  runtime::Stream stream(int) const override { return nullptr; }

  void* Peer(const void* address, int from, int to) const override {
    return Machine::Get().Peer(address, u32(from), u32(to));
  }
  int RankOf(const void* address) const override { return blocks_.RankOf(address, *this); }
  runtime::HeapTable Table(int rank) const override { return TableOf(rank, ranks()); }

 protected:
  void* Make(const runtime::HeapBlock& block) override {
    Packer ask;
    ask.Put(Request::kHeapAllocate).Put(index_).Put(block.name).Put(block.bytes).Put(block.dtype);
    void* mine = reinterpret_cast<void*>(Ask(ask).Get<u64>());
    void* base = Peer(mine, own(), 0);
    blocks_.Add(base, block.bytes);
    return base;
  }
  void Release(void* address) override {
    blocks_.Remove(address);
    AskQuietly(Packer().Put(Request::kHeapFree).Put(index_).Put(u64(Peer(address, 0, own()))));
  }
  // Those of the machine's heap.
  void* MakeBarrierWords() override {
    void* base = Peer(reinterpret_cast<void*>(opened_.Get<u64>()), own(), 0);
    blocks_.Add(base, runtime::kBarrierWords.bytes);
    return base;
  }
  void OnClose() override { Ask(Packer().Put(Request::kCloseHeap).Put(index_)); }
  bool HasGuards() const override { return false; }

 private:
  Unpacker opened_;  // the answer: the index, this rank's words
  u64 index_;        // in order of opening
  Blocks blocks_;
};

[[maybe_unused]] const bool kRegistered = [] {
  runtime::RegisterTransport(
      "sim", [](const runtime::HeapRequest& request) -> std::shared_ptr<runtime::SymmetricHeap> {
        if (JoinedRank() < 0) return std::make_shared<SimHeap>(request);
        if (request.own == JoinedRank() && u32(request.ranks) == Machine::Get().config().ranks) {
          return std::make_shared<RemoteHeap>(request);
        }
        throw Diag({}, "ValueError")
            << "a heap of rank " << request.own << " of " << request.ranks
            << " cannot be: this process is rank " << JoinedRank() << " of "
            << Machine::Get().config().ranks << Help("a heap spans all ranks of the program");
      });
  return true;
}();

}  // namespace
}  // namespace tilescale::sim
