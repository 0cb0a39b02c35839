// SPDX-License-Identifier: MIT
// Asynchronous engines. An access is entered in the shadow at issue, with a component that nobody
// knows yet; the bytes move as late as permitted: at the wait that requires it, when nothing else
// can run, or at random earlier. So touching source or destination too early is a race at every
// seed.
#include "sim/core.h"
#include "sim/report.h"

#include <algorithm>
#include <cstring>

namespace tilescale::sim {
namespace {

// Arrivals on mbarriers whose copies have all landed.
void SettleArrivals(Fiber& f) {
  for (size_t i = 0; i < f.arrivals.size();) {
    CopyArrival a = f.arrivals[i];
    bool open = std::any_of(f.copies.begin(), f.copies.end(), [&](const Copy& c) {
      return c.kind == Kind::kCpAsync && c.clock <= a.clock;
    });
    if (open) {
      ++i;
      continue;
    }
    f.arrivals.erase(f.arrivals.begin() + long(i));
    Cta& c = *f.cta;
    // The phase publishes the copies up to here, and nothing else of the thread.
    a.mbarrier->sum.before.Set(c.uid, c.threads, ComponentBase(Kind::kCpAsync, c.threads) + f.tid,
                               a.clock);
    MbarrierCount(c, *a.mbarrier, nullptr);
  }
}

void Land(Fiber& f, size_t i) {
  Copy copy = f.copies[i];
  f.copies[i] = f.copies.back();
  f.copies.pop_back();
  f.cta->in_flight--;
  core.progress++;
  std::memcpy(copy.to, copy.from, copy.valid);
  std::memset(copy.to + copy.valid, 0, copy.bytes - copy.valid);
  if (copy.mbarrier) MbarrierLanded(*f.cta, *copy.mbarrier, copy.bytes);
  if (!f.arrivals.empty()) SettleArrivals(f);
}

// A wait: copies up to the clock land now.
void Force(Fiber& f, Kind kind, u32 upto) {
  for (size_t i = 0; i < f.copies.size();) {
    if (f.copies[i].kind == kind && f.copies[i].clock <= upto) {
      Land(f, i);
    } else {
      ++i;
    }
  }
}

void LearnEngine(Fiber& f, Kind kind, u32 upto) {
  f.known.before.Set(f.cta->uid, f.cta->threads, ComponentBase(kind, f.cta->threads) + f.tid, upto);
  f.own = f.known.before.Find(f.cta->uid);
}

void Issue(Fiber& f, const Copy& copy, u32 index, bool async_proxy) {
  u8 proxy = async_proxy ? kAsyncProxy : 0;
  Kind reads = copy.kind == Kind::kBulkDone ? Kind::kBulkRead : copy.kind;
  if (copy.valid) {
    CheckAccess(const_cast<u8*>(copy.from), copy.valid, proxy, f, reads, index, copy.clock);
  }
  CheckAccess(copy.to, copy.bytes, u8(kWrite | proxy), f, copy.kind, index, copy.clock);
  f.polled.clear();
  f.copies.push_back(copy);
  f.cta->in_flight++;
  if (!core.config.late_copies) Land(f, f.copies.size() - 1);
}

void CheckAlignment(Fiber& f, const u8* p, u32 bytes, u32 alignment) {
  if (u64(p) & (alignment - 1)) Fail(AlignmentReport(p, bytes, alignment, f));
}

// Bulk copies: addresses and size are multiples of 16.
void CheckBulk(Fiber& f, const u8* to, const u8* from, u32 bytes) {
  constexpr u32 kBulk = 16;
  CheckAlignment(f, to, bytes, kBulk);
  CheckAlignment(f, from, bytes, kBulk);
  if (bytes % kBulk) {
    Report r = AlignmentReport(to, bytes, kBulk, f);
    r.text = "bulk copy of " + std::to_string(bytes) +
             " bytes: the size must be a multiple of 16\n    by " + NameOf(f) + " at " +
             LineOf(f.site).text();
    Fail(std::move(r));
  }
}

void CheckUse(Cta& c, const CtaClocks* known, Kind kind, u32 index, const EngineUse& use,
              const char* engine) {
  u32 component = ComponentBase(kind, c.threads) + index;
  if (!use.clock || (known && known->Knows(component, use.clock))) return;
  Fiber& f = c.fibers[use.tid];
  f.site = use.site;
  Fail(EngineReport(f, std::string("its CTA ended and nobody had waited for this ") + engine,
                    use.shared));
}

}  // namespace

void LandAny(Cta& c) {
  size_t n = c.fibers.size(), first = core.Random() % n;
  for (size_t i = 0; i < n; ++i) {
    Fiber& f = c.fibers[(first + i) % n];
    if (!f.copies.empty()) return Land(f, core.Random() % f.copies.size());
  }
}

void CpAsync(Fiber& f, u8* to, u8* from, u32 bytes, u32 valid) {
  CheckAlignment(f, to, bytes, bytes);
  if (valid) CheckAlignment(f, from, bytes, bytes);
  f.last_cp_async = {f.cp_async_clock, f.site, f.tid, to};
  Issue(f, {to, from, bytes, valid, Kind::kCpAsync, f.cp_async_clock, nullptr}, f.tid, false);
}

void CpAsyncCommit(Fiber& f) {
  f.cp_async_commits.push_back(f.cp_async_clock++);
}

void CpAsyncWait(Fiber& f, u32 groups) {
  auto& commits = f.cp_async_commits;
  if (commits.size() <= groups) return;
  size_t done = commits.size() - groups;
  u32 upto = commits[done - 1];
  commits.erase(commits.begin(), commits.begin() + long(done));
  Force(f, Kind::kCpAsync, upto);
  LearnEngine(f, Kind::kCpAsync, upto);
}

void CpAsyncWaitAll(Fiber& f) {
  CpAsyncCommit(f);
  CpAsyncWait(f, 0);
}

void CpAsyncArrive(Fiber& f, u8* bar) {
  Mbarrier& m = MbarrierTouch(f, bar);
  f.arrivals.push_back({&m, f.cp_async_clock++});
  f.polled.clear();
  SettleArrivals(f);
}

void BulkLoad(Fiber& f, u8* to, u8* from, u32 bytes, u8* bar) {
  CheckBulk(f, to, from, bytes);
  Mbarrier& m = MbarrierTouch(f, bar);
  m.in_flight++;
  m.last_load = {m.phase + 1, f.site, f.tid, to};
  Issue(f, {to, from, bytes, bytes, Kind::kMbarrier, m.phase + 1, &m}, m.index, true);
}

void BulkStore(Fiber& f, u8* to, u8* from, u32 bytes) {
  CheckBulk(f, to, from, bytes);
  f.last_bulk_store = {f.bulk_group, f.site, f.tid, from};
  Issue(f, {to, from, bytes, bytes, Kind::kBulkDone, f.bulk_group, nullptr}, f.tid, true);
}

void BulkWait(Fiber& f, u32 groups, bool read_only) {
  if (f.bulk_group - 1 <= groups) return;
  u32 upto = f.bulk_group - 1 - groups;
  Force(f, Kind::kBulkDone, upto);
  LearnEngine(f, Kind::kBulkRead, upto);
  if (!read_only) LearnEngine(f, Kind::kBulkDone, upto);
}

void PutNbi(Fiber& f, u8* to, u8* from, u32 bytes) {
  Issue(f, {to, from, bytes, bytes, Kind::kNbi, f.nbi_count, nullptr}, f.tid, false);
}

void Quiet(Fiber& f) {
  u32 upto = f.nbi_count++;
  Force(f, Kind::kNbi, upto);
  LearnEngine(f, Kind::kNbi, upto);
}

void FenceProxyAsync(Fiber& f) {
  f.known.async = Publish(f).before;
}

void CheckEnginesDone(Cta& c, const Knowledge& last) {
  const CtaClocks* known = last.before.Find(c.uid);
  for (Fiber& f : c.fibers) {
    CheckUse(c, known, Kind::kCpAsync, f.tid, f.last_cp_async, "cp.async");
    CheckUse(c, known, Kind::kBulkRead, f.tid, f.last_bulk_store, "bulk store");
  }
  for (auto& [p, m] : c.mbarriers)
    CheckUse(c, known, Kind::kMbarrier, m.index, m.last_load, "bulk load");
}

}  // namespace tilescale::sim
