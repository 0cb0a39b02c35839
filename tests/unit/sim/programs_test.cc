// SPDX-License-Identifier: MIT
// Whole kernels as the compiler prints them: right results and no report at 20 seeds when they are
// correct, a report with both lines at every seed when they are not. What they cost is counted.
#include "tests/unit/sim/harness.h"

#include <cmath>
#include <functional>
#include <gtest/gtest.h>
#include <time.h>

namespace tilescale::sim {
namespace {

u16 Half(float f) {  // exact inputs only
  u32 x;
  std::memcpy(&x, &f, 4);
  return f == 0 ? u16(0) : u16((x >> 16 & 0x8000) | (((x >> 13) - (112 << 10)) & 0x7fff));
}

double CpuSeconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return double(t.tv_sec) + double(t.tv_nsec) * 1e-9;
}

double run_seconds = 0;  // processor time of the latest run, without what prepares it

Report TimedRun() {
  double start = CpuSeconds();
  Report r = Machine::Get().Synchronize();
  run_seconds = CpuSeconds() - start;
  return r;
}

class Gemm {
 public:
  explicit Gemm(int n, Config config = {}) : n_(n) {
    Machine& m = Machine::Get();
    m.Configure(config);
    u64 z = u64(n) * u64(n);
    a_ = static_cast<u16*>(
        m.Allocate(0, z * 2, {.name = "A", .element_bytes = 2, .initialized = true}));
    b_ = static_cast<u16*>(
        m.Allocate(0, z * 2, {.name = "B", .element_bytes = 2, .initialized = true}));
    c_ = static_cast<float*>(m.Allocate(0, z * 4, {.name = "C", .element_bytes = 4}));
    for (u64 j = 0; j < z; ++j) {
      a_[j] = Half(ValueA(j));
      b_[j] = Half(ValueB(j));
    }
  }
  Report Run(u64 seed, const std::shared_ptr<KernelModule>& module) {
    Machine& m = Machine::Get();
    m.SetSeed(seed);
    LaunchInfo l;
    l.module = module;
    l.entry = "gemm";
    u32 tiles = u32(n_ + 127) / 128;
    l.grid = {tiles * tiles, 1, 1};
    l.block = {128, 1, 1};
    l.args = {Arg(a_), Arg(b_), Arg(c_), Arg(n_), Arg(n_), Arg(n_)};
    m.Launch(std::move(l));
    return TimedRun();
  }
  double MaxError() const {
    double error = 0;
    for (int y = 0; y < n_; y += 7) {
      for (int x = 0; x < n_; x += 5) {
        double sum = 0;
        for (int q = 0; q < n_; ++q) {
          sum +=
              double(ValueA(u64(y) * u64(n_) + u64(q))) * double(ValueB(u64(q) * u64(n_) + u64(x)));
        }
        error = std::max(error, std::fabs(sum - double(c_[u64(y) * u64(n_) + u64(x)])));
      }
    }
    return error;
  }

 private:
  static float ValueA(u64 j) { return float(int(j * 7919 % 17) - 8); }
  static float ValueB(u64 j) { return float(int(j * 104729 % 13) - 6) * 0.5f; }
  int n_;
  u16 *a_, *b_;
  float* c_;
};

const char* const kGemm = "tests/races/gemm.cu";

TEST(GemmTest, CleanAndExactAtEverySeed) {
  Gemm gemm(256);
  for (u64 seed = 1; seed <= 20; ++seed) {
    Report r = gemm.Run(seed, Compiled(kGemm));
    ASSERT_TRUE(r.ok()) << r.text;
    ASSERT_EQ(gemm.MaxError(), 0) << "seed " << seed;
  }
}

TEST(GemmTest, RaggedSizes) {
  for (int n : {8, 136, 200}) {
    Gemm gemm(n);
    Report r = gemm.Run(3, Compiled(kGemm));
    ASSERT_TRUE(r.ok()) << r.text;
    ASSERT_EQ(gemm.MaxError(), 0) << n;
  }
}

TEST(GemmTest, FaultsAreFoundAtEverySeed) {
  for (const char* drop : {"-DDROP=1", "-DDROP=2"}) {
    Gemm gemm(256);
    for (u64 seed = 1; seed <= 20; ++seed) {
      Report r = gemm.Run(seed, Compiled(kGemm, {drop}));
      ASSERT_EQ(r.kind, "DataRace") << drop << " seed " << seed << " " << r.text;
      ASSERT_EQ(r.accesses.size(), 2u);
      for (const AccessInfo& a : r.accesses) {
        EXPECT_EQ(a.file, "gemm.py");
        EXPECT_GE(a.line, 10);
        EXPECT_LE(a.line, 12);
      }
      EXPECT_TRUE(r.buffer == "A_shared" || r.buffer == "B_shared") << r.buffer;
    }
  }
  Gemm gemm(256);
  EXPECT_EQ(gemm.Run(1, Compiled(kGemm, {"-DDROP=3"})).kind, "OutOfBounds");
}

TEST(GemmTest, EqualSeedEqualReport) {
  std::vector<std::string> first;
  for (int round = 0; round < 2; ++round) {
    Gemm gemm(256);
    for (u64 seed = 1; seed <= 5; ++seed) {
      Report r = gemm.Run(seed, Compiled(kGemm, {"-DDROP=2"}));
      if (round == 0) {
        first.push_back(r.text);
      } else {
        EXPECT_EQ(first[seed - 1], r.text);
      }
    }
  }
}

Report Exchange(u32 ranks, u64 seed, const std::vector<std::string>& options, int n, bool* right) {
  Machine& m = Machine::Get();
  m.Configure({.ranks = ranks, .seed = seed});
  auto make = [&](const char* name, int count) {
    return m.AllocateSymmetric(u64(count) * 4,
                               {.name = name, .element_bytes = 4, .initialized = true});
  };
  void *a = make("A", n), *b = make("B", n), *o = make("O", n), *f = make("F", 1);
  for (u32 r = 0; r < ranks; ++r) {
    auto* data = static_cast<float*>(m.Peer(a, 0, r));
    for (int i = 0; i < n; ++i) data[i] = float(r) * 1000 + float(i);
    *static_cast<u32*>(m.Peer(f, 0, r)) = 0;
    LaunchInfo l;
    l.rank = r;
    l.module = Compiled("tests/races/exchange.cu", options);
    l.entry = "exchange";
    l.block = {128, 1, 1};
    l.args = {Arg(m.Peer(a, 0, r)), Arg(m.Peer(b, 0, r)), Arg(m.Peer(f, 0, r)),
              Arg(m.Peer(o, 0, r)), Arg(n)};
    m.Launch(std::move(l));
  }
  Report report = TimedRun();
  *right = true;
  for (u32 r = 0; r < ranks; ++r) {
    u32 from = (r + ranks - 1) % ranks;
    const auto* out = static_cast<const float*>(m.Peer(o, 0, r));
    for (int i = 0; i < n; ++i) *right &= out[i] == float(from) * 1000 + float(i);
  }
  return report;
}

TEST(ExchangeTest, PutSignalWait) {
  for (u32 ranks : {2u, 4u}) {
    for (u64 seed = 1; seed <= 20; ++seed) {
      bool right = false;
      Report r = Exchange(ranks, seed, {}, 1000, &right);
      ASSERT_TRUE(r.ok()) << r.text;
      ASSERT_TRUE(right);
      for (const char* drop : {"-DDROP=1", "-DDROP=2", "-DDROP=3", "-DDROP=4"}) {
        r = Exchange(ranks, seed, {drop}, 1000, &right);
        ASSERT_EQ(r.kind, "DataRace") << drop << " seed " << seed;
      }
    }
  }
}

Report Add(const char* kernel, u64 seed, bool* right) {
  Machine& m = Machine::Get();
  const u64 n = 1 << 20;
  m.Configure({.seed = seed});
  auto make = [&](const char* name) {
    return static_cast<float*>(
        m.Allocate(0, n * 4, {.name = name, .element_bytes = 4, .initialized = true}));
  };
  float *a = make("A"), *b = make("B"), *c = make("C");
  for (u64 i = 0; i < n; ++i) {
    a[i] = float(i % 1000);
    b[i] = 1;
  }
  LaunchInfo l;
  l.module = Compiled("tests/races/elementwise.cu");
  l.entry = kernel;
  l.grid = {1024, 1, 1};
  l.block = {256, 1, 1};
  l.args = {Arg(a), Arg(b), Arg(c)};
  m.Launch(std::move(l));
  Report r = TimedRun();
  *right = true;
  for (u64 i = 0; i < n; ++i) *right &= c[i] == a[i] + 1;
  return r;
}

// Seed 0: the counts are always the same. The times are for who reads them.
struct Cost {
  const char* name;
  u64 accesses, switches;  // at most
  std::function<Report()> run;
};

TEST(Costs, AccessesAndSwitches) {
  bool right = true;
  auto load = [](const char* kernel, int v, u32 ctas, u32 threads, u32 slots) {
    Machine& m = Machine::Get();
    m.Configure({.slots = slots});
    Buffers buffers(1);
    buffers.Reset();
    LaunchAll(Compiled("tests/races/litmus/load.cu"), {kernel, v, 1, ctas, threads, slots},
              buffers);
    return TimedRun();
  };
  const Cost costs[] = {
      {"gemm 256", 163840, 322016, [] { return Gemm(256).Run(1, Compiled(kGemm)); }},
      {"gemm 256, races off", 163840, 322016,
       [] { return Gemm(256, {.races = false}).Run(1, Compiled(kGemm)); }},
      {"1M floats, 16 bytes each", 786432, 262144, [&] { return Add("add_vec", 1, &right); }},
      {"1M floats, 4 bytes each", 3145728, 262144, [&] { return Add("add_scalar", 1, &right); }},
      {"4 ranks put 64 KB", 262154, 1537, [&] { return Exchange(4, 1, {}, 16384, &right); }},
      {"1000 barriers of 1024 threads", 1024000, 1024024,
       [&] { return load("barriers", 1000, 1, 1024, 8); }},
      {"10 x 2 grid barriers of 128 CTAs", 155095, 208215,
       [&] { return load("grid_rounds", 10, 128, 32, 128); }},
      {"131072 atomic adds", 131072, 196517, [&] { return load("count", 1, 512, 256, 8); }},
  };
  for (const Cost& c : costs) {
    Machine::Get().TakeStatistics();
    Report r = c.run();
    Statistics s = Machine::Get().TakeStatistics();
    ASSERT_TRUE(r.ok()) << c.name << ": " << r.text;
    ASSERT_TRUE(right) << c.name;
    std::printf("%-34s %7.1f ms  %9llu accesses %9llu switches\n", c.name, run_seconds * 1e3,
                static_cast<unsigned long long>(s.accesses),
                static_cast<unsigned long long>(s.switches));
    EXPECT_LE(s.accesses, c.accesses) << c.name;
    EXPECT_LE(s.switches, c.switches) << c.name;
  }
}

}  // namespace
}  // namespace tilescale::sim
