// SPDX-License-Identifier: MIT
// Table: a layout that modes cannot say, as explicit values over its box. It answers the queries
// of layouts by enumeration: equality, containment, conversion, vector width, banks, inverse. It
// has no TMA box, no matrix descriptor and no reduction plan.
//
// Text: shape, `table N` with N replicas, then for each axis its values over the row-major box,
// replicas of a point together, `-` for a point outside the domain:
//   2,3 | table 1 | a 0 5 1 4 2 3
#pragma once

#include "compiler/layout/layout.h"

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace tilescale {

// Boxes above this many points are not enumerated: the caller takes the conservative answer.
inline constexpr int64_t kEnumerationLimit = int64_t(1) << 20;

class Table {
 public:
  Table() = default;
  Table(std::vector<int64_t> shape, int64_t replicas);

  static Expected<Table> FromLayout(const Layout& layout);
  static Expected<Table> Parse(std::string_view text);
  std::string Text() const;

  std::span<const int64_t> shape() const { return shape_; }
  int64_t box() const { return int64_t(inside_.size()); }
  int64_t replicas() const { return replicas_; }
  int64_t NumPoints() const;
  bool inside(int64_t point) const { return inside_[size_t(point)] != 0; }
  void set_inside(int64_t point, bool in) { inside_[size_t(point)] = in; }
  std::vector<Axis> Axes() const;
  // Values over the row-major box, replicas of a point together; empty for an absent axis.
  std::span<const int64_t> Values(Axis axis) const;
  std::vector<int64_t>& MutableValues(Axis axis);
  int64_t At(Axis axis, int64_t point, int64_t replica = 0) const;  // 0 for an absent axis

  bool Equals(const Table& o) const;  // the same sets of places for every point
  bool Injective() const;

  // x -> this(index(x)), index over the dims of this; exact. Refused only beyond the limit.
  Expected<Table> Through(const Layout& index) const;
  Expected<Table> Permute(std::span<const int> order) const;
  Expected<Table> Divide(int dim, int64_t tile) const;
  Expected<Table> Reshape(std::span<const int64_t> shape) const;
  Expected<Table> Slice(int dim, int64_t start, int64_t size) const;
  Expected<Table> Drop(int dim, int64_t at) const;
  Expected<Table> Broadcast(int dim, int64_t n) const;

 private:
  std::vector<int64_t> shape_;
  int64_t replicas_ = 1;
  std::vector<uint8_t> inside_;
  std::map<Axis, std::vector<int64_t>> values_;
};

// A layout where modes can say it, else the table.
using AnyLayout = std::variant<Layout, Table>;
std::string TextOf(const AnyLayout& layout);
// One more than the largest place on an axis.
int64_t ExtentOf(const AnyLayout& layout, Axis axis);
Expected<AnyLayout> ParseAny(std::string_view text);
Expected<Table> TableOf(const AnyLayout& layout);
// Modes if exact, else the table.
Expected<AnyLayout> ComposeAny(const AnyLayout& a, const Layout& b);

// -- users' functions (sample.cc)
// -------------------------------------------------------------------- Values of a user's callable
// over the row-major box of `shape`, one array an axis. Tries separate dims, then flattened runs of
// dims (row-major, then column-major), then one XOR of addr, then the table.
struct AxisSamples {
  Axis axis;
  std::vector<int64_t> values;
};
Expected<AnyLayout> FromValues(std::span<const int64_t> shape,
                               std::span<const AxisSamples> samples);
// As a user writes layouts: several outputs for one axis are linearised row-major over their
// ranges; with replicate > 1 the last dim of the samples is the replica.
Expected<AnyLayout> FromSamples(std::span<const int64_t> shape, std::span<const Axis> axes,
                                std::span<const std::vector<int64_t>> outputs,
                                int64_t replicate = 1);

}  // namespace tilescale
