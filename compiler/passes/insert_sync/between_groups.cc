// SPDX-License-Identifier: MIT
#include "compiler/passes/insert_sync/between_groups.h"

#include "compiler/ir/build.h"
#include "compiler/ir/visit.h"
#include "compiler/isa/instr.h"

#include <algorithm>

namespace tilescale::sync {

using namespace ir;  // NOLINT

namespace {

// Stands for all named barriers, which are told apart by their numbers, and for that of the block.
constexpr char kNamed = 0, kBlock = 0;

}  // namespace

bool BetweenGroups::Place::Follows(const Place& other) const {
  if (at > other.at) return true;
  return std::any_of(loops.begin(), loops.end(), [&](const StmtObj* loop) {
    return std::find(other.loops.begin(), other.loops.end(), loop) != other.loops.end();
  });
}

void BetweenGroups::AddCall(const CallObj* call, const Place& place, Facts* out) {
  const isa::Instr& row = isa::Get(Str(call->instr));
  Event event;
  event.place = place;
  switch (row.sync) {
    case isa::SyncKind::kCtaBarrier:
      event.signals = event.waits = true;
      event.object = &kBlock;
      break;
    case isa::SyncKind::kNamedBarrier:
    case isa::SyncKind::kBarrierArrive:
      event.signals = true;
      event.waits = row.sync == isa::SyncKind::kNamedBarrier;
      event.object = &kNamed;
      event.index = AsInt(call->args[0]).value_or(Event::kAny);
      if (call->args.size() > 1) event.threads = AsInt(call->args[1]).value_or(Event::kAny);
      break;
    case isa::SyncKind::kMbarArrive:
    case isa::SyncKind::kMbarWait: {
      const auto* addr = call->args[0].as<AddrObj>();
      event.signals = row.sync == isa::SyncKind::kMbarArrive;
      event.waits = !event.signals;
      if (addr == nullptr) break;
      event.object = addr->region->buffer->storage.get();
      event.index = AsInt(addr->region->begin[0]).value_or(Event::kAny);
      break;
    }
    default: {
      // Atomics and strong accesses both raise and see flags.
      bool strong = isa::OrderingOf(call).order != ir::Order::kWeak || row.opaque ||
                    row.sync == isa::SyncKind::kFence || row.sync == isa::SyncKind::kCluster;
      for (const Effect& e : isa::EffectsOf(call)) {
        strong = strong || (e.mode == ir::Mode::kAtomic && IsMemory(e.region->buffer->space()));
      }
      event.signals = event.waits = strong;
    }
  }
  if (event.signals || event.waits) out->events.push_back(event);
}

void BetweenGroups::Collect(const Stmt& s, std::vector<const StmtObj*>* loops, Facts* out) {
  if (!s.defined()) return;
  Place place{static_cast<int>(out->places.size()), *loops};
  out->places[s.get()] = place;
  auto inside = [&](const Stmt& body) {
    loops->push_back(s.get());
    Collect(body, loops, out);
    loops->pop_back();
  };
  switch (s.kind()) {
    case NodeKind::kSeq:
      for (const Stmt& x : s.as<SeqObj>()->stmts) Collect(x, loops, out);
      return;
    case NodeKind::kFor:
      return inside(s.as<ForObj>()->body);
    case NodeKind::kWhile: {
      const auto* loop = s.as<WhileObj>();
      inside(loop->head);
      // It may wait for a flag that another group sets.
      bool polls = false;
      Walk(loop->cond, [&](const NodeObj* n) {
        polls = polls || (n->kind == NodeKind::kLoad &&
                          IsMemory(static_cast<const LoadObj*>(n)->buffer->space()));
        return !polls;
      });
      if (polls) {
        Event event;
        event.place = place;
        event.waits = true;
        out->events.push_back(event);
      }
      return inside(loop->body);
    }
    case NodeKind::kIf:
      Collect(s.as<IfObj>()->then_case, loops, out);
      return Collect(s.as<IfObj>()->else_case, loops, out);
    case NodeKind::kGroup:
      return Collect(s.as<GroupObj>()->body, loops, out);
    case NodeKind::kCall:
      return AddCall(s.as<CallObj>(), place, out);
    case NodeKind::kTokenOp: {
      const auto* op = s.as<TokenOpObj>();
      TokenVerb verb = op->verb();
      Event event;
      event.place = place;
      event.signals = verb == TokenVerb::kCommit || verb == TokenVerb::kRelease;
      event.waits = verb == TokenVerb::kAcquire || verb == TokenVerb::kWait;
      event.object = op->token.get();
      event.index = verb == TokenVerb::kCommit || verb == TokenVerb::kWait ? 1 : 0;
      out->events.push_back(event);
      return;
    }
    case NodeKind::kStore:
      // A flag that another group polls.
      if (IsMemory(s.as<StoreObj>()->buffer->space())) {
        Event event;
        event.place = place;
        event.signals = true;
        out->events.push_back(event);
      }
      return;
    default:
      return;
  }
}

const BetweenGroups::Facts& BetweenGroups::FactsOf(const GroupObj* g) {
  auto [it, fresh] = facts_.try_emplace(g);
  if (fresh) {
    std::vector<const StmtObj*> loops;
    Collect(g->body, &loops, &it->second);
  }
  return it->second;
}

BetweenGroups::Order BetweenGroups::Directed(const GroupObj* x, const StmtObj* a, const GroupObj* y,
                                             const StmtObj* b) {
  const Facts &from = FactsOf(x), &to = FactsOf(y);
  auto same = [](int64_t p, int64_t q) { return p == q || p == Event::kAny || q == Event::kAny; };
  // Of so few threads each group meets alone.
  auto alone = [&](const Event& e) {
    return e.object == &kNamed && e.threads != Event::kAny &&
           e.threads <= std::min(x->count, y->count);
  };
  Order best = Order::kNone;
  for (const Event& s : from.events) {
    if (!s.signals || alone(s) || !s.place.Follows(from.places.at(a))) continue;
    for (const Event& w : to.events) {
      if (!w.waits || alone(w) || !to.places.at(b).Follows(w.place)) continue;
      if (s.object != w.object || !same(s.index, w.index)) continue;
      if (s.object != nullptr) return Order::kOrdered;
      best = Order::kTrusted;
    }
  }
  return best;
}

bool BetweenGroups::IsFlag(const GroupObj* x, const StmtObj* a, const GroupObj* y,
                           const StmtObj* b) {
  auto own = [](const Facts& facts, const StmtObj* s, bool Event::*does) {
    int at = facts.places.at(s).at;
    return std::any_of(facts.events.begin(), facts.events.end(), [&](const Event& e) {
      return e.object == nullptr && e.place.at == at && e.*does;
    });
  };
  return own(FactsOf(x), a, &Event::signals) && own(FactsOf(y), b, &Event::waits);
}

BetweenGroups::Order BetweenGroups::Of(const GroupObj* x, const StmtObj* a, const GroupObj* y,
                                       const StmtObj* b) {
  if (IsFlag(x, a, y, b) || IsFlag(y, b, x, a)) return Order::kTrusted;
  return std::max(Directed(x, a, y, b), Directed(y, b, x, a));
}

}  // namespace tilescale::sync
