// SPDX-License-Identifier: MIT
// Who knows what: sparse vector clocks over *components*.
//
// A component is anything that completes in order: a thread (program order), an mbarrier (phases),
// a thread's cp.async groups, its bulk groups (source read; destination written), its nbi puts.
// Knowing component c of a CTA up to n means that all its accesses with a clock of at most n
// happened before. Asynchronous engines need no other mechanism: their accesses carry a component
// that nobody knows until its wait.
//
// Knowledge is a sorted list of CTAs, each with one dense vector over the CTA's components. Lists
// and vectors are shared and copied on write: after a barrier all threads of a CTA share one, a
// release copies one small vector, a join stops at equal pointers, and a CTA never heard of costs
// nothing.
#pragma once

#include "sim/types.h"

#include <map>
#include <vector>

namespace tilescale::sim {

enum class Kind : u8 { kThread, kMbarrier, kCpAsync, kBulkRead, kBulkDone, kNbi };
constexpr u32 kMaxMbarriers = 256;  // of one CTA

// Components of a CTA of `threads` threads (a multiple of 32) are numbered so that what most
// kernels use comes first, since vectors are dense: threads, their cp.async groups, mbarriers, then
// the threads' bulk groups and puts.
inline u32 ComponentBase(Kind kind, u32 threads) {
  switch (kind) {
    case Kind::kThread:
      return 0;
    case Kind::kCpAsync:
      return threads;
    case Kind::kMbarrier:
      return 2 * threads;
    default:
      return kMaxMbarriers + (2 + u32(kind) - u32(Kind::kBulkRead)) * threads;
  }
}

struct CtaClocks {
  int refs = 0;
  u32 cta = 0;
  u32 threads = 0;
  std::vector<u32> clock;  // by component; shorter means 0

  bool Knows(u32 component, u32 n) const {
    return component < clock.size() && clock[component] >= n;
  }
};

struct ClockList {
  int refs = 0;
  std::vector<Ref<CtaClocks>> ctas;  // sorted by cta
};

class Clocks {
 public:
  const CtaClocks* Find(u32 cta) const;
  void Set(u32 cta, u32 threads, u32 component, u32 n);
  void Join(const Clocks& other);
  // Forgets the CTAs for which `drop` holds.
  template <class F>
  void Remove(F&& drop);
  const ClockList* identity() const { return list_.get(); }
  Ref<ClockList> hold() const { return list_; }

 private:
  Ref<CtaClocks>* Slot(u32 cta, u32 threads);
  CtaClocks* Own(u32 cta, u32 threads);
  Ref<ClockList> list_;
};

// Address and size of a word used by strong operations. Words of other sizes are never morally
// strong to each other, so they are different words.
using WordKey = u64;
inline WordKey KeyOf(const void* p, u32 size) {
  return reinterpret_cast<u64>(p) << 4 | size;
}

// Which writes of each strong word were read ("Observation Order"), as intervals of write numbers.
struct ObservedWords {
  int refs = 0;
  std::map<WordKey, std::map<u64, u64>> words;  // last -> first
};

class Observed {
 public:
  void Add(WordKey word, u64 first, u64 last);
  void Join(const Observed& other);
  const std::map<u64, u64>* Find(WordKey word) const;
  bool empty() const { return !set_; }

 private:
  ObservedWords* Own();
  Ref<ObservedWords> set_;
};

// Launches that are known to be over, with all they did.
struct LaunchSet {
  int refs = 0;
  std::vector<u32> ids;  // sorted
};

class Finished {
 public:
  bool Has(u32 launch) const;
  void Add(u32 launch);
  void Join(const Finished& other);

 private:
  Ref<LaunchSet> set_;
};

// What a thread knows. `before`: happened before; `async`: the part that is also visible to the
// async proxy (a generic write must be in it before an asynchronous engine may touch its bytes).
struct Knowledge {
  Clocks before;
  Clocks async;
  Observed observed;
  Finished finished;

  void Join(const Knowledge& other) {
    observed.Join(other.observed);
    before.Join(other.before);
    async.Join(other.async);
    finished.Join(other.finished);
  }
};

template <class F>
void Clocks::Remove(F&& drop) {
  if (!list_) return;
  Ref<ClockList> kept(new ClockList);
  for (const auto& c : list_->ctas) {
    if (!drop(c->cta)) kept->ctas.push_back(c);
  }
  list_ = kept;
}

}  // namespace tilescale::sim
