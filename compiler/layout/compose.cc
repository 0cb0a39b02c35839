// SPDX-License-Identifier: MIT
// Composition x -> A(B(x)): exact where no digit of A carries, else refused.
#include "compiler/layout/compose.h"

#include <algorithm>

namespace tilescale {
namespace {

int64_t FloorDiv(int64_t a, int64_t b) {
  int64_t q = a / b;
  return a % b < 0 ? q - 1 : q;
}

std::string DimsText(std::span<const int8_t> dims) {
  std::string out;
  for (size_t i = 0; i < dims.size(); ++i) out += (i ? "," : "") + std::to_string(dims[i]);
  return out;
}

}  // namespace

AffineWalk::AffineWalk(const Layout& a) : a_(a) {
  for (int k = 0; k < a.num_groups(); ++k) {
    begin_.push_back(reach_.size());
    int64_t radix = 1;
    for (const Mode& m : a.group(k).modes) {
      reach_.push_back(Reach{radix, 0, 0});
      radix *= m.n;
    }
    reach_.push_back(Reach{radix, 0, 0});
  }
}

AffineWalk::PerGroup AffineWalk::Flatten(const Strides& v) const {
  PerGroup out;
  for (int k = 0; k < a_.num_groups(); ++k) {
    LayoutGroup g = a_.group(k);
    int64_t sum = 0;
    int64_t weight = 1;
    for (size_t i = g.dims.size(); i-- > 0;) {
      sum += v[Axis::Dim(g.dims[i])] * weight;
      weight *= a_.extent(g.dims[i]);
    }
    if (g.dims.size() > 1) sum += v[Axis::Dims(g.dims)];
    out.push_back(sum);
  }
  return out;
}

Expected<ModeList> AffineWalk::Walk(int64_t n, const Strides& v, bool top) {
  ModeList out;
  PerGroup step = Flatten(v);
  struct Part {
    Reach* reach;
    const Mode* digit;
    int64_t steps;
  };
  while (n > 1) {
    int64_t cap = n;
    FixedVec<Part, kMaxDims> parts;
    for (int k = 0; k < a_.num_groups(); ++k) {
      LayoutGroup g = a_.group(k);
      int64_t b = step[k];
      if (b == 0 || g.modes.empty()) continue;
      int64_t mag = std::abs(b);
      int count = int(g.modes.size());
      int i = count - 1;
      while (reach_[begin_[k] + i].radix > mag) --i;  // radix 0 is 1 <= mag
      int64_t radix = reach_[begin_[k] + i].radix;
      if (b % radix) {
        return Refusal{"step " + std::to_string(b) + " is not a multiple of the digit weight " +
                       std::to_string(radix)};
      }
      int64_t next = reach_[begin_[k] + i + 1].radix;
      if (i + 1 < count && mag * (n - 1) >= next) {
        if (next % mag) {
          return Refusal{"step " + std::to_string(b) + " does not divide the digit boundary " +
                         std::to_string(next)};
        }
        cap = std::min(cap, next / mag);
      }
      parts.push_back(Part{&reach_[begin_[k] + i], &g.modes[size_t(i)], b / radix});
    }
    if (n % cap && !top) {
      return Refusal{std::to_string(n) + " steps do not split into " + std::to_string(cap)};
    }
    Strides place;
    for (const Part& p : parts) {
      place.Add(p.digit->v, p.steps);
      (p.steps > 0 ? p.reach->hi : p.reach->lo) += p.steps * (cap - 1);
    }
    out.push_back(Mode{cap, place});
    n = CeilDiv(n, cap);
    for (int64_t& b : step) b *= cap;
  }
  if (out.overflowed()) return Refusal{"more than " + std::to_string(kMaxModes) + " digits"};
  return out;
}

Expected<Strides> AffineWalk::Finish(const Strides& start) const {
  Strides off = a_.off();
  PerGroup o = Flatten(start);
  for (int k = 0; k < a_.num_groups(); ++k) {
    LayoutGroup g = a_.group(k);
    for (size_t i = 0; i < g.modes.size(); ++i) {
      const Reach& r = reach_[begin_[k] + int(i)];
      const Mode& m = g.modes[i];
      bool last = i + 1 == g.modes.size();
      int64_t d = FloorDiv(o[k], r.radix);
      if (!last) d -= FloorDiv(d, m.n) * m.n;
      if (d + r.lo < 0 || (!last && d + r.hi >= m.n)) {
        return Refusal{"carry out of digit " + std::to_string(i) + " of dims " + DimsText(g.dims)};
      }
      off.Add(m.v, d);
    }
  }
  return off;
}

Expected<Layout> JoinFor(const Layout& a, std::span<const Axis> axes) {
  Layout out = a;
  for (Axis axis : axes) {
    if (!axis.is_dim() || axis.num_dims() < 2) continue;
    FixedVec<int, kMaxDims> dims;
    for (int i = 0; i < axis.num_dims(); ++i) dims.push_back(axis.dim(i));
    TS_TRY(out, out.Join(dims));
  }
  return out;
}

Expected<Layout> Compose(const Layout& a, const Layout& b) {
  if (b.swz()) return Refusal{"the inner map has a swizzle"};
  if (!b.reps().empty()) return Refusal{"the inner map has replicas"};
  TS_TRY(const Layout outer, JoinFor(a.Normal(), b.Axes()));
  const Layout inner = b.Normal();
  AffineWalk walk(outer);
  LayoutBuilder out(inner.shape());
  for (int i = 0; i < inner.num_groups(); ++i) {
    LayoutGroup g = inner.group(i);
    ModeList modes;
    for (size_t k = 0; k < g.modes.size(); ++k) {
      TS_TRY(ModeList part, walk.Walk(g.modes[k].n, g.modes[k].v, k + 1 == g.modes.size()));
      for (const Mode& m : part) modes.push_back(m);
    }
    if (modes.overflowed()) return Refusal{"more than " + std::to_string(kMaxModes) + " digits"};
    out.AddGroup(g.dims, g.bound, modes);
  }
  TS_TRY(Strides off, walk.Finish(inner.off()));
  TS_TRY(Layout result, out.AddReps(outer.reps()).SetOffset(off).SetSwizzle(outer.swz()).Build());
  return result.Normal();
}

}  // namespace tilescale
