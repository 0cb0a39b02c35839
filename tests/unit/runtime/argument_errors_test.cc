// SPDX-License-Identifier: MIT
// Every way in which a call can be wrong, with the exact text.
#include "tests/unit/runtime/call_fixture.h"

namespace tilescale::runtime {
namespace {

// f(A: f16[m, 64], B: f16[64, k], S: f32[2 * m] strided, p: pointer, n: i32, flag: bool,
//   alpha: f32, unused: f32[4] nullable) -> C
Artifact Subject() {
  Artifact artifact;
  artifact.name = "f";
  artifact.target_kind = "fake";
  artifact.target_arch = "errors";
  Param strided = TensorParam("S", kF32, {HostExpr::Symbol(0) * 2, 3});
  strided.strides = {HostExpr::Symbol(2), 1};
  Param pointer;
  pointer.name = "p";
  pointer.kind = ParamKind::kPointer;
  pointer.dtype = kF32;
  Param unused = TensorParam("unused", kF32, {4});
  unused.nullable = true;
  Param out = TensorParam("C", kF32, {HostExpr::Symbol(0)});
  out.is_output = true;
  artifact.params = {TensorParam("A", kF16, {HostExpr::Symbol(0), 64}),
                     TensorParam("B", kF16, {64, HostExpr::Symbol(1)}),
                     strided,
                     pointer,
                     ScalarParam("n", kI32),
                     ScalarParam("flag", kBool),
                     ScalarParam("alpha", kF32),
                     unused,
                     out};
  artifact.outputs = {8};
  artifact.symbols = {
      {"m", HostExpr::Dim(0, 0)}, {"k", HostExpr::Dim(1, 1)}, {"s", HostExpr::Stride(2, 0)}};
  Variant variant;
  variant.source = "text";
  KernelLaunch kernel;
  kernel.entry = "f_kernel";
  kernel.args = {DataArg(0), DataArg(1), DataArg(2), DataArg(3), DataArg(8)};
  variant.kernels = {kernel};
  artifact.variants = {variant};
  return artifact;
}

struct Inputs {
  TestTensor a{{8, 64}, kF16};
  TestTensor b{{64, 5}, kF16};
  TestTensor s{{16, 3}, kF32};
  TestTensor p{{2}, kF32};
  TestTensor unused{{4}, kF32};
};

// The error of a call whose arguments `change` bends; `list` replaces the argument list.
template <class F>
std::string Error(F&& change) {
  static Executable executable(Subject());
  Inputs in;
  Args args;
  change(in);
  args.Add(in.a)
      .Add(in.b)
      .Add(in.s)
      .Add(in.p)
      .Add(int64_t{1})
      .AddBool(true)
      .Add(0.5)
      .Add(in.unused);
  return ErrorOf([&] { CallExecutable(executable, args); });
}

template <class F>
std::string ListError(F&& build) {
  static Executable executable(Subject());
  Inputs in;
  const Args args = build(in);
  return ErrorOf([&] { CallExecutable(executable, args); });
}

TEST(ArgumentErrors, RightCallsPass) {
  EXPECT_EQ(Error([](Inputs&) {}), "no error");
  // The stride of a dimension with one element is free.
  EXPECT_EQ(ListError([](Inputs& in) {
              static TestTensor a({1, 64}, kF16);
              static TestTensor s({2, 3}, kF32);
              a.strides[0] = 999;
              return Args()
                  .Add(a)
                  .Add(in.b)
                  .Add(s)
                  .Add(in.p)
                  .Add(int64_t{1})
                  .AddBool(true)
                  .Add(0.5)
                  .AddNone();
            }),
            "no error");
  // Strides may be absent; addresses may be numbers; numbers convert upwards.
  EXPECT_EQ(ListError([](Inputs& in) {
              in.a.tensor.strides = nullptr;
              return Args()
                  .Add(in.a)
                  .Add(in.b)
                  .Add(in.s)
                  .Add(int64_t{4096})
                  .AddBool(true)
                  .Add(int64_t{1})
                  .Add(int64_t{2})
                  .AddNone();
            }),
            "no error");
}

TEST(ArgumentErrors, Count) {
  EXPECT_EQ(ListError([](Inputs& in) { return Args().Add(in.a).Add(in.b); }),
            "ValueError: Kernel expected 8 inputs, but 2 are provided. f: num_args should be 8; "
            "expected: A, B, S, p, n, flag, alpha, unused, got: 2");
}

TEST(ArgumentErrors, Kinds) {
  const auto with = [](int position, auto&& put) {
    return ListError([&](Inputs& in) {
      Args args;
      for (int i = 0; i < 8; ++i) {
        if (i == position) {
          put(args, in);
        } else if (i < 4 || i == 7) {
          args.Add(i == 0 ? in.a : i == 1 ? in.b : i == 2 ? in.s : i == 3 ? in.p : in.unused);
        } else if (i == 6) {
          args.Add(0.5);
        } else {
          args.Add(int64_t{1});
        }
      }
      return args;
    });
  };
  EXPECT_EQ(with(0, [](Args& args, Inputs&) { args.Add(int64_t{3}); }),
            "TypeError: Expect arg[0] to be pointer: f.A is a tensor, got int; "
            "pass a tensor of torch, numpy or another DLPack framework");
  EXPECT_EQ(with(0, [](Args& args, Inputs&) { args.AddText("x"); }),
            "TypeError: Expect arg[0] to be pointer: f.A is a tensor, got str; "
            "pass a tensor of torch, numpy or another DLPack framework");
  EXPECT_EQ(with(3, [](Args& args, Inputs&) { args.Add(1.0); }),
            "TypeError: Expect arg[3] to be pointer: f.p is a pointer, got float; "
            "pass an address or a tensor");
  EXPECT_EQ(with(4, [](Args& args, Inputs&) { args.Add(1.0); }),
            "TypeError: Expect arg[4] to be int: f.n is int32, got float");
  EXPECT_EQ(with(4, [](Args& args, Inputs& in) { args.Add(in.a); }),
            "TypeError: Expect arg[4] to be int: f.n is int32, got a tensor");
  EXPECT_EQ(with(5, [](Args& args, Inputs&) { args.Add(1.0); }),
            "TypeError: Expect arg[5] to be boolean: f.flag is bool, got float");
  EXPECT_EQ(with(6, [](Args& args, Inputs&) { args.AddNone(); }),
            "TypeError: Expect arg[6] to be float: f.alpha is float32, got None");
  EXPECT_EQ(with(4, [](Args& args, Inputs&) { args.Add(int64_t{1} << 31); }),
            "ValueError: f.n: 2147483648 does not fit int32");
  EXPECT_EQ(with(0, [](Args& args, Inputs&) { args.AddNone(); }),
            "ValueError: f.A is expected to have non-NULL pointer, but got NULL");
  EXPECT_EQ(with(3, [](Args& args, Inputs&) { args.AddNone(); }),
            "ValueError: f.p is expected to have non-NULL pointer, but got NULL");
  EXPECT_EQ(with(3, [](Args& args, Inputs&) { args.Add(int64_t{0}); }),
            "ValueError: f.p is expected to have non-NULL pointer, but got NULL");
}

TEST(ArgumentErrors, RankAndDType) {
  EXPECT_EQ(Error([](Inputs& in) { in.a.tensor.ndim = 1; }),
            "ValueError: f.A.ndim is expected to equal 2, but got mismatched ndim 1");
  EXPECT_EQ(Error([](Inputs& in) { in.a.tensor.dtype = {kDLBfloat, 16, 1}; }),
            "TypeError: f.A.dtype is expected to be float16, but got incompatible dtype bfloat16");
  EXPECT_EQ(Error([](Inputs& in) { in.s.tensor.dtype = {kDLFloat, 64, 1}; }),
            "TypeError: f.S.dtype is expected to be float32, but got incompatible dtype float64");
}

TEST(ArgumentErrors, Shape) {
  EXPECT_EQ(Error([](Inputs& in) { in.a.shape[1] = 32; }),
            "ValueError: Argument f.A.shape[1] has an unsatisfied constraint: 64 == 32; expected "
            "shape (m, 64) with m = 8, got (8, 32)");
  EXPECT_EQ(Error([](Inputs& in) { in.s.shape[0] = 15; }),
            "ValueError: Argument f.S.shape[0] has an unsatisfied constraint: m * 2 == 15; "
            "expected shape (m * 2, 3) with m = 8, got (15, 3)");
  EXPECT_EQ(Error([](Inputs& in) { in.unused.shape[0] = 3; }),
            "ValueError: Argument f.unused.shape[0] has an unsatisfied constraint: 4 == 3; "
            "expected shape (4,), got (3,)");
}

TEST(ArgumentErrors, Strides) {
  EXPECT_EQ(Error([](Inputs& in) { in.a.strides[0] = 128; }),
            "ValueError: Argument f.A.strides[0] has an unsatisfied constraint: 64 == 128; the "
            "tensor must be contiguous\n"
            "help: pass A.contiguous(), or declare it as T.StridedTensor");
  EXPECT_EQ(Error([](Inputs& in) {
              in.a.strides[0] = 1;
              in.a.strides[1] = 8;
            }),
            "ValueError: Argument f.A.strides[1] has an unsatisfied constraint: 1 == 8; the "
            "tensor must be contiguous\n"
            "help: pass A.contiguous(), or declare it as T.StridedTensor");
  EXPECT_EQ(Error([](Inputs& in) { in.s.strides[0] = 100; }), "no error");
  EXPECT_EQ(Error([](Inputs& in) { in.s.strides[1] = 2; }),
            "ValueError: Argument f.S.strides[1] has an unsatisfied constraint: 1 == 2; expected "
            "strides (s, 1) with s = 3");
}

TEST(ArgumentErrors, Device) {
  EXPECT_EQ(Error([](Inputs& in) { in.b.tensor.device = {kDLCUDA, 0}; }),
            "ValueError: f.B.device_type mismatch [expected: 1 (cpu)], got: 2 (cuda)\n"
            "help: the target runs on host memory: pass CPU tensors");
  EXPECT_EQ(Error([](Inputs& in) { in.b.tensor.device.device_id = 1; }),
            "ValueError: Argument f.B.device_id has an unsatisfied constraint: 0 == 1\n"
            "help: all tensors of a call must be on one device");
}

TEST(ArgumentErrors, CpuTensorOnAGpuTarget) {
  Artifact artifact = Subject();
  artifact.target_kind = "cuda";
  Executable executable(artifact);
  Inputs in;
  const Args args = Args()
                        .Add(in.a)
                        .Add(in.b)
                        .Add(in.s)
                        .Add(in.p)
                        .Add(int64_t{1})
                        .AddBool(true)
                        .Add(0.5)
                        .Add(in.unused);
  EXPECT_EQ(ErrorOf([&] { CallExecutable(executable, args); }),
            "ValueError: f.A.device_type mismatch [expected: 2 (cuda)], got: 1 (cpu)\n"
            "help: move the tensor to the GPU, with .cuda() in torch");
}

TEST(ArgumentErrors, EmptyFreedAndMisaligned) {
  EXPECT_EQ(Error([](Inputs& in) {
              in.a.shape[0] = 0;
              in.a.tensor.data = nullptr;
            }),
            "ValueError: f.A.shape[0] is 0: a kernel cannot run on an empty tensor, got shape "
            "(0, 64)");
  EXPECT_EQ(Error([](Inputs& in) { in.b.shape[1] = 0; }),
            "ValueError: f.B.shape[1] is 0: a kernel cannot run on an empty tensor, got shape "
            "(64, 0)");
  EXPECT_EQ(Error([](Inputs& in) { in.a.tensor.data = nullptr; }),
            "ValueError: f.A is expected to have non-NULL data pointer, but got NULL");
  EXPECT_EQ(Error([](Inputs& in) { in.p.tensor.data = nullptr; }),
            "ValueError: f.p is expected to have non-NULL data pointer, but got NULL");
  const std::string misaligned =
      Error([](Inputs& in) { in.a.tensor.data = reinterpret_cast<void*>(uintptr_t{0x1003}); });
  EXPECT_EQ(misaligned,
            "ValueError: f.A: the data address 0x1003 is not a multiple of 2, the size of float16");
}

TEST(ArgumentErrors, DTypeFamilies) {
  const DLDataType e4m3fn{kDLFloat8_e4m3fn, 8, 1};
  const DLDataType e5m2{kDLFloat8_e5m2, 8, 1};
  EXPECT_TRUE(DTypeAccepts(e4m3fn, {kDLFloat8_e4m3fnuz, 8, 1}));
  EXPECT_TRUE(DTypeAccepts(e4m3fn, {kDLFloat8_e4m3, 8, 1}));
  EXPECT_FALSE(DTypeAccepts(e4m3fn, e5m2));
  EXPECT_TRUE(DTypeAccepts(e5m2, {kDLFloat8_e5m2fnuz, 8, 1}));
  EXPECT_FALSE(DTypeAccepts(e4m3fn, {kDLUInt, 8, 1}));
  EXPECT_TRUE(DTypeAccepts(kBool, {kDLUInt, 8, 1}));
  EXPECT_TRUE(DTypeAccepts(kBool, {kDLInt, 8, 1}));
  EXPECT_TRUE(DTypeAccepts(kBool, {kDLUInt, 1, 1}));
  EXPECT_FALSE(DTypeAccepts(kBool, {kDLInt, 16, 1}));
  EXPECT_FALSE(DTypeAccepts({kDLInt, 8, 1}, kBool));
  EXPECT_TRUE(DTypeAccepts({kDLInt, 4, 1}, {kDLInt, 8, 1}));
  EXPECT_FALSE(DTypeAccepts(kF16, {kDLFloat, 16, 2}));
}

TEST(ArgumentErrors, SymbolsThatCannotBeBound) {
  Artifact artifact = ScaleArtifact("bind");
  artifact.symbols.push_back({"q", FloorDiv(HostExpr::Symbol(0), HostExpr::Scalar(1))});
  Executable executable(artifact);
  TestTensor a({8, 64}, kF16);
  EXPECT_EQ(ErrorOf([&] { CallExecutable(executable, Args().Add(a).Add(int64_t{0}).Add(0.5)); }),
            "ValueError: scale: q = m // n divides by zero or exceeds 64 bits for these arguments");
}

// A dimension declared 2 * m binds m by division; a remainder shows as a wrong shape.
TEST(ArgumentErrors, LinearDimensions) {
  Artifact artifact = ScaleArtifact("linear");
  artifact.params[0].shape[0] = HostExpr::Symbol(0) * 2;
  artifact.symbols[0].bind = FloorDiv(HostExpr::Dim(0, 0), 2);
  Executable executable(artifact);
  TestTensor even({8, 64}, kF16);
  TestTensor odd({9, 64}, kF16);
  EXPECT_EQ(ErrorOf([&] { CallExecutable(executable, Args().Add(even).Add(int64_t{0}).Add(0.)); }),
            "no error");
  EXPECT_EQ(static_cast<int32_t>(GetFake("linear")->log[0].args[1]), 4);
  EXPECT_EQ(ErrorOf([&] { CallExecutable(executable, Args().Add(odd).Add(int64_t{0}).Add(0.)); }),
            "ValueError: Argument scale.A.shape[0] has an unsatisfied constraint: m * 2 == 9; "
            "expected shape (m * 2, 64) with m = 4, got (9, 64)");
}

}  // namespace
}  // namespace tilescale::runtime
