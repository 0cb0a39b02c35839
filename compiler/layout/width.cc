// SPDX-License-Identifier: MIT
// A fragment's accesses seen from its digits, and how wide they can be.
#include "compiler/layout/compose.h"
#include "compiler/layout/memory.h"

#include <algorithm>
#include <bit>
#include <map>

namespace tilescale {
namespace {

// Bits of the swizzle whose source can be set below `top`; the rest do nothing.
Swizzle Live(const Swizzle& swz, int64_t top) {
  if (!swz) return swz;
  int live = int(std::bit_width(uint64_t(std::abs(top)))) - swz.base - swz.shift;
  Swizzle out = swz;
  out.bits = std::min(swz.bits, std::max(0, live));
  return out.bits > 0 ? out : Swizzle{};
}

}  // namespace

Expected<AccessDigits> OverDigits(const Layout& frag, const Layout& mem) {
  TS_TRY(DigitList digits, frag.Digits());
  FixedVec<Axis, kMaxModes> names;
  for (const Digit& d : digits) {
    if (std::find(names.begin(), names.end(), d.name) == names.end()) names.push_back(d.name);
  }
  std::sort(names.begin(), names.end());
  TS_TRY(const Layout outer, JoinFor(mem.Normal(), names));
  AffineWalk walk(outer);
  AccessDigits out;
  std::vector<Mode> all;
  for (const Digit& d : digits) {
    Strides step;
    if (!(d.name == kRep)) step.Add(d.name, d.weight);
    TS_TRY(ModeList parts, walk.Walk(d.n, step, true));
    int64_t w = 1;
    for (const Mode& m : Coalesce(parts, d.n)) {
      out.digits.push_back(
          AccessDigit{d.axis, d.stride * w, m.v[kAddr], m.n, d.name, d.weight * w});
      w *= m.n;
      all.push_back(m);
    }
    out.padded |= w != d.n;
  }
  TS_TRY(Strides off, walk.Finish({}));
  out.off = off[kAddr];
  int64_t top = out.off;
  for (const Mode& m : all) top += std::max<int64_t>(0, m.v[kAddr] * (m.n - 1));
  for (const Mode& m : outer.reps()) top += std::max<int64_t>(0, m.v[kAddr] * (m.n - 1));
  out.swz = Live(outer.swz(), top);
  return out;
}

namespace {

// Whether V-element vectors are legal: V divides the run of slots that walk addresses one by one,
// every other stride, the offset and the swizzle unit; and V never cuts a coordinate's bound.
class WidthTest {
 public:
  WidthTest(const Layout& frag, const AccessDigits& access) : access_(access) {
    for (int i = 0; i < frag.num_groups(); ++i) {
      LayoutGroup g = frag.group(i);
      if (g.Padded() != g.bound) limits_.emplace_back(Axis::Dims(g.dims), g.bound);
    }
    std::vector<AccessDigit> slots;
    for (const AccessDigit& d : access_.digits) {
      if (d.axis == kSlot) slots.push_back(d);
    }
    std::stable_sort(slots.begin(), slots.end(), [](const AccessDigit& a, const AccessDigit& b) {
      return a.stride != b.stride ? a.stride < b.stride : a.addr < b.addr;
    });
    for (const AccessDigit& d : slots) {
      if (d.stride != run_ || d.addr != run_) break;
      walked_.push_back(d);
      run_ *= d.n;
    }
  }

  bool Ok(int64_t v) const {
    if (run_ % v || access_.off % v) return false;
    if (access_.swz && (int64_t(1) << access_.swz.base) % v) return false;
    for (const AccessDigit& d : access_.digits) {
      if (d.axis == kSlot && d.stride < v) continue;
      if (d.addr % v || (d.axis == kSlot && d.stride % v)) return false;
    }
    for (const AccessDigit& d : walked_) {
      int64_t at = d.stride;
      if (at >= v) continue;
      if (v % at || d.n % std::min(d.n, v / at)) return false;
      if (BoundOf(d.name) % (d.weight * std::min(d.n, v / at))) return false;
    }
    return true;
  }

 private:
  int64_t BoundOf(Axis name) const {
    for (auto [limited, bound] : limits_) {
      if (limited == name) return bound;
    }
    return 0;
  }

  const AccessDigits& access_;
  std::vector<std::pair<Axis, int64_t>> limits_;
  std::vector<AccessDigit> walked_;
  int64_t run_ = 1;
};

}  // namespace

int64_t VectorWidth(const Layout& frag, const Layout& mem, int bits, int max_bits, int base_bits) {
  int64_t cap = std::min(max_bits, base_bits) / bits;
  Layout f = frag.Normal();
  Expected<AccessDigits> access = OverDigits(f, mem);
  if (!access.ok() || access->padded) return VectorWidthByDefinition(f, mem, cap);
  return VectorWidthOf(f, *access, cap);
}

int64_t VectorWidthOf(const Layout& frag, const AccessDigits& access, int64_t cap) {
  WidthTest test(frag, access);
  int64_t v = 1;
  while (2 * v <= cap && test.Ok(2 * v)) v *= 2;
  return v;
}

int64_t VectorWidthByDefinition(const AnyLayout& frag, const AnyLayout& mem, int64_t cap) {
  if (cap < 2) return 1;
  Expected<Table> f = TableOf(frag), m = TableOf(mem);
  if (!f.ok() || !m.ok()) return 1;
  std::map<std::pair<int64_t, int64_t>, int64_t> own;  // (thread, slot) -> address
  for (int64_t p = 0; p < f->box(); ++p) {
    if (!f->inside(p)) continue;
    for (int64_t r = 0; r < f->replicas(); ++r) {
      own[{f->At(kThread, p, r), f->At(kSlot, p, r)}] = m->At(kAddr, p);
    }
  }
  auto legal = [&](int64_t v) {
    for (const auto& [place, addr] : own) {
      auto [thread, slot] = place;
      int64_t base = slot / v * v;
      auto first = own.find({thread, base});
      if (first == own.end() || first->second % v) return false;
      if (addr != first->second + slot - base) return false;
      if (own.find({thread, base + v - 1}) == own.end()) return false;
      if (slot + 1 < base + v && own.find({thread, slot + 1}) == own.end()) return false;
    }
    return true;
  };
  int64_t v = int64_t(std::bit_floor(uint64_t(cap)));
  while (v > 1 && !legal(v)) v /= 2;
  return v;
}

}  // namespace tilescale
