// SPDX-License-Identifier: MIT
// PlanSchedule (passes.h): a schedule for the loops that asked to be pipelined: their copies run
// `num_stages` - 1 iterations ahead of their readers, or each
// statement as far ahead as its stage says. A loop that cannot be pipelined is left serial, with
// the reason recorded.
#include "compiler/ir/build.h"
#include "compiler/ir/diag.h"
#include "compiler/ir/hint.h"
#include "compiler/ir/unique_names.h"
#include "compiler/ir/visit.h"
#include "compiler/isa/instr.h"
#include "compiler/ops/tile_op.h"
#include "compiler/passes/passes.h"
#include "compiler/passes/plan_schedule/pipes.h"
#include "compiler/passes/plan_schedule/stages.h"
#include "compiler/target/constants.h"

#include <algorithm>
#include <set>

namespace tilescale {

using namespace ir;  // NOLINT

namespace {

constexpr const char* kRole = "all";  // one role runs everything
constexpr int64_t kAutomaticDepth = 3;

// Publishes what was done before it to other blocks or ranks, or to other threads by a barrier that
// the user counts, or comes before what follows: nothing moves across it. A barrier of the whole
// block orders no more than program order does.
bool OrdersOthers(const Stmt& s) {
  bool found = false;
  auto look = [&](const Effects& effects, MemScope least) {
    for (const Effect& e : effects) {
      found = found || (e.scope >= least && e.order != Order::kWeak && e.order != Order::kRelaxed);
    }
  };
  Walk(s, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kTileOp) {
      const auto* op = static_cast<const TileOpObj*>(n);
      look(DefOf(op).effects(op), MemScope::kThread);
    } else if (n->kind == NodeKind::kCall) {
      const auto* call = static_cast<const CallObj*>(n);
      isa::SyncKind sync = isa::Get(Str(call->instr)).sync;
      found = found || (sync != isa::SyncKind::kNone && sync != isa::SyncKind::kCtaBarrier &&
                        sync != isa::SyncKind::kWarpBarrier);
      look(isa::EffectsOf(call), MemScope::kGpu);
    }
    return !found;
  });
  return found;
}

std::string Times(int64_t n, const char* what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

class Planner {
 public:
  Planner(const Kernel& k, PassContext* ctx) : kernel_(k), ctx_(ctx) {}

  Kernel Run() {
    if (kernel_->schedule.defined()) return kernel_;
    auto out = CopyNode(kernel_.get());
    out->body = Visit(kernel_->body);
    if (!scopes_.empty()) {
      auto role = ffi::make_object<RoleObj>();
      role->name = kRole;
      role->warps = CeilDiv(kernel_->user_threads(), target::kWarpSize);
      auto schedule = ffi::make_object<ScheduleObj>();
      schedule->roles = {Role(role)};
      schedule->pipes = ffi::Array<Pipe>(pipes_.begin(), pipes_.end());
      schedule->scopes = ffi::Array<Scope>(scopes_.begin(), scopes_.end());
      out->schedule = Schedule(schedule);
    }
    return Kernel(out);
  }

 private:
  Stmt Visit(const Stmt& s) {
    class Loops : public Mutator {
     public:
      explicit Loops(Planner* p) : planner_(p) {}
      Stmt MutateFor(const For& s) override {
        size_t inner = planner_->scopes_.size();
        Stmt body = DefaultStmt(s);
        if (s->loop() != ForKind::kPipelined || !s->hint.defined()) return body;
        return planner_->PlanLoop(body.as_or_throw<For>(), planner_->scopes_.size() > inner);
      }

     private:
      Planner* planner_;
    };
    return Loops(this).MutateStmt(s);
  }

  void Record(const For& loop, std::string chosen, std::vector<std::string> refused) {
    ctx_->Record("plan-schedule", loop->span, "loop " + std::string(loop->var->name),
                 std::move(chosen), std::move(refused));
  }

  Stmt Decline(const For& loop, std::vector<std::string> why) {
    for (std::string& w : why) w = "pipelined: " + w;
    Record(loop, "serial", std::move(why));
    auto out = CopyNode(loop.get());
    out->kind_ = static_cast<int64_t>(ForKind::kSerial);
    return Stmt(out);
  }

  // Why no statement may leave its iteration; empty: it may.
  static std::string Fixed(const plan::Loop& l) {
    for (const plan::Unit& u : l.units) {
      bool jump = false;
      Walk(u.stmt, [&](const NodeObj* n) {
        jump = jump || n->kind == NodeKind::kJump;
        return !jump;
      });
      if (jump) return "it has a break, continue or return";
      if (OrdersOthers(u.stmt)) return "it signals or waits for other threads";
    }
    // Binds are evaluated again for each statement that reads them.
    for (const Stmt& s : l.stmts) {
      const auto* bind = s.as<BindObj>();
      if (bind == nullptr) continue;
      for (const analysis::Use& read : analysis::UsesOf(bind->value)) {
        if (!l.shared_version.count(read.storage)) continue;
        return "`" + std::string(bind->var->name) + "` reads `" + std::string(read.storage->name) +
               "`, which the loop writes";
      }
    }
    return "";
  }

  Stmt PlanLoop(const For& loop, bool holds_pipelined) {
    plan::Loop l(kernel_, loop);
    int64_t stages = loop->hint->stages;
    plan::ApplyHint(&l, stages);
    if (holds_pipelined) return Decline(loop, {"a loop inside it is pipelined"});
    if (std::string why = Fixed(l); !why.empty()) return Decline(loop, {why});
    if (!loop->hint->stage.empty()) return ByHand(l);
    auto trips = AsInt(loop->extent);
    if (stages == kAutomaticStages) return Automatic(l, trips);
    int64_t depth = trips ? std::min(stages, *trips) : stages;
    if (depth < 2) {
      std::string why = stages < 2 ? "num_stages is " + std::to_string(stages)
                                   : "it has " + Times(*trips, "iteration");
      return loop->hint->order.empty() ? Decline(loop, {why}) : Reordered(l, why);
    }
    std::vector<std::string> refused;
    if (!plan::MoveCopies(&l, depth - 1, &refused)) {
      if (refused.empty()) refused = {"no copy of the loop is asynchronous"};
      return Decline(loop, refused);
    }
    plan::Steps steps = plan::PlanSteps(kernel_, l);
    CheckFits(l, steps);
    for (std::string& why : refused) why = "ahead: " + why;
    return Emit(l, steps, Ahead(depth), refused);
  }

  static std::string Ahead(int64_t depth) {
    return "pipelined, " + std::to_string(depth) + " slots, copies " + std::to_string(depth - 1) +
           " iterations ahead by cp.async";
  }

  // As the user wrote it, with the versions that this needs.
  Stmt ByHand(const plan::Loop& l) {
    plan::Steps steps = plan::PlanSteps(kernel_, l);
    CheckFits(l, steps);
    int64_t last = 0;
    for (const plan::Unit& u : l.units) last = std::max(last, u.shift);
    std::string chosen = "pipelined as written, " + Times(last + 1, "stage");
    for (const plan::PipePlan& p : steps.pipes) {
      for (const Buffer& b : p.buffers)
        chosen += ", `" + std::string(b->name) + "` in " + Times(p.depth, "version");
    }
    return Emit(l, steps, chosen, {});
  }

  Stmt Reordered(const plan::Loop& l, const std::string& why) {
    return Emit(l, plan::PlanSteps(kernel_, l), "serial, in the order written",
                {"pipelined: " + why});
  }

  // The most slots that leave room for the kernel's other buffers.
  Stmt Automatic(const plan::Loop& l, std::optional<int64_t> trips) {
    std::vector<std::string> refused;
    int64_t most = std::min(kAutomaticDepth, trips.value_or(kAutomaticDepth));
    for (int64_t depth = most; depth >= 2; --depth) {
      plan::Loop moved = l;
      std::vector<std::string> reasons;
      if (!plan::MoveCopies(&moved, depth - 1, &reasons)) {
        if (reasons.empty()) reasons = {"no copy of the loop is asynchronous"};
        return Decline(l.loop, reasons);
      }
      plan::Steps steps = plan::PlanSteps(kernel_, moved);
      int64_t need = steps.SharedBytes() + OtherBytes(steps);
      if (need <= ctx_->target.arch->shared_per_block) {
        for (const std::string& why : reasons) refused.push_back("ahead: " + why);
        return Emit(moved, steps, Ahead(depth), refused);
      }
      refused.push_back(std::to_string(depth) + " slots: they need " + std::to_string(need) +
                        " bytes of shared memory, " + ctx_->target.arch->name + " has " +
                        std::to_string(ctx_->target.arch->shared_per_block));
    }
    if (refused.empty()) return Decline(l.loop, {"it has " + Times(*trips, "iteration")});
    return Decline(l.loop, refused);
  }

  int64_t OtherBytes(const plan::Steps& steps) const {
    std::set<const StorageObj*> piped;
    for (const plan::PipePlan& p : steps.pipes) {
      for (const Buffer& b : p.buffers) piped.insert(b->storage.get());
    }
    int64_t bytes = 0;
    Walk(kernel_->body, [&](const NodeObj* n) {
      if (n->kind != NodeKind::kAlloc) return true;
      const Buffer& b = static_cast<const AllocObj*>(n)->buffer;
      if (b.defined() && b->space() == Space::kShared && !piped.count(b->storage.get()))
        bytes += (NumElements(b) * b->dtype.bits + 7) / 8;
      return true;
    });
    return bytes;
  }

  // The versions, and what else the loop uses: all of it is live at once.
  void CheckFits(const plan::Loop& l, const plan::Steps& steps) const {
    int64_t slot = 0, others = 0;
    std::string table;
    std::set<const StorageObj*> seen;
    auto row = [&](const StorageObj* s, int64_t bytes, int64_t depth) {
      seen.insert(s);
      table += "\n  `" + std::string(s->name) + "`: " + std::to_string(bytes) + " bytes x " +
               Times(depth, "version") + " = " + std::to_string(bytes * depth);
    };
    for (const plan::PipePlan& p : steps.pipes) {
      slot += p.Bytes();
      for (const Buffer& b : p.buffers) {
        if (b->space() == Space::kShared)
          row(b->storage.get(), (NumElements(b) * b->dtype.bits + 7) / 8, p.depth);
      }
    }
    for (const plan::Unit& u : l.units) {
      for (const analysis::Use& use : u.uses) {
        if (use.storage->space() != Space::kShared || seen.count(use.storage)) continue;
        if (!use.storage->bits.defined()) continue;
        int64_t bytes = (AsInt(use.storage->bits).value_or(0) + 7) / 8;
        others += bytes;
        row(use.storage, bytes, 1);
      }
    }
    int64_t limit = ctx_->target.arch->shared_per_block, total = steps.SharedBytes() + others;
    if (total <= limit) return;
    int64_t fit = slot > 0 ? (limit - others) / slot : 0;
    std::string advice = "use smaller tiles or fewer stages";
    if (l.loop->hint->stage.empty() && fit >= 1)
      advice = "use num_stages=" + std::to_string(fit) + " or smaller tiles";
    RaiseAt(l.loop->span, "CompileError", "T.Pipelined over `", l.loop->var->name, "` needs ",
            total, " bytes of shared memory, ", ctx_->target.arch->name, " has ", limit,
            " for a block: ", advice, table);
  }

  // Per unit, by rank: waits, acquires, the unit, commits.
  Stmt Emit(const plan::Loop& l, const plan::Steps& plan, const std::string& chosen,
            std::vector<std::string> refused) {
    std::vector<Step> steps;
    auto step = [&](StepVerb verb, const std::string& subject, int64_t shift) {
      auto s = ffi::make_object<StepObj>();
      s->role = kRole;
      s->verb_ = static_cast<int64_t>(verb);
      s->subject = subject;
      s->shift = shift;
      steps.push_back(Step(s));
    };
    std::vector<std::string> names;
    for (const plan::PipePlan& p : plan.pipes) names.push_back(MakePipe(p));
    std::vector<Stmt> body = l.stmts;
    for (const plan::Unit& u : l.units) {
      std::string label(u.stmt->label);
      body[u.at] = WithLabel(u.stmt, labels_.Make(label.empty() ? "unit" : label));
    }
    for (size_t rank = 0; rank < plan.order.size(); ++rank) {
      const plan::Unit& u = l.units[plan.order[rank]];
      for (size_t p = 0; p < plan.pipes.size(); ++p) {
        if (plan.pipes[p].wait == rank) step(StepVerb::kWait, names[p], plan.pipes[p].wait_shift);
      }
      for (size_t p = 0; p < plan.pipes.size(); ++p) {
        if (plan.pipes[p].first_fill == rank)
          step(StepVerb::kAcquire, names[p], plan.pipes[p].fill_shift);
      }
      step(StepVerb::kDo, std::string(body[u.at]->label), u.shift);
      if (Unpiped(u, plan)) step(StepVerb::kAwait, std::string(body[u.at]->label), u.shift);
      for (size_t p = 0; p < plan.pipes.size(); ++p) {
        if (plan.pipes[p].last_fill == rank)
          step(StepVerb::kCommit, names[p], plan.pipes[p].fill_shift);
      }
    }
    auto scope = ffi::make_object<ScopeObj>();
    scope->kind_ = static_cast<int64_t>(ScopeKind::kLoop);
    scope->loop = l.loop->var;
    scope->steps = ffi::Array<Step>(steps.begin(), steps.end());
    scopes_.push_back(Scope(scope));
    Record(l.loop, chosen, std::move(refused));
    auto out = CopyNode(l.loop.get());
    out->body = MakeSeq(body);
    return Stmt(out);
  }

  // It writes asynchronously what is in no pipe: that completes where it stands.
  static bool Unpiped(const plan::Unit& u, const plan::Steps& plan) {
    return std::any_of(u.uses.begin(), u.uses.end(), [&](const analysis::Use& use) {
      if (!use.writes() || use.done == Done::kProgram) return false;
      for (const plan::PipePlan& p : plan.pipes) {
        for (const Buffer& b : p.buffers) {
          if (b->storage.get() == use.storage) return false;
        }
      }
      return true;
    });
  }

  std::string MakePipe(const plan::PipePlan& p) {
    auto pipe = ffi::make_object<PipeObj>();
    pipe->name = labels_.Make("pipe");
    pipe->buffers = ffi::Array<Buffer>(p.buffers.begin(), p.buffers.end());
    pipe->depth = p.depth;
    pipe->from = kRole;
    pipe->mechanism_ = static_cast<int64_t>(p.async ? Done::kCpAsync : Done::kProgram);
    pipe->to = {kRole};
    pipes_.push_back(Pipe(pipe));
    return std::string(pipe->name);
  }

  const Kernel& kernel_;
  PassContext* ctx_;
  UniqueNames labels_;
  std::vector<Pipe> pipes_;
  std::vector<Scope> scopes_;
};

}  // namespace

namespace passes {

Func PlanSchedule(Func f, PassContext& ctx) {
  return MapKernels(f, [&](const Kernel& k) { return Planner(k, &ctx).Run(); });
}

}  // namespace passes
}  // namespace tilescale
