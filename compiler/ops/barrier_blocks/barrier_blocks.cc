// SPDX-License-Identifier: MIT
// T.barrier_blocks and T.sync_blocks: a barrier of all ranks. The contract is in barrier_blocks.md.
#include "compiler/ops/common/region.h"
#include "compiler/ops/common/remote.h"

namespace tilescale {
namespace {

using namespace ir;   // NOLINT
using namespace ops;  // NOLINT

std::string NameOf(const TileOpObj* op) {
  Participants who = SyntaxOf(op).participants;
  if (who == Participants::kThread) return "T.barrier_all";
  if (who == Participants::kWarp) return "T.barrier_all_warp";
  return BoolArg(op, "publish") ? "T.barrier_blocks" : "T.sync_blocks";
}

TileOp Make(TileOp op) {
  Region r = RegionArg(op.get(), "barrier");
  const Buffer& b = r->buffer;
  std::string what = NameOf(op.get());
  if (b->ndim() != 1 || !SameType(b->dtype, Int(32)) || b->space() != Space::kGlobal ||
      (b->storage->root() != Root::kParam && b->storage->root() != Root::kHeap)) {
    RaiseAt(op->span, "ValueError", what,
            " needs a tensor argument of int32 with one element for each rank, `", b->name,
            "` is not one");
  }
  if (!IsConst(r->begin[0], 0)) {
    RaiseAt(op->span, "ValueError", what, ": the barrier begins at element 0 of `", b->name, "`");
  }
  return WithArg(op, "barrier", FullRegion(b));
}

// Everything before it, of all ranks, comes before everything behind it.
Effects EffectsOf(const TileOpObj* op) {
  Effect e = Writes(RegionArg(op, "barrier"));
  e.mode = ir::Mode::kAtomic;
  Participants who = SyntaxOf(op).participants;
  e.by = who == Participants::kGroup  ? By::kGroup
         : who == Participants::kWarp ? By::kWarp
                                      : By::kThread;
  e.order = BoolArg(op, "publish") ? Order::kAcqRel : Order::kRelaxed;
  e.scope = MemScope::kSys;
  return {e};
}

void Lower(const TileOpObj* op, LowerContext* c) {
  Participants who = SyntaxOf(op).participants;
  c->Emit(MakeCall(who == Participants::kThread ? "comm.barrier_thread"
                   : who == Participants::kWarp ? "comm.barrier_warp"
                   : BoolArg(op, "publish")     ? "comm.barrier_blocks"
                                                : "comm.sync_blocks",
                   {MakeAddr(RegionArg(op, "barrier"))}, op->span));
}

std::optional<std::string> Never(const TileOpObj*, const OpContext&) {
  return std::nullopt;
}

TileOpDef Barrier(const char* name, const char* format, const char* spelled, Participants who) {
  return {.syntax = {.name = name,
                     .format = format,
                     .params = {{"barrier", ArgKind::kRegion, 'm'},
                                {"publish", ArgKind::kBool, 0, "true"}},
                     .spelled = spelled,
                     .participants = who,
                     .make = Make},
          .effects = EffectsOf,
          .lowerings = {{.name = "simt", .refuse = Never, .lower = Lower}}};
}

const TileOpRegistration kByBlock(Barrier("rank_barrier", "rank_barrier $barrier", "barrier_blocks",
                                          Participants::kGroup));
const TileOpRegistration kByWarp(Barrier("warp_rank_barrier", "warp_rank_barrier $barrier",
                                         "barrier_all_warp", Participants::kWarp));
const TileOpRegistration kByThread(Barrier("thread_rank_barrier", "thread_rank_barrier $barrier",
                                           "barrier_all", Participants::kThread));

}  // namespace
}  // namespace tilescale
