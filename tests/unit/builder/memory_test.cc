// SPDX-License-Identifier: MIT
// Allocations, views, elements, slices, addresses.
#include "tests/unit/builder/testing.h"

namespace tilescale::ir {
namespace {

TEST(Index, RankIsChecked) {
  KernelFixture k;
  EXPECT_EQ(
      ErrorOf([&] { ToIndices(k.A, {int64_t{1}}); }),
      "IndexError: Buffer A is 2-dimensional (shape=[64, 32]), but 1 index(es) were provided: [1]. "
      "Please provide exactly 2 index/indices or slice(s).");
  EXPECT_EQ(ErrorOf([&] { k.b->AddStore(k.A, {k.bx, k.bx, int64_t{0}}, 0.0); }),
            "IndexError: Buffer A is 2-dimensional (shape=[64, 32]), but 3 index(es) were "
            "provided: [bx, "
            "bx, 0]. Please provide exactly 2 index/indices or slice(s).");
  EXPECT_EQ(ErrorOf([&] { ToIndices(k.A, {1.5, int64_t{0}}); }),
            "TypeError: index 0 of `A` must be an integer, got float32");
}

TEST(Index, VectorsOfElements) {
  KernelFixture k;
  auto ramp = [&](int64_t stride) { return BuildOp("ramp", {k.bx, stride, int64_t{2}}, None()); };
  Expr unit = BuildLoad(k.A, {MakeConst(0), ramp(1)});
  EXPECT_EQ(LanguageName(unit.dtype()), "float32x2");
  EXPECT_EQ(Print(unit), "vector(%A[0, %bx], %A[0, %bx + 1])");
  EXPECT_EQ(Print(BuildLoad(k.A, {MakeConst(0), ramp(2)})), "vector(%A[0, %bx], %A[0, %bx + 2])");
  k.b->AddStore(k.C, {int64_t{0}, ramp(8)}, unit);
  EXPECT_EQ(k.Body(), R"(    bind %v = vector(%A[0, %bx], %A[0, %bx + 1])
    store %C[0, %bx] = lane(%v, 0)
    store %C[0, %bx + 8] = lane(%v, 1)
)");
  Expr wide = BuildOp("ramp", {k.bx, int64_t{1}, int64_t{8}}, None());
  EXPECT_EQ(ErrorOf([&] { BuildLoad(k.A, {MakeConst(0), wide}); }),
            "ValueError: a vector of 8 lanes of float32: the number of lanes is a power of 2, and "
            "a vector has at most 16 bytes");
}

TEST(Values, PlacesThatRead) {
  KernelFixture k;
  Buffer cell = k.Alloc("cell", "local.var", {int64_t{1}}, Int(32));
  EXPECT_EQ(Print(ToExpr(cell)), "%cell[0]");
  EXPECT_EQ(ErrorOf([&] { ToExpr(k.A); }),
            "TypeError: buffer `A` is used where a value is expected; index it, e.g. `A[0, 0]`");
  Region row = BuildRegion(k.A, {k.bx, int64_t{4}}, List({int64_t{1}, int64_t{2}}));
  EXPECT_EQ(LanguageName(ToExpr(row).dtype()), "float32x2");
}

TEST(Slices, ExtentsAndStartAddresses) {
  KernelFixture k;
  EXPECT_EQ(Print(BuildRegion(k.A, {k.bx, int64_t{0}}, List({int64_t{1}, int64_t{32}}))),
            "%A[%bx, 0 +: 32]");
  Region start = ToRegion(ffi::Any(BuildLoad(k.A, {k.bx, MakeConst(0)})));
  ASSERT_TRUE(start.defined());
  EXPECT_FALSE(start->extent[0].defined());
  EXPECT_EQ(
      ErrorOf([&] { BuildRegion(k.A, {k.bx, int64_t{0}}, List({int64_t{-2}, int64_t{32}})); }),
      "ValueError: slice 0 of `A` is empty: it has extent -2");
  EXPECT_FALSE(ToRegion(ffi::Any(int64_t{3})).defined());
}

TEST(Alloc, Spaces) {
  KernelFixture k;
  k.Alloc("s", "shared.dyn", {int64_t{8}, int64_t{16}}, Float(16));
  k.Alloc("f", "local.fragment", {int64_t{8}});
  k.Alloc("l", "local", {int64_t{4}});
  k.Alloc("v", "local.var", {int64_t{1}}, Float(64), {1e300});
  k.Alloc("bars", "shared.barrier", {int64_t{2}}, UInt(64),
          {None(), List({int64_t{128}, int64_t{128}})});
  k.Alloc("w", "global", {int64_t{64}});
  Func f = k.Finish();
  EXPECT_EQ(Print(f, {.spans = false}),
            R"(func @main(%A: f32[64, 32] sized, %C: f32[64, 32] sized) stage tile {
  alloc %w: global f32[64] root workspace sized
  kernel @main grid(%bx: 4) threads(%tx: 128) {
    alloc %s: shared f16[8, 16] sized
    alloc %f: frag f32[8] sized
    alloc %l: local f32[4] sized
    alloc %v: var f64[1] sized init 1e+300
    alloc %bars: mbar u64[2] sized arrivals 128
  }
}
)");
}

TEST(Alloc, Errors) {
  KernelFixture k;
  auto alloc = [&](const char* scope, const Values& shape, const Values& options = {}) {
    return ErrorOf([&] { k.b->AddAlloc(scope, Float(32), shape, options); });
  };
  EXPECT_EQ(alloc("shared.dyn", {MakeVar("n")}),
            "ValueError: memory of scope \"shared.dyn\" needs a constant shape, got `n`: pass the "
            "extent as "
            "a Python integer");
  EXPECT_EQ(alloc("shared.dyn", {int64_t{0}}),
            "ValueError: an allocation of scope \"shared.dyn\" needs positive extents, got 0");
  EXPECT_EQ(alloc("local.fragment", {2.5}),
            "TypeError: the shape of an allocation must be of integers, got `" +
                Print(ToExpr(2.5)) + "`");
  EXPECT_EQ(alloc("attic", {int64_t{1}}), "ValueError: unknown memory scope \"attic\"");
  EXPECT_EQ(alloc("shared.tmem", {int64_t{1}}),
            "NotImplementedError: T.alloc_tmem is not supported yet");
  EXPECT_EQ(alloc("local.reducer", {int64_t{1}}),
            "NotImplementedError: T.alloc_reducer is not supported yet");
  EXPECT_EQ(alloc("local.descriptor.wgmma", {int64_t{1}}),
            "NotImplementedError: T.alloc_descriptor is not supported yet");
  EXPECT_EQ(alloc("shared", {int64_t{1}}, {1.0}),
            "ValueError: only T.alloc_var takes an initial value");
  EXPECT_EQ(alloc("local.var", {int64_t{1}}, {1e300}),
            "ValueError: Literal value 1e+300 exceeds maximum of float32");
  auto barrier = [&](const List& counts) {
    return alloc("shared.barrier", {int64_t{1}}, {None(), counts});
  };
  EXPECT_EQ(barrier({}), "ValueError: T.alloc_barrier needs an arrive count");
  EXPECT_EQ(barrier({int64_t{0}}),
            "ValueError: the arrive count of T.alloc_barrier must be positive, got 0");
  EXPECT_EQ(barrier({int64_t{1}, int64_t{2}}),
            "NotImplementedError: T.alloc_barrier with different arrive counts (1 and 2) is not "
            "supported "
            "yet: allocate one barrier for each count");
}

TEST(View, SameMemory) {
  KernelFixture k;
  Buffer s = k.Alloc("s", "shared.dyn", {int64_t{8}, int64_t{16}}, Float(16));
  Buffer flat = k.b->AddView(s, "reshape", Void(), List({int64_t{128}}), None());
  k.b->SetName(flat, "flat");
  Buffer bits = k.b->AddView(s, "view", UInt(32), None(), None());
  k.b->SetName(bits, "bits");
  EXPECT_EQ(bits->shape.size(), 2U);
  EXPECT_EQ(*AsInt(bits->shape[1]), 8);
  EXPECT_TRUE(flat->storage.same_as(s->storage));
  Region rows = BuildRegion(s, {int64_t{2}, int64_t{0}}, List({int64_t{4}, int64_t{16}}));
  Buffer part = k.b->AddView(rows, "view", Void(), List({int64_t{64}}), None());
  k.b->SetName(part, "part");
  EXPECT_EQ(*AsInt(part->offset), 32);
  EXPECT_EQ(k.Body(), R"(    alloc %s: shared f16[8, 16] sized
    view %flat: f16[128] of %s
    view %bits: u32[8, 8] of %s
    view %part: f16[64] offset 32 of %s
)");
}

TEST(View, Pointers) {
  KernelFixture k;
  Builder b = MakeBuilder();
  b->BeginFunc("f");
  auto p = b->AddParam("pointer", "p", Handle(), {}, None(), "global", false).as_or_throw<Var>();
  b->BeginKernel({int64_t{1}}, {int64_t{32}}, {}, "", {});
  Buffer x = b->AddView(p, "from_ptr", Float(32), List({int64_t{4}}), None());
  Buffer y = b->AddView(p, "from_ptr", Float(16), List({int64_t{8}}), None());
  EXPECT_TRUE(x->storage.same_as(y->storage)) << "one pointer is one piece of memory";
  EXPECT_EQ(x->storage->root(), Root::kPointer);
  Buffer z = k.b->AddView(BuildOp("data", {k.A}, None()), "from_ptr", Float(32),
                          List({int64_t{2048}}), None());
  EXPECT_TRUE(z->storage.same_as(k.A->storage)) << "the address of a tensor is that tensor";
}

TEST(View, Errors) {
  KernelFixture k;
  Buffer s = k.Alloc("s", "shared.dyn", {int64_t{8}, int64_t{16}}, Float(16));
  EXPECT_EQ(ErrorOf([&] { k.b->AddView(s, "reshape", Void(), List({int64_t{100}}), None()); }),
            "AssertionError: T.reshape/view shape check failed. reshape of float16[8, 16] as "
            "float16[100]: "
            "2048 bits against 1600");
  Region columns = BuildRegion(s, {int64_t{0}, int64_t{4}}, List({int64_t{8}, int64_t{4}}));
  EXPECT_EQ(ErrorOf([&] { k.b->AddView(columns, "view", Void(), List({int64_t{32}}), None()); }),
            "ValueError: T.view of `s[0:8, 4:8]` needs elements that follow one another in "
            "memory");
  EXPECT_EQ(
      ErrorOf([&] { k.b->AddView(MakeVar("p", Handle()), "from_ptr", Float(32), None(), None()); }),
      "ValueError: a buffer over a pointer needs a shape");
  EXPECT_EQ(ErrorOf([&] {
              k.b->AddView(MakeVar("i"), "from_ptr", Float(32), List({int64_t{1}}), None());
            }),
            "TypeError: an address is needed: a buffer, an element, a slice or a pointer, got `i` "
            "of int32");
}

TEST(Params, Kinds) {
  Builder b = MakeBuilder();
  b->BeginFunc("f");
  Var m = MakeVar("m");
  auto A = b->AddParam("tensor", "A", Float(16), {m, int64_t{8}}, None(), "global", false)
               .as_or_throw<Buffer>();
  b->AddParam("tensor", "B", Float(16), {m}, List({int64_t{2}}), "global", true);
  b->AddParam("scalar", "n", Int(32), {}, None(), "global", false);
  b->AddParam("pointer", "p", Handle(), {}, None(), "global", false);
  EXPECT_EQ(ErrorOf([&] { b->AddParam("tensor", "S", Float(16), {}, None(), "shared", false); }),
            "ValueError: parameter `S` of scope \"shared\": a kernel's tensors are global");
  EXPECT_EQ(ErrorOf([&] {
              b->AddParam("tensor", "S", Float(16), {int64_t{4}}, List({int64_t{1}, int64_t{1}}),
                          "global", false);
            }),
            "ValueError: parameter `S` has 1 dimensions and 2 strides");
  Func f = b->EndFunc();
  ASSERT_EQ(f->params.size(), 4U);
  EXPECT_TRUE(f->params[1]->is_out);
  EXPECT_EQ(
      Print(f, {.spans = false}),
      R"(func @f(%A: f16[%m, 8] bits 16 * cast.i64(%m) * 8, %B: f16[%m] strides [2] out, %n: i32, pointer %p to %p_1: u8[1] alias) stage tile {
}
)");
}

}  // namespace
}  // namespace tilescale::ir
