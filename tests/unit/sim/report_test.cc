// SPDX-License-Identifier: MIT
// The exact text of every kind of report, its fields, its determinism, and what the machine is like
// afterwards.
#include "support/diagnostics.h"
#include "tests/unit/sim/harness.h"

#include <gtest/gtest.h>
#include <regex>
#include <set>

namespace tilescale::sim {
namespace {

constexpr const char* kHead = R"(
#include <tilescale/kernel.cuh>
#include <tilescale/ptx/bulk.cuh>
#include <tilescale/ptx/cp_async.cuh>
#include <tilescale/ptx/fence.cuh>
#include <tilescale/ptx/ldst.cuh>
#include <tilescale/ptx/mbarrier.cuh>
#include <tilescale/ptx/peer.cuh>
#include <tilescale/ptx/shuffle.cuh>
)";

std::string TextOf(const std::string& body) {
  return kHead + std::string("TS_KERNEL(k, 64, 1)(float* C, ts::u32* F) {\n") +
         "const int t = ts::tid_x();\n" + body +
         "}\nTS_LAUNCH(k, (*(float**)args[0], *(ts::u32**)args[1]))\n";
}

// Runs a kernel k(float* C, u32* F) of 64 threads on every rank: C has 100 elements, F four.
Report RunModule(const std::shared_ptr<KernelModule>& module, Config config = {.seed = 7},
                 Dim3 grid = {1, 1, 1}) {
  Machine& m = Machine::Get();
  m.Configure(config);
  void* c = m.AllocateSymmetric(
      400, {.name = "C", .element_bytes = 4, .type = "float32", .initialized = true});
  void* f = m.AllocateSymmetric(
      16, {.name = "F", .element_bytes = 4, .type = "uint32", .initialized = true});
  for (u32 r = 0; r < config.ranks; ++r) {
    std::memset(m.Peer(f, 0, r), 0, 16);
    LaunchInfo l;
    l.rank = r;
    l.module = module;
    l.entry = "k";
    l.grid = grid;
    l.block = {64, 1, 1};
    l.args = {Arg(m.Peer(c, 0, r)), Arg(m.Peer(f, 0, r))};
    m.Launch(std::move(l));
  }
  return m.Synchronize();
}

Report RunBody(const std::string& body, Config config = {.seed = 7}, Dim3 grid = {1, 1, 1}) {
  return RunModule(CompiledText(TextOf(body)), config, grid);
}

constexpr const char* kTail =
    "\n  kernel k on sim sm_90a, 1 rank; reproduce with TILESCALE_SIM_SEED=7";
constexpr const char* kTail2 =
    "\n  kernel k on sim sm_90a, 2 ranks; reproduce with TILESCALE_SIM_SEED=7";

TEST(ReportText, DataRaceInSharedMemory) {
  Report r = RunBody(R"(
TS_SMEM(float, s, 64, 0);
#line 10 "user.py"
if (t == 3) s[5] = 1;
#line 11 "user.py"
if (t == 40) C[0] = s[5];
)");
  EXPECT_EQ(r.kind, "DataRace");
  // Which of the two comes first is the seed's choice.
  EXPECT_EQ(r.text,
            std::string("data race on s[5] (64 elements of float, shared memory of rank 0 CTA 0)\n"
                        "    write by rank 0 CTA 0 warp 0 lane 3 at user.py:10\n"
                        "    read by rank 0 CTA 0 warp 1 lane 8 at user.py:11\n"
                        "    not ordered: no barrier stands between them") +
                kTail);
  EXPECT_EQ(r.buffer, "s");
  EXPECT_EQ(r.space, "shared");
  EXPECT_EQ(r.index, 5);
  EXPECT_EQ(r.seed, 7u);
  EXPECT_EQ(r.kernel, "k");
  ASSERT_EQ(r.accesses.size(), 2u);
  EXPECT_EQ(r.accesses[0].kind, "write");
  EXPECT_EQ(r.accesses[0].warp, 0);
  EXPECT_EQ(r.accesses[0].lane, 3);
  EXPECT_EQ(r.accesses[0].line, 10);
  EXPECT_EQ(r.accesses[1].kind, "read");
  EXPECT_EQ(r.accesses[1].file, "user.py");
}

// The file of a module that is gone may have the name of one that came since.
TEST(ReportText, LinesOfModulesThatComeAndGo) {
  for (std::string file : {"first.py", "second.py"}) {
    auto module =
        Machine::Get().Load(CompileKernel(TextOf("#line 10 \"" + file + "\"\nC[0] = t;\n")).binary);
    Report r = RunModule(module);
    EXPECT_NE(r.text.find(file + ":10"), std::string::npos) << r.text;
    module.reset();
    Machine::Get().Configure({});
  }
}

TEST(ReportText, DataRaceAcrossCtas) {
  Report r =
      RunBody("#line 5 \"user.py\"\nif (t == 0) C[7] = ts::bid_x();\n", {.seed = 7}, {2, 2, 1});
  EXPECT_EQ(r.kind, "DataRace");
  std::string text = std::regex_replace(r.text, std::regex("CTA \\([01],[01]\\)"), "CTA (_,_)");
  EXPECT_EQ(text,
            std::string("data race on C[7] (100 elements of float32, global memory of rank 0)\n"
                        "    write by rank 0 CTA (_,_) warp 0 lane 0 at user.py:5\n"
                        "    write by rank 0 CTA (_,_) warp 0 lane 0 at user.py:5\n"
                        "    not ordered: no release and acquire connect them") +
                kTail);
}

struct Reason {
  const char* name;
  const char* body;
  const char* reason;
};

TEST(ReportText, ReasonsOfRaces) {
  const Reason reasons[] = {
      {"own copy", "TS_SMEM(float, s, 64, 0);\nts::ptx::cp_async<4>(s + t, C + t);\nC[t] = s[t];\n",
       "not ordered: no cp.async.wait_group of this thread covers it"},
      {"another's copy",
       "TS_SMEM(float, s, 64, 0);\nts::ptx::cp_async<4>(s + t, C + t);\nts::cta_sync();\nC[t] = "
       "s[63 - t];\n",
       "not ordered: the issuing thread's cp.async.wait_group and then a barrier must come before"},
      {"bulk load",
       "TS_SMEM(float, s, 64, 0);\nTS_SMEM(ts::mbar, m, 1, 256);\nif (t == 0) "
       "ts::ptx::mbar_init(m, 1);\nts::cta_sync();\n"
       "if (t == 0) {\nts::ptx::mbar_arrive_expect_tx(m, 256);\nts::ptx::bulk_load(s, C, 256, "
       "m);\n}\nts::cta_sync();\n"
       "if (t == 9) F[0] = (int)s[3];\n",
       "not ordered: nobody waited for that phase of the mbarrier"},
      {"proxy",
       "TS_SMEM(float, s, 64, 0);\ns[t] = t;\nts::cta_sync();\nif (t == 0) ts::ptx::bulk_store(C, "
       "s, 256);\n",
       "ordered, but no fence.proxy.async stands between the write and the asynchronous access"},
      {"two sizes",
       "using namespace ts;\nif (t == 0) ptx::st<Sem::relaxed, Scope::gpu>(F, 1u);\n"
       "if (t == 32) ptx::st<Sem::relaxed, Scope::gpu>((u64*)F, 1ull);\n",
       "both are strong, but of different sizes"},
  };
  for (const Reason& c : reasons) {
    Report r = RunBody(c.body);
    EXPECT_EQ(r.kind, "DataRace") << c.name;
    EXPECT_EQ(r.reason, c.reason) << c.name << "\n" << r.text;
  }
  const Reason across[] = {
      {"relaxed reader",
       "using namespace ts;\nif (t) return;\nif (bid_x() == 0) {\nC[0] = 1;\nptx::st<Sem::release, "
       "Scope::gpu>(F, 1u);\n} else {\n"
       "while (ptx::ld<Sem::relaxed, Scope::gpu>(F) == 0) spin();\nC[1] = C[0];\n}\n",
       "not ordered: its release was read by a relaxed load (no acquire, no fence behind it)"},
      {"narrow release",
       "using namespace ts;\nif (t) return;\nif (bid_x() == 0) {\nC[0] = "
       "1;\nptx::fence_acq_rel<Scope::cta>();\n"
       "ptx::st<Sem::relaxed, Scope::gpu>(F, 2u);\n} else {\n"
       "while (ptx::ld<Sem::acquire, Scope::gpu>(F) != 2) spin();\nC[1] = C[0];\n}\n",
       "not ordered: it was released, but scope cta of the release or of the read that saw it does "
       "not include the other "
       "thread"},
      {"narrow atomics",
       "using namespace ts;\nif (t) return;\nptx::st<Sem::relaxed, Scope::cta>(F, 1u);\n",
       "both are strong, but their scopes do not include each other's thread"},
  };
  for (const Reason& c : across) {
    Report r = RunBody(c.body, {.seed = 7}, {2, 1, 1});
    EXPECT_EQ(r.kind, "DataRace") << c.name;
    EXPECT_EQ(r.reason, c.reason) << c.name << "\n" << r.text;
  }
}

TEST(ReportText, EngineOutlivesItsCta) {
  Report r = RunBody(
      "TS_SMEM(float, s, 64, 0);\n#line 4 \"user.py\"\nif (t == 33) ts::ptx::cp_async<4>(s + 2, "
      "C);\n");
  EXPECT_EQ(r.text, std::string("data race on s[2] (64 elements of float, shared memory of rank 0 "
                                "CTA 0): its CTA ended and "
                                "nobody had waited for this cp.async\n"
                                "    by rank 0 CTA 0 warp 1 lane 1 at user.py:4") +
                        kTail);
}

TEST(ReportText, ExpectTxTooSmall) {
  Report r = RunBody(R"(TS_SMEM(float, s, 64, 0);
TS_SMEM(ts::mbar, m, 1, 256);
if (t) return;
ts::ptx::mbar_init(m, 1);
ts::ptx::bulk_load(s, C, 128, m);
ts::ptx::bulk_load(s + 32, C, 128, m);
ts::ptx::mbar_arrive_expect_tx(m, 128);
ts::ptx::mbar_wait(m, 0);
)");
  EXPECT_EQ(r.text, std::string("data race: a phase of mbarrier m[0] (rank 0 CTA 0) completed "
                                "while 1 bulk copies bound to it "
                                "were in flight: its expect_tx was too small") +
                        kTail);
}

TEST(ReportText, DeadlockAtABarrier) {
  Report r = RunBody("#line 9 \"user.py\"\nif (t < 32) ts::bar_sync(3, 64);\n");
  EXPECT_EQ(r.kind, "Deadlock");
  EXPECT_EQ(r.text, std::string("deadlock: nothing can go on\n"
                                "    32 threads of rank 0 CTA 0 at user.py:9: barrier 3, phase 0: "
                                "32 of 64 threads arrived "
                                "(first: warp 0 lane 0)") +
                        kTail);
}

TEST(ReportText, DeadlockOfCounts) {
  Report r = RunBody(
      "#line 9 \"user.py\"\nif (t < 32) ts::bar_sync(3, 64);\n#line 10 \"user.py\"\nelse "
      "ts::bar_sync(3, 32);\n");
  EXPECT_EQ(r.kind, "Deadlock");
  EXPECT_NE(r.text.find("barrier 3: this thread expects "), std::string::npos) << r.text;
  EXPECT_NE(r.text.find("earlier ones of the phase expected "), std::string::npos) << r.text;
}

TEST(ReportText, DeadlockOnAnMbarrier) {
  Report r = RunBody(R"(TS_SMEM(float, s, 64, 0);
TS_SMEM(ts::mbar, m, 2, 256);
if (t) return;
ts::ptx::mbar_init(m + 1, 3);
ts::ptx::mbar_arrive_expect_tx(m + 1, 512);
ts::ptx::bulk_load(s, C, 256, m + 1);
#line 20 "user.py"
ts::ptx::mbar_wait(m + 1, 0);
)");
  EXPECT_EQ(r.text, std::string("deadlock: nothing can go on\n"
                                "    1 thread of rank 0 CTA 0 at user.py:20: mbarrier m[1], wait "
                                "for parity 0: phase 0 misses 2 "
                                "of 3 arrivals and 256 bytes (first: warp 0 lane 0)") +
                        kTail);
}

TEST(ReportText, DeadlockOfRanks) {
  Report r = RunBody(R"(if (t) return;
#line 30 "user.py"
while (ts::ptx::ld<ts::Sem::acquire, ts::Scope::sys>(F + 1) != 1u) ts::spin();
)",
                     {.ranks = 2, .seed = 7});
  EXPECT_EQ(
      r.text,
      std::string(
          "deadlock: nothing can go on\n"
          "    1 thread of rank 0 CTA 0 at user.py:30: spins on F[1] = 0 (first: warp 0 lane 0)\n"
          "    1 thread of rank 1 CTA 0 at user.py:30: spins on F[1] = 0 (first: warp 0 lane 0)") +
          kTail2);
}

TEST(ReportText, DeadlockForLackOfSlots) {
  Report r = RunBody(R"(if (t) return;
#line 30 "user.py"
ts::ptx::st<ts::Sem::relaxed, ts::Scope::gpu>(F + ts::bid_x() % 4, 1u);
#line 31 "user.py"
while (ts::ptx::ld<ts::Sem::acquire, ts::Scope::gpu>(F + 3) != 1u) ts::spin();
)",
                     {.seed = 7, .slots = 2}, {4, 1, 1});
  EXPECT_EQ(
      r.text,
      std::string(
          "deadlock: nothing can go on\n"
          "    1 thread of rank 0 CTA 0 at user.py:31: spins on F[3] = 0 (first: warp 0 lane 0)\n"
          "    1 thread of rank 0 CTA 1 at user.py:31: spins on F[3] = 0 (first: warp 0 lane 0)\n"
          "    2 CTAs of k on rank 0 not started: its 2 slots are taken") +
          kTail);
}

TEST(ReportText, DeadlockOfLanes) {
  Report r = RunBody(R"(#line 40 "user.py"
if (t < 5) ts::ptx::shfl_idx(t, 0);
#line 41 "user.py"
else ts::ptx::vote_any(true);
)");
  EXPECT_EQ(r.kind, "Deadlock");
  EXPECT_NE(r.text.find("lanes of one warp are in different warp instructions"), std::string::npos)
      << r.text;
  EXPECT_NE(r.text.find("at user.py:40"), std::string::npos) << r.text;
  EXPECT_NE(r.text.find("at user.py:41"), std::string::npos) << r.text;
}

TEST(ReportText, LoopWithoutEvents) {
  Report r = RunBody(R"(if (t) return;
#line 50 "user.py"
while (F[0] == 0) {
}
)",
                     {.seed = 7, .hang_ms = 200});
  EXPECT_EQ(r.text, std::string("deadlock: a thread runs without end and without any visible event "
                                "(a plain load does not see "
                                "other threads' writes; a waiting loop needs T.ld or ts::spin())\n"
                                "    rank 0 CTA 0 warp 0 lane 0 at user.py:50") +
                        kTail);
}

TEST(ReportText, OutOfBounds) {
  Report r = RunBody("#line 60 \"user.py\"\nif (t == 0) C[100] = 1;\n");
  EXPECT_EQ(r.kind, "OutOfBounds");
  EXPECT_EQ(r.text, std::string("write of 4 bytes out of bounds at C[100] (100 elements of "
                                "float32, global memory of rank 0)\n"
                                "    by rank 0 CTA 0 warp 0 lane 0 at user.py:60") +
                        kTail);
  r = RunBody(
      "TS_SMEM(float, s, 8, 0);\nTS_SMEM(float, u, 8, 32);\n#line 61 \"user.py\"\nif (t == 2) F[0] "
      "= (int)s[-1];\n");
  EXPECT_EQ(r.text, std::string("read of 4 bytes out of bounds at s[-1] (8 elements of float, "
                                "shared memory of rank 0 CTA 0)\n"
                                "    by rank 0 CTA 0 warp 0 lane 2 at user.py:61") +
                        kTail);
  r = RunBody("#line 62 \"user.py\"\nif (t == 2) *(float*)64 = 1;\n");
  EXPECT_EQ(r.text,
            std::string("write of 4 bytes out of bounds at an address outside all memory (of "
                        "tensors the simulator knows those that are arguments, and outputs "
                        "that kernels allocated)\n"
                        "    by rank 0 CTA 0 warp 0 lane 2 at user.py:62") +
                kTail);
  r = RunBody("#line 63 \"user.py\"\nif (t == 2) *ts::peer(C, 2) = 1;\n", {.ranks = 2, .seed = 7});
  std::string text = std::regex_replace(r.text, std::regex("by rank [01]"), "by rank _");
  EXPECT_EQ(text, std::string("rank 2 is out of range: there are 2 ranks\n"
                              "    by rank _ CTA 0 warp 0 lane 2 at user.py:63") +
                      kTail2);
}

TEST(ReportText, UninitializedRead) {
  Report r = RunBody("TS_SMEM(float, s, 8, 0);\n#line 70 \"user.py\"\nif (t == 2) C[0] = s[3];\n");
  EXPECT_EQ(r.kind, "UninitializedRead");
  EXPECT_EQ(r.text,
            std::string(
                "uninitialised read of s[3] (8 elements of float, shared memory of rank 0 CTA 0)\n"
                "    by rank 0 CTA 0 warp 0 lane 2 at user.py:70") +
                kTail);
}

TEST(ReportText, UninitializedReadYieldsToTheRaceAndPrecedesOthers) {
  const char* race = "TS_SMEM(float, s, 64, 0);\nC[t] = s[63 - t];\ns[t] = 1;\n";
  for (u64 seed = 1; seed <= 10; ++seed) EXPECT_EQ(RunBody(race, {.seed = seed}).kind, "DataRace");
  Report r = RunBody(
      "TS_SMEM(float, s, 8, 0);\n#line 70 \"user.py\"\nif (t == 2) C[0] = "
      "s[3];\nts::cta_sync();\n#line 71 \"user.py\"\nif (t == 2) C[100] = 1;\n");
  EXPECT_EQ(r.text, std::string("write of 4 bytes out of bounds at C[100] (100 elements of "
                                "float32, global memory of rank 0)\n"
                                "    by rank 0 CTA 0 warp 0 lane 2 at user.py:71\n"
                                "  before that: uninitialised read of s[3] (8 elements of float, "
                                "shared memory of rank 0 CTA 0)\n"
                                "    by rank 0 CTA 0 warp 0 lane 2 at user.py:70") +
                        kTail);
}

TEST(ReportText, MisalignedAccess) {
  Report r = RunBody(
      "#line 80 \"user.py\"\nif (t == 2) *(ts::vec<float, 4>*)(C + 1) = *(ts::vec<float, 4>*)(C + "
      "4);\n");
  EXPECT_EQ(r.kind, "MisalignedAccess");
  EXPECT_EQ(r.text, std::string("misaligned access of 16 bytes at C[1]: its address must be a "
                                "multiple of 16, but is 4 above one "
                                "(100 elements of float32, global memory of rank 0)\n"
                                "    by rank 0 CTA 0 warp 0 lane 2 at user.py:80") +
                        kTail);
}

TEST(ReportText, MisalignedVectorInALocalArray) {
  Report r = RunBody(
      "TS_LOCAL(float, a, 64);\nfor (int i = 0; i < 64; ++i) a[i] = i;\n#line 81 \"user.py\"\n"
      "*(ts::vec<float, 4>*)(C + 4 * (t % 2)) = *(ts::vec<float, 4>*)(a + t + 1);\n");
  EXPECT_EQ(r.kind, "MisalignedAccess");
  EXPECT_NE(r.text.find("misaligned access of 16 bytes at a local array"), std::string::npos)
      << r.text;
}

TEST(Reports, MachineIsCleanAfterwards) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(RunBody("C[0] = t;\n").kind, "DataRace");
    EXPECT_EQ(RunBody("C[t] = t;\n").kind, "");
  }
}

TEST(Reports, EqualSeedEqualReport) {
  const char* body = "TS_SMEM(float, s, 64, 0);\ns[t] = t;\nC[t] = s[(t * 7 + 1) % 64];\n";
  std::set<std::string> texts;
  for (u64 seed = 1; seed <= 8; ++seed) {
    Report a = RunBody(body, {.seed = seed}), b = RunBody(body, {.seed = seed});
    EXPECT_EQ(a.text, b.text);
    texts.insert(a.text.substr(0, a.text.find("\n  kernel")));
  }
  EXPECT_GT(texts.size(), 1u) << "seeds must make a difference";
}

TEST(Reports, OlderValuesAreRecorded) {
  const char* body = R"(if (t) return;
if (ts::bid_x() == 0) {
for (int i = 1; i < 40; ++i) ts::ptx::st<ts::Sem::relaxed, ts::Scope::gpu>(F, (ts::u32)i);
} else {
#line 90 "user.py"
for (int i = 1; i < 40; ++i) ts::ptx::ld<ts::Sem::relaxed, ts::Scope::gpu>(F);
}
)";
  size_t found = 0;
  for (u64 seed = 1; seed <= 10; ++seed) {
    ASSERT_TRUE(RunBody(body, {.seed = seed}, {2, 1, 1}).ok());
    for (const OlderValue& v : Machine::Get().TakeOlderValues()) {
      ++found;
      EXPECT_EQ(v.place, "F[0]");
      EXPECT_EQ(v.file, "user.py");
      EXPECT_EQ(v.line, 90);
      EXPECT_LT(v.got, v.newest);
    }
  }
  EXPECT_GT(found, 0u);
}

TEST(Compile, NamesWhatIsMissingOrWrong) {
  setenv("TILESCALE_SIM_CXX", "no-such-compiler", 1);
  try {
    CompileKernel("int x;");
    ADD_FAILURE();
  } catch (const Diag& d) {
    EXPECT_EQ(d.type(), "RuntimeError");
    EXPECT_EQ(d.message(), "TILESCALE_SIM_CXX names 'no-such-compiler', which is not there");
    EXPECT_EQ(d.help(), "name a g++ or clang++, or unset it");
  }
  unsetenv("TILESCALE_SIM_CXX");
  const std::string path = getenv("PATH");
  setenv("PATH", "/nowhere", 1);
  try {
    CompileKernel("int x;");
    ADD_FAILURE();
  } catch (const Diag& d) {
    EXPECT_EQ(d.message(),
              "the simulator compiles kernels with a host C++ compiler, and found none (looked for "
              "c++, g++, clang++ in "
              "PATH)");
    EXPECT_EQ(
        d.help(),
        "install one: `apt install g++`, `dnf install gcc-c++` or `conda install cxx-compiler`");
  }
  setenv("PATH", path.c_str(), 1);
  try {
    CompileKernel("#line 3 \"user.py\"\nint x = y;\n", "k.cu");
    ADD_FAILURE();
  } catch (const Diag& d) {
    EXPECT_NE(std::string(d.what()).find("refuses the kernel text k.cu"), std::string::npos)
        << d.what();
    EXPECT_NE(std::string(d.what()).find("user.py:3"), std::string::npos) << d.what();
  }
}

TEST(Compile, EqualTextEqualBinary) {
  const std::string text =
      std::string(kHead) +
      "TS_KERNEL(k, 64, 1)(float* C) { C[ts::tid_x()] = 1; }\nTS_LAUNCH(k, (*(float**)args[0]))\n";
  EXPECT_EQ(CompileKernel(text).binary, CompileKernel(text).binary);
  EXPECT_EQ(CompilerId(), CompilerId());
}

}  // namespace
}  // namespace tilescale::sim
