// SPDX-License-Identifier: MIT
// SelectOps: the first lowering of each op that does not refuse, with the reasons of those that
// did; the families of each shared buffer as the intersection of what its users accept (passes.h).
#include "compiler/analysis/writes.h"
#include "compiler/arith/facts.h"
#include "compiler/ir/diag.h"
#include "compiler/ir/text.h"
#include "compiler/ops/tile_op.h"
#include "compiler/passes/check.h"
#include "compiler/passes/passes.h"
#include "support/strings.h"

#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace tilescale {

using namespace ir;  // NOLINT

namespace {

constexpr int64_t kAllFamilies = kLinear | kPadded | kSwizzle32 | kSwizzle64 | kSwizzle128 | kExact;

class Selector : public Mutator {
 public:
  Selector(const Func& f, const Kernel& k, PassContext* ctx)
      : func_(f), kernel_(k), ctx_(ctx), scope_(f, &analyzer_) {}

  Kernel Run() {
    arith::BindKernel(&analyzer_, func_, kernel_);
    threads_ = kernel_->user_threads();
    if (kernel_->schedule.defined()) ReadSchedule(kernel_->schedule);
    auto out = CopyNode(kernel_.get());
    out->body = MutateStmt(kernel_->body);
    for (const Expr& fact : facts_) out->requires_.push_back(fact);
    Kernel selected(out);
    return FamilyWriter(families_).Apply(selected);
  }

  // A unit of the schedule runs on the threads of its role; what fills a pipe of cp.async may be
  // asynchronous.
  Stmt MutateStmt(const Stmt& s) override {
    scope_.Enter(s);
    Stmt out = Unit(s);
    scope_.Exit(s);
    return out;
  }
  Stmt Unit(const Stmt& s) {
    if (!s.defined() || s->label.empty()) return Mutator::MutateStmt(s);
    auto role = role_threads_.find(std::string(s->label));
    if (role == role_threads_.end()) return Mutator::MutateStmt(s);
    int64_t threads = std::exchange(threads_, role->second);
    bool outer = std::exchange(unit_, true);
    Stmt out = Mutator::MutateStmt(s);
    threads_ = threads;
    unit_ = outer;
    return out;
  }

  Stmt MutateFor(const For& loop) override {
    arith::BindLoop(&analyzer_, loop.get());
    bool outer = pipelined_;
    if (loop->loop() == ForKind::kPipelined && loop->hint.defined() &&
        (loop->hint->stages != 0 || !loop->hint->stage.empty())) {
      pipelined_ = true;
    }
    Stmt out = DefaultStmt(loop);
    pipelined_ = outer;
    return out;
  }

  Stmt MutateBind(const Bind& s) override {
    analyzer_.Define(s->var, s->value);
    return s;
  }

  Stmt MutateIf(const If& s) override {
    size_t mark = analyzer_.Mark();
    analyzer_.Assume(s->cond);
    Stmt then_case = MutateStmt(s->then_case);
    analyzer_.Leave(mark);
    Stmt else_case = MutateStmt(s->else_case);
    if (then_case.same_as(s->then_case) && else_case.same_as(s->else_case)) return s;
    auto out = CopyNode(s.get());
    out->then_case = then_case;
    out->else_case = else_case;
    return Stmt(out);
  }

  Stmt MutateGroup(const Group& s) override {
    int64_t outer = threads_;
    threads_ = s->count;
    Stmt out = DefaultStmt(s);
    threads_ = outer;
    return out;
  }

  Stmt MutateCheck(const Check& s) override {
    if (s->assume) analyzer_.Assume(s->cond);
    return s;
  }

  Stmt MutateTileOp(const TileOp& op) override {
    std::vector<std::string> refused;
    std::vector<Expr> facts;
    OpContext octx{ctx_->target,
                   *func_->options.get(),
                   threads_,
                   pipelined_ || (unit_ && FillsPipe(op)),
                   &analyzer_,
                   !ctx_->general,
                   [&](Expr fact) { facts.push_back(std::move(fact)); },
                   [&](const Expr& value) { return arith::IsHostEvaluable(value, func_); }};
    for (const Lowering& lowering : DefOf(op.get()).lowerings) {
      facts.clear();
      if (auto reason = lowering.refuse(op.get(), octx)) {
        refused.push_back(std::string(lowering.name) + ": " + *reason);
        continue;
      }
      for (const Expr& fact : facts) Require(fact);
      auto out = CopyNode(op.get());
      out->lowering = lowering.name;
      Restrict(op.get(), lowering);
      ctx_->Record("select-ops", op->span, Subject(op), lowering.name, refused);
      if (lowering.caution != nullptr) {
        if (auto text = lowering.caution(op.get(), octx)) {
          ctx_->Record("warning", op->span, passes::SpelledName(op.get()), *text);
        }
      }
      return Stmt(out);
    }
    RaiseAt(op->span, "CompileError", passes::SpelledName(op.get()), " cannot be lowered for ",
            ctx_->target.arch->name, ": ", Join(refused, "; "));
  }

 private:
  void ReadSchedule(const Schedule& schedule) {
    std::unordered_map<std::string, int64_t> threads;
    for (const Role& r : schedule->roles)
      threads[std::string(r->name)] = r->warps * target::kWarpSize;
    // A role that is alone has the kernel's threads, whole warps or not.
    if (schedule->roles.size() == 1) threads.begin()->second = threads_;
    for (const Pipe& p : schedule->pipes) {
      if (p->mechanism() != Done::kCpAsync) continue;
      for (const Buffer& b : p->buffers) async_.insert(b->storage.get());
    }
    for (const Scope& scope : schedule->scopes) {
      for (const Step& s : scope->steps) {
        auto role = threads.find(std::string(s->role));
        if (s->verb() == StepVerb::kDo && role != threads.end())
          role_threads_[std::string(s->subject)] = role->second;
      }
    }
  }

  bool FillsPipe(const TileOp& op) const {
    for (const Effect& e : DefOf(op.get()).effects(op.get())) {
      if (e.mode != ir::Mode::kRead && async_.count(e.region->buffer->storage.get())) return true;
    }
    return false;
  }

  static std::string Subject(const TileOp& op) {
    std::string text = Spelled(Stmt(op));
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    return text;
  }

  void Require(const Expr& fact) {
    if (analyzer_.Prove(fact)) return;
    analyzer_.Assume(fact);
    OfArguments arguments(func_);
    Expr checked = arguments(fact);
    if (arguments.elsewhere) return;
    for (const Expr& known : facts_) {
      if (SameExpr(known, checked)) return;
    }
    facts_.push_back(checked);
  }

  // A launch checks addresses of its arguments: a view's is that of the argument that it is in.
  // Other memory (a workspace, what an entry of a table of pointers leads to) begins where
  // allocators let it begin.
  class OfArguments : public Mutator {
   public:
    explicit OfArguments(const Func& f) : func_(f) {}
    bool elsewhere = false;

    Expr MutateAddr(const Addr& e) override {
      for (const Param& p : func_->params) {
        if (!p->buffer.defined() || p->buffer->storage.get() != e->region->buffer->storage.get()) {
          continue;
        }
        return MakeAddr(p->buffer, std::vector<Expr>(p->buffer->ndim(), MakeConst(0)));
      }
      elsewhere = true;
      return e;
    }

   private:
    const Func& func_;
  };

  // Narrows the families of the shared operands; an empty set leaves the op's own, which the
  // layouts then convert: linear rows are accepted by every lowering.
  void Restrict(const TileOpObj* op, const Lowering& lowering) {
    const OpSyntax& syntax = SyntaxOf(op);
    for (size_t i = 0; i < syntax.params.size(); ++i) {
      if (syntax.params[i].kind != ArgKind::kRegion) continue;
      Region r = RegionArg(op, syntax.params[i].name);
      if (!r.defined() || r->buffer->space() != Space::kShared) continue;
      int64_t accepts = lowering.families != nullptr
                            ? lowering.families(op, static_cast<int>(i), ctx_->target)
                            : kAllFamilies;
      auto [it, fresh] = families_.emplace(r->buffer->storage.get(), kAllFamilies);
      if (it->second & accepts) it->second &= accepts;
    }
  }

  class FamilyWriter : public Mutator {
   public:
    explicit FamilyWriter(const std::unordered_map<const StorageObj*, int64_t>& families)
        : families_(families) {}
    Kernel Apply(const Kernel& k) {
      auto out = CopyNode(k.get());
      out->body = MutateStmt(k->body);
      return Kernel(out);
    }
    Stmt MutateAlloc(const Alloc& s) override {
      if (!s->buffer.defined() || s->buffer->space() != Space::kShared) return s;
      auto out = CopyNode(s.get());
      auto it = families_.find(s->buffer->storage.get());
      int64_t families = it != families_.end() ? it->second : kAllFamilies;
      if (s->layout.size() > 0) {
        families = kExact;
      } else {
        families &= ~int64_t(kExact);
        // Sub-byte and one-dimensional buffers have rows only.
        if (s->buffer->dtype.bits < 8 || s->buffer->ndim() < 2) families = kLinear;
      }
      out->families = families != 0 ? families : int64_t(kLinear);
      return Stmt(out);
    }

   private:
    const std::unordered_map<const StorageObj*, int64_t>& families_;
  };

  const Func& func_;
  const Kernel& kernel_;
  PassContext* ctx_;
  arith::Analyzer analyzer_;
  analysis::FactScope scope_;
  int64_t threads_ = 0;
  bool pipelined_ = false;
  bool unit_ = false;                                      // inside a unit of the schedule
  std::unordered_map<std::string, int64_t> role_threads_;  // by unit
  std::unordered_set<const StorageObj*> async_;            // buffers of pipes of cp.async
  std::vector<Expr> facts_;
  std::unordered_map<const StorageObj*, int64_t> families_;
};

}  // namespace

namespace passes {

Func SelectOps(Func f, PassContext& ctx) {
  return MapKernels(f, [&](const Kernel& k) { return Selector(f, k, &ctx).Run(); });
}

}  // namespace passes
}  // namespace tilescale
