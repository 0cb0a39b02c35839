// SPDX-License-Identifier: MIT
// An independent judge of the race engine: it takes the trace of a run and builds causality order
// by closure, from the definitions of the PTX memory consistency model ("Synchronizes",
// "Observation Order", "Causality Order", "Data Races"). No clocks, no shadow; quadratic, for small
// programs.
#pragma once

#include "sim/types.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace tilescale::sim {

struct Event {
  enum class Kind { kAccess, kFence, kArrive, kLeave };
  Kind kind = Kind::kAccess;
  int thread = 0;
  // accesses
  u64 address = 0;  // place, the same for all ranks' names of it
  u32 bytes = 4;
  bool read = false, write = false;
  bool strong = false;
  bool reads_value = false;  // a strong load or read-modify-write; a reduction only replaces
  Sem sem = Sem::kRelaxed;   // also of fences: kAcqRel
  Scope scope = Scope::kGpu;
  int from = -1;  // the write whose value it read or replaced
  // fences
  bool sequential = false;
  // barriers: equal for all who take part in one phase
  u64 phase = 0;
};

struct ThreadPlace {
  u32 rank, cta;  // cta: unique over all ranks
};

class Oracle {
 public:
  Oracle(const std::vector<Event>& events, const std::vector<ThreadPlace>& threads)
      : e_(events), t_(threads), n_(int(events.size())), words_((events.size() + 63) / 64) {
    BuildBase();
    BuildObservation();
    causality_ = WithObservation(observed_);
    // Milder than the letter: a strong access before an observed write of its word may count as
    // observed, too, and so may what an atomic among them observed.
    auto mild = observed_;
    for (bool changed = true; changed;) {
      mild_causality_ = WithObservation(mild);
      changed = false;
      for (int z = 0; z < n_; ++z) {
        for (int w : std::set<int>(mild[size_t(z)])) {
          if (E(w).write && E(w).read) {
            for (int x : ObservedBy(w)) changed |= mild[size_t(z)].insert(x).second;
          }
          for (int x = 0; x < n_; ++x) {
            if (E(x).kind == Event::Kind::kAccess && E(x).strong && SameWord(x, w) && x != w &&
                Has(mild_causality_, x, w)) {
              changed |= mild[size_t(z)].insert(x).second;
            }
          }
        }
      }
    }
  }

  // Words of four bytes with a race: by the letter; by the milder rule.
  std::set<u64> Racing(bool mild) const {
    std::set<u64> words;
    const auto& order = mild ? mild_causality_ : causality_;
    for (int a = 0; a < n_; ++a) {
      for (int b = a + 1; b < n_; ++b) {
        if (!Conflict(a, b) || MorallyStrong(a, b) || Has(order, a, b) || Has(order, b, a))
          continue;
        const Event &x = E(a), &y = E(b);
        u64 first = std::max(x.address, y.address);
        u64 last = std::min(x.address + x.bytes, y.address + y.bytes) - 1;
        for (u64 w = first / 4; w <= last / 4; ++w) words.insert(w);
      }
    }
    return words;
  }

  // The trace, and the pairs that race on a word; for the message of a failed test.
  std::string Explain(u64 word) const {
    std::string text;
    for (int i = 0; i < n_; ++i) text += Line(i);
    for (int a = 0; a < n_; ++a) {
      for (int b = a + 1; b < n_; ++b) {
        const Event &x = E(a), &y = E(b);
        u64 first = std::max(x.address, y.address),
            last = std::min(x.address + x.bytes, y.address + y.bytes) - 1;
        if (!Conflict(a, b) || MorallyStrong(a, b) || first / 4 > word || last / 4 < word) continue;
        bool letter = !Has(causality_, a, b) && !Has(causality_, b, a);
        bool mild = !Has(mild_causality_, a, b) && !Has(mild_causality_, b, a);
        if (letter)
          text += "  " + std::to_string(a) + " and " + std::to_string(b) +
                  (mild ? " race\n" : " race by the letter\n");
      }
    }
    return text;
  }

  // Reads that returned a value older, in the order of the trace, than one that is before them in
  // causality order.
  int ForbiddenValues() const {
    int bad = 0;
    for (int r = 0; r < n_; ++r) {
      const Event& x = E(r);
      if (!x.strong || !x.reads_value || x.from < 0) continue;
      for (int w = x.from + 1; w < n_; ++w) {
        if (w != r && IsStrongWrite(w) && SameWord(w, r) && Has(causality_, w, r) &&
            !Has(causality_, r, w))
          ++bad;
      }
    }
    return bad;
  }

 private:
  using Matrix = std::vector<std::vector<u64>>;
  const Event& E(int i) const { return e_[size_t(i)]; }
  static bool Has(const Matrix& m, int a, int b) {
    return m[size_t(a)][size_t(b) / 64] >> (b % 64) & 1;
  }
  static void Add(Matrix& m, int a, int b) { m[size_t(a)][size_t(b) / 64] |= u64{1} << (b % 64); }

  std::string Line(int i) const {
    static const char* sems[] = {"weak", "relaxed", "acquire", "release", "acq_rel", "volatile"};
    static const char* scopes[] = {"cta", "cluster", "gpu", "sys"};
    const Event& x = E(i);
    const ThreadPlace& t = t_[size_t(x.thread)];
    std::string s = "  " + std::to_string(i) + " thread " + std::to_string(x.thread) + " (rank " +
                    std::to_string(t.rank) + " cta " + std::to_string(t.cta) + "): ";
    if (x.kind == Event::Kind::kArrive) return s + "arrive " + std::to_string(x.phase) + "\n";
    if (x.kind == Event::Kind::kLeave) return s + "leave " + std::to_string(x.phase) + "\n";
    if (x.kind == Event::Kind::kFence)
      return s + (x.sequential ? "fence.sc." : "fence.") + scopes[int(x.scope)] + "\n";
    s += std::string(x.read ? "read " : "") + (x.write ? "write " : "") + std::to_string(x.bytes) +
         " at rank " + std::to_string(x.address >> 20) + " word " +
         std::to_string((x.address & 0xfffff) / 4) + "+" + std::to_string(x.address % 4);
    if (x.strong)
      s += std::string(" ") + sems[int(x.sem)] + "." + scopes[int(x.scope)] +
           (x.reads_value ? "" : " blind");
    if (x.from >= 0) s += " from " + std::to_string(x.from);
    return s + "\n";
  }
  bool IsStrongWrite(int i) const {
    return E(i).kind == Event::Kind::kAccess && E(i).strong && E(i).write;
  }
  bool SameWord(int a, int b) const {
    return E(a).address == E(b).address && E(a).bytes == E(b).bytes;
  }
  bool Includes(Scope s, int a, int b) const {
    const ThreadPlace &x = t_[size_t(a)], &y = t_[size_t(b)];
    return s == Scope::kSys || (s == Scope::kGpu ? x.rank == y.rank : x.cta == y.cta);
  }
  bool ScopesMeet(int a, int b) const {
    return Includes(E(a).scope, E(a).thread, E(b).thread) &&
           Includes(E(b).scope, E(a).thread, E(b).thread);
  }
  bool MorallyStrong(int a, int b) const {
    return E(a).strong && E(b).strong && SameWord(a, b) && ScopesMeet(a, b);
  }
  bool Conflict(int a, int b) const {
    const Event &x = E(a), &y = E(b);
    if (x.kind != Event::Kind::kAccess || y.kind != Event::Kind::kAccess || x.thread == y.thread)
      return false;
    if (!x.write && !y.write) return false;
    return x.address < y.address + y.bytes && y.address < x.address + x.bytes;
  }

  // Writes that precede the read part of r in observation order.
  std::vector<int> ObservedBy(int r) const {
    std::vector<int> writes;
    for (int at = r; E(at).from >= 0;) {
      int w = E(at).from;
      if (!MorallyStrong(at, w)) break;
      writes.push_back(w);
      if (!E(w).read) break;  // only atomics hand on
      at = w;
    }
    return writes;
  }

  void BuildObservation() {
    observed_.resize(size_t(n_));
    for (int z = 0; z < n_; ++z) {
      const Event& x = E(z);
      if (x.kind != Event::Kind::kAccess || !x.strong || !x.reads_value) continue;
      for (int w : ObservedBy(z)) observed_[size_t(z)].insert(w);
    }
  }

  // First operations of the release patterns that end in the write w.
  std::vector<int> ReleasesOf(int w) const {
    std::vector<int> firsts;
    for (int x = 0; x <= w; ++x) {
      if (E(x).thread != E(w).thread) continue;
      bool release = IsStrongWrite(x) && SameWord(x, w) && Releases(E(x).sem);
      bool fence = E(x).kind == Event::Kind::kFence;
      if (release || fence) firsts.push_back(x);
    }
    return firsts;
  }
  // Last operations of the acquire patterns that begin with the read r.
  std::vector<int> AcquiresOf(int r) const {
    std::vector<int> lasts;
    for (int y = r; y < n_; ++y) {
      if (E(y).thread != E(r).thread) continue;
      bool acquire = E(y).kind == Event::Kind::kAccess && E(y).strong && E(y).reads_value &&
                     SameWord(y, r) && Acquires(E(y).sem);
      bool fence = E(y).kind == Event::Kind::kFence;
      if (acquire || fence) lasts.push_back(y);
    }
    return lasts;
  }

  void BuildBase() {
    base_.assign(size_t(n_), std::vector<u64>(words_));
    std::map<int, int> previous;
    for (int i = 0; i < n_; ++i) {  // program order
      auto p = previous.find(E(i).thread);
      if (p != previous.end()) Add(base_, p->second, i);
      previous[E(i).thread] = i;
    }
    for (int i = 0; i < n_; ++i) {
      const Event& x = E(i);
      if (x.kind == Event::Kind::kAccess && x.strong && x.reads_value) {
        for (int w : ObservedBy(i)) {
          for (int first : ReleasesOf(w)) {
            for (int last : AcquiresOf(i)) {
              if (ScopesMeet(first, last)) Add(base_, first, last);
            }
          }
        }
      }
      for (int j = i + 1; j < n_; ++j) {
        const Event& y = E(j);
        bool fences = x.kind == Event::Kind::kFence && y.kind == Event::Kind::kFence &&
                      x.sequential && y.sequential && ScopesMeet(i, j);
        bool barrier =
            x.kind == Event::Kind::kArrive && y.kind == Event::Kind::kLeave && x.phase == y.phase;
        if (fences || barrier) Add(base_, i, j);
      }
    }
    Close(base_);
  }

  void Close(Matrix& m) const {
    for (int k = 0; k < n_; ++k) {
      for (int i = 0; i < n_; ++i) {
        if (!Has(m, i, k)) continue;
        for (size_t w = 0; w < words_; ++w) m[size_t(i)][w] |= m[size_t(k)][w];
      }
    }
  }

  Matrix WithObservation(const std::vector<std::set<int>>& observed) const {
    Matrix m = base_;
    for (int z = 0; z < n_; ++z) {
      for (int x : observed[size_t(z)]) {
        for (size_t w = 0; w < words_; ++w) m[size_t(x)][w] |= base_[size_t(z)][w];
      }
    }
    return m;
  }

  const std::vector<Event>& e_;
  const std::vector<ThreadPlace>& t_;
  int n_;
  size_t words_;
  Matrix base_, causality_, mild_causality_;
  std::vector<std::set<int>> observed_;
};

}  // namespace tilescale::sim
