// SPDX-License-Identifier: MIT
// Normal form. A function of one index has exactly one digit system without extent-1 and mergeable
// digits: v_0 = f(1), n_0 is the longest linear run from 0, and so on for y / n_0. A flattened
// group over several dims is split wherever its digits are aligned to a dim's extent; that split
// exists iff the function separates, so the whole form is unique (groups in dim order).
#include "compiler/layout/layout.h"
#include "compiler/layout/table.h"

#include <algorithm>
#include <bit>
#include <vector>

namespace tilescale {
namespace {

int64_t SizeOfDims(const Layout& l, std::span<const int8_t> dims) {
  int64_t n = 1;
  for (int8_t d : dims) n *= l.extent(d);
  return n;
}

bool ReplicaBefore(const Mode& a, const Mode& b) {
  int n = std::min(a.v.size(), b.v.size());
  for (int i = 0; i < n; ++i) {
    if (!(a.v[i].axis == b.v[i].axis)) return a.v[i].axis < b.v[i].axis;
    int64_t x = std::abs(a.v[i].stride), y = std::abs(b.v[i].stride);
    if (x != y) return x < y;
  }
  if (a.v.size() != b.v.size()) return a.v.size() < b.v.size();
  return a.n < b.n;
}

// Appends the parts of one group: its extent-1 dims, then the fastest runs of dims that the digits
// allow to split off, then what is left.
void AppendNormalGroup(const Layout& l, const LayoutGroup& g, LayoutBuilder* out) {
  DimList dims;
  for (int8_t d : g.dims) {
    if (g.bound > 0 && l.extent(d) == 1) {
      out->AddGroup({&d, 1}, 1, {});
    } else {
      dims.push_back(d);
    }
  }
  int64_t bound = g.bound;
  ModeList modes = Coalesce(g.modes, bound);
  while (dims.size() > 1 && bound == SizeOfDims(l, dims)) {
    std::optional<SplitModes> cut;
    std::span<const int8_t> fast;
    for (int j = 1; j < dims.size() && !cut; ++j) {
      fast = std::span<const int8_t>(dims).last(size_t(j));
      cut = SplitAt(modes, SizeOfDims(l, fast));
    }
    if (!cut) break;
    int64_t size = SizeOfDims(l, fast);
    out->AddGroup(fast, size, Coalesce(cut->inner, size));
    dims.resize(dims.size() - int(fast.size()));
    bound = SizeOfDims(l, dims);
    modes = Coalesce(cut->outer, bound);
  }
  if (!dims.empty()) out->AddGroup(dims, bound, modes);
}

}  // namespace

ModeList Coalesce(std::span<const Mode> modes, int64_t bound) {
  ModeList out;
  int64_t weight = 1;
  int64_t before_last = 1;  // product of all digits of `out` but the last
  for (const Mode& m : modes) {
    if (weight >= bound) break;
    int64_t n = std::min(m.n, CeilDiv(bound, weight));
    weight *= m.n;
    if (n == 1) continue;
    if (!out.empty() && m.v == out.back().v.Times(out.back().n)) {
      out.back().n *= n;
    } else {
      if (!out.empty()) before_last *= out.back().n;
      out.push_back(Mode{n, m.v});
    }
  }
  if (!out.empty()) out.back().n = CeilDiv(bound, before_last);
  return out;
}

std::optional<SplitModes> SplitAt(std::span<const Mode> modes, int64_t c) {
  SplitModes out;
  int64_t p = 1;
  for (size_t i = 0; i < modes.size(); ++i) {
    const Mode& m = modes[i];
    if (p == c) {
      for (; i < modes.size(); ++i) out.outer.push_back(modes[i]);
      return out;
    }
    if (p * m.n > c) {
      if (c % p || m.n % (c / p)) return std::nullopt;
      int64_t a = c / p;
      out.inner.push_back(Mode{a, m.v});
      out.outer.push_back(Mode{m.n / a, m.v.Times(a)});
      for (++i; i < modes.size(); ++i) out.outer.push_back(modes[i]);
      if (out.inner.overflowed() || out.outer.overflowed()) return std::nullopt;
      return out;
    }
    out.inner.push_back(m);
    p *= m.n;
  }
  if (p != c) return std::nullopt;
  return out;
}

Layout Layout::Normal() const {
  LayoutBuilder b(shape_);
  for (int i = 0; i < num_groups(); ++i) AppendNormalGroup(*this, group(i), &b);
  b.SortGroups();
  FixedVec<Mode, kMaxReps> reps;
  for (const Mode& m : reps_) {
    if (m.n > 1 && !m.v.empty()) reps.push_back(m);
  }
  std::stable_sort(reps.begin(), reps.end(), ReplicaBefore);
  FixedVec<Mode, kMaxReps> merged;
  for (const Mode& m : reps) {
    if (!merged.empty() && m.v == merged.back().v.Times(merged.back().n)) {
      merged.back().n *= m.n;
    } else {
      merged.push_back(m);
    }
  }
  b.AddReps(merged).SetOffset(off_);
  if (swz_) {
    // Bits whose source is never set do nothing.
    int64_t top = std::abs(b.BuildUnchecked().Extent(kAddr) - 1);
    int live = int(std::bit_width(uint64_t(top))) - swz_.base - swz_.shift;
    int bits = std::min(swz_.bits, std::max(0, live));
    if (bits > 0) b.SetSwizzle(Swizzle{bits, swz_.base, swz_.shift});
  }
  // Splitting a group can need one digit more; beyond the storage the form stays as it is.
  Expected<Layout> out = b.Build();
  return out.ok() ? *out : *this;
}

bool Layout::Equals(const Layout& o) const {
  if (!(shape_ == o.shape_)) return false;
  Layout a = Normal(), b = o.Normal();
  if (a.Identical(b)) return true;
  bool same_groups = a.num_groups() == b.num_groups();
  for (int i = 0; same_groups && i < a.num_groups(); ++i) {
    same_groups = std::ranges::equal(a.group(i).dims, b.group(i).dims);
  }
  if (same_groups && a.reps_.empty() && b.reps_.empty() && !a.swz_ && !b.swz_) return false;
  Expected<Table> x = Table::FromLayout(*this), y = Table::FromLayout(o);
  return x.ok() && y.ok() && x->Equals(*y);
}

}  // namespace tilescale
