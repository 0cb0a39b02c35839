// SPDX-License-Identifier: MIT
// Mapped stage: every on-chip tile and every Parallel has its layout, the schedule is applied,
// every tile op knows its lowering and its operands' extents.
#include "compiler/ir/build.h"
#include "compiler/ir/spec.h"
#include "compiler/ir/verify.h"
#include "compiler/ir/visit.h"

#include <algorithm>

namespace tilescale::ir {
namespace {

bool NeedsLayout(Space space) {
  return space == Space::kShared || space == Space::kFrag || space == Space::kTmem;
}

void CheckTileOp(const TileOpObj* op) {
  if (op->lowering.empty()) BreaksRule("mapped", op, "a tile op without a lowering");
  Walk(op, [&](const NodeObj* n) {
    if (n->kind != NodeKind::kRegion) return true;
    for (const Expr& extent : static_cast<const RegionObj*>(n)->extent) {
      if (!extent.defined()) BreaksRule("mapped", op, "an operand of unknown extent");
    }
    return true;
  });
}

}  // namespace

void VerifyMapped(const Func& f) {
  VerifyScheduleApplied(f);
  ForEachKernelStmt(f, [](const StmtObj* s) {
    if (s->kind == NodeKind::kAlloc) {
      const auto* alloc = static_cast<const AllocObj*>(s);
      if (!alloc->buffer.defined()) return;
      if (NeedsLayout(alloc->buffer->space()) && alloc->layout.empty()) {
        BreaksRule("mapped", s, "%" + std::string(alloc->buffer->name) + " has no layout");
      }
      if (alloc->offset >= 0) BreaksRule("mapped", s, "an address before PlaceMemory");
    } else if (s->kind == NodeKind::kView) {
      VerifyVersion(static_cast<const ViewObj*>(s));
    } else if (s->kind == NodeKind::kParallel) {
      // Extents that are known at launch only are dealt to the threads in order.
      const auto* nest = static_cast<const ParallelObj*>(s);
      bool sized = std::all_of(nest->extents.begin(), nest->extents.end(),
                               [](const Expr& e) { return AsInt(e).has_value(); });
      if (sized && nest->layout.empty()) {
        BreaksRule("mapped", s, "a parallel nest without a layout");
      }
    } else if (s->kind == NodeKind::kTileOp) {
      CheckTileOp(static_cast<const TileOpObj*>(s));
    }
  });
}

void VerifyLowered(const Func& f) {
  ForEachKernelStmt(f, [](const StmtObj* s) {
    if (s->kind == NodeKind::kTileOp) BreaksRule("lowered", s, "a tile op behind LowerTileOps");
  });
}

}  // namespace tilescale::ir
