// SPDX-License-Identifier: MIT
#include "compiler/arith/facts.h"

#include "compiler/ir/visit.h"

#include <unordered_set>

namespace tilescale::arith {

using namespace ir;  // NOLINT

namespace {

void BindSizes(Analyzer* a, const Expr& e) {
  Walk(e, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kVar) {
      Var v = ffi::GetRef<Var>(static_cast<const VarObj*>(n));
      if (a->Bounds(v).lo < 0) a->Bind(v, Interval{0, Interval::kMax});
    }
    return true;
  });
}

}  // namespace

void BindKernel(Analyzer* a, const Func& f, const Kernel& k) {
  for (const Param& p : f->params) {
    if (!p->buffer.defined()) continue;
    for (const Expr& e : p->buffer->shape) BindSizes(a, e);
    for (const Expr& e : p->buffer->strides) BindSizes(a, e);
    // Packed tensors come as bytes: the launcher multiplies their last extent.
    const int bits = p->buffer->dtype.bits;
    if (bits >= 8 || p->buffer->shape.empty()) continue;
    const Expr& last = p->buffer->shape.back();
    if (!AsInt(last)) a->Assume(Eq(FloorMod(last, 8 / bits), MakeConst(0, last.dtype())));
  }
  for (const Stmt& s : StmtsOf(f->body)) {
    if (const auto* bind = s.as<BindObj>()) a->Define(bind->var, bind->value);
    if (const auto* check = s.as<CheckObj>()) a->Assume(check->cond);
  }
  for (size_t i = 0; i < k->block_vars.size(); ++i) {
    const Expr& n = k->grid[i];
    a->Bind(k->block_vars[i], MakeConst(0, k->block_vars[i].dtype()), n);
  }
  for (size_t i = 0; i < k->thread_vars.size(); ++i) {
    int64_t n = k->threads[i] + (i == 0 ? k->extra_threads : 0);
    a->Bind(k->thread_vars[i], Interval{0, n - 1});
  }
  for (const Expr& fact : k->requires_) a->Assume(fact);
}

bool IsHostEvaluable(const Expr& e, const Func& f) {
  std::unordered_set<const NodeObj*> given;
  auto symbols = [&](const NodeObj* n) {
    if (n->kind == NodeKind::kVar) given.insert(n);
    return true;
  };
  for (const Param& p : f->params) {
    if (p->var.defined()) given.insert(p->var.get());
    if (!p->buffer.defined()) continue;
    for (const Expr& extent : p->buffer->shape) Walk(extent, symbols);
    for (const Expr& stride : p->buffer->strides) Walk(stride, symbols);
  }
  for (const Stmt& s : StmtsOf(f->body)) {
    if (const auto* bind = s.as<BindObj>()) given.insert(bind->var.get());
  }
  bool ok = true;
  Walk(e, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kLoad || n->kind == NodeKind::kSlot) ok = false;
    if (n->kind == NodeKind::kVar && !given.count(n)) ok = false;
    return ok;
  });
  return ok;
}

void BindLoop(Analyzer* a, const ForObj* loop) {
  if (!loop->step.defined() || IsConst(loop->step, 1)) {
    a->Bind(loop->var, loop->begin, loop->extent);
    return;
  }
  // begin + i·step, i in 0 … extent - 1: between the first and the last value.
  Interval first = a->Bounds(loop->begin);
  Interval last = a->Bounds(
      Add(loop->begin, Mul(Add(Cast(loop->extent, loop->begin.dtype()), -1), loop->step)));
  a->Bind(loop->var, Interval{std::min(first.lo, last.lo), std::max(first.hi, last.hi)});
}

void BindParallel(Analyzer* a, const ParallelObj* nest) {
  for (size_t i = 0; i < nest->vars.size(); ++i) {
    a->Bind(nest->vars[i], MakeConst(0, nest->vars[i].dtype()), nest->extents[i]);
  }
}

}  // namespace tilescale::arith
