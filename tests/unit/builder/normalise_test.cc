// SPDX-License-Identifier: MIT
// Ingest and Normalise: programs before and after, as text.
#include "compiler/passes/passes.h"
#include "tests/unit/builder/testing.h"

namespace tilescale::ir {
namespace {

PassContext Context(const char* target = "cuda sm_90a") {
  PassContext ctx;
  ctx.target = target::ParseTarget(target);
  return ctx;
}

// The kernel's statements after Ingest and Normalise.
std::string Normalised(KernelFixture* k) {
  PassContext ctx = Context();
  Func f = passes::Normalise(passes::Ingest(k->Finish(), ctx), ctx);
  Verify(f);
  return BodyOf(f);
}

Values CopyArgs(const ffi::Any& src, const ffi::Any& dst) {
  return {src, dst, None(), false, None(), None(), None(), List()};
}

TEST(Ingest, LabelsUnits) {
  KernelFixture k;
  Buffer s = k.Alloc("s", "shared.dyn", {int64_t{64}, int64_t{32}});
  Buffer f = k.Alloc("f", "local.fragment", {int64_t{64}, int64_t{32}});
  k.b->AddTile("fill", {f, 0.0, List()});
  k.b->AddTile("copy", CopyArgs(k.A, s));
  k.b->AddTile("copy", CopyArgs(k.A, s));
  k.b->AddTile("copy", CopyArgs(s, f));
  auto v = k.b->BeginParallel({int64_t{64}, int64_t{32}}, {List()}, {"i", "j"});
  k.b->AddStore(f, {v[0], v[1]},
                Binary("add", BuildLoad(f, {v[0], v[1]}), MakeFloat(1, Float(32))));
  k.b->End();
  k.b->AddTile("copy", CopyArgs(f, k.C));
  PassContext ctx = Context();
  EXPECT_EQ(BodyOf(passes::Ingest(k.Finish(), ctx)), R"(    alloc %s: shared f32[64, 32] sized
    alloc %f: frag f32[64, 32] sized
    fill: fill %f, 0.0
    copy_A: copy %A -> %s
    copy_A_2: copy %A -> %s
    copy: copy %s -> %f
    set_f: parallel %i, %j in 64, 32 {
      store %f[%i, %j] = %f[%i, %j] + 1.0
    }
    store_C: copy %f -> %C
)");
}

TEST(Normalise, NegativeIndices) {
  KernelFixture k;
  Var i = k.For("i", 4);
  k.b->AddStore(k.C, {int64_t{-1}, Binary("sub", i, MakeConst(4))}, 1.0);
  k.b->AddStore(k.C, {Binary("sub", i, MakeConst(2)), k.tx},
                2.0);  // only a constant counts from the end
  k.b->End();
  EXPECT_EQ(Normalised(&k), R"(    for %i in 0..4 {
      if %tx == 0 {
        store %C[63, %i - 4] = 1.0
      }
      store %C[%i - 2, %tx] = 2.0
    }
)");
}

TEST(Normalise, ExplicitUnroll) {
  KernelFixture k;
  Var i = k.b->BeginFor("unroll", int64_t{1}, int64_t{7}, int64_t{3}, {true, None(), List()}, "i");
  Var x = k.b->AddBind("x", BuildLoad(k.A, {i, k.tx}));
  k.b->AddStore(k.C, {i, k.tx}, x);
  k.b->End();
  EXPECT_EQ(Normalised(&k), R"(    bind %x = %A[1, %tx]
    store %C[1, %tx] = %x
    bind %x_1 = %A[4, %tx]
    store %C[4, %tx] = %x_1
)");
}

TEST(Normalise, PerfectNestsMerge) {
  KernelFixture k;
  auto i = k.b->BeginParallel({int64_t{64}}, {List()}, {"i"});
  auto j = k.b->BeginParallel({int64_t{32}}, {List()}, {"j"});
  k.b->AddStore(k.C, {i[0], j[0]}, 1.0);
  k.b->End();
  k.b->End();
  EXPECT_EQ(Normalised(&k), R"(    set_C: parallel %i, %j in 64, 32 {
      store %C[%i, %j] = 1.0
    }
)");
}

TEST(Normalise, GroupsFromThreadRanges) {
  KernelFixture k(256);
  Buffer s = k.Alloc("s", "shared.dyn", {int64_t{64}, int64_t{32}});
  k.b->BeginIf(Binary("lt", k.tx, MakeConst(128)));
  k.b->AddTile("copy", CopyArgs(k.A, s));
  k.b->BeginElse();
  k.b->AddTile("copy", CopyArgs(s, k.C));
  k.b->End();
  // Through a name, mixed with a condition that all threads agree on.
  Var group = k.b->AddBind("group", Binary("floordiv", k.tx, MakeConst(64)));
  k.b->BeginIf(BuildOp(
      "land", {Binary("eq", group, MakeConst(1)), Binary("gt", k.bx, MakeConst(0))}, None()));
  k.b->AddTile("fill", {s, 0.0, List()});
  k.b->End();
  EXPECT_EQ(Normalised(&k), R"(    alloc %s: shared f32[64, 32] sized
    group 0 +: 128 {
      copy_A: copy %A -> %s
    }
    group 128 +: 128 {
      store_C: copy %s -> %C
    }
    bind %group = %tx / 64
    group 64 +: 64 {
      if %bx > 0 {
        fill: fill %s, 0.0
      }
    }
)");
}

TEST(Normalise, ScatteredThreadsAreNoGroup) {
  KernelFixture k(256);
  k.b->At({Text("k.py"), int64_t{12}, int64_t{0}, Text("main")});
  Buffer s = k.Alloc("s", "shared.dyn", {int64_t{4}});
  k.b->BeginIf(Binary("eq", Binary("floormod", k.tx, MakeConst(2)), MakeConst(0)));
  k.b->AddTile("fill", {s, 0.0, List()});
  k.b->End();
  EXPECT_EQ(
      ErrorOf([&] { Normalised(&k); }),
      "CompileError: the threads of `tx % 2 == 0` are not one contiguous thread range: collective "
      "operations run by a group of neighbours\n  --> k.py:12 in main");
}

TEST(Normalise, BranchOfAPipelinedLoop) {
  KernelFixture k;
  Buffer s = k.Alloc("s", "shared.dyn", {int64_t{64}, int64_t{32}});
  Buffer f = k.Alloc("f", "local.fragment", {int64_t{64}, int64_t{32}});
  Var i = k.b->BeginFor("pipelined", int64_t{0}, int64_t{8}, int64_t{1},
                        {int64_t{2}, None(), None(), None(), None(), List()}, "i");
  k.b->BeginIf(Binary("gt", i, k.bx));
  Var row = k.b->AddBind("row", BuildLoad(k.A, {i, MakeConst(0)}));
  k.b->AddTile("copy", CopyArgs(k.A, s));
  k.b->AddTile("copy", CopyArgs(s, f));
  k.b->AddTile("fill", {k.C, row, List()});
  k.b->BeginElse();
  k.b->AddTile("fill", {f, 0.0, List()});
  k.b->End();
  k.b->End();
  EXPECT_EQ(Normalised(&k), R"(    alloc %s: shared f32[64, 32] sized
    alloc %f: frag f32[64, 32] sized
    for %i in 0..8 pipelined(stages=2) {
      bind %cond = %i > %bx
      bind %row = if(%cond, %A[%i, 0], 0.0)
      copy_A: if %cond {
        copy %A -> %s
      }
      copy: if %cond {
        copy %s -> %f
      }
      store_C: if %cond {
        fill %C, %row
      }
      bind %other = %i <= %bx
      fill: if %other {
        fill %f, 0.0
      }
    }
)");
}

TEST(Normalise, UniformStoresAreElected) {
  KernelFixture k;
  Buffer s = k.Alloc("s", "shared.dyn", {int64_t{64}});
  Buffer mine = k.Alloc("mine", "local.var", {int64_t{1}}, Int(32), {int64_t{0}});
  Buffer all = k.Alloc("all", "local.var", {int64_t{1}}, Int(32), {int64_t{3}});
  k.b->AddStore(mine, {int64_t{0}}, k.tx);
  k.b->AddStore(k.C, {k.bx, int64_t{0}}, ToExpr(all));   // one value, one place: one thread
  k.b->AddStore(k.C, {k.bx, int64_t{1}}, ToExpr(mine));  // values differ
  k.b->AddStore(k.C, {k.bx, k.tx}, 1.0);                 // places differ
  k.b->BeginIf(Binary("gt", k.tx, MakeConst(5)));
  k.b->AddStore(s, {int64_t{0}}, 1.0);  // control differs
  k.b->End();
  k.b->BeginGroup(64, 64);
  k.b->AddStore(s, {int64_t{1}}, 1.0);  // the first thread of the group
  k.b->End();
  EXPECT_EQ(Normalised(&k), R"(    alloc %s: shared f32[64] sized
    alloc %mine: var i32[1] sized init 0
    alloc %all: var i32[1] sized init 3
    store %mine[0] = %tx
    if %tx == 0 {
      store %C[%bx, 0] = cast.f32(%all[0])
    }
    store %C[%bx, 1] = cast.f32(%mine[0])
    store %C[%bx, %tx] = 1.0
    if %tx > 5 {
      store %s[0] = 1.0
    }
    group 64 +: 64 {
      if %tx == 64 {
        store %s[1] = 1.0
      }
    }
)");
}

TEST(Normalise, CellsOfPoints) {
  KernelFixture k;
  Buffer t = k.Alloc("t", "local.var", {int64_t{1}});
  Buffer sum = k.Alloc("sum", "local.var", {int64_t{1}}, Float(32), {0.0});
  auto v = k.b->BeginParallel({int64_t{64}}, {List()}, {"i"});
  k.b->AddStore(t, {int64_t{0}}, BuildLoad(k.A, {v[0], MakeConst(0)}));
  k.b->AddStore(sum, {int64_t{0}}, Binary("add", ToExpr(sum), ToExpr(t)));
  k.b->AddStore(k.C, {v[0], int64_t{0}}, ToExpr(t));
  k.b->End();
  EXPECT_EQ(Normalised(&k), R"(    alloc %t: var f32[1] sized
    alloc %sum: var f32[1] sized init 0.0
    set_C: parallel %i in 64 {
      alloc %t_1: var f32[1] sized
      store %t_1[0] = %A[%i, 0]
      store %sum[0] = %sum[0] + %t_1[0]
      store %C[%i, 0] = %t_1[0]
    }
)");
}

}  // namespace
}  // namespace tilescale::ir
