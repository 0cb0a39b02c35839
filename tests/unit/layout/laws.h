// SPDX-License-Identifier: MIT
// Exhaustive families of small layouts, and their meaning by the definition.
#pragma once

#include "compiler/layout/layout.h"

#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <set>
#include <vector>

namespace tilescale::testing {

using Point = std::vector<int64_t>;
using Places = std::set<std::vector<int64_t>>;  // one value an axis

inline std::vector<Point> PointsOf(const Layout& l) {
  std::vector<Point> out;
  Point x(size_t(l.rank()), 0);
  for (int64_t p = 0; p < l.Size(); ++p) {
    if (l.Inside(x)) out.push_back(x);
    for (int d = l.rank() - 1; d >= 0; --d) {
      if (++x[size_t(d)] < l.extent(d)) break;
      x[size_t(d)] = 0;
    }
  }
  return out;
}

// The set of places of every point, from the definition: digits of each group's index times their
// strides, every replica, the swizzle last.
inline Places PlacesOf(const Layout& l, const Point& x, const std::vector<Axis>& axes) {
  std::vector<std::vector<int64_t>> sums(1);
  for (Axis a : axes) sums[0].push_back(l.off()[a]);
  for (int i = 0; i < l.num_groups(); ++i) {
    LayoutGroup g = l.group(i);
    int64_t y = 0;
    for (int8_t d : g.dims) y = y * l.extent(d) + x[size_t(d)];
    for (const Mode& m : g.modes) {
      for (size_t a = 0; a < axes.size(); ++a) sums[0][a] += y % m.n * m.v[axes[a]];
      y /= m.n;
    }
  }
  for (const Mode& m : l.reps()) {
    size_t n = sums.size();
    for (int64_t r = 1; r < m.n; ++r) {
      for (size_t k = 0; k < n; ++k) {
        sums.push_back(sums[k]);
        for (size_t a = 0; a < axes.size(); ++a) sums.back()[a] += r * m.v[axes[a]];
      }
    }
  }
  Places out;
  for (std::vector<int64_t>& place : sums) {
    for (size_t a = 0; a < axes.size(); ++a) {
      if (l.swz() && axes[a] == kAddr) place[a] = l.swz()(place[a]);
    }
    out.insert(place);
  }
  return out;
}

inline std::map<Point, Places> MeaningOf(const Layout& l, const std::vector<Axis>& axes) {
  std::map<Point, Places> out;
  for (const Point& x : PointsOf(l)) out[x] = PlacesOf(l, x, axes);
  return out;
}

// Every mixed radix that covers `bound`: digits of at least 2, the last one just enough or more.
inline std::vector<std::vector<int64_t>> RadicesOf(int64_t bound) {
  if (bound <= 1) return {{}};
  std::vector<std::vector<int64_t>> out;
  for (int64_t n = 2; n <= bound; ++n) {
    for (std::vector<int64_t> rest : RadicesOf(CeilDiv(bound, n))) {
      rest.insert(rest.begin(), n);
      out.push_back(std::move(rest));
    }
  }
  return out;
}

// Every digit system of one index: all radices, every stride from the list for each digit.
inline std::vector<ModeList> SystemsOf(int64_t bound, const std::vector<Strides>& strides) {
  std::vector<ModeList> out;
  for (const std::vector<int64_t>& radix : RadicesOf(bound)) {
    size_t count = 1;
    for (size_t i = 0; i < radix.size(); ++i) count *= strides.size();
    for (size_t code = 0; code < count; ++code) {
      ModeList modes;
      size_t rest = code;
      for (int64_t n : radix) {
        modes.push_back(Mode{n, strides[rest % strides.size()]});
        rest /= strides.size();
      }
      out.push_back(modes);
    }
  }
  return out;
}

inline std::vector<Strides> StridesOn(Axis axis, std::initializer_list<int64_t> values) {
  std::vector<Strides> out;
  for (int64_t v : values) out.push_back(Strides(axis, v));
  return out;
}

// Calls f with every layout of the shape: each dim its own group, and all dims flattened.
inline void ForEachLayout(const std::vector<int64_t>& shape, const std::vector<Strides>& strides,
                          const std::function<void(const Layout&)>& f) {
  DimList all;
  int64_t size = 1;
  for (size_t d = 0; d < shape.size(); ++d) {
    all.push_back(int8_t(d));
    size *= shape[d];
  }
  for (const ModeList& modes : SystemsOf(size, strides)) {
    f(*LayoutBuilder(shape).AddGroup(all, size, modes).Build());
  }
  if (shape.size() != 2) return;
  for (const ModeList& rows : SystemsOf(shape[0], strides)) {
    for (const ModeList& cols : SystemsOf(shape[1], strides)) {
      f(*LayoutBuilder(shape).AddDim(0, rows).AddDim(1, cols).Build());
    }
  }
}

}  // namespace tilescale::testing
