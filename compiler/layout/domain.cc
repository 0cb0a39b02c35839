// SPDX-License-Identifier: MIT
// Operations on the domain of a layout: relabelling dims, splitting and joining digits. Each is
// exact, or refused with the reason.
#include "compiler/layout/layout.h"

#include <algorithm>
#include <bit>
#include <vector>

namespace tilescale {
namespace {

std::string DimsText(std::span<const int8_t> dims) {
  std::string out;
  for (size_t i = 0; i < dims.size(); ++i) out += (i ? "," : "") + std::to_string(dims[i]);
  return "(" + out + ")";
}

Refusal Shares(int dim, const LayoutGroup& g) {
  return Refusal{"dim " + std::to_string(dim) + " shares digits with dims " + DimsText(g.dims) +
                 ": relayout before reducing"};
}

// Copies what does not depend on the domain.
Expected<Layout> Finish(LayoutBuilder* b, const Layout& from) {
  return b->AddReps(from.reps()).SetOffset(from.off()).SetSwizzle(from.swz()).Build();
}

bool BadDim(const Layout& l, int dim) {
  return dim < 0 || dim >= l.rank();
}

Refusal NoDim(const Layout& l, int dim) {
  return Refusal{"dim " + std::to_string(dim) + " of a layout of rank " + std::to_string(l.rank())};
}

}  // namespace

Expected<Layout> Layout::Permute(std::span<const int> order) const {
  int inverse[kMaxDims] = {};
  int seen = 0;
  Shape shape;
  for (size_t k = 0; k < order.size(); ++k) {
    if (BadDim(*this, order[k])) return NoDim(*this, order[k]);
    if (seen >> order[k] & 1)
      return Refusal{"a permutation names dim " + std::to_string(order[k]) + " twice"};
    seen |= 1 << order[k];
    inverse[order[k]] = int(k);
    shape.push_back(shape_[order[k]]);
  }
  if (int(order.size()) != rank()) return Refusal{"a permutation must name every dim"};
  LayoutBuilder b(shape);
  for (int i = 0; i < num_groups(); ++i) {
    LayoutGroup g = group(i);
    DimList dims;
    for (int8_t d : g.dims) dims.push_back(int8_t(inverse[d]));
    b.AddGroup(dims, g.bound, g.modes);
  }
  b.SortGroups();
  return Finish(&b, *this);
}

Expected<Layout> Layout::Divide(int dim, int64_t tile) const {
  if (BadDim(*this, dim)) return NoDim(*this, dim);
  if (tile < 1) return Refusal{"a tile of " + std::to_string(tile)};
  int64_t e = shape_[dim];
  LayoutGroup own = group_of(dim);
  if (e % tile && own.dims[0] != dim) {
    return Refusal{"dim " + std::to_string(dim) + " (" + std::to_string(e) +
                   ") is not the slowest of its group and " + std::to_string(tile) +
                   " does not divide it"};
  }
  Shape shape;
  for (int d = 0; d < rank(); ++d) {
    if (d == dim) shape.push_back(CeilDiv(e, tile));
    shape.push_back(d == dim ? tile : shape_[d]);
  }
  LayoutBuilder b(shape);
  for (int i = 0; i < num_groups(); ++i) {
    LayoutGroup g = group(i);
    DimList dims;
    for (int8_t d : g.dims) {
      dims.push_back(int8_t(d + (d > dim)));
      if (d == dim) dims.push_back(int8_t(dim + 1));
    }
    b.AddGroup(dims, g.bound, g.modes);
  }
  return Finish(&b, *this);
}

Expected<Layout> Layout::Join(std::span<const int> dims) const {
  Layout l = Normal();
  FixedVec<int, kMaxDims> groups;
  DimList want, have, all;
  for (int d : dims) {
    if (BadDim(l, d)) return NoDim(l, d);
    all.push_back(int8_t(d));
    if (l.shape_[d] != 1) want.push_back(int8_t(d));
    int i = l.group_index(d);
    if (l.SizeOf(l.group(i)) > 1 && std::find(groups.begin(), groups.end(), i) == groups.end()) {
      groups.push_back(i);
    }
  }
  for (int i : groups) {
    for (int8_t d : l.group(i).dims) have.push_back(d);
  }
  if (!(have == want)) {
    return Refusal{"dims " + DimsText(all) + " are not whole groups in this order"};
  }
  int64_t bound = 1;
  ModeList modes;
  for (int k = groups.size() - 1; k >= 0; --k) {
    LayoutGroup g = l.group(groups[k]);
    if (k > 0 && !(g.Padded() == g.bound && g.bound == l.SizeOf(g))) {
      return Refusal{"dims " + DimsText(g.dims) + " are padded"};
    }
    bound *= g.bound;
    for (const Mode& m : g.modes) modes.push_back(m);
  }
  LayoutBuilder b(shape_);
  for (int i = 0; i < l.num_groups(); ++i) {
    LayoutGroup g = l.group(i);
    if (std::none_of(all.begin(), all.end(), [&](int8_t d) { return g.Has(d); })) {
      b.AddGroup(g.dims, g.bound, g.modes);
    }
  }
  b.AddGroup(all, bound, modes);
  return Finish(&b, l);
}

Expected<Layout> Layout::Reshape(std::span<const int64_t> shape) const {
  int64_t size = 1;
  for (int64_t e : shape) size *= e;
  if (size != Size()) {
    return Refusal{"a reshape keeps the number of elements: " + std::to_string(Size()) + " to " +
                   std::to_string(size)};
  }
  if (shape.size() > size_t(kMaxDims)) {
    return Refusal{"more than " + std::to_string(kMaxDims) + " dims"};
  }
  Layout l = Normal();
  // Segments of old and new dims with the same product, as short as the groups allow.
  struct Segment {
    int i0, i1, j0, j1;
  };
  std::vector<Segment> segments;
  int i = 0, j = 0, n = rank(), m = int(shape.size());
  auto crosses = [&](int at) {
    for (int k = 0; k < l.num_groups(); ++k) {
      auto [lo, hi] = std::ranges::minmax(l.group(k).dims);
      if (lo < at && at <= hi) return true;
    }
    return false;
  };
  while (i < n || j < m) {
    int i0 = i, j0 = j;
    int64_t a = 1, b = 1;
    while (true) {
      if (i < n && (i == i0 || a < b)) {
        a *= l.shape_[i++];
      } else if (j < m && (j == j0 || b < a)) {
        b *= shape[size_t(j++)];
      } else {
        break;
      }
    }
    while (!segments.empty() && crosses(i0)) {
      i0 = segments.back().i0;
      j0 = segments.back().j0;
      segments.pop_back();
    }
    segments.push_back(Segment{i0, i, j0, j});
  }
  LayoutBuilder out(shape);
  for (const Segment& s : segments) {
    if (s.j1 == s.j0) continue;
    DimList dims;
    for (int d = s.j0; d < s.j1; ++d) dims.push_back(int8_t(d));
    if (s.i1 == s.i0) {
      out.AddGroup(dims, 1, {});
      continue;
    }
    FixedVec<int, kMaxDims> old;
    for (int d = s.i0; d < s.i1; ++d) old.push_back(d);
    TS_TRY(Layout joined, l.Join(old));
    LayoutGroup g = joined.group_of(s.i0);
    out.AddGroup(dims, g.bound, g.modes);
  }
  TS_TRY(Layout result, Finish(&out, l));
  return result.Normal();
}

Expected<Layout> Layout::Slice(int dim, int64_t start, int64_t size) const {
  if (BadDim(*this, dim)) return NoDim(*this, dim);
  if (start < 0 || size < 0 || start + size > shape_[dim]) {
    return Refusal{"region [" + std::to_string(start) + ", " + std::to_string(start + size) +
                   ") of a dim of " + std::to_string(shape_[dim])};
  }
  Layout l = Normal();
  LayoutGroup own = l.group_of(dim);
  if (own.bound != l.SizeOf(own)) return Refusal{"slice of a dim whose domain is not a box"};
  Shape shape = l.shape_;
  shape[dim] = size;
  LayoutBuilder map(shape);
  for (int i = 0; i < l.num_groups(); ++i) {
    LayoutGroup g = l.group(i);
    if (g.Has(dim)) {
      for (int8_t d : g.dims) {
        Mode m{shape[d], Strides(Axis::Dim(d), 1)};
        map.AddDim(d, {&m, 1});
      }
    } else {
      Mode m{l.SizeOf(g), Strides(Axis::Dims(g.dims), 1)};
      map.AddGroup(g.dims, g.bound, {&m, 1});
    }
  }
  map.SetOffset(Strides(Axis::Dim(dim), start));
  TS_TRY(Layout inner, map.Build());
  return Compose(l, inner);
}

Expected<Layout> Layout::Drop(int dim, int64_t at) const {
  TS_TRY(Layout l, Slice(dim, at, 1));
  Shape shape = l.shape_;
  shape.erase(dim);
  LayoutBuilder b(shape);
  for (int i = 0; i < l.num_groups(); ++i) {
    LayoutGroup g = l.group(i);
    if (g.Is(dim)) continue;
    DimList dims;
    for (int8_t d : g.dims) dims.push_back(int8_t(d - (d > dim)));
    b.AddGroup(dims, g.bound, g.modes);
  }
  return Finish(&b, l);
}

Expected<ModeList> Layout::Free(Axis axis, int64_t extent) const {
  Layout l = Normal();
  std::vector<std::pair<int64_t, int64_t>> used;  // stride, n
  auto add = [&](const Mode& m) {
    if (m.v[axis]) used.emplace_back(m.v[axis], m.n);
  };
  for (const Mode& m : l.modes_) add(m);
  for (const Mode& m : l.reps_) add(m);
  std::sort(used.begin(), used.end());
  ModeList out;
  int64_t at = 1;
  for (auto [s, n] : used) {
    if (s < 0 || s % at) {
      return Refusal{"places on " + axis.Name() + " between " + std::to_string(at) + " and " +
                     std::to_string(s) + " are not a whole digit"};
    }
    if (s > at) out.push_back(Mode{s / at, Strides(axis, at)});
    at = s * n;
  }
  if (extent / at > 1) out.push_back(Mode{extent / at, Strides(axis, at)});
  return out;
}

Expected<Layout> Layout::Repeat(int dim, int64_t n, const Strides& v) const {
  if (BadDim(*this, dim)) return NoDim(*this, dim);
  if (n < 1) return Refusal{"a repeat of " + std::to_string(n)};
  LayoutGroup own = group_of(dim);
  if (own.dims[0] != dim || !(own.Padded() == own.bound && own.bound == SizeOf(own))) {
    return Refusal{"dim " + std::to_string(dim) + " is padded"};
  }
  Shape shape = shape_;
  shape[dim] *= n;
  LayoutBuilder b(shape);
  for (int i = 0; i < num_groups(); ++i) {
    LayoutGroup g = group(i);
    if (!g.Has(dim)) {
      b.AddGroup(g.dims, g.bound, g.modes);
      continue;
    }
    ModeList modes(g.modes);
    modes.push_back(Mode{n, v});
    b.AddGroup(g.dims, g.bound * n, modes);
  }
  return Finish(&b, *this);
}

Expected<Layout> Layout::Broadcast(int dim, int64_t n) const {
  if (dim < 0 || dim > rank()) return NoDim(*this, dim);
  if (rank() == kMaxDims) return Refusal{"more than " + std::to_string(kMaxDims) + " dims"};
  Shape shape = shape_;
  shape.insert(dim, n);
  LayoutBuilder b(shape);
  for (int i = 0; i < num_groups(); ++i) {
    LayoutGroup g = group(i);
    DimList dims;
    for (int8_t d : g.dims) dims.push_back(int8_t(d + (d >= dim)));
    b.AddGroup(dims, g.bound, g.modes);
  }
  Mode still{n, {}};
  b.AddDim(dim, {&still, 1});
  return Finish(&b, *this);
}

Expected<Layout> Layout::Project(int dim, std::span<const LaneRoom> lanes) const {
  if (BadDim(*this, dim)) return NoDim(*this, dim);
  Layout l = Normal();
  int own = l.group_index(dim);
  if (!l.group(own).Is(dim)) return Shares(dim, l.group(own));
  LayoutBuilder b(Shape{});
  Shape shape = l.shape_;
  shape.erase(dim);
  b = LayoutBuilder(shape);
  // The remaining slot digits, renumbered densely; equal strides stay equal.
  std::vector<std::pair<int64_t, int64_t>> slots;  // stride, greatest n
  for (int i = 0; i < l.num_groups(); ++i) {
    if (i == own) continue;
    for (const Mode& m : l.group(i).modes) {
      int64_t s = m.v[kSlot];
      if (!s) continue;
      auto at = std::find_if(slots.begin(), slots.end(), [&](auto& x) { return x.first == s; });
      if (at == slots.end()) {
        slots.emplace_back(s, m.n);
      } else {
        at->second = std::max(at->second, m.n);
      }
    }
  }
  std::sort(slots.begin(), slots.end());
  auto dense = [&](int64_t stride) {
    int64_t at = 1;
    for (auto [s, n] : slots) {
      if (s == stride) break;
      at *= n;
    }
    return at;
  };
  for (int i = 0; i < l.num_groups(); ++i) {
    if (i == own) continue;
    LayoutGroup g = l.group(i);
    DimList dims;
    for (int8_t d : g.dims) dims.push_back(int8_t(d - (d > dim)));
    ModeList modes;
    for (const Mode& m : g.modes) {
      Strides v = m.v.Without(kSlot);
      if (m.v[kSlot]) v.Add(kSlot, dense(m.v[kSlot]));
      modes.push_back(Mode{m.n, v});
    }
    b.AddGroup(dims, g.bound, modes);
  }
  b.AddReps(l.reps_);
  for (const Mode& m : l.group(own).modes) {
    Strides v = m.v.Without(kSlot);
    if (v.empty()) continue;
    int64_t n = m.n;
    for (const LaneRoom& r : lanes) {
      if (r.stride == m.v[kThread]) n = std::max(n, r.n);
    }
    b.AddRep(Mode{n, v});
  }
  b.SetOffset(l.off_.Without(kSlot)).SetSwizzle(l.swz_);
  TS_TRY(Layout out, b.Build());
  return out.Normal();
}

Expected<Layout> Layout::Recast(int dim, int64_t k, Axis axis) const {
  if (BadDim(*this, dim)) return NoDim(*this, dim);
  int64_t factor = std::abs(k);
  if (factor < 2) return Refusal{"a recast by " + std::to_string(k)};
  Layout l = Normal();
  LayoutGroup own = l.group_of(dim);
  if (!own.Is(dim)) {
    return Refusal{"dim " + std::to_string(dim) + " shares digits with dims " + DimsText(own.dims)};
  }
  int shift = int(std::bit_width(uint64_t(factor))) - 1;
  if (l.swz_ && !std::has_single_bit(uint64_t(factor))) {
    return Refusal{"a swizzled layout recasts by powers of two only"};
  }
  bool narrower = k > 1;  // elements become narrower, strides grow
  ModeList outer(own.modes);
  if (!narrower) {
    std::optional<SplitModes> cut = SplitAt(own.modes, factor);
    bool unit = cut && cut->inner.size() == 1 && cut->inner[0] == Mode{factor, Strides(axis, 1)};
    if (own.bound % factor || !unit) {
      return Refusal{std::to_string(factor) + " neighbours along dim " + std::to_string(dim) +
                     " are not one aligned unit"};
    }
    outer = cut->outer;
    bool splits = l.off_[axis] % factor != 0 || (l.swz_ && l.swz_.base < shift);
    for (const Mode& m : outer) splits |= m.v[axis] % factor != 0;
    for (const Mode& m : l.reps_) splits |= m.v[axis] % factor != 0;
    for (int i = 0; i < l.num_groups(); ++i) {
      if (l.group(i).Is(dim)) continue;
      for (const Mode& m : l.group(i).modes) splits |= m.v[axis] % factor != 0;
    }
    if (splits) return Refusal{"other strides split the wider element"};
  }
  auto scale = [&](const Strides& v) {
    int64_t s = v[axis];
    Strides out = v;
    out.Add(axis, (narrower ? s * factor : s / factor) - s);
    return out;
  };
  Shape shape = l.shape_;
  shape[dim] = narrower ? shape[dim] * factor : shape[dim] / factor;
  LayoutBuilder b(shape);
  for (int i = 0; i < l.num_groups(); ++i) {
    LayoutGroup g = l.group(i);
    ModeList modes;
    if (g.Is(dim) && narrower) modes.push_back(Mode{factor, Strides(axis, 1)});
    for (const Mode& m : g.Is(dim) ? std::span<const Mode>(outer) : g.modes) {
      modes.push_back(Mode{m.n, scale(m.v)});
    }
    int64_t bound = !g.Is(dim) ? g.bound : narrower ? g.bound * factor : g.bound / factor;
    b.AddGroup(g.dims, bound, modes);
  }
  for (const Mode& m : l.reps_) b.AddRep(Mode{m.n, scale(m.v)});
  Swizzle swz = l.swz_;
  if (swz) swz.base += narrower ? shift : -shift;
  TS_TRY(Layout out, b.SetOffset(scale(l.off_)).SetSwizzle(swz).Build());
  return out.Normal();
}

}  // namespace tilescale
