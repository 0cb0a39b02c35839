// SPDX-License-Identifier: MIT
// The launcher's own time for one call, on a device that does nothing: three tensors, two scalars.
#include "runtime/dispatch.h"
#include "runtime/nvrtc.h"
#include "tests/unit/runtime/call_fixture.h"

#include <chrono>

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

// The least time of a call in nanoseconds over several batches: a loaded machine only adds.
template <class F>
double Nanoseconds(F&& call) {
  double best = 1e9;
  for (int batch = 0; batch < 50; ++batch) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 1000; ++i) call();
    const std::chrono::duration<double, std::nano> elapsed =
        std::chrono::steady_clock::now() - start;
    best = std::min(best, elapsed.count() / 1000);
  }
  return best;
}

TEST(Overhead, ACallCostsLessThanAMicrosecond) {
  auto executable = std::make_shared<Executable>(Three("overhead"));
  GetFake("overhead")->record = false;
  GetFake("overhead")->describe = false;
  TestTensor a({256, 64}, kF16);
  TestTensor b({64, 512}, kF16);
  TestTensor c({256, 512}, kF16);
  const Args args = Args().Add(a).Add(b).Add(c).Add(int64_t{3}).Add(0.5);
  const double direct = Nanoseconds([&] {
    tvm::ffi::Any result;
    executable->Call(args.data(), args.size(), &result);
  });
  Dispatch dispatch({true, true, true, true, true, false}, {{0, 1, false}},
                    [&](const TVMFFIAny*, int32_t) { return executable; });
  const Args with_key = Args(args).Add(int64_t{128});
  const double dispatched = Nanoseconds([&] {
    tvm::ffi::Any result;
    dispatch.Call(with_key.data(), with_key.size(), &result);
  });
  std::printf("call %.0f ns, through dispatch %.0f ns\n", direct, dispatched);
  EXPECT_LT(direct, 1000);
  EXPECT_LT(dispatched, 1200);
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
