// SPDX-License-Identifier: MIT
// The host side of the machine: memory, host tensors, streams and events, host threads, the
// runtime's Device.
#include "sim/machine.h"

#include "runtime/device.h"
#include "sim/world.h"
#include "support/diagnostics.h"
#include "tests/unit/sim/harness.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <thread>

namespace tilescale::sim {
namespace {

constexpr const char* kText = R"(
#include <tilescale/kernel.cuh>
#include <tilescale/ptx/ldst.cuh>
#include <tilescale/ptx/peer.cuh>
TS_KERNEL(scale, 64, 1)(float* A, float* B, int n) {
  const int i = ts::bid_x() * 64 + ts::tid_x();
  if (i < n) B[i] = 2 * A[i];
}
TS_LAUNCH(scale, (*(float**)args[0], *(float**)args[1], *(int*)args[2]))
TS_KERNEL(ping, 32, 1)(ts::u32* F) {
  if (ts::tid_x()) return;
  const int p = ts::rank() ^ 1;
  ts::ptx::st<ts::Sem::release, ts::Scope::sys>(ts::peer(F, p), 1u);
  while (ts::ptx::ld<ts::Sem::acquire, ts::Scope::sys>(F) != 1u) ts::spin();
}
TS_LAUNCH(ping, (*(ts::u32**)args[0]))
TS_KERNEL(shape, 64, 1)(int* O) {
  const int cta = (ts::bid_z() * ts::nctaid_y() + ts::bid_y()) * ts::nctaid_x() + ts::bid_x();
  const int t = (ts::tid_z() * ts::ntid_y() + ts::tid_y()) * ts::ntid_x() + ts::tid_x();
  O[cta * 64 + t] = ts::thread_rank() == t && ts::lane_id() == t % 32 && ts::warp_id() == t / 32 ? cta * 64 + t : -1;
}
TS_LAUNCH(shape, (*(int**)args[0]))
TS_KERNEL(stack, 32, 1)(int* O) {
  TS_LOCAL(int, big, 100000);
  for (int i = 0; i < 100000; ++i) big[i] = i;
  int s = 0;
  for (int i = ts::tid_x(); i < 100000; i += 997) s += big[i] == i;
  O[ts::tid_x()] = s;
}
TS_LAUNCH(stack, (*(int**)args[0]))
)";

LaunchInfo Scale(float* a, float* b, int n, u64 stream = 0, u32 rank = 0) {
  LaunchInfo l;
  l.rank = rank;
  l.stream = stream;
  l.module = CompiledText(kText);
  l.entry = "scale";
  l.grid = {u32(n + 63) / 64, 1, 1};
  l.block = {64, 1, 1};
  l.args = {Arg(a), Arg(b), Arg(n)};
  return l;
}

float* Make(const char* name, int n, bool initialized = true) {
  return static_cast<float*>(Machine::Get().Allocate(
      0, u64(n) * 4,
      {.name = name, .element_bytes = 4, .type = "float32", .initialized = initialized}));
}

TEST(Memory, SymmetricOffsetsAreEqual) {
  Machine& m = Machine::Get();
  m.Configure({.ranks = 3});
  auto* a = static_cast<u8*>(m.AllocateSymmetric(100, {.name = "A"}));
  auto* b = static_cast<u8*>(m.AllocateSymmetric(100, {.name = "B"}));
  m.Allocate(1, 5000, {.name = "own"});
  auto* c = static_cast<u8*>(m.AllocateSymmetric(100, {.name = "C"}));
  for (u8* p : {a, b, c}) {
    for (u32 r = 0; r < 3; ++r) {
      EXPECT_EQ(m.BytesFrom(m.Peer(p, 0, r)), 100u);
      EXPECT_EQ(m.Peer(m.Peer(p, 0, r), r, 0), p);
    }
  }
  EXPECT_GE(u64(b - a), 1u << 20) << "a gap follows every allocation";
  m.Free(b);
  EXPECT_EQ(m.BytesFrom(b), 0u);
  EXPECT_EQ(m.BytesFrom(m.Peer(b, 0, 2)), 0u);
}

TEST(Memory, AllocationsArePoisonedAndAligned) {
  Machine& m = Machine::Get();
  m.Configure({});
  for (u64 bytes : {u64{0}, u64{1}, u64{65535}, u64{65536}, u64{65537}, u64{3} << 20}) {
    auto* p = static_cast<u8*>(m.Allocate(0, bytes, {.name = "p"}));
    EXPECT_EQ(reinterpret_cast<u64>(p) % 256, 0u);
    EXPECT_EQ(m.BytesFrom(p), bytes);
    for (u64 i = 0; i < bytes; i += 4099) EXPECT_EQ(p[i], 0xff);
    m.Free(p);
  }
}

TEST(Memory, UnwrittenUntilTheHostSaysSo) {
  Machine& m = Machine::Get();
  m.Configure({});
  float *a = Make("A", 100, false), *b = Make("B", 100, false);
  m.Launch(Scale(a, b, 100));
  EXPECT_EQ(m.Synchronize().kind, "UninitializedRead");
  m.MarkInitialized(a, 200);  // a half
  m.Launch(Scale(a, b, 50));
  EXPECT_TRUE(m.Synchronize().ok());
  m.Launch(Scale(a, b, 51));
  EXPECT_EQ(m.Synchronize().kind, "UninitializedRead");
  m.Launch(Scale(b, a, 50));  // a kernel wrote it
  EXPECT_TRUE(m.Synchronize().ok());
}

TEST(Memory, HostTensorsAreCopiedInAndOut) {
  Machine& m = Machine::Get();
  m.Configure({});
  const int n = 1000;
  // Read-only host memory must not be written, not even with the same bytes.
  auto* in = static_cast<float*>(
      mmap(nullptr, n * 4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  for (int i = 0; i < n; ++i) in[i] = float(i);
  mprotect(in, n * 4, PROT_READ);
  std::vector<float> out(n + 2, 5);
  auto* a = static_cast<float*>(
      m.Import(0, 0, in, n * 4, {.name = "in", .element_bytes = 4, .initialized = true}));
  auto* b = static_cast<float*>(m.Import(0, 0, out.data() + 1, n * 4,
                                         {.name = "out", .element_bytes = 4, .initialized = true}));
  m.Launch(Scale(a, b, n - 1));
  EXPECT_EQ(out[1], 5) << "not before synchronisation";
  ASSERT_TRUE(m.Synchronize().ok());
  EXPECT_EQ(out[0], 5);
  EXPECT_EQ(out[size_t(n) + 1], 5);
  EXPECT_EQ(out[size_t(n)], 5) << "what the kernel did not write stays";
  for (int i = 0; i < n - 1; ++i) ASSERT_EQ(out[size_t(i) + 1], 2 * float(i));
  EXPECT_EQ(m.BytesFrom(a), 0u) << "the import has ended";
  munmap(in, n * 4);
}

TEST(Launches, IdentityOfThreads) {
  Machine& m = Machine::Get();
  m.Configure({});
  int* o = reinterpret_cast<int*>(Make("O", 24 * 64));
  LaunchInfo l;
  l.module = CompiledText(kText);
  l.entry = "shape";
  l.grid = {2, 3, 4};
  l.block = {4, 8, 2};
  l.args = {Arg(o)};
  m.Launch(l);
  ASSERT_TRUE(m.Synchronize().ok());
  for (int i = 0; i < 24 * 64; ++i) ASSERT_EQ(o[i], i);
}

TEST(Launches, LargeLocalArrays) {
  Machine& m = Machine::Get();
  m.Configure({});
  int* o = reinterpret_cast<int*>(Make("O", 32));
  LaunchInfo l;
  l.module = CompiledText(kText);
  l.entry = "stack";
  l.block = {32, 1, 1};
  l.args = {Arg(o)};
  m.Launch(l);
  ASSERT_TRUE(m.Synchronize().ok());
  for (int i = 0; i < 32; ++i) EXPECT_GE(o[i], 100);
}

TEST(Launches, WrongOnesAreRefused) {
  Machine& m = Machine::Get();
  m.Configure({});
  float* a = Make("A", 64);
  auto message = [&](const std::function<void(LaunchInfo&)>& change) -> std::string {
    LaunchInfo l = Scale(a, a, 64);
    change(l);
    try {
      m.Launch(std::move(l));
    } catch (const Diag& d) {
      return d.message();
    }
    return "";
  };
  EXPECT_EQ(message([](LaunchInfo& l) { l.block = {1025, 1, 1}; }),
            "scale: a block has 1 to 1024 threads, got 1025");
  EXPECT_EQ(message([](LaunchInfo& l) { l.entry = "none"; }),
            "there is no kernel 'none' in this module");
  EXPECT_EQ(message([](LaunchInfo& l) { l.rank = 3; }),
            "rank 3 is out of range: the machine has 1 ranks");
  EXPECT_EQ(message([](LaunchInfo& l) { l.cluster = {2, 1, 1}; }),
            "scale: the grid must be a multiple of the cluster");
  EXPECT_EQ(message([](LaunchInfo& l) { l.grid = {0, 1, 1}; }), "");
  EXPECT_TRUE(m.Synchronize().ok());
}

TEST(Streams, OneStreamIsOrdered) {
  Machine& m = Machine::Get();
  m.Configure({});
  float *a = Make("A", 500), *b = Make("B", 500), *c = Make("C", 500);
  for (int i = 0; i < 500; ++i) a[i] = float(i);
  for (u64 seed = 1; seed <= 5; ++seed) {
    m.SetSeed(seed);
    m.Launch(Scale(a, b, 500));
    m.Launch(Scale(b, c, 500));
    m.Launch(Scale(c, b, 500));
    Report r = m.Synchronize();
    ASSERT_TRUE(r.ok()) << r.text;
    for (int i = 0; i < 500; ++i) ASSERT_EQ(b[i], 8 * float(i));
  }
}

TEST(Streams, TwoStreamsRaceWithoutAnEvent) {
  Machine& m = Machine::Get();
  for (u64 seed = 1; seed <= 10; ++seed) {
    m.Configure({.seed = seed});
    float *a = Make("A", 500), *b = Make("B", 500), *c = Make("C", 500);
    m.Launch(Scale(a, b, 500, 1));
    m.Launch(Scale(b, c, 500, 2));
    EXPECT_EQ(m.Synchronize().kind, "DataRace") << seed;
    // The same with an event between.
    m.Launch(Scale(a, b, 500, 1));
    u64 event = m.RecordEvent(0, 1);
    m.WaitEvent(0, 2, event);
    m.Launch(Scale(b, c, 500, 2));
    Report r = m.Synchronize();
    EXPECT_TRUE(r.ok()) << r.text;
    // And with the host between.
    m.Launch(Scale(a, b, 500, 1));
    ASSERT_TRUE(m.Synchronize(0, 1).ok());
    m.Launch(Scale(b, c, 500, 2));
    r = m.Synchronize();
    EXPECT_TRUE(r.ok()) << r.text;
    // One that ran earlier, but that nobody waited for, is not ordered.
    m.Launch(Scale(a, b, 500, 1));
    m.Launch(Scale(c, c + 100, 64, 2));
    ASSERT_TRUE(m.Synchronize(0, 2).ok());
    m.Launch(Scale(b, c, 64, 2));
    EXPECT_EQ(m.Synchronize().kind, "DataRace") << seed;
  }
}

TEST(Streams, EventsFromTheHost) {
  Machine& m = Machine::Get();
  m.Configure({});
  float *a = Make("A", 64), *b = Make("B", 64);
  m.Launch(Scale(a, b, 64, 1));
  u64 event = m.RecordEvent(0, 1);
  ASSERT_TRUE(m.SynchronizeEvent(event).ok());
  m.Launch(Scale(b, a, 64, 2));
  Report r = m.Synchronize();
  EXPECT_TRUE(r.ok()) << r.text;
}

// Each rank has its own host thread, as with a process per rank; neither knows when the other
// launches.
TEST(Hosts, RanksInThreadsMeet) {
  Machine& m = Machine::Get();
  for (int round = 0; round < 20; ++round) {
    m.Configure({.ranks = 2, .seed = u64(round)});
    void* f = m.AllocateSymmetric(4, {.name = "F", .element_bytes = 4, .initialized = true});
    for (u32 r = 0; r < 2; ++r) std::memset(m.Peer(f, 0, r), 0, 4);
    auto module = CompiledText(kText);
    std::string kinds[2] = {"none", "none"};
    std::atomic<int> there{0};
    auto host = [&](u32 rank) {
      m.Free(m.Allocate(rank, 16,
                        {.name = "x"}));  // from here on the machine knows who drives this rank
      for (++there; there < 2;) std::this_thread::yield();
      if (rank == u32(round % 2)) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      LaunchInfo l;
      l.rank = rank;
      l.module = module;
      l.entry = "ping";
      l.block = {32, 1, 1};
      l.args = {Arg(m.Peer(f, 0, rank))};
      m.Launch(l);
      Report r = m.Synchronize(rank, 0);
      kinds[rank] = r.ok() ? "ok" : r.text;
    };
    std::thread other(host, 1);
    host(0);
    other.join();
    EXPECT_EQ(kinds[0], "ok");
    EXPECT_EQ(kinds[1], "ok");
  }
}

TEST(Hosts, AMissingRankIsNamed) {
  Machine& m = Machine::Get();
  m.Configure({.ranks = 2, .seed = 7});
  void* f = m.AllocateSymmetric(4, {.name = "F", .element_bytes = 4, .initialized = true});
  for (u32 r = 0; r < 2; ++r) std::memset(m.Peer(f, 0, r), 0, 4);
  LaunchInfo l;
  l.module = CompiledText(kText);
  l.entry = "ping";
  l.block = {32, 1, 1};
  l.args = {Arg(f)};
  m.Launch(l);
  Report r = m.Synchronize();
  EXPECT_EQ(r.kind, "Deadlock");
  EXPECT_NE(r.text.find("\n    rank 1: its host has launched nothing since it last synchronised"),
            std::string::npos)
      << r.text;
}

TEST(Machine, MemoryIsFreedBehindTheKernelsThatAreQueued) {
  Machine& m = Machine::Get();
  m.Configure({.seed = 7});
  constexpr int kCount = 64;
  float* a = Make("A", kCount);
  float* b = Make("B", kCount);
  std::fill_n(a, kCount, 1.0F);
  m.Launch(Scale(a, b, kCount, 5));
  m.Free(a);
  m.Free(b);
  const Report queued = m.Synchronize();
  EXPECT_TRUE(queued.ok()) << queued.text;
  m.Launch(Scale(a, b, kCount, 5));
  EXPECT_EQ(m.Synchronize().kind, "OutOfBounds");
}

class DeviceTest : public testing::Test {
 protected:
  DeviceTest() { Machine::Get().Configure({}); }
  std::shared_ptr<runtime::Device> device_ = runtime::GetDevice("sim", "sm_80", 0);
};

TEST_F(DeviceTest, RunsATextOnHostAndDeviceTensors) {
  auto compiled =
      device_->Compile({.name = "k.cu", .source = kText, .arch = "sm_80", .options = {}});
  auto module = device_->Load(compiled.binary);
  runtime::Function* f = module->GetFunction(
      {.entry = "scale", .dynamic_shared_bytes = 0, .cluster = {}, .cooperative = false});
  const int n = 100;
  std::vector<float> a(n);
  for (int i = 0; i < n; ++i) a[size_t(i)] = float(i);
  auto* out = static_cast<float*>(device_->Allocate(n * 4, nullptr));
  void* host = a.data();
  u64 count = n;
  void* args[] = {&host, &out, &count};
  const int64_t shape[] = {n};
  runtime::BufferArg buffers[2];
  buffers[0].name = "A";
  buffers[0].address = host;
  buffers[1].arg = 1;
  buffers[1].name = "B";
  buffers[1].address = out;
  buffers[1].fresh = true;
  for (auto& b : buffers) {
    b.bytes = n * 4;
    b.dtype = {kDLFloat, 32, 1};
    b.ndim = 1;
    b.shape = shape;
  }
  runtime::LaunchRequest r;
  r.name = "scale_it";
  r.function = f;
  r.grid = {2, 1, 1};
  r.block = {64, 1, 1};
  r.args = args;
  r.num_args = 3;
  r.buffers = buffers;
  r.num_buffers = 2;
  device_->Launch(r);
  for (int i = 0; i < n; ++i) ASSERT_EQ(out[i], 2 * float(i));
  // One element too far: the report is an error of its kind, in the user's names.
  count = n + 1;
  try {
    device_->Launch(r);
    ADD_FAILURE();
  } catch (const Diag& d) {
    EXPECT_EQ(d.type(), "OutOfBounds");
    EXPECT_NE(d.message().find("A[100] (100 elements of float32, global memory of rank 0)"),
              std::string::npos)
        << d.message();
    EXPECT_NE(d.message().find("kernel scale_it on sim sm_80, 1 rank"), std::string::npos)
        << d.message();
  }
  EXPECT_EQ(LastReport().kind, "OutOfBounds");
  // Two arguments that overlap are one range.
  count = 50;
  void* second = a.data() + 50;
  void* views[] = {&host, &second, &count};
  r.args = views;
  buffers[1].address = second;
  buffers[1].fresh = false;
  buffers[1].bytes = 50 * 4;
  device_->Launch(r);
  for (int i = 0; i < 50; ++i) ASSERT_EQ(a[size_t(i) + 50], 2 * float(i));
  device_->Free(out, nullptr);
}

TEST_F(DeviceTest, KnowsItsLimits) {
  EXPECT_EQ(device_->properties().max_shared_bytes, 163 * 1024);
  EXPECT_EQ(device_->properties().num_sms, 108);
  auto module = device_->Load(
      device_->Compile({.name = "k.cu", .source = kText, .arch = "sm_80", .options = {}}).binary);
  try {
    module->GetFunction(
        {.entry = "scale", .dynamic_shared_bytes = 200000, .cluster = {}, .cooperative = false});
    ADD_FAILURE();
  } catch (const Diag& d) {
    EXPECT_EQ(d.message(), "scale needs 200000 bytes of shared memory, but sm_80 has 166912");
  }
  try {
    runtime::GetDevice("sim", "sm_70", 0);
    ADD_FAILURE();
  } catch (const Diag& d) {
    EXPECT_EQ(d.message(),
              "the simulator does not know the architecture 'sm_70'; expected one of: sm_80, "
              "sm_86, sm_89, sm_90, sm_100, "
              "sm_103, sm_120");
  }
}

}  // namespace
}  // namespace tilescale::sim
