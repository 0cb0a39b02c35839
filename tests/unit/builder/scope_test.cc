// SPDX-License-Identifier: MIT
// Regions, statements and names: programs built through the builder, compared as text.
#include "tests/unit/builder/testing.h"

namespace tilescale::ir {
namespace {

TEST(Program, Elementwise) {
  KernelFixture k;
  auto vars = k.b->BeginParallel({int64_t{16}, int64_t{32}}, {List()}, {"i", "j"});
  Expr row = Binary("add", Binary("mul", k.bx, MakeConst(16)), vars[0]);
  Expr x = BuildLoad(k.A, {row, vars[1]});
  k.b->AddStore(k.C, {row, vars[1]}, Binary("mul", x, MakeFloat(2, Float(32))));
  k.b->End();
  EXPECT_EQ(k.Body(), R"(    parallel %i, %j in 16, 32 {
      store %C[%bx * 16 + %i, %j] = %A[%bx * 16 + %i, %j] * 2.0
    }
)");
}

TEST(Program, LoopsAndBranches) {
  KernelFixture k;
  Buffer acc = k.Alloc("acc", "local.var", {int64_t{1}}, Float(32), {0.0});
  Var i = k.For("i", 8);
  k.b->BeginIf(Binary("lt", i, MakeConst(4)));
  Var x = k.b->AddBind("x", BuildLoad(k.A, {i, MakeConst(0)}));
  k.b->AddStore(acc, {int64_t{0}}, Binary("add", ToExpr(acc), x));
  k.b->BeginElse();
  k.b->AddJump("break");
  k.b->AddStore(acc, {int64_t{0}}, 1.0);  // dropped: it cannot run
  k.b->End();
  k.b->End();
  k.b->BeginWhile();
  Var head = k.b->AddBind("h", ToExpr(acc));
  k.b->WhileCond(Binary("gt", head, MakeFloat(0, Float(32))));
  k.b->AddStore(acc, {int64_t{0}}, Binary("sub", head, MakeFloat(1, Float(32))));
  k.b->End();
  k.b->BeginGroup(32, 64);
  k.b->AddCall("sync_warp", {}, Text("void"));
  k.b->End();
  EXPECT_EQ(k.Body(), R"(    alloc %acc: var f32[1] sized init 0.0
    for %i in 0..8 {
      if %i < 4 {
        bind %x = %A[%i, 0]
        store %acc[0] = %acc[0] + %x
      } else {
        break
      }
    }
    while head {
      bind %h = %acc[0]
    } %h > 0.0 {
      store %acc[0] = %h - 1.0
    }
    group 32 +: 64 {
      call warp.sync(u32(4294967295))
    }
)");
}

TEST(Program, LoopRanges) {
  KernelFixture k;
  auto loop = [&](const ffi::Any& begin, const ffi::Any& end, const ffi::Any& step) {
    Var v = k.b->BeginFor("serial", begin, end, step, {List()}, "i");
    k.b->AddStore(k.C, {v, int64_t{0}}, 1.0);
    k.b->End();
  };
  Expr n = MakeVar("n", Int(64));
  loop(int64_t{2}, int64_t{10}, int64_t{3});
  loop(int64_t{10}, int64_t{0}, int64_t{-4});
  loop(int64_t{0}, n, int64_t{1});
  loop(int64_t{5}, int64_t{2}, int64_t{1});
  EXPECT_EQ(k.Body(), R"(    for %i in 2 +: 3 step 3 {
      store %C[%i, 0] = 1.0
    }
    for %i_1 in 10 +: 3 step -4 {
      store %C[%i_1, 0] = 1.0
    }
    for %i_2: i64 in 0..%n {
      store %C[%i_2, 0] = 1.0
    }
    for %i_3 in 5 +: 0 {
      store %C[%i_3, 0] = 1.0
    }
)");
}

TEST(Program, UnrollAndPipelined) {
  KernelFixture k;
  k.b->BeginFor("unroll", int64_t{0}, int64_t{4}, int64_t{1}, {true, None(), List()}, "i");
  k.b->End();
  k.b->BeginFor("unroll", int64_t{0}, int64_t{4}, int64_t{1}, {false, int64_t{2}, List()}, "i");
  k.b->End();
  k.b->BeginFor("pipelined", int64_t{0}, int64_t{8}, int64_t{1},
                {int64_t{3}, None(), None(), None(), None(), List()}, "ko");
  k.b->End();
  k.b->BeginFor("serial", int64_t{0}, int64_t{8}, int64_t{1},
                {List({List({Text("software_pipeline_stage"), List({int64_t{0}, int64_t{1}})}),
                       List({Text("software_pipeline_order"), List({int64_t{1}, int64_t{0}})})})},
                "ko");
  k.b->End();
  EXPECT_EQ(k.Body(), R"(    for %i in 0..4 unroll factor -1 {
    }
    for %i_1 in 0..4 unroll factor 2 {
    }
    for %ko in 0..8 pipelined(stages=3) {
    }
    for %ko_1 in 0..8 pipelined(stages=0, order=[1, 0], stage=[0, 1]) {
    }
)");
}

TEST(Program, SidesAreSplicedWhereTold) {
  KernelFixture k;
  k.b->BeginSide();
  EXPECT_FALSE(k.b->EndSide().defined());
  k.b->BeginSide();
  Var old =
      k.b->AddCall("atomic_add", {BuildLoad(k.A, {MakeConst(0), MakeConst(0)}), 1.0, None(), true},
                   Text("float32"));
  Side side = k.b->EndSide();
  ASSERT_TRUE(side.defined());
  k.b->BeginIf(Binary("eq", k.bx, MakeConst(0)));
  k.b->Splice(side);
  k.b->AddStore(k.C, {int64_t{0}, int64_t{0}}, old);
  k.b->End();
  EXPECT_EQ(k.Body(), R"(    if %bx == 0 {
      call %v: f32 = atom.add(&%A[0, 0], 1.0, "relaxed.gpu")
      store %C[0, 0] = %v
    }
)");
}

TEST(Program, LabelsMarkTheStatementsOfTheirRegion) {
  KernelFixture k;
  k.b->BeginLabel("store");
  Var i = k.For("i", 4);
  k.b->AddStore(k.C, {i, int64_t{0}}, 0.0);
  k.b->End();
  k.b->EndLabel();
  k.b->AddStore(k.C, {int64_t{1}, int64_t{1}}, 0.0);
  EXPECT_EQ(k.Body(), R"(    "store": for %i in 0..4 {
      store %C[%i, 0] = 0.0
    }
    store %C[1, 1] = 0.0
)");
}

TEST(Names, AreUniqueAndKept) {
  KernelFixture k;
  Var a = k.b->AddBind("x", int64_t{1});
  Var b = k.b->AddBind("x", int64_t{2});
  EXPECT_EQ(std::string(a->name), "x");
  EXPECT_EQ(std::string(b->name), "x_1");
  Buffer s = k.Alloc("A", "shared.dyn", {int64_t{4}});
  EXPECT_EQ(std::string(s->name), "A_1");
  k.b->SetName(s, "other");
  EXPECT_EQ(std::string(s->name), "A_1") << "a symbol keeps the first name that the user gave it";
}

TEST(Names, SpansAreChains) {
  KernelFixture k;
  int64_t id = k.b->At({Text("util.py"), int64_t{72}, int64_t{4}, Text("clip"), Text("k.py"),
                        int64_t{9}, int64_t{0}, Text("main")});
  EXPECT_EQ(SpanBlock(k.b->span()), "\n  --> util.py:72 in clip\n  --> k.py:9 in main");
  k.b->At({});
  EXPECT_FALSE(k.b->span().defined());
  k.b->AtId(id);
  EXPECT_EQ(k.b->span()->line, 72);
}

TEST(Errors, UseOutsideRegion) {
  KernelFixture k;
  Var i = k.For("i", 8);
  Var x = k.b->AddBind("x", Binary("add", i, MakeConst(1)));
  Buffer f = k.Alloc("f", "local", {int64_t{4}});
  k.b->End();
  EXPECT_EQ(ErrorOf([&] { k.b->AddStore(k.C, {x, int64_t{0}}, 0.0); }),
            "RuntimeError: Immutable variable `x` is used outside its defining region! It was "
            "bound inside "
            "a loop or branch that has ended; declare `x = T.alloc_var(\"int32\")` before it and "
            "assign to "
            "that");
  EXPECT_EQ(ErrorOf([&] { k.b->AddStore(f, {int64_t{0}}, 0.0); }),
            "RuntimeError: Buffer `f` is used outside its defining region! It was allocated inside "
            "a loop or "
            "branch that has ended; allocate it before");
  EXPECT_EQ(ErrorOf([&] { k.b->BeginIf(Binary("eq", x, MakeConst(0))); }).substr(0, 60),
            "RuntimeError: Immutable variable `x` is used outside its def");
}

TEST(Errors, Launch) {
  Builder b = MakeBuilder();
  EXPECT_EQ(ErrorOf([&] { b->End(); }), "RuntimeError: no function is open in this builder");
  b->BeginFunc("main");
  auto kernel = [&](const Values& grid, const Values& threads) {
    return ErrorOf([&] { b->BeginKernel(grid, threads, {}, "", {}); });
  };
  EXPECT_EQ(kernel({int64_t{1}}, {int64_t{0}}), "ValueError: threads must be positive, got 0");
  EXPECT_EQ(kernel({1.5}, {int64_t{32}}),
            "TypeError: grid extent 0 must be an integer, got `" + Print(ToExpr(1.5)) + "`");
  EXPECT_EQ(kernel({int64_t{1}, int64_t{1}, int64_t{1}, int64_t{1}}, {int64_t{32}}),
            "ValueError: T.Kernel takes at most 3 grid extents, got 4");
  EXPECT_EQ(kernel({int64_t{1}}, {MakeVar("n")}),
            "TypeError: threads must be a constant integer, got `n`");
  EXPECT_EQ(ErrorOf([&] { b->BeginParallel({int64_t{4}}, {}, {}); }),
            "ValueError: T.Parallel outside of a kernel: put it inside `with T.Kernel(...)`");
  EXPECT_EQ(ErrorOf([&] { b->AddTile("copy", {}); }),
            "ValueError: T.copy outside of a kernel: put it inside `with T.Kernel(...)`");
  EXPECT_EQ(kernel({int64_t{1}}, {int64_t{32}}), "no error");
  EXPECT_EQ(kernel({int64_t{1}}, {int64_t{32}}),
            "ValueError: T.Kernel inside of T.Kernel: a kernel cannot launch another one");
}

TEST(Errors, Loops) {
  KernelFixture k;
  auto loop = [&](const char* kind, const ffi::Any& end, const ffi::Any& step,
                  const Values& hints) {
    return ErrorOf([&] { k.b->BeginFor(kind, int64_t{0}, end, step, hints, "i"); });
  };
  EXPECT_EQ(loop("serial", int64_t{4}, int64_t{0}, {List()}),
            "ValueError: Invalid stepped serial: step must be non-zero");
  EXPECT_EQ(loop("serial", 4.5, int64_t{1}, {List()}),
            "TypeError: the range of a loop must be of integers, got `" + Print(ToExpr(4.5)) +
                "` of float32");
  EXPECT_EQ(loop("unroll", int64_t{4}, int64_t{1}, {true, int64_t{2}, List()}),
            "ValueError: T.unroll's explicit and unroll_factor params are mutually exclusive.");
  EXPECT_EQ(loop("vector", MakeVar("n"), int64_t{1}, {List()}),
            "ValueError: T.vectorized needs a constant extent, got `n`");
  EXPECT_EQ(loop("serial", int64_t{4}, int64_t{1}, {List({List({Text("nonsense"), int64_t{1}})})}),
            "CompileError: unknown annotation \"nonsense\" of a loop");
  EXPECT_EQ(loop("pipelined", int64_t{4}, int64_t{1},
                 {int64_t{2}, List({int64_t{0}, int64_t{0}}), None(), None(), None(), List()}),
            "ValueError: T.Pipelined: order names position 0 twice");
  EXPECT_EQ(loop("pipelined", int64_t{4}, int64_t{1},
                 {int64_t{-1}, None(), None(), None(), None(), List()}),
            "ValueError: num_stages must not be negative, got -1");
  EXPECT_EQ(ErrorOf([&] { k.b->BeginParallel({}, {}, {}); }),
            "ValueError: T.Parallel needs at least one extent");
  EXPECT_EQ(ErrorOf([&] { k.b->BeginParallel({int64_t{-1}}, {}, {}); }),
            "ValueError: an extent of T.Parallel must not be negative, got -1");
}

TEST(Errors, Jumps) {
  KernelFixture k;
  EXPECT_EQ(ErrorOf([&] { k.b->AddJump("break"); }),
            "SyntaxError: 'break' outside of a loop of the kernel");
  k.b->BeginParallel({int64_t{4}}, {}, {});
  EXPECT_EQ(ErrorOf([&] { k.b->AddJump("continue"); }),
            "ValueError: 'continue' in T.Parallel: its points have no order");
  EXPECT_EQ(ErrorOf([&] { k.b->BeginGroup(64, 128); }),
            "ValueError: T.ws names threads 64 to 192, but the kernel has 128");
}

}  // namespace
}  // namespace tilescale::ir
