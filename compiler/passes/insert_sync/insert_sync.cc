// SPDX-License-Identifier: MIT
// InsertSync (passes.h). Walks a kernel in program order with the accesses that no barrier has
// ordered yet; a statement that conflicts with one of them gets the cheapest barrier right before
// it, which is also the latest place: greedy is minimal on straight code. Loops are walked as often
// as their slots go round, so that conflicts between iterations are seen. cp.async tokens become
// commits and waits; slots become counters.
#include "compiler/ir/diag.h"
#include "compiler/ir/text.h"
#include "compiler/ir/visits.h"
#include "compiler/isa/instr.h"
#include "compiler/passes/insert_sync/access.h"
#include "compiler/passes/insert_sync/barriers.h"
#include "compiler/passes/insert_sync/between_groups.h"
#include "compiler/passes/insert_sync/pending.h"
#include "compiler/passes/insert_sync/tokens.h"
#include "compiler/passes/thread_uniform.h"
#include "compiler/target/constants.h"
#include "support/diagnostics.h"

#include <map>
#include <set>
#include <utility>

namespace tilescale {

using namespace ir;  // NOLINT

namespace sync {
namespace {

class Walker {
 public:
  Walker(const Func& f, const Kernel& k)
      : kernel_(k),
        uniformity_(k),
        reader_(k, uniformity_),
        coverage_(f),
        user_orders_(f->options->disable_thread_storage_sync) {
    threads_ = k->total_threads();
    Walk(k->body, [&](const NodeObj* n) {
      has_tokens_ = has_tokens_ || n->kind == NodeKind::kTokenOp;
      return !has_tokens_;
    });
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
  const Barriers& barriers() const { return barriers_; }

  // Conflicts between groups that only polling or atomics of the user can order.
  void RecordTrusted(PassContext* ctx) const {
    for (const auto& [text, b] : trusted_) {
      ctx->Record(
          "insert-sync", b.span, "memory " + std::string(b.storage->name),
          "left to the program: " + text + ", ordered by flags or atomics of its own if at all");
    }
  }

 private:
  bool HasSync(const Stmt& s) {
    auto [it, fresh] = has_sync_.try_emplace(s.get(), false);
    if (!fresh) return it->second;
    bool found = false;
    Walk(s, [&](const NodeObj* n) {
      if (n->kind == NodeKind::kTokenOp || n->kind == NodeKind::kGroup) found = true;
      if (n->kind == NodeKind::kCall) {
        const auto* call = static_cast<const CallObj*>(n);
        found = found || isa::Get(Str(call->instr)).sync != isa::SyncKind::kNone;
      }
      return !found;
    });
    return has_sync_[s.get()] = found;
  }

  // Do the barriers that are there order everything?
  bool Suffices() {
    checking_ = true;
    missing_ = false;
    pending_ = {};
    exits_.clear();
    reader_.acquired.clear();
    reader_.waited.clear();
    reader_.commits = own_commits_ = 0;
    Visit(kernel_->body);
    return !missing_;
  }

  void Visit(const Stmt& s) {
    if (!s.defined() || missing_) return;
    CountVisit();
    switch (s.kind()) {
      case NodeKind::kSeq:
        for (const Stmt& x : s.as<SeqObj>()->stmts) Visit(x);
        return;
      case NodeKind::kAlloc:
        reader_.DeclareAlloc(s.as<AllocObj>());
        if (s.as<AllocObj>()->arrivals > 0 && s.as<AllocObj>()->token.defined())
          between_groups_.insert(s.as<AllocObj>()->token.get());
        return Unit(s);  // its initial value
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
  // because its barriers order no other threads (I8).
  void VisitGroup(const GroupObj* g, const Stmt& s) {
    reader_.SetThreads(g->first, g->count);
    std::vector<Access> mine = reader_.Read(g->body);
    Pending before;
    for (const Access& a : pending_) {
      if (a.group_of == nullptr || SameThreads(a.group_of, g)) {
        before.Add(a);
        continue;
      }
      for (const Access& b : mine) {
        if (coverage_.Needed(a, b) != Cover::kNothing) NeedOrder(a, b, g);
      }
    }
    Pending outer = std::exchange(pending_, std::move(before));
    Order(mine, s);
    if (auto it = barriers_.find(s.get()); it != barriers_.end()) {
      it->second.kind == Cover::kBlock ? outer.Order() : outer.OrderInWarps();
    }
    pending_ = {};
    const GroupObj* outer_group = std::exchange(group_, g);
    int64_t threads = std::exchange(threads_, g->count);
    Visit(g->body);
    group_ = outer_group;
    threads_ = threads;
    reader_.SetThreads(group_ == nullptr ? 0 : group_->first, threads_);
    pending_ = std::move(outer);
    for (Access& b : mine) {
      b.group_of = g;
      pending_.Add(std::move(b));
    }
  }

  static bool SameThreads(const GroupObj* x, const GroupObj* y) {
    return x->first == y->first && x->count == y->count;
  }

  // Nothing is repaired between groups (I9). For roles the schedule's check (S2) has proven that
  // every conflict of the program is ordered; user groups need what both take part in.
  void NeedOrder(const Access& a, const Access& b, const GroupObj* g) {
    bool roles = !a.group_of->name.empty() && !g->name.empty();
    if (user_orders_ || (roles && a.storage == b.storage)) return;
    BetweenGroups::Order order = between_.Of(a.group_of, a.by, g, b.by);
    if (order == BetweenGroups::Order::kOrdered) return;
    auto side = [](const Access& x) {
      std::string line = x.span.defined() ? "line " + std::to_string(x.span->line) : "the compiler";
      return std::string(x.write ? "write" : "read") + " `" + std::string(x.storage->name) +
             "` at " + line;
    };
    auto threads = [](const GroupObj* x) {
      return "threads " + std::to_string(x->first) + " to " +
             std::to_string(x->first + x->count - 1);
    };
    std::string text = threads(a.group_of) + " " + side(a) + " and " + threads(g) + " " + side(b);
    if (order == BetweenGroups::Order::kTrusted) {
      trusted_.emplace(text, b);
      return;
    }
    RaiseAt(b.span, "CompileError", text,
            ", and no barrier orders them: use T.sync_threads() or a barrier of both");
  }

  // No barrier is needed inside: nothing of `s` conflicts with anything else of it, in any two of
  // its own iterations.
  bool IsUnit(const Stmt& s) {
    auto [it, fresh] = units_.try_emplace(s.get(), false);
    if (!fresh || HasSync(s)) return it->second;
    std::vector<Access> all = reader_.ReadOneRound(s);
    for (size_t i = 0; i < all.size(); ++i) {
      for (size_t j = i; j < all.size(); ++j) {
        if (!coverage_.Covered(all[i], all[j])) return false;
      }
    }
    return it->second = true;
  }

  // What the threads that come here exchange inside `s` is ordered by nothing that is inserted.
  void NoteInside(const Stmt& s) {
    if (!noted_.insert(s.get()).second) return;
    std::vector<Access> all = reader_.Read(s);
    for (size_t i = 0; i < all.size(); ++i) {
      for (size_t j = i + 1; j < all.size(); ++j) {
        if (!coverage_.Covered(all[i], all[j])) Trust(all[i], all[j]);
      }
    }
  }

  // Where control divides the threads, a statement sees what its own thread did (I7): no barrier
  // belongs there, and what came before is ordered in front of it all. Barriers of the user may
  // order the rest.
  template <typename Inside>
  void VisitControl(const Stmt& s, Inside inside) {
    if (IsUnit(s) || (uniformity_.Divides(s.get()) && !HasSync(s))) {
      if (!IsUnit(s)) NoteInside(s);
      Unit(s);
      if (s.kind() == NodeKind::kIf) NoteJumps(s);
      return;
    }
    if (!uniformity_.Divides(s.get())) return inside();
    std::vector<Access> mine = reader_.Read(s);
    Order(mine, s);
    Pending outer = std::exchange(pending_, {});
    const StmtObj* divider = std::exchange(divider_, s.get());
    inside();
    divider_ = divider;
    Pending inner = std::exchange(pending_, std::move(outer));
    pending_.Add(inner);
  }

  void VisitFor(const ForObj* loop, const Stmt& s) {
    ReadControl({loop->begin, loop->extent}, s);
    auto trips = AsInt(loop->extent);
    Rounds rounds = RoundsOf(loop->body);
    if (trips) rounds.first = std::min(rounds.first, *trips);
    VisitLoop(rounds, trips.has_value(), [] {}, [&] { Visit(loop->body); });
  }

  // How often a loop is walked: until its slots have gone round. In a later round of a loop around
  // it, once shows all there is to see: what its own iterations carry was found in the first, and
  // what comes from before it meets every statement. Unless it turns slots itself: each must meet
  // what came before. So the work grows with the depth of a nest, not with its power of two.
  struct Rounds {
    int64_t first;  // in the first round of all loops around
    bool turns;     // slots, in its own body
  };
  Rounds RoundsOf(const Stmt& body) {
    if (auto it = rounds_.find(body.get()); it != rounds_.end()) return it->second;
    int64_t rounds = 2;
    bool turns = false;
    int inner = 0;
    auto is_loop = [](const NodeObj* n) {
      return n->kind == NodeKind::kFor || n->kind == NodeKind::kWhile;
    };
    Walk(
        body,
        [&](const NodeObj* n) {
          inner += is_loop(n) ? 1 : 0;
          if (n->kind == NodeKind::kTokenOp) {
            rounds = std::max(rounds, static_cast<const TokenOpObj*>(n)->token->depth + 1);
            turns = turns || inner == 0;
          }
          return true;
        },
        [&](const NodeObj* n) { inner -= is_loop(n) ? 1 : 0; });
    return rounds_[body.get()] = {rounds, turns};
  }

  // The condition is read behind the head.
  void VisitWhile(const WhileObj* loop, const Stmt& s) {
    auto head = [&] {
      Visit(loop->head);
      ReadControl({loop->cond}, s);
      auto it = barriers_.find(s.get());
      if (it != barriers_.end() && divider_ != s.get()) it->second.in_head = true;
    };
    VisitLoop({2, false}, false, head, [&] { Visit(loop->body); });
  }

  // What decides control, read in front of `s`, or for a loop with a head behind that.
  void ReadControl(const std::vector<Expr>& exprs, const Stmt& s) {
    std::vector<Stmt>& reads = control_[s.get()];
    for (size_t i = reads.size(); i < exprs.size(); ++i)
      reads.push_back(MakeBind(MakeVar("control", exprs[i].dtype()), exprs[i], s->span));
    for (const Stmt& read : reads) {
      std::vector<Access> mine = reader_.Read(read);
      Order(mine, s);
      for (Access& b : mine) pending_.Add(std::move(b));
    }
  }

  // `head` runs once more than the body. `runs`: the loop runs at least once, or certainly not.
  template <typename Head, typename Body>
  void VisitLoop(Rounds rounds, bool runs, Head head, Body body) {
    head();
    Pending before = pending_;
    exits_.emplace_back();
    const bool again = again_;
    const int64_t count =
        again && !rounds.turns ? std::min<int64_t>(1, rounds.first) : rounds.first;
    for (int64_t i = 0; i < count; ++i) {
      again_ = again || i > 0;
      body();
      pending_.Add(exits_.back().continued);
      head();
    }
    again_ = again;
    pending_.Add(exits_.back().broken);
    exits_.pop_back();
    // It may run not at all: then no barrier in it has ordered what came before.
    if (runs) return;
    before.DropAsync();
    pending_.Add(before);
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
      Pending& to = kind == JumpKind::kBreak ? exits.broken : exits.continued;
      to.Add(pending_);
      return true;
    });
  }

  void VisitIf(const IfObj* branch, const Stmt& s) {
    ReadControl({branch->cond}, s);
    Pending before = pending_;
    const int64_t own = own_commits_;
    reader_.EnterBranch(branch->cond, true);
    Visit(branch->then_case);
    reader_.LeaveBranch();
    Pending then_state = pending_;
    const int64_t then_own = std::exchange(own_commits_, own);
    reader_.commits -= then_own - own;
    pending_ = before;
    reader_.EnterBranch(branch->cond, false);
    Visit(branch->else_case);
    reader_.LeaveBranch();
    // Only what the user commits on both paths is certainly committed.
    reader_.commits -= own_commits_ - std::min(own_commits_, then_own);
    own_commits_ = std::min(own_commits_, then_own);
    pending_.Add(then_state);
    pending_.NotBehind(reader_.commits);
  }

  void VisitToken(const TokenOpObj* op) {
    const TokenObj* token = op->token.get();
    switch (op->verb()) {
      case TokenVerb::kAcquire:
        ++reader_.acquired[token];
        if (between_groups_.count(token)) pending_.Free(token, reader_.acquired[token] - 1);
        return;
      case TokenVerb::kCommit:
        if (!between_groups_.count(token) && token->done() == Done::kCpAsync) ++reader_.commits;
        return;
      case TokenVerb::kWait:
        ++reader_.waited[token];
        if (between_groups_.count(token)) return;
        if (token->done() == Done::kCpAsync) pending_.Complete(reader_.commits - op->pending);
        return;
      case TokenVerb::kAwait:
        if (token->done() == Done::kCpAsync) pending_.Complete(reader_.commits - op->pending);
        // Behind its loop a pipe is empty: fills that this walk took beyond the trip did not
        // happen.
        if (op->pending == 0) reader_.acquired[token] = reader_.waited[token];
        return;
      default:
        return;
    }
  }

  void VisitCall(const CallObj* call, const Stmt& s) {
    const isa::Instr& row = isa::Get(Str(call->instr));
    switch (row.sync) {
      case isa::SyncKind::kCtaBarrier:
        pending_.Order();
        return;
      case isa::SyncKind::kNamedBarrier: {
        auto count = call->args.size() > 1 ? AsInt(call->args[1]) : std::nullopt;
        // Where control divides the threads, the user's count is of those that get there.
        if (divider_ != nullptr || (count && *count >= threads_)) pending_.Order();
        return;
      }
      case isa::SyncKind::kWarpBarrier:
        if (AsInt(call->args[0]) == target::kAllLanes) pending_.OrderInWarps();
        return;
      case isa::SyncKind::kAsyncCommit:
        ++reader_.commits;
        ++own_commits_;
        return;
      case isa::SyncKind::kAsyncWait:
        pending_.Complete(reader_.commits - AsInt(call->args[0]).value_or(0));
        return;
      default:
        Unit(s);
    }
  }

  // A statement as a whole: ordered after what it conflicts with.
  void Unit(const Stmt& s) {
    std::vector<Access> mine = reader_.Read(s);
    if (mine.empty()) return;
    Order(mine, s);
    for (Access& b : mine) pending_.Add(std::move(b));
  }

  // The barrier in front of `s`, which does `mine`.
  void Order(const std::vector<Access>& mine, const Stmt& s) {
    Barrier need;
    for (const Access& b : mine) {
      for (const Access& a : pending_) {
        Cover c = coverage_.Needed(a, b);
        if (c == Cover::kNothing) continue;
        if (LeftToProgram(a, b, s)) continue;
        if (b.release && a.async) {
          need.drain = true;
        } else if (a.async && !b.async && !user_orders_) {
          RaiseUnwaited(a, b);
        }
        // What a signal publishes or consumes is ordered by construction, whoever orders the rest.
        if (user_orders_ && !b.release && !a.acquire) continue;
        if (c == Cover::kBlock || need.kind == Cover::kNothing) {
          if (need.kind != Cover::kBlock) need = {c, a, b, need.drain, false};
        }
      }
    }
    if (need.drain) pending_.Complete(reader_.commits + 1);
    auto it = barriers_.find(s.get());
    if (checking_) {
      Cover there = it == barriers_.end() ? Cover::kNothing : it->second.kind;
      missing_ = missing_ || there < need.kind;
    } else if (need.kind != Cover::kNothing) {
      if (IsDivided(s)) RaiseDivided(need);
      if (it == barriers_.end()) {
        it = barriers_.emplace(s.get(), need).first;
        order_.push_back(s.get());
      }
      if (it->second.kind != Cover::kBlock) it->second = need;
      it->second.drain = it->second.drain || need.drain;
    }
    if (it == barriers_.end()) return;
    if (it->second.kind == Cover::kBlock) {
      pending_.Order();
    } else {
      pending_.OrderInWarps();
    }
  }

  void RaiseDivided(const Barrier& need) const {
    const Access &a = need.first, &b = need.second;
    std::string why = "some threads have left before";
    if (divider_ != nullptr) {
      const Span& at = divider_->span;
      std::string what;
      if (divider_->kind == NodeKind::kIf) {
        what = "`" + Spelled(static_cast<const IfObj*>(divider_)->cond) + "`";
      } else if (divider_->kind == NodeKind::kWhile) {
        what = "`" + Spelled(static_cast<const WhileObj*>(divider_)->cond) + "`";
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

  [[noreturn]] void RaiseUnwaited(const Access& a, const Access& b) const {
    TS_CHECK(!has_tokens_) << "an asynchronous copy is used before it is waited for";
    RaiseAt(b.span, "CompileError", "`", b.storage->name, "` is ", b.write ? "written" : "read",
            " here, and the asynchronous copy",
            a.span.defined() ? " at line " + std::to_string(a.span->line) : std::string(),
            " may still be filling it: T.ptx_commit_group() must stand behind the copy, and "
            "T.ptx_wait_group(0) before this, on every path");
  }

  bool IsDivided(const Stmt& s) const {
    return divider_ != nullptr || !uniformity_.IsReachedByAll(s.get());
  }

  // Where control divides the threads, a statement is behind those of its own thread only (I7). In
  // global memory that is what programs count on whose warps go their own ways, each in rows of its
  // own; of shared memory an order that cannot be had is an error.
  bool LeftToProgram(const Access& a, const Access& b, const Stmt& s) {
    if (!IsDivided(s) || b.storage->space() != Space::kGlobal || a.release || b.release ||
        a.acquire || b.acquire || a.async) {
      return false;
    }
    Trust(a, b);
    return true;
  }
  void Trust(const Access& a, const Access& b) {
    auto side = [](const Access& x, const char* wrote, const char* read) {
      return (x.write ? wrote : read) +
             (x.span.defined() ? " at line " + std::to_string(x.span->line) : std::string());
    };
    trusted_.emplace("where control divides them, threads " + side(b, "write", "read") +
                         " what others " + side(a, "write", "read"),
                     b);
  }

  static constexpr size_t kMaxTried = 64;

  const Kernel& kernel_;
  passes::Uniformity uniformity_;
  AccessReader reader_;
  analysis::Coverage coverage_;
  BetweenGroups between_;
  std::map<std::string, Access> trusted_;
  bool user_orders_;
  bool has_tokens_ = false;  // the compiler made copies asynchronous
  bool checking_ = false, missing_ = false;
  bool again_ = false;                 // in a later round of a loop around
  std::vector<const StmtObj*> order_;  // statements with barriers, as they were found
  std::map<const StmtObj*, bool> units_, has_sync_;
  std::set<const StmtObj*> noted_;
  std::map<const StmtObj*, Rounds> rounds_;              // of loops, by their bodies
  std::map<const StmtObj*, std::vector<Stmt>> control_;  // reads of conditions and bounds
  struct Exits {
    Pending broken, continued;
  };

  Pending pending_;
  std::vector<Exits> exits_;  // of the loops around, innermost last
  Barriers barriers_;
  std::set<const TokenObj*> between_groups_;
  const StmtObj* divider_ = nullptr;  // the innermost control around that divides the threads
  int64_t threads_ = 0;
  int64_t own_commits_ = 0;  // of the reader's commits those of the user
  const GroupObj* group_ = nullptr;
};

}  // namespace
}  // namespace sync

namespace passes {

Func InsertSync(Func f, PassContext& ctx) {
  return MapKernels(f, [&](const Kernel& k) {
    sync::Walker walker(f, k);
    walker.Run();
    walker.RecordTrusted(&ctx);
    auto out = CopyNode(k.get());
    out->body = sync::PutBarriers(k, walker.barriers(), &ctx);
    return sync::LowerTokens(Kernel(out));
  });
}

}  // namespace passes
}  // namespace tilescale
