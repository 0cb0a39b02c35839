// SPDX-License-Identifier: MIT
#include "compiler/analysis/uses.h"

#include "compiler/ir/visit.h"
#include "compiler/isa/instr.h"
#include "compiler/ops/tile_op.h"

namespace tilescale::analysis {

using namespace ir;  // NOLINT

namespace {

void AddEffects(const Effects& effects, Done done, std::vector<Use>* out) {
  for (const Effect& e : effects) {
    Done completes = e.done != Done::kProgram ? e.done : done;
    out->push_back({e.region->buffer->storage.get(), e.region, e.mode,
                    e.mode == ir::Mode::kRead ? Done::kProgram : completes});
  }
}

}  // namespace

std::vector<Use> UsesOf(const Node& node) {
  std::vector<Use> out;
  Walk(node, [&](const NodeObj* n) {
    switch (n->kind) {
      case NodeKind::kTileOp: {
        const auto* op = static_cast<const TileOpObj*>(n);
        Done done = op->lowering.empty() ? Done::kProgram : LoweringOf(op).done;
        AddEffects(DefOf(op).effects(op), done, &out);
        return true;
      }
      case NodeKind::kCall: {
        const auto* call = static_cast<const CallObj*>(n);
        AddEffects(isa::EffectsOf(call), Done::kProgram, &out);
        if (!isa::Get(Str(call->instr)).opaque) return true;
        for (const Expr& a : call->args) {
          const auto* addr = a.as<AddrObj>();
          if (addr == nullptr) continue;
          const StorageObj* storage = addr->region->buffer->storage.get();
          out.push_back({storage, Region(), ir::Mode::kRead, Done::kProgram});
          out.push_back({storage, Region(), ir::Mode::kWrite, Done::kProgram});
        }
        return true;
      }
      case NodeKind::kStore:
        out.push_back({static_cast<const StoreObj*>(n)->buffer->storage.get(), Region(),
                       ir::Mode::kWrite, Done::kProgram});
        return true;
      case NodeKind::kLoad:
        out.push_back({static_cast<const LoadObj*>(n)->buffer->storage.get(), Region(),
                       ir::Mode::kRead, Done::kProgram});
        return true;
      default:
        return true;
    }
  });
  return out;
}

bool Implies(const Expr& condition, const Expr& fact) {
  if (SameExpr(condition, fact)) return true;
  const auto* op = condition.as<OpObj>();
  return op != nullptr && op->op() == OpCode::kAnd &&
         (Implies(op->args[0], fact) || Implies(op->args[1], fact));
}

bool Conflicts(const Use& a, const Use& b, bool same_iteration) {
  if (a.storage != b.storage) return false;
  if (!a.writes() && !b.writes()) return false;
  if (a.mode == ir::Mode::kAtomic && b.mode == ir::Mode::kAtomic) return false;
  if (!a.region.defined() || !b.region.defined()) return true;
  if (!a.region->buffer.same_as(b.region->buffer)) return true;
  for (size_t d = 0; d < a.region->begin.size(); ++d) {
    auto x = AsInt(a.region->extent[d]), y = AsInt(b.region->extent[d]);
    if (!x || !y) continue;
    // The distance is a constant, or both begins are.
    auto p = AsInt(a.region->begin[d]), q = AsInt(b.region->begin[d]);
    if ((!p || !q) && same_iteration) {
      p = 0;
      q = AsInt(Sub(b.region->begin[d], a.region->begin[d]));
    }
    if (p && q && (*p + *x <= *q || *q + *y <= *p)) return false;
  }
  return true;
}

}  // namespace tilescale::analysis
