// SPDX-License-Identifier: MIT
// One process a GPU. Each process reserves a range of addresses for every rank and maps the ranks'
// memory there, its own and, by files that the others pass, theirs (CUDA virtual memory management
// with POSIX file descriptors; no multicast). Where the driver has no such files, each rank makes
// one allocation of the heap's size and the others open its CUDA IPC handle. Which block is where
// is decided by the coordinator in rank 0's process.
#include "runtime/symm/coordinator.h"
#include "runtime/symm/heap.h"
#include "support/diagnostics.h"

#include <algorithm>
#include <mutex>
#include <unistd.h>

namespace tilescale::runtime {
namespace {

// A segment that is added is at least this large, so that small tensors share one.
constexpr int64_t kSegment = int64_t{32} << 20;

int64_t RoundUp(int64_t bytes, int64_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

static_assert(4 * kMaxRanks <= Coordinator::kReserved);

class IpcHeap : public SymmetricHeap {
 public:
  IpcHeap(const HeapRequest& request, std::shared_ptr<Device> device, bool files)
      : SymmetricHeap(request),
        device_(std::move(device)),
        files_(files),
        bytes_(RoundUp(Capacity(request), RoundUp(kSegment, Granularity()))),
        client_(request.address, request.own, request.ranks, request.limit,
                files ? RoundUp(kSegment, Granularity()) : bytes_) {
    try {
      stream_ = device_->CreateStream();
      if (files_) {
        for (int r = 0; r < ranks(); ++r) {
          base_.push_back(
              static_cast<char*>(device_->ReserveAddresses(static_cast<size_t>(bytes_))));
        }
      } else {
        OpenHandles();
      }
    } catch (...) {
      ReleaseAll();
      throw;
    }
  }

  ~IpcHeap() override { ReleaseAll(); }

  const char* transport() const override { return "ipc"; }
  // What a process sees of any rank is on its own GPU.
  std::shared_ptr<Device> device(int) const override { return device_; }
  Stream stream(int) const override { return nullptr; }

  void* Peer(const void* address, int from, int to) const override {
    return base_[static_cast<size_t>(to)] +
           (static_cast<const char*>(address) - base_[static_cast<size_t>(from)]);
  }
  int RankOf(const void* address) const override {
    const auto* at = static_cast<const char*>(address);
    for (size_t r = 0; r < base_.size(); ++r) {
      if (at >= base_[r] && at < base_[r] + bytes_) return static_cast<int>(r);
    }
    return -1;
  }
  // Waits until all ranks have allocated, or come here too.
  void* BarrierWords(int rank) override {
    if (files_) MapSegments(1);
    return SymmetricHeap::BarrierWords(rank);
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
    const Placement place = client_.Allocate(block.name, block.bytes);
    if (files_) MapSegments(place.segments);
    char* mine = base_[static_cast<size_t>(own())] + place.offset;
    device_->Zero(mine, static_cast<size_t>(block.bytes), stream_);
    device_->Synchronize(stream_);
    return base_[0] + place.offset;
  }
  void* MakeBarrierWords() override { return base_[0]; }
  void Release(void* address) override {
    try {
      client_.Free(static_cast<char*>(address) - base_[0]);
    } catch (const std::exception&) {  // from a tensor's destructor, when rank 0 has ended
    }
  }

 private:
  int64_t Granularity() const {
    return files_ ? static_cast<int64_t>(device_->SharedGranularity()) : 1;
  }

  // The memory of all ranks behind the segments up to `count`. All ranks come here: each waits for
  // what the others map.
  void MapSegments(int64_t count) {
    const std::lock_guard lock(mapping_);
    while (static_cast<int64_t>(segments_.size()) < count) {
      const auto segment = static_cast<int64_t>(segments_.size());
      const int64_t offset =
          segments_.empty() ? 0 : segments_.back().first + segments_.back().second;
      const auto bytes = client_.SegmentBytes(segment);
      std::vector<int> mapped;
      try {
        const int file = device_->MapExported(At(own(), offset), static_cast<size_t>(bytes));
        mapped.push_back(own());
        if (segment == 0) ZeroBarrierWords();
        try {
          client_.Export(segment, file, "");
        } catch (...) {
          close(file);
          throw;
        }
        close(file);
        for (int r = 0; r < ranks(); ++r) {
          if (r == own()) continue;
          const int theirs = client_.Import(segment, r).first;
          if (theirs < 0) throw Diag({}, "BootstrapError") << "rank " << r << " sent no memory";
          try {
            device_->MapImported(At(r, offset), static_cast<size_t>(bytes), theirs);
          } catch (...) {
            close(theirs);
            throw;
          }
          close(theirs);
          mapped.push_back(r);
        }
      } catch (...) {
        for (const int r : mapped) {
          device_->UnmapShared(At(r, offset), static_cast<size_t>(bytes));
        }
        throw;
      }
      segments_.emplace_back(offset, bytes);
    }
  }

  // Before another rank can reach them.
  void ZeroBarrierWords() {
    device_->Zero(At(own(), 0), static_cast<size_t>(kBarrierWords.bytes), stream_);
    device_->Synchronize(stream_);
  }

  void OpenHandles() {
    base_.assign(static_cast<size_t>(ranks()), nullptr);
    std::string handle;
    base_[static_cast<size_t>(own())] =
        static_cast<char*>(device_->AllocateExported(static_cast<size_t>(bytes_), &handle));
    ZeroBarrierWords();
    client_.Export(0, -1, handle);
    for (int r = 0; r < ranks(); ++r) {
      if (r == own()) continue;
      base_[static_cast<size_t>(r)] =
          static_cast<char*>(device_->OpenImported(client_.Import(0, r).second));
    }
  }

  void* At(int rank, int64_t offset) const { return base_[static_cast<size_t>(rank)] + offset; }

  // The limit is for the blocks of the program.
  static int64_t Capacity(const HeapRequest& request) {
    return request.limit + Coordinator::kReserved;
  }

  // What there is, also of a heap that was made in part.
  void ReleaseAll() {
    for (int r = 0; r < static_cast<int>(base_.size()); ++r) {
      if (files_) {
        for (const auto& [offset, bytes] : segments_) {
          device_->UnmapShared(At(r, offset), static_cast<size_t>(bytes));
        }
        device_->ReleaseAddresses(At(r, 0), static_cast<size_t>(bytes_));
      } else if (At(r, 0) != nullptr) {
        r == own() ? device_->FreeExported(At(r, 0)) : device_->CloseImported(At(r, 0));
      }
    }
    base_.clear();
    if (stream_ == nullptr) return;
    try {
      device_->DestroyStream(stream_);
    } catch (const std::exception&) {  // a kernel of the stream failed: who waited for it knows
    }
  }

  std::shared_ptr<Device> device_;
  bool files_;
  int64_t bytes_;  // of each rank's range of addresses
  CoordinatorClient client_;
  std::mutex mapping_;       // of segments
  std::vector<char*> base_;  // by rank
  Stream stream_ = nullptr;
  std::vector<std::pair<int64_t, int64_t>> segments_;  // offset, bytes
};

[[maybe_unused]] const bool kRegistered = [] {
  const auto transport = [](bool wants_files) {
    return [wants_files](const HeapRequest& request) -> std::shared_ptr<SymmetricHeap> {
      if (request.own < 0 || request.limit <= 0) {
        throw Diag({}, "ValueError") << "a heap of several processes needs a rank and a size";
      }
      const int gpus = CountDevices("cuda");
      if (request.device >= std::max(gpus, 1)) {
        throw Diag({}, "RuntimeError")
            << "rank " << request.own << " needs GPU " << request.device << ", but there are "
            << gpus << Help("start fewer ranks, or use target 'sim'");
      }
      auto device = GetDevice("cuda", "", request.device);
      const bool files = wants_files && device->CanExportFiles();
      return std::make_shared<IpcHeap>(request, std::move(device), files);
    };
  };
  RegisterTransport("ipc", transport(true));
  RegisterTransport("ipc-handles", transport(false));
  return true;
}();

}  // namespace
}  // namespace tilescale::runtime
