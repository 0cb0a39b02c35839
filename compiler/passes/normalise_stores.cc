// SPDX-License-Identifier: MIT
// Stores of one value by many threads, and cells that belong to a point of a nest.
#include "compiler/ir/build.h"
#include "compiler/ir/diag.h"
#include "compiler/ir/visit.h"
#include "compiler/passes/normalise.h"
#include "compiler/passes/thread_uniform.h"

#include <algorithm>
#include <string>
#include <unordered_set>

namespace tilescale::passes {

using namespace ir;  // NOLINT

namespace {

// -- cells
// -----------------------------------------------------------------------------------------------

// Storages of cells that a nest's body always writes before it reads them. Straight-line code
// decides: a write inside a branch or loop is not certain, a read anywhere counts.
class FirstAccess {
 public:
  explicit FirstAccess(const Stmt& body) { Visit(body, true); }
  bool WrittenFirst(const StorageObj* s) const { return written_.count(s) != 0; }
  const std::unordered_set<const StorageObj*>& declared() const { return declared_; }
  const std::vector<Buffer>& cells() const { return cells_; }

 private:
  void Reads(const NodeObj* n) {
    Walk(n, [&](const NodeObj* x) {
      const StorageObj* s = nullptr;
      if (x->kind == NodeKind::kLoad) s = static_cast<const LoadObj*>(x)->buffer->storage.get();
      if (x->kind == NodeKind::kRegion) s = static_cast<const RegionObj*>(x)->buffer->storage.get();
      if (s != nullptr && written_.count(s) == 0) read_.insert(s);
      return true;
    });
  }
  void Visit(const Stmt& stmt, bool certain) {
    if (!stmt.defined()) return;
    switch (stmt.kind()) {
      case NodeKind::kSeq:
        for (const Stmt& s : stmt.as<SeqObj>()->stmts) Visit(s, certain);
        return;
      case NodeKind::kAlloc:
        declared_.insert(stmt.as<AllocObj>()->buffer->storage.get());
        if (stmt.as<AllocObj>()->init.defined()) Reads(stmt.as<AllocObj>()->init.get());
        return;
      case NodeKind::kStore: {
        const auto* store = stmt.as<StoreObj>();
        for (const Expr& i : store->index) Reads(i.get());
        Reads(store->value.get());
        if (store->guard.defined()) Reads(store->guard.get());
        const StorageObj* s = store->buffer->storage.get();
        if (s->space() != Space::kVar) return;
        if (seen_.insert(s).second) cells_.push_back(store->buffer);
        if (certain && read_.count(s) == 0) written_.insert(s);
        return;
      }
      case NodeKind::kIf: {
        const auto* branch = stmt.as<IfObj>();
        Reads(branch->cond.get());
        VisitArms(branch, certain);
        return;
      }
      case NodeKind::kFor: {
        const auto* loop = stmt.as<ForObj>();
        Reads(loop->begin.get());
        Reads(loop->extent.get());
        Visit(loop->body, certain && AsInt(loop->extent).value_or(0) > 0);
        return;
      }
      case NodeKind::kWhile: {
        const auto* loop = stmt.as<WhileObj>();
        Visit(loop->head, certain);
        Reads(loop->cond.get());
        Visit(loop->body, false);
        return;
      }
      default:
        Reads(stmt.get());
    }
  }

  // A cell that both arms write is written.
  void VisitArms(const IfObj* branch, bool certain) {
    auto before = written_;
    Visit(branch->then_case, certain);
    auto after_then = std::exchange(written_, before);
    Visit(branch->else_case, certain);
    std::unordered_set<const StorageObj*> both;
    for (const StorageObj* s : written_) {
      if (after_then.count(s) != 0) both.insert(s);
    }
    written_ = std::move(both);
  }

  std::unordered_set<const StorageObj*> read_, written_, declared_, seen_;
  std::vector<Buffer> cells_;
};

class CellPrivatiser : public Mutator {
 public:
  explicit CellPrivatiser(const Stmt& body) {
    const ParallelObj* nest = nullptr;
    auto enter = [&](const NodeObj* n) {
      if (n->kind == NodeKind::kParallel) nest = static_cast<const ParallelObj*>(n);
      if (n->kind == NodeKind::kLoad) Add(static_cast<const LoadObj*>(n)->buffer, nest, false);
      return true;
    };
    // A store happens after its operands are read.
    auto leave = [&](const NodeObj* n) {
      if (n->kind == NodeKind::kParallel) nest = nullptr;
      if (n->kind == NodeKind::kStore) Add(static_cast<const StoreObj*>(n)->buffer, nest, true);
    };
    Walk(body.get(), enter, leave);
  }

  Stmt MutateParallel(const Parallel& s) override {
    FirstAccess access(s->body);
    std::unordered_map<const BufferObj*, Buffer> own;
    std::vector<Stmt> body;
    for (const Buffer& cell : access.cells()) {
      const StorageObj* storage = cell->storage.get();
      if (access.declared().count(storage) != 0 || !access.WrittenFirst(storage)) continue;
      CheckNotReadAfter(s, cell);
      auto copy = CopyNode(cell.get());
      copy->storage = Storage(CopyNode(storage));
      auto alloc = ffi::make_object<AllocObj>();
      alloc->span = s->span;
      alloc->buffer = Buffer(copy);
      own[cell.get()] = alloc->buffer;
      body.push_back(Stmt(alloc));
    }
    if (own.empty()) return s;
    body.push_back(ReplaceBuffers(s->body, own));
    auto copy = CopyNode(s.get());
    copy->body = MakeSeq(body);
    return Stmt(copy);
  }

 private:
  struct Access {
    const StorageObj* cell;
    const ParallelObj* nest;  // null outside of nests
    bool write;
  };

  void Add(const Buffer& buffer, const ParallelObj* nest, bool write) {
    if (buffer->space() == Space::kVar) accesses_.push_back({buffer->storage.get(), nest, write});
  }

  // Behind the nest the cell would have the value of some point, nobody knows which.
  void CheckNotReadAfter(const Parallel& s, const Buffer& cell) const {
    bool after = false;
    const ParallelObj* skip = nullptr;  // a nest that writes before it reads
    for (const Access& a : accesses_) {
      if (a.nest == s.get()) after = true;
      if (!after || a.nest == s.get() || a.cell != cell->storage.get()) continue;
      if (a.nest != nullptr && (a.write || a.nest == skip)) {
        skip = a.nest;
        continue;
      }
      if (a.write) return;
      std::string name = cell->name;
      RaiseAt(s->span, "CompileError", "`", name,
              "` is assigned at every point of T.Parallel and read ",
              "after it: the points have no order, so it has no certain value there");
    }
  }

  std::vector<Access> accesses_;  // to cells, in program order
};

// -- stores
// -------------------------------------------------------------------------------------------
// ----------------------------------------------------------------------------------------------

class Elector : public Mutator {
 public:
  explicit Elector(const Kernel& kernel) : kernel_(kernel), uniformity_(kernel) {}

  // Points that store one value to one element: the first of them does, along each variable that
  // neither the element nor the value depends on. Only where each point certainly stores.
  Stmt MutateParallel(const Parallel& s) override {
    VarMap names;
    std::unordered_set<const StorageObj*> written;
    Walk(s->body, [&](const NodeObj* n) {
      if (n->kind == NodeKind::kStore)
        written.insert(static_cast<const StoreObj*>(n)->buffer->storage.get());
      return true;
    });
    std::vector<Stmt> body;
    bool changed = false;
    for (const Stmt& stmt : StmtsOf(s->body)) {
      if (const auto* bind = stmt.as<BindObj>())
        names[bind->var.get()] = Substitute(bind->value, names);
      const auto* store = stmt.as<StoreObj>();
      Expr first = store != nullptr ? FirstPoint(*s.get(), *store, names, written) : Expr();
      changed = changed || first.defined();
      body.push_back(first.defined() ? MakeIf(first, MakeSeq({stmt}), stmt->span) : stmt);
    }
    if (!changed) return s;
    auto copy = CopyNode(s.get());
    copy->body = MakeSeq(body);
    return Stmt(copy);
  }
  Stmt MutateGroup(const Group& s) override {
    int64_t outer = std::exchange(first_, s->first);
    Stmt out = DefaultStmt(s);
    first_ = outer;
    return out;
  }
  Stmt MutateStore(const Store& s) override {
    if (!IsMemory(s->buffer->space()) || kernel_->user_threads() == 1 ||
        !uniformity_.IsReachedByAll(s.get()))
      return s;
    bool uniform = uniformity_.IsUniform(s->value);
    for (const Expr& i : s->index) uniform = uniform && uniformity_.IsUniform(i);
    if (!uniform) return s;
    Expr mine = Eq(LinearThread(kernel_.get()), MakeConst(first_));
    auto store = CopyNode(s.get());
    store->label = "";
    auto out = CopyNode(MakeIf(mine, MakeSeq({Stmt(store)}), s->span).as<IfObj>());
    out->label = s->label;
    return Stmt(out);
  }

 private:
  static Expr FirstPoint(const ParallelObj& nest, const StoreObj& store, const VarMap& names,
                         const std::unordered_set<const StorageObj*>& written) {
    if (store.guard.defined() || !IsMemory(store.buffer->space())) return Expr();
    std::vector<Expr> operands(store.index.begin(), store.index.end());
    operands.push_back(store.value);
    // What a point reads of registers, or of what the nest writes, may be its own.
    bool known = true;
    for (Expr& e : operands) {
      e = Substitute(e, names);
      WalkOnce(e, [&](const NodeObj* n) {
        const auto* load = n->kind == NodeKind::kLoad ? static_cast<const LoadObj*>(n) : nullptr;
        known = known && (load == nullptr || (IsMemory(load->buffer->space()) &&
                                              written.count(load->buffer->storage.get()) == 0));
        return known;
      });
    }
    Expr first;
    for (size_t d = 0; known && d < nest.vars.size(); ++d) {
      const VarObj* v = nest.vars[d].get();
      bool varies = std::any_of(operands.begin(), operands.end(),
                                [&](const Expr& e) { return VariesAlong(nest, e, v); });
      if (!varies && AsInt(nest.extents[d]).value_or(2) > 1)
        first = And(first, Eq(nest.vars[d], MakeConst(0, nest.vars[d]->dtype)));
    }
    return first;
  }

  const Kernel& kernel_;
  Uniformity uniformity_;
  int64_t first_ = 0;  // of the group
};

}  // namespace

Stmt PrivatiseCells(const Stmt& body) {
  return CellPrivatiser(body)(body);
}

Stmt ElectStores(const Kernel& kernel, const Stmt& body) {
  auto copy = CopyNode(kernel.get());
  copy->body = body;
  Kernel current(copy);
  return Elector(current)(body);
}

}  // namespace tilescale::passes
