// SPDX-License-Identifier: MIT
#include "runtime/artifact.h"

#include "tests/unit/runtime/call_fixture.h"

#include <gtest/gtest.h>

namespace tilescale::runtime {
namespace {

// Every field differs from its default, so that one which is not stored is missed.
Artifact Full() {
  Artifact artifact = ScaleArtifact("sm_77");
  Param out = TensorParam("C", kF32, {HostExpr::Symbol(0) * 2});
  out.is_output = true;
  artifact.params.push_back(out);
  artifact.params[0].strides = {HostExpr::Symbol(1), 1};
  artifact.params.push_back(TensorParam("unused", kF32, {4}));
  artifact.params.back().nullable = true;
  Param pointer;
  pointer.name = "p";
  pointer.kind = ParamKind::kPointer;
  pointer.dtype = kF32;
  artifact.params.push_back(pointer);
  artifact.outputs = {3};
  artifact.symbols.push_back({"s", HostExpr::Stride(0, 0)});
  artifact.checks = {
      {Equal(FloorMod(HostExpr::Symbol(0), 4), 0), "RuntimeError", "Assume: m % 4 == 0"}};
  artifact.variants[0].workspaces = {{"partial", HostExpr::Symbol(0) * 4, true}};
  artifact.variants[0].kernels[0].args.push_back(WorkspaceArg(0));
  artifact.variants[0].kernels[0].cluster[1] = 2;
  artifact.variants[0].kernels[0].cooperative = true;
  artifact.variants[0].kernels[0].min_blocks = 3;
  artifact.variants[0].explain = "copy A: cp.async";
  artifact.compile_options = {"--use_fast_math"};
  artifact.uses_heap = true;
  artifact.min_ranks = 4;
  artifact.min_ranks_by = "line 12 of put.py";
  artifact.flops = HostExpr::Symbol(0) * 128;
  artifact.bytes = HostExpr::Symbol(0) * 256;
  return artifact;
}

TEST(Artifact, RoundTripsThroughBytes) {
  const Artifact artifact = Full();
  const std::string bytes = artifact.Serialize();
  const Artifact read = Artifact::Deserialize(bytes);
  EXPECT_TRUE(read == artifact);
  EXPECT_EQ(read.Serialize(), bytes);
}

TEST(Artifact, EveryFieldIsCompared) {
  const Artifact base = Full();
  const auto differs = [&](auto&& change) {
    Artifact changed = base;
    change(changed);
    return !(changed == base) && changed.Serialize() != base.Serialize();
  };
  EXPECT_TRUE(differs([](Artifact& a) { a.params[0].dtype.bits = 32; }));
  EXPECT_TRUE(differs([](Artifact& a) { a.params[4].nullable = false; }));
  EXPECT_TRUE(differs([](Artifact& a) { a.variants[0].kernels[0].args[1].dtype.bits = 64; }));
  EXPECT_TRUE(differs([](Artifact& a) { a.variants[0].kernels[0].block[2] = 2; }));
  EXPECT_TRUE(differs([](Artifact& a) { a.variants[1].source += " "; }));
  EXPECT_TRUE(differs([](Artifact& a) { a.checks[0].kind = "ValueError"; }));
  EXPECT_TRUE(differs([](Artifact& a) { a.symbols[0].bind = 3; }));
  EXPECT_TRUE(differs([](Artifact& a) { a.uses_heap = false; }));
  EXPECT_TRUE(differs([](Artifact& a) { a.min_ranks = 5; }));
}

TEST(Artifact, EveryTruncationIsRefused) {
  const std::string bytes = Full().Serialize();
  for (size_t length = 0; length < bytes.size(); ++length) {
    const std::string error =
        ErrorOf([&] { Artifact::Deserialize(std::string_view(bytes).substr(0, length)); });
    ASSERT_TRUE(error == "ValueError: the artifact is truncated" ||
                error == "ValueError: these bytes are not an artifact")
        << length << ": " << error;
  }
  EXPECT_EQ(ErrorOf([&] { Artifact::Deserialize(bytes + "x"); }),
            "ValueError: the artifact has bytes after its end");
  std::string other = bytes;
  other[8] = 99;
  EXPECT_EQ(ErrorOf([&] { Artifact::Deserialize(other); }),
            "ValueError: the artifact has format version 99, expected 5");
}

TEST(Artifact, DamagedBytesNeverCrash) {
  const std::string bytes = Full().Serialize();
  for (size_t at = 12; at < bytes.size(); ++at) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x81);
    ErrorOf([&] { Artifact::Deserialize(damaged); });
  }
}

TEST(Artifact, ValidateNamesTheFault) {
  const auto fault = [](auto&& change) {
    Artifact artifact = Full();
    change(artifact);
    const std::string error = ErrorOf([&] { artifact.Validate(); });
    const size_t begin = error.find("artifact scale: ");
    return begin == std::string::npos ? error
                                      : error.substr(begin + 16, error.find('\n') - begin - 16);
  };
  EXPECT_EQ(fault([](Artifact&) {}), "no error");
  EXPECT_EQ(fault([](Artifact& a) { a.variants.clear(); }), "variants are missing");
  EXPECT_EQ(fault([](Artifact& a) { a.variants[1].facts = a.variants[0].facts; }),
            "the last variant states facts");
  EXPECT_EQ(fault([](Artifact& a) { a.outputs.clear(); }), "outputs disagree with params");
  EXPECT_EQ(fault([](Artifact& a) { a.outputs = {0}; }),
            "outputs name a parameter that is no output");
  EXPECT_EQ(fault([](Artifact& a) { a.symbols[0].bind = HostExpr::Symbol(0); }),
            "symbol m refers to something that is not there");
  EXPECT_EQ(fault([](Artifact& a) { a.symbols[0].bind = HostExpr::Dim(0, 2); }),
            "symbol m refers to something that is not there");
  EXPECT_EQ(fault([](Artifact& a) { a.symbols[0].bind = HostExpr::Dim(3, 0); }),
            "symbol m refers to something that is not there");
  EXPECT_EQ(fault([](Artifact& a) { a.symbols[0].bind = HostExpr::Dim(4, 0); }),
            "symbol m refers to something that is not there");
  EXPECT_EQ(fault([](Artifact& a) { a.symbols[0].bind = HostExpr::Scalar(2); }),
            "symbol m refers to something that is not there");
  EXPECT_EQ(fault([](Artifact& a) { a.variants[0].kernels[0].args[0].index = 1; }),
            "variant 0 kernel scale_kernel passes data of something that is no tensor or pointer");
  EXPECT_EQ(fault([](Artifact& a) { a.variants[0].kernels[0].args[2].index = 0; }),
            "variant 0 kernel scale_kernel passes a scalar that is none");
  EXPECT_EQ(fault([](Artifact& a) { a.variants[0].workspaces.clear(); }),
            "variant 0 kernel scale_kernel passes a workspace that is not there");
  EXPECT_EQ(fault([](Artifact& a) { a.variants[0].source.clear(); }),
            "variant 0 has a source without kernels or kernels without a source");
  EXPECT_EQ(fault([](Artifact& a) { a.params[0].strides.pop_back(); }),
            "param A has another number of strides than of dimensions");
  EXPECT_EQ(fault([](Artifact& a) { a.params[0].shape[1] = HostExpr::Stride(3, 0); }),
            "param A refers to something that is not there");
  EXPECT_EQ(fault([](Artifact& a) { a.params[1].shape = {1}; }),
            "param n is no tensor but has a shape or is an output");
  EXPECT_EQ(fault([](Artifact& a) { a.flops = HostExpr::FromCode({{HostOp::kAdd, 0, 0, 0}}); }),
            "flops has a malformed expression");
  EXPECT_EQ(fault([](Artifact& a) {
              HostExpr deep = HostExpr::Symbol(0);
              for (int i = 0; i < 40; ++i) deep = HostExpr::Symbol(0) + deep * 2;
              a.flops = deep;
            }),
            "flops has an expression that is too deep");
}

TEST(Artifact, Prints) {
  EXPECT_EQ(ScaleArtifact("sm_77").ToString(),
            "artifact scale target fake sm_77\n"
            "param A: float16[m, 64]\n"
            "param n: int32\n"
            "param alpha: float32\n"
            "symbol m = A.shape[0]\n"
            "variant 0 requires A.data % 16 == 0\n"
            "  kernel scale_kernel grid((m + 127) // 128, 1, 1) block(128, 1, 1) cluster(1, 1, 1) "
            "shared 4096 args(data A, int32 m, scalar n, scalar alpha)\n"
            "variant 1\n"
            "  kernel scale_kernel grid((m + 127) // 128, 1, 1) block(128, 1, 1) cluster(1, 1, 1) "
            "shared 4096 args(data A, int32 m, scalar n, scalar alpha)\n");
}

TEST(Artifact, DTypeNames) {
  EXPECT_EQ(DTypeName(kBool), "bool");
  EXPECT_EQ(DTypeName({kDLBfloat, 16, 1}), "bfloat16");
  EXPECT_EQ(DTypeName({kDLUInt, 4, 1}), "uint4");
  EXPECT_EQ(DTypeName({kDLFloat8_e4m3fn, 8, 1}), "float8_e4m3fn");
  EXPECT_EQ(DTypeName({kDLFloat8_e5m2, 8, 1}), "float8_e5m2");
  EXPECT_EQ(DTypeName({kDLFloat4_e2m1fn, 4, 2}), "float4_e2m1fnx2");
}

}  // namespace
}  // namespace tilescale::runtime
