// SPDX-License-Identifier: MIT
// The machine's memory: one reserved arena of address space with the shared memory of resident CTAs
// and the heap of each rank (same offsets on every rank), one shadow cell for every 4 bytes.
//
// Allocations start on pages of 64 KB and are followed by a gap of at least max(1 MB, their size),
// so that a wrong index lands in no other allocation. A page table gives the allocation of an
// address, hence exact bounds in two loads.
#pragma once

#include "sim/machine.h"
#include "sim/shadow.h"
#include "sim/types.h"

#include <map>
#include <string>
#include <vector>

namespace tilescale::sim {

struct Cta;

struct Allocation {
  u8* base = nullptr;
  u64 bytes = 0;
  u64 pages = 0;  // with the gap
  std::string name, type;
  u32 element_bytes = 1;
  u32 rank = 0;
  Cta* cta = nullptr;      // of shared memory
  bool unwritten = false;  // some bytes may be
  u64 symmetric = 0;       // id shared by the ranks' parts; 0: of one rank only
  // Shared memory: the buffers of one block. Those that share planned bytes are in one block.
  struct Part {
    std::string name, type;
    u64 offset, bytes;
    u32 element_bytes;
  };
  std::vector<Part> parts;
};

constexpr u32 kMaxRanks = 16;
constexpr u64 kPageShift = 16;
constexpr u64 kPage = u64{1} << kPageShift;

class Arena {
 public:
  // Before the first Reserve: the data is a memory file, at an address where other processes can
  // map it, too.
  void MakeShared();
  int file() const { return file_; }
  u8* base() const { return base_; }
  u64 bytes() const { return bytes_; }
  u64 heap_start() const { return heap_start_; }

  // Reserves the address space (once) and begins with no allocations. Throws Diag if there is none.
  void Reserve(u64 seed);
  void ReleaseAll();

  Allocation* Allocate(u32 rank, u64 bytes, const AllocInfo& info);
  Allocation* AllocateSymmetric(u32 ranks, u64 bytes, const AllocInfo& info);  // rank 0's
  // Shared memory of one CTA; poisoned, unwritten. `skew` is the planned offset modulo 1024: the
  // address has the alignment that the plan gives it.
  Allocation* AllocateShared(u64 bytes, u64 skew, Cta* cta, std::vector<Allocation::Part> parts);
  void Free(Allocation* a);

  Allocation* At(const void* p) const {
    u64 offset = u64(static_cast<const u8*>(p) - base_);
    return offset < bytes_ ? page_[offset >> kPageShift] : nullptr;
  }
  // The allocation nearest to an address that lies in none; null if p is not in the arena.
  Allocation* Nearest(const void* p) const;
  Cell& CellOf(const void* p) const { return shadow_[u64(static_cast<const u8*>(p) - base_) >> 2]; }
  bool Contains(const void* p) const { return u64(static_cast<const u8*>(p) - base_) < bytes_; }
  u8* HeapOf(u32 rank) const { return base_ + heap_start_ + rank * heap_stride_; }
  u64 heap_stride() const { return heap_stride_; }

  // Poisons bytes and marks them unwritten; marks them written.
  void Poison(u8* p, u64 bytes);
  void MarkWritten(u8* p, u64 bytes);
  // Forgets all that the shadow knows of the bytes.
  void Clear(u8* p, u64 bytes);
  const std::map<u8*, Allocation*>& allocations() const { return by_address_; }

 private:
  // A part of the address space that hands out runs of pages.
  struct Zone {
    u64 next = 0, end = 0;         // pages
    std::multimap<u64, u64> free;  // pages -> first page
    u64 Take(u64 pages, u64 jitter);
    void Give(u64 first, u64 pages) { free.emplace(pages, first); }
  };
  Allocation* Enter(u64 first, u64 pages, u64 skew, u64 bytes, u32 rank, const AllocInfo& info);
  void Discard(Allocation* a);
  void Map(Allocation* a);
  void Unmap(Allocation* a);
  u64 Jitter();

  void* ReserveData(u64 bytes) const;

  int file_ = -1;
  u8* base_ = nullptr;
  u64 bytes_ = 0;
  Cell* shadow_ = nullptr;
  Allocation** page_ = nullptr;
  u64 heap_start_ = 0, heap_stride_ = 0;
  u64 seed_ = 1;
  u64 symmetric_ids_ = 0;
  Zone shared_, symmetric_;  // symmetric: pages relative to a heap
  std::vector<Zone> private_;
  std::map<u8*, Allocation*> by_address_;
};

extern Arena arena;

// Maps the shared data of another process's arena at its address. Throws Diag if that is taken.
void MapSharedArena(int file, u8* base, u64 bytes);

}  // namespace tilescale::sim
