// SPDX-License-Identifier: MIT
#include "compiler/ir/visit.h"

#include "compiler/ir/build.h"
#include "compiler/ir/fold.h"
#include "compiler/ir/visits.h"
#include "support/diagnostics.h"

#include <tvm/ffi/extra/structural_equal.h>

#include <bit>
#include <string_view>
#include <type_traits>
#include <unordered_set>

namespace tilescale::ir {
namespace {

using Visit = std::function<void(const NodeObj*)>;

// Calls `f` with a typed pointer to the data of `node`.
template <typename F>
decltype(auto) Dispatch(const NodeObj* node, F&& f) {
  switch (node->kind) {
#define TS_NODE(name, parent) \
  case NodeKind::k##name:     \
    return f(static_cast<const name##Obj*>(node));
#include "compiler/ir/nodes.def"
  }
  TS_UNREACHABLE("node kind " << static_cast<int>(node->kind));
}

void VisitField(const Node& child, const Visit& f) {
  if (child.defined() && child.kind() != NodeKind::kSpan) f(child.get());
}
template <typename T>
void VisitField(const ffi::Array<T>& children, const Visit& f) {
  if constexpr (std::is_base_of_v<Node, T> || std::is_same_v<T, ffi::Any>) {
    for (const ffi::Any& child : *children.GetArrayObj()) {
      if (const NodeObj* node = child.as<NodeObj>()) f(node);
    }
  }
}
template <typename T>
  requires(!std::is_base_of_v<Node, T>)
void VisitField(const T&, const Visit&) {}

bool IsSymbol(NodeKind kind) {
  return kind == NodeKind::kBuffer || kind == NodeKind::kStorage || kind == NodeKind::kToken;
}

thread_local int64_t visits = 0;

void ForEachExprOfBuffer(const Buffer& buffer, const Visit& f) {
  if (!buffer.defined()) return;
  VisitField(buffer->shape, f);
  VisitField(buffer->offset, f);
  VisitField(buffer->strides, f);
}

}  // namespace

int64_t VisitsMade() {
  return visits;
}

void CountVisit() {
  ++visits;
}

bool IsExprKind(NodeKind kind) {
  switch (kind) {
#define TS_NODE(name, parent) \
  case NodeKind::k##name:     \
    return std::string_view(#parent) == "Expr";
#include "compiler/ir/nodes.def"
  }
  return false;
}

bool IsStmtKind(NodeKind kind) {
  switch (kind) {
#define TS_NODE(name, parent) \
  case NodeKind::k##name:     \
    return std::string_view(#parent) == "Stmt";
#include "compiler/ir/nodes.def"
  }
  return false;
}

void ForEachChild(const NodeObj* node, const Visit& f) {
  if (IsSymbol(node->kind)) return;
  Dispatch(node, [&](const auto* obj) {
    std::apply([&](const auto&... field) { (VisitField(obj->*field.member, f), ...); },
               obj->Fields());
  });
}

void Walk(const NodeObj* node, const std::function<bool(const NodeObj*)>& enter,
          const Visit& leave) {
  int64_t taken = 0;
  const Visit visit = [&](const NodeObj* n) {
    ++taken;
    if (enter(n)) ForEachChild(n, visit);
    if (leave) leave(n);
  };
  visit(node);
  visits += taken;
}

void WalkOnce(const Node& node, const std::function<bool(const NodeObj*)>& enter) {
  std::unordered_set<const NodeObj*> seen;
  Walk(node, [&](const NodeObj* n) { return seen.insert(n).second && enter(n); });
}

bool Loads(const Expr& e) {
  bool found = false;
  WalkOnce(e, [&](const NodeObj* n) { return !(found = found || n->kind == NodeKind::kLoad); });
  return found;
}

void ForEachExpr(const StmtObj* s, const std::function<void(const Expr&)>& f) {
  const Visit visit = [&](const NodeObj* n) {
    if (IsStmtKind(n->kind)) return;
    if (IsExprKind(n->kind)) f(ffi::GetRef<Expr>(static_cast<const ExprObj*>(n)));
    ForEachChild(n, visit);
  };
  if (s->kind == NodeKind::kAlloc) {
    ForEachExprOfBuffer(static_cast<const AllocObj*>(s)->buffer, visit);
  } else if (s->kind == NodeKind::kView) {
    ForEachExprOfBuffer(static_cast<const ViewObj*>(s)->buffer, visit);
  }
  ForEachChild(s, visit);
}

bool StructuralEqual(const Node& a, const Node& b) {
  // A whole program's only free symbols are the machine stage's other forms of a storage, which no
  // statement declares: they pair where they are used first.
  const bool map_free = a.as<FuncObj>() != nullptr;
  return ffi::StructuralEqual::Equal(a, b, map_free);
}

namespace {

bool SameExprs(const ffi::Array<Expr>& a, const ffi::Array<Expr>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!SameExpr(a[i], b[i])) return false;
  }
  return true;
}

bool SameConst(const ConstObj* a, const ConstObj* b) {
  // Bit-exact, so that -0.0 is not 0.0 and a NaN is itself.
  return a->i == b->i && std::bit_cast<uint64_t>(a->f) == std::bit_cast<uint64_t>(b->f);
}

bool SameRegion(const RegionObj* a, const RegionObj* b) {
  return a->buffer.same_as(b->buffer) && SameExprs(a->begin, b->begin) &&
         SameExprs(a->extent, b->extent) && SameExpr(a->peer, b->peer) &&
         SameExpr(a->cta, b->cta) && a->check_lo == b->check_lo && a->check_hi == b->check_hi &&
         SameExpr(a->other, b->other);
}

bool SameLoad(const LoadObj* a, const LoadObj* b) {
  return a->buffer.same_as(b->buffer) && SameExprs(a->index, b->index) &&
         SameExpr(a->guard, b->guard) && SameExpr(a->other, b->other);
}

bool SameSlot(const SlotObj* a, const SlotObj* b) {
  return a->token.same_as(b->token) && a->out == b->out && a->phase == b->phase &&
         a->back == b->back;
}

}  // namespace

bool SameExpr(const Expr& a, const Expr& b) {
  if (a.same_as(b)) return true;
  if (!a.defined() || !b.defined()) return false;
  if (a.kind() != b.kind() || !SameType(a.dtype(), b.dtype())) return false;
  switch (a.kind()) {
    case NodeKind::kConst:
      return SameConst(a.as<ConstObj>(), b.as<ConstObj>());
    case NodeKind::kOp:
      return a.as<OpObj>()->code == b.as<OpObj>()->code &&
             SameExprs(a.as<OpObj>()->args, b.as<OpObj>()->args);
    case NodeKind::kLoad:
      return SameLoad(a.as<LoadObj>(), b.as<LoadObj>());
    case NodeKind::kAddr:
      return SameRegion(a.as<AddrObj>()->region.get(), b.as<AddrObj>()->region.get());
    case NodeKind::kSlot:
      return SameSlot(a.as<SlotObj>(), b.as<SlotObj>());
    default:
      return false;  // a variable is only itself
  }
}

}  // namespace tilescale::ir
