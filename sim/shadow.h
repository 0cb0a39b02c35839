// SPDX-License-Identifier: MIT
// Shadow memory: for every 4 bytes of the arena one cell with the accesses that a later one could
// race with. A cell holds the last write, one group of readers, and a list of other concurrent
// accesses. The set is exact: an entry goes only when a new access by someone who knows it covers
// its bytes (and a strong access never stands for a weak or narrower one, nor for one of another
// CTA: a third access whose scope includes one but not the other would be missed).
#pragma once

#include "sim/clock.h"
#include "sim/types.h"

namespace tilescale::sim {

struct Fiber;

enum AccessFlag : u8 {
  kWrite = 1,
  kStrong = 2,
  kAsyncProxy = 4,
  kScopeShift = 3,
  kScopeMask = 3 << kScopeShift,
  kWord8 = 0x20,  // of 8 bytes: not morally strong to a 4-byte access of the same cell
};
inline u8 StrongFlags(Scope scope, u32 bytes) {
  return u8(kStrong | u8(scope) << kScopeShift | (bytes == 8 ? kWord8 : 0));
}

// One access, or the same access of several lanes of a warp. 16 bytes.
struct Access {
  u32 who = 0;  // CTA:20 | component group:8 (32 lanes of one kind) | byte mask:4
  u32 clock = 0;
  u32 lanes = 0;  // of the group
  u32 site = 0;   // code position:24 | flags:8

  u32 cta() const { return who >> 12; }
  u32 group() const { return who >> 4 & 255; }
  u32 bytes() const { return who & 15; }
  u8 flags() const { return u8(site); }
  Scope scope() const { return Scope((flags() & kScopeMask) >> kScopeShift); }
};
constexpr u32 kMaxCtas = 1u << 20;
constexpr u32 kMaxCode = 1u << 24;

struct Cell {
  Access write, read;  // who == 0: none
  u32 more : 27;       // list of the other concurrent ones
  u32 flat : 1;        // all entries are strong and excuse each other
  u32 unwritten : 4;   // bytes that nobody has written
};
static_assert(sizeof(Cell) == 36);

struct ListNode {
  Access access;
  u32 next = 0;
};

// Checks bounds, initialisation and order of an access of fiber f at its current site, and enters
// it. `kind`, `index` and `clock` name the component of an asynchronous engine's access.
void CheckAccess(u8* p, u64 bytes, u8 flags, Fiber& f, Kind kind = Kind::kThread, u32 index = 0,
                 u32 clock = 0);
// The pending stores of f that equal another lane's: a race only if the values differ.
void SettleSameStores(Fiber& f);
// Drops what the shadow remembers, not which bytes are unwritten; only when nothing runs.
void ForgetAccesses();

}  // namespace tilescale::sim
