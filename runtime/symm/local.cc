// SPDX-License-Identifier: MIT
// One process drives all GPUs of a host. Each rank has a range of addresses of its own, backed by
// memory of its GPU at the same offsets on all ranks and reachable from every GPU at the same
// addresses (CUDA virtual memory management; no multicast). With more ranks than GPUs several ranks
// share one, each with its own stream: a kernel that waits for a peer on the same GPU needs all
// blocks of both to be resident at once.
#include "runtime/symm/arena.h"
#include "runtime/symm/heap.h"
#include "support/diagnostics.h"

#include <algorithm>
#include <exception>

namespace tilescale::runtime {
namespace {

// A segment that is added is at least this large, so that small tensors share one.
constexpr int64_t kSegment = int64_t{32} << 20;

class LocalHeap : public SymmetricHeap {
 public:
  LocalHeap(const HeapRequest& request, std::vector<std::shared_ptr<Device>> devices)
      : SymmetricHeap(request), devices_(std::move(devices)), arena_(Capacity(devices_)) {
    for (const auto& d : devices_) {
      granularity_ = std::max(granularity_, static_cast<int64_t>(d->SharedGranularity()));
      ids_.push_back(d->tensor_device().device_id);
    }
    reserved_ = RoundUp(arena_.capacity());
    try {
      for (int r = 0; r < request.ranks; ++r) {
        base_.push_back(
            static_cast<char*>(device(r)->ReserveAddresses(static_cast<size_t>(reserved_))));
        streams_.push_back(device(r)->CreateStream());
      }
    } catch (...) {
      ReleaseAll();
      throw;
    }
  }

  ~LocalHeap() override { ReleaseAll(); }

  const char* transport() const override { return "local"; }
  std::shared_ptr<Device> device(int rank) const override {
    return devices_[static_cast<size_t>(rank) % devices_.size()];
  }
  Stream stream(int rank) const override { return streams_[static_cast<size_t>(rank)]; }
  bool needs_own_streams() const override { return devices_.size() < base_.size(); }

  void* Peer(const void* address, int from, int to) const override {
    return base_[static_cast<size_t>(to)] +
           (static_cast<const char*>(address) - base_[static_cast<size_t>(from)]);
  }
  int RankOf(const void* address) const override {
    const auto* at = static_cast<const char*>(address);
    for (size_t r = 0; r < base_.size(); ++r) {
      if (at >= base_[r] && at < base_[r] + reserved_) return static_cast<int>(r);
    }
    return -1;
  }
  HeapTable Table(int rank) const override {
    HeapTable table;
    table.rank = rank;
    table.num_ranks = ranks();
    for (size_t r = 0; r < base_.size(); ++r) table.base[r] = reinterpret_cast<uint64_t>(base_[r]);
    return table;
  }

 protected:
  void* Make(const HeapBlock& block) override {
    // What was freed may still be in use by kernels that are queued.
    if (freed_) {
      for (const auto& d : devices_) d->SynchronizeAll();
      freed_ = false;
    }
    const int64_t offset = arena_.Allocate(block.bytes);
    if (offset < 0) {
      throw Diag({}, "MemoryError") << "`" << block.name << "`: the symmetric heap has no room for "
                                    << block.bytes << " bytes on each rank";
    }
    try {
      Grow(arena_.end());
    } catch (...) {
      arena_.Free(offset);
      throw;
    }
    for (int r = 0; r < ranks(); ++r) {
      device(r)->Zero(base_[static_cast<size_t>(r)] + offset, static_cast<size_t>(block.bytes),
                      streams_[static_cast<size_t>(r)]);
      device(r)->Synchronize(streams_[static_cast<size_t>(r)]);
    }
    return base_[0] + offset;
  }

  void Release(void* address) override {
    arena_.Free(static_cast<char*>(address) - base_[0]);
    freed_ = true;
  }

 private:
  // What there is, also of a heap that was made in part.
  void ReleaseAll() {
    for (size_t r = 0; r < base_.size(); ++r) {
      Device& d = *device(static_cast<int>(r));
      for (const auto& [offset, bytes] : segments_) {
        d.UnmapShared(base_[r] + offset, static_cast<size_t>(bytes));
      }
      d.ReleaseAddresses(base_[r], static_cast<size_t>(reserved_));
      if (r >= streams_.size()) continue;
      try {
        d.DestroyStream(streams_[r]);
      } catch (const std::exception&) {  // a kernel of the stream failed: who waited for it knows
      }
    }
  }

  static int64_t Capacity(const std::vector<std::shared_ptr<Device>>& devices) {
    int64_t least = devices[0]->properties().total_memory;
    for (const auto& d : devices) least = std::min(least, d->properties().total_memory);
    return least;
  }

  int64_t RoundUp(int64_t bytes) const {
    return (bytes + granularity_ - 1) / granularity_ * granularity_;
  }

  // Memory behind the addresses up to `end`, on all ranks or on none.
  void Grow(int64_t end) {
    if (end <= mapped_) return;
    const int64_t bytes = std::min(RoundUp(std::max(end - mapped_, kSegment)), reserved_ - mapped_);
    int done = 0;
    try {
      for (; done < ranks(); ++done) {
        device(done)->MapShared(base_[static_cast<size_t>(done)] + mapped_,
                                static_cast<size_t>(bytes), ids_);
      }
    } catch (...) {
      for (int r = 0; r < done; ++r) {
        device(r)->UnmapShared(base_[static_cast<size_t>(r)] + mapped_, static_cast<size_t>(bytes));
      }
      throw;
    }
    segments_.emplace_back(mapped_, bytes);
    mapped_ += bytes;
  }

  std::vector<std::shared_ptr<Device>> devices_;
  std::vector<int> ids_;
  Arena arena_;
  int64_t granularity_ = 1, reserved_ = 0, mapped_ = 0;
  std::vector<char*> base_;  // by rank
  std::vector<Stream> streams_;
  std::vector<std::pair<int64_t, int64_t>> segments_;  // offset, bytes
  bool freed_ = false;
};

[[maybe_unused]] const bool kRegistered = [] {
  RegisterTransport("local", [](const HeapRequest& request) -> std::shared_ptr<SymmetricHeap> {
    // Without a driver the first device says what is missing.
    const int gpus = std::clamp(CountDevices("cuda"), 1, std::max(request.ranks, 1));
    std::vector<std::shared_ptr<Device>> devices;
    for (int i = 0; i < gpus; ++i) devices.push_back(GetDevice("cuda", "", i));
    for (const auto& a : devices) {
      for (const auto& b : devices) a->RequirePeerAccess(*b);
    }
    return std::make_shared<LocalHeap>(request, std::move(devices));
  });
  return true;
}();

}  // namespace
}  // namespace tilescale::runtime
