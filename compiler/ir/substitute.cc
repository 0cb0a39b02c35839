// SPDX-License-Identifier: MIT
// Rewrites of symbols: substitution of variables, fresh copies, and mapping over kernels.
#include "compiler/ir/build.h"
#include "compiler/ir/visit.h"
#include "support/diagnostics.h"

#include <utility>

namespace tilescale::ir {
namespace {

// Replaces references to variables, buffers and tokens by its tables. A declared buffer whose own
// expressions change is declared anew.
class SymbolMutator : public Mutator {
 public:
  Buffer MutateBuffer(const Buffer& b) override {
    auto it = buffers_.find(b.get());
    return it == buffers_.end() ? b : it->second;
  }
  Expr MutateVar(const Var& v) override {
    auto it = vars_->find(v.get());
    return it == vars_->end() ? v : it->second;
  }

 protected:
  explicit SymbolMutator(const VarMap* vars) : vars_(vars) {}

  // `b` with its expressions mutated and, if given, another storage; `b` itself if nothing changed.
  Buffer Rewrite(const Buffer& b, const Storage& storage, bool fresh) {
    ffi::Array<Expr> shape = MutateExprs(b->shape), strides = MutateExprs(b->strides);
    Expr offset = MutateExpr(b->offset);
    const bool same = shape.same_as(b->shape) && strides.same_as(b->strides) &&
                      offset.same_as(b->offset) && storage.same_as(b->storage);
    if (same && !fresh) return b;
    auto copy = CopyNode(b.get());
    copy->shape = std::move(shape);
    copy->strides = std::move(strides);
    copy->offset = std::move(offset);
    copy->storage = storage;
    return Buffer(std::move(copy));
  }

  const VarMap* vars_;
  std::unordered_map<const BufferObj*, Buffer> buffers_;
};

class Substituter : public SymbolMutator {
 public:
  explicit Substituter(const VarMap* map) : SymbolMutator(map) {}

  Stmt MutateView(const View& n) override {
    Buffer buffer = Rewrite(n->buffer, n->buffer->storage, false);
    if (!buffer.same_as(n->buffer)) buffers_[n->buffer.get()] = buffer;
    return DefaultStmt(n);
  }
};

class BufferReplacer : public Mutator {
 public:
  explicit BufferReplacer(const BufferMap& map) : map_(map) {}
  Buffer MutateBuffer(const Buffer& b) override {
    auto it = map_.find(b.get());
    return it == map_.end() ? b : it->second;
  }

 private:
  const BufferMap& map_;
};

class Refresher : public SymbolMutator {
 public:
  Refresher() : SymbolMutator(&fresh_vars_) {}

  Stmt MutateBind(const Bind& n) override {
    Expr value = MutateExpr(n->value);
    auto copy = CopyNode(n.get());
    copy->value = std::move(value);
    copy->var = Fresh(n->var);
    return Bind(std::move(copy));
  }
  Stmt MutateFor(const For& n) override {
    auto copy = CopyNode(n.get());
    copy->var = Fresh(n->var);
    return DefaultStmt(For(std::move(copy)));
  }
  Stmt MutateParallel(const Parallel& n) override {
    auto copy = CopyNode(n.get());
    ffi::Array<Var> vars;
    for (const Var& v : n->vars) vars.push_back(Fresh(v));
    copy->vars = std::move(vars);
    return DefaultStmt(Parallel(std::move(copy)));
  }
  Stmt MutateCall(const Call& n) override {
    for (const Expr& result : n->results) {
      if (const VarObj* v = result.as<VarObj>()) Fresh(ffi::GetRef<Var>(v));
    }
    return DefaultStmt(n);
  }
  Stmt MutateAlloc(const Alloc& n) override {
    if (n->token.defined()) {
      auto copy = CopyNode(n.get());
      copy->token = Token(CopyNode(n->token.get()));
      tokens_[n->token.get()] = copy->token;
      return Alloc(std::move(copy));
    }
    Storage storage(CopyNode(n->buffer->storage.get()));
    storages_[n->buffer->storage.get()] = storage;
    buffers_[n->buffer.get()] = Rewrite(n->buffer, storage, true);
    return DefaultStmt(n);
  }
  Stmt MutateView(const View& n) override {
    auto it = storages_.find(n->buffer->storage.get());
    Storage storage = it == storages_.end() ? n->buffer->storage : it->second;
    buffers_[n->buffer.get()] = Rewrite(n->buffer, storage, true);
    return DefaultStmt(n);
  }
  Stmt MutateTokenOp(const TokenOp& n) override {
    auto it = tokens_.find(n->token.get());
    if (it == tokens_.end()) return n;
    auto copy = CopyNode(n.get());
    copy->token = it->second;
    return TokenOp(std::move(copy));
  }
  Expr MutateSlot(const Slot& n) override {
    auto it = tokens_.find(n->token.get());
    return it == tokens_.end() ? Expr(n) : MakeSlot(it->second, n->out, n->back, n->phase);
  }

 private:
  Var Fresh(const Var& v) {
    Var copy(CopyNode(v.get()));
    fresh_vars_[v.get()] = copy;
    return copy;
  }

  VarMap fresh_vars_;
  std::unordered_map<const TokenObj*, Token> tokens_;
  std::unordered_map<const StorageObj*, Storage> storages_;
};

class KernelMapper : public Mutator {
 public:
  explicit KernelMapper(const std::function<Kernel(const Kernel&)>* fn) : fn_(fn) {}
  Stmt MutateKernel(const Kernel& k) override { return (*fn_)(k); }

 private:
  const std::function<Kernel(const Kernel&)>* fn_;
};

}  // namespace

Expr Substitute(const Expr& e, const VarMap& map) {
  return map.empty() ? e : Substituter(&map).MutateExpr(e);
}

Stmt Substitute(const Stmt& s, const VarMap& map) {
  return map.empty() ? s : Substituter(&map).MutateStmt(s);
}

Stmt ReplaceBuffers(const Stmt& s, const BufferMap& map) {
  return map.empty() ? s : BufferReplacer(map).MutateStmt(s);
}

Stmt RefreshDeclarations(const Stmt& s) {
  return Refresher().MutateStmt(s);
}

bool IsDeclaration(const Stmt& s) {
  switch (s.kind()) {
    case NodeKind::kBind:
    case NodeKind::kAlloc:
    case NodeKind::kView:
      return true;
    case NodeKind::kCheck:
      return s.as<CheckObj>()->assume;
    default:
      return false;
  }
}

Stmt WithLabel(const Stmt& s, std::string_view label) {
  switch (s.kind()) {
#define TS_LABELLED(name, parent)                  \
  case NodeKind::k##name: {                        \
    auto copy = CopyNode(s.as<name##Obj>());       \
    copy->label = ffi::String(std::string(label)); \
    return Stmt(copy);                             \
  }
    TS_STMT_NODES(TS_LABELLED)
#undef TS_LABELLED
    default:
      TS_UNREACHABLE("label of a node of kind " << NodeKindName(s.kind()));
  }
}

Func MapKernels(const Func& f, const std::function<Kernel(const Kernel&)>& fn) {
  Stmt body = KernelMapper(&fn).MutateStmt(f->body);
  if (body.same_as(f->body)) return f;
  auto copy = CopyNode(f.get());
  copy->body = std::move(body);
  return Func(std::move(copy));
}

}  // namespace tilescale::ir
