// SPDX-License-Identifier: MIT
// InsertSync (passes.h). Walks a kernel in program order with the accesses that no barrier has
// ordered yet; a statement that conflicts with one of them gets the cheapest barrier right before
// it, which is also the latest place: greedy is minimal on straight code. Loops are walked as often
// as their slots go round, so that conflicts between iterations are seen. cp.async tokens become
// commits and waits; slots become counters.
#include "compiler/ir/diag.h"
#include "compiler/ir/text.h"
#include "compiler/isa/instr.h"
#include "compiler/passes/insert_sync/access.h"
#include "compiler/passes/insert_sync/tokens.h"
#include "compiler/passes/thread_uniform.h"
#include "support/diagnostics.h"

#include <map>
#include <set>
#include <utility>

namespace tilescale {

using namespace ir;  // NOLINT

namespace sync {
namespace {

struct Barrier {
  Cover kind = Cover::kNothing;
  Access first, second;  // why
  bool drain = false;    // a release comes behind asynchronous copies that nobody waited for
  bool in_head = false;  // at the end of the loop's head, not in front of the loop
};

class Walker {
 public:
  Walker(const Kernel& k, bool user_orders)
      : kernel_(k), uniformity_(k), reader_(k), user_orders_(user_orders) {
    threads_ = k->total_threads();
  }

  // Finds barriers, then drops those that the others make needless: a barrier found late may stand
  // before one found early.
  void Run() {
    Visit(kernel_->body);
    std::vector<const StmtObj*> found = order_;
    if (found.size() < 2 || found.size() > kMaxTried) return;
    for (const StmtObj* s : found) {
      Barrier barrier = barriers_.at(s);
      if (barrier.drain) continue;
      barriers_.erase(s);
      if (!Suffices()) barriers_.emplace(s, barrier);
    }
  }
  const std::map<const StmtObj*, Barrier>& barriers() const { return barriers_; }

 private:
  static bool HasSync(const Stmt& s) {
    bool found = false;
    Walk(s, [&](const NodeObj* n) {
      if (n->kind == NodeKind::kTokenOp || n->kind == NodeKind::kGroup) found = true;
      if (n->kind == NodeKind::kCall) {
        const auto* call = static_cast<const CallObj*>(n);
        found = found || isa::Get(Str(call->instr)).sync != isa::SyncKind::kNone;
      }
      return !found;
    });
    return found;
  }

  // Do the barriers that are there order everything?
  bool Suffices() {
    checking_ = true;
    missing_ = false;
    pending_.clear();
    exits_.clear();
    reader_.acquired.clear();
    reader_.waited.clear();
    reader_.commits = 0;
    Visit(kernel_->body);
    return !missing_;
  }

  void Visit(const Stmt& s) {
    if (!s.defined() || missing_) return;
    switch (s.kind()) {
      case NodeKind::kSeq:
        for (const Stmt& x : s.as<SeqObj>()->stmts) Visit(x);
        return;
      case NodeKind::kAlloc:
        reader_.DeclareAlloc(s.as<AllocObj>());
        if (s.as<AllocObj>()->arrivals > 0 && s.as<AllocObj>()->token.defined())
          between_groups_.insert(s.as<AllocObj>()->token.get());
        return;
      case NodeKind::kView:
        reader_.DeclareView(s.as<ViewObj>());
        return;
      case NodeKind::kBind:
        Unit(s);
        return;
      case NodeKind::kFor:
        reader_.EnterLoop(s.as<ForObj>());
        return VisitControl(s, [&] { VisitFor(s.as<ForObj>(), s); });
      case NodeKind::kWhile:
        return VisitControl(s, [&] { VisitWhile(s.as<WhileObj>(), s); });
      case NodeKind::kIf:
        return VisitControl(s, [&] { VisitIf(s.as<IfObj>(), s); });
      case NodeKind::kGroup:
        return VisitGroup(s.as<GroupObj>(), s);
      case NodeKind::kJump:
        return NoteJumps(s);
      case NodeKind::kTokenOp:
        return VisitToken(s.as<TokenOpObj>());
      case NodeKind::kCall:
        return VisitCall(s.as<CallObj>(), s);
      default:
        Unit(s);
    }
  }

  // A group is ordered after what came before it as a whole; inside it only its own accesses count,
  // because its barriers order no other threads (I8). Between groups nothing is repaired (I9).
  void VisitGroup(const GroupObj* g, const Stmt& s) {
    reader_.SetThreads(g->first, g->count);
    std::vector<Access> mine = reader_.Read(g->body);
    std::vector<Access> before;
    for (const Access& a : pending_) {
      if (a.group_of == nullptr || a.group_of == g) {
        before.push_back(a);
        continue;
      }
      for (const Access& b : mine) {
        if (coverage_.Needed(a, b) != Cover::kNothing) NeedOrder(a, b, g);
      }
    }
    std::vector<Access> outer = std::exchange(pending_, std::move(before));
    Order(mine, s);
    if (auto it = barriers_.find(s.get()); it != barriers_.end()) {
      it->second.kind == Cover::kBlock ? Clear(&outer) : OrderInWarps(&outer);
    }
    pending_.clear();
    const GroupObj* outer_group = std::exchange(group_, g);
    int64_t threads = std::exchange(threads_, g->count);
    Visit(g->body);
    group_ = outer_group;
    threads_ = threads;
    reader_.SetThreads(group_ == nullptr ? 0 : group_->first, threads_);
    pending_ = std::move(outer);
    for (Access& b : mine) {
      b.group_of = g;
      Remember(std::move(b));
    }
  }

  // Tokens and the user's barriers are what orders groups: where both sides have some, the
  // schedule's check (S2) or the user vouches for them.
  void NeedOrder(const Access& a, const Access& b, const GroupObj* g) {
    if (user_orders_ || (HasSync(a.group_of->body) && HasSync(g->body))) return;
    auto line = [](const Span& s) {
      return s.defined() ? "line " + std::to_string(s->line) : std::string("the compiler");
    };
    RaiseAt(b.span, "CompileError", "threads ", a.group_of->first, " to ",
            a.group_of->first + a.group_of->count, " ", a.write ? "write" : "read", " `",
            a.storage->name, "` at ", line(a.span), " and threads ", g->first, " to ",
            g->first + g->count, " ", b.write ? "write" : "read", " `", b.storage->name, "` at ",
            line(b.span),
            ", and no barrier orders them: use T.sync_threads() or a barrier of both");
  }

  // No barrier is needed inside: nothing of `s` conflicts with anything else of it, in any two
  // iterations.
  bool IsUnit(const Stmt& s) {
    auto [it, fresh] = units_.try_emplace(s.get(), false);
    if (!fresh || HasSync(s)) return it->second;
    std::vector<Access> all = reader_.Read(s);
    for (size_t i = 0; i < all.size(); ++i) {
      for (size_t j = i; j < all.size(); ++j) {
        if (!coverage_.Covered(all[i], all[j])) return false;
      }
    }
    return it->second = true;
  }

  // Where control divides the threads, a statement sees what its own thread did (I7): no barrier
  // belongs there, and what came before is ordered in front of it all. Barriers of the user may
  // order the rest.
  template <typename Inside>
  void VisitControl(const Stmt& s, Inside inside) {
    if (IsUnit(s) || (uniformity_.Divides(s.get()) && !HasSync(s))) {
      Unit(s);
      if (s.kind() == NodeKind::kIf) NoteJumps(s);
      return;
    }
    if (!uniformity_.Divides(s.get())) return inside();
    std::vector<Access> mine = reader_.Read(s);
    Order(mine, s);
    std::vector<Access> outer = std::exchange(pending_, {});
    const StmtObj* divider = std::exchange(divider_, s.get());
    inside();
    divider_ = divider;
    std::vector<Access> inner = std::exchange(pending_, std::move(outer));
    Merge(inner);
  }

  void VisitFor(const ForObj* loop, const Stmt& s) {
    ReadControl({loop->begin, loop->extent}, s);
    auto trips = AsInt(loop->extent);
    int64_t rounds = 2;
    Walk(loop->body, [&](const NodeObj* n) {
      if (n->kind == NodeKind::kTokenOp) {
        rounds = std::max(rounds, static_cast<const TokenOpObj*>(n)->token->depth + 1);
      }
      return true;
    });
    if (trips) rounds = std::min(rounds, *trips);
    VisitLoop(rounds, trips.has_value(), [] {}, [&] { Visit(loop->body); });
  }

  // The condition is read behind the head.
  void VisitWhile(const WhileObj* loop, const Stmt& s) {
    auto head = [&] {
      Visit(loop->head);
      ReadControl({loop->cond}, s);
      auto it = barriers_.find(s.get());
      if (it != barriers_.end() && divider_ != s.get()) it->second.in_head = true;
    };
    VisitLoop(2, false, head, [&] { Visit(loop->body); });
  }

  // What decides control, read in front of `s`, or for a loop with a head behind that.
  void ReadControl(const std::vector<Expr>& exprs, const Stmt& s) {
    std::vector<Stmt>& reads = control_[s.get()];
    for (size_t i = reads.size(); i < exprs.size(); ++i)
      reads.push_back(MakeBind(MakeVar("control", exprs[i].dtype()), exprs[i], s->span));
    for (const Stmt& read : reads) {
      std::vector<Access> mine = reader_.Read(read);
      Order(mine, s);
      for (Access& b : mine) Remember(std::move(b));
    }
  }

  // `head` runs once more than the body. `runs`: the loop runs at least once, or certainly not.
  template <typename Head, typename Body>
  void VisitLoop(int64_t rounds, bool runs, Head head, Body body) {
    head();
    std::vector<Access> before = pending_;
    exits_.emplace_back();
    for (int64_t i = 0; i < rounds; ++i) {
      body();
      Merge(exits_.back().continued);
      head();
    }
    Merge(exits_.back().broken);
    exits_.pop_back();
    // It may run not at all: then no barrier in it has ordered what came before. What is
    // asynchronous is waited for by tokens, which count skipped iterations, too.
    if (runs) return;
    std::erase_if(before, [](const Access& a) { return a.async; });
    Merge(before);
  }

  // A jump takes what is pending to the end of its loop's body, or behind the loop.
  void NoteJumps(const Stmt& s) {
    if (exits_.empty()) return;
    Walk(s, [&](const NodeObj* n) {
      if (n->kind == NodeKind::kFor || n->kind == NodeKind::kWhile) return false;
      if (n->kind != NodeKind::kJump) return true;
      JumpKind kind = static_cast<const JumpObj*>(n)->jump();
      if (kind == JumpKind::kExit) return true;
      Exits& exits = exits_.back();
      std::vector<Access>& to = kind == JumpKind::kBreak ? exits.broken : exits.continued;
      to.insert(to.end(), pending_.begin(), pending_.end());
      return true;
    });
  }

  void Merge(const std::vector<Access>& accesses) {
    for (const Access& a : accesses) Remember(a);
  }

  void VisitIf(const IfObj* branch, const Stmt& s) {
    ReadControl({branch->cond}, s);
    std::vector<Access> before = pending_;
    reader_.EnterBranch(branch->cond, true);
    Visit(branch->then_case);
    reader_.LeaveBranch();
    std::vector<Access> then_state = pending_;
    pending_ = before;
    reader_.EnterBranch(branch->cond, false);
    Visit(branch->else_case);
    reader_.LeaveBranch();
    Merge(then_state);
  }

  void VisitToken(const TokenOpObj* op) {
    const TokenObj* token = op->token.get();
    switch (op->verb()) {
      case TokenVerb::kAcquire:
        ++reader_.acquired[token];
        if (between_groups_.count(token)) Freed(token);
        return;
      case TokenVerb::kCommit:
        if (!between_groups_.count(token) && token->done() == Done::kCpAsync) ++reader_.commits;
        return;
      case TokenVerb::kWait:
        ++reader_.waited[token];
        if (between_groups_.count(token)) return;
        if (token->done() == Done::kCpAsync) Completed(reader_.commits - op->pending);
        return;
      case TokenVerb::kAwait:
        if (token->done() == Done::kCpAsync) Completed(reader_.commits - op->pending);
        // Behind its loop a pipe is empty: fills that this walk took beyond the trip did not
        // happen.
        if (op->pending == 0) reader_.acquired[token] = reader_.waited[token];
        return;
      default:
        return;
    }
  }

  // The slot just acquired was filled, read and released before: all of it is over for everyone.
  void Freed(const TokenObj* token) {
    int64_t slot = reader_.acquired[token] - 1;
    std::vector<Access> left;
    for (Access& a : pending_) {
      bool over = a.token == token && (slot - a.slot) % token->depth == 0;
      if (!over) left.push_back(std::move(a));
    }
    pending_ = std::move(left);
  }

  // The issuing thread has observed the groups before `commit`.
  void Completed(int64_t commit) {
    for (Access& a : pending_) {
      if (a.async && a.group < commit) a.async = false;
    }
  }

  void VisitCall(const CallObj* call, const Stmt& s) {
    const isa::Instr& row = isa::Get(Str(call->instr));
    switch (row.sync) {
      case isa::SyncKind::kCtaBarrier:
        Clear(&pending_);
        return;
      case isa::SyncKind::kNamedBarrier: {
        auto count = call->args.size() > 1 ? AsInt(call->args[1]) : std::nullopt;
        // Where control divides the threads, the user's count is of those that get there.
        if (divider_ != nullptr || (count && *count >= threads_)) Clear(&pending_);
        return;
      }
      case isa::SyncKind::kWarpBarrier:
        if (AsInt(call->args[0]) == kAllLanes) OrderInWarps(&pending_);
        return;
      case isa::SyncKind::kAsyncCommit:
        ++reader_.commits;
        return;
      case isa::SyncKind::kAsyncWait:
        Completed(reader_.commits - AsInt(call->args[0]).value_or(0));
        return;
      default:
        Unit(s);
    }
  }

  static void Clear(std::vector<Access>* accesses) {
    std::erase_if(*accesses, [](const Access& a) { return !a.async; });
  }

  // A statement as a whole: ordered after what it conflicts with.
  void Unit(const Stmt& s) {
    std::vector<Access> mine = reader_.Read(s);
    if (mine.empty()) return;
    Order(mine, s);
    for (Access& b : mine) Remember(std::move(b));
  }

  // The barrier in front of `s`, which does `mine`.
  void Order(const std::vector<Access>& mine, const Stmt& s) {
    Barrier need;
    for (const Access& b : mine) {
      for (const Access& a : pending_) {
        Cover c = coverage_.Needed(a, b);
        if (c == Cover::kNothing) continue;
        if (b.release && a.async) {
          need.drain = true;
        } else if (a.async && !b.async && !user_orders_) {
          RaiseAt(b.span, "InternalError", "an asynchronous copy is used before it is waited for");
        }
        // What a signal publishes or consumes is ordered by construction, whoever orders the rest.
        if (user_orders_ && !b.release && !a.acquire) continue;
        if (c == Cover::kBlock || need.kind == Cover::kNothing) {
          if (need.kind != Cover::kBlock) need = {c, a, b, need.drain, false};
        }
      }
    }
    if (need.drain) Completed(reader_.commits + 1);
    auto it = barriers_.find(s.get());
    if (checking_) {
      Cover there = it == barriers_.end() ? Cover::kNothing : it->second.kind;
      missing_ = missing_ || there < need.kind;
    } else if (need.kind != Cover::kNothing) {
      if (divider_ != nullptr || !uniformity_.IsReachedByAll(s.get())) RaiseDivided(need);
      if (it == barriers_.end()) {
        it = barriers_.emplace(s.get(), need).first;
        order_.push_back(s.get());
      }
      if (it->second.kind != Cover::kBlock) it->second = need;
      it->second.drain = it->second.drain || need.drain;
    }
    if (it == barriers_.end()) return;
    if (it->second.kind == Cover::kBlock) {
      Clear(&pending_);
    } else {
      OrderInWarps(&pending_);
    }
  }

  void RaiseDivided(const Barrier& need) const {
    const Access &a = need.first, &b = need.second;
    std::string why = "some threads have left before";
    if (divider_ != nullptr) {
      const Span& at = divider_->span;
      std::string what;
      if (divider_->kind == NodeKind::kIf) {
        what = "`" + Print(static_cast<const IfObj*>(divider_)->cond) + "`";
      } else if (divider_->kind == NodeKind::kWhile) {
        what = "`" + Print(static_cast<const WhileObj*>(divider_)->cond) + "`";
      } else {
        what = "the number of iterations of `" +
               std::string(static_cast<const ForObj*>(divider_)->var->name) + "`";
      }
      why = what + (at.defined() ? " at line " + std::to_string(at->line) : std::string()) +
            " differs between them";
    }
    auto did = [](const Access& x, const char* wrote, const char* read) {
      return x.write ? wrote : read;
    };
    RaiseAt(b.span, "CompileError", "threads ", did(b, "write", "read"), " `", b.storage->name,
            "` here, which others ", did(a, "write", "read"),
            a.span.defined() ? " at line " + std::to_string(a.span->line) : std::string(),
            ": a barrier of all threads must stand between, and only some of them get here, as ",
            why, ". Move both accesses to where all threads get");
  }

  // A warp barrier orders what lanes of one warp did; for other warps it stays to be ordered.
  static void OrderInWarps(std::vector<Access>* accesses) {
    for (Access& a : *accesses) a.in_warp = a.in_warp || !a.async;
  }

  void Remember(Access b) {
    for (const Access& a : pending_) {
      if (a.storage == b.storage && a.place == b.place && a.write == b.write && a.slot == b.slot &&
          a.async == b.async && a.atomic == b.atomic && a.group == b.group && a.one == b.one &&
          a.release == b.release && a.acquire == b.acquire && a.group_of == b.group_of &&
          a.in_warp == b.in_warp) {
        return;
      }
    }
    pending_.push_back(std::move(b));
  }

  static constexpr size_t kMaxTried = 64;
  static constexpr int64_t kAllLanes = 0xffffffff;

  const Kernel& kernel_;
  passes::Uniformity uniformity_;
  AccessReader reader_;
  analysis::Coverage coverage_;
  bool user_orders_;
  bool checking_ = false, missing_ = false;
  std::vector<const StmtObj*> order_;  // statements with barriers, as they were found
  std::map<const StmtObj*, bool> units_;
  std::map<const StmtObj*, std::vector<Stmt>> control_;  // reads of conditions and bounds
  struct Exits {
    std::vector<Access> broken, continued;
  };

  std::vector<Access> pending_;
  std::vector<Exits> exits_;  // of the loops around, innermost last
  std::map<const StmtObj*, Barrier> barriers_;
  std::set<const TokenObj*> between_groups_;
  const StmtObj* divider_ = nullptr;  // the innermost control around that divides the threads
  int64_t threads_ = 0;
  const GroupObj* group_ = nullptr;
};

// Puts the barriers in front of their statements. A group of threads has a barrier of its own, with
// a number that the user does not name.
class Inserter : public Mutator {
 public:
  Inserter(const Kernel& k, const std::map<const StmtObj*, Barrier>& barriers, PassContext* ctx)
      : kernel_(k), barriers_(barriers), ctx_(ctx) {
    Walk(k->body, [&](const NodeObj* n) {
      if (n->kind != NodeKind::kCall) return true;
      const auto* call = static_cast<const CallObj*>(n);
      isa::SyncKind sync = isa::Get(Str(call->instr)).sync;
      if (sync == isa::SyncKind::kNamedBarrier || sync == isa::SyncKind::kBarrierArrive) {
        if (auto id = AsInt(call->args[0])) reserved_.insert(*id);
      }
      return true;
    });
  }

  Stmt MutateStmt(const Stmt& s) override {
    if (!s.defined()) return s;
    auto it = barriers_.find(s.get());
    Stmt out = Mutator::MutateStmt(s);
    if (it == barriers_.end()) return out;
    Stmt drain;
    if (it->second.drain) drain = MakeCall("cp_async.wait_group", {MakeConst(0)}, s->span);
    Stmt barrier = Make(it->second, s->span);
    if (!it->second.in_head) return MakeSeq({drain, barrier, out});
    auto loop = CopyNode(out.as<WhileObj>());
    loop->head = MakeSeq({loop->head, drain, barrier});
    return Stmt(loop);
  }
  Stmt MutateGroup(const Group& g) override {
    const GroupObj* outer = std::exchange(group_, g.get());
    Stmt out = DefaultStmt(g);
    group_ = outer;
    return out;
  }
  // T.sync_threads() is a barrier of the user's threads, whatever roles are behind them.
  Stmt MutateCall(const Call& c) override {
    if (group_ == nullptr || isa::Get(Str(c->instr)).sync != isa::SyncKind::kCtaBarrier) return c;
    bool mine = group_->first == 0 && group_->count == kernel_->user_threads();
    return mine && kernel_->extra_threads > 0 ? GroupBarrier(c->span) : Stmt(c);
  }

 private:
  Stmt GroupBarrier(const Span& span) {
    auto [it, fresh] = ids_.emplace(std::pair(group_->first, group_->count), 0);
    if (fresh) {
      int64_t id = 1;
      while (reserved_.count(id)) ++id;
      if (id >= target::Arch::kMaxNamedBarriers) {
        RaiseAt(span, "CompileError", "the kernel needs more than ",
                target::Arch::kMaxNamedBarriers - 1,
                " named barriers: fewer groups of threads, or fewer barriers of its own");
      }
      reserved_.insert(id);
      it->second = id;
    }
    return MakeCall("bar.sync", {MakeConst(it->second), MakeConst(group_->count)}, span);
  }

  Stmt Make(const Barrier& b, const Span& span) {
    bool warp = b.kind == Cover::kWarp;
    std::string what = warp                ? "warp barrier"
                       : group_ == nullptr ? "block barrier"
                                           : "barrier of the group";
    auto side = [](const Access& a) {
      const char* how = a.release   ? " (release)"
                        : a.acquire ? " (acquire)"
                        : a.write   ? " (write)"
                                    : " (read)";
      return (a.span.defined() ? "line " + std::to_string(a.span->line) : "compiler") + how;
    };
    ctx_->Record("insert-sync", span, "memory " + std::string(b.first.storage->name),
                 what + " between " + side(b.first) + " and " + side(b.second) +
                     (b.drain ? ", behind a wait for asynchronous copies" : ""));
    // A group of one warp needs no more than a warp barrier.
    if (warp || (group_ != nullptr && group_->count == target::Arch::kWarpSize))
      return MakeCall("warp.sync", {MakeConst(0xffffffff, UInt(32))}, span);
    return group_ == nullptr ? MakeCall("bar.cta", {}, span) : GroupBarrier(span);
  }

  const Kernel& kernel_;
  const std::map<const StmtObj*, Barrier>& barriers_;
  PassContext* ctx_;
  const GroupObj* group_ = nullptr;
  std::set<int64_t> reserved_;
  std::map<std::pair<int64_t, int64_t>, int64_t> ids_;  // of a range of threads
};

}  // namespace
}  // namespace sync

namespace passes {

Func InsertSync(Func f, PassContext& ctx) {
  return MapKernels(f, [&](const Kernel& k) {
    sync::Walker walker(k, f->options->disable_thread_storage_sync);
    walker.Run();
    auto out = CopyNode(k.get());
    out->body = sync::Inserter(k, walker.barriers(), &ctx).MutateStmt(k->body);
    return sync::LowerTokens(Kernel(out));
  });
}

}  // namespace passes
}  // namespace tilescale
