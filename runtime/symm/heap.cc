// SPDX-License-Identifier: MIT
#include "runtime/symm/heap.h"

#include "runtime/symm/arena.h"
#include "runtime/watchdog.h"
#include "support/diagnostics.h"
#include "support/knobs.h"
#include "support/strings.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <shared_mutex>
#include <sstream>

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

int64_t RoundedUp(int64_t bytes) {
  return (bytes + Arena::kAlign - 1) / Arena::kAlign * Arena::kAlign;
}

// TILESCALE_HEAP_DEBUG. A value that few programs write.
constexpr int64_t kGuard = Arena::kAlign;
constexpr unsigned char kPattern = 0xa5;

std::string Text(const HeapBlock& block) {
  return "`" + block.name + "` of " + std::to_string(block.bytes) + " bytes";
}

}  // namespace

SymmetricHeap::SymmetricHeap(const HeapRequest& request)
    : ranks_(request.ranks), own_(request.own), limit_(request.limit) {
  if (ranks_ < 1 || ranks_ > kMaxRanks) {
    throw Diag({}, "ValueError") << "a world has 1 to " << kMaxRanks
                                 << " ranks, fewer on the simulator; got " << ranks_;
  }
  made_.resize(static_cast<size_t>(ranks_));
}

SymmetricHeap::~SymmetricHeap() {
  ForgetWaits(this);
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
    const int64_t guard = knobs::HeapDebug() && HasGuards() ? kGuard : 0;
    const int64_t bytes = RoundedUp(block.bytes) + 2 * guard;
    if (limit_ > 0 && bytes > limit_ - used_) {
      throw Diag({}, "MemoryError")
          << Text(block) << " does not fit: the symmetric heap has " << limit_ << " bytes on each "
          << "rank, of which " << used_ << " are used"
          << Help("pass a larger size to get_allocator");
    }
    HeapBlock whole = block;
    if (guard > 0) whole.bytes = bytes;
    entries_.push_back({block, static_cast<char*>(Make(whole)) + guard, guard, rank});
    used_ += bytes;
    ArmGuards(entries_.back());
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
  const size_t owners = own_ < 0 ? static_cast<size_t>(ranks_) : 1;
  for (Entry& entry : entries_) {
    if (entry.address != first || first == nullptr) continue;
    entry.freed.set(static_cast<size_t>(rank));
    if (entry.freed.count() < owners) return;
    try {
      CheckGuards(entry);
    } catch (const std::exception&) {  // from a tensor's destructor, when the driver has ended
    }
    if (closed_ && !overwritten_.empty()) std::fprintf(stderr, "%s\n", overwritten_.c_str());
    entry.address = nullptr;
    used_ -= RoundedUp(entry.block.bytes) + 2 * entry.guard;
    return Release(static_cast<char*>(first) - entry.guard);
  }
}

std::string SymmetricHeap::NameOf(const void* address) {
  const int rank = RankOf(address);
  if (rank < 0) return "";
  const auto* at = static_cast<const char*>(Peer(address, rank, 0));
  const std::lock_guard lock(mutex_);
  const auto name = [&](const HeapBlock& block, const void* base) -> std::string {
    const int64_t offset = at - static_cast<const char*>(base);
    if (base == nullptr || offset < 0 || offset >= block.bytes) return "";
    const int64_t element = std::max<int64_t>(block.dtype.bits * block.dtype.lanes / 8, 1);
    return block.name + "[" + std::to_string(offset / element) + "] of rank " +
           std::to_string(rank);
  };
  std::string found = name(kBarrierWords, barrier_words_);
  for (size_t i = 0; i < entries_.size() && found.empty(); ++i) {
    found = name(entries_[i].block, entries_[i].address);
  }
  return found;
}

void SymmetricHeap::Barrier() {
  for (int rank = 0; rank < ranks_; ++rank) {
    if (own_ < 0 || rank == own_) device(rank)->Synchronize(stream(rank));
  }
  CheckGuards();
}

// What a kernel writes beside a tensor meets these bytes: 256 in front, and behind its last byte
// what rounding left and 256 more.
void SymmetricHeap::ArmGuards(const Entry& entry) {
  if (entry.guard == 0) return;
  const std::vector<unsigned char> pattern(static_cast<size_t>(2 * entry.guard), kPattern);
  for (int rank = 0; rank < ranks_; ++rank) {
    if (own_ >= 0 && rank != own_) continue;
    auto* at = static_cast<char*>(Peer(entry.address, 0, rank));
    Device& d = *device(rank);
    const auto behind = static_cast<size_t>(RoundedUp(entry.block.bytes) - entry.block.bytes) +
                        static_cast<size_t>(entry.guard);
    d.Copy(at - entry.guard, pattern.data(), static_cast<size_t>(entry.guard), stream(rank));
    d.Copy(at + entry.block.bytes, pattern.data(), behind, stream(rank));
    d.Synchronize(stream(rank));
  }
}

void SymmetricHeap::CheckGuards(const Entry& entry) {
  if (entry.guard == 0 || entry.address == nullptr) return;
  bool broken = false;
  std::vector<unsigned char> found(static_cast<size_t>(2 * entry.guard));
  for (int rank = 0; rank < ranks_; ++rank) {
    if (own_ >= 0 && rank != own_) continue;
    auto* at = static_cast<char*>(Peer(entry.address, 0, rank));
    const int64_t behind = RoundedUp(entry.block.bytes) - entry.block.bytes + entry.guard;
    const auto look = [&](const char* from, int64_t bytes, bool front) {
      device(rank)->Copy(found.data(), from, static_cast<size_t>(bytes), stream(rank));
      device(rank)->Synchronize(stream(rank));
      int64_t first = -1;
      int64_t last = -1;
      for (int64_t i = 0; i < bytes; ++i) {
        if (found[static_cast<size_t>(i)] == kPattern) continue;
        if (first < 0) first = i;
        last = i;
      }
      if (first < 0) return;
      broken = true;
      overwritten_ += (overwritten_.empty() ? "" : "\n") +
                      (std::string("memory ") + (front ? "in front of" : "behind")) + " `" +
                      entry.block.name + "` of rank " + std::to_string(rank) + " was written: " +
                      (front ? "bytes " + std::to_string(bytes - last) + " to " +
                                   std::to_string(bytes - first) + " in front of its first"
                             : "bytes " + std::to_string(first + 1) + " to " +
                                   std::to_string(last + 1) + " behind its last");
    };
    look(at - entry.guard, entry.guard, true);
    look(at + entry.block.bytes, behind, false);
  }
  if (broken) ArmGuards(entry);
}

void SymmetricHeap::CheckGuards() {
  const std::lock_guard lock(mutex_);
  for (const Entry& entry : entries_) CheckGuards(entry);
  if (overwritten_.empty()) return;
  throw Diag({}, "RuntimeError") << std::exchange(overwritten_, "")
                                 << Help("the simulator names the line: TILESCALE_TARGET=sim");
}

void SymmetricHeap::Close() {
  if (closed_.exchange(true)) {
    throw Diag({}, "RuntimeError") << "the world is closed already";
  }
  ForgetWaits(this);
  OnClose();
  CheckGuards();
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
    const int rank = heap->RankOf(address);
    if (rank < 0) continue;
    const int own = heap->own();
    return {std::move(heap), own < 0 ? rank : own, false};
  }
  return {};
}

std::string NameOfSymmetric(const void* address) {
  Registry& registry = GetRegistry();
  const std::shared_lock lock(registry.mutex);
  for (const auto& weak : registry.heaps) {
    const auto heap = weak.lock();
    if (heap == nullptr || heap->closed()) continue;
    if (std::string name = heap->NameOf(address); !name.empty()) return name;
  }
  std::ostringstream text;
  text << "the word at " << address;
  return text.str();
}

void CheckAllGuards() {
  std::vector<std::shared_ptr<SymmetricHeap>> open;
  {
    Registry& registry = GetRegistry();
    const std::shared_lock lock(registry.mutex);
    for (const auto& weak : registry.heaps) {
      if (auto heap = weak.lock(); heap != nullptr && !heap->closed()) {
        open.push_back(std::move(heap));
      }
    }
  }
  for (const auto& heap : open) heap->CheckGuards();
}

LaunchPlace OwnHeap() {
  Registry& registry = GetRegistry();
  const std::shared_lock lock(registry.mutex);
  for (auto it = registry.heaps.rbegin(); it != registry.heaps.rend(); ++it) {
    auto heap = it->lock();
    if (heap == nullptr || heap->closed() || heap->own() < 0) continue;
    const int own = heap->own();
    return {std::move(heap), own, false};
  }
  return {};
}

void RegisterTransport(std::string name, HeapFactory factory) {
  Registry& registry = GetRegistry();
  const std::unique_lock lock(registry.mutex);
  registry.transports[std::move(name)] = std::move(factory);
}

std::shared_ptr<SymmetricHeap> OpenHeap(std::string_view transport, const HeapRequest& request) {
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
  auto heap = make(request);
  heap->barrier_words_ = heap->MakeBarrierWords();
  const std::unique_lock lock(registry.mutex);
  std::erase_if(registry.heaps, [](const auto& weak) { return weak.expired(); });
  registry.heaps.push_back(heap);
  return heap;
}

}  // namespace tilescale::runtime
