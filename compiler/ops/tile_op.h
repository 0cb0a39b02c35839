// SPDX-License-Identifier: MIT
// The interface between tile ops and passes. Passes include this header and no op's; nothing in
// passes/ names an op: it asks the row.
//
// An op is one folder with one `RegisterTileOp(TileOpDef{…})`. Its behaviour:
//   make       reconciles unknown extents, checks operands against each other, raises the
//   contract's
//              errors. Called by the builder and the parser (through OpSyntax::make).
//   effects    which regions it reads and writes, how the accesses complete (depends on `lowering`)
//   evaluate   its meaning on whole arrays: the oracle. Shares no code with the lowerings
//   lowerings  the ways to lower it, best first
#pragma once

#include "compiler/arith/analyzer.h"
#include "compiler/ir/build.h"
#include "compiler/ir/effects.h"
#include "compiler/ir/op_def.h"
#include "compiler/layout/layout.h"
#include "compiler/target/target.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace tilescale {

using target::Target;

// What an op may know when it is asked whether a lowering is possible.
struct OpContext {
  const Target& target;
  const ir::OptionsObj& options;
  int64_t threads;            // of the group that runs the op
  bool pipelined = false;     // it is a unit of a pipelined loop: asynchronous copies pay
  arith::Analyzer* analyzer;  // with the facts that hold at the op
  bool may_require = true;    // this variant may rely on launch facts
  // Records that the chosen form needs `fact` to hold at launch (Kernel.requires): about the base
  // of a buffer, or values that `of_launch` says the arguments give.
  std::function<void(ir::Expr fact)> require;
  std::function<bool(const ir::Expr& value)> of_launch;
};

// The layouts an op asks for; SolveLayouts implements it. Buffers are named as the op's operands;
// the pass maps views to their storage.
class LayoutConstraints {
 public:
  virtual ~LayoutConstraints() = default;
  // `buffer` (a fragment) must have this layout. Two that disagree: one operand is converted.
  virtual void Anchor(const ir::Buffer& buffer, const Layout& layout, std::string why) = 0;
  // The op can read `buffer` (a fragment) in this layout only; another layout is converted first.
  virtual void Operand(const ir::Buffer& buffer, const Layout& layout, std::string why) = 0;
  // dst is src reduced over dim (T.reduce).
  virtual void Reduce(const ir::Buffer& src, const ir::Buffer& dst, int dim) = 0;
  // The op scans `buffer` along dim.
  virtual void Scan(const ir::Buffer& buffer, int dim) = 0;
  // dst[..] has src's layout with these dims (transpose: a permutation).
  virtual void Permute(const ir::Buffer& src, const ir::Buffer& dst, std::vector<int> dims) = 0;
  // How often a warp reads 8x8 matrices (ldmatrix) of `buffer` (shared): rows along dim `row_dim`.
  virtual void MatrixReads(const ir::Buffer& buffer, int row_dim, int64_t times) = 0;
};

// What a lowering may use. It emits statements of the mapped stage: loops, Parallel nests with a
// layout, Calls; shared memory and fragments by logical coordinates, or a fragment's registers
// through Slots.
class LowerContext {
 public:
  virtual ~LowerContext() = default;
  const Target* target = nullptr;
  int64_t threads = 0;  // of the group
  ir::Expr tid;         // index in the group, 0 … threads - 1
  ir::Span span;
  arith::Analyzer* analyzer = nullptr;
  int64_t shared_left = 0;  // bytes of shared memory that nothing of the block needs, at least
  virtual const Layout& LayoutOf(const ir::Buffer& buffer) = 0;
  // A fragment's registers as a 1-D buffer in slot order.
  virtual ir::Buffer Slots(const ir::Buffer& fragment) = 0;
  // A fresh thread-local array, poisoned until written.
  virtual ir::Buffer Local(std::string_view name, ir::DataType dtype, int64_t count) = 0;
  virtual void Emit(ir::Stmt s) = 0;
  // A line of explain() about this op.
  virtual void Note(std::string text) = 0;
};

// Shared memory that a lowering needs besides its operands; PlanReductions allocates it and passes
// it as the op's `workspace` argument.
struct Workspace {
  ir::DataType dtype;
  int64_t elements;
};

// One way to lower one op. SelectOps takes the first that does not refuse and records why the
// others did; when all refuse, the error lists every candidate with its reason.
struct Lowering {
  const char* name;  // "mma"
  std::optional<std::string> (*refuse)(const ir::TileOpObj*, const OpContext&) = nullptr;
  // The op as one Parallel nest: the solver gives it a layout, PartitionAndVectorize the threads.
  // Null for lowerings that are no nest.
  ir::Stmt (*nest)(const ir::TileOpObj*) = nullptr;
  void (*constrain)(const ir::TileOpObj*, int64_t threads, const Target&,
                    LayoutConstraints*) = nullptr;
  // Families that a shared operand may take: mask by argument index; null: any.
  int64_t (*families)(const ir::TileOpObj*, int arg, const Target&) = nullptr;
  std::optional<Workspace> (*workspace)(const ir::TileOpObj*, LowerContext*) = nullptr;
  void (*lower)(const ir::TileOpObj*, LowerContext*) = nullptr;  // null when `nest` is all
  ir::Done done = ir::Done::kProgram;                            // how its writes complete
  // What the user is warned of where this form is taken: a choice that is slow, and what avoids it.
  std::optional<std::string> (*caution)(const ir::TileOpObj*, const OpContext&) = nullptr;
};

// Holds every value of every dtype: 64 bits of mantissa for the 64-bit integers.
using Real = long double;

// Arrays of the sequential oracle (analysis/evaluate): the values of a region.
class EvalContext {
 public:
  virtual ~EvalContext() = default;
  virtual std::vector<int64_t> Extents(const ir::Region& r) = 0;
  // Element at begin + offset; out-of-range global elements read as `other` or 0.
  virtual Real Read(const ir::Region& r, const std::vector<int64_t>& offset) = 0;
  // Rounds to the buffer's dtype; out-of-range global elements are skipped.
  virtual void Write(const ir::Region& r, const std::vector<int64_t>& offset, Real value) = 0;
  virtual Real Scalar(const ir::Expr& e) = 0;
};

struct TileOpDef {
  ir::OpSyntax syntax;
  ir::Effects (*effects)(const ir::TileOpObj*) = nullptr;
  void (*evaluate)(const ir::TileOpObj*, EvalContext*) = nullptr;
  std::vector<Lowering> lowerings;  // best first
};

void RegisterTileOp(TileOpDef def);
const TileOpDef& DefOf(const ir::TileOpObj* op);
const Lowering& LoweringOf(const ir::TileOpObj* op);  // op->lowering must be chosen

// The op that copies a fragment, or its first elements, into one of another layout, its lowering
// chosen: SolveLayouts inserts it, users do not write it.
ir::TileOp MakeConversion(const ir::Region& src, const ir::Region& dst, const ir::Span& span);

struct TileOpRegistration {
  explicit TileOpRegistration(TileOpDef def) { RegisterTileOp(std::move(def)); }
};

}  // namespace tilescale
