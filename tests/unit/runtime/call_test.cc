// SPDX-License-Identifier: MIT
// What a call does once its arguments are accepted: binding, variants, outputs, workspaces, grids.
#include "tests/unit/runtime/call_fixture.h"

#include <tvm/ffi/container/array.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/extra/c_env_api.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

namespace tilescale::runtime {
namespace {

namespace ffi = tvm::ffi;

float AsFloat(int64_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

TEST(Call, BindsSymbolsAndPacksArguments) {
  Executable executable(ScaleArtifact("binds"));
  TestTensor a({300, 64}, kF16);
  CallExecutable(executable, Args().Add(a).Add(int64_t{-5}).Add(1.5));
  const auto fake = GetFake("binds");
  ASSERT_EQ(fake->log.size(), 1U);
  const FakeDevice::Launched& launch = fake->log[0];
  EXPECT_EQ(launch.entry, "scale_kernel");
  EXPECT_EQ(launch.grid, (Dim3{3, 1, 1}));
  EXPECT_EQ(launch.block, (Dim3{128, 1, 1}));
  EXPECT_EQ(launch.shared, 4096U);
  EXPECT_EQ(launch.args[0], reinterpret_cast<int64_t>(a.tensor.data));
  EXPECT_EQ(static_cast<int32_t>(launch.args[1]), 300);
  EXPECT_EQ(static_cast<int32_t>(launch.args[2]), -5);
  EXPECT_EQ(AsFloat(launch.args[3]), 1.5F);
  EXPECT_EQ(launch.buffers, std::vector<std::string>{"A"});
  EXPECT_EQ(launch.buffer_bytes, std::vector<int64_t>{300 * 64 * 2});
  EXPECT_EQ(launch.fresh, std::vector<bool>{false});
}

TEST(Call, ByteOffsetMovesTheAddress) {
  Executable executable(ScaleArtifact("offset"));
  TestTensor a({4, 64}, kF16);
  a.tensor.byte_offset = 32;
  CallExecutable(executable, Args().Add(a).Add(int64_t{0}).Add(0.0));
  EXPECT_EQ(GetFake("offset")->log[0].args[0], reinterpret_cast<int64_t>(a.tensor.data) + 32);
}

TEST(Call, PicksTheFirstVariantWhoseFactsHold) {
  Executable executable(ScaleArtifact("variants"));
  TestTensor a({4, 64}, kF16);
  const auto args = [&] { return Args().Add(a).Add(int64_t{0}).Add(0.0); };
  CallExecutable(executable, args());
  EXPECT_EQ(executable.LaunchCounts(), (std::vector<int64_t>{1, 0}));
  EXPECT_EQ(GetFake("variants")->loaded, 1);
  const Args aligned = args();
  EXPECT_EQ(executable.SelectVariant(aligned.data(), aligned.size()), 0);
  a.tensor.byte_offset = 2;
  CallExecutable(executable, args());
  CallExecutable(executable, args());
  EXPECT_EQ(executable.LaunchCounts(), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(GetFake("variants")->loaded, 2);
}

TEST(Call, GeneratesAVariantOnFirstNeed) {
  Artifact artifact = ScaleArtifact("lazy");
  const Variant general = artifact.variants[1];
  artifact.variants[1].source.clear();
  artifact.variants[1].kernels.clear();
  std::vector<int> asked;
  Executable executable(artifact, [&](int index) {
    asked.push_back(index);
    return general;
  });
  TestTensor a({4, 64}, kF16);
  CallExecutable(executable, Args().Add(a).Add(int64_t{0}).Add(0.0));
  EXPECT_TRUE(asked.empty());
  a.tensor.byte_offset = 2;
  for (int i = 0; i < 2; ++i) CallExecutable(executable, Args().Add(a).Add(int64_t{0}).Add(0.0));
  EXPECT_EQ(asked, std::vector<int>{1});
  EXPECT_EQ(executable.Load(0, 1).variant.source, "slow text");
}

TEST(Call, CompilesOnceForManyThreads) {
  Executable executable(ScaleArtifact("threads"));
  GetFake("threads")->record = false;
  TestTensor a({4, 64}, kF16);
  const Args args = Args().Add(a).Add(int64_t{0}).Add(0.0);
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) CallExecutable(executable, args);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(GetFake("threads")->loaded, 1);
  EXPECT_EQ(GetFake("threads")->launches, 800);
}

// twice(A: f32[m]) -> C: f32[2 * m], D: f32[m]; two kernels over one workspace.
Artifact TwoOutputs(const std::string& arch) {
  Artifact artifact;
  artifact.name = "twice";
  artifact.target_kind = "fake";
  artifact.target_arch = arch;
  artifact.params = {TensorParam("A", kF32, {HostExpr::Symbol(0)}),
                     TensorParam("C", kF32, {HostExpr::Symbol(0) * 2}),
                     TensorParam("D", kF32, {HostExpr::Symbol(0)})};
  artifact.params[1].is_output = artifact.params[2].is_output = true;
  artifact.outputs = {1, 2};
  artifact.symbols = {{"m", HostExpr::Dim(0, 0)}};
  Variant variant;
  variant.source = "text";
  variant.workspaces = {{"partial", HostExpr::Symbol(0) * 8}};
  KernelLaunch first;
  first.entry = "first";
  first.args = {DataArg(0), WorkspaceArg(0), DataArg(1)};
  KernelLaunch second;
  second.entry = "second";
  second.args = {WorkspaceArg(0), DataArg(1), DataArg(2)};
  variant.kernels = {first, second};
  artifact.variants = {variant};
  return artifact;
}

TEST(Call, AllocatesOutputsAndWorkspaces) {
  Executable executable(TwoOutputs("outputs"));
  const auto fake = GetFake("outputs");
  TestTensor a({6}, kF32);
  {
    const ffi::Any result = CallExecutable(executable, Args().Add(a));
    const auto outputs = result.cast<ffi::Array<ffi::Tensor>>();
    ASSERT_EQ(outputs.size(), 2U);
    EXPECT_EQ(outputs[0].shape()[0], 12);
    EXPECT_EQ(outputs[1].shape()[0], 6);
    ASSERT_EQ(fake->log.size(), 2U);
    EXPECT_EQ(fake->log[0].args[2], reinterpret_cast<int64_t>(outputs[0].data_ptr()));
    EXPECT_EQ(fake->log[1].args[2], reinterpret_cast<int64_t>(outputs[1].data_ptr()));
    EXPECT_EQ(fake->log[0].args[1], fake->log[1].args[0]);
    EXPECT_EQ(fake->log[0].buffers, (std::vector<std::string>{"A", "partial", "C"}));
    EXPECT_EQ(fake->log[0].buffer_bytes, (std::vector<int64_t>{24, 48, 48}));
    // What this call allocated is fresh for the first kernel that gets it only.
    EXPECT_EQ(fake->log[0].fresh, (std::vector<bool>{false, true, true}));
    EXPECT_EQ(fake->log[1].fresh, (std::vector<bool>{false, false, true}));
    EXPECT_EQ(fake->live, 2);
  }
  EXPECT_EQ(fake->live, 0);
}

TEST(Call, AnOutputIsFreedInTheOrderOfTheStreamThatWroteIt) {
  Executable executable(TwoOutputs("streams"));
  const auto fake = GetFake("streams");
  TestTensor a({6}, kF32);
  const Stream before = HostStream();
  int written = 0, other = 0;
  SetHostStream(&written);
  {
    const ffi::Any outputs = CallExecutable(executable, Args().Add(a));
    fake->freed_on.clear();  // the workspace of the launch
    SetHostStream(&other);
  }
  SetHostStream(before);
  EXPECT_EQ(fake->freed_on, (std::vector<Stream>{&written, &written}));
}

TEST(Call, AWorkspaceOfZeros) {
  Artifact artifact = TwoOutputs("zeros");
  artifact.variants[0].workspaces[0].zeroed = true;
  artifact.variants[0].workspaces.push_back({"other", HostExpr(4)});
  Executable executable(artifact);
  TestTensor a({6}, kF32);
  CallExecutable(executable, Args().Add(a));
  EXPECT_EQ(GetFake("zeros")->zeroed, 48);
}

TEST(Call, AFailedLaunchLeavesNothingBehind) {
  Executable executable(TwoOutputs("failing"));
  const auto fake = GetFake("failing");
  fake->fail_launch = true;
  TestTensor a({6}, kF32);
  EXPECT_EQ(ErrorOf([&] { CallExecutable(executable, Args().Add(a)); }), "CudaError: planned");
  EXPECT_EQ(fake->live, 0);
}

TEST(Call, OneOutputIsReturnedItself) {
  Artifact artifact = TwoOutputs("single");
  artifact.params.pop_back();
  artifact.outputs = {1};
  artifact.variants[0].kernels.pop_back();
  Executable executable(artifact);
  TestTensor a({6}, kF32);
  const ffi::Any result = CallExecutable(executable, Args().Add(a));
  EXPECT_EQ(result.cast<ffi::Tensor>().shape()[0], 12);
}

TEST(Call, AnOutputNeedsElements) {
  Artifact artifact = TwoOutputs("empty_output");
  artifact.params[2].shape[0] = HostExpr::Symbol(0) - 6;
  Executable executable(artifact);
  TestTensor a({6}, kF32);
  EXPECT_EQ(ErrorOf([&] { CallExecutable(executable, Args().Add(a)); }),
            "ValueError: twice.D.shape[0] is 0: an output needs at least one element in each "
            "dimension");
}

TEST(Call, SelectVariantKnowsTheShapesOfOutputs) {
  Artifact artifact = TwoOutputs("select");
  Variant fast = artifact.variants[0];
  fast.facts = {{Less(HostExpr::Numel(1), 10), "numel(C) < 10"}};
  artifact.variants.insert(artifact.variants.begin(), fast);
  Executable executable(artifact);
  TestTensor small({4}, kF32);
  TestTensor large({6}, kF32);
  const Args few = Args().Add(small);
  const Args many = Args().Add(large);
  EXPECT_EQ(executable.SelectVariant(few.data(), few.size()), 0);
  EXPECT_EQ(executable.SelectVariant(many.data(), many.size()), 1);
  CallExecutable(executable, many);
  EXPECT_EQ(executable.LaunchCounts(), (std::vector<int64_t>{0, 1}));
}

TEST(Call, GridLimits) {
  const auto error = [](int dim, int64_t m) {
    Artifact artifact = ScaleArtifact("grid");
    artifact.params[0].shape[0] = HostExpr::Symbol(0);
    for (Variant& variant : artifact.variants) {
      variant.kernels[0].grid = {1, 1, 1};
      variant.kernels[0].grid[dim] = HostExpr::Scalar(1);
    }
    Executable executable(artifact);
    TestTensor a({1, 64}, kF16);
    return ErrorOf([&] { CallExecutable(executable, Args().Add(a).Add(m).Add(0.0)); });
  };
  EXPECT_EQ(error(0, 0),
            "ValueError: scale: grid dimension x is 0 = n, a launch needs 1 to "
            "2147483647");
  EXPECT_EQ(error(1, 65535), "no error");
  EXPECT_EQ(error(1, 65536),
            "ValueError: scale: grid dimension y is 65536 = n, a launch needs 1 to 65535");
  EXPECT_EQ(error(2, 65536),
            "ValueError: scale: grid dimension z is 65536 = n, a launch needs 1 to 65535");
  EXPECT_EQ(error(0, 65536), "no error");
  EXPECT_EQ(error(2, -1),
            "ValueError: scale: grid dimension z is -1 = n, a launch needs 1 to 65535");
}

TEST(Call, ConstantGridOfZeroIsRefused) {
  Artifact artifact = ScaleArtifact("static_grid");
  artifact.variants[0].kernels[0].grid[1] = 0;
  Executable executable(artifact);
  TestTensor a({1, 64}, kF16);
  EXPECT_EQ(ErrorOf([&] { CallExecutable(executable, Args().Add(a).Add(int64_t{0}).Add(0.0)); }),
            "ValueError: scale: grid dimension y is 0, a launch needs 1 to 65535");
}

TEST(Call, AssumptionsAreChecked) {
  Artifact artifact = ScaleArtifact("assume");
  artifact.checks = {
      {Equal(FloorMod(HostExpr::Scalar(1), 4), 0), "RuntimeError", "Assume: n % 4 == 0"}};
  Executable executable(artifact);
  TestTensor a({1, 64}, kF16);
  const auto call = [&](int64_t n) {
    return ErrorOf([&] { CallExecutable(executable, Args().Add(a).Add(n).Add(0.0)); });
  };
  EXPECT_EQ(call(8), "no error");
  EXPECT_EQ(call(6), "RuntimeError: Assume: n % 4 == 0");
}

TEST(Call, ExpressionsThatDoNotFit) {
  Artifact artifact = ScaleArtifact("fit");
  for (Variant& variant : artifact.variants) {
    variant.kernels[0].args[1] = ExprArg(HostExpr::Scalar(1) * 4, kI32);
    variant.kernels[0].grid[0] = FloorDiv(HostExpr(8), HostExpr::Scalar(1));
  }
  Executable executable(artifact);
  TestTensor a({1, 64}, kF16);
  const auto call = [&](int64_t n) {
    return ErrorOf([&] { CallExecutable(executable, Args().Add(a).Add(n).Add(0.0)); });
  };
  EXPECT_EQ(call(2), "no error");
  EXPECT_EQ(call(1 << 30), "ValueError: scale: n * 4 = 4294967296 does not fit int32");
  EXPECT_EQ(call(0),
            "ValueError: scale: grid 8 // n divides by zero or exceeds 64 bits for these "
            "arguments");
}

TEST(Call, TooMuchSharedMemory) {
  Artifact artifact = ScaleArtifact("shared");
  for (Variant& variant : artifact.variants) variant.kernels[0].dynamic_shared_bytes = 100001;
  Executable executable(artifact);
  TestTensor a({1, 64}, kF16);
  EXPECT_EQ(ErrorOf([&] { CallExecutable(executable, Args().Add(a).Add(int64_t{0}).Add(0.0)); }),
            "ValueError: scale needs 100001 bytes of shared memory, fake has 100000\n"
            "help: use smaller tiles or fewer stages");
}

TEST(Call, SharedMemoryThatTheArgumentsDecide) {
  Artifact artifact = ScaleArtifact("dynamic shared");
  for (Variant& variant : artifact.variants) {
    variant.kernels[0].dynamic_shared_bytes = HostExpr::Scalar(1) * 1000;
  }
  Executable executable(artifact);
  TestTensor a({1, 64}, kF16);
  const auto call = [&](int64_t n) {
    return ErrorOf([&] { CallExecutable(executable, Args().Add(a).Add(n).Add(0.0)); });
  };
  EXPECT_EQ(call(100), "no error");
  EXPECT_EQ(GetFake("dynamic shared")->log.back().shared, 100000U);
  EXPECT_EQ(call(101),
            "ValueError: scale: shared memory is 101000 bytes = n * 1000, a block of this "
            "device has at most 100000");
  EXPECT_EQ(call(-1),
            "ValueError: scale: shared memory is -1000 bytes = n * 1000, a block of this "
            "device has at most 100000");
}

TEST(Call, UnknownDeviceKind) {
  Artifact artifact = ScaleArtifact("kind");
  artifact.target_kind = "abacus";
  Executable executable(artifact);
  TestTensor a({1, 64}, kF16);
  const std::string error =
      ErrorOf([&] { CallExecutable(executable, Args().Add(a).Add(int64_t{0}).Add(0.0)); });
  EXPECT_EQ(error.find("ValueError: there is no device of kind 'abacus'; expected one of: "), 0U)
      << error;
}

TEST(Call, NarrowFloatsRoundToNearestEven) {
  const auto half = [](double value) {
    int64_t bits = 0;
    EXPECT_TRUE(EncodeFloat(kF16, value, &bits));
    return bits;
  };
  const auto brain = [](double value) {
    int64_t bits = 0;
    EXPECT_TRUE(EncodeFloat({kDLBfloat, 16, 1}, value, &bits));
    return bits;
  };
  EXPECT_EQ(half(1.0), 0x3c00);
  EXPECT_EQ(half(-2.5), 0xc100);
  EXPECT_EQ(half(65504.0), 0x7bff);
  EXPECT_EQ(half(65520.0), 0x7c00);  // ties to even: infinity
  EXPECT_EQ(half(65519.99), 0x7bff);
  EXPECT_EQ(half(1.0 + 1.0 / 2048), 0x3c00);
  EXPECT_EQ(half(1.0 + 3.0 / 2048), 0x3c02);
  EXPECT_EQ(half(std::ldexp(1.0, -24)), 0x0001);
  EXPECT_EQ(half(std::ldexp(1.0, -25)), 0x0000);
  EXPECT_EQ(half(std::ldexp(1.5, -25)), 0x0001);
  EXPECT_EQ(half(std::ldexp(2047.0, -25)), 0x0400);  // rounds up into the normal numbers
  EXPECT_EQ(half(-0.0), 0x8000);
  EXPECT_EQ(half(std::numeric_limits<double>::infinity()), 0x7c00);
  EXPECT_EQ(half(1e300), 0x7c00);
  EXPECT_EQ(half(std::nan("")) & 0x7e00, 0x7e00);
  EXPECT_EQ(brain(1.0), 0x3f80);
  EXPECT_EQ(brain(3.4e38), 0x7f80);
  EXPECT_EQ(brain(-1.00390625), 0xbf80);
  EXPECT_EQ(brain(1.01171875), 0x3f82);
}

}  // namespace
}  // namespace tilescale::runtime
