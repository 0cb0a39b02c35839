// SPDX-License-Identifier: MIT
#include "compiler/analysis/assigned.h"

#include "compiler/analysis/lane_set.h"
#include "compiler/analysis/lanes.h"
#include "compiler/ir/build.h"
#include "compiler/ir/visit.h"
#include "compiler/isa/instr.h"

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace tilescale::analysis {

using namespace ir;  // NOLINT

namespace {

// Where an unset value comes from.
struct Origin {
  const StorageObj* storage = nullptr;
  Span read;
};

// The threads for which a value is certainly unset.
struct Unset {
  LaneSet lanes;
  Origin origin;
  void Join(const Unset& o) {
    if (origin.storage == nullptr && o.lanes.Any()) origin = o.origin;
    lanes |= o.lanes;
  }
};

class Finder {
 public:
  explicit Finder(const Kernel& kernel) : kernel_(kernel) {
    const int64_t threads = kernel->total_threads();
    names_ = [this](const VarObj* v) -> Meaning {
      if (auto it = loops_.find(v); it != loops_.end()) return {Meaning::kLoop, it->second, Expr()};
      if (auto it = binds_.find(v); it != binds_.end()) return {Meaning::kBound, 0, it->second};
      // Of the first block, which every grid has: what is certain there happens.
      for (const Var& b : kernel_->block_vars) {
        if (v == b.get()) return {Meaning::kBound, 0, MakeConst(0)};
      }
      return {};
    };
    threads_ = {
        0,
        threads,
        kernel->threads[0] + kernel->extra_threads,
        kernel->threads[1],
        {kernel->thread_vars[0].get(), kernel->thread_vars[1].get(), kernel->thread_vars[2].get()}};
    may_ = must_ = group_ = block_ = LaneSet::Range(0, threads);
    FindRelevant();
  }

  std::vector<UnsetRead> Run() {
    Visit(kernel_->body);
    return std::move(found_);
  }

 private:
  // Registers of one storage, in granules that every view of it has whole numbers of; or shared
  // memory, once an unset value was stored there: an element has one for all threads or for none.
  struct Array {
    int64_t granule = 0;  // bytes
    std::vector<LaneSet> set;
    std::vector<Origin> origin;
  };
  // Granules [begin, end) for some threads.
  struct Piece {
    LaneSet lanes;
    int64_t begin, end;
  };
  struct Truth {
    LaneSet may, must;
    // Unknown, with one value for all threads and all iterations around.
    bool uniform = false;
  };

  static bool IsTracked(const Buffer& b) {
    return b->space() == Space::kLocal || b->space() == Space::kVar;
  }

  static bool IsRead(const Buffer& b) { return IsTracked(b) || b->space() == Space::kShared; }

  // The variables that indices of registers depend on: their loops are walked iteration by
  // iteration; for all others the first iteration says what is certain.
  void FindRelevant() {
    std::vector<const BindObj*> binds;
    auto note = [&](const Expr& e) {
      Walk(e, [&](const NodeObj* n) {
        if (n->kind == NodeKind::kVar) relevant_.insert(static_cast<const VarObj*>(n));
        return true;
      });
    };
    auto touch = [&](const Buffer& b, const ffi::Array<Expr>& index) {
      if (!IsRead(b)) return;
      for (const Expr& e : index) {
        if (IsTracked(b)) note(e);
      }
      int64_t bytes = std::max(1, b->dtype.bits / 8);
      int64_t& granule = arrays_[b->storage.get()].granule;
      granule = granule == 0 ? bytes : std::min(granule, bytes);
    };
    Walk(kernel_->body, [&](const NodeObj* n) {
      if (n->kind == NodeKind::kBind) binds.push_back(static_cast<const BindObj*>(n));
      if (n->kind == NodeKind::kAlloc && static_cast<const AllocObj*>(n)->buffer.defined())
        touch(static_cast<const AllocObj*>(n)->buffer, {});
      if (n->kind == NodeKind::kStore)
        touch(static_cast<const StoreObj*>(n)->buffer, static_cast<const StoreObj*>(n)->index);
      if (n->kind == NodeKind::kLoad)
        touch(static_cast<const LoadObj*>(n)->buffer, static_cast<const LoadObj*>(n)->index);
      if (n->kind == NodeKind::kRegion)
        touch(static_cast<const RegionObj*>(n)->buffer, static_cast<const RegionObj*>(n)->begin);
      return true;
    });
    for (auto it = binds.rbegin(); it != binds.rend(); ++it) {
      if (relevant_.count((*it)->var.get())) note((*it)->value);
    }
  }

  LaneProgram& Program(const Expr& e) {
    auto& slot = programs_[e.get()];
    if (slot == nullptr) slot = std::make_unique<LaneProgram>(threads_, e, names_);
    slot->Run(at_);
    return *slot;
  }

  Truth Holds(const Expr& cond) {
    Truth out;
    if (!cond.defined()) return {group_, group_, false};
    const LaneProgram& p = Program(cond);
    for (int64_t i = 0; i < threads_.count; ++i) {
      bool known = p.known(static_cast<size_t>(i)), value = p.value(static_cast<size_t>(i)) != 0;
      if (!known || value) out.may.Add(i);
      if (known && value) out.must.Add(i);
    }
    out.uniform = p.uniform() && !p.exact() && !p.depends_on_loops();
    return out;
  }

  // The threads that run this for certain, if anything runs it.
  LaneSet Certain() const { return must_ - gone_; }

  // The registers that [index, index + count) of `b` are, thread by thread; empty: unknown.
  std::vector<Piece> PiecesOf(const Buffer& b, const Expr& index, int64_t count) {
    const Array& array = arrays_[b->storage.get()];
    int64_t offset = 0;
    if (b->offset.defined()) {
      auto fixed = AsInt(b->offset);
      if (!fixed) return {};
      offset = *fixed;
    }
    const LaneProgram& p = Program(index);
    auto piece = [&](int64_t at) {
      int64_t bits = b->dtype.bits, unit = array.granule * 8;
      int64_t begin = (at + offset) * bits, end = begin + count * bits;
      int64_t size = static_cast<int64_t>(array.set.size());
      return std::pair(std::clamp<int64_t>(begin / unit, 0, size),
                       std::clamp<int64_t>((end + unit - 1) / unit, 0, size));
    };
    if (p.uniform()) {
      if (!p.known(0)) return {};
      auto [begin, end] = piece(p.value(0));
      return {{group_, begin, end}};
    }
    std::vector<Piece> out;
    for (int64_t i = 0; i < threads_.count; ++i) {
      if (!p.known(static_cast<size_t>(i))) return {};
      auto [begin, end] = piece(p.value(static_cast<size_t>(i)));
      auto same = std::find_if(out.begin(), out.end(), [&, b = begin, e = end](const Piece& x) {
        return x.begin == b && x.end == e;
      });
      if (same == out.end()) same = out.insert(out.end(), {LaneSet(), begin, end});
      same->lanes.Add(i);
    }
    return out;
  }

  // Threads whose registers there are unset: all of them, or for `any` some.
  Unset Read(const Buffer& b, const Expr& index, int64_t count, bool any, const Span& span) {
    Unset out;
    const Array& array = arrays_[b->storage.get()];
    std::vector<Piece> pieces = PiecesOf(b, index, count);
    // An index that is not known reads unset registers for certain if all are.
    bool unknown = pieces.empty();
    if (unknown) pieces.push_back({group_, 0, static_cast<int64_t>(array.set.size())});
    for (const Piece& p : pieces) {
      if (p.begin >= p.end) continue;
      LaneSet unset = any && !unknown ? LaneSet() : p.lanes;
      for (int64_t g = p.begin; g < p.end; ++g) {
        LaneSet here = p.lanes - array.set[g];
        if (here.Any() && out.origin.storage == nullptr) out.origin = array.origin[g];
        if (any && !unknown) {
          unset |= here;
        } else {
          unset &= here;
        }
      }
      out.lanes |= unset;
    }
    if (out.origin.storage == nullptr) out.origin = {b->storage.get(), span};
    return out;
  }

  // Registers take a value that some threads certainly lack.
  void Write(const Buffer& b, const Expr& index, int64_t count, const Truth& when,
             const Unset& value) {
    Array& array = arrays_[b->storage.get()];
    LaneSet may = may_ & when.may;
    LaneSet lost = value.lanes & Certain() & when.must;
    std::vector<Piece> pieces = PiecesOf(b, index, count);
    if (pieces.empty()) {
      pieces.push_back({group_, 0, static_cast<int64_t>(array.set.size())});
      lost = LaneSet();
    }
    for (const Piece& p : pieces) {
      for (int64_t g = p.begin; g < p.end; ++g) {
        array.set[g] |= (may & p.lanes) - lost;
        if (!(lost & p.lanes).Any()) continue;
        array.set[g] -= lost & p.lanes;
        array.origin[g] = value.origin;
        for (auto& handed : handed_) handed.insert(b->storage.get());
      }
    }
  }

  // The threads for which the value of `e` is certainly unset. `any`: one lane of a vector is
  // enough.
  Unset Of(const Expr& e, bool any, const Span& span) {
    Unset out;
    if (!e.defined() || !MentionsRegisters(e)) return out;
    switch (e.kind()) {
      case NodeKind::kVar: {
        auto it = poison_.find(e.as<VarObj>());
        return it == poison_.end() ? out : it->second;
      }
      case NodeKind::kLoad: {
        const auto* load = e.as<LoadObj>();
        for (const Expr& i : load->index) out.Join(Of(i, any, span));
        if (!IsRead(load->buffer) || arrays_[load->buffer->storage.get()].set.empty()) return out;
        Unset value = Read(load->buffer, load->index[0], load->dtype.lanes, any, span);
        if (load->guard.defined()) {
          Truth guard = Holds(load->guard);
          value.lanes &= guard.must;
          Unset other = Of(load->other, any, span);
          other.lanes -= guard.may;
          value.Join(other);
        }
        out.Join(value);
        return out;
      }
      case NodeKind::kOp:
        return OfOp(e.as<OpObj>(), any, span);
      default:
        return out;
    }
  }

  Unset OfOp(const OpObj* op, bool any, const Span& span) {
    Unset out;
    if (op->op() == OpCode::kSelect || op->op() == OpCode::kIf) {
      Truth cond =
          op->args[0].dtype().lanes > 1 ? Truth{group_, LaneSet(), false} : Holds(op->args[0]);
      Unset a = Of(op->args[1], any, span), b = Of(op->args[2], any, span);
      out = Of(op->args[0], any, span);
      Unset both{a.lanes & b.lanes, a.origin};
      a.lanes &= cond.must;
      b.lanes -= cond.may;
      out.Join(a);
      out.Join(b);
      out.Join(both);
      return out;
    }
    // The right side of `and` and `or` is read where the left one does not decide.
    size_t reads = op->op() == OpCode::kAnd || op->op() == OpCode::kOr ? 1 : op->args.size();
    for (size_t i = 0; i < reads; ++i) out.Join(Of(op->args[i], any, span));
    return out;
  }

  bool MentionsRegisters(const Expr& e) {
    auto [it, fresh] = mentions_.try_emplace(e.get(), false);
    if (!fresh) return it->second;
    bool found = false;
    Walk(e, [&](const NodeObj* n) {
      if (n->kind == NodeKind::kLoad)
        found = found || IsRead(static_cast<const LoadObj*>(n)->buffer);
      if (n->kind == NodeKind::kVar)
        found = found || carriers_.count(static_cast<const VarObj*>(n)) != 0;
      return !found;
    });
    return mentions_[e.get()] = found;
  }

  void Visit(const Stmt& s) {
    if (!s.defined()) return;
    switch (s.kind()) {
      case NodeKind::kSeq:
        for (const Stmt& x : s.as<SeqObj>()->stmts) Visit(x);
        return;
      case NodeKind::kAlloc:
        return Declare(s.as<AllocObj>());
      case NodeKind::kBind: {
        const auto* bind = s.as<BindObj>();
        binds_[bind->var.get()] = bind->value;
        if (MentionsRegisters(bind->value)) Carry(bind->var.get(), Of(bind->value, false, s->span));
        return;
      }
      case NodeKind::kStore:
        return VisitStore(s.as<StoreObj>());
      case NodeKind::kCall:
        return VisitCall(s.as<CallObj>());
      case NodeKind::kIf:
        return VisitIf(s.as<IfObj>());
      case NodeKind::kFor:
        return VisitFor(s.as<ForObj>());
      case NodeKind::kWhile: {
        const auto* loop = s.as<WhileObj>();
        return Loop(true, [&] {
          Visit(loop->head);
          Use(Of(loop->cond, true, s->span), Certain(), s.get());
          Visit(loop->body);
        });
      }
      case NodeKind::kGroup: {
        const auto* group = s.as<GroupObj>();
        LaneSet inside = LaneSet::Range(group->first, group->count);
        Within({inside, inside, false}, [&] {
          LaneSet outer = std::exchange(group_, inside);
          Visit(group->body);
          group_ = outer;
        });
        return;
      }
      case NodeKind::kJump:
        return VisitJump(s.as<JumpObj>());
      default:
        return;
    }
  }

  void Declare(const AllocObj* alloc) {
    if (!alloc->buffer.defined()) return;
    if (alloc->buffer->space() == Space::kShared) {
      shared_bits_[alloc->buffer->storage.get()] =
          NumElements(alloc->buffer) * alloc->buffer->dtype.bits;
    }
    if (!IsTracked(alloc->buffer)) return;
    Array& array = arrays_[alloc->buffer->storage.get()];
    int64_t bits = NumElements(alloc->buffer) * alloc->buffer->dtype.bits * alloc->versions;
    size_t size = static_cast<size_t>((bits + array.granule * 8 - 1) / (array.granule * 8));
    array.set.assign(size, alloc->init.defined() ? group_ : LaneSet());
    array.origin.assign(size, Origin());
  }

  void VisitStore(const StoreObj* store) {
    Truth when = Holds(store->guard);
    LaneSet runs = Certain() & when.must;
    Use(Of(store->guard, true, store->span), Certain(), store);
    for (const Expr& i : store->index) Use(Of(i, true, store->span), runs, store);
    if (store->buffer->space() == Space::kShared) return Share(store, when);
    if (!IsTracked(store->buffer)) return Use(Of(store->value, true, store->span), runs, store);
    Write(store->buffer, store->index[0], store->value.dtype().lanes, when,
          Of(store->value, false, store->span));
  }

  // Shared memory hands on what is stored there: a workspace holds padding, too. Where groups run
  // side by side, or the place is not known, nothing is certain.
  void Share(const StoreObj* store, const Truth& when) {
    Unset value = Of(store->value, false, store->span);
    LaneSet lost = value.lanes & Certain() & when.must;
    Array& array = arrays_[store->buffer->storage.get()];
    if (array.set.empty() && !lost.Any()) return;
    int64_t count = store->value.dtype().lanes;
    std::vector<Piece> pieces = PiecesOf(store->buffer, store->index[0], count);
    if (!(group_ == block_) || pieces.empty()) return array.set.clear();
    if (array.set.empty()) {
      int64_t bits = shared_bits_[store->buffer->storage.get()], unit = array.granule * 8;
      array.set.assign(static_cast<size_t>((bits + unit - 1) / unit), group_);
      array.origin.assign(array.set.size(), Origin());
      pieces = PiecesOf(store->buffer, store->index[0], count);
    }
    for (const Piece& p : pieces) {
      LaneSet may = p.lanes & may_ & when.may;
      for (int64_t g = p.begin; g < p.end; ++g) {
        if (may.Any()) array.set[g] = (may - lost).Any() ? group_ : LaneSet();
        if ((may & lost).Any()) array.origin[g] = value.origin;
      }
    }
    if (!lost.Any()) return;
    for (auto& handed : handed_) handed.insert(store->buffer->storage.get());
  }

  // An instruction hands unset operands on to its results; without results in registers it uses
  // them.
  void VisitCall(const CallObj* call) {
    const isa::Instr& row = isa::Get(Str(call->instr));
    Truth when = Holds(call->guard);
    Unset value;
    std::vector<Region> written;
    auto note = [&](Unset operand) {
      // What other lanes' registers become is known where all of them are unset.
      operand.lanes &= Certain() & when.must;
      if (row.convergent && !(operand.lanes == (may_ & when.may))) operand.lanes = LaneSet();
      value.Join(operand);
    };
    for (const Effect& e : isa::EffectsOf(call)) {
      if (e.region->buffer->space() == Space::kShared && e.mode != ir::Mode::kRead)
        arrays_[e.region->buffer->storage.get()].set.clear();
      if (!IsTracked(e.region->buffer)) continue;
      if (e.mode != ir::Mode::kRead) written.push_back(e.region);
      auto count = AsInt(e.region->extent[0]);
      if (e.mode != ir::Mode::kRead || !e.exact || !count) continue;
      note(Read(e.region->buffer, e.region->begin[0], *count, false, call->span));
    }
    bool named = false;
    for (const Expr& r : call->results) {
      named = named || r.kind() == NodeKind::kVar;
      if (const auto* addr = r.as<AddrObj>(); addr != nullptr && IsTracked(addr->region->buffer))
        written.push_back(addr->region);
    }
    Unset operands;
    for (const Expr& arg : call->args) {
      // Registers given by address, of which the row says nothing, may be written.
      if (const auto* addr = arg.as<AddrObj>()) {
        for (const Expr& i : addr->region->begin) operands.Join(Of(i, true, call->span));
        bool told = std::any_of(row.effects.begin(), row.effects.end(), [&](const auto& e) {
          return e.arg >= 0 && static_cast<size_t>(e.arg) < call->args.size() &&
                 call->args[e.arg].get() == arg.get();
        });
        if (IsTracked(addr->region->buffer) && (!told || row.opaque))
          written.push_back(addr->region);
        continue;
      }
      Unset operand = Of(arg, false, call->span);
      if (operand.lanes.Any()) operands.Join(operand);
    }
    if (written.empty() && !named) {
      value.Join(operands);
      return Use(value, Certain() & when.must, call);
    }
    note(operands);
    for (const Region& r : written) {
      auto count = AsInt(r->extent[0]);
      Write(r->buffer, count ? r->begin[0] : Expr(r->extent[0]), count.value_or(1), when, value);
    }
    for (const Expr& r : call->results) {
      if (const auto* v = r.as<VarObj>()) Carry(v, value);
    }
  }

  // A variable holds a value that some threads lack.
  void Carry(const VarObj* v, Unset value) {
    value.lanes &= Certain();
    carriers_.insert(v);
    poison_[v] = std::move(value);
  }

  void VisitIf(const IfObj* branch) {
    Use(Of(branch->cond, true, branch->span), Certain(), branch);
    Truth cond = Holds(branch->cond);
    Truth other{group_ - cond.must, group_ - cond.may, cond.uniform};
    Within(cond, [&] { Visit(branch->then_case); });
    if (branch->else_case.defined()) Within(other, [&] { Visit(branch->else_case); });
  }

  // Runs `visit` for the threads of a condition. One that all threads share, outside of loops,
  // leaves what is certain there as it is: where it holds, it holds for all.
  template <typename F>
  void Within(const Truth& cond, F visit) {
    bool whole = cond.uniform && loops_around_ == 0;
    LaneSet may = may_, must = must_;
    may_ &= cond.may;
    if (!whole) must_ &= cond.must;
    int shared = std::exchange(shared_, shared_ + (whole ? 1 : 0));
    if (may_.Any()) visit();
    shared_ = shared;
    may_ = may;
    must_ = must;
  }
  void VisitFor(const ForObj* loop) {
    auto begin = AsInt(loop->begin), extent = AsInt(loop->extent);
    auto step = loop->step.defined() ? AsInt(loop->step) : std::optional<int64_t>(1);
    if (extent && *extent <= 0) return;
    bool each = begin && extent && step && relevant_.count(loop->var.get()) != 0 &&
                iterations_ * *extent <= kMaxIterations;
    if (!each) return Loop(!extent.has_value(), [&] { Visit(loop->body); });
    auto [it, fresh] = loops_.try_emplace(loop->var.get(), at_.size());
    if (fresh) at_.push_back(0);
    LaneSet gone = gone_;
    ++loops_around_;
    iterations_ *= *extent;
    for (int64_t i = 0; i < *extent; ++i) {
      at_[it->second] = *begin + i * *step;
      Visit(loop->body);
    }
    iterations_ /= *extent;
    --loops_around_;
    gone_ = gone | exited_;
  }

  // The first iteration says what is certain. Where it hands unset values on, another one shows
  // whether registers stay unset, however many follow; else they count as set. `maybe`: it may run
  // not at all, which within another loop leaves it to a later iteration of that one to come here
  // first.
  template <typename F>
  void Loop(bool maybe, F body) {
    LaneSet gone = gone_, must = must_;
    if (maybe && loops_around_ > 0) must_ = LaneSet();
    ++loops_around_;
    auto before = maybe ? SetOf(arrays_) : Sets();
    handed_.emplace_back();
    body();
    auto handed = std::move(handed_.back());
    handed_.pop_back();
    if (!handed.empty()) {
      Sets once = SetOf(arrays_);
      gone_ = gone | exited_;
      ++quiet_;
      body();
      --quiet_;
      for (const StorageObj* storage : handed) {
        std::vector<LaneSet>& now = arrays_[storage].set;
        if (once[storage] == now) continue;
        for (LaneSet& set : now) set |= group_;
      }
    }
    for (auto& [storage, sets] : before) {
      std::vector<LaneSet>& now = arrays_[storage].set;
      for (size_t i = 0; i < now.size(); ++i) now[i] |= i < sets.size() ? sets[i] : group_;
    }
    --loops_around_;
    must_ = must;
    gone_ = gone | exited_;
  }

  using Sets = std::unordered_map<const StorageObj*, std::vector<LaneSet>>;
  static Sets SetOf(const std::unordered_map<const StorageObj*, Array>& arrays) {
    Sets out;
    for (const auto& [storage, array] : arrays) out[storage] = array.set;
    return out;
  }

  // Nothing is certain for threads that may have left.
  void VisitJump(const JumpObj* jump) {
    bool exit = jump->jump() == JumpKind::kExit;
    // All threads leave, or none: what comes behind runs for all, or not at all.
    if (exit && shared_ > 0 && may_ == group_ && loops_around_ == 0) return;
    gone_ |= may_;
    if (exit) exited_ |= may_;
  }

  void Use(const Unset& value, const LaneSet& runs, const StmtObj* s) {
    LaneSet lanes = value.lanes & runs;
    if (!lanes.Any() || quiet_ > 0 || !reported_.insert(s).second) return;
    found_.push_back({ffi::GetRef<Storage>(value.origin.storage), value.origin.read, s->span,
                      lanes.First(), lanes.Last()});
  }

  static constexpr int64_t kMaxIterations = 4096;  // of nested loops that are walked one by one

  const Kernel& kernel_;
  Threads threads_;
  LaneProgram::Names names_;
  std::unordered_set<const VarObj*> relevant_, carriers_;
  std::unordered_map<const VarObj*, size_t> loops_;
  std::vector<int64_t> at_;
  std::unordered_map<const VarObj*, Expr> binds_;
  std::unordered_map<const NodeObj*, std::unique_ptr<LaneProgram>> programs_;
  std::unordered_map<const NodeObj*, bool> mentions_;
  std::unordered_map<const StorageObj*, Array> arrays_;
  std::unordered_map<const StorageObj*, int64_t> shared_bits_;
  std::unordered_map<const VarObj*, Unset> poison_;
  // Threads of the block, of the group; those that may run this, and that do if anything does;
  // those that left.
  LaneSet block_, group_, may_, must_, gone_, exited_;
  int loops_around_ = 0, shared_ = 0;
  int64_t iterations_ = 1;
  int quiet_ = 0;
  // Storages that were given unset values by the loops around.
  std::vector<std::unordered_set<const StorageObj*>> handed_;
  std::unordered_set<const StmtObj*> reported_;
  std::vector<UnsetRead> found_;
};

}  // namespace

std::vector<UnsetRead> FindUnsetReads(const Kernel& kernel) {
  return Finder(kernel).Run();
}

}  // namespace tilescale::analysis
