// SPDX-License-Identifier: MIT
#include "compiler/passes/insert_sync/tokens.h"

#include "compiler/ir/build.h"
#include "compiler/ir/diag.h"
#include "compiler/ir/visit.h"
#include "compiler/target/constants.h"
#include "support/diagnostics.h"

#include <map>

namespace tilescale::sync {

using namespace ir;  // NOLINT

namespace {

enum class Side : uint8_t { kAcquired, kWaited, kReleased };

// A thread's place on one side of a token, 0 … depth-1 again and again: `slot` is the place of the
// last step, depth-1 before the first; `phase` the parity of the mbarrier phase that the step waits
// for. A fill waits for the phase before the slot's first release, which is over from the start
// (parity 1), a reader for the first fill (parity 0).
struct Counter {
  Buffer slot, phase;
  bool used = false;  // somebody reads the slot
};

Buffer Cell(const std::string& name) {
  return MakeBuffer(name, Int(32), {MakeConst(1)}, MakeStorage(name, Space::kVar, Root::kAlloc));
}

Expr Value(const Buffer& cell) {
  return MakeLoad(cell, {MakeConst(0)});
}

Stmt Declare(const Buffer& cell, int64_t init, const Span& span) {
  auto alloc = ffi::make_object<AllocObj>();
  alloc->buffer = cell;
  alloc->init = MakeConst(init);
  alloc->span = span;
  return Stmt(alloc);
}

class TokenLowerer : public Mutator {
 public:
  explicit TokenLowerer(const Kernel& k) : kernel_(k) {
    Walk(k->body, [&](const NodeObj* n) {
      if (n->kind == NodeKind::kSlot) {
        const auto* slot = static_cast<const SlotObj*>(n);
        Of(slot->token, slot->out ? Side::kWaited : Side::kAcquired).used = true;
      }
      if (n->kind == NodeKind::kAlloc) Barriers(static_cast<const AllocObj*>(n));
      if (n->kind == NodeKind::kTokenOp) {
        const auto* op = static_cast<const TokenOpObj*>(n);
        if (!barriers_.count(op->token.get())) return true;
        if (op->verb() == TokenVerb::kAcquire) Of(op->token, Side::kAcquired).used = true;
        if (op->verb() == TokenVerb::kWait) Of(op->token, Side::kWaited).used = true;
        if (op->verb() == TokenVerb::kRelease) Of(op->token, Side::kReleased).used = true;
      }
      return true;
    });
  }

  // The kernel's body. mbarriers that only some threads declare are made by the first thread before
  // all else, as the barrier of the block that publishes them is for all.
  Stmt Run() {
    Stmt body = MutateStmt(kernel_->body);
    if (inits_.empty()) return body;
    hoisted_.push_back(MakeIf(FirstThread(), MakeSeq(inits_), inits_[0]->span));
    hoisted_.push_back(MakeCall("bar.cta", {}, inits_[0]->span));
    hoisted_.push_back(body);
    return MakeSeq(hoisted_);
  }

  Stmt MutateFor(const For& s) override { return Inside(s, &loops_); }
  Stmt MutateWhile(const While& s) override { return Inside(s, &loops_); }
  Stmt MutateIf(const If& s) override { return Inside(s, &branches_); }
  Stmt MutateGroup(const Group& s) override { return Inside(s, &branches_); }

  // mbarriers are made where they are declared: one thread, before any other touches them (a
  // barrier of the block).
  Stmt MutateSeq(const Seq& s) override {
    std::vector<Stmt> out;
    size_t last = s->stmts.size();
    for (size_t i = 0; i < s->stmts.size(); ++i) {
      const auto* alloc = s->stmts[i].as<AllocObj>();
      if (alloc != nullptr && alloc->arrivals > 0 && branches_ == 0) last = i;
    }
    std::vector<Stmt> inits;
    for (size_t i = 0; i < s->stmts.size(); ++i) {
      const auto* alloc = s->stmts[i].as<AllocObj>();
      if (alloc != nullptr && alloc->arrivals > 0 && branches_ > 0) {
        Hoist(s->stmts[i]);
        continue;
      }
      if (alloc != nullptr) Init(alloc, &inits);
      if (Stmt x = MutateStmt(s->stmts[i]); x.defined()) out.push_back(x);
      if (i != last) continue;
      const Span& span = s->stmts[i]->span;
      out.push_back(MakeIf(FirstThread(), MakeSeq(inits), span));
      out.push_back(MakeCall("bar.cta", {}, span));
    }
    return MakeSeq(out);
  }

  Stmt MutateAlloc(const Alloc& s) override {
    if (!s->token.defined()) return s;
    std::vector<Stmt> cells;
    for (Side side : {Side::kAcquired, Side::kWaited, Side::kReleased}) {
      Counter& c = Of(s->token, side);
      if (!c.used) continue;
      cells.push_back(Declare(c.slot, s->token->depth - 1, s->span));
      if (barriers_.count(s->token.get()) && side != Side::kReleased)
        cells.push_back(Declare(c.phase, side == Side::kAcquired ? 0 : 1, s->span));
    }
    auto it = barriers_.find(s->token.get());
    if (it == barriers_.end()) return MakeSeq(cells);
    for (bool full : {true, false}) {
      auto alloc = ffi::make_object<AllocObj>();
      alloc->buffer = full ? it->second.full : it->second.empty;
      alloc->offset = s->offset + (full ? 0 : 8 * s->token->depth);
      alloc->span = s->span;
      cells.push_back(Stmt(alloc));
    }
    return MakeSeq(cells);
  }

  Stmt MutateTokenOp(const TokenOp& s) override {
    auto it = barriers_.find(s->token.get());
    return it != barriers_.end() ? BetweenGroups(s, it->second) : InGroup(s);
  }

  Expr MutateSlot(const Slot& e) override {
    Counter& c = Of(e->token, e->out ? Side::kWaited : Side::kAcquired);
    Expr now = Value(e->phase ? c.phase : c.slot);
    if (e->back == 0) return now;
    int64_t depth = e->token->depth;
    return MakeOp(OpCode::kTruncMod, {Add(now, depth - e->back % depth), MakeConst(depth)},
                  Int(32));
  }

 private:
  Stmt Inside(const Stmt& s, int* count) {
    ++*count;
    Stmt out = DefaultStmt(s);
    --*count;
    return out;
  }

  void Hoist(const Stmt& s) {
    const auto* alloc = s.as<AllocObj>();
    TS_CHECK(alloc->buffer.defined()) << "a token of some threads only: " << alloc->token->name;
    if (loops_ > 0) {
      RaiseAt(s->span, "CompileError", "`", alloc->buffer->name,
              "` is declared by some of the threads, inside of a loop: its phases would begin anew "
              "while others wait. Declare it before the loop");
    }
    hoisted_.push_back(s);
    Init(alloc, &inits_);
  }

  struct Pair {
    Buffer full, empty;
    int64_t arrivals = 0, releases = 0;
  };

  void Barriers(const AllocObj* s) {
    if (!s->token.defined() || s->arrivals == 0) return;
    auto make = [&](const char* suffix) {
      std::string name = std::string(s->token->name) + suffix;
      return MakeBuffer(name, UInt(64), {MakeConst(s->token->depth)},
                        MakeStorage(name, Space::kMbar, Root::kAlloc));
    };
    barriers_[s->token.get()] = {make("_full"), make("_empty"), s->arrivals, s->release_arrivals};
  }

  void Init(const AllocObj* s, std::vector<Stmt>* out) const {
    auto init = [&](const Buffer& b, int64_t count) {
      for (int64_t i = 0; i < NumElements(b); ++i) {
        out->push_back(MakeCall(
            "mbarrier.init", {MakeAddr(b, {MakeConst(i)}), MakeConst(count, UInt(32))}, s->span));
      }
    };
    if (s->buffer.defined() && s->arrivals > 0) init(s->buffer, s->arrivals);
    if (!s->token.defined()) return;
    auto it = barriers_.find(s->token.get());
    if (it == barriers_.end()) return;
    init(it->second.full, it->second.arrivals);
    init(it->second.empty, it->second.releases);
  }

  Expr FirstThread() const {
    Expr first;
    for (size_t i = 0; i < 3; ++i) {
      if (i == 0 || kernel_->threads[i] > 1)
        first = And(first, Eq(kernel_->thread_vars[i], MakeConst(0)));
    }
    return first;
  }

  // cp.async inside one role: groups that the issuing threads wait for; acquire and release only
  // count.
  Stmt InGroup(const TokenOp& s) {
    bool groups = s->token->done() == Done::kCpAsync;
    TS_CHECK(groups || s->token->done() == Done::kProgram)
        << "token " << s->token->name << " completes by " << DoneName(s->token->done());
    Stmt wait = groups ? MakeCall("cp_async.wait_group", {MakeConst(s->pending)}, s->span) : Stmt();
    switch (s->verb()) {
      case TokenVerb::kAcquire:
        return Advance(s, Side::kAcquired);
      case TokenVerb::kCommit:
        return groups ? MakeCall("cp_async.commit", {}, s->span) : Stmt();
      case TokenVerb::kWait:
        return MakeSeq({wait, Advance(s, Side::kWaited)});
      case TokenVerb::kAwait: {
        // Nothing is left in the pipe: its ends meet.
        Counter &in = Of(s->token, Side::kAcquired), &out = Of(s->token, Side::kWaited);
        if (s->pending > 0 || !in.used || !out.used || s->token->depth == 1) return wait;
        return MakeSeq({wait, MakeStore(in.slot, {MakeConst(0)}, Value(out.slot), s->span)});
      }
      default:
        return Stmt();
    }
  }

  Stmt BetweenGroups(const TokenOp& s, const Pair& p) {
    switch (s->verb()) {
      case TokenVerb::kAcquire:
        return MakeSeq({Advance(s, Side::kAcquired), Wait(s, p.empty, Side::kAcquired)});
      case TokenVerb::kCommit: {
        const char* arrive =
            s->token->done() == Done::kCpAsync ? "cp_async.mbar_arrive" : "mbarrier.arrive";
        return MakeCall(arrive, {At(p.full, Of(s->token, Side::kAcquired))}, s->span);
      }
      case TokenVerb::kWait:
        return MakeSeq({Advance(s, Side::kWaited), Wait(s, p.full, Side::kWaited)});
      case TokenVerb::kRelease: {
        // One arrival of each warp, after its lanes have read.
        Stmt advance = Advance(s, Side::kReleased);
        Stmt lanes = MakeCall("warp.sync", {MakeConst(target::kAllLanes, UInt(32))}, s->span);
        Expr first = Eq(MakeOp(OpCode::kLaneId, {}, Int(32)), MakeConst(0));
        Stmt arrive =
            MakeCall("mbarrier.arrive", {At(p.empty, Of(s->token, Side::kReleased))}, s->span);
        return MakeSeq({advance, lanes, MakeIf(first, arrive, s->span)});
      }
      default:
        TS_UNREACHABLE("await of token " << s->token->name);
    }
  }

  static Expr At(const Buffer& barriers, const Counter& c) {
    return MakeAddr(barriers, {Value(c.slot)});
  }
  Stmt Wait(const TokenOp& s, const Buffer& barriers, Side side) {
    const Counter& c = Of(s->token, side);
    return MakeCall("mbarrier.wait", {At(barriers, c), Value(c.phase)}, s->span);
  }

  Counter& Of(const Token& token, Side side) {
    auto [it, fresh] = counters_.try_emplace({token.get(), side});
    if (fresh) {
      constexpr const char* kSuffix[] = {"_write", "_read", "_release"};
      std::string name = std::string(token->name) + kSuffix[static_cast<int>(side)];
      it->second.slot = Cell(name);
      it->second.phase = Cell(name + "_phase");
    }
    return it->second;
  }

  Stmt Advance(const TokenOp& s, Side side) {
    Counter& c = Of(s->token, side);
    if (!c.used) return Stmt();
    Expr last = Compare(OpCode::kEq, Value(c.slot), MakeConst(s->token->depth - 1));
    Stmt slot = MakeStore(c.slot, {MakeConst(0)}, Select(last, MakeConst(0), Add(Value(c.slot), 1)),
                          s->span);
    if (!barriers_.count(s->token.get()) || side == Side::kReleased) return slot;
    // Round again: the other phase.
    Expr flipped = Sub(MakeConst(1), Value(c.phase));
    Expr first = Eq(Value(c.slot), MakeConst(0));
    return MakeSeq({slot, MakeStore(c.phase, {MakeConst(0)}, Select(first, flipped, Value(c.phase)),
                                    s->span)});
  }

  const Kernel& kernel_;
  std::map<std::pair<const TokenObj*, Side>, Counter> counters_;
  std::map<const TokenObj*, Pair> barriers_;
  int loops_ = 0, branches_ = 0;       // around: branches and groups may not be for all threads
  std::vector<Stmt> hoisted_, inits_;  // declarations and first writes of mbarriers inside those
};

}  // namespace

Kernel LowerTokens(const Kernel& k) {
  auto out = CopyNode(k.get());
  out->body = TokenLowerer(k).Run();
  return Kernel(out);
}

}  // namespace tilescale::sync
