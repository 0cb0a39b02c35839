// SPDX-License-Identifier: MIT
// The transport of simulated ranks: symmetric memory of the machine.
#include "runtime/symm/heap.h"

#include "runtime/artifact.h"
#include "sim/machine.h"
#include "sim/world.h"
#include "support/diagnostics.h"

#include <algorithm>
#include <cstring>
#include <map>

namespace tilescale::sim {
namespace {

class SimHeap : public runtime::SymmetricHeap {
 public:
  explicit SimHeap(int ranks) : SymmetricHeap(ranks) { OpenWorld(u32(ranks)); }
  ~SimHeap() override {
    for (const auto& [base, bytes] : blocks_) Machine::Get().Free(base);
  }

  const char* transport() const override { return "sim"; }
  std::shared_ptr<runtime::Device> device(int rank) const override {
    return runtime::GetDevice("sim", "", rank);
  }
  runtime::Stream stream(int) const override { return nullptr; }

  void* Peer(const void* address, int from, int to) const override {
    return Machine::Get().Peer(address, u32(from), u32(to));
  }
  int RankOf(const void* address) const override {
    const auto* at = static_cast<const char*>(address);
    for (const auto& [base, bytes] : blocks_) {
      for (int r = 0; r < ranks(); ++r) {
        const auto* begin = static_cast<const char*>(Peer(base, 0, r));
        if (at >= begin && at < begin + bytes) return r;
      }
    }
    return -1;
  }
  // The machine keeps its own.
  runtime::HeapTable Table(int rank) const override {
    runtime::HeapTable table;
    table.rank = rank;
    table.num_ranks = ranks();
    return table;
  }

 protected:
  void* Make(const runtime::HeapBlock& block) override {
    Machine& m = Machine::Get();
    const u32 element = std::max<u32>(u32(block.dtype.bits) * u32(block.dtype.lanes) / 8, 1);
    void* base = m.AllocateSymmetric(u64(block.bytes), {.name = block.name,
                                                        .element_bytes = element,
                                                        .type = runtime::DTypeName(block.dtype),
                                                        .initialized = true});
    for (int r = 0; r < ranks(); ++r) std::memset(Peer(base, 0, r), 0, size_t(block.bytes));
    blocks_[base] = block.bytes;
    return base;
  }
  void Release(void* address) override {
    blocks_.erase(address);
    Machine::Get().Free(address);
  }
  void OnClose() override { CloseWorld(); }

 private:
  std::map<void*, int64_t> blocks_;  // by rank 0's address
};

[[maybe_unused]] const bool registered = [] {
  runtime::RegisterTransport("sim", [](int ranks) -> std::shared_ptr<runtime::SymmetricHeap> {
    if (WorldIsOpen()) {
      throw Diag({}, "RuntimeError") << "a simulated world is open already"
                                     << Help("close it first: the machine has one at a time");
    }
    return std::make_shared<SimHeap>(ranks);
  });
  return true;
}();

}  // namespace
}  // namespace tilescale::sim
