// SPDX-License-Identifier: MIT
// Which arithmetic is that of values. A value of the user is computed in its dtype and wraps, on
// the GPU as in Evaluate; signed overflow is undefined in C++, and NVRTC makes `x * 2 / 2` of int32
// an `x`. Arithmetic of indices stays signed: it does not overflow, and addresses profit from that.
#include "compiler/codegen/cuda/printer.h"
#include "compiler/ir/visit.h"

#include <utility>
#include <vector>

namespace tilescale::codegen::cuda {

using ir::NodeKind;

void Printer::FindIndices(const ir::Kernel& k) {
  std::vector<const ir::BindObj*> binds;
  auto mark = [&](const ir::NodeObj* e) {
    ir::Walk(e, [&](const ir::NodeObj* n) {
      if (n->kind == NodeKind::kVar) indices_.insert(n);
      return true;
    });
  };
  auto mark_all = [&](const ffi::Array<ir::Expr>& exprs) {
    for (const ir::Expr& e : exprs) mark(e.get());
  };
  ir::Walk(k->body, [&](const ir::NodeObj* n) {
    switch (n->kind) {
      case NodeKind::kBind:
        binds.push_back(static_cast<const ir::BindObj*>(n));
        break;
      case NodeKind::kLoad:
        mark_all(static_cast<const ir::LoadObj*>(n)->index);
        break;
      case NodeKind::kStore:
        mark_all(static_cast<const ir::StoreObj*>(n)->index);
        break;
      case NodeKind::kRegion:
        mark_all(static_cast<const ir::RegionObj*>(n)->begin);
        break;
      case NodeKind::kFor: {
        const auto* loop = static_cast<const ir::ForObj*>(n);
        mark(loop->begin.get());
        mark(loop->extent.get());
        break;
      }
      default:
        break;
    }
    return true;
  });
  for (auto it = binds.rbegin(); it != binds.rend(); ++it) {
    if (indices_.count((*it)->var.get())) mark((*it)->value.get());
  }
}

bool Printer::IsValue(const ir::Expr& e, bool cells) const {
  bool found = false;
  ir::Walk(e, [&](const ir::NodeObj* n) {
    const bool reads =
        n->kind == NodeKind::kLoad &&
        (cells || static_cast<const ir::LoadObj*>(n)->buffer->space() != ir::Space::kVar);
    found = found || reads || values_.count(n) != 0;
    return !found;
  });
  return found;
}

std::string Printer::Value(const ir::Expr& e) {
  const bool outer = std::exchange(value_, true);
  std::string text = Expr(e);
  value_ = outer;
  return text;
}

std::string Printer::IndexOrValue(const ir::Expr& e) {
  return IsValue(e, true) ? Value(e) : Expr(e);
}

bool Printer::MayOverflow(const ir::OpObj* op) const {
  const ir::DataType t = op->dtype;
  if (!value_ || t.lanes > 1) return false;
  switch (op->op()) {
    case ir::OpCode::kAdd:
    case ir::OpCode::kSub:
    case ir::OpCode::kNeg:
    case ir::OpCode::kShl:
      return ir::IsInt(t) && t.bits >= 32;
    case ir::OpCode::kMul:  // C++ multiplies uint16 as int
      return (ir::IsInt(t) && t.bits >= 32) || (ir::IsUInt(t) && t.bits == 16);
    default:
      return false;
  }
}

}  // namespace tilescale::codegen::cuda
