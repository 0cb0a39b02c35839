// SPDX-License-Identifier: MIT
#include "runtime/dispatch.h"

#include "tests/unit/runtime/call_fixture.h"

#include <thread>

namespace tilescale::runtime {
namespace {

// Arguments (A, n, alpha, block): block is compile time, A.shape[1] is a const.
class DispatchTest : public testing::Test {
 protected:
  DispatchTest()
      : executable_(std::make_shared<Executable>(ScaleArtifact("dispatch"))),
        dispatch_({true, true, true, false}, {{0, 1, false}}, [this](const TVMFFIAny*, int32_t) {
          ++resolved_;
          return executable_;
        }) {
    GetFake("dispatch")->record = false;
  }

  template <class F>
  int ResolvedBy(F&& add_block) {
    Args args;
    args.Add(a_).Add(int64_t{1}).Add(0.5);
    add_block(args);
    const int before = resolved_;
    tvm::ffi::Any result;
    dispatch_.Call(args.data(), args.size(), &result);
    return resolved_ - before;
  }

  TestTensor a_{{4, 64}, kF16};
  int resolved_ = 0;
  std::shared_ptr<Executable> executable_;
  Dispatch dispatch_;
};

TEST_F(DispatchTest, OneKernelForEachKey) {
  const auto with = [&](int64_t block) { return ResolvedBy([&](Args& args) { args.Add(block); }); };
  EXPECT_EQ(with(64), 1);
  EXPECT_EQ(with(64), 0);
  EXPECT_EQ(with(128), 1);
  EXPECT_EQ(with(64), 0);
}

TEST_F(DispatchTest, TypesOfKeysAreApart) {
  EXPECT_EQ(ResolvedBy([](Args& args) { args.Add(int64_t{1}); }), 1);
  EXPECT_EQ(ResolvedBy([](Args& args) { args.Add(1.0); }), 1);
  EXPECT_EQ(ResolvedBy([](Args& args) { args.AddBool(true); }), 1);
  EXPECT_EQ(ResolvedBy([](Args& args) { args.AddNone(); }), 1);
  EXPECT_EQ(ResolvedBy([](Args& args) { args.AddText("row"); }), 1);
  EXPECT_EQ(ResolvedBy([](Args& args) { args.AddText("col"); }), 1);
  EXPECT_EQ(ResolvedBy([](Args& args) { args.AddText("row"); }), 0);
  EXPECT_EQ(ResolvedBy([](Args& args) { args.AddNone(); }), 0);
  EXPECT_EQ(ResolvedBy([](Args& args) { args.AddBool(true); }), 0);
  EXPECT_EQ(ResolvedBy([](Args& args) { args.Add(1.0); }), 0);
}

TEST_F(DispatchTest, ConstDimensionsAreInTheKey) {
  const auto block = [](Args& args) { args.Add(int64_t{1}); };
  EXPECT_EQ(ResolvedBy(block), 1);
  a_.shape[0] = 3;  // run time: same kernel
  EXPECT_EQ(ResolvedBy(block), 0);
  a_.shape[1] = 32;  // const: another one, which then refuses the shape
  EXPECT_EQ(ErrorOf([&] { ResolvedBy(block); }).substr(0, 60),
            "ValueError: Argument scale.A.shape[1] has an unsatisfied con");
}

TEST_F(DispatchTest, ValuesWithoutAKeyAskPythonEachTime) {
  const auto tensor = [this](Args& args) { args.Add(a_); };
  EXPECT_EQ(ResolvedBy(tensor), 1);
  EXPECT_EQ(ResolvedBy(tensor), 1);
  const std::string huge(5000, 'x');
  const auto text = [&](Args& args) { args.AddText(huge.c_str()); };
  EXPECT_EQ(ResolvedBy(text), 1);
  EXPECT_EQ(ResolvedBy(text), 1);
}

TEST_F(DispatchTest, WrongCounts) {
  EXPECT_EQ(ErrorOf([&] { ResolvedBy([](Args&) {}); }), "TypeError: expected 4 arguments, got 3");
  EXPECT_EQ(resolved_, 1);  // Python had its chance to say it better
}

TEST_F(DispatchTest, ErrorsOfTheResolverPass) {
  Dispatch failing({false}, {}, [](const TVMFFIAny*, int32_t) -> std::shared_ptr<Executable> {
    throw Diag({}, "ValueError") << "no such kernel";
  });
  const Args args = Args().Add(int64_t{1});
  tvm::ffi::Any result;
  EXPECT_EQ(ErrorOf([&] { failing.Call(args.data(), args.size(), &result); }),
            "ValueError: no such kernel");
}

TEST_F(DispatchTest, ManyThreads) {
  ResolvedBy([](Args& args) { args.Add(int64_t{0}); });
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this] {
      for (int64_t i = 0; i < 200; ++i) {
        TestTensor a({4, 64}, kF16);
        const Args args = Args().Add(a).Add(int64_t{1}).Add(0.5).Add(i % 1);
        tvm::ffi::Any result;
        dispatch_.Call(args.data(), args.size(), &result);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(resolved_, 1);
}

}  // namespace
}  // namespace tilescale::runtime
