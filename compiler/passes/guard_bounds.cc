// SPDX-License-Identifier: MIT
// GuardBounds: every global access is proven in range or carries a guard over logical coordinates
// (passes.h). Regions get check masks, element accesses a guard; on-chip accesses
// are never guarded, those that are not proven are recorded.
#include "compiler/analysis/writes.h"
#include "compiler/arith/facts.h"
#include "compiler/ir/diag.h"
#include "compiler/ir/text.h"
#include "compiler/ops/tile_op.h"
#include "compiler/passes/passes.h"

#include <algorithm>
#include <type_traits>

namespace tilescale {

using namespace ir;  // NOLINT

namespace {

class Guarder : public Mutator {
 public:
  Guarder(const Func& f, const Kernel& k, PassContext* ctx)
      : func_(f), kernel_(k), ctx_(ctx), facts_(f, &analyzer_) {}

  Kernel Run() {
    arith::BindKernel(&analyzer_, func_, kernel_);
    auto out = CopyNode(kernel_.get());
    out->body = MutateStmt(kernel_->body);
    const arith::Analyzer::Stats& s = analyzer_.stats();
    ctx_->Record("guard-bounds", kernel_->span, "bounds of " + std::string(kernel_->name),
                 std::to_string(s.queries) + " queries: " + std::to_string(s.fast) +
                     " by intervals, " + std::to_string(s.enumerated) + " by enumeration, " +
                     std::to_string(s.solver) + " by solver; " + std::to_string(guards_) +
                     " guards");
    return Kernel(out);
  }

  Stmt MutateStmt(const Stmt& s) override {
    facts_.Enter(s);
    Stmt out = Mutator::MutateStmt(s);
    facts_.Exit(s);
    return out;
  }
  Stmt MutateFor(const For& s) override {
    arith::BindLoop(&analyzer_, s.get());
    return Loop(s, {s->extent});
  }
  Stmt MutateParallel(const Parallel& s) override {
    arith::BindParallel(&analyzer_, s.get());
    return Loop(s, s->extents);
  }
  Stmt MutateBind(const Bind& s) override {
    Stmt out = Statement(s);
    analyzer_.Define(s->var, out.as<BindObj>()->value);
    return out;
  }
  Stmt MutateCheck(const Check& s) override {
    Stmt out = Statement(s);
    if (s->assume) Assume(s->cond, out.as<CheckObj>()->cond);
    return out;
  }
  Stmt MutateIf(const If& s) override {
    auto out = CopyNode(s.get());
    span_ = s->span;
    out->cond = MutateExpr(s->cond);
    out->then_case = Under(s->cond, out->cond, [&] { return MutateStmt(s->then_case); });
    if (s->else_case.defined()) {
      out->else_case =
          Under(Not(s->cond), Not(out->cond), [&] { return MutateStmt(s->else_case); });
    }
    return Stmt(out);
  }
  Stmt MutateCall(const Call& s) override {
    auto out = CopyNode(Statement(s).as<CallObj>());
    // An effect through an address out of range is skipped; its result is the safe value.
    Expr guard;
    for (const Expr& a : out->args) {
      const auto* addr = a.as<AddrObj>();
      if (addr == nullptr || addr->region->buffer->space() != Space::kGlobal) continue;
      guard = And(guard, Guard(addr->region->buffer, addr->region->begin, addr->region->extent));
    }
    if (guard.defined()) out->guard = And(out->guard, guard);
    return Stmt(out);
  }
  Stmt MutateTileOp(const TileOp& s) override { return Statement(s); }

  Stmt MutateStore(const Store& s) override {
    auto out = CopyNode(Statement(s).as<StoreObj>());
    span_ = s->span;
    if (Expr g = Guard(s->buffer, out->index); g.defined()) {
      if (outside_) {
        WarnOutside(Spelled(MakeLoad(s->buffer, {s->index.begin(), s->index.end()})), s->buffer,
                    "nothing is stored");
      }
      out->guard = And(out->guard, g);
    }
    return Stmt(out);
  }

  Expr MutateLoad(const Load& e) override {
    Expr inner = DefaultExpr(e);
    Expr g = Guard(e->buffer, inner.as<LoadObj>()->index);
    if (!g.defined()) return inner;
    if (outside_) WarnOutside(Spelled(e), e->buffer, "it reads as the safe value");
    auto out = CopyNode(inner.as<LoadObj>());
    out->guard = And(out->guard, g);
    if (!out->other.defined()) out->other = SafeValue(e->buffer);
    return Expr(out);
  }

  // What an index loads is guarded first: the guard reads it, too.
  Region MutateRegion(const Region& given) override {
    Region r = Mutator::MutateRegion(given);
    if (r->buffer->space() != Space::kGlobal || Off()) return r;
    int64_t lo = 0, hi = 0;
    bool outside = false;
    for (int d = 0; d < r->buffer->ndim(); ++d) {
      Expr extent = r->extent[d].defined() ? r->extent[d] : MakeConst(1);
      DataType t = Common(r->begin[d], r->buffer->shape[d]);
      Expr begin = Cast(r->begin[d], t), end = Add(begin, Cast(extent, t));
      Expr zero = MakeConst(0, t), most = Cast(r->buffer->shape[d], t);
      if (!analyzer_.Prove(Ge(begin, zero))) lo |= int64_t(1) << d;
      if (!analyzer_.Prove(Le(end, most))) hi |= int64_t(1) << d;
      outside = outside || ((lo >> d & 1) != 0 && ProveFast(Le(end, zero))) ||
                ((hi >> d & 1) != 0 && ProveFast(Ge(begin, most)));
    }
    if (outside)
      WarnOutside(Spelled(r), r->buffer, "reads give the safe value, writes are skipped");
    Expr other = SafeValue(r->buffer);
    if (lo == 0 && hi == 0) return r;
    guards_ += __builtin_popcountll(lo) + __builtin_popcountll(hi);
    auto out = CopyNode(r.get());
    out->check_lo = lo;
    out->check_hi = hi;
    if (other.defined()) out->other = other;
    return Region(out);
  }

  // The right operand of `and`, the sides of `if`, are evaluated only under their condition.
  Expr MutateOp(const Op& e) override {
    bool is_if = e->op() == OpCode::kIf, is_and = e->op() == OpCode::kAnd;
    if (!is_if && !is_and) return DefaultExpr(e);
    auto out = CopyNode(e.get());
    ffi::Array<Expr> args = {MutateExpr(e->args[0])};
    args.push_back(Under(e->args[0], args[0], [&] { return MutateExpr(e->args[1]); }));
    if (is_if) {
      args.push_back(Under(Not(e->args[0]), Not(args[0]), [&] { return MutateExpr(e->args[2]); }));
    }
    out->args = args;
    return Expr(out);
  }

 private:
  // A condition holds as it is evaluated, with the guards of its own loads; where those are proven
  // a load stands without, so the fact as it was written serves there.
  void Assume(const Expr& written, const Expr& guarded) {
    analyzer_.Assume(written);
    if (!SameExpr(written, guarded)) analyzer_.Assume(guarded);
  }
  // Conditions nest in large expressions: only of small ones it is asked whether they ever hold.
  static bool IsSmall(const Expr& e) {
    constexpr int kNodes = 64;
    int nodes = 0;
    Walk(e, [&](const NodeObj*) { return ++nodes < kNodes; });
    return nodes < kNodes;
  }
  // What `body` gives where the condition holds.
  template <class Body>
  std::invoke_result_t<Body> Under(const Expr& written, const Expr& guarded, const Body& body) {
    const bool outer = nothing_runs_;
    nothing_runs_ = outer || (IsSmall(written) && ProveFast(Not(written)));
    size_t mark = analyzer_.Mark();
    Assume(written, guarded);
    auto out = body();
    analyzer_.Leave(mark);
    nothing_runs_ = outer;
    return out;
  }
  Stmt Loop(const Stmt& s, const ffi::Array<Expr>& extents) {
    const bool outer = nothing_runs_;
    for (const Expr& e : extents) {
      nothing_runs_ = nothing_runs_ || ProveFast(Le(e, MakeConst(0, e.dtype())));
    }
    Stmt out = Statement(s);
    nothing_runs_ = outer;
    return out;
  }
  bool Off() const { return func_->options->disable_safe_memory_legalize; }

  Stmt Statement(const Stmt& s) {
    span_ = s->span;
    return DefaultStmt(s);
  }

  Expr SafeValue(const Buffer& b) {
    for (size_t i = 0; i < kernel_->safe_buffers.size(); ++i) {
      if (kernel_->safe_buffers[i]->storage.same_as(b->storage))
        return Cast(kernel_->safe_values[i], b->dtype);
    }
    return Expr();
  }

  // The type in which an index and an extent are compared: it holds the values of both, for an
  // extent is never negative.
  static DataType Common(const Expr& index, const Expr& extent) {
    DataType t = index.dtype();
    int bits = std::max({32, static_cast<int>(t.bits), static_cast<int>(extent.dtype().bits)});
    return IsUInt(t) ? UInt(bits) : Int(bits);
  }

  // The part of 0 ≤ index and index + count ≤ shape that is not proven; null: all is. No `count`:
  // one element.
  Expr Guard(const Buffer& b, const ffi::Array<Expr>& index,
             const ffi::Array<Expr>& count = ffi::Array<Expr>()) {
    outside_ = false;
    if (b->space() != Space::kGlobal) {
      CheckConstants(b, index);
      if (b->space() == Space::kShared) Report(b, index);
      return Expr();
    }
    if (Off()) return Expr();
    Expr guard;
    for (size_t d = 0; d < index.size(); ++d) {
      if (index[d].dtype().lanes > 1) continue;
      DataType t = Common(index[d], b->shape[d]);
      Expr begin = Cast(index[d], t), extent = Cast(b->shape[d], t);
      bool one = count.empty() || !count[d].defined() || IsConst(count[d], 1);
      Expr low = Ge(begin, MakeConst(0, t));
      Expr high = one ? Lt(begin, extent) : Le(Add(begin, Cast(count[d], t)), extent);
      for (const Expr& bound : {low, high}) {
        if (analyzer_.Prove(bound)) continue;
        guard = And(guard, bound);
        outside_ = outside_ || ProveFast(Not(bound));
      }
    }
    if (guard.defined()) ++guards_;
    return guard;
  }

  bool ProveFast(const Expr& cond) { return analyzer_.Prove(cond, arith::Tier::kFast); }

  void WarnOutside(const std::string& access, const Buffer& b, const char* then) {
    if (nothing_runs_) return;
    std::string shape;
    for (const Expr& e : b->shape) shape += (shape.empty() ? "" : ", ") + Spelled(e);
    ctx_->Record("warning", span_, access, "never in range of the shape [" + shape + "]: " + then);
  }

  // On chip nothing is guarded, and no run makes a constant index right; only where nothing runs it
  // may stand.
  void CheckConstants(const Buffer& b, const ffi::Array<Expr>& index) {
    for (size_t d = 0; d < index.size(); ++d) {
      auto i = AsInt(index[d]), extent = AsInt(b->shape[d]);
      if (!i || !extent || *extent == 0 || (*i >= 0 && *i < *extent)) continue;
      if (nothing_runs_) continue;
      // Normalise has counted a negative one from the end.
      RaiseAt(span_, "IndexError", "index ", *i < 0 ? *i - *extent : *i, " of `", b->name,
              "` is out of range: dimension ", d, " has extent ", *extent, "; index it from 0 to ",
              *extent - 1);
    }
  }

  void Report(const Buffer& b, const ffi::Array<Expr>& index) {
    for (size_t d = 0; d < index.size(); ++d) {
      const Expr& i = index[d];
      if (i.dtype().lanes > 1) continue;
      DataType t = Common(i, b->shape[d]);
      if (analyzer_.Prove(Ge(i, MakeConst(0, i.dtype())), arith::Tier::kEnumerate) &&
          analyzer_.Prove(Lt(Cast(i, t), Cast(b->shape[d], t)), arith::Tier::kEnumerate)) {
        continue;
      }
      ctx_->Record("guard-bounds", span_,
                   "index " + std::to_string(d) + " of " + std::string(b->name),
                   "not proven in range: " + Spelled(i));
    }
  }

  const Func& func_;
  const Kernel& kernel_;
  PassContext* ctx_;
  arith::Analyzer analyzer_;
  analysis::FactScope facts_;
  Span span_;
  int64_t guards_ = 0;
  bool outside_ = false;  // the last guard never holds
  bool nothing_runs_ =
      false;  // under a condition that never holds, or in a loop without iterations
};

}  // namespace

namespace passes {

Func GuardBounds(Func f, PassContext& ctx) {
  return MapKernels(f, [&](const Kernel& k) { return Guarder(f, k, &ctx).Run(); });
}

}  // namespace passes
}  // namespace tilescale
