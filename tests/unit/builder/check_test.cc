// SPDX-License-Identifier: MIT
// Check: the exact text of every error it knows, and programs that must pass.
#include "compiler/passes/passes.h"
#include "tests/unit/builder/testing.h"

namespace tilescale::ir {
namespace {

struct Program : KernelFixture {
  explicit Program(int64_t threads = 128) : KernelFixture(threads) {
    b->At({Text("k.py"), int64_t{7}, int64_t{0}, Text("main")});
    f = Alloc("f", "local.fragment", {int64_t{64}, int64_t{32}});
    s = Alloc("s", "shared.dyn", {int64_t{64}, int64_t{32}});
    b->AddTile("fill", {f, 0.0, List()});
    b->AddTile("fill", {s, 0.0, List()});
  }
  // The error of the whole front half of the pipeline, without the line that every one ends with.
  std::string Error(const char* target = "cuda sm_90a") {
    PassContext ctx;
    ctx.target = target::ParseTarget(target);
    std::string text = ErrorOf([&] {
      Func func = passes::Normalise(passes::Ingest(Finish(), ctx), ctx);
      Func checked = passes::Check(func, ctx);
      EXPECT_TRUE(checked.same_as(func)) << "Check changes nothing";
    });
    const std::string line = "\n  --> k.py:7 in main";
    size_t at = text.rfind(line);
    if (text == "no error") return text;
    EXPECT_EQ(at, text.size() - line.size()) << text;
    return text.substr(0, at);
  }
  std::vector<Var> Parallel(const Values& extents) {
    return b->BeginParallel(extents, {List()}, {});
  }
  void Copy(const ffi::Any& src, const ffi::Any& dst) {
    b->AddTile("copy", {src, dst, None(), false, None(), None(), None(), List()});
  }
  Buffer f, s;
};

TEST(Check, AGoodProgramPasses) {
  Program p;
  auto v = p.Parallel({int64_t{64}, int64_t{32}});
  p.b->AddStore(p.f, {v[0], v[1]}, BuildLoad(p.s, {v[0], v[1]}));
  p.b->End();
  p.Copy(p.f, p.C);
  EXPECT_EQ(p.Error(), "no error");
}

TEST(Check, Launch) {
  Builder b = MakeBuilder();
  auto error = [](const Values& grid, int64_t threads) {
    Builder b = MakeBuilder();
    b->BeginFunc("main");
    b->At({Text("k.py"), int64_t{3}, int64_t{0}, Text("main")});
    b->BeginKernel(grid, {threads}, {}, "", {});
    b->End();
    PassContext ctx;
    ctx.target = target::ParseTarget("cuda sm_90a");
    Func f = b->EndFunc();
    return ErrorOf([&] { passes::Check(f, ctx); });
  };
  EXPECT_EQ(error({int64_t{1}}, 2048),
            "ValueError: threads=2048 of T.Kernel exceed the limit of 1024 threads of a block\n  "
            "--> k.py:3 in main");
  EXPECT_EQ(error({int64_t{4}, int64_t{0}}, 128),
            "ValueError: grid extent 1 of T.Kernel must be positive, got 0\n  --> k.py:3 in main");
  EXPECT_EQ(error({int64_t{1}}, 1024), "no error");
}

TEST(Check, BarriersNeedHopper) {
  Program p;
  p.Alloc("bars", "shared.barrier", {int64_t{1}}, UInt(64), {None(), List({int64_t{128}})});
  EXPECT_EQ(p.Error("cuda sm_86"),
            "ValueError: T.alloc_barrier() requires sm_90 (Hopper) or later, but the current "
            "target is sm_86. "
            "Barrier `bars` cannot be made there");
}

std::string Semantic(const char* text) {
  std::string all = "ValueError: [Tilelang Semantic Check] ";
  all.append(text);
  return all;
}

TEST(Check, NestsInNests) {
  Program p;
  auto i = p.Parallel({int64_t{64}});
  p.b->AddStore(p.s, {i[0], int64_t{0}}, 1.0);
  auto j = p.Parallel({int64_t{32}});
  p.b->AddStore(p.s, {i[0], j[0]}, 1.0);
  p.b->End();
  p.b->End();
  EXPECT_EQ(p.Error(),
            Semantic("Nested parallel loops are not allowed. Please check your loop structure."));
}

TEST(Check, PipelinedInNest) {
  Program p;
  auto i = p.Parallel({int64_t{64}});
  p.b->BeginFor("pipelined", int64_t{0}, int64_t{4}, int64_t{1},
                {int64_t{2}, None(), None(), None(), None(), List()}, "k");
  p.b->AddStore(p.s, {i[0], int64_t{0}}, 1.0);
  p.b->End();
  p.b->End();
  EXPECT_EQ(p.Error(), Semantic("Pipelined loop cannot be nested inside a parallel loop. "
                                "Please check your loop structure."));
}

TEST(Check, TileOpInNest) {
  Program p;
  p.Parallel({int64_t{64}});
  p.Copy(p.A, p.s);
  p.b->End();
  EXPECT_EQ(p.Error(),
            Semantic("Only elementwise operations are allowed inside a parallel loop. Got a "
                     "tile-op \"copy\"."));
}

TEST(Check, SymbolicExtentAndFragment) {
  Program p;
  auto i = p.Parallel({Binary("add", p.bx, MakeConst(1))});
  p.b->AddStore(p.f, {i[0], int64_t{0}}, 1.0);
  p.b->End();
  EXPECT_EQ(
      p.Error(),
      Semantic("A loop with symbolic extent `bx + 1` may not index fragment `f`: the extents of "
               "T.Parallel must be constants there"));
}

TEST(Check, LocalBufferByPoint) {
  Program p;
  Buffer l = p.Alloc("l", "local", {int64_t{64}});
  auto i = p.Parallel({int64_t{64}});
  p.b->AddStore(l, {i[0]}, 1.0);
  p.b->End();
  EXPECT_EQ(
      p.Error(),
      Semantic(
          "Local buffer `l` is indexed by T.Parallel loop variable `i`: each thread has its own "
          "array. Use T.alloc_fragment, or a serial loop"));
}

TEST(Check, FragmentIndices) {
  {
    Program p;
    auto i = p.Parallel({int64_t{64}});
    p.b->AddStore(p.s, {i[0], int64_t{0}}, BuildLoad(p.f, {i[0], MakeConst(3)}));
    p.b->End();
    EXPECT_EQ(p.Error(),
              Semantic("Fragment buffer access with non-zero index [i, 3] is not supported. Only "
                       "fragment[0] access is allowed within T.Parallel loop."));
  }
  {
    Program p;
    Var i = p.For("i", 4);
    p.b->AddStore(p.C, {i, p.tx}, BuildLoad(p.f, {i, MakeConst(0)}));
    p.b->End();
    EXPECT_EQ(
        p.Error(),
        Semantic(
            "Fragment buffer `f` is accessed outside of T.Parallel: its elements are spread over "
            "the threads. Loop over it with T.Parallel, or copy it to shared memory first"));
  }
  {
    Program p;
    auto i = p.Parallel({int64_t{64}});
    Expr gather = CastTo(BuildLoad(p.s, {i[0], MakeConst(0)}), Int(32));
    p.b->AddStore(p.f, {gather, i[0]}, 1.0);
    p.b->End();
    EXPECT_EQ(
        p.Error(),
        Semantic(
            "Fragment buffer `f` is indexed by `cast.int32(s[i, 0])`: an index must be a sum of "
            "multiples of the variables of T.Parallel and of serial loops"));
  }
  {
    Program p;
    p.b->AddStore(p.C, {p.bx, p.tx}, BuildLoad(p.f, {MakeConst(0), MakeConst(0)}));
    EXPECT_EQ(p.Error(), "no error") << "an element at constant zeros is in every thread";
  }
}

TEST(Check, CertainRace) {
  {
    Program p;
    auto i = p.Parallel({int64_t{64}});
    p.b->AddStore(p.C, {p.bx, int64_t{0}}, BuildLoad(p.A, {i[0], MakeConst(0)}));
    p.b->End();
    EXPECT_EQ(
        p.Error(),
        Semantic("Data race: the points of T.Parallel along `i` store different values to `C[bx, "
                 "0]`. Use T.reduce, T.atomic_add, or index it by `i`"));
  }
  {
    Program p;
    auto i = p.Parallel({int64_t{64}});
    p.b->BeginIf(Binary("eq", i[0], MakeConst(3)));
    p.b->AddStore(p.C, {p.bx, int64_t{0}}, BuildLoad(p.A, {i[0], MakeConst(0)}));
    p.b->End();
    p.b->End();
    EXPECT_EQ(p.Error(), "no error") << "one point may write it";
  }
}

TEST(Check, DivergentControl) {
  {
    Program p;
    p.b->BeginIf(Binary("gt", BuildLoad(p.A, {MakeConst(0), p.tx}), MakeFloat(0, Float(32))));
    p.Copy(p.A, p.s);
    p.b->End();
    EXPECT_EQ(p.Error(),
              "CompileError: T.copy is reached by some threads of the group only: `A[0, tx] > "
              "0.0` differs "
              "between them. All threads run it together; for a range of threads write a condition "
              "on the thread "
              "index alone, or T.ws");
  }
  {
    Program p;
    Buffer n = p.Alloc("n", "local.var", {int64_t{1}}, Int(32), {int64_t{0}});
    p.b->AddStore(n, {int64_t{0}}, p.tx);
    p.b->BeginFor("serial", int64_t{0}, n, int64_t{1}, {List()}, "i");
    p.b->AddCall("sync_threads", {}, Text("void"));
    p.b->End();
    EXPECT_EQ(p.Error().substr(0, 77),
              "CompileError: T.sync_threads is reached by some threads of the group only: `n");
  }
  {
    Program p;
    p.b->BeginIf(Binary("gt", p.tx, MakeConst(5)));
    p.b->AddJump("return");
    p.b->End();
    p.Parallel({int64_t{4}});
    p.b->End();
    EXPECT_EQ(p.Error(),
              "CompileError: T.Parallel comes after some threads of the group have left: all "
              "threads run it "
              "together, so none may return or break before it");
  }
  {
    Program p;
    Buffer n = p.Alloc("n", "local.var", {int64_t{1}}, Int(32), {int64_t{0}});
    p.b->BeginIf(Binary("lt", ToExpr(n), p.bx));
    p.Copy(p.A, p.s);
    p.b->End();
    EXPECT_EQ(p.Error(), "no error") << "a cell that all threads store alike is uniform";
  }
}

TEST(Check, Uninitialised) {
  {
    Program p;
    Buffer g = p.Alloc("g", "local.fragment", {int64_t{64}, int64_t{32}});
    p.Copy(g, p.C);
    EXPECT_EQ(p.Error(),
              "CompileError: `g` is read before anything is written to it: fill it first (T.clear, "
              "T.fill, T.copy)");
  }
  {
    Program p;
    Buffer v = p.Alloc("v", "local.var", {int64_t{1}});
    p.b->AddStore(p.C, {p.bx, p.tx}, ToExpr(v));
    EXPECT_EQ(p.Error(),
              "CompileError: `v` is read before it has a value: give T.alloc_var an init, or "
              "assign to it first");
  }
  {
    Program p;  // written in the loop's previous iteration
    Buffer g = p.Alloc("g", "local.fragment", {int64_t{64}, int64_t{32}});
    p.For("i", 4);
    p.Copy(g, p.s);
    p.Copy(p.A, g);
    p.b->End();
    EXPECT_EQ(p.Error(), "no error");
  }
  {
    Program p;
    p.b->AddAnnotation("annotate_pass_configs",
                       {List({List({Text("tl.disable_buffer_init_check"), true})})});
    Buffer g = p.Alloc("g", "local.fragment", {int64_t{64}, int64_t{32}});
    p.Copy(g, p.C);
    EXPECT_EQ(p.Error(), "no error");
  }
}

TEST(Check, CellsOfPoints) {
  auto program = [](bool carried, bool read_after) {
    Program p;
    Buffer x = p.Alloc("x", "local.var", {int64_t{1}}, Float(32), {0.0});
    auto i = p.Parallel({int64_t{64}});
    Expr value = BuildLoad(p.A, {i[0], MakeConst(0)});
    p.b->AddStore(x, {int64_t{0}}, carried ? Binary("add", ToExpr(x), value) : value);
    p.b->AddStore(p.C, {i[0], int64_t{0}}, ToExpr(x));
    p.b->End();
    if (read_after) p.b->AddStore(p.C, {p.bx, p.tx}, ToExpr(x));
    return p.Error();
  };
  EXPECT_EQ(program(false, false), "no error");
  EXPECT_EQ(
      program(true, false),
      "CompileError: `x` keeps a value from one point of T.Parallel to the next, but the points "
      "have no order: assign to it first at each point, or use a serial loop, T.reduce or an "
      "atomic");
  EXPECT_EQ(
      program(false, true),
      "CompileError: `x` is assigned at every point of T.Parallel and read after it: the points "
      "have no order, so it has no certain value there");
}

}  // namespace
}  // namespace tilescale::ir
