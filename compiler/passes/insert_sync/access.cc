// SPDX-License-Identifier: MIT
#include "compiler/passes/insert_sync/access.h"

#include "compiler/analysis/digits.h"
#include "compiler/arith/analyzer.h"
#include "compiler/ir/size.h"
#include "compiler/ir/text.h"
#include "compiler/ir/visit.h"
#include "compiler/isa/instr.h"
#include "support/ranks.h"

#include <algorithm>

namespace tilescale::sync {

using namespace ir;  // NOLINT

namespace {

constexpr int kMaxPlace = 1024;  // nodes of an address in terms of loops and threads

bool IsOneOf(const VarObj* v, const ffi::Array<Var>& vars) {
  return std::any_of(vars.begin(), vars.end(), [&](const Var& x) { return v == x.get(); });
}

// The rank and the number of ranks as variables.
class NameRanks : public Mutator {
 public:
  NameRanks(const Var& rank, const Var& ranks) : rank_(rank), ranks_(ranks) {}
  Expr MutateOp(const Op& e) override {
    if (e->op() == OpCode::kRank) return rank_;
    if (e->op() == OpCode::kNumRanks) return ranks_;
    return DefaultExpr(e);
  }

 private:
  const Var &rank_, &ranks_;
};

}  // namespace

AccessReader::AccessReader(const Kernel& k, const passes::Uniformity& uniformity)
    : kernel_(k), uniformity_(uniformity), threads_(k->total_threads()) {
  Walk(k->body, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kBind) declared_.insert(static_cast<const BindObj*>(n)->var.get());
    if (n->kind == NodeKind::kCall) {
      for (const Expr& r : static_cast<const CallObj*>(n)->results) {
        if (const auto* v = r.as<VarObj>()) declared_.insert(v);
      }
    }
    return true;
  });
}

void AccessReader::EnterBranch(const Expr& cond, bool holds) {
  Expr now = Inline(cond);
  conditions_.push_back(holds ? now : Not(now));
}

void AccessReader::DeclareAlloc(const AllocObj* s) {
  if (!s->buffer.defined() || s->buffer->space() != Space::kShared) return;
  placed_[s->buffer->storage.get()] = {s->offset, StorageBytes(s->buffer)};
}

void AccessReader::DeclareView(const ViewObj* s) {
  const auto* addr = s->pointer.defined() ? s->pointer.as<AddrObj>() : nullptr;
  if (addr == nullptr || !addr->region->peer.defined()) return;
  const Region& there = addr->region;
  const bool whole = std::all_of(there->begin.begin(), there->begin.end(),
                                 [](const Expr& begin) { return IsConst(begin, 0); });
  home_[s->buffer->storage.get()] = {there->buffer->storage.get(), whole};
}

Expr AccessReader::Inline(const Expr& e) {
  return NameRanks(rank_, ranks_)(Substitute(e, binds_));
}

void AccessReader::EnterLoop(const ForObj* s) {
  loops_[s->var.get()] = s;
  if (one_round_) inside_.insert(s->var.get());
}

bool AccessReader::IsOfBlock(const VarObj* v) const {
  return v == rank_.get() || v == ranks_.get() || IsOneOf(v, kernel_->block_vars);
}

bool AccessReader::Shifts(const VarObj* v) const {
  if (slots_.count(v)) return true;
  if (loops_.count(v) || declared_.count(v))
    return one_round_ && !inside_.count(v) && uniformity_.IsUniform(ffi::GetRef<Var>(v));
  return !IsOneOf(v, kernel_->thread_vars);  // a block's, the rank's, or given by the caller
}

void AccessReader::Know(arith::Analyzer* analyzer) const {
  for (int i = 0; i < 3; ++i) {
    const int64_t threads = kernel_->threads[i] + (i == 0 ? kernel_->extra_threads : 0);
    analyzer->Bind(kernel_->thread_vars[i], {0, threads - 1});
    auto blocks = AsInt(kernel_->grid[i]);
    analyzer->Bind(kernel_->block_vars[i], {0, blocks ? *blocks - 1 : arith::Interval::kMax});
  }
  analyzer->Bind(rank_, {0, kMaxRanks - 1});
  analyzer->Bind(ranks_, {1, kMaxRanks});
  for (const auto& [v, loop] : loops_) {
    auto begin = AsInt(loop->begin), extent = AsInt(loop->extent);
    const bool steps = loop->step.defined() && !IsConst(loop->step, 1);
    if (begin && extent && !steps) analyzer->Bind(loop->var, {*begin, *begin + *extent - 1});
  }
}

void AccessReader::DeclareBind(const BindObj* s) {
  if (one_round_) inside_.insert(s->var.get());
  if (const auto* slot = s->value.as<SlotObj>()) {
    auto& counters = slot->out ? waited : acquired;
    shift_names_[s->var.get()] = MakeVar("slot of " + std::string(slot->token->name));
    slots_[s->var.get()] = {slot->token.get(), counters[slot->token.get()] - 1 - slot->back};
    return;
  }
  if (Loads(s->value)) return;  // a name that is not known here has any value
  const Expr inlined = Inline(s->value);
  if (!LargerThan(inlined, kMaxPlace)) binds_[s->var.get()] = inlined;
}

// Of a condition the parts that threads and the place's loops decide.
void AccessReader::AddGuards(const Expr& cond, analysis::Place* place) const {
  const auto* op = cond.as<OpObj>();
  if (op != nullptr && op->op() == OpCode::kAnd) {
    AddGuards(op->args[0], place);
    return AddGuards(op->args[1], place);
  }
  bool decided = true;
  Walk(cond, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kLoad || n->kind == NodeKind::kSlot) decided = false;
    if (n->kind != NodeKind::kVar) return decided;
    const auto* v = static_cast<const VarObj*>(n);
    bool known = IsOneOf(v, kernel_->thread_vars);
    for (const analysis::Place::Loop& l : place->loops) known = known || v == l.var;
    decided = decided && known;
    return decided;
  });
  if (decided) place->guards.push_back(cond);
}

// Is the index row · stride + column, and do conditions say 0 <= column < stride? A vector's
// elements have equal guards, so that of the first speaks for all.
bool AccessReader::IsRowOf(const VarObj* stride, const Expr& index, const Expr& guard) const {
  arith::Analyzer analyzer;
  Know(&analyzer);
  arith::LinearForm column = analyzer.Linear(index);
  bool linear = true;
  std::erase_if(column.terms, [&](const auto& term) {
    int64_t uses = 0;
    bool product = true;
    Walk(term.first, [&](const NodeObj* n) {
      uses += n == stride ? 1 : 0;
      product = product &&
                (n->kind != NodeKind::kOp || static_cast<const OpObj*>(n)->op() == OpCode::kMul);
      return true;
    });
    linear = linear && (uses == 0 || (uses == 1 && product));
    return uses > 0;
  });
  Expr at = analyzer.FromLinear(column, index.dtype());
  if (!at.defined()) return false;
  if (!linear || analyzer.Bounds(at).lo < 0) return false;
  bool below = false;
  auto look = [&](const Expr& cond) {
    Walk(cond, [&](const NodeObj* n) {
      const auto* op = n->kind == NodeKind::kOp ? static_cast<const OpObj*>(n) : nullptr;
      if (op == nullptr) return false;
      if (op->op() == OpCode::kLt && op->args[1].get() == stride &&
          SameType(op->args[0].dtype(), at.dtype())) {
        arith::LinearForm rest = analyzer.Linear(Sub(op->args[0], at));
        below = below || (rest.terms.empty() && rest.constant == 0);
      }
      return op->op() == OpCode::kAnd;
    });
  };
  if (guard.defined()) look(guard);
  for (const Expr& cond : conditions_) look(cond);
  return below;
}

// Block variables, the rank and what the caller gives have any value, the same one for all that is
// compared, and so have slots, which are compared by their counters, and what is named around one
// round: where they are terms of their own, every thread's place moves by them. In one term with a
// thread or a loop they change who meets whom, and nothing is known.
void AccessReader::TakeShift(Place* place) const {
  auto shifts = [&](const VarObj* v) { return v != place->stride && Shifts(v); };
  auto mentions = [](const Expr& e, const auto& which) {
    bool found = false;
    Walk(e, [&](const NodeObj* n) {
      found = found || (n->kind == NodeKind::kVar && which(static_cast<const VarObj*>(n)));
      return !found;
    });
    return found;
  };
  if (!place->bounded || !mentions(place->index, shifts)) return;
  auto moves = [&](const VarObj* v) {
    return IsOneOf(v, kernel_->thread_vars) ||
           std::any_of(place->loops.begin(), place->loops.end(),
                       [&](const Place::Loop& l) { return v == l.var; });
  };
  arith::Analyzer analyzer;
  Know(&analyzer);
  auto take = [&](const Expr& index) {
    std::vector<std::string> terms;
    bool apart = true;
    auto add = [&](auto&& self, const Expr& e, int64_t factor) -> void {
      arith::LinearForm form = analyzer.Linear(e);
      for (const std::pair<Expr, int64_t>& term : form.terms) {
        const Expr& atom = term.first;
        if (!mentions(atom, shifts)) continue;
        const auto* op = atom.as<OpObj>();
        if (!mentions(atom, moves)) {
          terms.push_back(Print(Substitute(atom, shift_names_)) + "*" +
                          std::to_string(factor * term.second));
        } else if (op != nullptr && op->op() == OpCode::kCast && IsInteger(op->args[0].dtype())) {
          self(self, op->args[0], factor * term.second);
        } else {
          apart = false;
        }
      }
    };
    add(add, index, 1);
    if (!apart) return false;
    std::sort(terms.begin(), terms.end());
    for (const std::string& t : terms) place->shift += t + " ";
    return true;
  };
  if (take(place->index)) return;
  place->index = analyzer.Simplify(place->index);
  place->bounded = take(place->index);
}

std::shared_ptr<const Place> AccessReader::PlaceOf(const Buffer& b, const Expr& index,
                                                   int64_t count, const Expr& guard,
                                                   const Access& a, bool from_start) {
  auto place = std::make_shared<Place>();
  std::vector<const VarObj*> sizes;  // perhaps of a row
  // Loops by their extents in order of appearance, so that equal nests have equal keys.
  std::string loops;
  VarMap canonical;
  Walk(index, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kLoad) place->bounded = false;
    if (n->kind != NodeKind::kVar) return true;
    const auto* v = static_cast<const VarObj*>(n);
    if (canonical.count(v)) return true;
    auto it = loops_.find(v);
    if (Shifts(v)) {
      if (it != loops_.end() || declared_.count(v))
        shift_names_.try_emplace(v, MakeVar("round " + std::to_string(shift_names_.size())));
      if (shift_names_.count(v)) canonical[v] = shift_names_.at(v);
      const bool known = std::find(sizes.begin(), sizes.end(), v) != sizes.end();
      if (!known && !slots_.count(v) && !IsOfBlock(v)) sizes.push_back(v);
      return true;
    }
    if (it == loops_.end()) {
      place->bounded = place->bounded && IsOneOf(v, kernel_->thread_vars);
      return true;
    }
    const ForObj* loop = it->second;
    loops += " " + Print(loop->begin) + "+" + Print(loop->extent);
    if (loop->step.defined()) loops += "*" + Print(loop->step);
    canonical[v] = MakeVar("loop" + std::to_string(canonical.size()));
    auto begin = AsInt(loop->begin), extent = AsInt(loop->extent);
    bool steps = loop->step.defined() && !IsConst(loop->step, 1);
    if (begin && extent && !steps) {
      place->loops.push_back({v, *begin, *extent});
    } else {
      place->bounded = false;
    }
    return true;
  });
  for (const Expr& cond : conditions_) AddGuards(cond, place.get());
  if (guard.defined()) AddGuards(guard, place.get());
  for (const VarObj* size : sizes) {
    if (place->stride == nullptr && place->bounded && IsRowOf(size, index, guard))
      place->stride = size;
  }
  place->threads = {first_thread_,
                    threads_,
                    kernel_->threads[0] + kernel_->extra_threads,
                    kernel_->threads[1],
                    {kernel_->thread_vars[0].get(), kernel_->thread_vars[1].get(),
                     kernel_->thread_vars[2].get()}};
  if (!a.shared && count != Place::kUnknown) {
    arith::Analyzer analyzer;
    Know(&analyzer);
    std::vector<Expr> all = conditions_;
    if (guard.defined()) all.push_back(guard);
    place->digits = analysis::DigitsOf(index, count, all, place->threads, &analyzer);
  }
  std::string guards;
  for (const Expr& g : place->guards) guards += " if " + Print(Substitute(g, canonical));
  const analysis::Digits& digits = place->digits;
  // Views of one storage count in elements of their own.
  std::string key = Print(Substitute(index, canonical)) + loops + guards +
                    (place->stride != nullptr ? " in rows" : "") + " x" + std::to_string(count) +
                    " of " + std::to_string(b->dtype.bits) + " by " +
                    std::to_string(first_thread_) + "+" + std::to_string(threads_) +
                    (from_start ? "" : " there") + " digits " + digits.text + " " +
                    std::to_string(digits.above) + " " + std::to_string(digits.reach);
  auto [it, fresh] = places_.emplace(std::pair(b->storage.get(), std::move(key)), place);
  if (!fresh) return it->second;
  place->index = index;
  TakeShift(place.get());
  place->count = count;
  place->elem_bytes = std::max(1, b->dtype.bits / 8);
  place->bytes = a.bytes;
  // Elements of less than a byte share theirs.
  place->from_start = from_start && b->dtype.bits % 8 == 0;
  return place;
}

Access* AccessReader::Add(const Buffer& b, const Expr& index, int64_t count, const Expr& guard,
                          const Span& span, Reading* out) {
  Space space = b->space();
  if (space != Space::kShared && space != Space::kGlobal) return nullptr;
  Found found;
  Access& a = found.access;
  auto home = home_.find(b->storage.get());
  a.storage = home == home_.end() ? b->storage.get() : home->second.storage;
  a.shared = space == Space::kShared;
  a.span = span;
  a.by = reading_;
  if (auto it = placed_.find(a.storage); it != placed_.end()) {
    a.base = it->second.offset;
    a.bytes = it->second.bytes;
  }
  Expr full = Inline(index);
  Walk(full, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kVar) {
      const auto* v = static_cast<const VarObj*>(n);
      if (slots_.count(v)) found.slot = v;
    }
    return true;
  });
  Expr when = guard.defined() ? Inline(guard) : guard;
  found.access.place = PlaceOf(b, full, count, when, a, home == home_.end() || home->second.whole);
  out->found.push_back(std::move(found));
  return &out->found.back().access;
}

void AccessReader::ReadExpr(const Expr& e, const Expr& guard, const Span& span, Reading* out) {
  Walk(e, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kLoad) {
      const auto* load = static_cast<const LoadObj*>(n);
      if (!load->index.empty()) {
        Add(load->buffer, load->index[0], load->dtype.lanes, And(guard, load->guard), span, out);
      }
    }
    return true;
  });
}

std::vector<Access> AccessReader::Read(const Stmt& s) {
  auto [it, fresh] = readings_.try_emplace(s.get());
  if (fresh) {
    Reading reading;
    Collect(s, &reading);
    it = readings_.insert_or_assign(s.get(), std::move(reading)).first;
  }
  return AtNow(it->second);
}

std::vector<Access> AccessReader::ReadOneRound(const Stmt& s) {
  Reading reading;
  one_round_ = true;
  inside_.clear();
  Collect(s, &reading);
  one_round_ = false;
  return AtNow(reading);
}

std::vector<Access> AccessReader::AtNow(const Reading& reading) {
  for (const BindObj* bind : reading.slots) DeclareBind(bind);
  std::vector<Access> out;
  for (const Found& found : reading.found) {
    out.push_back(found.access);
    out.back().group = commits;
    if (found.slot == nullptr) continue;
    const SlotOf& slot = slots_.at(found.slot);
    out.back().token = slot.token;
    out.back().slot = slot.counter;
  }
  return out;
}

void AccessReader::AddCall(const CallObj* call, Reading* out) {
  for (const Expr& r : call->results) {
    if (const auto* v = r.as<VarObj>(); v != nullptr && one_round_) inside_.insert(v);
  }
  for (const Expr& a : call->args) ReadExpr(a, call->guard, call->span, out);
  for (const Effect& effect : isa::EffectsOf(call)) {
    const Region& r = effect.region;
    int64_t count = r->extent.empty() ? 1 : AsInt(r->extent[0]).value_or(Place::kUnknown);
    Access* added = Add(r->buffer, r->begin[0], count, call->guard, call->span, out);
    if (added == nullptr) continue;
    Access& a = *added;
    a.write = effect.mode != ir::Mode::kRead;
    a.atomic = effect.mode == ir::Mode::kAtomic;
    a.async = effect.done == Done::kCpAsync;
    a.one = effect.by == By::kOne;
    a.release = a.one && effect.order == Order::kRelease;
    a.acquire = a.one && effect.order == Order::kAcquire;
  }
}

void AccessReader::Collect(const Stmt& s, Reading* out) {
  if (!s.defined()) return;
  Walk(s, [&](const NodeObj* n) {
    if (IsStmtKind(n->kind)) reading_ = static_cast<const StmtObj*>(n);
    switch (n->kind) {
      case NodeKind::kFor:
        EnterLoop(static_cast<const ForObj*>(n));
        return true;
      case NodeKind::kIf: {
        const auto* branch = static_cast<const IfObj*>(n);
        ReadExpr(branch->cond, Expr(), branch->span, out);
        EnterBranch(branch->cond, true);
        Collect(branch->then_case, out);
        LeaveBranch();
        EnterBranch(branch->cond, false);
        Collect(branch->else_case, out);
        LeaveBranch();
        return false;
      }
      case NodeKind::kBind:
        ReadExpr(static_cast<const BindObj*>(n)->value, Expr(), s->span, out);
        DeclareBind(static_cast<const BindObj*>(n));
        if (static_cast<const BindObj*>(n)->value.kind() == NodeKind::kSlot)
          out->slots.push_back(static_cast<const BindObj*>(n));
        return false;
      case NodeKind::kAlloc:
        DeclareAlloc(static_cast<const AllocObj*>(n));
        return true;
      case NodeKind::kView:
        DeclareView(static_cast<const ViewObj*>(n));
        ReadExpr(static_cast<const ViewObj*>(n)->pointer, Expr(), s->span, out);
        return false;
      case NodeKind::kStore: {
        const auto* store = static_cast<const StoreObj*>(n);
        ReadExpr(store->value, store->guard, store->span, out);
        if (store->guard.defined()) ReadExpr(store->guard, Expr(), store->span, out);
        if (!store->index.empty()) {
          ReadExpr(store->index[0], store->guard, store->span, out);
          Access* a = Add(store->buffer, store->index[0], store->value.dtype().lanes, store->guard,
                          store->span, out);
          if (a != nullptr) a->write = true;
        }
        return false;
      }
      case NodeKind::kCall:
        AddCall(static_cast<const CallObj*>(n), out);
        return false;
      case NodeKind::kLoad: {
        ReadExpr(ffi::GetRef<Expr>(static_cast<const ExprObj*>(n)), Expr(), s->span, out);
        return false;
      }
      default:
        return true;
    }
  });
}

}  // namespace tilescale::sync
