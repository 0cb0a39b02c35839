// SPDX-License-Identifier: MIT
#include "compiler/passes/insert_sync/barriers.h"

#include "compiler/ir/build.h"
#include "compiler/ir/diag.h"
#include "compiler/ir/visit.h"
#include "compiler/isa/instr.h"
#include "compiler/target/target.h"

#include <set>
#include <utility>

namespace tilescale::sync {

using namespace ir;  // NOLINT
using analysis::Access;
using analysis::Cover;

namespace {

class Inserter : public Mutator {
 public:
  Inserter(const Kernel& k, const Barriers& barriers, PassContext* ctx)
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
      if (id >= target::kMaxNamedBarriers) {
        RaiseAt(span, "CompileError", "the kernel needs more than ", target::kMaxNamedBarriers - 1,
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
    // A group inside one warp needs no more than a warp barrier.
    if (warp || (group_ != nullptr && FirstWarp() == LastWarp()))
      return MakeCall("warp.sync", {Lanes()}, span);
    if (group_ == nullptr) return MakeCall("bar.cta", {}, span);
    if (!HasWholeWarps()) {
      RaiseAt(span, "CompileError", "threads ", group_->first, " to ",
              group_->first + group_->count - 1, " exchange `", b.first.storage->name, "` (",
              side(b.first), ", ", side(b.second),
              "), which takes a barrier of them, and a barrier counts whole warps: let the group "
              "begin and end at multiples of ",
              kWarp);
    }
    return GroupBarrier(span);
  }

  static constexpr int64_t kWarp = target::kWarpSize;
  int64_t FirstWarp() const { return group_->first / kWarp; }
  int64_t LastWarp() const { return (group_->first + group_->count - 1) / kWarp; }
  // The last warp of the block may have fewer lanes.
  bool HasWholeWarps() const {
    int64_t end = group_->first + group_->count;
    return group_->first % kWarp == 0 && (end % kWarp == 0 || end == kernel_->total_threads());
  }

  // The lanes of a warp that are in the group: others do not come to its barriers.
  Expr Lanes() const {
    constexpr int64_t kAll = target::kAllLanes;
    auto mask = [](int64_t lanes) { return MakeConst(lanes, UInt(32)); };
    if (group_ == nullptr || HasWholeWarps()) return mask(kAll);
    int64_t end = group_->first + group_->count;
    int64_t first = (kAll << (group_->first % kWarp)) & kAll;
    int64_t last = end % kWarp == 0 ? kAll : (int64_t(1) << (end % kWarp)) - 1;
    if (FirstWarp() == LastWarp()) return mask(first & last);
    Expr warp = MakeOp(OpCode::kWarpId, {}, Int(32)), lanes = mask(kAll);
    if (last != kAll) lanes = Select(Eq(warp, MakeConst(LastWarp())), mask(last), lanes);
    if (first != kAll) lanes = Select(Eq(warp, MakeConst(FirstWarp())), mask(first), lanes);
    return lanes;
  }

  const Kernel& kernel_;
  const Barriers& barriers_;
  PassContext* ctx_;
  const GroupObj* group_ = nullptr;
  std::set<int64_t> reserved_;
  std::map<std::pair<int64_t, int64_t>, int64_t> ids_;  // of a range of threads
};

}  // namespace

Stmt PutBarriers(const Kernel& k, const Barriers& barriers, PassContext* ctx) {
  return Inserter(k, barriers, ctx).MutateStmt(k->body);
}

}  // namespace tilescale::sync
