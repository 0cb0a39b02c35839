// SPDX-License-Identifier: MIT
// PlanSchedule (passes.h): a schedule for the loops that asked to be pipelined. The copies of a
// loop run `num_stages` - 1 iterations ahead of their readers, in one pipe of `num_stages` slots
// (schedule 1 of compiler.md §5). A loop that cannot be pipelined is left serial, with the reason
// recorded.
#include "compiler/ir/build.h"
#include "compiler/ir/visit.h"
#include "compiler/isa/instr.h"
#include "compiler/ops/tile_op.h"
#include "compiler/passes/passes.h"

#include <map>
#include <set>

namespace tilescale {

using namespace ir;  // NOLINT

namespace {

// Of calls whatever they have the address of.
std::set<const StorageObj*> Writes(const Stmt& s) {
  std::set<const StorageObj*> out;
  Walk(s, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kTileOp) {
      const auto* op = static_cast<const TileOpObj*>(n);
      for (const Effect& e : DefOf(op).effects(op)) {
        if (e.mode != ir::Mode::kRead) out.insert(e.region->buffer->storage.get());
      }
      return true;
    }
    if (n->kind == NodeKind::kStore)
      out.insert(static_cast<const StoreObj*>(n)->buffer->storage.get());
    if (n->kind == NodeKind::kCall) {
      for (const Expr& a : static_cast<const CallObj*>(n)->args) {
        if (const auto* addr = a.as<AddrObj>()) out.insert(addr->region->buffer->storage.get());
      }
    }
    return true;
  });
  return out;
}

std::set<const StorageObj*> Reads(const Stmt& s) {
  std::set<const StorageObj*> out;
  Walk(s, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kLoad)
      out.insert(static_cast<const LoadObj*>(n)->buffer->storage.get());
    if (n->kind == NodeKind::kTileOp) {
      const auto* op = static_cast<const TileOpObj*>(n);
      for (const Effect& e : DefOf(op).effects(op)) {
        if (e.mode != ir::Mode::kWrite) out.insert(e.region->buffer->storage.get());
      }
    }
    return true;
  });
  return out;
}

// Publishes what was done before it to other blocks or ranks, or comes before what follows: nothing
// moves across it.
bool OrdersOthers(const Stmt& s) {
  bool found = false;
  Walk(s, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kCall) {
      for (const Effect& e : isa::EffectsOf(static_cast<const CallObj*>(n))) {
        found = found || (e.scope >= MemScope::kGpu && e.order != Order::kWeak &&
                          e.order != Order::kRelaxed);
      }
    }
    if (n->kind != NodeKind::kTileOp) return !found;
    const auto* op = static_cast<const TileOpObj*>(n);
    for (const Effect& e : DefOf(op).effects(op)) {
      found = found || (e.order != Order::kWeak && e.order != Order::kRelaxed);
    }
    return !found;
  });
  return found;
}

class Planner {
 public:
  Planner(const Kernel& k, PassContext* ctx) : kernel_(k), ctx_(ctx) {}

  Kernel Run() {
    if (kernel_->schedule.defined()) return kernel_;
    auto out = CopyNode(kernel_.get());
    out->body = Visit(kernel_->body);
    if (!pipes_.empty()) {
      auto role = ffi::make_object<RoleObj>();
      role->name = "all";
      role->warps = (kernel_->user_threads() + 31) / 32;
      auto schedule = ffi::make_object<ScheduleObj>();
      schedule->roles = {Role(role)};
      schedule->pipes = ffi::Array<Pipe>(pipes_.begin(), pipes_.end());
      schedule->scopes = ffi::Array<Scope>(scopes_.begin(), scopes_.end());
      out->schedule = Schedule(schedule);
    }
    return Kernel(out);
  }

 private:
  // Labels units, so that steps can name them.
  Stmt Visit(const Stmt& s) {
    class Loops : public Mutator {
     public:
      explicit Loops(Planner* p) : planner_(p) {}
      Stmt MutateFor(const For& s) override {
        if (s->loop() != ForKind::kPipelined || !s->hint.defined()) return DefaultStmt(s);
        return planner_->PlanLoop(DefaultStmt(s).as_or_throw<For>());
      }

     private:
      Planner* planner_;
    };
    return Loops(this).MutateStmt(s);
  }

  Stmt Decline(const For& loop, const std::string& why) {
    ctx_->Record("plan-schedule", loop->span, "loop " + std::string(loop->var->name), "serial",
                 {"pipelined: " + why});
    auto out = CopyNode(loop.get());
    out->kind_ = static_cast<int64_t>(ForKind::kSerial);
    return Stmt(out);
  }

  std::string Label(std::string wish) {
    std::string name = wish;
    for (int i = 1; !labels_.insert(name).second; ++i) name = wish + "_" + std::to_string(i);
    return name;
  }

  Stmt PlanLoop(const For& loop) {
    int64_t stages = loop->hint->stages;
    for (int64_t s : loop->hint->stage) stages = std::max(stages, s + 1);
    if (stages < 2) return Decline(loop, "num_stages is " + std::to_string(stages));
    std::vector<Stmt> units = StmtsOf(loop->body);
    // What each unit is: a bind (replayed), an asynchronous copy (producer), or the rest.
    std::vector<bool> producer(units.size(), false);
    std::vector<Buffer> buffers;
    std::set<const StorageObj*> piped;
    for (size_t i = 0; i < units.size(); ++i) {
      const auto* op = units[i].as<TileOpObj>();
      if (op == nullptr || LoweringOf(op).done != Done::kCpAsync) continue;
      producer[i] = true;
      for (const Effect& e : DefOf(op).effects(op)) {
        if (e.mode == ir::Mode::kRead || e.region->buffer->space() != Space::kShared) continue;
        if (piped.insert(e.region->buffer->storage.get()).second)
          buffers.push_back(e.region->buffer);
      }
    }
    if (buffers.empty()) return Decline(loop, "no copy of the loop is asynchronous");
    std::set<const StorageObj*> written;
    for (size_t i = 0; i < units.size(); ++i) {
      for (const StorageObj* s : Writes(units[i])) {
        if (!producer[i] && piped.count(s)) {
          return Decline(loop, "`" + std::string(s->name) + "` is written by more than its copy");
        }
        written.insert(s);
      }
      bool jump = false;
      Walk(units[i], [&](const NodeObj* n) {
        jump = jump || n->kind == NodeKind::kJump;
        return !jump;
      });
      if (jump) return Decline(loop, "it has a break, continue or return");
      if (OrdersOthers(units[i])) return Decline(loop, "it signals or waits for other threads");
    }
    for (size_t i = 0; i < units.size(); ++i) {
      if (!producer[i] && units[i].kind() != NodeKind::kBind) continue;
      for (const StorageObj* s : Reads(units[i])) {
        if (written.count(s)) {
          return Decline(loop,
                         "a copy reads `" + std::string(s->name) + "`, which the loop writes");
        }
      }
    }
    // A slot is waited for before it is read; without a reader nothing would wait for the copy.
    std::set<const StorageObj*> read;
    for (size_t i = 0; i < units.size(); ++i) {
      if (!producer[i]) read.merge(Reads(units[i]));
    }
    for (const Buffer& b : buffers) {
      if (read.count(b->storage.get())) continue;
      return Decline(loop, "`" + std::string(b->name) + "` is copied, and not read in the loop");
    }
    if (UsedOutside(piped, loop)) return Decline(loop, "a copied buffer is used outside the loop");
    return Schedule1(loop, units, producer, buffers, stages);
  }

  bool UsedOutside(const std::set<const StorageObj*>& piped, const For& loop) {
    bool found = false;
    Walk(kernel_->body, [&](const NodeObj* n) {
      if (n->kind == NodeKind::kFor && static_cast<const ForObj*>(n)->var.same_as(loop->var))
        return false;
      auto look = [&](const Buffer& b) { found = found || piped.count(b->storage.get()) > 0; };
      if (n->kind == NodeKind::kLoad) look(static_cast<const LoadObj*>(n)->buffer);
      if (n->kind == NodeKind::kStore) look(static_cast<const StoreObj*>(n)->buffer);
      if (n->kind == NodeKind::kTileOp) {
        const auto* op = static_cast<const TileOpObj*>(n);
        for (const Effect& e : DefOf(op).effects(op)) look(e.region->buffer);
      }
      return !found;
    });
    return found;
  }

  // wait; acquire, copies and commit `stages - 1` ahead; the rest.
  Stmt Schedule1(const For& loop, std::vector<Stmt> units, const std::vector<bool>& producer,
                 const std::vector<Buffer>& buffers, int64_t stages) {
    std::string pipe_name = Label("pipe");
    auto pipe = ffi::make_object<PipeObj>();
    pipe->name = pipe_name;
    pipe->buffers = ffi::Array<Buffer>(buffers.begin(), buffers.end());
    pipe->depth = stages;
    pipe->from = "all";
    pipe->mechanism_ = static_cast<int64_t>(Done::kCpAsync);
    pipe->to = {"all"};
    pipes_.push_back(Pipe(pipe));
    std::vector<Step> steps;
    auto step = [&](StepVerb verb, const std::string& subject, int64_t shift) {
      auto s = ffi::make_object<StepObj>();
      s->role = "all";
      s->verb_ = static_cast<int64_t>(verb);
      s->subject = subject;
      s->shift = shift;
      steps.push_back(Step(s));
    };
    for (size_t i = 0; i < units.size(); ++i) {
      if (IsDeclaration(units[i])) continue;
      std::string label = Label(units[i]->label.size() ? std::string(units[i]->label) : "unit");
      units[i] = WithLabel(units[i], label);
    }
    step(StepVerb::kWait, pipe_name, 0);
    step(StepVerb::kAcquire, pipe_name, stages - 1);
    for (size_t i = 0; i < units.size(); ++i) {
      if (producer[i]) step(StepVerb::kDo, std::string(units[i]->label), stages - 1);
    }
    step(StepVerb::kCommit, pipe_name, stages - 1);
    for (size_t i = 0; i < units.size(); ++i) {
      if (!producer[i] && !IsDeclaration(units[i]))
        step(StepVerb::kDo, std::string(units[i]->label), 0);
    }
    auto scope = ffi::make_object<ScopeObj>();
    scope->kind_ = static_cast<int64_t>(ScopeKind::kLoop);
    scope->loop = loop->var;
    scope->steps = ffi::Array<Step>(steps.begin(), steps.end());
    scopes_.push_back(Scope(scope));
    ctx_->Record("plan-schedule", loop->span, "loop " + std::string(loop->var->name),
                 "pipelined, " + std::to_string(stages) + " slots, copies " +
                     std::to_string(stages - 1) + " iterations ahead by cp.async");
    auto out = CopyNode(loop.get());
    out->body = MakeSeq(units);
    return Stmt(out);
  }

  const Kernel& kernel_;
  PassContext* ctx_;
  std::set<std::string> labels_;
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
