// SPDX-License-Identifier: MIT
// On-chip memory that is read before anything can have written it. Only what is certain is an
// error: a storage that no statement before the read, and none in a loop around it, writes.
#include "compiler/ir/build.h"
#include "compiler/ir/diag.h"
#include "compiler/ir/visit.h"
#include "compiler/ops/tile_op.h"
#include "compiler/passes/check.h"

#include <algorithm>
#include <unordered_set>

namespace tilescale::passes {

using namespace ir;  // NOLINT

namespace {

using Storages = std::unordered_set<const StorageObj*>;

bool IsTracked(const Buffer& b) {
  return IsOnChip(b->space()) && b->space() != Space::kMbar;
}

// Storages that a statement, with all inside of it, may write. An address given to an instruction
// may be written through.
void AddWrites(const NodeObj* root, Storages* out) {
  Walk(root, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kStore)
      out->insert(static_cast<const StoreObj*>(n)->buffer->storage.get());
    if (n->kind == NodeKind::kAddr) {
      out->insert(static_cast<const AddrObj*>(n)->region->buffer->storage.get());
    }
    if (n->kind == NodeKind::kAlloc) {
      const auto* alloc = static_cast<const AllocObj*>(n);
      if (alloc->init.defined()) out->insert(alloc->buffer->storage.get());
    }
    if (n->kind == NodeKind::kTileOp) {
      const auto* op = static_cast<const TileOpObj*>(n);
      for (const Effect& e : DefOf(op).effects(op)) {
        if (e.mode != ir::Mode::kRead) out->insert(e.region->buffer->storage.get());
      }
    }
    return true;
  });
}

class InitChecker {
 public:
  void Visit(const Stmt& stmt) {
    if (!stmt.defined()) return;
    const StmtObj* s = stmt.get();
    switch (s->kind) {
      case NodeKind::kSeq:
        for (const Stmt& child : static_cast<const SeqObj*>(s)->stmts) {
          if (child.kind() == NodeKind::kGroup) SideBySide(static_cast<const SeqObj*>(s));
          Visit(child);
        }
        return;
      case NodeKind::kTileOp: {
        const auto* op = static_cast<const TileOpObj*>(s);
        for (const Effect& e : DefOf(op).effects(op)) {
          if (e.mode == ir::Mode::kRead) Read(e.region->buffer, s);
        }
        return AddWrites(s, &written_);
      }
      case NodeKind::kFor: {
        const auto* loop = static_cast<const ForObj*>(s);
        Expressions(s);
        return Loop(loop->body);
      }
      case NodeKind::kWhile: {
        const auto* loop = static_cast<const WhileObj*>(s);
        if (loop->head.defined()) AddWrites(loop->head.get(), &written_);
        AddWrites(loop->body.get(), &written_);
        Expressions(s);
        Visit(loop->head);
        return Visit(loop->body);
      }
      case NodeKind::kParallel:
        return Visit(static_cast<const ParallelObj*>(s)->body);
      case NodeKind::kGroup:
        return Visit(static_cast<const GroupObj*>(s)->body);
      case NodeKind::kIf: {
        const auto* branch = static_cast<const IfObj*>(s);
        Expressions(s);
        Visit(branch->then_case);
        return Visit(branch->else_case);
      }
      default:
        AddressesFirst(s);
        Expressions(s);
        AddWrites(s, &written_);
    }
  }

 private:
  // A loop may read what its previous iteration wrote.
  void Loop(const Stmt& body) {
    AddWrites(body.get(), &written_);
    Visit(body);
  }
  // Groups of threads run side by side: one may read what another writes, in any order of text.
  void SideBySide(const SeqObj* s) {
    for (const Stmt& child : s->stmts) {
      if (child.kind() == NodeKind::kGroup) AddWrites(child.get(), &written_);
    }
  }
  // An instruction may fill what it is given before anything reads it.
  void AddressesFirst(const StmtObj* s) {
    if (s->kind == NodeKind::kCall) AddWrites(s, &written_);
  }
  void Expressions(const StmtObj* s) {
    ForEachExpr(s, [&](const Expr& e) {
      if (const auto* load = e.as<LoadObj>()) Read(load->buffer, s);
    });
  }
  void Read(const Buffer& buffer, const StmtObj* s) {
    if (!IsTracked(buffer) || written_.count(buffer->storage.get()) != 0) return;
    std::string name = buffer->name;
    if (buffer->space() == Space::kVar) {
      RaiseAt(s->span, "CompileError", "`", name,
              "` is read before it has a value: give T.alloc_var an init, or ",
              "assign to it first");
    }
    RaiseAt(s->span, "CompileError", "`", name,
            "` is read before anything is written to it: fill it first (T.clear, T.fill, T.copy)");
  }

  Storages written_;
};

}  // namespace

bool SkipsInitialisation(const Func& f) {
  const auto& keys = f->options->ignored;
  return std::any_of(keys.begin(), keys.end(), [](const ffi::String& key) {
    return Str(key) == "tl.disable_buffer_init_check";
  });
}

void CheckInitialised(const Kernel& kernel) {
  InitChecker().Visit(kernel->body);
}

}  // namespace tilescale::passes
