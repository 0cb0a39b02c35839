// SPDX-License-Identifier: MIT
// What the launcher does for one call, on a device that does nothing: three tensors, two scalars.
// Its time is measured by benchmarks/launch.py.
#include "runtime/dispatch.h"
#include "runtime/nvrtc.h"
#include "tests/unit/runtime/call_fixture.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<int64_t> allocations{0};

void* Counted(size_t bytes) {
  ++allocations;
  if (void* p = std::malloc(bytes)) return p;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(size_t bytes) {
  return Counted(bytes);
}
void* operator new[](size_t bytes) {
  return Counted(bytes);
}
void operator delete(void* p) noexcept {
  std::free(p);
}
void operator delete[](void* p) noexcept {
  std::free(p);
}
void operator delete(void* p, size_t) noexcept {
  std::free(p);
}
void operator delete[](void* p, size_t) noexcept {
  std::free(p);
}

namespace tilescale::runtime {
namespace {

Artifact Three(const std::string& arch) {
  Artifact artifact;
  artifact.name = "three";
  artifact.target_kind = "fake";
  artifact.target_arch = arch;
  const HostExpr m = HostExpr::Symbol(0);
  const HostExpr n = HostExpr::Symbol(1);
  artifact.params = {TensorParam("A", kF16, {m, 64}), TensorParam("B", kF16, {64, n}),
                     TensorParam("C", kF16, {m, n}), ScalarParam("k", kI32),
                     ScalarParam("alpha", kF32)};
  artifact.symbols = {{"m", HostExpr::Dim(0, 0)}, {"n", HostExpr::Dim(1, 1)}};
  Variant fast;
  for (int p = 0; p < 3; ++p) {
    fast.facts.push_back({Equal(FloorMod(HostExpr::Address(p), 16), 0), ""});
    fast.facts.push_back({Less(HostExpr::Numel(p) * 2, int64_t{1} << 31), ""});
  }
  fast.source = "fast";
  KernelLaunch kernel;
  kernel.entry = "k";
  kernel.grid = {CeilDiv(n, 128), CeilDiv(m, 128), 1};
  kernel.block[0] = 128;
  kernel.args = {DataArg(0),       DataArg(1),   DataArg(2),  ExprArg(m, kI32),
                 ExprArg(n, kI32), ScalarArg(3), ScalarArg(4)};
  fast.kernels = {kernel};
  Variant slow = fast;
  slow.facts.clear();
  artifact.variants = {fast, slow};
  return artifact;
}

// The allocations of a call that is not the first.
template <class F>
int64_t Allocations(F&& call) {
  call();
  const int64_t before = allocations;
  call();
  return allocations - before;
}

TEST(Overhead, ACallAllocatesNothing) {
  auto executable = std::make_shared<Executable>(Three("overhead"));
  GetFake("overhead")->record = false;
  GetFake("overhead")->describe = false;
  TestTensor a({256, 64}, kF16);
  TestTensor b({64, 512}, kF16);
  TestTensor c({256, 512}, kF16);
  const Args args = Args().Add(a).Add(b).Add(c).Add(int64_t{3}).Add(0.5);
  EXPECT_EQ(Allocations([&] {
              tvm::ffi::Any result;
              executable->Call(args.data(), args.size(), &result);
            }),
            0);
  Dispatch dispatch({true, true, true, true, true, false}, {{0, 1, false}},
                    [&](const TVMFFIAny*, int32_t) { return executable; });
  const Args with_key = Args(args).Add(int64_t{128});
  EXPECT_EQ(Allocations([&] {
              tvm::ffi::Any result;
              dispatch.Call(with_key.data(), with_key.size(), &result);
            }),
            0);
  EXPECT_EQ(GetFake("overhead")->launches, 4);
}

TEST(Ptxas, UsageIsReadFromItsLog) {
  const auto usage = ParsePtxasUsage(
      "ptxas info    : 0 bytes gmem\n"
      "ptxas info    : Compiling entry function 'first' for 'sm_80'\n"
      "ptxas info    : Function properties for first\n"
      "ptxas         .     256 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads\n"
      "ptxas info    : Used 124 registers, used 1 barriers, 256 bytes cumulative stack size, 128 "
      "bytes smem, 364 bytes cmem[0]\n"
      "ptxas info    : Compile time = 23.926 ms\n"
      "ptxas info    : Compiling entry function 'second' for 'sm_80'\n"
      "ptxas info    : Function properties for second\n"
      "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
      "ptxas info    : Used 8 registers, 364 bytes cmem[0]\n");
  ASSERT_EQ(usage.size(), 2U);
  EXPECT_EQ(usage[0].entry, "first");
  EXPECT_EQ(usage[0].registers, 124);
  EXPECT_EQ(usage[0].stack_bytes, 256);
  EXPECT_EQ(usage[0].spill_store_bytes, 12);
  EXPECT_EQ(usage[0].spill_load_bytes, 16);
  EXPECT_EQ(usage[0].static_shared_bytes, 128);
  EXPECT_EQ(usage[1].entry, "second");
  EXPECT_EQ(usage[1].registers, 8);
  EXPECT_EQ(usage[1].spill_store_bytes, 0);
  EXPECT_EQ(usage[1].static_shared_bytes, 0);
  EXPECT_TRUE(ParsePtxasUsage("").empty());
}

}  // namespace
}  // namespace tilescale::runtime
