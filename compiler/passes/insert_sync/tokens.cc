// SPDX-License-Identifier: MIT
#include "compiler/passes/insert_sync/tokens.h"

#include "compiler/ir/build.h"
#include "compiler/ir/visit.h"
#include "support/diagnostics.h"

#include <map>

namespace tilescale::sync {

using namespace ir;  // NOLINT

namespace {

// The slot last acquired (or waited for): -1 … depth-1 before the first step.
struct Counter {
  Buffer cell;
  bool used = false;
};

class TokenLowerer : public Mutator {
 public:
  explicit TokenLowerer(const Stmt& body) {
    Walk(body, [&](const NodeObj* n) {
      if (n->kind == NodeKind::kSlot) {
        const auto* slot = static_cast<const SlotObj*>(n);
        Of(slot->token, slot->out).used = true;
      }
      return true;
    });
  }

  Stmt MutateAlloc(const Alloc& s) override {
    if (!s->token.defined()) return s;
    std::vector<Stmt> cells;
    for (bool out : {false, true}) {
      Counter& c = Of(s->token, out);
      if (!c.used) continue;
      auto alloc = ffi::make_object<AllocObj>();
      alloc->buffer = c.cell;
      alloc->init = MakeConst(s->token->depth - 1);
      alloc->span = s->span;
      cells.push_back(Stmt(alloc));
    }
    return MakeSeq(cells);
  }

  Stmt MutateTokenOp(const TokenOp& s) override {
    TS_CHECK(s->token->done() == Done::kCpAsync)
        << "token " << s->token->name << " completes by " << DoneName(s->token->done());
    switch (s->verb()) {
      case TokenVerb::kAcquire:
        return Advance(s, false);
      case TokenVerb::kCommit:
        return MakeCall("cp_async.commit", {}, s->span);
      case TokenVerb::kWait: {
        Stmt wait = MakeCall("cp_async.wait_group", {MakeConst(s->pending)}, s->span);
        return MakeSeq({wait, Advance(s, true)});
      }
      case TokenVerb::kAwait:
        return MakeCall("cp_async.wait_group", {MakeConst(s->pending)}, s->span);
      default:
        return Stmt();
    }
  }

  Expr MutateSlot(const Slot& e) override {
    Counter& c = Of(e->token, e->out);
    Expr now = MakeLoad(c.cell, {MakeConst(0)});
    if (e->back == 0) return now;
    int64_t depth = e->token->depth;
    return MakeOp(OpCode::kTruncMod, {Add(now, depth - e->back % depth), MakeConst(depth)},
                  Int(32));
  }

 private:
  Counter& Of(const Token& token, bool out) {
    auto [it, fresh] = counters_.try_emplace({token.get(), out});
    if (fresh) {
      std::string name = std::string(token->name) + (out ? "_read" : "_write");
      it->second.cell =
          MakeBuffer(name, Int(32), {MakeConst(1)}, MakeStorage(name, Space::kVar, Root::kAlloc));
    }
    return it->second;
  }

  Stmt Advance(const TokenOp& s, bool out) {
    Counter& c = Of(s->token, out);
    if (!c.used) return Stmt();
    Expr now = MakeLoad(c.cell, {MakeConst(0)});
    Expr last = Compare(OpCode::kEq, now, MakeConst(s->token->depth - 1));
    return MakeStore(c.cell, {MakeConst(0)}, Select(last, MakeConst(0), Add(now, 1)), s->span);
  }

  std::map<std::pair<const TokenObj*, bool>, Counter> counters_;
};

}  // namespace

Kernel LowerTokens(const Kernel& k) {
  auto out = CopyNode(k.get());
  out->body = TokenLowerer(k->body).MutateStmt(k->body);
  return Kernel(out);
}

}  // namespace tilescale::sync
