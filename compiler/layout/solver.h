// SPDX-License-Identifier: MIT
// The layout solver: one layout for every fragment and every nest, one family for every shared
// buffer, and an explicit Convert where two of them must differ. It has an answer for every legal
// program.
//
// It knows classes and costs, not ops and not IR: the pass that calls it describes a program as
// the plain structs below, in program order, and reads the Solution back by the same indices.
//
//   variables   fragments (alias classes of buffers) and nests (T.Parallel, and the loops of
//               copies, fills and atomics)
//   merging     variables joined by identity accesses are one class: writes first, then reads by
//               bytes, largest first; never two different hard anchors. A nest that writes no
//               fragment stays its own class, so a copy out of an accumulator may differ from it
//   assigning   hard anchors first; then the classes, largest first. The options of a class are
//               what its known neighbours say and, if it touches memory or nobody speaks, the
//               generated candidates. For each option the other classes are completed by default,
//               the whole program's cost is taken, and the cheapest option is kept. Ties: fewer
//               registers, then the earlier option
//   families    a shared buffer with several legal families takes the one that costs all its
//               users the least, ties in the order of its options
//   conflicts   never stop a compile: the reader's edge gets a Convert; a nest that writes
//               fragments of different anchors writes a temporary and converts it
//
// Worked example, a bias add after a gemm:
//
//   Program p;  p.threads = 128;
//   p.fragments = {{"C", {128, 128}, 32}, {"b", {128}, 32}};
//   p.ops.push_back(Anchor{0, *MakeBlockC(mma_c, 128, 128, {2, 2}), "T.gemm"});
//   p.ops.push_back(Nest{.name = "bias", .shape = {128}, .writes = {{1, {Var(0)}}},
//                        .memory = {{"ld bias", MemorySpace::kGlobal, RowMajor({128}), 32}}});
//   p.ops.push_back(Nest{.name = "add", .shape = {128, 128},
//                        .reads = {{0, {Var(0), Var(1)}}, {1, {Var(1)}}},
//                        .writes = {{0, {Var(0), Var(1)}}}});
//   Solve(p) -> C keeps its anchor; b = `128 | 2:1s 4:1t 8:2s 2:64t | rep 16:4t`, the projection
//   of C's columns: every thread holds the bias of the columns that it owns.
//
// Deterministic: no hash order, no addresses, no time. ExplainText(Solve(p)) is byte-identical
// across runs and processes.
#pragma once

#include "compiler/layout/layout.h"
#include "compiler/layout/memory.h"
#include "compiler/layout/queries.h"
#include "compiler/layout/table.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace tilescale::solver {

// -- input
// ------------------------------------------------------------------------------------------

// One index of a fragment access: loop variable / div + offset, or the constant `offset` (var < 0).
struct Index {
  int var = -1;
  int64_t div = 1;
  int64_t offset = 0;
  bool operator==(const Index&) const = default;
};
inline constexpr Index Var(int v, int64_t div = 1, int64_t offset = 0) {
  return {v, div, offset};
}
inline constexpr Index Zero() {
  return {};
}
using IndexMap = std::vector<Index>;  // one entry a fragment dim

struct Fragment {
  std::string name;
  std::vector<int64_t> shape;
  int bits = 32;
  // Live from op `first` to op `last` (indices into Program::ops, inclusive). last < 0: from the
  // first to the last op that names it.
  int first = 0;
  int last = -1;
  int64_t threads = 0;  // threads that share it; 0: Program::threads
};

struct FragmentAccess {
  int fragment = 0;
  IndexMap index;
  bool partial = false;  // a write that may leave elements of its region as they are
};

struct MemoryAccess {
  std::string name;  // for the report: "ld X"
  MemorySpace space = MemorySpace::kGlobal;
  // buffer < 0: nest points -> element address. A symbolic stride is given as a multiple of its
  // known divisor that is larger than the tile.
  // buffer >= 0: nest points -> dims of Program::buffers[buffer] (right operand of Compose); the
  // address then follows the family that is chosen.
  Layout layout;
  int bits = 32;
  bool store = false;
  int buffer = -1;
};

// A T.Parallel nest, or the loop of a copy, fill or atomic.
struct Nest {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<FragmentAccess> reads;
  std::vector<FragmentAccess> writes;
  std::vector<MemoryAccess> memory;
  int64_t arithmetic = 1;        // instructions a point
  std::optional<Layout> anchor;  // loop_layout
  std::string anchor_why;        // "loop_layout at line 12"
  int64_t weight = 1;            // trip count of the surrounding loops, as far as known
  int64_t threads = 0;           // 0: Program::threads
};

struct Reduce {
  int src = 0;
  int dst = 0;
  int dim = 0;
  int64_t weight = 1;
  bool accumulates = false;  // dst is read, too
};

struct Scan {
  int src = 0;
  int dim = 0;
  int64_t weight = 1;
};

// A layout that an instruction or the user fixes. kDef: the op uses the fragment in it
// (the first such anchor of a fragment holds; later ones convert in and out). kAnnotated: the same,
// written by the user. kRead: this op reads it so; the fragment may differ and is then converted.
enum class AnchorUse { kDef, kAnnotated, kRead };
struct Anchor {
  int fragment = 0;
  Layout layout;
  std::string why;  // "T.gemm mma.sync, 2x2 warps"
  AnchorUse use = AnchorUse::kDef;
  int64_t weight = 1;
  bool writes = true;  // kDef: the op writes it, too
};

// dst is src in another shape (kReshape), with dims permuted (kPermute, dst dim k is src dim
// order[k]) or with other elements (kRecast: factor as in Layout::Recast). alias: the same storage,
// so the layouts must agree; otherwise (an op that transposes) dst is converted where they differ.
enum class ViewKind { kReshape, kPermute, kRecast };
struct View {
  int src = 0;
  int dst = 0;
  ViewKind kind = ViewKind::kReshape;
  bool alias = true;
  std::vector<int> order;
  int dim = 0;
  int64_t factor = 1;
};

// Warps read (or write) `times` 8x8 matrices of a shared buffer with ldmatrix or stmatrix: rows of
// 16 bytes, neighbours along row_dim. It weighs the families of the buffer.
struct MatrixReads {
  int buffer = 0;
  int bits = 16;
  int row_dim = 0;
  int64_t times = 1;
  int64_t weight = 1;
};

using Op = std::variant<Nest, Reduce, Scan, Anchor, View, MatrixReads>;

struct FamilyOption {
  std::string name;   // "linear", "swizzle 128", "pad 8", "annotated"
  AnyLayout layout;   // dims of the buffer -> element address
  int64_t align = 0;  // bytes, if the layout asks for it: swizzles count rows from their own start
};
struct SharedBuffer {
  std::string name;
  // Never empty; the order breaks ties: linear, 128, 64, 32, padded.
  std::vector<FamilyOption> options;
};
// The families of a mask of FamilyKind bits (1 << kind), in tie-break order, that exist for this
// shape and element; padded ones by 16 bytes and by 4.
std::vector<FamilyOption> FamilyOptions(std::span<const int64_t> shape, int bits, int64_t mask);

// Quarter issue slots of one SM. They belong to the target description.
struct Weights {
  int64_t issue = 4;
  int64_t sector = 8;
  int64_t wavefront = 4;
  int64_t shuffle = 8;
  int64_t barrier = 128;
  int64_t spill = 256;      // a register above the budget
  int64_t registers = 200;  // 32-bit registers a thread for fragments
};

struct Program {
  int64_t threads = 128;
  Weights weights;
  std::vector<Fragment> fragments;
  std::vector<SharedBuffer> buffers;
  std::vector<Op> ops;
};

// -- output
// -----------------------------------------------------------------------------------------

struct OptionRecord {
  std::string why;  // "dim 1 fastest, 4 a thread, 32 along", "reduce of x", "follows C"
  Layout layout;
  int64_t cost = -1;    // of the whole program; -1: refused
  std::string refusal;  // why it was refused
};

struct Choice {
  Layout layout;    // normal form
  std::string why;  // "anchor: ..", "follows x", "3 of 17: .."
};

// An op uses a temporary of an operand: converted into it before, or (`write`) out of it after the
// op. All converts of one op and fragment have one temporary. Its shape may be a part of the
// fragment's, from element 0.
struct Convert {
  int fragment = 0;
  int op = 0;  // the op whose operand it is
  bool write = false;
  Layout from;
  Layout to;
  Conversion how;
  int64_t cost = 0;
};

// Why one class has its layout.
struct ClassRecord {
  std::vector<std::string> members;
  std::vector<OptionRecord> options;
  int chosen = -1;  // index into options; -1: anchored
};

struct FamilyRecord {
  std::string name;
  int64_t cost = -1;  // of all accesses to the buffer; -1: refused
  std::string refusal;
};

struct Solution {
  std::vector<Choice> fragments;             // by index
  std::vector<std::optional<Choice>> nests;  // by op index; only for nests
  std::vector<int> families;                 // option index of each buffer
  std::vector<std::vector<FamilyRecord>> family_costs;
  std::vector<Convert> converts;
  std::vector<ClassRecord> classes;
  std::vector<std::string> report;  // per access: width, transfers against ideal; stages
  int64_t cost = 0;
  int64_t registers = 0;  // 32-bit registers a thread for fragments, at the worst point
};

// -- functions
// ----------------------------------------------------------------------------------------

// Refused only where no assignment is legal: an annotated fragment against the loop_layout of the
// nest that writes it ("Layout infer conflict: .."), a view that no layout of its source allows.
Expected<Solution> Solve(const Program& program);

// "convert acc for copy_C: shared, 64 values a thread, 4096 bytes".
std::string DescribeConvert(const Program& program, const Convert& convert);

// What explain() prints: each variable with its layout and why, each access, each reduction, each
// Convert; with `options`, also every option of every class with its cost or refusal.
std::string ExplainText(const Program& program, const Solution& solution, bool options = false);

// The program as text, one line an item, and back; `solve` of the Python tests and of
// tilescale-opt read it (format: solver_text.cc).
Expected<Program> ParseProgram(std::string_view text);

// The fragment layout that holds, for each element, all places where the nest's layout touches it:
// loop variables that the index does not use become replicas.
Expected<Layout> Pull(const Layout& nest, const IndexMap& index,
                      std::span<const int64_t> fragment_shape);
// The nest layout that owns each point where the fragment holds its element; loop variables that
// the index does not use stay in the thread's slots. Refused for divided indices.
Expected<Layout> Push(const Layout& fragment, const IndexMap& index,
                      std::span<const int64_t> nest_shape);

// Every thread holds every element: fragments that are used outside nests.
Expected<Layout> Replicated(std::span<const int64_t> shape, int64_t threads);

// The generated candidates of a class, in their fixed order. fast_dims: the contiguous dims of its
// memory accesses; bits: the widest access.
struct Candidate {
  std::string why;
  Layout layout;
};
std::vector<Candidate> Candidates(std::span<const int64_t> shape, int64_t threads, int bits,
                                  std::span<const int> fast_dims, bool reduced);

}  // namespace tilescale::solver
