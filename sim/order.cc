// SPDX-License-Identifier: MIT
// Strong operations and fences: how knowledge travels ("Release and Acquire Patterns", "Observation
// Order", "Fence-SC Order" of the PTX memory consistency model), and which values loads may return.
#include "sim/core.h"
#include "sim/report.h"

#include <algorithm>
#include <cstring>

namespace tilescale::sim {
namespace {

constexpr size_t kHistory = 4;     // values that a word remembers
constexpr u32 kMaxOlderInRow = 3;  // older values a thread may get one after the other
constexpr size_t kMaxPolled = 8;
constexpr size_t kMaxNarrow = 4;
constexpr size_t kMaxOlderRecords = 64;

// Adds a release to those a value carries. A few are kept apart by CTA (a reader with CTA scope
// learns from its own only), longer chains become one.
void AddRelease(std::vector<Release>& list, Release r) {
  bool merge_all = list.size() >= 8;
  for (size_t i = 0; i < list.size();) {
    Release& o = list[i];
    bool same_source = o.cta == r.cta || o.cta == kSeveral;
    if (o.scope != r.scope || o.rank != r.rank || !(merge_all || same_source)) {
      ++i;
      continue;
    }
    if (o.cta != r.cta) r.cta = kSeveral;
    o.knowledge.Join(r.knowledge);
    r.knowledge = std::move(o.knowledge);
    list.erase(list.begin() + long(i));
  }
  list.push_back(std::move(r));
}

class StrongOp {
 public:
  StrongOp(Fiber& f, const StrongAccess& a)
      : f_(f),
        a_(a),
        key_(KeyOf(a.address, a.bytes)),
        reads_(a.op != Op::kStore && a.op != Op::kReduce) {}

  u64 Run() {
    u64 old = LoadNewest();
    size_t i = ChooseValue();
    // A load that would only repeat itself sleeps first, and leaves no trace of the vain attempt:
    // what it did not return it may not learn from.
    if (a_.op == Op::kLoad && Repeats(word_->values[i].value)) {
      Sleep();
      old = LoadNewest();
      i = ChooseValue();
    }
    bool writes = a_.op != Op::kLoad && !(a_.op == Op::kCas && old != a_.expected);
    u64 got = word_->values[i].value;
    u64 first = word_->values[i].chain, last = Number(i);
    if (reads_) Acquire(word_->values[i]);
    // After what it learnt (an acquire is itself ordered after the release), before what it
    // observed.
    u8 flags = u8(StrongFlags(a_.scope, a_.bytes) | (writes ? kWrite : 0));
    CheckAccess(a_.address, a_.bytes, flags, f_);
    if (reads_) Observe(word_->values[i], first, last);
    if (writes && Write(old)) return got;
    if (a_.op != Op::kLoad && Repeats(got)) Sleep();
    if (f_.polled.size() == kMaxPolled) f_.polled.clear();
    f_.polled.push_back({a_.address, got, a_.bytes});
    return got;
  }

 private:
  u64 Number(size_t i) const { return word_->writes - (word_->values.size() - 1 - i); }
  bool Visible(const Release& r) const { return ScopeIncludes(r.scope, r.rank, r.cta, f_); }
  bool Sees(const Release& r) const { return ScopeIncludes(a_.scope, r.rank, r.cta, f_); }
  // Morally strong with the write of this value.
  bool StrongWith(const WordValue& v) const {
    u32 rank = core.cta_info[v.cta].rank;
    return ScopeIncludes(v.scope, rank, v.cta, f_) && ScopeIncludes(a_.scope, rank, v.cta, f_);
  }
  bool KnowsWrite(const WordValue& v) const {
    if (v.cta < core.base_cta) return true;
    const CtaClocks* c = f_.known.before.Find(v.cta);
    return (c && c->Knows(v.component, v.clock)) ||
           f_.known.finished.Has(core.cta_info[v.cta].launch);
  }
  bool OwnWrite(const WordValue& v) const { return v.cta == f_.cta->uid && v.component == f_.tid; }

  u64 LoadNewest() {
    Allocation* al = arena.At(a_.address);
    if (!al || u64(a_.address - al->base) + a_.bytes > al->bytes) {
      Fail(BoundsReport(a_.address, a_.bytes, a_.op == Op::kLoad ? 0 : kWrite, f_));
    }
    u64 value = 0;
    std::memcpy(&value, a_.address, a_.bytes);
    // A cell has a bit for each of its four bytes.
    const u32 mine = a_.bytes < 4 ? ((1u << a_.bytes) - 1) << (u64(a_.address) & 3) : 15;
    if (a_.op != Op::kStore && (arena.CellOf(a_.address).unwritten & mine)) {
      NoteUnwritten(f_, a_.address);
    }
    word_ = &core.words[key_];
    if (word_->values.empty() || word_->values.back().value != value) {
      word_->values.clear();  // written by the host or by a plain store
      Push({value, 0, 0, 0, {}, ~u64{0}, Scope::kCta, false});
    }
    return value;
  }

  void Push(WordValue v) {
    if (v.chain > word_->writes) v.chain = word_->writes + 1;
    word_->log.push_back({v.cta, v.component, v.clock});
    word_->values.push_back(std::move(v));
    word_->writes++;
  }

  // A load may return an older value unless the thread knows a newer write or a newer read.
  size_t ChooseValue() {
    const size_t newest = word_->values.size() - 1;
    size_t i = newest;
    if (a_.op != Op::kLoad || !core.config.older_values || f_.older_in_row >= kMaxOlderInRow ||
        (core.Random() & 3)) {
      f_.older_in_row = 0;
      return i;
    }
    u64 low = 0;
    if (const auto* seen = f_.known.observed.Find(key_)) low = seen->rbegin()->first;
    while (i > 0 && Number(i) > low) {
      const WordValue& v = word_->values[i];
      if (OwnWrite(v) || KnowsWrite(v)) break;
      i--;
      f_.older_in_row++;
    }
    if (i != newest) Record(word_->values[i].value, word_->values[newest].value);
    return i;
  }
  void Record(u64 got, u64 newest) {
    if (core.older_values.size() >= kMaxOlderRecords) return;
    OlderValue v;
    v.place = PlaceOf(a_.address).text;
    v.line = int(f_.site);  // a code position until TakeOlderValues looks the line up
    v.got = got;
    v.newest = newest;
    v.rank = f_.cta->rank;
    core.older_values.push_back(std::move(v));
  }

  // Learns from the releases that the value carries, or keeps them aside for a fence or an acquire
  // of the same word.
  void Acquire(const WordValue& v) {
    if (StrongWith(v)) {
      for (const Release& r : v.releases) {
        if (!Visible(r)) {
          NoteNarrow(r);
        } else if (Acquires(a_.sem) && Sees(r)) {
          Learn(f_, r.knowledge);
        } else {
          KeepPending(r);
        }
      }
    } else {
      for (const Release& r : v.releases) NoteNarrow(r);
    }
    if (!Acquires(a_.sem) || !f_.order_state || f_.order_state->pending.empty()) return;
    std::vector<Release> keep;
    for (Release& r : f_.order_state->pending) {
      if (r.word == key_ && Sees(r)) {
        Learn(f_, r.knowledge);
      } else {
        keep.push_back(std::move(r));
      }
    }
    f_.order_state->pending = std::move(keep);
  }
  void KeepPending(const Release& r) {
    auto& pending = f_.order().pending;
    for (const Release& x : pending) {
      if (x.word == key_ && x.knowledge.before.identity() == r.knowledge.before.identity()) return;
    }
    pending.push_back(r);
    pending.back().word = key_;
  }
  // Only for the words of a report: a release that was read, but with too narrow a scope.
  void NoteNarrow(const Release& r) {
    if (r.cta == f_.cta->uid) return;
    auto& narrow = f_.order().narrow;
    if (narrow.size() >= kMaxNarrow) narrow.erase(narrow.begin());
    narrow.push_back(r);
  }

  // The write that was read (and the read-modify-writes before it) is before all that follows.
  void Observe(const WordValue& v, u64 first, u64 last) {
    if (!StrongWith(v)) return;
    if (!v.reduction && v.cta >= core.base_cta) {
      const CtaClocks* c = f_.known.before.Find(v.cta);
      if (c && c->Knows(v.component, v.clock)) return;
    }
    f_.known.observed.Add(key_, first, last);
  }

  // Returns true if the operation changed something (or is a plain strong store).
  bool Write(u64 old) {
    u64 value = a_.op == Op::kStore || a_.op == Op::kCas ? a_.operand
                                                         : a_.update(old, a_.operand, a_.bytes);
    if (a_.bytes < 8) value &= (u64{1} << 8 * a_.bytes) - 1;
    WordValue v{value, f_.cta->uid, f_.tid, f_.clock, {}, ~u64{0}, a_.scope, false};
    const WordValue& before = word_->values.back();
    bool rmw = a_.op != Op::kStore && StrongWith(before);
    if (rmw) v.releases = before.releases;  // only read-modify-writes continue others' sequences
    v.reduction = rmw && (a_.op == Op::kReduce || before.reduction);
    // A write known to the writer comes before it for those who read it, as well.
    if (rmw || OwnWrite(before) || KnowsForChain(before)) v.chain = before.chain;
    if (Releases(a_.sem)) {
      Release r{a_.scope, f_.cta->rank, f_.cta->uid, Publish(f_), 0};
      AddRelease(f_.order().own[key_], std::move(r));
    } else {
      f_.clock++;
    }
    if (f_.order_state) {
      // An earlier release of this word by this thread goes on with any strong write of it, and
      // what fences published with any strong write at all.
      auto own = f_.order_state->own.find(key_);
      if (own != f_.order_state->own.end()) {
        for (const Release& r : own->second) AddRelease(v.releases, r);
      }
      for (const Release& r : f_.order_state->fenced) AddRelease(v.releases, r);
    }
    Push(std::move(v));
    if (word_->values.size() > kHistory) word_->values.erase(word_->values.begin());
    std::memcpy(a_.address, &value, a_.bytes);
    if (value == old && a_.op != Op::kStore) return false;
    core.progress++;
    f_.polled.clear();
    return true;
  }
  bool KnowsForChain(const WordValue& v) const {
    const CtaClocks* c = f_.known.before.Find(v.cta);
    return c && c->Knows(v.component, v.clock);
  }

  // An (address, value) read again since the thread last did something else: it sleeps until one of
  // the polled values changes. Nothing is guessed about loops: the scheduler wakes it again.
  bool Repeats(u64 got) const {
    for (const auto& p : f_.polled) {
      if (p.address == a_.address && p.value == got) return true;
    }
    return false;
  }
  void Sleep() {
    Poll(f_);
    f_.polled.clear();
  }

  Fiber& f_;
  const StrongAccess& a_;
  WordKey key_;
  bool reads_;
  StrongWord* word_ = nullptr;
};

}  // namespace

Knowledge Publish(Fiber& f) {
  Knowledge k = f.known;
  k.before.Set(f.cta->uid, f.cta->threads, f.tid, f.clock);
  f.clock++;
  return k;
}

void Learn(Fiber& f, const Knowledge& k) {
  f.known.Join(k);
  f.own = f.known.before.Find(f.cta->uid);
}

bool ScopeIncludes(Scope scope, u32 rank, u32 cta, const Fiber& f) {
  if (scope == Scope::kSys) return true;
  if (rank != f.cta->rank) return false;
  if (scope == Scope::kGpu || cta == f.cta->uid) return true;
  return scope == Scope::kCluster && cta != kSeveral &&
         core.cta_info[cta].cluster == core.cta_info[f.cta->uid].cluster;
}

void CheckPeer(Fiber& f, const u8* p, bool write) {
  if (f.moves > 0) return;
  const Allocation* a = arena.At(p);
  if (a && a->symmetric && a->rank != f.cta->rank) Fail(PeerReport(p, write, f));
}

u64 Strong(Fiber& f, const StrongAccess& access) {
  // What changes a peer's word and asks for nothing back is a signal.
  if (!core.config.peer_access && access.op == Op::kLoad) CheckPeer(f, access.address, false);
  if (core.Random() & 1) Yield();
  if (u64(access.address) & (access.bytes - 1)) {
    Fail(AlignmentReport(access.address, access.bytes, access.bytes, f));
  }
  return StrongOp(f, access).Run();
}

void Fence(Fiber& f, Scope scope, bool sequential) {
  OrderState& order = f.order();
  std::vector<Release> keep;
  for (Release& r : order.pending) {
    if (ScopeIncludes(r.scope, r.rank, r.cta, f) && ScopeIncludes(scope, r.rank, r.cta, f)) {
      Learn(f, r.knowledge);
    } else {
      keep.push_back(std::move(r));
    }
  }
  order.pending = std::move(keep);
  // fence.sc joins, and is joined by, one record for each level up to its scope.
  const CtaInfo& info = core.cta_info[f.cta->uid];
  const u64 instance[] = {f.cta->uid, info.cluster, f.cta->rank, 0};
  auto record = [&](int level) -> Knowledge& {
    return core.sequential[u64(level) << 32 | instance[level]];
  };
  int levels = sequential ? int(scope) + 1 : 0;
  for (int i = 0; i < levels; ++i) Learn(f, record(i));
  Release published{scope, f.cta->rank, f.cta->uid, Publish(f), 0};
  for (int i = 0; i < levels; ++i) record(i).Join(published.knowledge);
  for (Release& r : order.fenced) {
    if (r.scope == scope) {
      r = std::move(published);
      return;
    }
  }
  order.fenced.push_back(std::move(published));
}

}  // namespace tilescale::sim
