// SPDX-License-Identifier: MIT
// The callbacks of instrumented kernel text: its compiler believes in ThreadSanitizer, and we are
// it. A callback for the fiber's own stack returns after one subtraction and comparison.
#include "sim/core.h"
#include "sim/fiber.h"
#include "sim/module.h"
#include "sim/report.h"

#include <cstring>

#define TS_TSAN extern "C" __attribute__((visibility("default")))

namespace tilescale::sim {
namespace {

inline bool OnStack(const void* p) {
  return u64(static_cast<const u8*>(p) - stack_low) < kStackBytes;
}

// Vectors in local arrays must be aligned, too: the host faults on what the device would.
inline bool Misplaced(const void* p, u64 bytes) {
  return bytes == 16 && (u64(p) & 15);
}

[[gnu::noinline]] void Tracked(u8* p, u64 bytes, u8 flags, void* return_address, bool aligned) {
  if (!current) return;  // static initialisation of a module
  Fiber& f = *current;
  f.site = u32(u64(return_address) - code_bias);
  if (aligned && (u64(p) & (bytes - 1)) && (arena.At(p) || OnStack(p)))
    Fail(AlignmentReport(p, bytes, bytes, f));
  // Constant tables of the kernel module are let through; all else outside the arena is wild.
  if (!arena.Contains(p) && f.cta->launch->module->Contains(p)) return;
  if (!core.config.peer_access) CheckPeer(f, p, flags & kWrite);
  CheckAccess(p, bytes, flags, f);
}

}  // namespace
}  // namespace tilescale::sim

using tilescale::sim::kWrite;
using tilescale::sim::Misplaced;
using tilescale::sim::OnStack;
using tilescale::sim::Tracked;
using tilescale::sim::u8;

#define TS_CALLBACK(name, bytes, flags, aligned)                                      \
  TS_TSAN void name(void* p) {                                                        \
    if (OnStack(p) && !(aligned && Misplaced(p, bytes))) return;                      \
    Tracked(static_cast<u8*>(p), bytes, flags, __builtin_return_address(0), aligned); \
  }
#define TS_CALLBACKS(bytes)                                                         \
  TS_CALLBACK(__tsan_read##bytes, bytes, 0, true)                                   \
  TS_CALLBACK(__tsan_write##bytes, bytes, kWrite, true)                             \
  TS_CALLBACK(__tsan_unaligned_read##bytes, bytes, 0, false)                        \
  TS_CALLBACK(__tsan_unaligned_write##bytes, bytes, kWrite, false)                  \
  TS_CALLBACK(__tsan_volatile_read##bytes, bytes, 0, true)                          \
  TS_CALLBACK(__tsan_volatile_write##bytes, bytes, kWrite, true)                    \
  TS_TSAN void __tsan_read_write##bytes(void* p) {                                  \
    if (OnStack(p)) return;                                                         \
    Tracked(static_cast<u8*>(p), bytes, 0, __builtin_return_address(0), true);      \
    Tracked(static_cast<u8*>(p), bytes, kWrite, __builtin_return_address(0), true); \
  }
TS_CALLBACKS(1)
TS_CALLBACKS(2)
TS_CALLBACKS(4)
TS_CALLBACKS(8)
TS_CALLBACKS(16)

TS_TSAN void __tsan_init() {}
TS_TSAN void __tsan_func_entry(void*) {}
TS_TSAN void __tsan_func_exit() {}
TS_TSAN void __tsan_vptr_update(void*, void*) {}
TS_TSAN void __tsan_vptr_read(void*) {}
TS_TSAN void __tsan_read_range(void* p, unsigned long bytes) {
  if (OnStack(p)) return;
  Tracked(static_cast<u8*>(p), bytes, 0, __builtin_return_address(0), false);
}
TS_TSAN void __tsan_write_range(void* p, unsigned long bytes) {
  if (OnStack(p)) return;
  Tracked(static_cast<u8*>(p), bytes, kWrite, __builtin_return_address(0), false);
}

// What compilers make up of loops and struct copies; kernel modules are linked with --wrap.
static void* CopyBytes(void* to, const void* from, unsigned long bytes, void* return_address) {
  if (!OnStack(from)) {
    Tracked(static_cast<u8*>(const_cast<void*>(from)), bytes, 0, return_address, false);
  }
  if (!OnStack(to)) Tracked(static_cast<u8*>(to), bytes, kWrite, return_address, false);
  return std::memmove(to, from, bytes);
}
TS_TSAN void* __wrap_memcpy(void* to, const void* from, unsigned long bytes) {
  return CopyBytes(to, from, bytes, __builtin_return_address(0));
}
TS_TSAN void* __wrap_memmove(void* to, const void* from, unsigned long bytes) {
  return CopyBytes(to, from, bytes, __builtin_return_address(0));
}
TS_TSAN void* __wrap_memset(void* to, int value, unsigned long bytes) {
  if (!OnStack(to))
    Tracked(static_cast<u8*>(to), bytes, kWrite, __builtin_return_address(0), false);
  return std::memset(to, value, bytes);
}

// Atomics are twin functions (scope and order are part of PTX, not of C++): a builtin in the kernel
// text is a mistake, said so at run time.
static void AtomicBuiltin(void* return_address) {
  namespace sim = tilescale::sim;
  sim::Fiber& f = *sim::current;
  f.site = sim::u32(sim::u64(return_address) - sim::code_bias);
  sim::Report r;
  r.kind = "SimulationError";
  r.text =
      "an __atomic builtin in kernel text: atomics must be ts::ptx functions, which have a scope"
      "\n    by " +
      sim::NameOf(f) + " at " + sim::LineOf(f.site).text();
  sim::Fail(std::move(r));
}
#define TS_ATOMIC(name)                         \
  TS_TSAN void __tsan_atomic##name() {          \
    AtomicBuiltin(__builtin_return_address(0)); \
  }
#define TS_ATOMICS(bits)                    \
  TS_ATOMIC(bits##_load)                    \
  TS_ATOMIC(bits##_store)                   \
  TS_ATOMIC(bits##_exchange)                \
  TS_ATOMIC(bits##_fetch_add)               \
  TS_ATOMIC(bits##_fetch_sub)               \
  TS_ATOMIC(bits##_fetch_and)               \
  TS_ATOMIC(bits##_fetch_or)                \
  TS_ATOMIC(bits##_fetch_xor)               \
  TS_ATOMIC(bits##_fetch_nand)              \
  TS_ATOMIC(bits##_compare_exchange_strong) \
  TS_ATOMIC(bits##_compare_exchange_weak)   \
  TS_ATOMIC(bits##_compare_exchange_val)
TS_ATOMICS(8)
TS_ATOMICS(16)
TS_ATOMICS(32)
TS_ATOMICS(64)
TS_ATOMICS(128)
TS_ATOMIC(_thread_fence)
TS_ATOMIC(_signal_fence)
