// SPDX-License-Identifier: MIT
// The passes, in pipeline order. Each is a free function Func -> Func; the contract of each says
// the stage in and out, what it assumes, what it guarantees and why it stands here. I1 to I13:
// docs/ir.md.
#pragma once

#include "compiler/ir/func.h"
#include "compiler/target/target.h"
#include "runtime/artifact.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace tilescale {

using target::Target;

// One decision for explain(): what was decided about `subject`, what was chosen and why better
// choices were refused. `pass` is the deciding pass.
struct Decision {
  std::string pass;
  ir::Span span;
  std::string subject;               // in the user's names: "copy_A: copy A -> A_s"
  std::string chosen;                // "cp_async, 16 bytes a thread"
  std::vector<std::string> refused;  // "tma: needs sm_90"
};

struct PassContext {
  Target target;
  std::vector<Decision> decisions;
  // A kernel's first text relies on facts about a launch (Kernel.requires: alignment, sizes of
  // indices), its general one on none and runs the launches that break a fact.
  bool general = false;
  bool verify = false;  // run the stage's spec after every pass
  void Record(std::string pass, ir::Span span, std::string subject, std::string chosen,
              std::vector<std::string> refused = {});
};

namespace passes {
using ir::Func;

// → tile. The only entry from the builder or from text: types, ranks, dtypes, spans; labels every
// unit; every Storage is rooted.
Func Ingest(Func f, PassContext& ctx);
// tile. Negative indices are gone, explicit unrolls expanded, guards bound once, Groups recovered
// from conditions on thread ranges, uniform stores done by one thread, alloc_var cells privatised.
// Before Check: one form to check.
Func Normalise(Func f, PassContext& ctx);
// tile, changes nothing. All user errors known at this level are raised: use before definition,
// nesting, Parallel races, uniformity of control around collectives, capabilities. After this an
// error is ours or names a resource.
Func Check(Func f, PassContext& ctx);
// tile. Every global access is proven in range or carries a guard over logical coordinates. Indices
// are still what the user wrote: shortest proofs. Later passes only substitute.
Func GuardBounds(Func f, PassContext& ctx);
// tile. `lowering` on every op, `families` on every shared Alloc (non-empty), requires recorded.
// Scheduling needs completions and proxies.
Func SelectOps(Func f, PassContext& ctx);
// tile. Kernel.schedule: for each pipelined loop depth, stages and pipes; declined loops are
// recorded.
Func PlanSchedule(Func f, PassContext& ctx);
// tile. S1–S6 hold; Groups, Tokens, versions, prologues are there, the schedule is gone. Layouts
// must see versions and the threads of each role.
Func ApplySchedule(Func f, PassContext& ctx);
// → mapped. One layout per on-chip Storage and per nest, inside its families; `convert` ops where
// anchors differ. Never changes a lowering (I10).
Func SolveLayouts(Func f, PassContext& ctx);
// mapped. Workspaces of reductions and scans are allocated, from final layouts, before PlaceMemory.
Func PlanReductions(Func f, PassContext& ctx);
// mapped. No tile op is left: loops, Parallel nests with layouts, Calls. Encodings are chosen here.
Func LowerTileOps(Func f, PassContext& ctx);
// → machine. Parallel nests become slot loops of each thread, accesses flat addresses, fragments
// local arrays; vector widths from layout, alignment and guards equal on all lanes.
Func PartitionAndVectorize(Func f, PassContext& ctx);
// machine. Byte address of every shared and mbarrier Alloc by liveness; shared_bytes. Nothing
// allocates memory after it (I11).
Func PlaceMemory(Func f, PassContext& ctx);
// machine. TokenOps are instructions; every other conflict is covered by the cheapest of wait, warp
// sync, group barrier, CTA barrier, fence. Emits nothing that needs memory.
Func InsertSync(Func f, PassContext& ctx);
// machine. Simplifies under what is known at each place, shares common subexpressions, drops dead
// code; memory accesses and synchronisation stay where they are.
Func Optimise(Func f, PassContext& ctx);
// machine, changes nothing. A register that is certainly unset where its value leaves the registers
// is the user's error. Behind Optimise: dead reads are gone, loops and indices are what will run.
Func CheckRegisters(Func f, PassContext& ctx);
// machine. Launch bounds, registers, const and restrict, cluster and cooperative attributes.
Func AssignResources(Func f, PassContext& ctx);
// machine. The launch program as data: checks, bindings, grids, workspaces of one variant.
void PlanHost(const Func& f, PassContext& ctx, runtime::Artifact* artifact);

// One way to make a lowered function wrong: `kind` of the change, the first line of the statement
// that it changes and its place in the user's program.
struct Fault {
  std::string kind;
  std::string statement;
  ir::Span span;
};
// Not in the pipeline: what the simulator's tests inject behind the last pass. The places in
// program order, and the function with the fault at one of them.
std::vector<Fault> Faults(const Func& f);
Func InjectFault(const Func& f, int64_t index);

}  // namespace passes

// The pipeline as data: pass name ("solve-layouts"), function, stage after it.
struct PassInfo {
  const char* name;
  ir::Func (*run)(ir::Func, PassContext&);
  ir::Stage stage_after;
};
const std::vector<PassInfo>& Pipeline();  // Ingest … AssignResources
// Runs passes [first, last] by name; empty: from the start / to the end. `observe` sees each result
// and the microseconds it took.
ir::Func RunPasses(
    ir::Func f, PassContext& ctx, const std::string& first = "", const std::string& last = "",
    const std::function<void(const PassInfo&, const ir::Func&, int64_t)>& observe = {});

}  // namespace tilescale
