// SPDX-License-Identifier: MIT
// Communication that a kernel starts and never ends: a program that may be right, because the host
// or another kernel does the rest, so these are warnings.
#include "compiler/ir/op_def.h"
#include "compiler/ir/text.h"
#include "compiler/ir/visit.h"
#include "compiler/isa/instr.h"
#include "compiler/ops/tile_op.h"
#include "compiler/passes/check.h"

#include <set>

namespace tilescale::passes {

using namespace ir;  // NOLINT

namespace {

struct Site {
  const StmtObj* stmt = nullptr;
  std::string what;  // "T.put", or the instruction
  const StorageObj* storage = nullptr;

  bool found() const { return stmt != nullptr; }
};

// What a kernel does to other ranks and for them: the first place of each.
class Traffic {
 public:
  explicit Traffic(const Kernel& kernel) {
    Walk(kernel->body, [&](const NodeObj* n) {
      if (n->kind == NodeKind::kTileOp) ReadOp(static_cast<const TileOpObj*>(n));
      if (n->kind == NodeKind::kCall) ReadCall(static_cast<const CallObj*>(n));
      if (n->kind == NodeKind::kStore) {
        written.insert(static_cast<const StoreObj*>(n)->buffer->storage.get());
      }
      return true;
    });
  }

  Site put, nbi, signal, wait;
  bool publishes = false, quiet = false;
  std::vector<Site> waits;  // of the whole group, for a signal of this rank
  std::set<const StorageObj*> written;

 private:
  static void First(Site* site, const Site& here) {
    if (!site->found()) *site = here;
  }

  void ReadOp(const TileOpObj* op) {
    const OpSyntax& syntax = SyntaxOf(op);
    std::string name = syntax.spelled != nullptr ? syntax.spelled : syntax.name;
    for (const Effect& e : DefOf(op).effects(op)) {
      Site here{op, "T." + name, e.region->buffer->storage.get()};
      if (e.done == Done::kQuiet) First(&nbi, here);
      Order(here, e.order, e.scope, e.region->peer.defined() && e.mode != ir::Mode::kRead);
      bool waits_only = e.mode == ir::Mode::kAtomic && e.order == Order::kAcquire;
      if (waits_only && e.by == By::kOne && !e.region->peer.defined()) waits.push_back(here);
      if (e.mode != ir::Mode::kRead && !waits_only) written.insert(here.storage);
      if (e.mode == ir::Mode::kWrite && e.region->peer.defined()) First(&put, here);
    }
  }

  void Order(const Site& here, ir::Order order, MemScope scope, bool to_peer) {
    if (scope != MemScope::kSys) return;
    bool both = order == ir::Order::kAcqRel || order == ir::Order::kSeqCst;
    publishes = publishes || both || order == ir::Order::kRelease;
    if (both || order == ir::Order::kAcquire) First(&wait, here);
    if (order == ir::Order::kRelaxed && to_peer) First(&signal, here);
  }

  void ReadCall(const CallObj* call) {
    const isa::Instr& row = isa::Get(Str(call->instr));
    quiet = quiet || row.completes_nbi;
    isa::Ordering ordering = isa::OrderingOf(call);
    publishes = publishes || (ordering.publishes() && ordering.scope == MemScope::kSys);
    for (const Effect& e : isa::EffectsOf(call)) {
      if (e.mode != ir::Mode::kRead) written.insert(e.region->buffer->storage.get());
    }
  }
};

}  // namespace

void CheckRanks(const Kernel& kernel, PassContext* ctx) {
  Traffic t(kernel);
  auto name = [](const Site& s) { return "`" + std::string(s.storage->name) + "`"; };
  if (t.nbi.found() && !t.quiet) {
    ctx->Record("warning", t.nbi.stmt->span, t.nbi.what,
                "nothing in this kernel completes the copy of " + name(t.nbi) +
                    ": T.quiet() of the threads that start it does");
  }
  const Site& other = t.signal.found() ? t.signal : t.wait;
  if (t.put.found() && other.found() && !t.publishes) {
    ctx->Record("warning", t.put.stmt->span, t.put.what,
                "nothing in this kernel publishes what it writes to " + name(t.put) +
                    " of another rank: T.notify, or a release at system scope behind it, does");
  }
  for (const Site& w : t.waits) {
    if (t.written.count(w.storage)) continue;
    ctx->Record("note", w.stmt->span, w.what,
                "nothing in this kernel raises " + name(w) + ": the host or another kernel must");
  }
}

}  // namespace tilescale::passes
