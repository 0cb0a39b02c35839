// SPDX-License-Identifier: MIT
#include "compiler/passes/apply_schedule/emit_role.h"

#include "compiler/ir/build.h"
#include "compiler/ir/diag.h"
#include "compiler/ir/visit.h"
#include "compiler/ops/tile_op.h"
#include "compiler/passes/apply_schedule/needs.h"
#include "compiler/passes/apply_schedule/rotation.h"
#include "support/diagnostics.h"

#include <algorithm>
#include <set>

namespace tilescale::schedule {

using namespace ir;  // NOLINT
using analysis::Model;
using analysis::PipeFacts;
using analysis::Region;
using analysis::ResolvedStep;
using analysis::Segment;
using analysis::Unit;

namespace {

// A statement without a schedule of its own: loops are serial, asynchronous ops complete where they
// stand, but for writes to `left_open`.
class Complete : public Mutator {
 public:
  explicit Complete(std::set<const StorageObj*> left_open) : left_open_(std::move(left_open)) {}
  Stmt MutateTileOp(const TileOp& s) override {
    if (s->lowering.empty() || LoweringOf(s.get()).done != Done::kCpAsync) return s;
    for (const analysis::Use& use : analysis::UsesOf(s)) {
      if (use.writes() && left_open_.count(use.storage)) return s;
    }
    Token token = MakeToken("async", Done::kCpAsync, 1);
    auto alloc = ffi::make_object<AllocObj>();
    alloc->token = token;
    alloc->span = s->span;
    return MakeSeq({Stmt(alloc), s, MakeTokenOp(TokenVerb::kCommit, token, s->span),
                    MakeTokenOp(TokenVerb::kAwait, token, s->span)});
  }
  Stmt MutateFor(const For& s) override {
    Stmt inner = DefaultStmt(s);
    if (s->loop() != ForKind::kPipelined) return inner;
    auto out = CopyNode(inner.as<ForObj>());
    out->kind_ = static_cast<int64_t>(ForKind::kSerial);
    out->hint = PipelineHint();
    return Stmt(out);
  }

 private:
  std::set<const StorageObj*> left_open_;
};

// How many groups of cp.async a wait or await may leave in flight: by place in the loop and step.
struct Pending {
  // n < 0: the prologue; 0: the loop; > 0: the drain.
  std::map<std::pair<int64_t, size_t>, int64_t> at;
};

class Emitter {
 public:
  Emitter(const Model& m, const Tokens& tokens, int role) : m_(m), tokens_(tokens), role_(role) {
    for (const auto& [storage, pipe] : m.pipe_of) {
      if (Open(m.pipes[pipe])) left_open_.insert(storage);
    }
    // Units that an `await` completes.
    analysis::ForEachSegment(m.root.get(), [&](const Region*, const Segment* s) {
      for (const ResolvedStep& step : s->steps[role_]) {
        if (step.verb != StepVerb::kAwait || !step.unit->async) continue;
        if (!awaited_.emplace(step.unit, Token()).second) continue;
        awaited_[step.unit] = MakeToken(step.unit->name, Done::kCpAsync, 1);
        for (const analysis::Use& use : step.unit->uses) {
          if (use.writes()) left_open_.insert(use.storage);
        }
      }
    });
    if (m.many()) Need(m.root.get());
  }

  Stmt Run() {
    std::vector<Stmt> out;
    for (const Unit& unit : m_.units) {
      auto it = awaited_.find(&unit);
      if (it == awaited_.end()) continue;
      auto alloc = ffi::make_object<AllocObj>();
      alloc->token = it->second;
      alloc->span = unit.stmt->span;
      out.push_back(Stmt(alloc));
    }
    for (Stmt& s : Body(m_.root.get())) out.push_back(std::move(s));
    return RefreshDeclarations(MakeSeq(std::move(out)));
  }

 private:
  // Its copies complete by the pipe's protocol; else where they stand.
  static bool Open(const PipeFacts& p) { return p.local ? p.any_async : p.all_async; }
  // Its commits close a group of cp.async, which waits count.
  static bool Groups(const PipeFacts& p) { return p.local && p.any_async; }

  // -- what this role declares (several roles: only what it reads)
  void Need(const Region* r) {
    std::vector<Stmt> declarations;
    NeedUnits(r, &declarations);
    for (size_t i = declarations.size(); i-- > 0;) {
      if (needs_.Take(declarations[i])) mine_.insert(declarations[i].get());
    }
  }
  void NeedUnits(const Region* r, std::vector<Stmt>* declarations) {
    if (r->owner.defined() && Concerns(r)) {
      if (const auto* loop = r->owner.as<ForObj>()) {
        needs_.Add(loop->begin);
        needs_.Add(loop->extent);
        if (loop->step.defined()) needs_.Add(loop->step);
      }
      if (const auto* branch = r->owner.as<IfObj>()) needs_.Add(branch->cond);
    }
    for (size_t i = 0; i < r->segments.size(); ++i) {
      for (const Stmt& s : r->segments[i]->stmts) {
        if (IsDeclaration(s)) declarations->push_back(s);
      }
      for (const Unit* u : r->segments[i]->units) {
        if (u->role == role_) needs_.Add(u->stmt);
      }
      if (i < r->children.size()) NeedUnits(r->children[i].get(), declarations);
    }
    if (r->otherwise) NeedUnits(r->otherwise.get(), declarations);
  }
  bool Mine(const Stmt& s) const {
    if (!m_.many()) return true;
    return mine_.count(s.get()) > 0 && !DeclaresShared(s);
  }
  // Has the role anything to do in there?
  bool Concerns(const Region* r) const {
    bool found = false;
    analysis::ForEachSegment(const_cast<Region*>(r), [&](const Region*, const Segment* s) {
      found = found || !s->steps[role_].empty();
    });
    return found;
  }

  // -- regions
  std::vector<Stmt> Body(const Region* r) {
    std::vector<Stmt> out;
    for (size_t i = 0; i < r->segments.size(); ++i) {
      const Segment* s = r->segments[i].get();
      if (s->scope.defined()) {
        Named(s, &out);
      } else {
        InPlace(s, &out);
      }
      if (i < r->children.size() && Concerns(r->children[i].get()))
        out.push_back(Child(r->children[i].get()));
    }
    return out;
  }

  Stmt Child(const Region* r) {
    if (r->leaf()) return MakeSeq(Leaf(r));
    switch (r->owner.kind()) {
      case NodeKind::kFor: {
        auto out = CopyNode(r->owner.as<ForObj>());
        out->kind_ = static_cast<int64_t>(ForKind::kSerial);
        out->hint = PipelineHint();
        out->body = MakeSeq(Body(r));
        return Stmt(out);
      }
      case NodeKind::kIf: {
        auto out = CopyNode(r->owner.as<IfObj>());
        out->then_case = MakeSeq(Body(r));
        if (r->otherwise) out->else_case = MakeSeq(Body(r->otherwise.get()));
        return Stmt(out);
      }
      case NodeKind::kWhile: {
        auto out = CopyNode(r->owner.as<WhileObj>());
        out->body = MakeSeq(Body(r));
        return Stmt(out);
      }
      default: {
        auto out = CopyNode(r->owner.as<GroupObj>());
        out->body = MakeSeq(Body(r));
        return Stmt(out);
      }
    }
  }

  Stmt Declaration(const Stmt& s) {
    const auto* alloc = s.as<AllocObj>();
    if (alloc != nullptr && alloc->buffer.defined()) {
      auto it = m_.pipe_of.find(alloc->buffer->storage.get());
      if (it != m_.pipe_of.end() && m_.pipes[it->second].registers)
        return rotation_.Declare(alloc, m_.pipes[it->second].pipe->depth);
    }
    return WithVersions(m_, s);
  }

  // A segment that no scope names: statements where they stand.
  void InPlace(const Segment* s, std::vector<Stmt>* out) {
    size_t unit = 0;
    for (const Stmt& x : s->stmts) {
      if (IsDeclaration(x)) {
        if (Mine(x)) out->push_back(Declaration(x));
        continue;
      }
      const Unit* u = s->units[unit++];
      if (u->role == role_) out->push_back(Complete(left_open_)(x));
    }
  }

  // The steps of a scope outside of innermost loops: one iteration, no shifts.
  void Named(const Segment* s, std::vector<Stmt>* out) {
    for (const Stmt& x : s->stmts) {
      if (IsDeclaration(x) && Mine(x)) out->push_back(Declaration(x));
    }
    Context c;
    for (const ResolvedStep& step : s->steps[role_]) {
      Emit(step, Expr(), 0, nullptr, &c, out);
      CloseUnit(step, out);
    }
    for (const ResolvedStep& step : s->steps[role_]) {
      if (step.verb == StepVerb::kCommit) CloseGroups(step.pipe, m_.kernel->span, out);
    }
  }

  // -- innermost loops
  // What was declared for one iteration, at one place of the program.
  struct Context {
    VarMap vars;
    BufferMap buffers;
    std::set<const StmtObj*> declared;
    // By how many waits ago the slot was current; kFilling: the slot that is being filled.
    std::map<std::pair<const BufferObj*, int64_t>, Buffer> slots;
  };
  static constexpr int64_t kFilling = -1;

  std::vector<Stmt> Leaf(const Region* r) {
    const auto* loop = r->owner.as<ForObj>();
    const Segment* s = r->segments[0].get();
    const std::vector<ResolvedStep> steps = InOrder(s->steps[role_]);
    std::vector<Stmt> out;
    for (const Stmt& x : s->stmts) {
      const auto* alloc = x.as<AllocObj>();
      if (alloc != nullptr && !alloc->init.defined() && Mine(x)) out.push_back(Declaration(x));
    }
    int64_t ahead = 0, behind = 0;
    for (const ResolvedStep& step : steps) {
      ahead = std::max(ahead, step.shift);
      behind = std::min(behind, step.shift);
    }
    Pending pending = CountPending(steps, ahead, behind);
    DataType t = loop->extent.dtype();
    for (int64_t n = -ahead; n < 0; ++n) {
      std::vector<Instance> instances;
      for (size_t i = 0; i < steps.size(); ++i) {
        if (n + steps[i].shift < 0 || steps[i].shift <= 0) continue;
        Expr at = MakeConst(n + steps[i].shift, t);
        instances.push_back({i, at, Lt(at, loop->extent)});
      }
      Place(loop, steps, instances, pending, n, &out);
    }
    Var i = MakeVar(Str(loop->var->name), t);
    std::vector<Instance> instances;
    for (size_t k = 0; k < steps.size(); ++k) {
      Expr at = Add(Expr(i), steps[k].shift), inside;
      if (steps[k].shift > 0) inside = Lt(at, loop->extent);
      if (steps[k].shift < 0) inside = Ge(at, MakeConst(0, t));
      instances.push_back({k, at, inside});
    }
    std::vector<Stmt> body;
    Place(loop, steps, instances, pending, 0, &body);
    out.push_back(MakeFor(i, loop->extent, MakeSeq(body), loop->span, ForKind::kSerial));
    for (int64_t n = 0; n < -behind; ++n) {
      std::vector<Instance> drain;
      for (size_t k = 0; k < steps.size(); ++k) {
        if (n + steps[k].shift >= 0) continue;
        Expr at = Add(loop->extent, n + steps[k].shift);
        drain.push_back({k, at, Ge(at, MakeConst(0, t))});
      }
      Place(loop, steps, drain, pending, n + 1, &out);
    }
    // What is in flight was skipped at run time, but the memory may be used again: nothing is open.
    std::set<int> closed;
    for (const ResolvedStep& step : steps) {
      if (step.verb == StepVerb::kCommit && closed.insert(step.pipe).second)
        CloseGroups(step.pipe, loop->span, &out);
    }
    return out;
  }

  // A pipe inside one role moves in every iteration of the loop, so its steps look ahead, not
  // behind: with a prologue for a drain.
  std::vector<ResolvedStep> InOrder(std::vector<ResolvedStep> steps) const {
    int64_t behind = 0;
    for (const ResolvedStep& step : steps) {
      if (step.pipe >= 0 && m_.pipes[step.pipe].local) behind = std::min(behind, step.shift);
    }
    if (behind == 0) return steps;
    for (const ResolvedStep& step : steps) behind = std::min(behind, step.shift);
    for (ResolvedStep& step : steps) step.shift -= behind;
    return steps;
  }

  void CloseGroups(int pipe, const Span& span, std::vector<Stmt>* out) {
    if (m_.pipes[pipe].local && !m_.pipes[pipe].registers)
      out->push_back(MakeTokenOp(TokenVerb::kAwait, tokens_[pipe], span));
  }

  // One step for one iteration, if that is `inside` of the trip (null: always).
  struct Instance {
    size_t step;
    Expr at, inside;
  };

  // Groups of cp.async are counted by waits, so inside one role a pipe moves in every iteration,
  // also where there is nothing to fill; `await` behind the loop brings both ends together again.
  bool Guarded(const Instance& i, const std::vector<ResolvedStep>& steps) const {
    const ResolvedStep& step = steps[i.step];
    if (step.pipe >= 0 && m_.pipes[step.pipe].local) return false;
    // An await orders what follows in every iteration: a group is closed there, if an empty one.
    if (step.verb == StepVerb::kAwait && i.inside.defined() && !IsConst(i.inside, 0)) return false;
    return i.inside.defined() && !IsConst(i.inside, 1);
  }

  // Steps of one iteration, next to each other, share a guard.
  void Place(const ForObj* loop, const std::vector<ResolvedStep>& steps,
             const std::vector<Instance>& instances, const Pending& pending, int64_t where,
             std::vector<Stmt>* out) {
    where_ = where;
    steps_ = &steps;
    std::map<int64_t, Context> open;  // by shift, of statements outside of guards
    for (size_t i = 0; i < instances.size();) {
      int64_t shift = steps[instances[i].step].shift;
      bool guarded = Guarded(instances[i], steps);
      Expr inside = instances[i].inside;
      std::vector<Stmt> body;
      Context inner = open[shift];
      ResolvedStep last;
      for (; i < instances.size(); ++i) {
        const ResolvedStep& step = steps[instances[i].step];
        if (step.shift != shift || Guarded(instances[i], steps) != guarded) break;
        auto p = pending.at.find({where, instances[i].step});
        index_ = instances[i].step;
        Emit(step, instances[i].at, p == pending.at.end() ? 0 : p->second, loop,
             guarded ? &inner : &open[shift], &body);
        for (auto& [other, context] : open) Moved(step, &context);
        last = step;
        if (Awaited(step)) {
          ++i;
          break;
        }
      }
      if (!guarded) {
        out->insert(out->end(), body.begin(), body.end());
      } else if (!IsConst(inside, 0)) {
        out->push_back(MakeIf(inside, MakeSeq(body), loop->span));
      }
      // Awaits count groups, so one is closed in every iteration, also outside of the trip.
      CloseUnit(last, out);
    }
    steps_ = nullptr;
  }

  bool Awaited(const ResolvedStep& step) const {
    return step.verb == StepVerb::kDo && awaited_.count(step.unit) > 0;
  }
  void CloseUnit(const ResolvedStep& step, std::vector<Stmt>* out) {
    if (!Awaited(step)) return;
    out->push_back(MakeTokenOp(TokenVerb::kCommit, awaited_.at(step.unit), step.unit->stmt->span));
  }

  // How many steps `verb` of the pipe ago was the one of this step's iteration?
  int64_t Back(int pipe, StepVerb verb, int64_t shift) const {
    if (steps_ == nullptr) return 0;
    for (size_t i = 0; i < steps_->size(); ++i) {
      const ResolvedStep& step = (*steps_)[i];
      if (step.pipe != pipe || step.verb != verb) continue;
      bool drained = where_ > 0 && step.shift >= 0;  // it ran for the last time in the loop
      return step.shift - shift - (drained ? where_ : index_ > i ? 0 : 1);
    }
    return 0;
  }

  // An acquire (a wait) moves the slot that units fill (read).
  void Moved(const ResolvedStep& step, Context* c) const {
    if (step.verb != StepVerb::kAcquire && step.verb != StepVerb::kWait) return;
    bool in = step.verb == StepVerb::kAcquire;
    for (auto it = c->slots.begin(); it != c->slots.end();) {
      bool moved = (it->first.second == kFilling) == in &&
                   m_.pipe_of.at(it->first.first->storage.get()) == step.pipe;
      it = moved ? c->slots.erase(it) : std::next(it);
    }
  }

  // By running the steps: how many groups are closed after the one that a wait needs; the least
  // over all iterations.
  Pending CountPending(const std::vector<ResolvedStep>& steps, int64_t ahead, int64_t behind) {
    Pending out;
    int64_t depth = 1;
    for (const PipeFacts& p : m_.pipes) depth = std::max<int64_t>(depth, p.pipe->depth);
    int64_t trips = depth + ahead - behind + 2;
    struct Closed {
      const void* what;
      int64_t iteration;
    };
    std::vector<Closed> closed;
    for (int64_t n = -ahead; n < trips - behind; ++n) {
      for (size_t i = 0; i < steps.size(); ++i) {
        const ResolvedStep& step = steps[i];
        int64_t at = n + step.shift;
        if (n < 0 && (step.shift <= 0 || at < 0)) continue;
        if (n >= trips && (step.shift >= 0 || at >= trips)) continue;
        if (step.verb == StepVerb::kCommit && Groups(m_.pipes[step.pipe]))
          closed.push_back({&m_.pipes[step.pipe], at});
        if (step.verb == StepVerb::kDo && awaited_.count(step.unit))
          closed.push_back({step.unit, at});
        bool await = step.verb == StepVerb::kAwait && step.unit->async;
        bool wait = step.verb == StepVerb::kWait && Groups(m_.pipes[step.pipe]);
        if (!await && !wait) continue;
        const void* what = await ? static_cast<const void*>(step.unit) : &m_.pipes[step.pipe];
        int64_t place = n < 0 ? n : n < trips ? 0 : n - trips + 1;
        for (size_t k = closed.size(); k-- > 0;) {
          if (closed[k].what != what || closed[k].iteration != at) continue;
          int64_t later = static_cast<int64_t>(closed.size() - 1 - k);
          auto [it, fresh] = out.at.try_emplace({place, i}, later);
          if (!fresh) it->second = std::min(it->second, later);
        }
      }
    }
    return out;
  }

  // -- steps
  void Emit(const ResolvedStep& step, const Expr& at, int64_t pending, const ForObj* loop,
            Context* c, std::vector<Stmt>* out) {
    const Span& span = loop != nullptr ? loop->span : m_.kernel->span;
    if (step.pipe >= 0 && m_.pipes[step.pipe].registers) {
      if (step.verb == StepVerb::kAcquire) {
        filling_.insert(step.pipe);
        const StorageObj* storage = m_.pipes[step.pipe].pipe->buffers[0]->storage.get();
        if (loop != nullptr) rotation_.Rotate(storage, at, step.shift, loop, where_ == 0, out);
      }
      if (step.verb == StepVerb::kCommit) filling_.erase(step.pipe);
      return;
    }
    switch (step.verb) {
      case StepVerb::kDo:
        Do(step, at, loop, c, out);
        return;
      case StepVerb::kAwait:
        if (!step.unit->async) return;
        out->push_back(
            MakeTokenOp(TokenVerb::kAwait, awaited_.at(step.unit), step.unit->stmt->span, pending));
        return;
      case StepVerb::kAcquire:
        out->push_back(MakeTokenOp(TokenVerb::kAcquire, tokens_[step.pipe], span));
        Moved(step, c);
        filling_.insert(step.pipe);
        return;
      case StepVerb::kCommit:
        out->push_back(MakeTokenOp(TokenVerb::kCommit, tokens_[step.pipe], span));
        filling_.erase(step.pipe);
        return;
      case StepVerb::kWait:
        out->push_back(MakeTokenOp(TokenVerb::kWait, tokens_[step.pipe], span, pending));
        Moved(step, c);
        return;
      case StepVerb::kRelease:
        // In one role program order frees the slot.
        if (!m_.pipes[step.pipe].local)
          out->push_back(MakeTokenOp(TokenVerb::kRelease, tokens_[step.pipe], span));
        return;
      default:
        return;
    }
  }

  // A unit for one iteration: what it reads declared, its buffers at their slots.
  void Do(const ResolvedStep& run, const Expr& at, const ForObj* loop, Context* c,
          std::vector<Stmt>* out) {
    const Unit& u = *run.unit;
    if (at.defined() && !c->vars.count(loop->var.get())) {
      Expr step = loop->step.defined() ? loop->step : MakeConst(1, loop->begin.dtype());
      c->vars[loop->var.get()] = Add(loop->begin, Mul(Cast(at, loop->begin.dtype()), step));
    }
    if (loop != nullptr) Replay(u, c, out);
    Stmt body = Complete(left_open_)(Substitute(u.stmt, c->vars));
    Slots(body, run.shift, c, out, u.stmt->span);
    body = ReplaceBuffers(body, c->buffers);
    out->push_back(body);
  }

  // Declarations of the loop's body that the unit needs and this place does not have yet.
  void Replay(const Unit& u, Context* c, std::vector<Stmt>* out) {
    const std::vector<Stmt>& stmts = u.segment->stmts;
    Needs needs;
    needs.Add(u.stmt);
    std::vector<Stmt> chosen;
    bool before = false;
    for (size_t i = stmts.size(); i-- > 0;) {
      before = before || stmts[i].same_as(u.stmt);
      if (before && IsDeclaration(stmts[i]) && needs.Take(stmts[i])) chosen.push_back(stmts[i]);
    }
    for (size_t i = chosen.size(); i-- > 0;) {
      const Stmt& s = chosen[i];
      if (c->declared.count(s.get())) continue;
      if (const auto* bind = s.as<BindObj>()) {
        Var fresh = MakeVar(Str(bind->var->name), bind->var.dtype());
        out->push_back(MakeBind(fresh, Substitute(bind->value, c->vars), bind->span));
        c->vars[bind->var.get()] = fresh;
      } else if (const auto* view = s.as<ViewObj>()) {
        if (m_.pipe_of.count(view->buffer->storage.get())) continue;  // made with its slot
        Stmt copy = Substitute(s, c->vars);
        out->push_back(copy);
        Buffer made = copy.as<ViewObj>()->buffer;
        if (!made.same_as(view->buffer)) c->buffers[view->buffer.get()] = made;
      } else if (const auto* alloc = s.as<AllocObj>()) {
        if (!alloc->init.defined() || DeclaresShared(s)) continue;  // stands before the loop
        out->push_back(Declaration(Substitute(s, c->vars)));
      } else {
        out->push_back(Substitute(s, c->vars));
      }
      c->declared.insert(s.get());
    }
  }

  // Views of the pipes' buffers that `body` names, at the slot that is open or was waited for.
  void Slots(const Stmt& body, int64_t shift, Context* c, std::vector<Stmt>* out,
             const Span& span) {
    Walk(body, [&](const NodeObj* n) {
      if (n->kind != NodeKind::kBuffer) return true;
      const auto* b = static_cast<const BufferObj*>(n);
      auto pipe = m_.pipe_of.find(b->storage.get());
      if (pipe == m_.pipe_of.end()) return true;
      const PipeFacts& p = m_.pipes[pipe->second];
      bool in = p.local ? filling_.count(pipe->second) > 0 : p.from == role_;
      if (p.registers) {
        int64_t back = in ? 0 : Back(pipe->second, StepVerb::kAcquire, shift);
        c->buffers[b] = rotation_.Version(b->storage.get(), back);
        return true;
      }
      int64_t back = in || !p.local ? 0 : Back(pipe->second, StepVerb::kWait, shift);
      Buffer& view = c->slots[{b, in ? kFilling : back}];
      if (!view.defined()) {
        auto copy = CopyNode(b);
        copy->name = std::string(b->name) + (in ? "_w" : "_r");
        if (copy->offset.defined()) copy->offset = Substitute(copy->offset, c->vars);
        view = Buffer(copy);
        auto s = ffi::make_object<ViewObj>();
        s->buffer = view;
        s->version = MakeSlot(tokens_[pipe->second], !in, back);
        s->span = span;
        out->push_back(Stmt(s));
      }
      c->buffers[b] = view;
      return true;
    });
  }

  const Model& m_;
  const Tokens& tokens_;
  int role_;
  std::set<const StorageObj*> left_open_;
  std::map<const Unit*, Token> awaited_;
  std::set<int> filling_;  // pipes between acquire and commit
  Rotation rotation_;
  // The step of a loop that is being emitted: where_ < 0 in the prologue, 0 in the loop, > 0 in the
  // drain; steps_ null outside of loops.
  const std::vector<ResolvedStep>* steps_ = nullptr;
  size_t index_ = 0;
  int64_t where_ = 0;
  Needs needs_;
  std::set<const StmtObj*> mine_;
};

}  // namespace

bool DeclaresShared(const Stmt& s) {
  const auto* alloc = s.as<AllocObj>();
  if (alloc == nullptr || !alloc->buffer.defined()) return false;
  Space space = alloc->buffer->space();
  return space == Space::kShared || space == Space::kMbar;
}

Stmt WithVersions(const Model& m, const Stmt& s) {
  const auto* alloc = s.as<AllocObj>();
  if (alloc == nullptr || !alloc->buffer.defined()) return s;
  auto it = m.pipe_of.find(alloc->buffer->storage.get());
  if (it == m.pipe_of.end()) return s;
  auto out = CopyNode(alloc);
  out->versions = m.pipes[it->second].pipe->depth;
  return Stmt(out);
}

Stmt EmitRole(const Model& model, const Tokens& tokens, int role) {
  return Emitter(model, tokens, role).Run();
}

}  // namespace tilescale::schedule
