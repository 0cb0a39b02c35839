// SPDX-License-Identifier: MIT
#pragma once

#include "runtime/device.h"
#include "support/ranks.h"

#include <atomic>
#include <bitset>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

/// Symmetric memory: allocations that every rank has at a place which the others can name.
///
/// A transport says how ranks reach each other: "sim" (simulated ranks, sim/heap.cc), "local" (one
/// process drives all GPUs of a host, symm/local.cc). A rank is not a device: several ranks may run
/// on one. The launcher finds the heap of a launch by the tensors it is given.
namespace tilescale::runtime {

/// What a kernel knows of its peers: ts::HeapTable in device/tilescale/ptx/peer.cuh.
struct HeapTable {
  int32_t rank = 0;
  int32_t num_ranks = 0;
  uint64_t base[kMaxRanks] = {};
};

struct HeapBlock {
  std::string name;  // for reports
  int64_t bytes = 0;
  DLDataType dtype{};

  bool operator==(const HeapBlock& other) const { return bytes == other.bytes; }
};

/// The words of SymmetricHeap::BarrierWords.
inline const HeapBlock kBarrierWords{"rank_barrier", 4 * kMaxRanks, {kDLInt, 32, 1}};

/// What a heap is asked to be.
struct HeapRequest {
  int ranks = 1;
  int own = -1;           // the rank of this process, if each has a process of its own
  int64_t limit = 0;      // bytes that a rank's blocks may have in all; 0: what there is
  std::string address{};  // where the ranks of other processes meet (symm/coordinator.h)
  int device = 0;         // the GPU of this process
};

class SymmetricHeap {
 public:
  /// Throws ValueError unless 1 <= ranks <= kMaxRanks.
  explicit SymmetricHeap(const HeapRequest& request);
  virtual ~SymmetricHeap();
  SymmetricHeap(const SymmetricHeap&) = delete;
  SymmetricHeap& operator=(const SymmetricHeap&) = delete;

  int ranks() const { return ranks_; }
  /// The rank of this process; -1: all are of this process.
  int own() const { return own_; }
  virtual const char* transport() const = 0;
  /// The device that runs a rank's kernels and holds its memory, and a stream of that rank.
  virtual std::shared_ptr<Device> device(int rank) const = 0;
  virtual Stream stream(int rank) const = 0;
  /// Ranks may share a device: then a World launches each on its own stream, so that they run
  /// together. Else it launches on its caller's, which costs no event.
  virtual bool needs_own_streams() const { return true; }

  /// The rank's next allocation, zeroed. Collective: all ranks make the same allocations in the
  /// same order; one that differs from what another rank made is a ValueError naming both.
  void* Allocate(int rank, const HeapBlock& block);
  /// The memory is free once all ranks (of this process) have freed it. A rank's second call is
  /// nothing.
  void Free(int rank, void* address);
  /// One word of int32 for each rank, in which ranks meet without a tensor of the program: zeros
  /// when no kernel runs. Reserved by OpenHeap, and no part of the limit.
  virtual void* BarrierWords(int rank) { return Peer(barrier_words_, 0, rank); }
  /// The same place on another rank.
  virtual void* Peer(const void* address, int from, int to) const = 0;
  /// The rank whose memory holds the address; -1: none. Any thread, while others allocate.
  virtual int RankOf(const void* address) const = 0;
  virtual HeapTable Table(int rank) const = 0;
  /// "flags[3] of rank 1"; "" for an address outside all blocks.
  std::string NameOf(const void* address);

  /// Waits until all that was launched on the ranks' streams is done; raises what went wrong, which
  /// with TILESCALE_HEAP_DEBUG is what CheckGuards finds, too.
  void Barrier();
  /// Throws RuntimeError if something was written beside a block since the last time, also beside
  /// one that has been freed.
  void CheckGuards();
  /// No allocation and no launch behind it. The memory of living tensors stays theirs. Twice: an
  /// error.
  void Close();
  bool closed() const { return closed_; }

 protected:
  /// Memory for all ranks, the same size on each; rank 0's address.
  virtual void* Make(const HeapBlock& block) = 0;
  virtual void Release(void* address_on_rank_0) = 0;
  /// The place of BarrierWords; rank 0's address.
  virtual void* MakeBarrierWords() { return Make(kBarrierWords); }
  virtual void OnClose() {}
  /// Blocks have guard words with TILESCALE_HEAP_DEBUG. False where every access outside a block is
  /// found.
  virtual bool HasGuards() const { return true; }

 private:
  struct Entry {
    HeapBlock block;
    void* address = nullptr;         // on rank 0, behind its guard; null when all have freed it
    int64_t guard = 0;               // bytes in front of it, and behind it rounded up
    int first = 0;                   // the rank that made it
    std::bitset<kMaxRanks> freed{};  // by these ranks
  };

  void ArmGuards(const Entry& entry);
  void CheckGuards(const Entry& entry);

  int ranks_, own_;
  int64_t limit_;
  int64_t used_ = 0;  // bytes of blocks that live, each rounded up
  std::atomic<bool> closed_ = false;
  std::mutex mutex_;
  std::vector<Entry> entries_;     // in order of allocation
  std::vector<size_t> made_;       // by rank: how many
  void* barrier_words_ = nullptr;  // on rank 0
  std::string overwritten_;        // guards found overwritten, until it is raised

  friend std::shared_ptr<SymmetricHeap> OpenHeap(std::string_view, const HeapRequest&);
};

/// Which rank this thread launches for.
struct LaunchPlace {
  std::shared_ptr<SymmetricHeap> heap;
  int rank = 0;
  bool prepare = false;     // compile and load, do not launch
  Stream stream = nullptr;  // of launches, if the heap was set by a World
};
/// Null heap: launches of this thread are of no World.
void SetLaunchPlace(LaunchPlace place);
const LaunchPlace& GetLaunchPlace();

/// The open heap that holds the address, and the rank that a launch with it is of: the process's
/// own if it has one. A null heap if none does.
LaunchPlace FindHeap(const void* address);
/// NameOf of the open heap that holds the address, or "the word at 0x7f00…".
std::string NameOfSymmetric(const void* address);
/// CheckGuards of all open heaps.
void CheckAllGuards();
/// The newest open heap of a process that is one rank; a null heap if there is none.
LaunchPlace OwnHeap();

using HeapFactory = std::function<std::shared_ptr<SymmetricHeap>(const HeapRequest&)>;
/// By transport name, at library load.
void RegisterTransport(std::string name, HeapFactory factory);
/// Makes and registers a heap. Throws ValueError on an unknown transport.
std::shared_ptr<SymmetricHeap> OpenHeap(std::string_view transport, const HeapRequest& request);

}  // namespace tilescale::runtime
