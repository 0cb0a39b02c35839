// SPDX-License-Identifier: MIT
#include "compiler/analysis/writes.h"

#include "compiler/isa/instr.h"
#include "compiler/ops/tile_op.h"

#include <algorithm>

namespace tilescale::analysis {

using namespace ir;  // NOLINT

namespace {

bool IsOrdinary(Order order) {
  return order == Order::kWeak || order == Order::kRelaxed;
}

void AddCall(const CallObj* call, Writes* out) {
  const isa::Instr& row = isa::Get(Str(call->instr));
  if (row.opaque || row.sync != isa::SyncKind::kNone || !IsOrdinary(isa::OrderingOf(call).order)) {
    out->memory = true;
  }
  size_t regions = 0, writes = 0;
  for (const isa::ArgEffect& e : row.effects) writes += e.mode != ir::Mode::kRead;
  for (const Effect& e : isa::EffectsOf(call)) {
    if (e.mode == ir::Mode::kRead) continue;
    out->storages.insert(e.region->buffer->storage.get());
    ++regions;
  }
  if (regions < writes) out->memory = true;  // through an address that is a value
}

void AddOp(const TileOpObj* op, Writes* out) {
  for (const Effect& e : DefOf(op).effects(op)) {
    if (!IsOrdinary(e.order)) out->memory = true;
    if (e.mode != ir::Mode::kRead && e.region.defined()) {
      out->storages.insert(e.region->buffer->storage.get());
    }
  }
}

bool IsLoop(const Stmt& s) {
  return s.kind() == NodeKind::kFor || s.kind() == NodeKind::kWhile ||
         s.kind() == NodeKind::kParallel;
}

}  // namespace

Aliases::Aliases(const Func& f) {
  for (const Param& p : f->params) {
    if (p->buffer.defined() && !p->restrict_) named_.insert(p->buffer->storage.get());
  }
}

bool Aliases::May(const StorageObj* a, const StorageObj* b) const {
  if (a == b) return true;
  if (a->space() != Space::kGlobal || b->space() != Space::kGlobal) return false;
  auto pointer = [](const StorageObj* s) {
    return s->root() == Root::kPointer || s->root() == Root::kHeap;
  };
  return pointer(a) || pointer(b) || (named_.count(a) && named_.count(b));
}

Writes WritesOf(const Stmt& s) {
  Writes out;
  Walk(s, [&](const NodeObj* n) {
    switch (n->kind) {
      case NodeKind::kStore:
        out.storages.insert(static_cast<const StoreObj*>(n)->buffer->storage.get());
        break;
      case NodeKind::kCall:
        AddCall(static_cast<const CallObj*>(n), &out);
        break;
      case NodeKind::kTileOp:
        AddOp(static_cast<const TileOpObj*>(n), &out);
        break;
      case NodeKind::kTokenOp:  // others' writes become visible
      case NodeKind::kWhile:    // it may wait for them
        out.memory = true;
        break;
      default:
        break;
    }
    return true;
  });
  return out;
}

void FactScope::Forget(const Stmt& s) {
  if (!analyzer_->ReadsMemory()) return;
  Writes writes = WritesOf(s);
  if (writes.storages.empty() && !writes.memory) return;
  analyzer_->Forget([&](const StorageObj* read) {
    if (writes.memory && !IsRegister(read->space())) return true;
    return std::any_of(writes.storages.begin(), writes.storages.end(),
                       [&](const StorageObj* w) { return aliases_.May(w, read); });
  });
}

namespace {

bool HoldsStatements(NodeKind k) {
  return k == NodeKind::kFor || k == NodeKind::kParallel || k == NodeKind::kWhile ||
         k == NodeKind::kIf || k == NodeKind::kGroup;
}

}  // namespace

void FactScope::Enter(const Stmt& s) {
  if (!s.defined()) return;
  if (IsLoop(s)) Forget(s);
  if (HoldsStatements(s.kind())) marks_.push_back(analyzer_->Mark());
}

void FactScope::Exit(const Stmt& s) {
  if (!s.defined()) return;
  NodeKind k = s.kind();
  if (HoldsStatements(k)) {
    analyzer_->Leave(marks_.back());
    marks_.pop_back();
  }
  bool acts = k == NodeKind::kStore || k == NodeKind::kCall || k == NodeKind::kTileOp ||
              k == NodeKind::kTokenOp;
  if (acts) Forget(s);
}

}  // namespace tilescale::analysis
