// SPDX-License-Identifier: MIT
// Digits, injectivity and inverses. The gap test: with the strides of an axis sorted, each larger
// than everything the smaller ones reach together. Then greedy division from the top recovers the
// digits, because what is left is always below the next stride.
#include "compiler/layout/layout.h"
#include "compiler/layout/table.h"

#include <algorithm>
#include <vector>

namespace tilescale {
namespace {

bool DigitBefore(const Digit& a, const Digit& b) {
  if (!(a.axis == b.axis)) return a.axis < b.axis;
  if (a.stride != b.stride) return a.stride < b.stride;
  if (a.n != b.n) return a.n < b.n;
  if (!(a.name == b.name)) return a.name < b.name;
  return a.weight < b.weight;
}

// Whether every digit moves one axis forward and passes the gap test; then no place is hit twice.
// An offset or a swizzle is a bijection and changes nothing.
bool PassesGapTest(const Layout& l) {
  ModeList moving;
  for (int i = 0; i < l.num_groups(); ++i) {
    for (const Mode& m : l.group(i).modes) {
      if (m.n > 1) moving.push_back(m);
    }
  }
  FixedVec<Mode, kMaxModes + kMaxReps> all;
  for (const Mode& m : moving) all.push_back(m);
  for (const Mode& m : l.reps()) {
    if (m.n > 1) all.push_back(m);
  }
  for (const Mode& m : all) {
    if (m.v.size() != 1 || m.v[0].stride <= 0) return false;
  }
  std::sort(all.begin(), all.end(), [](const Mode& a, const Mode& b) {
    if (!(a.v[0].axis == b.v[0].axis)) return a.v[0].axis < b.v[0].axis;
    if (a.v[0].stride != b.v[0].stride) return a.v[0].stride < b.v[0].stride;
    return a.n < b.n;
  });
  int64_t reach = 0;
  for (int i = 0; i < all.size(); ++i) {
    const Term& t = all[i].v[0];
    if (i == 0 || !(all[i - 1].v[0].axis == t.axis)) reach = 0;
    if (t.stride <= reach) return false;
    reach += t.stride * (all[i].n - 1);
  }
  return true;
}

}  // namespace

Expected<DigitList> Layout::Digits() const {
  DigitList out;
  for (int i = 0; i < num_groups() + 1; ++i) {
    bool rep = i == num_groups();
    std::span<const Mode> modes = rep ? std::span<const Mode>(reps_) : group(i).modes;
    int64_t weight = 1;
    for (const Mode& m : modes) {
      if (m.n > 1) {
        if (m.v.size() != 1 || m.v[0].stride < 0) {
          return Refusal{"a digit moves no axis, two axes or backwards"};
        }
        out.push_back(
            Digit{m.v[0].axis, m.v[0].stride, m.n, rep ? kRep : Axis::Dims(group(i).dims), weight});
      }
      weight *= m.n;
    }
  }
  return out;
}

bool Layout::Injective() const {
  if (PassesGapTest(*this)) return true;
  Expected<Table> table = Table::FromLayout(*this);
  return table.ok() && table->Injective();
}

bool Layout::Bijective(std::span<const AxisExtent> extents) const {
  int64_t places = 1;
  for (const AxisExtent& e : extents) {
    if (Extent(e.axis) > e.extent) return false;
    places *= e.extent;
  }
  for (Axis a : Axes()) {
    if (std::none_of(extents.begin(), extents.end(),
                     [&](const AxisExtent& e) { return e.axis == a; })) {
      return false;
    }
  }
  return NumPoints() * NumReplicas() == places && Injective();
}

Expected<Inverse> Invert(const Layout& layout) {
  if (!layout.off().empty()) return Refusal{"offset: subtract it first"};
  TS_TRY(DigitList digits, layout.Digits());
  std::sort(digits.begin(), digits.end(), DigitBefore);
  int64_t reach = 0;
  for (int i = 0; i < digits.size(); ++i) {
    const Digit& d = digits[i];
    if (i == 0 || !(digits[i - 1].axis == d.axis)) reach = 0;
    if (d.stride <= reach) {
      return Refusal{"digits on " + d.axis.Name() + " overlap at stride " +
                     std::to_string(d.stride)};
    }
    reach += d.stride * (d.n - 1);
  }
  Inverse out;
  out.digits = digits;
  for (int i = 0; i < layout.num_groups(); ++i) {
    LayoutGroup g = layout.group(i);
    if (g.Padded() != g.bound) {
      out.limits.push_back(Inverse::Limit{Axis::Dims(g.dims), g.bound});
    }
  }
  out.pre = layout.swz();
  return out;
}

std::optional<FixedVec<Inverse::Coordinate, kMaxDims + 1>> Inverse::At(
    std::span<const Place> place) const {
  FixedVec<Coordinate, kMaxDims + 1> out;
  auto slot = [&](Axis name) -> int64_t& {
    for (Coordinate& c : out) {
      if (c.name == name) return c.value;
    }
    out.push_back(Coordinate{name, 0});
    return out.back().value;
  };
  for (const Digit& d : digits) slot(d.name);
  for (const Place& p : place) {
    int64_t y = pre && p.axis == kAddr ? pre(p.value) : p.value;
    if (y < 0) return std::nullopt;
    for (int i = digits.size() - 1; i >= 0; --i) {
      const Digit& d = digits[i];
      if (!(d.axis == p.axis)) continue;
      int64_t q = y / d.stride;
      y %= d.stride;
      if (q >= d.n) return std::nullopt;
      slot(d.name) += q * d.weight;
    }
    if (y) return std::nullopt;
  }
  for (const Limit& l : limits) {
    for (const Coordinate& c : out) {
      if (c.name == l.name && c.value >= l.bound) return std::nullopt;
    }
    if (l.bound == 0) return std::nullopt;
  }
  return out;
}

Expected<Layout> Inverse::AsLayout(std::span<const Axis> axes) const {
  Shape shape;
  std::vector<ModeList> groups;
  for (Axis axis : axes) {
    std::vector<Digit> on;
    for (const Digit& d : digits) {
      if (d.axis == axis) on.push_back(d);
    }
    ModeList modes;
    int64_t size = 1;
    for (size_t i = 0; i < on.size(); ++i) {
      bool last = i + 1 == on.size();
      if ((i == 0 && on[i].stride > 1) || (!last && on[i + 1].stride % on[i].stride)) {
        return Refusal{axis.Name() + " is not one radix system"};
      }
      int64_t n = last ? on[i].n : on[i + 1].stride / on[i].stride;
      modes.push_back(Mode{n, Strides(on[i].name, on[i].weight)});
      size *= n;
    }
    shape.push_back(size);
    groups.push_back(modes);
  }
  LayoutBuilder out(shape);
  for (size_t k = 0; k < groups.size(); ++k) out.AddDim(int(k), groups[k]);
  return out.Build();
}

}  // namespace tilescale
