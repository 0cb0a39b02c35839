// SPDX-License-Identifier: MIT
// Ownership, conversion and reduction plans of fragments; and whether ldmatrix loads one.
#include "compiler/layout/queries.h"

#include "compiler/layout/enumerate.h"
#include "compiler/layout/memory.h"
#include "compiler/target/constants.h"

#include <algorithm>
#include <bit>

namespace tilescale {
namespace {

// The digits of a group on one axis alone.
ModeList OnAxis(const LayoutGroup& g, Axis axis) {
  ModeList out;
  for (const Mode& m : g.modes) out.push_back(Mode{m.n, Strides(axis, m.v[axis])});
  return Coalesce(out, g.bound);
}

// Both in normal form: is the place on the axis, without replicas, the same function of the point?
bool SameOnAxis(const Layout& a, const Layout& b, Axis axis) {
  if (a.num_groups() != b.num_groups() || a.off()[axis] != b.off()[axis]) return false;
  for (int i = 0; i < a.num_groups(); ++i) {
    LayoutGroup x = a.group(i), y = b.group(i);
    if (!std::ranges::equal(x.dims, y.dims) || x.bound != y.bound) return false;
    if (!(OnAxis(x, axis) == OnAxis(y, axis))) return false;
  }
  return true;
}

std::vector<int64_t> Copies(const Layout& l, Axis axis) {
  std::vector<int64_t> out = Combinations(l.reps(), axis);
  if (l.swz() && axis == kAddr) {
    for (int64_t& x : out) x = l.swz()(x);
  }
  std::sort(out.begin(), out.end());
  return out;
}

bool SameDomain(const Table& a, const Table& b) {
  if (!std::ranges::equal(a.shape(), b.shape())) return false;
  for (int64_t p = 0; p < a.box(); ++p) {
    if (a.inside(p) != b.inside(p)) return false;
  }
  return true;
}

// Calls f(point) at the origin, at one-hot points of every dim and at the far corner, until it says
// stop. Two layouts that differ mostly differ at one of them.
template <class F>
bool AnySample(const Layout& l, F&& f) {
  Shape x(l.shape());
  for (int64_t e : x) {
    if (e == 0) return false;
  }
  for (int64_t& e : x) e -= 1;
  if (f(x)) return true;
  for (int64_t& e : x) e = 0;
  if (f(x)) return true;
  for (int d = 0; d < x.size(); ++d) {
    for (int64_t i = 1; i < l.extent(d); i *= 2) {
      x[d] = i;
      if (f(x)) return true;
    }
    x[d] = 0;
  }
  return false;
}

// Whether at this point some place of g, divided by `unit`, is none of f.
bool Misses(const Layout& f, const Layout& g, Axis axis, int64_t unit, const Shape& x) {
  if (!f.Inside(x) || !g.Inside(x)) return false;
  for (int64_t j = 0; j < g.NumReplicas(); ++j) {
    int64_t want = g.At(axis, x, j) / unit;
    bool found = false;
    for (int64_t i = 0; i < f.NumReplicas() && !found; ++i) found = f.At(axis, x, i) / unit == want;
    if (!found) return true;
  }
  return false;
}

// Values over the box, zeros where nothing moves the axis.
std::vector<int64_t> ValuesOrZero(const Table& t, Axis axis) {
  std::span<const int64_t> v = t.Values(axis);
  if (!v.empty()) return {v.begin(), v.end()};
  return std::vector<int64_t>(size_t(t.box() * t.replicas()), 0);
}

bool ContainsByTable(const Table& f, const Table& g, Axis axis) {
  if (!SameDomain(f, g)) return false;
  std::vector<int64_t> a = ValuesOrZero(f, axis), b = ValuesOrZero(g, axis);
  auto nf = f.replicas(), ng = g.replicas();
  for (int64_t p = 0; p < f.box(); ++p) {
    if (!f.inside(p)) continue;
    auto begin = a.begin() + p * nf, end = begin + nf;
    for (int64_t j = 0; j < ng; ++j) {
      if (std::find(begin, end, b[size_t(p * ng + j)]) == end) return false;
    }
  }
  return true;
}

// What one element of b asks of a's copies of it.
class ConversionTally {
 public:
  explicit ConversionTally(int64_t threads) : need_(size_t(threads), 0) {}

  // b's place (t, s); a's copies are (x + dx, y + dy) for every replica.
  void Add(int64_t t, int64_t s, int64_t x, int64_t y, std::span<const int64_t> dx,
           std::span<const int64_t> dy) {
    bool home = false, warp = false, slot = false;
    for (size_t i = 0; i < dx.size(); ++i) {
      home |= x + dx[i] == t;
      warp |= (x + dx[i]) / target::kWarpSize == t / target::kWarpSize;
      slot |= x + dx[i] == t && y + dy[i] == s;
    }
    same_ &= slot;
    moves_ &= home;
    shuffle_ &= warp;
    if (!home) ++need_[size_t(t)];
  }

  Conversion Total(int64_t points, int bits) const {
    if (same_) return Conversion{};
    if (moves_) return Conversion{ConversionKind::kMoves, 0, 0};
    int64_t most = *std::max_element(need_.begin(), need_.end());
    if (shuffle_) return Conversion{ConversionKind::kShuffle, most, 0};
    return Conversion{ConversionKind::kShared, most, CeilDiv(points * bits, 8)};
  }

 private:
  bool same_ = true, moves_ = true, shuffle_ = true;
  std::vector<int64_t> need_;  // values that each thread lacks
};

Expected<Conversion> ConversionByTable(const Table& a, const Table& b, int bits) {
  if (!SameDomain(a, b)) return Refusal{"the fragments have different domains"};
  std::vector<int64_t> ta = ValuesOrZero(a, kThread), sa = ValuesOrZero(a, kSlot);
  std::vector<int64_t> tb = ValuesOrZero(b, kThread), sb = ValuesOrZero(b, kSlot);
  size_t na = size_t(a.replicas()), nb = size_t(b.replicas());
  ConversionTally tally(tb.empty() ? 1 : *std::max_element(tb.begin(), tb.end()) + 1);
  for (size_t p = 0; p < size_t(a.box()); ++p) {
    if (!a.inside(int64_t(p))) continue;
    for (size_t j = p * nb; j < (p + 1) * nb; ++j) {
      tally.Add(tb[j], sb[j], 0, 0, std::span(ta).subspan(p * na, na),
                std::span(sa).subspan(p * na, na));
    }
  }
  return tally.Total(a.NumPoints(), bits);
}

Conversion ConversionByWalk(const Layout& a, const Layout& b, int bits) {
  std::vector<int64_t> ta = Combinations(a.reps(), kThread), sa = Combinations(a.reps(), kSlot);
  std::vector<int64_t> tb = Combinations(b.reps(), kThread), sb = Combinations(b.reps(), kSlot);
  ConversionTally tally(b.Extent(kThread));
  PlaceWalk from(a), to(b);
  for (int64_t p = 0; p < a.Size(); ++p) {
    for (size_t j = 0; j < tb.size(); ++j) {
      tally.Add(to.thread() + tb[j], to.slot() + sb[j], from.thread(), from.slot(), ta, sa);
    }
    from.Next();
    to.Next();
  }
  return tally.Total(a.Size(), bits);
}

Refusal SharedDigits(int dim, const LayoutGroup& g) {
  std::string dims;
  for (int8_t d : g.dims) dims += (dims.empty() ? "" : ",") + std::to_string(d);
  return Refusal{"dim " + std::to_string(dim) + " shares digits with dims (" + dims +
                 "): relayout before reducing"};
}

}  // namespace

// -- containment and conversion -------------------------------------------------------------------

bool Contains(const Layout& f, const Layout& g, Axis axis) {
  if (!std::ranges::equal(f.shape(), g.shape())) return false;
  Layout a = f.Normal(), b = g.Normal();
  if (SameOnAxis(a, b, axis)) {
    std::vector<int64_t> x = Copies(a, axis), y = Copies(b, axis);
    return std::includes(x.begin(), x.end(), y.begin(), std::unique(y.begin(), y.end()));
  }
  if (AnySample(a, [&](const Shape& x) { return Misses(a, b, axis, 1, x); })) return false;
  Expected<Table> x = Table::FromLayout(f), y = Table::FromLayout(g);
  return x.ok() && y.ok() && ContainsByTable(*x, *y, axis);
}

bool CertainlyCrossesWarps(const Layout& a, const Layout& b) {
  return std::ranges::equal(a.shape(), b.shape()) &&
         AnySample(a, [&](const Shape& x) { return Misses(a, b, kThread, target::kWarpSize, x); });
}

bool Contains(const AnyLayout& f, const AnyLayout& g, Axis axis) {
  const Layout* a = std::get_if<Layout>(&f);
  const Layout* b = std::get_if<Layout>(&g);
  if (a && b) return Contains(*a, *b, axis);
  Expected<Table> x = TableOf(f), y = TableOf(g);
  return x.ok() && y.ok() && ContainsByTable(*x, *y, axis);
}

const char* Name(ConversionKind kind) {
  static constexpr const char* kNames[] = {"same", "moves", "shuffle", "shared"};
  return kNames[int(kind)];
}

Expected<Conversion> ConversionOf(const Layout& a, const Layout& b, int bits) {
  Layout x = a.Normal(), y = b.Normal();
  if (std::ranges::equal(x.shape(), y.shape()) && SameOnAxis(x, y, kThread)) {
    bool slots_move = false;  // do replicas differ in slots?
    for (const Mode& m : x.reps()) slots_move |= m.v[kSlot] != 0;
    for (const Mode& m : y.reps()) slots_move |= m.v[kSlot] != 0;
    if (!slots_move && Contains(x, y)) {
      return Conversion{SameOnAxis(x, y, kSlot) ? ConversionKind::kSame : ConversionKind::kMoves, 0,
                        0};
    }
  }
  bool boxes = x.NumPoints() == x.Size() && y.NumPoints() == y.Size();
  if (boxes && std::ranges::equal(x.shape(), y.shape()) && x.Size() > 0 &&
      x.Size() <= kEnumerationLimit && x.NumReplicas() * y.NumReplicas() <= kEnumerationLimit) {
    return ConversionByWalk(x, y, bits);
  }
  TS_TRY(Table ta, Table::FromLayout(x));
  TS_TRY(Table tb, Table::FromLayout(y));
  return ConversionByTable(ta, tb, bits);
}

Expected<Conversion> ConversionOf(const AnyLayout& a, const AnyLayout& b, int bits) {
  const Layout* x = std::get_if<Layout>(&a);
  const Layout* y = std::get_if<Layout>(&b);
  if (x && y) return ConversionOf(*x, *y, bits);
  TS_TRY(Table ta, TableOf(a));
  TS_TRY(Table tb, TableOf(b));
  return ConversionByTable(ta, tb, bits);
}

// -- reductions
// --------------------------------------------------------------------------------------

const char* Name(StageKind kind) {
  static constexpr const char* kNames[] = {"slots", "lanes", "warps"};
  return kNames[int(kind)];
}

Expected<ReducePlan> PlanReduce(const Layout& layout, int dim) {
  if (dim < 0 || dim >= layout.rank()) {
    return Refusal{"dim " + std::to_string(dim) + " of a layout of rank " +
                   std::to_string(layout.rank())};
  }
  Layout l = layout.Normal();
  LayoutGroup g = l.group_of(dim);
  if (!g.Is(dim)) return SharedDigits(dim, g);
  FixedVec<int64_t, kMaxModes + kMaxReps> used;  // thread strides
  for (int i = 0; i < l.num_groups(); ++i) {
    for (const Mode& m : l.group(i).modes) used.push_back(m.v[kThread]);
  }
  for (const Mode& m : l.reps()) used.push_back(m.v[kThread]);
  int64_t slots = 1, warps = 1;
  ReducePlan lanes;
  for (const Mode& m : g.modes) {
    int64_t s = m.v[kThread], n = m.n;
    if (s == 0) {
      slots *= n;
      continue;
    }
    if (m.v[kSlot]) return Refusal{"a digit moves thread and slot together"};
    if (s < 0) return Refusal{"a digit moves threads backwards"};
    if (s >= target::kWarpSize) {
      warps *= n;
      continue;
    }
    // A digit that straddles the warp splits there: a butterfly inside the warp, then whole warps.
    int64_t inside = std::min(n, std::max<int64_t>(target::kWarpSize / s, 1));
    int64_t p = int64_t(std::bit_ceil(uint64_t(inside)));
    bool room = std::has_single_bit(uint64_t(s)) && s * p <= target::kWarpSize;
    for (int64_t u : used) room &= u <= s || u % (s * p) == 0;
    // Two digits of one stride: lanes that hold several of the elements in one register.
    room &= std::count(used.begin(), used.end(), s) == 1;
    if (!room) {
      return Refusal{std::to_string(n) + " lanes " + std::to_string(s) +
                     " apart have no aligned power-of-two room: through shared memory"};
    }
    lanes.push_back(ReduceStage{StageKind::kLanes, p, s});
    warps *= CeilDiv(n, inside);
  }
  std::sort(lanes.begin(), lanes.end(),
            [](const ReduceStage& a, const ReduceStage& b) { return a.stride < b.stride; });
  ReducePlan out;
  if (slots > 1) out.push_back(ReduceStage{StageKind::kSlots, slots, 1});
  for (const ReduceStage& s : lanes) {
    if (s.n > 1) out.push_back(s);
  }
  if (warps > 1) out.push_back(ReduceStage{StageKind::kWarps, warps, 1});
  return out;
}

Expected<Layout> ReduceResult(const Layout& layout, int dim) {
  TS_TRY(ReducePlan plan, PlanReduce(layout, dim));
  std::vector<Layout::LaneRoom> lanes;
  for (const ReduceStage& s : plan) {
    if (s.kind == StageKind::kLanes) lanes.push_back(Layout::LaneRoom{s.stride, s.n});
  }
  return layout.Project(dim, lanes);
}

// -- ldmatrix
// ----------------------------------------------------------------------------------------

Expected<LdmatrixForm> LdmatrixFormOf(const Layout& frag, const Layout& shared, int bits) {
  Layout f = frag.Normal();
  int64_t e = target::kRegisterBits / bits;  // elements of a register
  if (e < 1) return Refusal{std::to_string(bits) + "-bit elements do not fit 32-bit registers"};
  TS_TRY(AccessDigits access, OverDigits(f, shared));
  for (int i = 0; i < f.num_groups(); ++i) {
    if (f.group(i).bound != f.group(i).Padded()) return Refusal{"ragged fragment"};
  }
  if (access.padded) return Refusal{"memory splits a digit unevenly"};
  if (access.swz && (int64_t(1) << access.swz.base) % (4 * e)) {
    return Refusal{"the swizzle splits 16-byte rows"};
  }
  // The digits that one 8x8 matrix is made of: neighbours in a register, 4 lanes, 8 lanes.
  struct Step {
    int64_t addr = 0;
    int64_t n = 1;
  };
  Step pair, quad, oct;
  std::vector<const AccessDigit*> rest;
  for (const AccessDigit& d : access.digits) {
    if (d.axis == kSlot && d.stride == 1) {
      pair = Step{d.addr, d.n};
    } else if (d.axis == kThread && d.stride == 1) {
      quad = Step{d.addr, d.n};
    } else if (d.axis == kThread && d.stride == 4) {
      oct = Step{d.addr, d.n};
    } else {
      rest.push_back(&d);
    }
  }
  if (quad.n != 4 || oct.n != 8) return Refusal{"lanes are not 8 groups of 4"};
  bool trans;
  if (pair.addr == 1 && pair.n == e && quad.addr == e) {
    trans = false;
  } else if (bits == 16 && oct.addr == 1 && pair.n == 2 && quad.addr == 2 * pair.addr) {
    trans = true;
  } else {
    return Refusal{"a thread's register does not hold neighbours of a row or a column"};
  }
  int64_t row = trans ? pair.addr : oct.addr;
  bool aligned = row % (4 * e) == 0 && access.off % (4 * e) == 0;
  int64_t slots = 1;
  for (const AccessDigit* d : rest) {
    aligned &= d->addr % (4 * e) == 0;
    if (d->axis == kSlot) slots *= d->n;
  }
  if (!aligned) return Refusal{"rows are not 16-byte aligned"};
  return LdmatrixForm{slots % 4 == 0 ? 4 : slots % 2 == 0 ? 2 : 1, trans};
}

}  // namespace tilescale
