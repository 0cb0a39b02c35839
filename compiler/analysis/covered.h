// SPDX-License-Identifier: MIT
// Whether program order alone covers the conflict of two accesses of the machine stage, and if not,
// which barrier does. The tests stand in the order of their cost: modes, releases and acquires,
// storages, slots of a token, equal maps, digits, enumeration; what nothing decides is a conflict.
#pragma once

#include "compiler/analysis/digits.h"
#include "compiler/analysis/lanes.h"
#include "compiler/analysis/writes.h"
#include "compiler/ir/func.h"

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tilescale::analysis {

// Where an access goes, as a function of the thread and of loops. Equal places are one object, so
// what is found out about them is found once.
class Place {
 public:
  // `index`: of the first element. `loops`: begin and extent of the loops it names. Unknown `count`
  // or bounds: the place may be any byte.
  struct Loop {
    const ir::VarObj* var;
    int64_t begin, extent;
  };
  ir::Expr index;
  int64_t count = 1;  // elements; kUnknown: as many as a variable says
  int64_t elem_bytes = 4;
  int64_t bytes = 0;  // of the whole storage, one version or all; 0: global memory
  Threads threads;
  std::vector<Loop> loops;
  // The access happens where all of these hold: conditions on threads and `loops`.
  std::vector<ir::Expr> guards;
  bool bounded = true;  // every variable is a thread, a loop or the same for all threads
  // What block variables and slots add to the index of every thread alike, in normal form. Places
  // are compared without it, which says something only where it is the same.
  std::string shift;
  // The index is row · stride + column with 0 <= column < stride, for a size that the caller gives:
  // places are equal where rows and columns are.
  const ir::VarObj* stride = nullptr;
  Digits digits;
  static constexpr int64_t kUnknown = -1;

  // Which thread touches each granule of the storage: -1 nobody, -2 several. Null: not enumerable.
  struct Owners {
    int64_t granule = 4;
    std::vector<int32_t> by;
  };
  const Owners* owners() const;
  // Elements and the threads that touch them, sorted. Null: not enumerable.
  using Touches = std::vector<std::pair<int64_t, int64_t>>;
  const Touches* touches() const;
  // The index counts whole bytes from where the storage begins: other places may be compared.
  bool from_start = true;

 private:
  mutable std::shared_ptr<Owners> owners_;
  mutable bool enumerated_ = false;
  mutable std::optional<Touches> touches_;
  mutable bool touches_known_ = false;
};

struct Access {
  const ir::StorageObj* storage = nullptr;
  bool shared = false;  // else global
  int64_t base = 0;     // shared: byte address of the storage
  int64_t bytes = 0;    // shared: of the whole storage
  bool write = false, atomic = false;
  bool async = false;  // cp.async not yet waited for by its thread
  // By the elected thread for the whole group. A release comes behind what all its threads did in
  // global memory, an acquire before what they do there.
  bool one = false, release = false, acquire = false;
  bool in_warp =
      false;          // a barrier of the warp has ordered it: only other warps may still conflict
  int64_t group = 0;  // commits of cp.async before it
  const ir::TokenObj* token = nullptr;
  int64_t slot = 0;  // counter of the token's acquire or wait; slots are equal modulo the depth
  std::shared_ptr<const Place> place;
  const ir::GroupObj* group_of = nullptr;  // done by this group, seen from outside of it
  const ir::StmtObj* by = nullptr;         // the innermost statement that does it
  ir::Span span;
};

// What a conflict needs between its two sides: nothing, a barrier of the warp, or of all threads.
enum class Cover : uint8_t { kNothing, kWarp, kBlock };

// Remembers what it found about pairs of places.
class Coverage {
 public:
  explicit Coverage(const ir::Func& f) : aliases_(f) {}
  // `a` came first, and what `a.in_warp` says holds. Waits for asynchronous writes are the caller's
  // business.
  Cover Needed(const Access& a, const Access& b);
  bool Covered(const Access& a, const Access& b) { return Needed(a, b) == Cover::kNothing; }

 private:
  struct Hash {
    size_t operator()(const std::pair<const Place*, const Place*>& p) const {
      return std::hash<const void*>()(p.first) * 31 + std::hash<const void*>()(p.second);
    }
  };
  std::unordered_map<std::pair<const Place*, const Place*>, Cover, Hash> known_;
  Aliases aliases_;
};

}  // namespace tilescale::analysis
