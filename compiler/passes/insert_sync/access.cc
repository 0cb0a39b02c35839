// SPDX-License-Identifier: MIT
#include "compiler/passes/insert_sync/access.h"

#include "compiler/arith/analyzer.h"
#include "compiler/ir/text.h"
#include "compiler/isa/instr.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace tilescale::sync {

using namespace ir;  // NOLINT

namespace {

constexpr int64_t kMaxPoints = int64_t(1) << 18;  // of one footprint
constexpr int64_t kUnknownCount = -1;             // as many elements as a variable says

class InlineBinds : public Mutator {
 public:
  explicit InlineBinds(const std::unordered_map<const VarObj*, Expr>& binds) : binds_(binds) {}
  Expr MutateVar(const Var& v) override {
    auto it = binds_.find(v.get());
    return it == binds_.end() ? Expr(v) : it->second;
  }

 private:
  const std::unordered_map<const VarObj*, Expr>& binds_;
};

}  // namespace

AccessReader::AccessReader(const Kernel& k) : kernel_(k), threads_(k->total_threads()) {}

void AccessReader::DeclareAlloc(const AllocObj* s) {
  if (!s->buffer.defined() || s->buffer->space() != Space::kShared) return;
  placed_[s->buffer->storage.get()] = {s->offset,
                                       (NumElements(s->buffer) * s->buffer->dtype.bits + 7) / 8};
}

void AccessReader::DeclareView(const ViewObj* s) {
  const auto* addr = s->pointer.defined() ? s->pointer.as<AddrObj>() : nullptr;
  if (addr != nullptr && addr->region->peer.defined()) {
    home_[s->buffer->storage.get()] = addr->region->buffer->storage.get();
  }
}

Expr AccessReader::Inline(const Expr& e) {
  return InlineBinds(binds_).MutateExpr(e);
}

void AccessReader::DeclareBind(const BindObj* s) {
  if (const auto* slot = s->value.as<SlotObj>()) {
    auto& counters = slot->out ? waited : acquired;
    slots_[s->var.get()] = {slot->token.get(), counters[slot->token.get()] - 1 - slot->back};
    return;
  }
  bool pure = true;
  Walk(s->value, [&](const NodeObj* n) {
    pure = pure && n->kind != NodeKind::kLoad;
    return pure;
  });
  if (pure) binds_[s->var.get()] = Inline(s->value);
}

// Owners by enumeration over the thread and the loops; other variables have one value on both sides
// of a comparison inside one iteration, so they count as zero. A storage's versions are compared by
// counters.
std::shared_ptr<Footprint> AccessReader::Enumerate(const Expr& index, int64_t elem_bytes,
                                                   int64_t count, int64_t bytes) {
  auto out = std::make_shared<Footprint>();
  std::vector<std::pair<const VarObj*, int64_t>> ranges;  // variable, extent
  std::vector<int64_t> begins;
  int64_t points = 1;
  bool ok = true;
  Walk(index, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kLoad) ok = false;
    if (n->kind != NodeKind::kVar) return ok;
    const auto* v = static_cast<const VarObj*>(n);
    for (const auto& [seen, extent] : ranges) {
      if (seen == v) return ok;
    }
    int64_t extent = 1, begin = 0;
    for (int i = 0; i < 3; ++i) {
      if (kernel_->thread_vars[i].get() == v) return ok;  // enumerated below
    }
    if (auto loop = loops_.find(v); loop != loops_.end()) {
      auto n_iter = AsInt(loop->second->extent), first = AsInt(loop->second->begin);
      bool unit = !loop->second->step.defined() || IsConst(loop->second->step, 1);
      if (n_iter && first && unit) {
        extent = *n_iter;
        begin = *first;
      } else {
        ok = false;
      }
    } else if (slots_.count(v) == 0) {
      bool block = false;
      for (const Var& b : kernel_->block_vars) block = block || b.get() == v;
      if (!block) ok = false;
    }
    points *= std::max<int64_t>(1, extent);
    if (points > kMaxPoints) ok = false;
    ranges.emplace_back(v, extent);
    begins.push_back(begin);
    return ok;
  });
  int64_t threads = threads_;
  if (!ok || points * threads * std::max<int64_t>(1, count * elem_bytes / 16) > kMaxPoints)
    return out;
  out->granule = std::gcd<int64_t>(elem_bytes * count, 16);
  out->granule = std::min<int64_t>(out->granule, 16);
  out->owner.assign(bytes / out->granule + 1, -1);
  std::vector<int64_t> at(ranges.size(), 0);
  int64_t tx = 0, ty = 0, tz = 0;
  std::function<std::optional<int64_t>(const VarObj*)> value =
      [&](const VarObj* v) -> std::optional<int64_t> {
    if (v == kernel_->thread_vars[0].get()) return tx;
    if (v == kernel_->thread_vars[1].get()) return ty;
    if (v == kernel_->thread_vars[2].get()) return tz;
    for (size_t i = 0; i < ranges.size(); ++i) {
      if (ranges[i].first == v) return at[i] + begins[i];
    }
    return std::nullopt;
  };
  int64_t wide = kernel_->threads[0] + kernel_->extra_threads;
  for (int64_t t = first_thread_; t < first_thread_ + threads; ++t) {
    tx = t % wide;
    ty = t / wide % kernel_->threads[1];
    tz = t / wide / kernel_->threads[1];
    std::fill(at.begin(), at.end(), 0);
    for (int64_t p = 0; p < points; ++p) {
      auto e = arith::EvaluateInt(index, value);
      if (!e) return out;
      int64_t begin = *e * elem_bytes, end = begin + count * elem_bytes;
      for (int64_t g = begin / out->granule; g < (end + out->granule - 1) / out->granule; ++g) {
        if (g < 0 || g >= static_cast<int64_t>(out->owner.size())) continue;
        int32_t& owner = out->owner[g];
        owner = owner == -1 || owner == t ? static_cast<int32_t>(t) : -2;
      }
      for (size_t i = 0; i < at.size(); ++i) {
        if (++at[i] < ranges[i].second) break;
        at[i] = 0;
      }
    }
  }
  out->known = true;
  return out;
}

// No two threads touch one element, by enumeration over threads and loops. Blocks are fixed; an
// index with other unknowns is not judged.
bool AccessReader::OwnBytes(const Expr& index, int64_t count) {
  std::vector<std::pair<const VarObj*, int64_t>> loops;
  bool ok = true;
  int64_t points = 1;
  Walk(index, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kLoad) ok = false;
    if (n->kind != NodeKind::kVar) return ok;
    const auto* v = static_cast<const VarObj*>(n);
    for (const Var& t : kernel_->thread_vars) {
      if (t.get() == v) return ok;
    }
    for (const Var& b : kernel_->block_vars) {
      if (b.get() == v) return ok;
    }
    for (const auto& [seen, extent] : loops) {
      if (seen == v) return ok;
    }
    auto loop = loops_.find(v);
    auto extent = loop == loops_.end() ? std::nullopt : AsInt(loop->second->extent);
    if (!extent || !IsConst(loop->second->begin, 0) || loop->second->step.defined())
      return ok = false;
    loops.emplace_back(v, *extent);
    points *= std::max<int64_t>(1, *extent);
    return ok = points <= kMaxPoints;
  });
  int64_t threads = threads_;
  if (!ok || points * threads > kMaxPoints || kernel_->threads[1] * kernel_->threads[2] != 1)
    return false;
  std::unordered_map<int64_t, int64_t> owner;
  std::vector<int64_t> at(loops.size(), 0);
  int64_t tx = 0;
  std::function<std::optional<int64_t>(const VarObj*)> value =
      [&](const VarObj* v) -> std::optional<int64_t> {
    if (v == kernel_->thread_vars[0].get()) return tx;
    for (size_t i = 0; i < loops.size(); ++i) {
      if (loops[i].first == v) return at[i];
    }
    return 0;
  };
  for (tx = first_thread_; tx < first_thread_ + threads; ++tx) {
    for (int64_t p = 0; p < points; ++p) {
      auto e = arith::EvaluateInt(index, value);
      if (!e) return false;
      for (int64_t i = 0; i < count; ++i) {
        auto [it, fresh] = owner.emplace(*e + i, tx);
        if (!fresh && it->second != tx) return false;
      }
      for (size_t i = 0; i < at.size(); ++i) {
        if (++at[i] < loops[i].second) break;
        at[i] = 0;
      }
    }
  }
  return true;
}

void AccessReader::Add(const Buffer& b, const Expr& index, int64_t count, bool write, bool atomic,
                       bool async, const Span& span, std::vector<Access>* out) {
  Space space = b->space();
  if (space != Space::kShared && space != Space::kGlobal) return;
  Access a;
  auto home = home_.find(b->storage.get());
  a.storage = home == home_.end() ? b->storage.get() : home->second;
  a.shared = space == Space::kShared;
  a.write = write;
  a.atomic = atomic;
  a.async = async;
  a.group = commits;
  a.span = span;
  if (auto it = placed_.find(a.storage); it != placed_.end()) {
    a.base = it->second.offset;
    a.bytes = it->second.bytes;
  }
  Expr full = Inline(index);
  Walk(full, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kVar) {
      auto it = slots_.find(static_cast<const VarObj*>(n));
      if (it != slots_.end()) {
        a.token = it->second.token;
        a.slot = it->second.counter;
      }
    }
    return true;
  });
  // Loops by their extents in order of appearance, so that equal nests have equal keys.
  std::string loops;
  VarMap canonical;
  Walk(full, [&](const NodeObj* n) {
    if (n->kind != NodeKind::kVar) return true;
    const auto* v = static_cast<const VarObj*>(n);
    auto it = loops_.find(v);
    if (it != loops_.end() && !canonical.count(v)) {
      loops += " " + Print(it->second->begin) + "+" + Print(it->second->extent);
      if (it->second->step.defined()) loops += "*" + Print(it->second->step);
      canonical[v] = MakeVar("loop" + std::to_string(canonical.size()));
    } else if (slots_.count(v) && !canonical.count(v)) {
      canonical[v] = MakeVar("slot");
    }
    return true;
  });
  a.key = Print(Substitute(full, canonical)) + loops + " x" +
          std::to_string(count * b->dtype.bits) + " by " + std::to_string(first_thread_) + "+" +
          std::to_string(threads_);
  if (home != home_.end()) a.key += " there";
  if (!a.shared) {
    // Statements are read more than once: each index is judged once.
    auto [it, fresh] = own_.emplace(
        std::string(b->storage->name) + ":" + a.key + ":" + std::to_string(count), false);
    if (fresh) it->second = count != kUnknownCount && OwnBytes(full, count);
    a.own = it->second;
  } else {
    std::string id = std::string(b->storage->name) + ":" + std::to_string(a.base) + ":" + a.key;
    auto [it, fresh] = footprints_.emplace(id, nullptr);
    if (fresh) {
      it->second = count == kUnknownCount
                       ? std::make_shared<Footprint>()
                       : Enumerate(full, std::max(1, b->dtype.bits / 8), count, a.bytes);
    }
    a.footprint = it->second;
  }
  out->push_back(std::move(a));
}

void AccessReader::ReadExpr(const Expr& e, const Span& span, std::vector<Access>* out) {
  Walk(e, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kLoad) {
      const auto* load = static_cast<const LoadObj*>(n);
      if (!load->index.empty())
        Add(load->buffer, load->index[0], load->dtype.lanes, false, false, false, span, out);
    }
    return true;
  });
}

std::vector<Access> AccessReader::Read(const Stmt& s) {
  std::vector<Access> out;
  Walk(s, [&](const NodeObj* n) {
    switch (n->kind) {
      case NodeKind::kFor:
        EnterLoop(static_cast<const ForObj*>(n));
        return true;
      case NodeKind::kBind:
        ReadExpr(static_cast<const BindObj*>(n)->value, s->span, &out);
        DeclareBind(static_cast<const BindObj*>(n));
        return false;
      case NodeKind::kAlloc:
        DeclareAlloc(static_cast<const AllocObj*>(n));
        return true;
      case NodeKind::kView:
        DeclareView(static_cast<const ViewObj*>(n));
        return false;
      case NodeKind::kStore: {
        const auto* store = static_cast<const StoreObj*>(n);
        ReadExpr(store->value, store->span, &out);
        ReadExpr(store->guard, store->span, &out);
        if (!store->index.empty()) {
          ReadExpr(store->index[0], store->span, &out);
          Add(store->buffer, store->index[0], store->value.dtype().lanes, true, false, false,
              store->span, &out);
        }
        return false;
      }
      case NodeKind::kCall: {
        const auto* call = static_cast<const CallObj*>(n);
        for (const Expr& a : call->args) ReadExpr(a, call->span, &out);
        for (const Effect& effect : isa::EffectsOf(call)) {
          const Region& r = effect.region;
          int64_t count = r->extent.empty() ? 1 : AsInt(r->extent[0]).value_or(kUnknownCount);
          size_t before = out.size();
          Add(r->buffer, r->begin[0], count, effect.mode != ir::Mode::kRead,
              effect.mode == ir::Mode::kAtomic, effect.done == Done::kCpAsync, call->span, &out);
          if (out.size() == before) continue;
          out.back().one = effect.by == By::kOne;
          out.back().release = out.back().one && effect.order == Order::kRelease;
          out.back().acquire = out.back().one && effect.order == Order::kAcquire;
        }
        return false;
      }
      case NodeKind::kLoad: {
        const auto* load = static_cast<const LoadObj*>(n);
        if (!load->index.empty())
          Add(load->buffer, load->index[0], load->dtype.lanes, false, false, false, s->span, &out);
        return true;
      }
      default:
        return true;
    }
  });
  return out;
}

Conflict Compare(const Access& a, const Access& b) {
  if (a.one && b.one) return Conflict::kNone;  // of the same thread
  if ((a.acquire && !b.shared) || (b.release && !a.shared)) return Conflict::kBlock;
  if (!a.write && !b.write) return Conflict::kNone;
  if (a.atomic && b.atomic) return Conflict::kNone;
  if (a.shared != b.shared) return Conflict::kNone;
  if (a.storage != b.storage) {
    if (!a.shared) return Conflict::kNone;  // parameters do not alias
    bool apart = a.base + a.bytes <= b.base || b.base + b.bytes <= a.base;
    return apart ? Conflict::kNone : Conflict::kBlock;
  }
  if (a.token != nullptr && a.token == b.token) {
    int64_t depth = a.token->depth, distance = a.slot - b.slot;
    if ((distance % depth + depth) % depth != 0) return Conflict::kNone;
  }
  bool may_skip_key = !a.atomic && !b.atomic;
  if (a.key == b.key && a.own && may_skip_key && !a.shared) return Conflict::kNone;
  if (!a.shared || a.footprint == nullptr || b.footprint == nullptr || !a.footprint->known ||
      !b.footprint->known) {
    return Conflict::kBlock;
  }
  // Bytes that two different threads touch.
  int64_t g = std::min(a.footprint->granule, b.footprint->granule);
  size_t n = std::min(a.footprint->owner.size() * a.footprint->granule,
                      b.footprint->owner.size() * b.footprint->granule) /
             g;
  Conflict worst = Conflict::kNone;
  for (size_t i = 0; i < n; ++i) {
    int32_t x = a.footprint->owner[i * g / a.footprint->granule],
            y = b.footprint->owner[i * g / b.footprint->granule];
    if (x == -1 || y == -1) continue;
    if (x == y && x >= 0) continue;
    if (x < 0 || y < 0 || x / 32 != y / 32) return Conflict::kBlock;
    worst = Conflict::kWarp;
  }
  return worst;
}

}  // namespace tilescale::sync
