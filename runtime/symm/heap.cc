// SPDX-License-Identifier: MIT
#include "runtime/symm/heap.h"

#include "support/diagnostics.h"
#include "support/strings.h"

#include <map>
#include <shared_mutex>

namespace tilescale::runtime {
namespace {

struct Registry {
  std::shared_mutex mutex;
  std::map<std::string, HeapFactory, std::less<>> transports;
  std::vector<std::weak_ptr<SymmetricHeap>> heaps;
};

Registry& GetRegistry() {
  static auto* registry = new Registry;
  return *registry;
}

LaunchPlace& Place() {
  thread_local LaunchPlace place;
  return place;
}

std::string Text(const HeapBlock& block) {
  return "`" + block.name + "` of " + std::to_string(block.bytes) + " bytes";
}

}  // namespace

SymmetricHeap::SymmetricHeap(int ranks) : ranks_(ranks) {
  if (ranks < 1 || ranks > kMaxRanks) {
    throw Diag({}, "ValueError") << "a world has 1 to " << kMaxRanks << " ranks, got " << ranks;
  }
  made_.resize(static_cast<size_t>(ranks));
}

void* SymmetricHeap::Allocate(int rank, const HeapBlock& block) {
  const std::lock_guard lock(mutex_);
  if (closed_) throw Diag({}, "RuntimeError") << "the world of this allocation is closed";
  const size_t index = made_[static_cast<size_t>(rank)];
  if (index == entries_.size()) {
    if (block.bytes <= 0) {
      throw Diag({}, "ValueError")
          << "`" << block.name << "`: a symmetric tensor needs at least one element";
    }
    entries_.push_back({block, Make(block), rank, 0});
  }
  const Entry& entry = entries_[index];
  if (!(entry.block == block)) {
    throw Diag({}, "ValueError") << "allocation " << index << " of rank " << rank << " is "
                                 << Text(block) << ", but that of rank " << entry.first << " is "
                                 << Text(entry.block)
                                 << Help("all ranks allocate the same sizes in the same order");
  }
  ++made_[static_cast<size_t>(rank)];
  return Peer(entry.address, 0, rank);
}

void SymmetricHeap::Free(int rank, void* address) {
  const std::lock_guard lock(mutex_);
  void* first = Peer(address, rank, 0);
  for (Entry& entry : entries_) {
    if (entry.address != first || first == nullptr) continue;
    if (++entry.freed < ranks_) return;
    entry.address = nullptr;
    return Release(first);
  }
}

void SymmetricHeap::Barrier() {
  for (int rank = 0; rank < ranks_; ++rank) device(rank)->Synchronize(stream(rank));
}

void SymmetricHeap::Close() {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) throw Diag({}, "RuntimeError") << "the world is closed already";
    closed_ = true;
  }
  OnClose();
}

void SetLaunchPlace(LaunchPlace place) {
  Place() = std::move(place);
}

const LaunchPlace& GetLaunchPlace() {
  return Place();
}

LaunchPlace FindHeap(const void* address) {
  Registry& registry = GetRegistry();
  const std::shared_lock lock(registry.mutex);
  for (const auto& weak : registry.heaps) {
    auto heap = weak.lock();
    if (heap == nullptr || heap->closed()) continue;
    if (const int rank = heap->RankOf(address); rank >= 0) return {std::move(heap), rank, false};
  }
  return {};
}

void RegisterTransport(std::string name, HeapFactory factory) {
  Registry& registry = GetRegistry();
  const std::unique_lock lock(registry.mutex);
  registry.transports[std::move(name)] = std::move(factory);
}

std::shared_ptr<SymmetricHeap> OpenHeap(std::string_view transport, int ranks) {
  Registry& registry = GetRegistry();
  HeapFactory make;
  {
    const std::shared_lock lock(registry.mutex);
    const auto found = registry.transports.find(transport);
    if (found == registry.transports.end()) {
      std::vector<std::string> names;
      for (const auto& [name, unused] : registry.transports) names.push_back(name);
      throw Diag({}, "ValueError")
          << "there is no transport '" << transport << "'; expected one of: " << Join(names, ", ");
    }
    make = found->second;
  }
  auto heap = make(ranks);
  const std::unique_lock lock(registry.mutex);
  std::erase_if(registry.heaps, [](const auto& weak) { return weak.expired(); });
  registry.heaps.push_back(heap);
  return heap;
}

}  // namespace tilescale::runtime
