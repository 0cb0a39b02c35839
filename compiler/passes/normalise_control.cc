// SPDX-License-Identifier: MIT
// Control around collective statements: Groups from conditions on the thread's index, guards from
// branches in pipelined loops.
#include "compiler/ir/build.h"
#include "compiler/ir/diag.h"
#include "compiler/ir/text.h"
#include "compiler/ir/visit.h"
#include "compiler/passes/normalise.h"
#include "compiler/passes/thread_uniform.h"

#include <algorithm>
#include <utility>

namespace tilescale::passes {

using namespace ir;  // NOLINT

namespace {

// The operands of a conjunction, in order.
void Conjuncts(const Expr& e, std::vector<Expr>* out) {
  const auto* op = e.as<OpObj>();
  if (op != nullptr && op->op() == OpCode::kAnd) {
    Conjuncts(op->args[0], out);
    Conjuncts(op->args[1], out);
  } else {
    out->push_back(e);
  }
}

struct ThreadRange {
  int64_t first = 0, count = 0;
};

// The threads as one interval; nothing if they are none, or several intervals.
std::optional<ThreadRange> AsRange(const std::vector<bool>& threads) {
  ThreadRange range;
  bool ended = false;
  for (size_t t = 0; t < threads.size(); ++t) {
    if (!threads[t]) {
      ended = range.count > 0;
      continue;
    }
    if (ended) return std::nullopt;
    if (range.count++ == 0) range.first = static_cast<int64_t>(t);
  }
  return range.count > 0 ? std::optional<ThreadRange>(range) : std::nullopt;
}

class GroupFinder : public Mutator {
 public:
  explicit GroupFinder(const Kernel& kernel)
      : kernel_(kernel), active_(static_cast<size_t>(kernel->user_threads()), true) {}

  Stmt MutateGroup(const Group& s) override {
    std::vector<bool> inside(active_.size(), false);
    for (int64_t t = s->first; t < s->first + s->count; ++t) inside[static_cast<size_t>(t)] = true;
    return Among(inside, [&] { return DefaultStmt(s); });
  }

  Stmt MutateBind(const Bind& s) override {
    lets_[s->var.get()] = s->value;
    return DefaultStmt(s);
  }

  Stmt MutateIf(const If& s) override {
    if (!HasCollective(s)) return s;
    std::vector<Expr> conjuncts;
    Conjuncts(s->cond, &conjuncts);
    Expr thread, rest;
    std::vector<bool> where = active_;
    for (const Expr& e : conjuncts) {
      auto set = ThreadsWhere(kernel_, e, lets_);
      if (!set) {
        rest = And(rest, e);
        continue;
      }
      if (HoldForAll(*set)) continue;
      thread = And(thread, e);
      for (size_t t = 0; t < where.size(); ++t) where[t] = where[t] && (*set)[t];
    }
    if (!thread.defined() && rest.defined()) return DefaultStmt(s);
    // All threads that are here agree: no branch.
    if (!thread.defined()) return MutateStmt(s->then_case);
    std::vector<Stmt> out;
    // What does not depend on the thread stays a branch, inside of the group.
    Stmt then_case = Among(where, [&] { return MutateStmt(s->then_case); });
    std::vector<bool> others = active_;
    for (size_t t = 0; t < where.size(); ++t) others[t] = others[t] && !where[t];
    Stmt else_case;
    if (s->else_case.defined()) else_case = Among(others, [&] { return MutateStmt(s->else_case); });
    if (rest.defined() && else_case.defined()) {
      RaiseAt(s->span, "CompileError", "`", Spelled(s->cond),
              "` mixes a condition on the thread with another ",
              "one around collective operations: use two nested if");
    }
    if (rest.defined()) then_case = MakeIf(rest, then_case, s->span);
    out.push_back(MakeGroup(s, where, then_case));
    if (else_case.defined() && !StmtsOf(else_case).empty()) {
      out.push_back(MakeGroup(s, others, else_case));
    }
    return MakeSeq(out);
  }

 private:
  Stmt MakeGroup(const If& s, const std::vector<bool>& where, const Stmt& body) {
    auto range = AsRange(where);
    if (!range && !HasCollective(body)) {
      // Plain statements of scattered threads stay a branch.
      Expr tid = LinearThread(kernel_.get()), cond;
      for (size_t t = 0; t < where.size(); ++t) {
        if (where[t]) cond = Or2(cond, Eq(tid, MakeConst(static_cast<int64_t>(t))));
      }
      return cond.defined() ? MakeIf(cond, body, s->span) : MakeSeq({});
    }
    if (!range) {
      if (std::find(where.begin(), where.end(), true) == where.end()) return MakeSeq({});
      RaiseAt(s->span, "CompileError", "the threads of `", Spelled(s->cond),
              "` are not one contiguous thread range: collective operations run by a group of "
              "neighbours");
    }
    auto group = ffi::make_object<GroupObj>();
    group->span = s->span;
    group->label = s->label;
    group->first = range->first;
    group->count = range->count;
    group->body = body.kind() == NodeKind::kSeq ? body : MakeSeq({body});
    return Stmt(group);
  }
  static Expr Or2(const Expr& a, const Expr& b) { return a.defined() ? Or(a, b) : b; }

  // True for each thread that is here.
  bool HoldForAll(const std::vector<bool>& set) const {
    for (size_t t = 0; t < set.size(); ++t) {
      if (active_[t] && !set[t]) return false;
    }
    return true;
  }
  template <typename F>
  Stmt Among(const std::vector<bool>& threads, F f) {
    std::vector<bool> outer = std::exchange(active_, threads);
    Stmt out = f();
    active_ = std::move(outer);
    return out;
  }

  const Kernel& kernel_;
  std::vector<bool> active_;  // the threads of the innermost group
  Lets lets_;
};

// -- branches in pipelined loops
// -------------------------------------------------------------------------

bool HasJump(const Stmt& s) {
  bool found = false;
  Walk(s, [&](const NodeObj* n) {
    found = found || n->kind == NodeKind::kJump;
    return !found;
  });
  return found;
}

// The branch as a flat list: each statement under the conjunction of the conditions that lead to
// it.
class BranchSplitter {
 public:
  std::vector<Stmt> Split(const IfObj* branch, const Expr& outer) {
    Expr cond = Bound("cond", branch->cond, branch->span, outer);
    Flatten(branch->then_case, cond);
    if (branch->else_case.defined()) {
      Expr negated = outer.defined() ? And(outer, Not(branch->cond)) : Not(branch->cond);
      Flatten(branch->else_case, Bound("other", negated, branch->span, Expr()));
    }
    return std::move(out_);
  }

 private:
  Expr Bound(const char* name, const Expr& cond, const Span& span, const Expr& outer) {
    Expr all = outer.defined() ? And(outer, cond) : cond;
    Var v = MakeVar(name, Bool());
    out_.push_back(MakeBind(v, all, span));
    return v;
  }

  void Flatten(const Stmt& body, const Expr& cond) {
    for (const Stmt& s : StmtsOf(body)) {
      switch (s.kind()) {
        case NodeKind::kAlloc:
        case NodeKind::kView:
          out_.push_back(s);
          break;
        case NodeKind::kBind: {
          // Evaluated only where the branch is taken: it may read what exists only there.
          const auto* bind = s.as<BindObj>();
          Expr zero = MakeOp(OpCode::kCast, {MakeConst(0)}, bind->value.dtype());
          out_.push_back(MakeBind(bind->var, If3(cond, bind->value, zero), bind->span));
          break;
        }
        case NodeKind::kIf:
          if (HasCollective(s)) {
            std::vector<Stmt> inner = BranchSplitter().Split(s.as<IfObj>(), cond);
            out_.insert(out_.end(), inner.begin(), inner.end());
            break;
          }
          [[fallthrough]];
        default: {
          // The guard is the unit now, and takes its name.
          Stmt guarded = MakeIf(cond, MakeSeq({WithLabel(s, "")}), s->span);
          out_.push_back(WithLabel(guarded, Str(s->label)));
        }
      }
    }
  }

  std::vector<Stmt> out_;
};

class PipelineSplitter : public Mutator {
 public:
  Stmt MutateFor(const For& s) override {
    Stmt inner = DefaultStmt(s);
    const auto* loop = inner.as<ForObj>();
    // With a jump the loop is not pipelined, and hand-made stages count the user's own statements.
    if (loop->loop() != ForKind::kPipelined || HasJump(loop->body)) return inner;
    if (!loop->hint->order.empty() || !loop->hint->stage.empty()) return inner;
    std::vector<Stmt> body;
    bool changed = false;
    for (const Stmt& stmt : StmtsOf(loop->body)) {
      const auto* branch = stmt.as<IfObj>();
      if (branch == nullptr || !HasCollective(stmt) || Single(branch)) {
        body.push_back(stmt);
        continue;
      }
      changed = true;
      std::vector<Stmt> split = BranchSplitter().Split(branch, Expr());
      body.insert(body.end(), split.begin(), split.end());
    }
    if (!changed) return inner;
    auto copy = CopyNode(loop);
    copy->body = MakeSeq(body);
    return Stmt(copy);
  }

 private:
  // One statement under one condition is one unit already.
  static bool Single(const IfObj* branch) {
    std::vector<Stmt> body = StmtsOf(branch->then_case);
    return !branch->else_case.defined() && body.size() == 1 && body[0].kind() != NodeKind::kIf;
  }
};

}  // namespace

Stmt RecoverGroups(const Kernel& kernel, const Stmt& body) {
  return GroupFinder(kernel)(body);
}
Stmt SplitBranches(const Stmt& body) {
  return PipelineSplitter()(body);
}

}  // namespace tilescale::passes
