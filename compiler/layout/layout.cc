// SPDX-License-Identifier: MIT
// Parts, meaning and assembly of layouts.
#include "compiler/layout/layout.h"

#include <algorithm>
#include <bit>

namespace tilescale {
namespace {

// Sizes beyond these are refused where a layout is assembled, so that no sum of digit times stride
// can leave 64 bits.
constexpr int64_t kMaxExtent = int64_t(1) << 40;
constexpr int64_t kMaxSize = int64_t(1) << 60;
constexpr int64_t kMaxStride = int64_t(1) << 48;

// a * b, or a value above every limit.
int64_t CappedProduct(int64_t a, int64_t b) {
  int64_t out;
  if (__builtin_mul_overflow(a, b, &out) || out > kMaxSize) return kMaxSize + 1;
  return out;
}

int64_t TopOf(const Mode& m, Axis axis) {
  return std::max<int64_t>(m.v[axis] * (m.n - 1), 0);
}

std::optional<std::string> CheckMode(const Mode& m) {
  if (m.n < 1 || m.n > kMaxExtent) return "a digit has " + std::to_string(m.n) + " values";
  if (m.v.overflowed()) return "a digit moves more than " + std::to_string(kMaxTerms) + " axes";
  for (const Term& t : m.v) {
    if (t.stride > kMaxStride || t.stride < -kMaxStride) {
      return "stride " + std::to_string(t.stride) + " is out of range";
    }
  }
  return std::nullopt;
}

}  // namespace

int64_t LayoutGroup::Padded() const {
  int64_t n = 1;
  for (const Mode& m : modes) n *= m.n;
  return n;
}

bool LayoutGroup::Has(int dim) const {
  return std::find(dims.begin(), dims.end(), int8_t(dim)) != dims.end();
}

std::string Axis::Name() const {
  static constexpr const char* kNames[] = {"addr", "col", "cta",  "lane",
                                           "rank", "rep", "slot", "thread"};
  if (!is_dim()) return kNames[place()];
  std::string out = std::to_string(dim(0));
  for (int i = 1; i < num_dims(); ++i) out += "." + std::to_string(dim(i));
  return out;
}

// -- parts ----------------------------------------------------------------------------------------

int64_t Layout::Size() const {
  int64_t n = 1;
  for (int64_t e : shape_) n *= e;
  return n;
}

LayoutGroup Layout::group(int i) const {
  const GroupRec& g = groups_[i];
  return {g.dims, g.bound, {modes_.begin() + g.begin, size_t(g.count)}};
}

int Layout::group_index(int dim) const {
  for (int i = 0; i < groups_.size(); ++i) {
    for (int8_t d : groups_[i].dims) {
      if (d == dim) return i;
    }
  }
  return -1;
}

int64_t Layout::SizeOf(const LayoutGroup& g) const {
  int64_t n = 1;
  for (int8_t d : g.dims) n *= shape_[d];
  return n;
}

// -- meaning --------------------------------------------------------------------------------------

int64_t Layout::NumReplicas() const {
  int64_t n = 1;
  for (const Mode& m : reps_) n *= m.n;
  return n;
}

int64_t Layout::NumPoints() const {
  int64_t n = 1;
  for (const GroupRec& g : groups_) n *= g.bound;
  return n;
}

bool Layout::Inside(std::span<const int64_t> point) const {
  for (const GroupRec& g : groups_) {
    int64_t y = 0;
    for (int8_t d : g.dims) y = y * shape_[d] + point[size_t(d)];
    if (y >= g.bound) return false;
  }
  return true;
}

int64_t Layout::At(Axis axis, std::span<const int64_t> point, int64_t replica) const {
  int64_t out = off_[axis];
  for (int i = 0; i < num_groups(); ++i) {
    LayoutGroup g = group(i);
    int64_t y = 0;
    for (int8_t d : g.dims) y = y * shape_[d] + point[size_t(d)];
    for (const Mode& m : g.modes) {
      out += y % m.n * m.v[axis];
      y /= m.n;
    }
  }
  for (const Mode& m : reps_) {
    out += replica % m.n * m.v[axis];
    replica /= m.n;
  }
  return swz_ && axis == kAddr ? swz_(out) : out;
}

FixedVec<Axis, 16> Layout::Axes() const {
  FixedVec<Axis, 16> out;
  auto add = [&](const Strides& v) {
    for (const Term& t : v) {
      int i = 0;
      while (i < out.size() && out[i] < t.axis) ++i;
      if (i == out.size() || !(out[i] == t.axis)) out.insert(i, t.axis);
    }
  };
  add(off_);
  for (const Mode& m : modes_) {
    if (m.n > 1) add(m.v);
  }
  for (const Mode& m : reps_) {
    if (m.n > 1) add(m.v);
  }
  return out;
}

bool Layout::Moves(Axis axis) const {
  for (Axis a : Axes()) {
    if (a == axis) return true;
  }
  return false;
}

int64_t Layout::Extent(Axis axis) const {
  int64_t top = off_[axis];
  for (const Mode& m : modes_) top += TopOf(m, axis);
  for (const Mode& m : reps_) top += TopOf(m, axis);
  // A swizzle stays inside the aligned block of its source bits.
  if (swz_ && axis == kAddr && top >= int64_t(1) << (swz_.base + swz_.shift)) {
    int64_t block = int64_t(1) << (swz_.base + swz_.shift + swz_.bits);
    top = top / block * block + block - 1;
  }
  return top + 1;
}

bool Layout::Identical(const Layout& o) const {
  if (!(shape_ == o.shape_ && reps_ == o.reps_ && off_ == o.off_ && swz_ == o.swz_)) return false;
  if (num_groups() != o.num_groups()) return false;
  for (int i = 0; i < num_groups(); ++i) {
    LayoutGroup a = group(i), b = o.group(i);
    if (a.bound != b.bound || !std::ranges::equal(a.dims, b.dims) ||
        !std::ranges::equal(a.modes, b.modes)) {
      return false;
    }
  }
  return true;
}

// -- with one part replaced
// -------------------------------------------------------------------------

Layout Layout::WithoutReplicas() const {
  Layout out = *this;
  out.reps_.clear();
  return out;
}

Expected<Layout> Layout::WithReplicas(std::span<const Mode> reps) const {
  LayoutBuilder b(shape_);
  for (int i = 0; i < num_groups(); ++i) {
    LayoutGroup g = group(i);
    b.AddGroup(g.dims, g.bound, g.modes);
  }
  return b.AddReps(reps).SetOffset(off_).SetSwizzle(swz_).Build();
}

Layout Layout::WithOffset(const Strides& off) const {
  Layout out = *this;
  out.off_ = off;
  return out;
}

Expected<Layout> Layout::WithSwizzle(const Swizzle& swz) const {
  if (swz.bits > swz.shift) return Refusal{"a swizzle must not overlap itself"};
  Layout out = *this;
  out.swz_ = swz;
  return out;
}

Layout Layout::Renamed(Axis from, Axis to) const {
  Layout out = *this;
  auto rename = [&](Strides& v) {
    int64_t s = v[from];
    v = v.Without(from);
    v.Add(to, s);
  };
  for (Mode& m : out.modes_) rename(m.v);
  for (Mode& m : out.reps_) rename(m.v);
  rename(out.off_);
  return out;
}

// -- builder
// ------------------------------------------------------------------------------------------

LayoutBuilder::LayoutBuilder(std::span<const int64_t> shape) {
  out_.shape_ = Shape(shape);
}

LayoutBuilder& LayoutBuilder::AddGroup(std::span<const int8_t> dims, int64_t bound,
                                       std::span<const Mode> modes) {
  Layout::GroupRec g;
  g.dims = DimList(dims);
  g.bound = bound;
  g.begin = int16_t(out_.modes_.size());
  g.count = int16_t(modes.size());
  for (const Mode& m : modes) out_.modes_.push_back(m);
  if (g.dims.overflowed() || out_.modes_.overflowed()) overflowed_ = true;
  out_.groups_.push_back(g);
  return *this;
}

LayoutBuilder& LayoutBuilder::AddDim(int dim, std::span<const Mode> modes) {
  int8_t d = int8_t(dim);
  return AddGroup({&d, 1}, dim < out_.shape_.size() ? out_.shape_[dim] : 1, modes);
}

LayoutBuilder& LayoutBuilder::AddRep(const Mode& mode) {
  out_.reps_.push_back(mode);
  return *this;
}

LayoutBuilder& LayoutBuilder::AddReps(std::span<const Mode> modes) {
  for (const Mode& m : modes) AddRep(m);
  return *this;
}

LayoutBuilder& LayoutBuilder::SetOffset(const Strides& off) {
  out_.off_ = off;
  return *this;
}

LayoutBuilder& LayoutBuilder::SetSwizzle(const Swizzle& swz) {
  out_.swz_ = swz;
  return *this;
}

LayoutBuilder& LayoutBuilder::SortGroups() {
  auto least = [](const Layout::GroupRec& g) {
    return g.dims.empty() ? int8_t(0) : *std::min_element(g.dims.begin(), g.dims.end());
  };
  std::stable_sort(out_.groups_.begin(), out_.groups_.end(),
                   [&](const auto& a, const auto& b) { return least(a) < least(b); });
  return *this;
}

Expected<Layout> LayoutBuilder::Build() const {
  if (out_.shape_.overflowed() || out_.groups_.overflowed()) {
    return Refusal{"more than " + std::to_string(kMaxDims) + " dims"};
  }
  if (overflowed_) return Refusal{"more than " + std::to_string(kMaxModes) + " digits"};
  if (out_.reps_.overflowed()) {
    return Refusal{"more than " + std::to_string(kMaxReps) + " replica digits"};
  }
  int64_t size = 1;
  for (int64_t e : out_.shape_) {
    if (e < 0 || e > kMaxExtent) return Refusal{"extent " + std::to_string(e) + " is out of range"};
    size = CappedProduct(size, e);
  }
  if (size > kMaxSize) return Refusal{"the shape has more than 2^60 points"};
  int seen[kMaxDims] = {};
  int dims = 0;
  for (int i = 0; i < out_.num_groups(); ++i) {
    LayoutGroup g = out_.group(i);
    for (int8_t d : g.dims) {
      if (d < 0 || d >= out_.rank() || seen[d]++) {
        return Refusal{"the groups do not partition the dims: dim " + std::to_string(d)};
      }
      ++dims;
    }
    int64_t padded = 1;
    for (const Mode& m : g.modes) {
      if (auto why = CheckMode(m)) return Refusal{*why};
      padded = CappedProduct(padded, m.n);
    }
    if (padded > kMaxSize) return Refusal{"the digits of a group have more than 2^60 values"};
    if (g.bound < 0 || g.bound > out_.SizeOf(g)) {
      return Refusal{"bound " + std::to_string(g.bound) + " is not within its " +
                     std::to_string(out_.SizeOf(g)) + " points"};
    }
    if (padded < g.bound) {
      return Refusal{"digits of " + std::to_string(padded) + " values do not cover " +
                     std::to_string(g.bound) + " points"};
    }
  }
  if (dims != out_.rank()) {
    return Refusal{"the groups do not partition the dims: " + std::to_string(dims) + " of " +
                   std::to_string(out_.rank())};
  }
  for (const Mode& m : out_.reps_) {
    if (auto why = CheckMode(m)) return Refusal{*why};
  }
  if (auto why = CheckMode(Mode{1, out_.off_})) return Refusal{*why};
  const Swizzle& s = out_.swz_;
  if (s.bits < 0 || s.base < 0 || s.shift < 0 || s.bits + s.base + s.shift > 48) {
    return Refusal{"a swizzle is out of range"};
  }
  if (s.bits > s.shift) return Refusal{"a swizzle must not overlap itself"};
  return out_;
}

// -- common layouts
// -------------------------------------------------------------------------------------

Layout RowMajor(std::span<const int64_t> shape, int64_t pitch) {
  LayoutBuilder b(shape);
  int64_t at = 1;
  Shape strides(shape);
  for (int d = int(shape.size()) - 1; d >= 0; --d) {
    strides[d] = at;
    at *= d == int(shape.size()) - 1 && pitch > 0 ? pitch : shape[size_t(d)];
  }
  for (int d = 0; d < int(shape.size()); ++d) {
    Mode m{shape[size_t(d)], Strides(kAddr, strides[d])};
    b.AddDim(d, {&m, 1});
  }
  return b.BuildUnchecked();
}

Layout IdentityLayout(std::span<const int64_t> shape) {
  LayoutBuilder b(shape);
  for (int d = 0; d < int(shape.size()); ++d) {
    Mode m{shape[size_t(d)], Strides(Axis::Dim(d), 1)};
    b.AddDim(d, {&m, 1});
  }
  return b.BuildUnchecked();
}

}  // namespace tilescale
