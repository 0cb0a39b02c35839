// SPDX-License-Identifier: MIT
#include "compiler/analysis/covered.h"

#include "compiler/arith/analyzer.h"
#include "compiler/ir/build.h"
#include "compiler/target/target.h"

#include <algorithm>
#include <numeric>

namespace tilescale::analysis {

using namespace ir;  // NOLINT

namespace {

constexpr int64_t kMaxPoints = int64_t(1) << 18;  // of one place
// Stands for a stride of which nothing is known: rows and columns are smaller.
constexpr int64_t kAnyStride = int64_t(1) << 40;
constexpr int32_t kNobody = -1, kSeveral = -2;

// Calls f(thread, index) for each thread and each point of the loops where the access happens;
// false: not enumerable.
template <typename F>
bool ForEachPoint(const Place& p, int64_t cost, const F& f) {
  if (!p.bounded || p.count == Place::kUnknown) return false;
  int64_t points = 1;
  for (const Place::Loop& l : p.loops) {
    points *= std::max<int64_t>(1, l.extent);
    if (points > kMaxPoints) return false;
  }
  if (points * p.threads.count * std::max<int64_t>(1, cost) > kMaxPoints) return false;
  auto names = [&](const VarObj* v) -> Meaning {
    for (size_t i = 0; i < p.loops.size(); ++i) {
      if (p.loops[i].var == v) return {Meaning::kLoop, i, Expr()};
    }
    if (v == p.stride) return {Meaning::kBound, 0, MakeConst(kAnyStride, Int(64))};
    return {Meaning::kSame, 0, Expr()};
  };
  LaneProgram index(p.threads, p.index, names);
  if (!index.exact()) return false;
  std::vector<LaneProgram> guards;
  for (const Expr& g : p.guards) guards.emplace_back(p.threads, g, names);
  std::vector<int64_t> at;
  at.reserve(p.loops.size());
  for (const Place::Loop& l : p.loops) at.push_back(l.begin);
  for (int64_t n = 0; n < points; ++n) {
    index.Run(at);
    for (LaneProgram& g : guards) g.Run(at);
    for (size_t t = 0; t < static_cast<size_t>(p.threads.count); ++t) {
      bool happens = std::all_of(guards.begin(), guards.end(), [&](const LaneProgram& g) {
        return !g.known(t) || g.value(t) != 0;
      });
      if (happens) f(p.threads.first + static_cast<int64_t>(t), index.value(t));
    }
    for (size_t i = 0; i < at.size(); ++i) {
      if (++at[i] < p.loops[i].begin + p.loops[i].extent) break;
      at[i] = p.loops[i].begin;
    }
  }
  return true;
}

// Bytes of two places that two different threads touch.
Cover CompareOwners(const Place& a, const Place& b) {
  if (a.shift != b.shift) return Cover::kBlock;
  const Place::Owners *x = a.owners(), *y = b.owners();
  if (x == nullptr || y == nullptr) return Cover::kBlock;
  int64_t g = std::min(x->granule, y->granule);
  size_t n = std::min(x->by.size() * x->granule, y->by.size() * y->granule) / g;
  Cover worst = Cover::kNothing;
  for (size_t i = 0; i < n; ++i) {
    int32_t p = x->by[i * g / x->granule], q = y->by[i * g / y->granule];
    if (p == kNobody || q == kNobody) continue;
    if (p == q && p >= 0) continue;
    if (p < 0 || q < 0 || p / target::kWarpSize != q / target::kWarpSize) return Cover::kBlock;
    worst = Cover::kWarp;
  }
  return worst;
}

// Elements of the two places in global memory are equal where their numbers are.
bool Comparable(const Place& a, const Place& b) {
  return &a == &b || (a.from_start && b.from_start && a.shift == b.shift && a.stride == b.stride &&
                      a.elem_bytes == b.elem_bytes);
}

// All elements of one lie before all of the other: so cheap that it is not worth remembering.
bool InOrder(const Place& a, const Place& b) {
  if (&a == &b || !Comparable(a, b)) return false;
  const Place::Touches *x = a.touches(), *y = x == nullptr ? nullptr : b.touches();
  if (x == nullptr || y == nullptr) return false;
  return x->empty() || y->empty() || x->back().first < y->front().first ||
         y->back().first < x->front().first;
}

// Does no thread touch an element of global memory that another one touches at the other place?
bool Apart(const Place& a, const Place& b) {
  if (a.from_start && b.from_start && a.elem_bytes == b.elem_bytes &&
      DigitsDiffer(a.digits, b.digits)) {
    return true;
  }
  if (!Comparable(a, b)) return false;
  const Place::Touches *x = a.touches(), *y = x == nullptr ? nullptr : b.touches();
  if (x == nullptr || y == nullptr) return false;
  size_t i = 0, j = 0;
  while (i < x->size() && j < y->size()) {
    int64_t at = (*x)[i].first;
    if (at != (*y)[j].first) {
      at < (*y)[j].first ? ++i : ++j;
      continue;
    }
    int64_t thread = (*x)[i].second;
    for (; i < x->size() && (*x)[i].first == at; ++i) {
      if ((*x)[i].second != thread) return false;
    }
    for (; j < y->size() && (*y)[j].first == at; ++j) {
      if ((*y)[j].second != thread) return false;
    }
  }
  return true;
}

}  // namespace

const Place::Owners* Place::owners() const {
  if (enumerated_) return owners_.get();
  enumerated_ = true;
  if (stride != nullptr) return nullptr;
  auto out = std::make_shared<Owners>();
  int64_t width = count * elem_bytes;
  out->granule = std::min<int64_t>(std::gcd<int64_t>(width, 16), 16);
  out->by.assign(bytes / out->granule + 1, kNobody);
  auto size = static_cast<int64_t>(out->by.size());
  bool outside = false;
  bool done = ForEachPoint(*this, width / 16, [&](int64_t thread, int64_t at) {
    int64_t begin = at * elem_bytes, end = begin + width;
    for (int64_t g = begin / out->granule; g < (end + out->granule - 1) / out->granule; ++g) {
      if (g < 0 || g >= size) {
        outside = true;
        continue;
      }
      int32_t& owner = out->by[g];
      auto t = static_cast<int32_t>(thread);
      owner = owner == kNobody || owner == t ? t : kSeveral;
    }
  });
  // A shift may bring back what is outside without it.
  if (done && (!outside || shift.empty())) owners_ = out;
  return owners_.get();
}

const Place::Touches* Place::touches() const {
  if (!touches_known_) {
    touches_known_ = true;
    Touches found;
    bool done = ForEachPoint(*this, count, [&](int64_t thread, int64_t at) {
      for (int64_t i = 0; i < count; ++i) found.emplace_back(at + i, thread);
    });
    std::sort(found.begin(), found.end());
    if (done) touches_ = std::move(found);
  }
  return touches_ ? &*touches_ : nullptr;
}

Cover Coverage::Needed(const Access& a, const Access& b) {
  if (a.one && b.one) return Cover::kNothing;  // of the same thread
  if ((a.acquire && !b.shared) || (b.release && !a.shared)) return Cover::kBlock;
  if (!a.write && !b.write) return Cover::kNothing;
  if (a.atomic && b.atomic) return Cover::kNothing;
  if (a.shared != b.shared) return Cover::kNothing;
  if (a.storage != b.storage) {
    if (!a.shared) return aliases_.May(a.storage, b.storage) ? Cover::kBlock : Cover::kNothing;
    // What a pointer reaches has no extent of its own.
    bool placed = a.bytes > 0 && b.bytes > 0;
    bool apart = placed && (a.base + a.bytes <= b.base || b.base + b.bytes <= a.base);
    return apart ? Cover::kNothing : Cover::kBlock;
  }
  if (a.token != nullptr && a.token == b.token) {
    int64_t depth = a.token->depth, distance = a.slot - b.slot;
    if ((distance % depth + depth) % depth != 0) return Cover::kNothing;
  }
  if (!a.shared && InOrder(*a.place, *b.place)) return Cover::kNothing;
  auto [it, fresh] = known_.try_emplace({a.place.get(), b.place.get()}, Cover::kNothing);
  if (fresh && a.shared) it->second = CompareOwners(*a.place, *b.place);
  if (fresh && !a.shared && !Apart(*a.place, *b.place)) it->second = Cover::kBlock;
  if (it->second == Cover::kWarp && a.in_warp) return Cover::kNothing;
  return it->second;
}

}  // namespace tilescale::analysis
