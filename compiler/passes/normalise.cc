// SPDX-License-Identifier: MIT
// Normalise: one form to check and to compile (passes.h). Here the driver and the steps on loops
// and indices; control is in normalise_control.cc, stores in normalise_stores.cc.
#include "compiler/passes/normalise.h"

#include "compiler/analysis/writes.h"
#include "compiler/ir/build.h"
#include "compiler/ir/diag.h"
#include "compiler/ir/op_def.h"
#include "compiler/ir/text.h"
#include "compiler/ir/visit.h"

namespace tilescale::passes {

using namespace ir;  // NOLINT

namespace {

// -- explicit unrolls
// ------------------------------------------------------------------------------------

constexpr int64_t kMaxCopies = 1024;  // statements beyond this are a mistake, not a wish

class Expander : public Mutator {
 public:
  Stmt MutateFor(const For& s) override {
    Stmt inner = DefaultStmt(s);
    const auto* loop = inner.as<ForObj>();
    if (loop->loop() != ForKind::kUnroll || loop->factor != kExplicitUnroll) return inner;
    auto extent = AsInt(loop->extent);
    auto step = loop->step.defined() ? AsInt(loop->step) : std::optional<int64_t>(1);
    if (!extent || !step) {
      RaiseAt(s->span, "CompileError", "T.unroll(explicit=True) needs a constant range, got `",
              Spelled(loop->extent), "` iterations");
    }
    if (*extent > kMaxCopies) {
      RaiseAt(s->span, "CompileError", "T.unroll(explicit=True) of ", *extent,
              " iterations, at most ", kMaxCopies, ": use T.unroll without explicit");
    }
    if (HasJump(loop->body)) {
      RaiseAt(s->span, "CompileError",
              "break and continue in T.unroll(explicit=True) are not supported: use T.serial");
    }
    std::vector<Stmt> copies;
    DataType t = loop->var->dtype;
    for (int64_t i = 0; i < *extent; ++i) {
      Expr value = Add(loop->begin, MakeConst(i * *step, t));
      Stmt copy = i == 0 ? loop->body : RefreshDeclarations(loop->body);
      copies.push_back(Substitute(copy, {{loop->var.get(), value}}));
    }
    return MakeSeq(copies);
  }

 private:
  // A jump that would leave this loop; those of loops inside are their own.
  static bool HasJump(const Stmt& s) {
    bool found = false;
    Walk(s, [&](const NodeObj* n) {
      if (n->kind == NodeKind::kJump) {
        found = found || static_cast<const JumpObj*>(n)->jump() != JumpKind::kExit;
      }
      return n->kind != NodeKind::kFor && n->kind != NodeKind::kWhile && !found;
    });
    return found;
  }
};

// -- negative indices
// ------------------------------------------------------------------------------------

// A constant below zero counts from the end. What only a proof shows to be negative does not: a
// program would mean something else where the prover, or a problem's size, says less.
class Wrapper : public Mutator {
 public:
  Expr MutateLoad(const Load& e) override {
    Expr inner = DefaultExpr(e);
    const auto* load = inner.as<LoadObj>();
    ffi::Array<Expr> index = WrapAll(load->buffer, load->index);
    if (index.same_as(load->index)) return inner;
    auto copy = CopyNode(load);
    copy->index = index;
    return Expr(copy);
  }
  Stmt MutateStore(const Store& s) override {
    Stmt inner = DefaultStmt(s);
    const auto* store = inner.as<StoreObj>();
    ffi::Array<Expr> index = WrapAll(store->buffer, store->index);
    if (index.same_as(store->index)) return inner;
    auto copy = CopyNode(store);
    copy->index = index;
    return Stmt(copy);
  }
  Region MutateRegion(const Region& r) override {
    Region inner = Mutator::MutateRegion(r);
    ffi::Array<Expr> begin = WrapAll(inner->buffer, inner->begin);
    if (begin.same_as(inner->begin)) return inner;
    auto copy = CopyNode(inner.get());
    copy->begin = begin;
    return Region(copy);
  }

 private:
  static ffi::Array<Expr> WrapAll(const Buffer& buffer, const ffi::Array<Expr>& index) {
    ffi::Array<Expr> out;
    bool changed = false;
    for (size_t d = 0; d < index.size(); ++d) {
      Expr e = index[d];
      if (auto constant = AsInt(e); constant && *constant < 0) {
        e = Add(Cast(buffer->shape[d], e.dtype()), e);
        changed = true;
      }
      out.push_back(e);
    }
    return changed ? out : index;
  }
};

// -- bounds of loops
// ------------------------------------------------------------------------------------

// The bounds of a loop are evaluated once, before it: those that read what the loop may write are
// bound there, as the text evaluates a bound in each iteration.
class BoundBinder : public Mutator {
 public:
  explicit BoundBinder(const Func& f) : aliases_(f) {}

  Stmt MutateFor(const For& s) override {
    Stmt inner = DefaultStmt(s);
    auto loop = CopyNode(inner.as<ForObj>());
    std::vector<Stmt> out;
    analysis::Writes writes = analysis::WritesOf(s->body);
    std::string name(s->var->name);
    loop->extent = Bound(loop->extent, name + "_extent", writes, s->span, &out);
    loop->begin = Bound(loop->begin, name + "_begin", writes, s->span, &out);
    loop->step = Bound(loop->step, name + "_step", writes, s->span, &out);
    if (out.empty()) return inner;
    out.push_back(Stmt(loop));
    return MakeSeq(out);
  }
  Stmt MutateParallel(const Parallel& s) override {
    Stmt inner = DefaultStmt(s);
    auto nest = CopyNode(inner.as<ParallelObj>());
    std::vector<Stmt> out;
    analysis::Writes writes = analysis::WritesOf(s->body);
    ffi::Array<Expr> extents;
    for (size_t i = 0; i < s->extents.size(); ++i) {
      std::string name = std::string(s->vars[i]->name) + "_extent";
      extents.push_back(Bound(nest->extents[i], name, writes, s->span, &out));
    }
    if (out.empty()) return inner;
    nest->extents = extents;
    out.push_back(Stmt(nest));
    return MakeSeq(out);
  }

 private:
  Expr Bound(const Expr& e, const std::string& name, const analysis::Writes& writes,
             const Span& span, std::vector<Stmt>* out) {
    if (!e.defined() || !Changes(e, writes)) return e;
    Var v = MakeVar(name, e.dtype());
    out->push_back(MakeBind(v, e, span));
    return v;
  }

  bool Changes(const Expr& e, const analysis::Writes& writes) const {
    bool found = false;
    Walk(e, [&](const NodeObj* n) {
      if (n->kind != NodeKind::kLoad) return !found;
      const StorageObj* read = static_cast<const LoadObj*>(n)->buffer->storage.get();
      found = found || (writes.memory && !IsRegister(read->space()));
      for (const StorageObj* w : writes.storages) found = found || aliases_.May(w, read);
      return !found;
    });
    return found;
  }

  analysis::Aliases aliases_;
};

// -- nests
// -----------------------------------------------------------------------------------------------

class Merger : public Mutator {
 public:
  Stmt MutateParallel(const Parallel& s) override {
    Stmt inner = DefaultStmt(s);
    const auto* outer = inner.as<ParallelObj>();
    std::vector<Stmt> body = StmtsOf(outer->body);
    const auto* nest = body.size() == 1 ? body[0].as<ParallelObj>() : nullptr;
    if (nest == nullptr || outer->layout_fixed || nest->layout_fixed) return inner;
    // The inner extents may not depend on the outer variables: the nest is a box.
    for (const Expr& e : nest->extents) {
      bool depends = false;
      Walk(e, [&](const NodeObj* n) {
        for (const Var& v : outer->vars) depends = depends || v.get() == n;
        return true;
      });
      if (depends) return inner;
    }
    auto merged = CopyNode(outer);
    for (const Var& v : nest->vars) merged->vars.push_back(v);
    for (const Expr& e : nest->extents) merged->extents.push_back(e);
    merged->body = nest->body;
    merged->width = std::max(outer->width, nest->width);
    merged->prefer_async = outer->prefer_async || nest->prefer_async;
    return Stmt(merged);
  }
};

}  // namespace

Stmt ExpandUnrolls(const Stmt& body) {
  return Expander()(body);
}

Stmt WrapNegativeIndices(const Stmt& body) {
  return Wrapper()(body);
}

Stmt MergeNests(const Stmt& body) {
  return Merger()(body);
}

bool HasCollective(const Stmt& s) {
  bool found = false;
  Walk(s, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kTileOp) {
      const OpSyntax& syntax = SyntaxOf(static_cast<const TileOpObj*>(n));
      found = found || syntax.participants == Participants::kGroup;
    }
    found = found || n->kind == NodeKind::kParallel;
    return !found;
  });
  return found;
}

Func Normalise(Func f, PassContext&) {
  return MapKernels(f, [&](const Kernel& kernel) {
    auto out = CopyNode(kernel.get());
    auto step = [&](Stmt body) {
      out->body = body.kind() == NodeKind::kSeq ? body : MakeSeq({body});
    };
    step(BoundBinder(f)(out->body));
    step(ExpandUnrolls(out->body));
    step(WrapNegativeIndices(out->body));
    step(MergeNests(out->body));
    step(RecoverGroups(kernel, out->body));
    step(SplitBranches(out->body));
    step(PrivatiseCells(out->body));
    // Without our barriers a user relies on every thread having stored what it reads.
    if (!f->options->disable_thread_storage_sync) step(ElectStores(kernel, out->body));
    return out->body.same_as(kernel->body) ? kernel : Kernel(out);
  });
}

}  // namespace tilescale::passes
