// SPDX-License-Identifier: MIT
#include "sim/fiber.h"

#include <cstring>
#include <new>
#include <sys/mman.h>
#include <vector>

namespace tilescale::sim {
namespace {

#if defined(__x86_64__)
constexpr u64 kSavedWords = 6, kEntryWord = 6;
#else
constexpr u64 kSavedWords = 20, kEntryWord = 11;
#endif

constexpr u64 kSlab = 16;          // stacks of one mapping
constexpr u64 kMaxGuards = 16384;  // each splits a mapping in two; Linux allows 65530
constexpr u64 kGuard = 4096;

struct Pool {
  std::vector<u8*> free;
  u64 made = 0;
};

Pool& ThePool() {
  static auto* p = new Pool;
  return *p;
}

void AddSlab(Pool& p) {
  auto* slab = static_cast<u8*>(mmap(nullptr, kSlab * kStackBytes, PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (slab == MAP_FAILED) throw std::bad_alloc();
  for (u64 i = kSlab; i-- > 0;) {
    u8* stack = slab + i * kStackBytes;
    if (p.made < kMaxGuards) mprotect(stack, kGuard, PROT_NONE);
    p.made++;
    p.free.push_back(stack);
  }
}

}  // namespace

u8* TakeStack() {
  Pool& p = ThePool();
  if (p.free.empty()) AddSlab(p);
  u8* stack = p.free.back();
  p.free.pop_back();
  return stack;
}

void GiveStack(u8* stack) {
  ThePool().free.push_back(stack);
}

void* PrepareStack(u8* stack, void (*entry)()) {
  // Tops of stacks start at different cache sets: all are of one size, and one warp's are hot
  // together.
  u64 colour = (reinterpret_cast<u64>(stack) / kStackBytes & 15) * 256;
  auto** top = reinterpret_cast<void**>(stack + kStackBytes - colour) - 2;
  top -= kSavedWords;
  std::memset(top, 0, (kSavedWords + 2) * sizeof(void*));
  top[kEntryWord] = reinterpret_cast<void*>(entry);
  return top;
}

}  // namespace tilescale::sim
