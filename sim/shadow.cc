// SPDX-License-Identifier: MIT
// The race engine ("Conflict and Data-races", "Morally Strong Operations", "Causality Order" and
// "Proxies" of the PTX memory consistency model).
#include "sim/shadow.h"

#include "sim/core.h"
#include "sim/report.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace tilescale::sim {
namespace {

// The strong write with this epoch was read by something that happened before.
bool WasObserved(const Observed& observed, const u8* p, u32 cta, u32 component, u32 clock) {
  if (observed.empty()) return false;
  for (u32 size : {1u, 2u, 4u, 8u}) {  // p may be a part of the word
    WordKey word = KeyOf(reinterpret_cast<const u8*>(u64(p) & -u64(size)), size);
    const auto* intervals = observed.Find(word);
    if (!intervals) continue;
    const auto& log = core.words.at(word).log;
    for (const auto& [last, first] : *intervals) {
      for (u64 i = first; i <= last; ++i) {
        const auto& w = log[i - 1];
        if (w.cta == cta && w.component == component && w.clock == clock) return true;
      }
    }
  }
  return false;
}

// Is `a` before what f does now, by these clocks? On false, *lane is one that is not. `self`: f's
// own program order counts; `p`: observation of strong writes counts.
inline bool Known(const Access& a, const Clocks& clocks, const CtaClocks* own, const Fiber& f,
                  bool self, u32* lane, const u8* p) {
  u32 cta = a.cta();
  if (cta < core.base_cta) return true;
  bool mine = cta == f.cta->uid;
  const CtaClocks* known = mine && own ? own : clocks.Find(cta);
  u32 first = a.group() * 32, lanes = a.lanes;
  if (self && mine && first == (f.tid & ~31u)) lanes &= ~(1u << f.lane());
  for (; lanes; lanes &= lanes - 1) {
    u32 l = u32(std::countr_zero(lanes)), component = first + l;
    if (known && known->Knows(component, a.clock)) continue;
    constexpr u8 kStrongWrite = kStrong | kWrite;
    if (p && (a.flags() & kStrongWrite) == kStrongWrite &&
        WasObserved(f.known.observed, p, cta, component, a.clock)) {
      continue;
    }
    if (f.known.finished.Has(core.cta_info[cta].launch)) return true;
    *lane = l;
    return false;
  }
  return true;
}

bool MorallyStrong(const Access& a, const Access& b) {
  if (!(a.flags() & b.flags() & kStrong) || ((a.flags() ^ b.flags()) & (kWord8 | kAsyncProxy)) ||
      a.bytes() != b.bytes()) {
    return false;
  }
  return ScopeIncludes(a.scope(), a.cta(), b.cta()) && ScopeIncludes(b.scope(), a.cta(), b.cta());
}

void PushEntry(Cell& c, const Access& a) {
  u32 n = core.free_node;
  if (n) {
    core.free_node = core.nodes[n].next;
  } else {
    n = u32(core.nodes.size());
    core.nodes.emplace_back();
  }
  core.live_nodes++;
  core.nodes[n] = {a, c.more};
  c.more = n;
}

// Over the memory budget a list keeps eight random entries.
void SampleList(Cell& c) {
  u32 kept = 0;
  for (u32 n = c.more, prev = 0; n;) {
    u32 next = core.nodes[n].next;
    if (++kept > 8 && !(core.nodes[n].access.flags() & kWrite)) {
      core.nodes[prev].next = next;
      core.nodes[n].next = core.free_node;
      core.free_node = n;
      core.live_nodes--;
    } else {
      prev = n;
    }
    n = next;
  }
  core.sampled = true;
}

void ReportRace(const Access& old, u32 lane, const Access& now, Fiber& f, u8* p,
                RaceReason reason) {
  if (core.race_observer) return core.race_observer(p);
  Fail(RaceReport(old, lane, now, f, p, reason));
}

// Threads of one warp, or, unless the check is strict, of one CTA.
bool MayStoreTheSame(const Access& a, const Access& b) {
  return a.cta() == b.cta() && (a.group() == b.group() || !core.config.strict_stores);
}

void FoundRace(const Access& old, u32 lane, const Access& now, Fiber& f, u8* p, RaceReason reason) {
  // The same store in two lanes of a warp is a race only if the values differ: the old bytes are
  // kept and compared when the thread goes on. Programs end so in whole blocks, too: each thread
  // stores the sum that all of them hold.
  if (old.site >> 8 == now.site >> 8 && MayStoreTheSame(old, now) &&
      (old.flags() & now.flags() & kWrite) && !((old.flags() | now.flags()) & kAsyncProxy)) {
    Fiber::SameStore s{p, u32(std::popcount(now.bytes())), 0, old, now, lane};
    std::memcpy(&s.before, p, s.bytes);
    f.same_stores.push_back(s);
    return;
  }
  ReportRace(old, lane, now, f, p, reason);
}

// One access of one cell against all its entries.
template <bool kIsWrite>
class CellCheck {
 public:
  CellCheck(Cell& c, const Access& now, Fiber& f, bool engine, u8* p)
      : c_(c), now_(now), f_(f), engine_(engine), p_(p), flags_(now.flags()), bytes_(now.bytes()) {}

  void Run() {
    // Data of one thread: whatever is there is its own, hence ordered.
    if (!engine_ && !c_.more && IsOwn(c_.write) && IsOwn(c_.read)) {
      if (kIsWrite) {
        c_.write = now_;
        c_.read.who = 0;
      } else {
        c_.read = now_;
      }
      return;
    }
    // Counters and flags: equal strong operations excuse each other, nothing to check against. A
    // full scan now and then drops what is subsumed.
    if (c_.flat && Alike(c_.write.who ? c_.write : c_.read) && (core.Random() & 255)) return Keep();
    flat_ = flags_ & kStrong;
    if (Subsumed(c_.write)) c_.write.who = 0;
    if (Subsumed(c_.read)) c_.read.who = 0;
    for (u32 n = c_.more, prev = 0; n;) {
      ListNode& node = core.nodes[n];
      u32 next = node.next;
      bool drop = Subsumed(node.access);
      if (!drop && !kIsWrite && Merge(node.access)) {
        now_.lanes = node.access.lanes;
        drop = true;
      }
      if (drop) {
        if (prev) {
          core.nodes[prev].next = next;
        } else {
          c_.more = next;
        }
        core.nodes[n].next = core.free_node;
        core.free_node = n;
        core.live_nodes--;
      } else {
        prev = n;
      }
      n = next;
    }
    Keep();
    c_.flat = flat_;
  }

 private:
  bool IsOwn(const Access& a) const {
    return !a.who ||
           (a.who == now_.who && a.lanes == now_.lanes && !((a.flags() | flags_) & kStrong));
  }
  // Same strength, size and bytes, and in the scope: the two excuse each other, and one like either
  // is judged alike against others.
  bool Alike(const Access& a) const {
    constexpr u8 kStrength = kStrong | kScopeMask | kWord8;
    return !((a.flags() ^ flags_) & kStrength) && a.bytes() == bytes_ &&
           ScopeIncludes(now_.scope(), a.cta(), f_.cta->uid);
  }
  bool Merge(Access& a) const {
    if (a.who != now_.who || a.clock != now_.clock || a.site != now_.site) return false;
    a.lanes |= now_.lanes;
    return true;
  }
  void Keep() {
    Access& inline_entry = kIsWrite ? c_.write : c_.read;
    if (!inline_entry.who) {
      inline_entry = now_;
    } else if (!Merge(inline_entry)) {
      PushEntry(c_, inline_entry);
      inline_entry = now_;
      if (core.live_nodes * sizeof(ListNode) > core.config.shadow_budget) SampleList(c_);
    }
  }
  // Checks one entry; true if the new access stands for it from now on.
  bool Subsumed(const Access& a) {
    if (!a.who) return false;
    if (a.cta() < core.base_cta) return true;
    if (!(a.bytes() & bytes_)) {
      flat_ = false;
      return false;
    }
    if (a.cta() != f_.cta->uid && MorallyStrong(a, now_)) {
      flat_ = flat_ && Alike(a);  // no race whatever is known, and never dropped
      return false;
    }
    u32 lane = 0;
    bool before = Known(a, f_.known.before, f_.own, f_, true, &lane, p_);
    if ((kIsWrite || (a.flags() & kWrite)) && !before && !MorallyStrong(a, now_)) {
      FoundRace(a, lane, now_, f_, p_, RaceReason::kUnordered);
    }
    if (NeedsProxyFence(a) && !Known(a, f_.known.async, nullptr, f_, false, &lane, nullptr)) {
      FoundRace(a, lane, now_, f_, p_, RaceReason::kNoProxyFence);
    }
    // A strong access excuses other strong ones, so it may not stand for a weak or narrower one,
    // nor for one of another CTA (a narrower third may exclude that).
    bool drop = before && !(a.bytes() & ~bytes_) && (kIsWrite || !(a.flags() & kWrite)) &&
                (!(flags_ & kStrong) || (Alike(a) && a.cta() == f_.cta->uid));
    if (!drop) flat_ = flat_ && Alike(a);
    return drop;
  }
  // An async-proxy access needs every earlier write of its bytes to be visible to that proxy, if it
  // was generic, or asynchronous by another CTA. A generic read before an asynchronous write should
  // have the fence, too, by the letter; shipped kernels omit it.
  bool NeedsProxyFence(const Access& a) const {
    if (!(flags_ & kAsyncProxy)) return false;
    if ((a.flags() & kAsyncProxy) && a.cta() == f_.cta->uid) return false;
    return (a.flags() & kWrite) || (core.config.strict_proxy && kIsWrite);
  }

  Cell& c_;
  Access now_;
  Fiber& f_;
  bool engine_;
  u8* p_;
  u8 flags_;
  u32 bytes_;
  bool flat_ = false;
};

}  // namespace

void SettleSameStores(Fiber& f) {
  auto stores = std::move(f.same_stores);
  f.same_stores.clear();
  for (const auto& s : stores) {
    if (std::memcmp(s.address, &s.before, s.bytes) == 0) continue;
    ReportRace(s.other, s.other_lane, s.mine, f, s.address, RaceReason::kUnordered);
  }
}

void CheckAccess(u8* p, u64 bytes, u8 flags, Fiber& f, Kind kind, u32 index, u32 clock) {
  core.accesses++;
  Allocation* a = arena.At(p);
  if (!a || u64(p - a->base) + bytes > a->bytes) [[unlikely]] {
    Fail(BoundsReport(p, bytes, flags, f));
  }
  if (!f.same_stores.empty()) SettleSameStores(f);
  bool engine = kind != Kind::kThread;
  u32 component = engine ? ComponentBase(kind, f.cta->threads) + index : f.tid;
  Access now{f.cta->uid << 12 | (component / 32) << 4, engine ? clock : f.clock,
             1u << (component & 31), f.site << 8 | flags};
  const bool races = core.config.races;
  for (u8 *q = p, *end = p + bytes; q < end;) {
    u32 offset = u64(q) & 3, n = u32(std::min<u64>(4 - offset, u64(end - q)));
    u32 mask = (15u >> (4 - n)) << offset;
    Cell& c = arena.CellOf(q);
    Access part = now;
    part.who |= mask;
    if (flags & kWrite) {
      c.unwritten &= ~mask;
      if (races &&
          (engine || c.write.who != part.who || c.write.clock != part.clock ||
           c.write.lanes != part.lanes || c.write.site != part.site || c.read.who || c.more)) {
        CellCheck<true>(c, part, f, engine, q).Run();
      }
    } else {
      if (c.unwritten & mask) NoteUnwritten(f, q);
      if (races && (engine || c.read.who != part.who || c.read.clock != part.clock ||
                    !(c.read.lanes & part.lanes) || c.read.site != part.site)) {
        CellCheck<false>(c, part, f, engine, q).Run();
      }
    }
    q += n;
  }
}

}  // namespace tilescale::sim
