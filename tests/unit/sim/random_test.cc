// SPDX-License-Identifier: MIT
// Random programs of plain and strong accesses, fences and barriers, judged by the oracle, word for
// word: no racing word missed, none reported falsely. TILESCALE_TEST_PROGRAMS sets how many; a
// failure prints its number, which TILESCALE_TEST_FIRST begins with.
#include "sim/core.h"
#include "tests/unit/sim/harness.h"
#include "tests/unit/sim/oracle.h"

#include <cstdio>
#include <gtest/gtest.h>
#include <random>
#include <tilescale/ptx/atomic.cuh>
#include <tilescale/ptx/barrier.cuh>
#include <tilescale/ptx/fence.cuh>
#include <tilescale/ptx/ldst.cuh>

extern "C" {
void __tsan_read1(void*);
void __tsan_read2(void*);
void __tsan_read4(void*);
void __tsan_write1(void*);
void __tsan_write2(void*);
void __tsan_write4(void*);
}

namespace tilescale::sim {
namespace {

constexpr u32 kWords = 6;  // of four bytes, on every rank

struct Step {
  enum class Kind {
    kPlainRead,
    kPlainWrite,
    kLoad,
    kStore,
    kExchange,
    kCas,
    kReduce,
    kFence,
    kCtaSync,
    kBar,
    kWarpSync
  };
  Kind kind = Kind::kPlainRead;
  u32 rank = 0, offset = 0, bytes = 4;
  Sem sem = Sem::kRelaxed;
  Scope scope = Scope::kGpu;
  bool sequential = false;
  u32 id = 0, count = 0, mask = 0;  // of barriers
  u64 phase = 0;
};

struct Program {
  u32 ranks = 1, ctas = 1, warps = 1;
  // By (rank, cta, thread); threads without an entry exit at once.
  std::map<std::tuple<u32, u32, u32>, std::vector<Step>> threads;
  std::map<std::tuple<u32, u32, u32>, int> number;
  std::vector<ThreadPlace> places;
};

class Generator {
 public:
  explicit Generator(u64 seed) : random_(seed) {}

  Program Make() {
    Program p;
    p.ranks = 1 + (Roll(3) == 0);
    p.ctas = 1 + Roll(3);
    p.warps = 1 + Roll(3);
    for (u32 r = 0; r < p.ranks; ++r) {
      for (u32 c = 0; c < p.ctas; ++c) AddCta(p, r, c);
    }
    for (auto& [place, steps] : p.threads) {
      p.number[place] = int(p.places.size());
      auto [rank, cta, tid] = place;
      p.places.push_back({rank, rank * p.ctas + cta});
    }
    return p;
  }

 private:
  u32 Roll(u32 n) { return u32(random_() % n); }

  void AddCta(Program& p, u32 rank, u32 cta) {
    std::vector<std::vector<u32>> active(p.warps);  // lanes by warp
    for (u32 w = 0; w < p.warps; ++w) {
      u32 lanes = 1 + Roll(3);
      while (active[w].size() < lanes) {
        u32 lane = Roll(32);
        if (std::find(active[w].begin(), active[w].end(), lane) == active[w].end())
          active[w].push_back(lane);
      }
    }
    auto at = [&](u32 w, u32 lane) -> std::vector<Step>& {
      return p.threads[{rank, cta, w * 32 + lane}];
    };
    u32 rounds = 2 + Roll(4);
    for (u32 i = 0; i < rounds; ++i) {
      for (u32 w = 0; w < p.warps; ++w) {
        for (u32 lane : active[w]) {
          for (u32 n = Roll(5); n > 0; --n) at(w, lane).push_back(Access(p, rank));
        }
      }
      AddBarrier(p, active, at);
    }
  }

  template <class At>
  void AddBarrier(Program& p, const std::vector<std::vector<u32>>& active, At&& at) {
    Step s;
    s.phase = ++phases_;
    u32 kind = Roll(5);
    if (kind == 0) {
      s.kind = Step::Kind::kCtaSync;
      for (u32 w = 0; w < p.warps; ++w) {
        for (u32 lane : active[w]) at(w, lane).push_back(s);
      }
    } else if (kind == 1) {
      s.kind = Step::Kind::kWarpSync;
      u32 w = Roll(p.warps);
      bool full = Roll(2);
      for (u32 lane : active[w]) s.mask |= 1u << lane;
      if (full) s.mask = ~0u;  // with lanes that have exited
      for (u32 lane : active[w]) at(w, lane).push_back(s);
    } else if (kind == 2 && p.warps > 1) {
      s.kind = Step::Kind::kBar;
      u32 skip = p.warps == 3 ? Roll(3) : 3;
      s.id = 1 + skip;
      s.count = 64;
      for (u32 w = 0; w < p.warps; ++w) {
        for (u32 lane : active[w]) {
          if (w != skip) at(w, lane).push_back(s);
        }
      }
    }
  }

  Step Access(const Program& p, u32 rank) {
    static constexpr Sem kSems[] = {Sem::kRelaxed, Sem::kAcquire, Sem::kRelease, Sem::kAcqRel};
    static constexpr Scope kScopes[] = {Scope::kCta, Scope::kGpu, Scope::kGpu, Scope::kSys};
    Step s;
    s.rank = Roll(3) ? rank : Roll(p.ranks);
    u32 word = Roll(kWords);
    s.offset = word * 4;
    s.scope = kScopes[Roll(4)];
    u32 kind = Roll(12);
    if (kind < 3) {
      s.kind = kind == 0 ? Step::Kind::kPlainWrite : Step::Kind::kPlainRead;
      s.bytes = 1u << Roll(3);
      if (Roll(2)) s.bytes = 4;
      s.offset += s.bytes * Roll(4 / s.bytes);
      return s;
    }
    if (kind == 3) {
      s.kind = Step::Kind::kFence;
      s.sequential = Roll(2);
      return s;
    }
    if (Roll(8) == 0 && word % 2 == 0) s.bytes = 8;
    if (kind < 7) {
      s.kind = Step::Kind::kLoad;
      s.sem = Roll(2) ? Sem::kAcquire : Sem::kRelaxed;
    } else if (kind < 9) {
      s.kind = Step::Kind::kStore;
      s.sem = Roll(2) ? Sem::kRelease : Sem::kRelaxed;
    } else {
      s.kind = kind == 9    ? Step::Kind::kExchange
               : kind == 10 ? Step::Kind::kCas
                            : Step::Kind::kReduce;
      s.sem = kSems[Roll(4)];
      if (s.kind == Step::Kind::kReduce && Acquires(s.sem)) s.sem = Sem::kRelease;
    }
    return s;
  }

  std::mt19937_64 random_;
  u64 phases_ = 0;
};

// One run: the program, its trace, and who wrote which value.
struct Run_ {
  const Program* program;
  u8* memory;  // rank 0's
  u64 next_value = 1;
  std::vector<Event> events = {};
  std::map<std::tuple<u64, u32, u64>, int> writer = {};  // (address, bytes, value) -> event
  std::set<u64> reported = {};
};
Run_* run;

// Distinct in every byte position with high probability; never zero.
u64 FreshValue(u32 bytes) {
  u64 v = run->next_value++ * 0x9E3779B97F4A7C15ull;
  return bytes == 8 ? v : v >> 16 & ((u64{1} << 8 * bytes) - 1);
}

int Record(Event e) {
  run->events.push_back(e);
  return int(run->events.size()) - 1;
}

void Plain(const Step& s, u8* p, Event e) {
  bool write = s.kind == Step::Kind::kPlainWrite;
  e.read = !write;
  e.write = write;
  if (s.bytes == 1) (write ? __tsan_write1 : __tsan_read1)(p);
  if (s.bytes == 2) (write ? __tsan_write2 : __tsan_read2)(p);
  if (s.bytes == 4) (write ? __tsan_write4 : __tsan_read4)(p);
  int i = Record(e);
  if (!write) return;
  u64 v = FreshValue(s.bytes);
  std::memcpy(p, &v, s.bytes);
  run->writer[{e.address, s.bytes, v}] = i;
}

void StrongStep(const Step& s, u8* p, Event e) {
  using ts::ptx::detail::kCas;
  using ts::ptx::detail::kExch;
  using ts::ptx::detail::kUnsigned;
  const int sem = int(s.sem), scope = int(s.scope);
  u64 v = FreshValue(s.bytes), got = 0;
  e.strong = true;
  e.sem = s.sem;
  e.scope = s.scope;
  e.write = s.kind != Step::Kind::kLoad;
  e.read = s.kind != Step::Kind::kStore;
  e.reads_value = e.read && s.kind != Step::Kind::kReduce;
  switch (s.kind) {
    case Step::Kind::kLoad:
      got = ts_sim_ld(p, s.bytes, sem, scope);
      break;
    case Step::Kind::kStore:
      ts_sim_st(p, s.bytes, v, sem, scope);
      break;
    case Step::Kind::kExchange:
      got = ts_sim_atom(p, s.bytes, kExch, kUnsigned, v, 0, sem, scope);
      break;
    case Step::Kind::kCas: {
      // Half of them succeed if nobody comes between.
      u64 expected = 0;
      std::memcpy(&expected, p, s.bytes);
      if (run->next_value & 1) expected = ~expected;
      if (s.bytes == 4) expected &= 0xffffffffu;
      got = ts_sim_atom(p, s.bytes, kCas, kUnsigned, v, expected, sem, scope);
      e.write = got == expected;
      break;
    }
    case Step::Kind::kReduce: {
      // What it replaces is found before: no other thread runs between, once the operation has
      // begun.
      ts_sim_red(p, s.bytes, kExch, kUnsigned, &v, 1, sem, scope);
      const auto& values = core.words.at(KeyOf(p, s.bytes)).values;
      got = values.size() > 1 ? values[values.size() - 2].value : 0;
      break;
    }
    default:
      break;
  }
  if (e.read) {
    auto w = run->writer.find({e.address, s.bytes, got});
    if (w != run->writer.end()) e.from = w->second;
  }
  int i = Record(e);
  if (e.write) run->writer[{e.address, s.bytes, v}] = i;
}

void Barrier(const Step& s, Event e) {
  e.kind = Event::Kind::kArrive;
  e.phase = s.phase;
  Record(e);
  if (s.kind == Step::Kind::kCtaSync) ts_sim_bar_sync(0, 0);
  if (s.kind == Step::Kind::kBar) ts_sim_bar_sync(s.id, s.count);
  if (s.kind == Step::Kind::kWarpSync) ts_sim_warp_sync(s.mask);
  e.kind = Event::Kind::kLeave;
  Record(e);
}

}  // namespace
}  // namespace tilescale::sim

// What the compiled kernel calls: interprets the thread's steps.
extern "C" __attribute__((visibility("default"))) void ts_test_steps() {
  using namespace tilescale::sim;
  u32 rank = u32(ts_sim_id(14)), cta = u32(ts_sim_id(3)), tid = u32(ts_sim_id(0));
  auto it = run->program->threads.find({rank, cta, tid});
  if (it == run->program->threads.end()) return;
  Event base;
  base.thread = run->program->number.at({rank, cta, tid});
  for (const Step& s : it->second) {
    Event e = base;
    e.bytes = s.bytes;
    e.address = u64{s.rank} << 20 | s.offset;
    u8* p = static_cast<u8*>(Machine::Get().Peer(run->memory + s.offset, 0, s.rank));
    switch (s.kind) {
      case Step::Kind::kPlainRead:
      case Step::Kind::kPlainWrite:
        Plain(s, p, e);
        break;
      case Step::Kind::kFence:
        ts_sim_fence(int(s.scope), s.sequential);
        e.kind = Event::Kind::kFence;
        e.scope = s.scope;
        e.sequential = s.sequential;
        Record(e);
        break;
      case Step::Kind::kCtaSync:
      case Step::Kind::kBar:
      case Step::Kind::kWarpSync:
        Barrier(s, e);
        break;
      default:
        StrongStep(s, p, e);
        break;
    }
  }
}

namespace tilescale::sim {
namespace {

constexpr const char* kKernel = R"(
#include <tilescale/kernel.cuh>
extern "C" void ts_test_steps();
TS_KERNEL(steps, 1024, 1)() { ts_test_steps(); }
TS_LAUNCH(steps, ())
)";

std::set<u64> Words(const std::set<u64>& addresses) {
  std::set<u64> words;
  for (u64 a : addresses) words.insert(a / 4);
  return words;
}

TEST(RandomPrograms, AgreeWithTheOracle) {
  Machine& m = Machine::Get();
  const u64 first = EnvOr("TILESCALE_TEST_FIRST", 1),
            count = EnvOr("TILESCALE_TEST_PROGRAMS", 4000);
  auto module = CompiledText(kKernel);
  u64 events = 0, racing = 0, clean = 0, only_by_letter = 0;
  for (u32 ranks : {1u, 2u}) {
    m.Configure({.ranks = ranks, .strict_stores = true});
    auto* memory = static_cast<u8*>(m.AllocateSymmetric(
        kWords * 4 + 8, {.name = "W", .element_bytes = 4, .initialized = true}));
    for (u64 n = first; n < first + count; ++n) {
      Program p = Generator(n).Make();
      if (p.ranks != ranks) continue;
      Run_ r{&p, memory};
      run = &r;
      core.race_observer = [](const u8* address) {
        Machine& machine = Machine::Get();
        u64 stride = machine.config().ranks > 1
                         ? u64(static_cast<u8*>(machine.Peer(run->memory, 0, 1)) - run->memory)
                         : ~u64{0};
        u64 offset = u64(address - run->memory);
        run->reported.insert(offset / stride << 20 | offset % stride);
      };
      m.SetSeed(n);
      for (u32 k = 0; k < ranks; ++k) {
        std::memset(m.Peer(memory, 0, k), 0, kWords * 4);
        LaunchInfo l;
        l.rank = k;
        l.module = module;
        l.entry = "steps";
        l.grid = {p.ctas, 1, 1};
        l.block = {p.warps * 32, 1, 1};
        m.Launch(std::move(l));
      }
      Report report = m.Synchronize();
      core.race_observer = nullptr;
      ASSERT_TRUE(report.ok()) << "program " << n << ": " << report.text;
      Oracle oracle(r.events, p.places);
      std::set<u64> letter = oracle.Racing(false), mild = oracle.Racing(true),
                    got = Words(r.reported);
      events += r.events.size();
      for (u64 w : mild) {
        ASSERT_TRUE(got.count(w)) << "program " << n << ": missed the race on word "
                                  << w % (1 << 18) << " of rank " << (w >> 18) << "\n"
                                  << oracle.Explain(w);
      }
      for (u64 w : got) {
        ASSERT_TRUE(letter.count(w)) << "program " << n << ": false race on word " << w % (1 << 18)
                                     << " of rank " << (w >> 18) << "\n"
                                     << oracle.Explain(w);
      }
      ASSERT_EQ(oracle.ForbiddenValues(), 0) << "program " << n;
      racing += mild.size();
      only_by_letter += letter.size() - mild.size();
      clean += kWords * ranks - letter.size();
    }
  }
  std::printf(
      "%llu programs, %llu events: %llu racing words, %llu clean, %llu races by the letter only\n",
      (unsigned long long)count, (unsigned long long)events, (unsigned long long)racing,
      (unsigned long long)clean, (unsigned long long)only_by_letter);
  if (count >= 1000) {
    EXPECT_GT(racing, count);
    EXPECT_GT(clean, count / 4);
  }
}

}  // namespace
}  // namespace tilescale::sim
