// SPDX-License-Identifier: MIT
// Walking the whole box of a layout: what every definition by enumeration is built on.
#pragma once

#include "compiler/layout/layout.h"

#include <cstdint>
#include <vector>

namespace tilescale {

// The index y of every group at every point of the row-major box, one point after the other.
class BoxWalk {
 public:
  explicit BoxWalk(const Layout& layout);

  // Values of one axis over the box, replicas of a point together (first rep mode fastest).
  // Points outside the domain hold 0.
  std::vector<int64_t> Values(Axis axis) const;
  std::vector<uint8_t> Inside() const;

 private:
  // Calls f(group indices) for every point in row-major order.
  template <class F>
  void ForEach(F&& f) const;

  const Layout& layout_;
};

// The places of replica 0 on the thread and slot axes, one point of the row-major box after the
// other, without storing them: for layouts whose domain is their box.
class PlaceWalk {
 public:
  explicit PlaceWalk(const Layout& layout);
  int64_t thread() const { return thread_; }
  int64_t slot() const { return slot_; }
  void Next();

 private:
  struct Place {
    int64_t thread = 0;
    int64_t slot = 0;
  };
  struct Dim {
    int64_t extent, x, weight;  // weight in its group's index
    int group;
  };
  struct Group {
    std::vector<Place> at;  // by index
    int64_t y;
  };
  void Move(Group* g, int64_t steps);

  std::vector<Dim> dims_;
  std::vector<Group> groups_;
  int64_t thread_, slot_;
};

// Sums of all combinations of the modes on one axis, first mode fastest: places of replicas.
std::vector<int64_t> Combinations(std::span<const Mode> modes, Axis axis);

}  // namespace tilescale
