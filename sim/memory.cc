// SPDX-License-Identifier: MIT
#include "sim/memory.h"

#include "sim/core.h"
#include "support/diagnostics.h"

#include <algorithm>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

namespace tilescale::sim {

Arena arena;

namespace {

constexpr u64 kMaxArena = u64{256} << 30;
constexpr u64 kMinArena = u64{8} << 30;
constexpr u64 kMinGap = u64{1} << 20;

void* ReserveSpace(u64 bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) return nullptr;
  madvise(p, bytes, MADV_DONTDUMP);
  return p;
}

// Far from where the system puts anything else, so that it is free in all processes.
constexpr u64 kSharedAddress = u64{1} << 44;

u64 PagesOf(u64 bytes) {
  return (bytes + kPage - 1) >> kPageShift;
}

// Pages of an allocation with the gap behind it; at least one page, also for no bytes.
u64 PagesWithGap(u64 bytes) {
  return std::max<u64>(PagesOf(bytes), 1) + PagesOf(std::max(kMinGap, bytes));
}

u64 MappedPages(const Allocation* a) {
  return std::max<u64>(PagesOf((u64(a->base) & (kPage - 1)) + a->bytes), 1);
}

void DropList(Cell& c) {
  for (u32 n = c.more; n;) {
    u32 next = core.nodes[n].next;
    core.nodes[n].next = core.free_node;
    core.free_node = n;
    core.live_nodes--;
    n = next;
  }
  c.more = 0;
}

}  // namespace

void Arena::MakeShared() {
  file_ = memfd_create("tilescale-memory", MFD_CLOEXEC);
  if (file_ < 0) throw Diag({}, "OSError") << "cannot make a memory file for the simulator";
}

void* Arena::ReserveData(u64 bytes) const {
  if (file_ < 0) return ReserveSpace(bytes);
  if (ftruncate(file_, off_t(bytes)) != 0) return nullptr;
  void* p = mmap(reinterpret_cast<void*>(kSharedAddress), bytes, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, file_, 0);
  return p == MAP_FAILED ? nullptr : p;
}

void MapSharedArena(int file, u8* base, u64 bytes) {
  void* p = mmap(base, bytes, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, file, 0);
  if (p == base) return;
  throw Diag({}, "BootstrapError")
      << "cannot map the simulator's memory at its address " << static_cast<void*>(base)
      << Help("raise the limit with `ulimit -v unlimited`");
}

u64 Arena::Zone::Take(u64 pages, u64 jitter) {
  auto it = free.find(pages);
  if (it != free.end()) {
    u64 first = it->second;
    free.erase(it);
    return first;
  }
  if (next + jitter + pages > end) {
    throw Diag({}, "RuntimeError") << "the simulator's address space is used up: an allocation of "
                                   << (pages * kPage >> 20) << " MB with its gap does not fit";
  }
  u64 first = next + jitter;
  next = first + pages;
  return first;
}

u64 Arena::Jitter() {
  seed_ ^= seed_ << 13;
  seed_ ^= seed_ >> 7;
  seed_ ^= seed_ << 17;
  return seed_ & 7;
}

void Arena::Reserve(u64 seed) {
  seed_ = seed * 0x9E3779B97F4A7C15ull | 1;
  if (!base_) {
    for (bytes_ = kMaxArena; bytes_ >= kMinArena; bytes_ /= 2) {
      base_ = static_cast<u8*>(ReserveData(bytes_));
      shadow_ = static_cast<Cell*>(ReserveSpace(bytes_ / 4 * sizeof(Cell)));
      page_ = static_cast<Allocation**>(ReserveSpace((bytes_ >> kPageShift) * sizeof(void*)));
      if (base_ && shadow_ && page_) break;
      if (base_) munmap(base_, bytes_);
      if (shadow_) munmap(shadow_, bytes_ / 4 * sizeof(Cell));
      if (page_) munmap(page_, (bytes_ >> kPageShift) * sizeof(void*));
      base_ = nullptr;
    }
    if (!base_) {
      throw Diag({}, "RuntimeError")
          << "the simulator cannot reserve 80 GB of address space (which takes no memory)"
          << Help("raise the limit with `ulimit -v unlimited`");
    }
  }
  u64 pages = bytes_ >> kPageShift, shared = pages / 4;
  u64 stride = (pages - shared) / kMaxRanks;
  heap_start_ = shared << kPageShift;
  heap_stride_ = stride << kPageShift;
  shared_ = Zone{};
  shared_.next = 1;
  shared_.end = shared;
  symmetric_ = Zone{};
  symmetric_.end = stride / 2;
  private_.assign(kMaxRanks, Zone{});
  for (u32 r = 0; r < kMaxRanks; ++r) {
    private_[r].next = shared + r * stride + stride / 2;
    private_[r].end = shared + (r + 1) * stride;
  }
}

void Arena::ReleaseAll() {
  while (!by_address_.empty()) Free(by_address_.begin()->second);
}

void Arena::Map(Allocation* a) {
  const u64 first = u64(a->base - base_) >> kPageShift;
  for (u64 i = 0, n = MappedPages(a); i < n; ++i) page_[first + i] = a;
  by_address_[a->base] = a;
}

void Arena::Unmap(Allocation* a) {
  const u64 first = u64(a->base - base_) >> kPageShift;
  for (u64 i = 0, n = MappedPages(a); i < n; ++i) page_[first + i] = nullptr;
  by_address_.erase(a->base);
}

Allocation* Arena::Enter(u64 first, u64 pages, u64 skew, u64 bytes, u32 rank,
                         const AllocInfo& info) {
  auto* a = new Allocation;
  a->base = base_ + (first << kPageShift) + skew;
  a->bytes = bytes;
  a->pages = pages;
  a->name = info.name;
  a->type = info.type;
  a->element_bytes = std::max<u32>(info.element_bytes, 1);
  a->rank = rank;
  Map(a);
  if (!info.initialized) Poison(a->base, bytes);
  return a;
}

Allocation* Arena::Allocate(u32 rank, u64 bytes, const AllocInfo& info) {
  u64 pages = PagesWithGap(bytes);
  return Enter(private_[rank].Take(pages, Jitter()), pages, 0, bytes, rank, info);
}

Allocation* Arena::AllocateSymmetric(u32 ranks, u64 bytes, const AllocInfo& info) {
  u64 pages = PagesWithGap(bytes), at = symmetric_.Take(pages, Jitter());
  u64 id = ++symmetric_ids_;
  Allocation* first = nullptr;
  for (u32 r = 0; r < ranks; ++r) {
    u64 page = ((heap_start_ + r * heap_stride_) >> kPageShift) + at;
    Allocation* a = Enter(page, pages, 0, bytes, r, info);
    a->symmetric = id;
    if (!first) first = a;
  }
  return first;
}

Allocation* Arena::AllocateShared(u64 bytes, u64 skew, Cta* cta,
                                  std::vector<Allocation::Part> parts) {
  u64 pages = PagesWithGap(bytes + skew);
  AllocInfo info{.name = parts.front().name,
                 .element_bytes = parts.front().element_bytes,
                 .type = parts.front().type};
  Allocation* a = Enter(shared_.Take(pages, 0), pages, skew, bytes, cta->rank, info);
  a->cta = cta;
  a->parts = std::move(parts);
  return a;
}

void Arena::Discard(Allocation* a) {
  Clear(a->base, a->bytes);
  // Large ones give their pages back, data and cells.
  constexpr u64 kLarge = u64{1} << 20, kHostPage = 4096;
  if (a->bytes < kLarge) return;
  auto drop = [](void* p, u64 bytes, int advice) {
    u64 first = (u64(p) + kHostPage - 1) & -kHostPage, end = (u64(p) + bytes) & -kHostPage;
    if (first < end) madvise(reinterpret_cast<void*>(first), end - first, advice);
  };
  drop(a->base, a->bytes, file_ < 0 ? MADV_DONTNEED : MADV_REMOVE);
  drop(&CellOf(a->base), a->bytes / 4 * sizeof(Cell), MADV_DONTNEED);
}

void Arena::Free(Allocation* a) {
  if (a->symmetric) {
    u64 id = a->symmetric, offset = u64(a->base - base_ - heap_start_) % heap_stride_;
    symmetric_.Give(offset >> kPageShift, a->pages);
    for (u32 r = 0; r < kMaxRanks; ++r) {
      Allocation* part = At(base_ + heap_start_ + r * heap_stride_ + offset);
      if (!part || part->symmetric != id) continue;
      Discard(part);
      Unmap(part);
      delete part;
    }
    return;
  }
  u64 first = u64(a->base - base_) >> kPageShift;
  if (a->cta) {
    shared_.Give(first, a->pages);  // the next CTA poisons it
  } else {
    Discard(a);
    private_[a->rank].Give(first, a->pages);
  }
  Unmap(a);
  delete a;
}

Allocation* Arena::Nearest(const void* p) const {
  u8* at = static_cast<u8*>(const_cast<void*>(p));
  if (!Contains(at) || by_address_.empty()) return nullptr;
  auto next = by_address_.upper_bound(at);
  Allocation* above = next == by_address_.end() ? nullptr : next->second;
  Allocation* below = next == by_address_.begin() ? nullptr : std::prev(next)->second;
  if (!below || !above) return below ? below : above;
  return u64(above->base - at) < u64(at - (below->base + below->bytes)) ? above : below;
}

void Arena::Poison(u8* p, u64 bytes) {
  Cell* c = &CellOf(p);
  for (u64 i = 0, n = (bytes + 3) / 4; i < n; ++i) {
    if (c[i].more) DropList(c[i]);
    c[i] = Cell{{}, {}, 0, 0, 15};
  }
  std::memset(p, 0xff, bytes);
  if (Allocation* a = At(p)) a->unwritten = true;
}

void Arena::MarkWritten(u8* p, u64 bytes) {
  Allocation* a = At(p);
  if (!a || !a->unwritten) return;
  if (p == a->base && bytes >= a->bytes) a->unwritten = false;
  for (u8 *q = p, *end = p + bytes; q < end;) {
    u32 offset = u64(q) & 3, n = u32(std::min<u64>(4 - offset, u64(end - q)));
    Cell& c = CellOf(q);
    if (c.unwritten) c.unwritten &= ~((15u >> (4 - n)) << offset);
    q += n;
  }
}

void Arena::Clear(u8* p, u64 bytes) {
  // Cells are cleared only where something is: reading untouched ones costs no memory.
  for (u8 *q = p, *end = p + bytes; q < end; q = reinterpret_cast<u8*>((u64(q) | 3) + 1)) {
    Cell& c = CellOf(q);
    if (c.more) DropList(c);
    if (c.write.who) c.write.who = 0;
    if (c.read.who) c.read.who = 0;
    if (c.flat) c.flat = 0;
    if (c.unwritten) c.unwritten = 0;
  }
}

void ForgetAccesses() {
  for (const auto& [base, a] : arena.allocations()) {
    for (u64 i = 0; i < a->bytes; i += 4) {
      Cell& c = arena.CellOf(base + i);
      if (c.write.who) c.write.who = 0;
      if (c.read.who) c.read.who = 0;
      if (c.more) c.more = 0;
      if (c.flat) c.flat = 0;
    }
  }
  core.nodes.resize(1);
  core.free_node = 0;
  core.live_nodes = 0;
}

}  // namespace tilescale::sim
