// SPDX-License-Identifier: MIT
// The pieces of PartitionAndVectorize:
//   memory.cc     logical coordinates → flat addresses, by the layouts of the declarations
//   nest.cc       a Parallel nest → the slot loops of one thread, by the nest's layout
//   vectorize.cc  a loop over consecutive elements → vector accesses
//   copy_async.cc copies global → shared → cp.async
//   pack.cc       elements of less than a byte → bytes
#pragma once

#include "compiler/analysis/writes.h"
#include "compiler/arith/analyzer.h"
#include "compiler/ir/build.h"
#include "compiler/ir/visit.h"
#include "compiler/layout/table.h"
#include "compiler/passes/passes.h"

#include <optional>
#include <unordered_map>
#include <vector>

namespace tilescale::partition {

// One storage at the machine stage: `flat` is its memory as a 1-D buffer in the root's element
// type.
struct Memory {
  ir::Buffer root;  // the buffer of the declaration
  ir::Buffer flat;
  AnyLayout layout;  // of shared memory and fragments
  bool has_layout = false;
  int64_t physical = 0;  // elements of one version
};

// The state of one kernel: declarations seen so far, and the rewriting of addresses.
class Memories {
 public:
  Memories(arith::Analyzer* analyzer, PassContext* ctx, const ir::Func& func)
      : analyzer_(analyzer), ctx_(ctx), func_(func) {}

  // A parameter's flat memory.
  void DeclareGlobal(const ir::Buffer& buffer);
  // Returns the machine-stage declaration.
  ir::Stmt DeclareAlloc(const ir::AllocObj* alloc);
  // Remembers the view; returns its version's Bind or pointer declaration, or null.
  ir::Stmt DeclareView(const ir::ViewObj* view);

  // The flat buffer (in b's element type) and element index of b[index].
  struct Place {
    ir::Buffer flat;
    ir::Expr index;
  };
  Place Locate(const ir::Buffer& b, const ffi::Array<ir::Expr>& index);
  // Facts this kernel's addresses rely on (32-bit indices), to be added to Kernel.requires.
  const std::vector<ir::Expr>& facts() const { return facts_; }

 private:
  struct ViewInfo {
    Memory* memory = nullptr;
    ir::Expr version;  // null: 0
    bool slots = false;
  };
  Memory* MemoryOf(const ir::Buffer& b);
  ir::Buffer Retyped(Memory* m, ir::DataType t);
  ir::Expr RowMajorIndex(const ir::Buffer& b, const ffi::Array<ir::Expr>& index);
  ir::Expr GlobalIndex(Memory* m, const ir::Buffer& b, const ffi::Array<ir::Expr>& index);
  ir::Expr LayoutIndex(Memory* m, const ir::Buffer& b, const ffi::Array<ir::Expr>& index);
  bool NeedsWideIndex(Memory* m, const ir::Buffer& b);

  arith::Analyzer* analyzer_;
  PassContext* ctx_;
  const ir::Func& func_;
  std::unordered_map<const ir::StorageObj*, Memory> memories_;
  std::unordered_map<const ir::BufferObj*, ViewInfo> views_;
  std::unordered_map<const ir::BufferObj*, std::vector<ir::Buffer>> retyped_;
  std::unordered_map<const ir::StorageObj*, bool> wide_;
  std::vector<ir::Expr> facts_;
};

constexpr int kMaxVectorBits = 8 * target::kMaxAccessBytes;  // no access is wider
// How many neighbours of the last dim `r` is, if it is some that one thread accesses as one vector.
std::optional<int64_t> VectorLanes(const ir::Region& r);

// Rewrites all accesses of a statement to flat ones.
class AddressRewriter : public ir::Mutator {
 public:
  AddressRewriter(Memories* memories, arith::Analyzer* analyzer)
      : memories_(memories), analyzer_(analyzer) {}
  ir::Expr MutateLoad(const ir::Load& load) override;
  ir::Stmt MutateStore(const ir::Store& store) override;
  ir::Region MutateRegion(const ir::Region& region) override;
  ir::Stmt MutateCall(const ir::Call& call) override;

 private:
  void CheckVector(const ir::Region& region, const ir::CallObj* call);

  Memories* memories_;
  arith::Analyzer* analyzer_;
};

// A nest's points as seen by one thread.
struct SlotDigit {
  ir::Var var;
  int64_t extent;
  int64_t stride;  // of the slot; 0: a loop that moves no slot
};
struct NestPlan {
  // Thread digits that division of the thread index cannot tell from others: loops around all else.
  std::vector<SlotDigit> tried;
  std::vector<ir::Stmt> binds;    // thread digits
  std::vector<SlotDigit> digits;  // innermost (smallest slot stride) first
  std::vector<ir::Expr> coords;   // of the nest's variables
  ir::Expr valid;                 // the place holds a point; null: always
  ir::Expr primary;               // replica 0: the one that writes memory; null: always
};
// `tid` counts the group's `threads`. The digits' ranges become facts of `analyzer`.
NestPlan PlanNest(const Layout& layout, const ir::Expr& tid, int64_t threads,
                  const ffi::Array<ir::Var>& vars, arith::Analyzer* analyzer, const ir::Span& span);

inline constexpr int64_t kMaxLanes = 32;  // of 16 bytes, the widest access: 4 bits each

struct VectorOptions {
  int64_t max_width = kMaxLanes;
  bool async = false;        // copies global → shared become cp.async
  bool aligned = false;      // tensors' base addresses may be relied on to be aligned to the
                             // accesses (a launch fact, collected by the caller)
  bool independent = false;  // no iteration reads what another writes: the points of a nest
  const analysis::Aliases* aliases = nullptr;
};

// A loop of `extent` iterations over var (a fact of `analyzer`) with a flat body: vector accesses
// where legal.
std::vector<ir::Stmt> VectorizeLoop(const ir::Var& var, int64_t extent, std::vector<ir::Stmt> body,
                                    const VectorOptions& options, arith::Analyzer* analyzer,
                                    const ir::Span& span);

// Copies of 4, 8 or 16 bytes from global to shared memory as cp.async.
ir::Stmt CopyAsync(const ir::Stmt& s);
// Why what should be copied by cp.async still is not; "" if all of it is.
std::string WhyNotAsync(const std::vector<ir::Stmt>& body);

// Accesses of elements of less than a byte as accesses of bytes.
ir::Stmt PackBytes(const ir::Stmt& body, arith::Analyzer* analyzer);

}  // namespace tilescale::partition
