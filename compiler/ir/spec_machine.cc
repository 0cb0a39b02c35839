// SPDX-License-Identifier: MIT
// Machine stage: scalars, loops, addresses, instructions. No tile op, no Parallel, no fragment,
// nothing left to choose.
#include "compiler/ir/build.h"
#include "compiler/ir/spec.h"
#include "compiler/ir/verify.h"
#include "compiler/ir/visit.h"

namespace tilescale::ir {
namespace {

bool IsShared(const AllocObj* alloc) {
  if (!alloc->buffer.defined()) return false;
  const Space space = alloc->buffer->space();
  return space == Space::kShared || space == Space::kMbar;
}

void CheckAlloc(const AllocObj* alloc) {
  if (!alloc->buffer.defined()) return;
  if (alloc->buffer->space() == Space::kFrag) {
    BreaksRule("machine", alloc, "fragment %" + std::string(alloc->buffer->name));
  }
  if (alloc->families != 0) {
    BreaksRule("machine", alloc, "%" + std::string(alloc->buffer->name) + " still has families");
  }
}

}  // namespace

void VerifyMachine(const Func& f) {
  VerifyScheduleApplied(f);
  ForEachKernelStmt(f, [](const StmtObj* s) {
    switch (s->kind) {
      case NodeKind::kTileOp:
        BreaksRule("machine", s, "a tile op");
      case NodeKind::kParallel:
        BreaksRule("machine", s, "a parallel nest");
      case NodeKind::kAlloc:
        return CheckAlloc(static_cast<const AllocObj*>(s));
      case NodeKind::kView:
        if (static_cast<const ViewObj*>(s)->slots) BreaksRule("machine", s, "a view of a fragment");
        return;
      default:
        return;
    }
  });
}

void VerifyPlaced(const Func& f) {
  int64_t shared = 0;
  ForEachKernelStmt(f, [&](const StmtObj* s) {
    if (s->kind == NodeKind::kKernel) shared = static_cast<const KernelObj*>(s)->shared_bytes;
    if (s->kind != NodeKind::kAlloc) return;
    const auto* alloc = static_cast<const AllocObj*>(s);
    if (!IsShared(alloc)) return;
    const std::string name = "%" + std::string(alloc->buffer->name);
    if (alloc->offset < 0) BreaksRule("placed", s, name + " has no address");
    const DataType dtype = alloc->buffer->dtype;
    const int64_t bits = NumElements(alloc->buffer) * dtype.bits * dtype.lanes;
    const int64_t end = alloc->offset + (bits + 7) / 8;
    if (end > shared) {
      BreaksRule("placed", s,
                 name + " ends at byte " + std::to_string(end) + " of " + std::to_string(shared));
    }
    if (alloc->align > 0 && alloc->offset % alloc->align != 0) {
      BreaksRule("placed", s, name + " is not aligned");
    }
  });
}

void VerifyNoTokens(const Func& f) {
  ForEachKernelStmt(f, [](const StmtObj* s) {
    if (s->kind == NodeKind::kTokenOp)
      BreaksRule("tokens", s, "a token operation behind InsertSync");
    if (s->kind == NodeKind::kAlloc && static_cast<const AllocObj*>(s)->token.defined()) {
      BreaksRule("tokens", s, "a token behind InsertSync");
    }
    ForEachExpr(s, [&](const Expr& e) {
      if (e.kind() == NodeKind::kSlot) BreaksRule("tokens", s, "a slot behind InsertSync");
    });
  });
}

void VerifyTruncOnly(const Func& f) {
  ForEachKernelStmt(f, [](const StmtObj* s) {
    if (s->kind == NodeKind::kKernel) return;  // the grid is the host's
    ForEachExpr(s, [&](const Expr& e) {
      const OpObj* op = e.as<OpObj>();
      if (op == nullptr) return;
      if (op->op() == OpCode::kFloorDiv || op->op() == OpCode::kFloorMod) {
        BreaksRule("division", s, "a division toward minus infinity");
      }
    });
  });
}

}  // namespace tilescale::ir
