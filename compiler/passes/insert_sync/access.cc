// SPDX-License-Identifier: MIT
#include "compiler/passes/insert_sync/access.h"

#include "compiler/ir/text.h"
#include "compiler/isa/instr.h"

#include <algorithm>

namespace tilescale::sync {

using namespace ir;  // NOLINT

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
  return Substitute(e, binds_);
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

// What is the same in every comparison: blocks, and slots, which are compared by their counters.
std::shared_ptr<const Place> AccessReader::PlaceOf(const Buffer& b, const Expr& index,
                                                   int64_t count, const Access& a, bool there) {
  auto place = std::make_shared<Place>();
  // Loops by their extents in order of appearance, so that equal nests have equal keys.
  std::string loops;
  VarMap canonical;
  Walk(index, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kLoad) place->bounded = false;
    if (n->kind != NodeKind::kVar) return true;
    const auto* v = static_cast<const VarObj*>(n);
    if (canonical.count(v)) return true;
    for (int i = 0; i < 3; ++i) {
      if (v == kernel_->thread_vars[i].get() || v == kernel_->block_vars[i].get()) return true;
    }
    auto it = loops_.find(v);
    if (it == loops_.end()) {
      if (!slots_.count(v)) {
        place->bounded = false;
      } else {
        canonical[v] = MakeVar("slot");
      }
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
  std::string key = std::string(b->storage->name) + ":" + std::to_string(a.base) + ":" +
                    Print(Substitute(index, canonical)) + loops + " x" +
                    std::to_string(count * b->dtype.bits) + " by " + std::to_string(first_thread_) +
                    "+" + std::to_string(threads_) + (there ? " there" : "");
  auto [it, fresh] = places_.emplace(key, place);
  if (!fresh) return it->second;
  place->index = index;
  place->count = count;
  place->elem_bytes = std::max(1, b->dtype.bits / 8);
  place->bytes = a.bytes;
  place->threads = {first_thread_,
                    threads_,
                    kernel_->threads[0] + kernel_->extra_threads,
                    kernel_->threads[1],
                    {kernel_->thread_vars[0].get(), kernel_->thread_vars[1].get(),
                     kernel_->thread_vars[2].get()}};
  return place;
}

void AccessReader::Add(const Buffer& b, const Expr& index, int64_t count, bool write, bool atomic,
                       bool async, const Span& span, Reading* out) {
  Space space = b->space();
  if (space != Space::kShared && space != Space::kGlobal) return;
  Found found;
  Access& a = found.access;
  auto home = home_.find(b->storage.get());
  a.storage = home == home_.end() ? b->storage.get() : home->second;
  a.shared = space == Space::kShared;
  a.write = write;
  a.atomic = atomic;
  a.async = async;
  a.span = span;
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
  found.access.place = PlaceOf(b, full, count, a, home != home_.end());
  out->found.push_back(std::move(found));
}

void AccessReader::ReadExpr(const Expr& e, const Span& span, Reading* out) {
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
  auto [it, fresh] = readings_.try_emplace(s.get());
  if (fresh) {
    Reading reading;
    Collect(s, &reading);
    it = readings_.insert_or_assign(s.get(), std::move(reading)).first;
  }
  for (const BindObj* bind : it->second.slots) DeclareBind(bind);
  std::vector<Access> out;
  for (const Found& found : it->second.found) {
    out.push_back(found.access);
    out.back().group = commits;
    if (found.slot == nullptr) continue;
    const SlotOf& slot = slots_.at(found.slot);
    out.back().token = slot.token;
    out.back().slot = slot.counter;
  }
  return out;
}

void AccessReader::Collect(const Stmt& s, Reading* reading) {
  Reading& out = *reading;
  Walk(s, [&](const NodeObj* n) {
    switch (n->kind) {
      case NodeKind::kFor:
        EnterLoop(static_cast<const ForObj*>(n));
        return true;
      case NodeKind::kBind:
        ReadExpr(static_cast<const BindObj*>(n)->value, s->span, &out);
        DeclareBind(static_cast<const BindObj*>(n));
        if (static_cast<const BindObj*>(n)->value.kind() == NodeKind::kSlot)
          out.slots.push_back(static_cast<const BindObj*>(n));
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
          int64_t count = r->extent.empty() ? 1 : AsInt(r->extent[0]).value_or(Place::kUnknown);
          size_t before = out.found.size();
          Add(r->buffer, r->begin[0], count, effect.mode != ir::Mode::kRead,
              effect.mode == ir::Mode::kAtomic, effect.done == Done::kCpAsync, call->span, &out);
          if (out.found.size() == before) continue;
          Access& a = out.found.back().access;
          a.one = effect.by == By::kOne;
          a.release = a.one && effect.order == Order::kRelease;
          a.acquire = a.one && effect.order == Order::kAcquire;
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
}

}  // namespace tilescale::sync
