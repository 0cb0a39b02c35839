// SPDX-License-Identifier: MIT
// T.barrier_blocks and T.sync_blocks: a barrier of all ranks. The contract is in barrier_blocks.md.
#include "compiler/ops/common/region.h"
#include "compiler/ops/common/remote.h"

namespace tilescale {
namespace {

using namespace ir;   // NOLINT
using namespace ops;  // NOLINT

std::string NameOf(const TileOpObj* op) {
  return BoolArg(op, "publish") ? "T.barrier_blocks" : "T.sync_blocks";
}

TileOp Make(TileOp op) {
  Region r = RegionArg(op.get(), "barrier");
  const Buffer& b = r->buffer;
  std::string what = NameOf(op.get());
  if (b->ndim() != 1 || !SameType(b->dtype, Int(32)) || b->space() != Space::kGlobal ||
      b->storage->root() != Root::kParam) {
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
  e.by = By::kGroup;
  e.order = BoolArg(op, "publish") ? Order::kAcqRel : Order::kRelaxed;
  e.scope = MemScope::kSys;
  return {e};
}

void Lower(const TileOpObj* op, LowerContext* c) {
  c->Emit(MakeCall(BoolArg(op, "publish") ? "comm.barrier_blocks" : "comm.sync_blocks",
                   {MakeAddr(RegionArg(op, "barrier"))}, op->span));
}

std::optional<std::string> Never(const TileOpObj*, const OpContext&) {
  return std::nullopt;
}

const TileOpRegistration kBarrierBlocks({
    .syntax = {.name = "rank_barrier",
               .format = "rank_barrier $barrier",
               .params = {{"barrier", ArgKind::kRegion, 'm'},
                          {"publish", ArgKind::kBool, 0, "true"}},
               .spelled = "barrier_blocks",
               .make = Make},
    .effects = EffectsOf,
    .lowerings = {{.name = "simt", .refuse = Never, .lower = Lower}},
});

}  // namespace
}  // namespace tilescale
