// SPDX-License-Identifier: MIT
#include "sim/clock.h"

#include "sim/core.h"

#include <algorithm>

namespace tilescale::sim {
namespace {

bool Covers(const CtaClocks& a, const CtaClocks& b) {
  for (size_t i = 0; i < b.clock.size(); ++i) {
    if (b.clock[i] > (i < a.clock.size() ? a.clock[i] : 0)) return false;
  }
  return true;
}

}  // namespace

const CtaClocks* Clocks::Find(u32 cta) const {
  if (!list_) return nullptr;
  const auto& v = list_->ctas;
  size_t lo = 0, hi = v.size();
  while (lo < hi) {
    size_t mid = (lo + hi) / 2;
    if (v[mid]->cta < cta) {
      lo = mid + 1;
    } else {
      hi = mid;
    }
  }
  return lo < v.size() && v[lo]->cta == cta ? v[lo].get() : nullptr;
}

Ref<CtaClocks>* Clocks::Slot(u32 cta, u32 threads) {
  if (!list_) {
    list_ = Ref<ClockList>(new ClockList);
  } else if (list_->refs > 1) {
    auto* copy = new ClockList;
    copy->ctas = list_->ctas;
    list_ = Ref<ClockList>(copy);
  }
  auto& v = list_->ctas;
  auto it = std::lower_bound(v.begin(), v.end(), cta,
                             [](const Ref<CtaClocks>& a, u32 c) { return a->cta < c; });
  if (it == v.end() || (*it)->cta != cta) {
    auto* fresh = new CtaClocks;
    fresh->cta = cta;
    fresh->threads = threads;
    fresh->clock.resize(threads);
    it = v.insert(it, Ref<CtaClocks>(fresh));
  }
  return &*it;
}

CtaClocks* Clocks::Own(u32 cta, u32 threads) {
  Ref<CtaClocks>* slot = Slot(cta, threads);
  if ((*slot)->refs > 1) {
    auto* copy = new CtaClocks;
    copy->cta = cta;
    copy->threads = threads;
    copy->clock = (*slot)->clock;
    *slot = Ref<CtaClocks>(copy);
  }
  return slot->get();
}

void Clocks::Set(u32 cta, u32 threads, u32 component, u32 n) {
  const CtaClocks* known = Find(cta);
  if (known && known->Knows(component, n)) return;
  CtaClocks* own = Own(cta, threads);
  if (own->clock.size() <= component) own->clock.resize(component + 1);
  own->clock[component] = n;
}

void Clocks::Join(const Clocks& other) {
  if (!other.list_ || other.list_.get() == list_.get()) return;
  if (!list_) {
    list_ = other.list_;
    return;
  }
  Ref<ClockList> keep = other.list_;  // other may be a part of what this join changes
  size_t j = 0;
  for (const auto& b : keep->ctas) {
    if (b->cta < core.base_cta) continue;
    while (j < list_->ctas.size() && list_->ctas[j]->cta < b->cta) ++j;
    const CtaClocks* a =
        j < list_->ctas.size() && list_->ctas[j]->cta == b->cta ? list_->ctas[j].get() : nullptr;
    if (a == b.get() || (a && Covers(*a, *b))) continue;
    Ref<CtaClocks>* slot = Slot(b->cta, b->threads);
    if (!a || Covers(*b, **slot)) {
      *slot = b;
      continue;
    }
    CtaClocks* own = Own(b->cta, b->threads);
    if (own->clock.size() < b->clock.size()) own->clock.resize(b->clock.size());
    for (size_t i = 0; i < b->clock.size(); ++i) {
      own->clock[i] = std::max(own->clock[i], b->clock[i]);
    }
  }
}

ObservedWords* Observed::Own() {
  if (!set_) {
    set_ = Ref<ObservedWords>(new ObservedWords);
  } else if (set_->refs > 1) {
    auto* copy = new ObservedWords;
    copy->words = set_->words;
    set_ = Ref<ObservedWords>(copy);
  }
  return set_.get();
}

const std::map<u64, u64>* Observed::Find(WordKey word) const {
  if (!set_) return nullptr;
  auto it = set_->words.find(word);
  return it == set_->words.end() ? nullptr : &it->second;
}

void Observed::Add(WordKey word, u64 first, u64 last) {
  if (const auto* intervals = Find(word)) {
    auto i = intervals->lower_bound(last);
    if (i != intervals->end() && i->second <= first) return;
  }
  auto& intervals = Own()->words[word];
  auto i = intervals.lower_bound(first - 1);
  while (i != intervals.end() && i->second <= last + 1) {
    first = std::min(first, i->second);
    last = std::max(last, i->first);
    i = intervals.erase(i);
  }
  intervals[last] = first;
}

void Observed::Join(const Observed& other) {
  if (!other.set_ || other.set_.get() == set_.get()) return;
  if (!set_) {
    set_ = other.set_;
    return;
  }
  Ref<ObservedWords> keep = other.set_;
  for (const auto& [word, intervals] : keep->words) {
    for (const auto& [last, first] : intervals) Add(word, first, last);
  }
}

bool Finished::Has(u32 launch) const {
  return set_ && std::binary_search(set_->ids.begin(), set_->ids.end(), launch);
}

void Finished::Add(u32 launch) {
  if (Has(launch)) return;
  Ref<LaunchSet> copy(new LaunchSet);
  if (set_) copy->ids = set_->ids;
  copy->ids.insert(std::lower_bound(copy->ids.begin(), copy->ids.end(), launch), launch);
  set_ = copy;
}

void Finished::Join(const Finished& other) {
  if (!other.set_ || other.set_.get() == set_.get()) return;
  if (!set_) {
    set_ = other.set_;
    return;
  }
  std::vector<u32> all;
  std::set_union(set_->ids.begin(), set_->ids.end(), other.set_->ids.begin(), other.set_->ids.end(),
                 std::back_inserter(all));
  if (all.size() == set_->ids.size()) return;
  if (all.size() == other.set_->ids.size()) {
    set_ = other.set_;
    return;
  }
  set_ = Ref<LaunchSet>(new LaunchSet);
  set_->ids = std::move(all);
}

}  // namespace tilescale::sim
