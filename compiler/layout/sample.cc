// SPDX-License-Identifier: MIT
// From a user's function, sampled on its whole finite domain, to modes. One index has a unique
// digit system (normal.cc), found by longest linear runs; so a function that separates over dims,
// or over flattened runs of dims, is recognised exactly, as is one with a single XOR of address
// bits. Everything else is a table.
#include "compiler/layout/table.h"

#include <algorithm>
#include <bit>
#include <functional>

namespace tilescale {
namespace {

// Samples over a row-major box: rows of one value an axis.
struct Samples {
  Shape shape;
  FixedVec<Axis, kMaxTerms> axes;
  std::vector<int64_t> v;  // point * axes + axis

  int64_t points() const { return int64_t(v.size()) / std::max(1, axes.size()); }
};

// Digits of a function of one index given as rows g[y], g[0] == 0; nothing if it has none.
std::optional<ModeList> DigitsOf(std::vector<int64_t> g, const Samples& s) {
  size_t k = size_t(s.axes.size());
  ModeList out;
  while (g.size() / k > 1) {
    size_t n = g.size() / k;
    size_t run = n;
    for (size_t y = 0; y < n && run == n; ++y) {
      for (size_t a = 0; a < k; ++a) {
        if (g[y * k + a] != int64_t(y) * g[k + a]) run = y;
      }
    }
    std::vector<int64_t> outer;
    for (size_t y = 0; y < n; y += run) {
      for (size_t a = 0; a < k; ++a) outer.push_back(g[y * k + a]);
    }
    for (size_t y = 0; y < n; ++y) {
      for (size_t a = 0; a < k; ++a) {
        if (g[y * k + a] != int64_t(y % run) * g[k + a] + outer[y / run * k + a]) {
          return std::nullopt;
        }
      }
    }
    Strides v;
    for (size_t a = 0; a < k; ++a) v.Add(s.axes[int(a)], g[k + a]);
    out.push_back(Mode{int64_t(run), v});
    g = std::move(outer);
  }
  if (out.overflowed()) return std::nullopt;
  return out;
}

// Fits a sum over the given runs of dims, each run one flattened index.
std::optional<Layout> FitRuns(const Samples& s, const Swizzle& swz, std::span<const DimList> runs) {
  size_t k = size_t(s.axes.size());
  auto at = [&](size_t i) { return swz ? swz(s.v[i]) : s.v[i]; };
  int rank = s.shape.size();
  std::vector<int64_t> weight(size_t(rank), 1);  // of a dim in the row-major point
  for (int d = rank - 2; d >= 0; --d) weight[size_t(d)] = weight[size_t(d) + 1] * s.shape[d + 1];
  std::vector<std::vector<int64_t>> parts;
  LayoutBuilder out(s.shape);
  for (const DimList& run : runs) {
    int64_t size = 1;
    for (int8_t d : run) size *= s.shape[d];
    std::vector<int64_t> g;
    g.reserve(size_t(size) * k);
    for (int64_t y = 0; y < size; ++y) {
      int64_t rest = y, point = 0;
      for (int i = run.size() - 1; i >= 0; --i) {
        point += rest % s.shape[run[i]] * weight[size_t(run[i])];
        rest /= s.shape[run[i]];
      }
      for (size_t a = 0; a < k; ++a) g.push_back(at(size_t(point) * k + a) - at(a));
    }
    std::optional<ModeList> modes = DigitsOf(g, s);
    if (!modes) return std::nullopt;
    out.AddGroup(run, size, *modes);
    parts.push_back(std::move(g));
  }
  for (int64_t p = 0; p < s.points(); ++p) {
    std::array<int64_t, kMaxDims> y{};
    for (size_t r = 0; r < runs.size(); ++r) {
      for (int8_t d : runs[r]) {
        y[r] = y[r] * s.shape[d] + p / weight[size_t(d)] % s.shape[d];
      }
    }
    for (size_t a = 0; a < k; ++a) {
      int64_t sum = at(a);
      for (size_t r = 0; r < runs.size(); ++r) sum += parts[r][size_t(y[r]) * k + a];
      if (sum != at(size_t(p) * k + a)) return std::nullopt;
    }
  }
  Strides off;
  for (size_t a = 0; a < k; ++a) off.Add(s.axes[int(a)], at(a));
  Expected<Layout> l = out.SetOffset(off).SetSwizzle(swz).Build();
  if (!l.ok()) return std::nullopt;
  return l->Normal();
}

// Separate dims first, then fewer and longer runs; row-major, then column-major.
std::optional<Layout> Fit(const Samples& s, const Swizzle& swz) {
  int rank = s.shape.size();
  int bits = std::max(rank - 1, 0);
  std::vector<uint32_t> cuts;  // bit (bits - 1 - i): a new run starts after the i-th dim
  for (uint32_t c = (1u << bits); c-- > 0;) cuts.push_back(c);
  std::stable_sort(cuts.begin(), cuts.end(),
                   [](uint32_t a, uint32_t b) { return std::popcount(a) > std::popcount(b); });
  for (int pass = 0; pass < (rank > 1 ? 2 : 1); ++pass) {
    for (uint32_t cut : cuts) {
      std::vector<DimList> runs;
      for (int i = 0; i < rank; ++i) {
        if (i == 0 || cut >> (bits - i) & 1) runs.emplace_back();
        runs.back().push_back(int8_t(pass ? rank - 1 - i : i));
      }
      if (auto l = FitRuns(s, swz, runs)) return l;
    }
  }
  return std::nullopt;
}

}  // namespace

Expected<AnyLayout> FromValues(std::span<const int64_t> shape,
                               std::span<const AxisSamples> samples) {
  Samples s;
  s.shape = Shape(shape);
  if (s.shape.overflowed()) return Refusal{"more than " + std::to_string(kMaxDims) + " dims"};
  std::vector<const AxisSamples*> sorted;
  for (const AxisSamples& a : samples) sorted.push_back(&a);
  std::sort(sorted.begin(), sorted.end(),
            [](const auto* a, const auto* b) { return a->axis < b->axis; });
  int64_t points = 1;
  for (int64_t e : shape) points *= e;
  for (const AxisSamples* a : sorted) {
    s.axes.push_back(a->axis);
    if (int64_t(a->values.size()) != points) {
      return Refusal{"expected " + std::to_string(points) + " samples of " + a->axis.Name() +
                     ", got " + std::to_string(a->values.size())};
    }
  }
  if (sorted.empty() || s.axes.overflowed()) return Refusal{"a layout has one to four axes"};
  if (points > kEnumerationLimit) {
    return Refusal{std::to_string(points) + " places are too many to enumerate"};
  }
  if (points == 0) {
    LayoutBuilder b(s.shape);
    for (int d = 0; d < s.shape.size(); ++d) b.AddDim(d, {});
    TS_TRY(Layout empty, b.Build());
    return AnyLayout(empty);
  }
  for (int64_t p = 0; p < points; ++p) {
    for (const AxisSamples* a : sorted) s.v.push_back(a->values[size_t(p)]);
  }
  if (auto l = Fit(s, Swizzle{})) return AnyLayout(*l);
  bool addr = s.axes.size() == 1 && s.axes[0] == kAddr;
  if (addr && *std::min_element(s.v.begin(), s.v.end()) >= 0) {
    int top = int(std::bit_width(uint64_t(*std::max_element(s.v.begin(), s.v.end()))));
    for (int bits = 1; bits < 6; ++bits) {
      for (int base = 0; base < 12; ++base) {
        for (int shift = bits; shift < 12 && base + shift < top; ++shift) {
          if (auto l = Fit(s, Swizzle{bits, base, shift})) return AnyLayout(*l);
        }
      }
    }
  }
  Table out(std::vector<int64_t>(shape.begin(), shape.end()), 1);
  for (const AxisSamples* a : sorted) out.MutableValues(a->axis) = a->values;
  return AnyLayout(std::move(out));
}

Expected<AnyLayout> FromSamples(std::span<const int64_t> shape, std::span<const Axis> axes,
                                std::span<const std::vector<int64_t>> outputs, int64_t replicate) {
  std::vector<int64_t> full(shape.begin(), shape.end());
  if (replicate > 1) full.push_back(replicate);
  std::vector<AxisSamples> samples;
  if (axes.size() == 1 && outputs.size() > 1) {
    std::vector<int64_t> linear(outputs[0].size(), 0);
    for (const std::vector<int64_t>& o : outputs) {
      if (o.size() != linear.size()) return Refusal{"the outputs have different sizes"};
      int64_t range = 1;
      for (int64_t x : o) range = std::max(range, x + 1);
      for (size_t i = 0; i < o.size(); ++i) linear[i] = linear[i] * range + o[i];
    }
    samples.push_back(AxisSamples{axes[0], std::move(linear)});
  } else {
    if (axes.size() != outputs.size()) {
      return Refusal{"expected " + std::to_string(axes.size()) + " outputs, got " +
                     std::to_string(outputs.size())};
    }
    for (size_t i = 0; i < axes.size(); ++i) samples.push_back(AxisSamples{axes[i], outputs[i]});
  }
  TS_TRY(AnyLayout all, FromValues(full, samples));
  if (replicate <= 1) return all;
  int k = int(shape.size());
  if (const Layout* l = std::get_if<Layout>(&all); l && l->group_of(k).Is(k)) {
    LayoutBuilder b(shape);
    for (int i = 0; i < l->num_groups(); ++i) {
      LayoutGroup g = l->group(i);
      if (g.Is(k)) {
        b.AddReps(g.modes);
      } else {
        b.AddGroup(g.dims, g.bound, g.modes);
      }
    }
    TS_TRY(Layout out, b.SetOffset(l->off()).SetSwizzle(l->swz()).Build());
    return AnyLayout(out.Normal());
  }
  Table out(std::vector<int64_t>(shape.begin(), shape.end()), replicate);
  for (const AxisSamples& s : samples) out.MutableValues(s.axis) = s.values;
  return AnyLayout(std::move(out));
}

}  // namespace tilescale
