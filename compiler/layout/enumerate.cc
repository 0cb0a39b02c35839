// SPDX-License-Identifier: MIT
#include "compiler/layout/enumerate.h"

#include <array>

namespace tilescale {

BoxWalk::BoxWalk(const Layout& layout) : layout_(layout) {}

template <class F>
void BoxWalk::ForEach(F&& f) const {
  const Layout& l = layout_;
  std::array<int, kMaxDims> group{};       // of each dim
  std::array<int64_t, kMaxDims> weight{};  // of each dim in its group's index
  for (int i = 0; i < l.num_groups(); ++i) {
    LayoutGroup g = l.group(i);
    int64_t w = 1;
    for (size_t k = g.dims.size(); k-- > 0;) {
      const int dim = g.dims[k];
      group[size_t(dim)] = i;
      weight[size_t(dim)] = w;
      w *= l.extent(dim);
    }
  }
  std::array<int64_t, kMaxDims> x{};
  std::array<int64_t, kMaxDims + 1> y{};
  int64_t total = l.Size();
  for (int64_t p = 0; p < total; ++p) {
    f(y);
    for (int d = l.rank() - 1; d >= 0; --d) {
      size_t i = size_t(d);
      y[size_t(group[i])] += weight[i];
      if (++x[i] < l.extent(d)) break;
      y[size_t(group[i])] -= weight[i] * x[i];
      x[i] = 0;
    }
  }
}

std::vector<int64_t> Combinations(std::span<const Mode> modes, Axis axis) {
  std::vector<int64_t> out{0};
  for (const Mode& m : modes) {
    size_t n = out.size();
    for (int64_t i = 1; i < m.n; ++i) {
      for (size_t k = 0; k < n; ++k) out.push_back(out[k] + i * m.v[axis]);
    }
  }
  return out;
}

std::vector<int64_t> BoxWalk::Values(Axis axis) const {
  const Layout& l = layout_;
  std::vector<std::vector<int64_t>> place;  // per group: its contribution at every index
  for (int i = 0; i < l.num_groups(); ++i) {
    LayoutGroup g = l.group(i);
    std::vector<int64_t> all(size_t(l.SizeOf(g)), 0);
    for (int64_t y = 0; y < g.bound; ++y) {
      int64_t rest = y, sum = 0;
      for (const Mode& m : g.modes) {
        sum += rest % m.n * m.v[axis];
        rest /= m.n;
      }
      all[size_t(y)] = sum;
    }
    place.push_back(std::move(all));
  }
  std::vector<int64_t> reps = Combinations(l.reps(), axis);
  bool swizzled = l.swz() && axis == kAddr;
  std::vector<int64_t> out;
  out.reserve(size_t(l.Size()) * reps.size());
  int64_t off = l.off()[axis];
  ForEach([&](const std::array<int64_t, kMaxDims + 1>& y) {
    int64_t at = off;
    for (size_t k = 0; k < place.size(); ++k) at += place[k][size_t(y[k])];
    for (int64_t r : reps) out.push_back(swizzled ? l.swz()(at + r) : at + r);
  });
  return out;
}

std::vector<uint8_t> BoxWalk::Inside() const {
  const Layout& l = layout_;
  std::vector<uint8_t> out;
  if (l.NumPoints() == l.Size()) {
    out.assign(size_t(l.Size()), 1);
    return out;
  }
  out.reserve(size_t(l.Size()));
  ForEach([&](const std::array<int64_t, kMaxDims + 1>& y) {
    bool in = true;
    for (int k = 0; k < l.num_groups(); ++k) in &= y[size_t(k)] < l.group(k).bound;
    out.push_back(in);
  });
  return out;
}

PlaceWalk::PlaceWalk(const Layout& l) : thread_(l.off()[kThread]), slot_(l.off()[kSlot]) {
  dims_.resize(size_t(l.rank()));
  for (int i = 0; i < l.num_groups(); ++i) {
    LayoutGroup g = l.group(i);
    Group group{std::vector<Place>(size_t(l.SizeOf(g))), 0};
    for (size_t y = 0; y < group.at.size(); ++y) {
      int64_t rest = int64_t(y);
      for (const Mode& m : g.modes) {
        group.at[y].thread += rest % m.n * m.v[kThread];
        group.at[y].slot += rest % m.n * m.v[kSlot];
        rest /= m.n;
      }
    }
    int64_t weight = 1;
    for (size_t k = g.dims.size(); k-- > 0;) {
      dims_[size_t(g.dims[k])] = Dim{l.extent(g.dims[k]), 0, weight, i};
      weight *= l.extent(g.dims[k]);
    }
    groups_.push_back(std::move(group));
  }
}

void PlaceWalk::Move(Group* g, int64_t steps) {
  const Place& from = g->at[size_t(g->y)];
  g->y += steps;
  const Place& to = g->at[size_t(g->y)];
  thread_ += to.thread - from.thread;
  slot_ += to.slot - from.slot;
}

void PlaceWalk::Next() {
  for (size_t d = dims_.size(); d-- > 0;) {
    Dim& dim = dims_[d];
    Group& g = groups_[size_t(dim.group)];
    if (++dim.x < dim.extent) return Move(&g, dim.weight);
    Move(&g, -dim.weight * (dim.extent - 1));
    dim.x = 0;
  }
}

}  // namespace tilescale
