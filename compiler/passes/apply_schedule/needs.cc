// SPDX-License-Identifier: MIT
#include "compiler/passes/apply_schedule/needs.h"

#include "compiler/ir/visit.h"

namespace tilescale::schedule {

using namespace ir;  // NOLINT

void Needs::Add(const Node& node) {
  Walk(node, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kVar) symbols_.insert(n);
    if (n->kind == NodeKind::kBuffer) {
      const auto* b = static_cast<const BufferObj*>(n);
      if (!symbols_.insert(b).second) return true;
      symbols_.insert(b->storage.get());
      if (b->offset.defined()) Add(b->offset);
      for (const Expr& e : b->strides) Add(e);
      for (const Expr& e : b->shape) Add(e);
    }
    return true;
  });
}

bool Needs::Take(const Stmt& s) {
  if (const auto* bind = s.as<BindObj>()) {
    if (!symbols_.count(bind->var.get())) return false;
    Add(bind->value);
  } else if (const auto* view = s.as<ViewObj>()) {
    if (!symbols_.count(view->buffer.get())) return false;
    if (view->pointer.defined()) Add(view->pointer);
  } else if (const auto* alloc = s.as<AllocObj>()) {
    if (!alloc->buffer.defined() || !symbols_.count(alloc->buffer->storage.get())) return false;
    if (alloc->init.defined()) Add(alloc->init);
  } else if (const auto* check = s.as<CheckObj>()) {
    bool known = true;
    Walk(check->cond, [&](const NodeObj* n) {
      if (n->kind == NodeKind::kVar) known = known && symbols_.count(n) > 0;
      return known;
    });
    return known;
  }
  return true;
}

}  // namespace tilescale::schedule
