// SPDX-License-Identifier: MIT
// Optimise (passes.h): scalar clean-up of the machine stage. Memory accesses and synchronisation
// stay where they are: only pure expressions are shared, simplified or dropped.
#include "compiler/analysis/writes.h"
#include "compiler/arith/facts.h"
#include "compiler/ir/text.h"
#include "compiler/passes/passes.h"

#include <bit>
#include <unordered_set>
#include <utility>

namespace tilescale {

using namespace ir;  // NOLINT

namespace {

bool IsPure(const Expr& e) {
  bool pure = true;
  Walk(e, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kLoad || n->kind == NodeKind::kSlot) pure = false;
    return pure;
  });
  return pure;
}

// Simplifies under the facts of each place; floor divisions of non-negative operands become the
// machine's.
class Simplifier : public Mutator {
 public:
  Simplifier(const Func& f, const Kernel& k) : func_(f), kernel_(k), facts_(f, &analyzer_) {}

  Kernel Run() {
    arith::BindKernel(&analyzer_, func_, kernel_);
    auto out = CopyNode(kernel_.get());
    out->body = MutateStmt(kernel_->body);
    return Kernel(out);
  }

  Stmt MutateStmt(const Stmt& s) override {
    facts_.Enter(s);
    Stmt out = Mutator::MutateStmt(s);
    facts_.Exit(s);
    return out;
  }
  Stmt MutateFor(const For& s) override {
    auto out = CopyNode(s.get());
    out->begin = CleanIndex(s->begin);
    out->extent = CleanIndex(s->extent);
    if (s->step.defined()) out->step = CleanIndex(s->step);
    arith::BindLoop(&analyzer_, s.get());
    out->body = MutateStmt(s->body);
    return Stmt(out);
  }
  Stmt MutateBind(const Bind& s) override {
    auto out = CopyNode(s.get());
    out->value = Clean(s->value);
    analyzer_.Define(s->var, s->value);
    return Stmt(out);
  }
  Stmt MutateIf(const If& s) override {
    auto out = CopyNode(s.get());
    out->cond = Clean(s->cond);
    if (auto known = AsInt(out->cond)) return MutateStmt(*known ? s->then_case : s->else_case);
    size_t mark = analyzer_.Mark();
    analyzer_.Assume(s->cond);
    out->then_case = MutateStmt(s->then_case);
    analyzer_.Leave(mark);
    if (s->else_case.defined()) {
      analyzer_.Assume(Not(s->cond));
      out->else_case = MutateStmt(s->else_case);
    }
    if (!out->then_case.defined() && !out->else_case.defined()) return Stmt();
    if (!out->then_case.defined()) out->then_case = MakeSeq({});
    return Stmt(out);
  }
  Stmt MutateGroup(const Group& s) override {
    if (kernel_->threads[1] * kernel_->threads[2] == 1) {
      analyzer_.Bind(kernel_->thread_vars[0], arith::Interval{s->first, s->first + s->count - 1});
    }
    return DefaultStmt(s);
  }
  Stmt MutateCheck(const Check& s) override {
    Stmt out = DefaultStmt(s);
    if (s->assume) analyzer_.Assume(s->cond);
    return out;
  }
  Stmt MutateStore(const Store& s) override {
    auto out = CopyNode(s.get());
    ffi::Array<Expr> index;
    for (const Expr& i : s->index) index.push_back(CleanIndex(i));
    out->index = index;
    out->value = Clean(s->value);
    out->guard = CleanIndex(s->guard);
    return Stmt(out);
  }
  // Within an expression that was simplified as a whole.
  Expr MutateLoad(const Load& e) override {
    bool outer = std::exchange(values_, false);
    auto out = CopyNode(e.get());
    out->index = MutateExprs(e->index);
    out->guard = MutateExpr(e->guard);
    values_ = outer;
    out->other = MutateExpr(e->other);
    return Expr(out);
  }
  Expr MutateExpr(const Expr& e) override {
    if (!e.defined() || inside_) return Mutator::MutateExpr(e);
    return Clean(e);
  }
  Expr MutateOp(const Op& e) override {
    Expr out = DefaultExpr(e);
    const auto* op = out.as<OpObj>();
    if (op == nullptr || !IsInteger(op->dtype) || op->dtype.lanes > 1) return out;
    bool div = op->op() == OpCode::kFloorDiv, mod = op->op() == OpCode::kFloorMod;
    if (!div && !mod) return out;
    auto low = [&](const Expr& x) {
      return (values_ ? analyzer_.ValueBounds(x) : analyzer_.Bounds(x)).lo;
    };
    bool positive = IsUInt(op->dtype) || (low(e->args[0]) >= 0 && low(e->args[1]) > 0);
    if (!positive) return RoundDown(div, op->args[0], op->args[1]);
    return MakeOp(div ? OpCode::kTruncDiv : OpCode::kTruncMod, {op->args[0], op->args[1]},
                  op->dtype);
  }

 private:
  // A division toward minus infinity by the machine's instructions, which round toward zero: shifts
  // and masks for powers of two, else one less where there is a rest of the other sign.
  static Expr RoundDown(bool div, const Expr& a, const Expr& b) {
    DataType t = a.dtype();
    auto c = AsInt(b);
    if (c && *c > 0 && (*c & (*c - 1)) == 0) {
      if (!div) return MakeOp(OpCode::kBitAnd, {a, MakeConst(*c - 1, t)}, t);
      return MakeOp(OpCode::kShr, {a, MakeConst(std::countr_zero(static_cast<uint64_t>(*c)), t)},
                    t);
    }
    Expr zero = MakeConst(0, t);
    Expr rest = MakeOp(OpCode::kTruncMod, {a, b}, t);
    Expr opposite = c ? Compare(*c > 0 ? OpCode::kLt : OpCode::kGt, rest, zero)
                      : Lt(MakeOp(OpCode::kBitXor, {rest, b}, t), zero);
    Expr lower = c ? opposite : And(Compare(OpCode::kNe, rest, zero), opposite);
    if (!div) return Select(lower, MakeOp(OpCode::kAdd, {rest, b}, t), rest);
    Expr quotient = MakeOp(OpCode::kTruncDiv, {a, b}, t);
    return Select(lower, MakeOp(OpCode::kSub, {quotient, MakeConst(1, t)}, t), quotient);
  }

  // Simplified as a whole, then divisions are replaced below.
  Expr Clean(const Expr& e, bool values = true) {
    if (!e.defined()) return e;
    Expr simple = values ? analyzer_.SimplifyValue(e) : analyzer_.Simplify(e);
    bool inside = std::exchange(inside_, true), outer = std::exchange(values_, values);
    Expr out = Mutator::MutateExpr(simple);
    inside_ = inside;
    values_ = outer;
    return out;
  }
  // Of an address, a bound or a guard, whose arithmetic means integers.
  Expr CleanIndex(const Expr& e) { return Clean(e, false); }

  const Func& func_;
  const Kernel& kernel_;
  arith::Analyzer analyzer_;
  analysis::FactScope facts_;
  bool inside_ = false;
  bool values_ = true;  // what is inside is a value
};

// A pure Bind whose value an enclosing or earlier Bind of the same scope already has is dropped.
class Sharer : public Mutator {
 public:
  Stmt MutateSeq(const Seq& s) override {
    size_t outer = known_.size();
    Stmt out = Mutator::MutateSeq(s);
    known_.resize(outer);
    return out;
  }
  Stmt MutateBind(const Bind& s) override {
    auto out = CopyNode(s.get());
    out->value = MutateExpr(s->value);
    if (!IsPure(out->value)) return Stmt(out);
    if (out->value.kind() == NodeKind::kConst || out->value.kind() == NodeKind::kVar) {
      replace_[s->var.get()] = out->value;
      return Stmt();
    }
    for (const auto& [value, var] : known_) {
      if (SameExpr(value, out->value)) {
        replace_[s->var.get()] = var;
        return Stmt();
      }
    }
    known_.emplace_back(out->value, s->var);
    return Stmt(out);
  }
  Expr MutateVar(const Var& v) override {
    auto it = replace_.find(v.get());
    return it == replace_.end() ? Expr(v) : it->second;
  }

 private:
  std::vector<std::pair<Expr, Var>> known_;
  std::unordered_map<const VarObj*, Expr> replace_;
};

// Pure Binds and register cells that nothing reads are dropped.
class Pruner : public Mutator {
 public:
  explicit Pruner(const Stmt& body) {
    Walk(body, [&](const NodeObj* n) {
      if (n->kind == NodeKind::kVar) ++uses_[n];
      if (n->kind == NodeKind::kLoad)
        ++uses_[static_cast<const LoadObj*>(n)->buffer->storage.get()];
      if (n->kind == NodeKind::kRegion)
        ++uses_[static_cast<const RegionObj*>(n)->buffer->storage.get()];
      if (n->kind == NodeKind::kStore)
        ++stores_[static_cast<const StoreObj*>(n)->buffer->storage.get()];
      return true;
    });
  }
  bool changed() const { return changed_; }

  Stmt MutateBind(const Bind& s) override {
    // Its own definition counts once.
    if (uses_[s->var.get()] <= 1 && IsPure(s->value)) return Drop();
    return s;
  }
  Stmt MutateAlloc(const Alloc& s) override {
    if (!s->buffer.defined() || !IsRegister(s->buffer->space())) return s;
    const NodeObj* storage = s->buffer->storage.get();
    return uses_[storage] == 0 && stores_[storage] == 0 ? Drop() : Stmt(s);
  }

 private:
  Stmt Drop() {
    changed_ = true;
    return Stmt();
  }
  std::unordered_map<const NodeObj*, int> uses_, stores_;
  bool changed_ = false;
};

}  // namespace

namespace passes {

Func Optimise(Func f, PassContext&) {
  return MapKernels(f, [&](const Kernel& k) {
    Kernel simple = Simplifier(f, k).Run();
    auto out = CopyNode(simple.get());
    out->body = Sharer().MutateStmt(simple->body);
    for (int round = 0; round < 8; ++round) {
      Pruner pruner(out->body);
      out->body = pruner.MutateStmt(out->body);
      if (!pruner.changed()) break;
    }
    return Kernel(out);
  });
}

}  // namespace passes
}  // namespace tilescale
