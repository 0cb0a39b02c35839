// SPDX-License-Identifier: MIT
// ApplySchedule (passes.h): a schedule becomes program text. Each pipe becomes a token and versions
// of its buffers; the steps of a loop run at their shifts: positive ones fill a prologue, and
// instances outside the trip are skipped. Asynchronous ops that no schedule names are completed on
// the spot.
#include "compiler/ir/build.h"
#include "compiler/ir/diag.h"
#include "compiler/ir/visit.h"
#include "compiler/ops/tile_op.h"
#include "compiler/passes/passes.h"
#include "support/diagnostics.h"

#include <map>

namespace tilescale {

using namespace ir;  // NOLINT

namespace {

class Rebuffer : public Mutator {
 public:
  explicit Rebuffer(const std::map<const BufferObj*, Buffer>& map) : map_(map) {}
  Buffer MutateBuffer(const Buffer& b) override {
    auto it = map_.find(b.get());
    return it == map_.end() ? b : it->second;
  }

 private:
  const std::map<const BufferObj*, Buffer>& map_;
};

struct PipeState {
  Pipe pipe;
  Token token;
};

// A fresh view of a pipe's buffer at one slot.
Buffer ViewOf(const Buffer& b, const Token& token, bool out, const Span& span,
              std::vector<Stmt>* stmts) {
  auto copy = CopyNode(b.get());
  copy->name = std::string(b->name) + (out ? "_r" : "_w");
  Buffer view(copy);
  auto s = ffi::make_object<ViewObj>();
  s->buffer = view;
  s->version = MakeSlot(token, out);
  s->span = span;
  stmts->push_back(Stmt(s));
  return view;
}

class Applier : public Mutator {
 public:
  Applier(const Kernel& k, PassContext* ctx) : kernel_(k), ctx_(ctx) {
    if (!k->schedule.defined()) return;
    for (const Pipe& p : k->schedule->pipes) {
      PipeState state{p, MakeToken(Str(p->name), p->mechanism(), p->depth)};
      pipes_[std::string(p->name)] = state;
      for (const Buffer& b : p->buffers) versions_[b->storage.get()] = p->depth;
    }
    for (const Scope& s : k->schedule->scopes) {
      if (s->scope() == ScopeKind::kLoop) loops_[s->loop.get()] = s;
    }
  }

  Kernel Run() {
    auto out = CopyNode(kernel_.get());
    std::vector<Stmt> body;
    for (const auto& [name, state] : pipes_) {
      auto alloc = ffi::make_object<AllocObj>();
      alloc->token = state.token;
      alloc->span = kernel_->span;
      body.push_back(Stmt(alloc));
    }
    body.push_back(MutateStmt(kernel_->body));
    out->body = MakeSeq(body);
    out->schedule = Schedule();
    return Kernel(out);
  }

  Stmt MutateAlloc(const Alloc& s) override {
    if (!s->buffer.defined()) return s;
    auto it = versions_.find(s->buffer->storage.get());
    if (it == versions_.end()) return s;
    auto out = CopyNode(s.get());
    out->versions = it->second;
    return Stmt(out);
  }

  // An asynchronous op outside every pipe: committed and awaited where it stands.
  Stmt MutateTileOp(const TileOp& s) override {
    if (s->lowering.size() == 0 || LoweringOf(s.get()).done != Done::kCpAsync) return s;
    Token token = MakeToken("async", Done::kCpAsync, 1);
    auto alloc = ffi::make_object<AllocObj>();
    alloc->token = token;
    alloc->span = s->span;
    return MakeSeq({Stmt(alloc), s, MakeTokenOp(TokenVerb::kCommit, token, s->span),
                    MakeTokenOp(TokenVerb::kAwait, token, s->span)});
  }

  Stmt MutateFor(const For& loop) override {
    auto it = loops_.find(loop->var.get());
    if (it == loops_.end()) return DefaultStmt(loop);
    return ApplyLoop(loop, it->second);
  }

 private:
  struct Unit {
    Stmt stmt;
    std::vector<Stmt> binds;  // that stand before it in the body
  };

  Stmt ApplyLoop(const For& loop, const Scope& scope) {
    std::map<std::string, Unit> units;
    std::vector<Stmt> binds;
    for (const Stmt& s : StmtsOf(loop->body)) {
      if (s.kind() == NodeKind::kBind) {
        binds.push_back(s);
      } else {
        units[std::string(s->label)] = {s, binds};
      }
    }
    int64_t ahead = 0;
    for (const Step& s : scope->steps) ahead = std::max(ahead, s->shift);
    std::map<std::string, int64_t> pending = PendingCommits(scope, ahead);
    Expr zero = MakeConst(0, loop->extent.dtype());
    std::vector<Stmt> out;
    for (int64_t q = 0; q < ahead; ++q) {
      std::vector<Stmt> body;
      std::map<const BufferObj*, Buffer> views;
      for (const Step& s : scope->steps) {
        int64_t at = q - ahead + s->shift;
        if (at < 0) continue;
        Expr iteration = Add(zero, at);
        EmitStep(loop, s, units, pending, iteration, Lt(iteration, loop->extent), &views, &body);
      }
      out.insert(out.end(), body.begin(), body.end());
    }
    std::vector<Stmt> body;
    std::map<const BufferObj*, Buffer> views;
    Var i = MakeVar(Str(loop->var->name), loop->extent.dtype());
    for (const Step& s : scope->steps) {
      Expr iteration = Add(Expr(i), s->shift);
      EmitStep(loop, s, units, pending, iteration,
               s->shift > 0 ? Lt(iteration, loop->extent) : Expr(), &views, &body);
    }
    out.push_back(MakeFor(i, loop->extent, MakeSeq(body), loop->span, ForKind::kSerial));
    // What is still in flight was skipped at run time, but the memory may be reused: nothing is
    // left open.
    for (const auto& [name, count] : pending) {
      out.push_back(MakeTokenOp(TokenVerb::kAwait, pipes_[name].token, loop->span));
    }
    return MakeSeq(out);
  }

  // For each pipe: how many groups are committed after the one a wait needs, counted on a few
  // iterations.
  std::map<std::string, int64_t> PendingCommits(const Scope& scope, int64_t ahead) {
    std::map<std::string, int64_t> out;
    std::vector<std::pair<std::string, int64_t>> commits;  // pipe, iteration
    auto run = [&](int64_t i, bool prologue) {
      for (const Step& s : scope->steps) {
        int64_t at = prologue ? i - ahead + s->shift : i + s->shift;
        if (at < 0) continue;
        std::string subject(s->subject);
        if (s->verb() == StepVerb::kCommit) commits.emplace_back(subject, at);
        if (s->verb() != StepVerb::kWait) continue;
        for (size_t c = commits.size(); c-- > 0;) {
          if (commits[c].first == subject && commits[c].second == at)
            out[subject] = static_cast<int64_t>(commits.size() - 1 - c);
        }
      }
    };
    for (int64_t q = 0; q < ahead; ++q) run(q, true);
    for (int64_t i = 0; i < ahead + 2; ++i) run(i, false);
    return out;
  }

  void EmitStep(const For& loop, const Step& step, const std::map<std::string, Unit>& units,
                const std::map<std::string, int64_t>& pending, const Expr& iteration,
                const Expr& inside, std::map<const BufferObj*, Buffer>* views,
                std::vector<Stmt>* out) {
    std::string subject(step->subject);
    if (step->verb() == StepVerb::kDo) {
      auto it = units.find(subject);
      TS_CHECK(it != units.end()) << "the schedule names `" << subject
                                  << "`, which is no unit of the loop";
      out->push_back(Instance(loop, it->second, iteration, inside, *views));
      return;
    }
    auto it = pipes_.find(subject);
    TS_CHECK(it != pipes_.end()) << "the schedule names `" << subject << "`, which is no pipe";
    const PipeState& p = it->second;
    switch (step->verb()) {
      case StepVerb::kAcquire:
        out->push_back(MakeTokenOp(TokenVerb::kAcquire, p.token, loop->span));
        for (const Buffer& b : p.pipe->buffers)
          (*views)[b.get()] = ViewOf(b, p.token, false, loop->span, out);
        return;
      case StepVerb::kCommit:
        out->push_back(MakeTokenOp(TokenVerb::kCommit, p.token, loop->span));
        // Units behind the commit read what was waited for.
        for (const auto& [b, view] : waited_views_[subject]) (*views)[b] = view;
        return;
      case StepVerb::kWait: {
        auto count = pending.find(subject);
        out->push_back(MakeTokenOp(TokenVerb::kWait, p.token, loop->span,
                                   count == pending.end() ? 0 : count->second));
        auto& mine = waited_views_[subject];
        mine.clear();
        for (const Buffer& b : p.pipe->buffers)
          mine[b.get()] = (*views)[b.get()] = ViewOf(b, p.token, true, loop->span, out);
        return;
      }
      default:
        return;
    }
  }

  // A unit for one iteration: its binds replayed, its guard, its buffers at their slots.
  Stmt Instance(const For& loop, const Unit& unit, const Expr& iteration, const Expr& inside,
                const std::map<const BufferObj*, Buffer>& views) {
    Expr step = loop->step.defined() ? loop->step : MakeConst(1, loop->begin.dtype());
    Expr value = Add(loop->begin, Mul(Cast(iteration, loop->begin.dtype()), step));
    VarMap map{{loop->var.get(), value}};
    std::vector<Stmt> stmts;
    for (const Stmt& s : unit.binds) {
      const auto* bind = s.as<BindObj>();
      Var fresh = MakeVar(Str(bind->var->name), bind->var.dtype());
      stmts.push_back(MakeBind(fresh, Substitute(bind->value, map), bind->span));
      map[bind->var.get()] = fresh;
    }
    Stmt body = Substitute(unit.stmt, map);
    // Inside a pipe an asynchronous op is committed by the schedule.
    if (unit.stmt.kind() != NodeKind::kTileOp) body = MutateStmt(body);
    stmts.push_back(Rebuffer(views)(body));
    Stmt all = MakeSeq(stmts);
    if (!inside.defined() || IsConst(inside, 1)) return all;
    return MakeIf(inside, all, unit.stmt->span);
  }

  const Kernel& kernel_;
  PassContext* ctx_;
  std::map<std::string, PipeState> pipes_;
  std::map<const StorageObj*, int64_t> versions_;
  std::map<const VarObj*, Scope> loops_;
  std::map<std::string, std::map<const BufferObj*, Buffer>> waited_views_;
};

}  // namespace

namespace passes {

Func ApplySchedule(Func f, PassContext& ctx) {
  return MapKernels(f, [&](const Kernel& k) { return Applier(k, &ctx).Run(); });
}

}  // namespace passes
}  // namespace tilescale
