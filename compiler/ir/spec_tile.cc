// SPDX-License-Identifier: MIT
// Tile stage: tile ops, loops, tile buffers with optional layouts, thread-level code that the user
// wrote; once scheduled, groups, tokens and versions. Nothing that a later pass decides.
#include "compiler/ir/spec.h"
#include "compiler/ir/verify.h"
#include "compiler/ir/visit.h"

namespace tilescale::ir {

void VerifyVersion(const ViewObj* view) {
  if (!view->version.defined() || view->version.kind() == NodeKind::kSlot) return;
  BreaksRule("I13", view, "a version that is no slot of a token");
}

void VerifyTile(const Func& f) {
  ForEachKernelStmt(f, [](const StmtObj* s) {
    if (s->kind == NodeKind::kAlloc) {
      const auto* alloc = static_cast<const AllocObj*>(s);
      if (alloc->offset >= 0) BreaksRule("tile", s, "an address before PlaceMemory");
    } else if (s->kind == NodeKind::kView) {
      const auto* view = static_cast<const ViewObj*>(s);
      VerifyVersion(view);
      if (view->slots) BreaksRule("tile", s, "a view of register slots before layouts are known");
    } else if (s->kind == NodeKind::kKernel) {
      const auto* kernel = static_cast<const KernelObj*>(s);
      if (kernel->shared_bytes != 0)
        BreaksRule("tile", s, "a size of shared memory before PlaceMemory");
    }
  });
}

void VerifyScheduleApplied(const Func& f) {
  ForEachKernelStmt(f, [](const StmtObj* s) {
    if (s->kind == NodeKind::kKernel && static_cast<const KernelObj*>(s)->schedule.defined()) {
      BreaksRule("schedule", s, "a schedule behind ApplySchedule");
    }
    if (s->kind == NodeKind::kFor && static_cast<const ForObj*>(s)->loop() == ForKind::kPipelined) {
      BreaksRule("schedule", s, "a pipelined loop behind ApplySchedule");
    }
  });
}

}  // namespace tilescale::ir
