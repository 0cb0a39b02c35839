// SPDX-License-Identifier: MIT
// Layout: where every element of a tile lives.
//
// One value type answers that for shared and global memory (axis `addr`), for registers (axes
// `thread` and `slot`), for CTAs, ranks and tensor memory (`cta`, `rank`, `lane`, `col`). Units:
// `addr` counts elements of the buffer's dtype, `slot` counts elements in register order.
//
//   shape    (E_0 .. E_{r-1}): the logical extents
//   groups   a partition of the dims. A group ranks its dims row-major (slowest first) into one
//            index y, 0 <= y < bound <= prod E, and reads y in a mixed radix, innermost digit
//            first: modes (n_0, v_0), (n_1, v_1), .. with v_i a vector of strides over the axes
//   reps     modes that belong to no dim: replicas; a point has prod(n) places
//   off      a constant vector
//   swz      (bits, base, shift): addr ^= ((addr >> (base + shift)) & (2^bits - 1)) << base, last
//
//   F(x) = { swz(off + sum over groups and i of digit_i(y) v_i + sum_j rho_j u_j) }
//
// Text: shape, one `|` part a group in dim order, then rep, off, swz.
//
//   16,16 | 8:4t 2:2s | 2:1s 4:1t 2:4s             operand A of mma.sync m16n8k16
//   64,128 | 64:64a | 64:1a 2:4096a | swz 3,3,3    shared: two panels of 128 bytes, swizzled
//   4,257 | 4:32t | 32:1t 9:1s                     257 columns on 32 lanes; 288 > 257 is padding
//   4,257 | *2 96:1t 11:1s                         both dims flattened into one index
//   128 | 2:1s 4:1t 16:2s | rep 8:4t               each element lives in 8 threads, 4 apart
//   16,8 | [1,0] 128:1a                            a group over dims in another order
//   300 | 32:1t 9:1s <280                          only the indices below 280 are in the domain
//
// Worked example. `4,257 | 4:32t | 32:1t 9:1s` at (2, 40): group 0 has y = 2, one digit 2 of
// stride 32 on thread; group 1 has y = 40, digits 40 % 32 = 8 (thread, 1) and 40 / 32 = 1
// (slot, 1). So the element is in thread 2*32 + 8 = 72, slot 1. Backwards, thread 72 slot 1 gives
// the digits 8 and 1, hence column 8 + 32*1 = 40 of row 72 / 32 = 2; slot 8 of that thread would
// be column 8 + 256 = 264 >= 257: a hole, and the guard that codegen prints is exactly that test.
//
// There is one kind of partial domain, an initial segment y < bound of a group's index. Every
// operation is exact or refuses with a reason; nothing is approximate. Where modes cannot say a
// thing, Table (table.h) answers the same queries by enumeration.
//
// Who uses what: compose.cc A(B(x)); invert.cc places -> coordinates; domain.cc divide, join,
// reshape, slice and so on; queries.h relations of fragments; memory.h banks, sectors, vector
// width; tma.h and descriptor.h what the hardware accepts; solver.h chooses layouts.
#pragma once

#include "compiler/layout/fixed_vec.h"
#include "support/expected.h"

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tilescale {

inline constexpr int kMaxDims = 8;    // logical dims of a layout
inline constexpr int kMaxModes = 24;  // digits of all groups together; real layouts have up to 12
inline constexpr int kMaxReps = 8;
inline constexpr int kMaxTerms = 4;  // axes that one digit moves

// A named coordinate of a place. Axes of the hardware are `kAddr` and so on. The right operand of
// Compose maps into the *dims* of another layout: Axis::Dim(1), or Axis::Dims({0, 1}) for the
// row-major index over dims 0 and 1 (text: `8:1@0`, `8:1@0.1`).
class Axis {
 public:
  constexpr Axis() = default;
  static constexpr Axis Place(int id) { return Axis(uint32_t(id) << 4); }
  static constexpr Axis Dim(int d) { return Axis(uint32_t(d + 1)); }
  static constexpr Axis Dims(std::span<const int8_t> dims) {
    uint32_t code = 0;
    for (size_t i = 0; i < dims.size(); ++i) code |= uint32_t(dims[i] + 1) << (4 * i);
    return Axis(code);
  }

  constexpr bool is_dim() const { return (code_ & 15) != 0; }
  constexpr int place() const { return int(code_ >> 4); }
  // Of a dim axis: how many dims it ranks (1 for a plain dim), and the i-th of them.
  constexpr int num_dims() const {
    int n = 0;
    for (uint32_t c = code_; c & 15; c >>= 4) ++n;
    return n;
  }
  constexpr int dim(int i = 0) const { return int((code_ >> (4 * i)) & 15) - 1; }

  constexpr bool operator==(const Axis&) const = default;
  // Order of the text form: dims ("0", "0.1", "1", ..) before place names in the alphabet.
  constexpr bool operator<(const Axis& o) const { return Key() < o.Key(); }
  std::string Name() const;  // "addr", "thread", "1", "0.1"

 private:
  explicit constexpr Axis(uint32_t code) : code_(code) {}
  constexpr uint64_t Key() const {
    if (!is_dim()) return (uint64_t(1) << 40) + code_;
    uint64_t key = 0;
    for (int i = 0; i < 8; ++i) key = key << 4 | ((code_ >> (4 * i)) & 15);
    return key;
  }
  uint32_t code_ = 0;
};

inline constexpr Axis kAddr = Axis::Place(0);    // a
inline constexpr Axis kCol = Axis::Place(1);     // q, tensor memory
inline constexpr Axis kCta = Axis::Place(2);     // c
inline constexpr Axis kLane = Axis::Place(3);    // l, tensor memory
inline constexpr Axis kRank = Axis::Place(4);    // r
inline constexpr Axis kRep = Axis::Place(5);     // names the replica digits of an inverse
inline constexpr Axis kSlot = Axis::Place(6);    // s
inline constexpr Axis kThread = Axis::Place(7);  // t

// A vector of strides over the axes: sorted by axis, without zeros.
struct Term {
  int64_t stride = 0;
  Axis axis;
  constexpr bool operator==(const Term&) const = default;
};

class Strides {
 public:
  constexpr Strides() = default;
  constexpr Strides(Axis axis, int64_t stride) { Add(axis, stride); }
  constexpr Strides(std::initializer_list<Term> terms) {
    for (const Term& t : terms) Add(t.axis, t.stride);
  }
  constexpr void Add(Axis axis, int64_t stride) {
    int i = 0;
    while (i < terms_.size() && terms_[i].axis < axis) ++i;
    if (i < terms_.size() && terms_[i].axis == axis) {
      terms_[i].stride += stride;
      if (terms_[i].stride == 0) terms_.erase(i);
    } else if (stride != 0) {
      terms_.insert(i, Term{stride, axis});
    }
  }
  constexpr void Add(const Strides& o, int64_t factor = 1) {
    for (const Term& t : o) Add(t.axis, t.stride * factor);
  }
  constexpr Strides Times(int64_t k) const {
    Strides out;
    if (k != 0) {
      for (const Term& t : terms_) out.terms_.push_back(Term{t.stride * k, t.axis});
    }
    return out;
  }
  constexpr Strides Without(Axis axis) const {
    Strides out = *this;
    out.Add(axis, -(*this)[axis]);
    return out;
  }
  constexpr int64_t operator[](Axis axis) const {
    for (const Term& t : terms_) {
      if (t.axis == axis) return t.stride;
    }
    return 0;
  }
  constexpr bool empty() const { return terms_.empty(); }
  constexpr int size() const { return terms_.size(); }
  constexpr const Term& operator[](int i) const { return terms_[i]; }
  constexpr const Term* begin() const { return terms_.begin(); }
  constexpr const Term* end() const { return terms_.end(); }
  constexpr bool overflowed() const { return terms_.overflowed(); }
  constexpr bool operator==(const Strides&) const = default;

 private:
  FixedVec<Term, kMaxTerms> terms_;
};

// One digit: n values, each step moves the place by v.
struct Mode {
  int64_t n = 1;
  Strides v;
  constexpr bool operator==(const Mode&) const = default;
};

// XOR of address bits. shift >= bits, so a swizzle is its own inverse. bits == 0: none.
struct Swizzle {
  int32_t bits = 0;
  int32_t base = 0;
  int32_t shift = 0;
  constexpr explicit operator bool() const { return bits > 0; }
  constexpr int64_t operator()(int64_t x) const {
    return x ^ (((x >> (base + shift)) & ((int64_t(1) << bits) - 1)) << base);
  }
  constexpr bool operator==(const Swizzle&) const = default;
};

using Shape = FixedVec<int64_t, kMaxDims>;
using DimList = FixedVec<int8_t, kMaxDims>;
using ModeList = FixedVec<Mode, kMaxModes>;

class Layout;

// One group of a layout, as seen from outside.
struct LayoutGroup {
  std::span<const int8_t> dims;  // slowest first
  int64_t bound;
  std::span<const Mode> modes;  // innermost first

  int64_t Padded() const;  // product of the mode extents: >= bound
  bool Is(int dim) const { return dims.size() == 1 && dims[0] == dim; }
  bool Has(int dim) const;
};

// One digit with its place stride and its weight in the coordinate: what codegen and costs read.
struct Digit {
  Axis axis;
  int64_t stride = 0;
  int64_t n = 1;
  Axis name;  // the coordinate it counts: a dim, a flattened group of dims, or kRep
  int64_t weight = 1;
  bool operator==(const Digit&) const = default;
};
using DigitList = FixedVec<Digit, kMaxModes + kMaxReps>;

class Layout {
 public:
  Layout() = default;  // rank 0, one point, no axis

  // -- text (text.cc) --------------------------------------------------------------------------
  static Expected<Layout> Parse(std::string_view text);
  // For literals of this program: a refusal is a bug and aborts with its reason.
  static Layout Literal(std::string_view text);
  std::string Text() const;

  // -- parts -----------------------------------------------------------------------------------
  int rank() const { return shape_.size(); }
  std::span<const int64_t> shape() const { return shape_; }
  int64_t extent(int dim) const { return shape_[dim]; }
  int64_t Size() const;  // product of the extents
  int num_groups() const { return groups_.size(); }
  LayoutGroup group(int i) const;
  int group_index(int dim) const;  // which group reads this dim
  LayoutGroup group_of(int dim) const { return group(group_index(dim)); }
  int64_t SizeOf(const LayoutGroup& g) const;  // product of the extents of its dims
  std::span<const Mode> reps() const { return reps_; }
  const Strides& off() const { return off_; }
  const Swizzle& swz() const { return swz_; }

  // -- meaning (layout.cc) ---------------------------------------------------------------------
  int64_t NumReplicas() const;
  int64_t NumPoints() const;  // points inside the domain
  bool Inside(std::span<const int64_t> point) const;
  // The place of one point on one axis; replicas count with the first rep mode fastest.
  int64_t At(Axis axis, std::span<const int64_t> point, int64_t replica = 0) const;
  // Axes that some digit, replica or the offset moves, sorted.
  FixedVec<Axis, 16> Axes() const;
  bool Moves(Axis axis) const;
  // 1 + the largest place over the padded digits: the physical size of the axis, holes included.
  // 1 for an axis that nothing moves.
  int64_t Extent(Axis axis) const;

  // -- normal form and equality (normal.cc) ------------------------------------------------------
  // Unique for a function when no group mixes dims in another order: its text is the identity of
  // a layout in the IR.
  Layout Normal() const;
  // The same parts in the same order, not the same function.
  bool Identical(const Layout& o) const;
  // Equality of functions: equal normal forms, or (finite) tables. Other shapes are never equal.
  bool Equals(const Layout& o) const;

  // -- with one part replaced -------------------------------------------------------------------
  Layout WithoutReplicas() const;
  Expected<Layout> WithReplicas(std::span<const Mode> reps) const;
  Layout WithOffset(const Strides& off) const;
  Expected<Layout> WithSwizzle(const Swizzle& swz) const;
  // Axis `from` renamed to `to` in every stride.
  Layout Renamed(Axis from, Axis to) const;

  // -- domain operations (domain.cc): exact or refused --------------------------------------------
  // New dim k is old dim order[k].
  Expected<Layout> Permute(std::span<const int> order) const;
  // Dim of extent E becomes two dims (ceil(E / tile), tile).
  Expected<Layout> Divide(int dim, int64_t tile) const;
  // Dims, slowest first, into one group.
  Expected<Layout> Join(std::span<const int> dims) const;
  // Row-major reinterpretation of the domain.
  Expected<Layout> Reshape(std::span<const int64_t> shape) const;
  // Region [start, start + size) of a dim.
  Expected<Layout> Slice(int dim, int64_t start, int64_t size) const;
  // The region index == at of a dim, without the dim.
  Expected<Layout> Drop(int dim, int64_t at) const;
  // n copies along dim, copy i displaced by i * v: how an atom tiles a block.
  Expected<Layout> Repeat(int dim, int64_t n, const Strides& v) const;
  // A new dim of extent n, at position dim, on which nothing depends.
  Expected<Layout> Broadcast(int dim, int64_t n) const;
  // Modes over the places of [0, extent) of an axis that no digit uses: for replicas on idle
  // threads.
  Expected<ModeList> Free(Axis axis, int64_t extent) const;
  // Forget a dim: its thread digits become replicas, its slots vanish, the other slots are
  // renumbered densely. What holds a reduction's result, and what a nest reads without this
  // variable. lanes {stride, n}: butterflies that were padded to n lanes.
  struct LaneRoom {
    int64_t stride;
    int64_t n;
  };
  Expected<Layout> Project(int dim, std::span<const LaneRoom> lanes = {}) const;
  // View with elements k times smaller (k > 1) or -k times larger (k < -1) along dim.
  Expected<Layout> Recast(int dim, int64_t k, Axis axis = kAddr) const;

  // -- digits and injectivity (invert.cc)
  // ---------------------------------------------------------- Refused where a digit moves no axis,
  // two axes or backwards.
  Expected<DigitList> Digits() const;
  // No place holds two different (point, replica). Gap test, else the places are counted.
  bool Injective() const;
  // Injective, inside the box of the given extents, and as many places as the box has.
  struct AxisExtent {
    Axis axis;
    int64_t extent;
  };
  bool Bijective(std::span<const AxisExtent> extents) const;

 private:
  friend class LayoutBuilder;
  struct GroupRec {
    DimList dims;
    int64_t bound = 1;
    int16_t begin = 0;
    int16_t count = 0;
  };
  Shape shape_;
  FixedVec<GroupRec, kMaxDims> groups_;
  ModeList modes_;  // of all groups; a group owns [begin, begin + count)
  FixedVec<Mode, kMaxReps> reps_;
  Strides off_;
  Swizzle swz_;
};

// Assembles a layout from parts; Build() checks what makes them one: the groups partition the
// dims, the modes of a group cover its bound, a swizzle does not overlap itself, sizes fit.
class LayoutBuilder {
 public:
  explicit LayoutBuilder(std::span<const int64_t> shape);
  LayoutBuilder& AddGroup(std::span<const int8_t> dims, int64_t bound, std::span<const Mode> modes);
  LayoutBuilder& AddDim(int dim, std::span<const Mode> modes);  // one dim, full bound
  LayoutBuilder& AddRep(const Mode& mode);
  LayoutBuilder& AddReps(std::span<const Mode> modes);
  LayoutBuilder& SetOffset(const Strides& off);
  LayoutBuilder& SetSwizzle(const Swizzle& swz);
  LayoutBuilder& SortGroups();  // into the order of their least dim
  Expected<Layout> Build() const;
  // For parts that a caller has taken from a checked layout and that cannot have become too many.
  Layout BuildUnchecked() const { return out_; }

 private:
  Layout out_;
  bool overflowed_ = false;
};

// -- digit systems of one index (normal.cc)
// --------------------------------------------------------- Drops extent-1 digits, cuts what the
// bound never reaches, merges digits that continue each other. The result is unique for the
// function of one index.
ModeList Coalesce(std::span<const Mode> modes, int64_t bound);
// Inner and outer parts with product(inner) == c; nothing when the digits are not aligned to c.
struct SplitModes {
  ModeList inner;
  ModeList outer;
};
std::optional<SplitModes> SplitAt(std::span<const Mode> modes, int64_t c);

// -- composition (compose.cc)
// ------------------------------------------------------------------------- x -> x (+ start), a
// layout whose axes are dims; the usual right operand of Compose.
Layout IdentityLayout(std::span<const int64_t> shape);
// x -> A(B(x)). The axes of B are dims of A, or flattened groups of them.
Expected<Layout> Compose(const Layout& a, const Layout& b);

// -- inverse (invert.cc)
// -------------------------------------------------------------------------------- Places ->
// coordinates by greedy division on each axis. A place that holds nothing is refused, never given a
// wrong coordinate.
struct Inverse {
  DigitList digits;  // sorted by axis, then stride
  struct Limit {
    Axis name;
    int64_t bound;
  };
  FixedVec<Limit, kMaxDims> limits;  // coordinates whose padded digits reach further
  Swizzle pre;                       // applied to addr first

  struct Coordinate {
    Axis name;
    int64_t value;
  };
  struct Place {
    Axis axis;
    int64_t value;
  };
  // Coordinates by name (a dim, a flattened group, kRep), or nothing for a hole.
  std::optional<FixedVec<Coordinate, kMaxDims + 1>> At(std::span<const Place> place) const;
  // As a layout from places (one dim an axis, in the given order) to coordinates, where the
  // strides of each axis divide each other: then (y / s) % r is a digit.
  Expected<Layout> AsLayout(std::span<const Axis> axes) const;
};
// Uses the digits as they are given, not the normal form. Refused where the gap test fails or
// there is an offset.
Expected<Inverse> Invert(const Layout& layout);

// Row-major addresses; pitch > 0 replaces the extent of the last dim (padded rows).
Layout RowMajor(std::span<const int64_t> shape, int64_t pitch = 0);

// ceil(a / b) for a >= 0, b > 0.
constexpr int64_t CeilDiv(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

}  // namespace tilescale
