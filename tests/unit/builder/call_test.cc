// SPDX-License-Identifier: MIT
// Effectful builtins, printing, annotations, pass configurations.
#include "tests/unit/builder/testing.h"

namespace tilescale::ir {
namespace {

TEST(Calls, Synchronisation) {
  KernelFixture k;
  Buffer bars =
      k.Alloc("bars", "shared.barrier", {int64_t{2}}, UInt(64), {None(), List({int64_t{128}})});
  auto call = [&](const char* name, const Values& args) { k.b->AddCall(name, args, Text("void")); };
  call("sync_threads", {});
  call("sync_threads", {int64_t{1}, int64_t{64}});
  call("sync_threads", {int64_t{2}, None()});
  call("named_barrier_arrive", {int64_t{1}, int64_t{64}});
  call("mbarrier_arrive", {BuildLoad(bars, {MakeConst(1)}), None()});
  call("mbarrier_wait_parity", {bars, int64_t{0}});
  call("mbarrier_expect_tx", {bars, int64_t{4096}});
  call("fence_proxy_async", {});
  call("ptx_commit_group", {});
  call("ptx_wait_group", {int64_t{0}});
  call("tma_store_wait", {int64_t{0}, true});
  call("set_max_nreg", {int64_t{240}, int64_t{1}});
  call("tvm_storage_sync", {Text("shared")});
  call("sync_grid", {});
  EXPECT_TRUE(k.b->kernel()->cooperative);
  EXPECT_EQ(k.Body(), R"(    alloc %bars: mbar u64[2] sized arrivals 128
    call bar.cta()
    call bar.sync(1, 64)
    call bar.sync(2, 128)
    call bar.arrive(1, 64)
    call mbarrier.arrive(&%bars[1])
    call mbarrier.wait(&%bars[0], 0)
    call mbarrier.expect_tx(&%bars[0], 4096)
    call fence.proxy_async()
    call cp_async.commit()
    call cp_async.wait_group(0)
    call bulk.wait_read(0)
    call setmaxnreg.inc(240)
    call bar.cta()
    call bar.cta()
    call grid.sync(%grid_barrier.data)
    call bar.cta()
)");
}

TEST(Calls, Warp) {
  KernelFixture k;
  Expr x = BuildLoad(k.A, {MakeConst(0), k.tx});
  List value({int64_t{0}});
  Var s = k.b->AddCall("shfl_xor", {x, int64_t{4}, int64_t{32}, int64_t{0xffffffff}}, value);
  Var v =
      k.b->AddCall("any_sync", {Binary("gt", s, MakeFloat(0, Float(32))), None()}, Text("int32"));
  k.b->AddCall("ballot", {v}, Text("uint64"));
  k.b->AddCall("warp_reduce_max", {x}, value);
  k.b->AddCall("shuffle_elect", {int64_t{64}}, Text("bool"));
  EXPECT_EQ(ErrorOf([&] { k.b->AddCall("all_sync", {x}, Text("int32")); }),
            "TypeError: T.all_sync requires an integer or boolean predicate, but got float32");
  EXPECT_EQ(k.Body(), R"(    call %v: f32 = shfl.xor(%A[0, %tx], 4, 32, u32(4294967295))
    call %v_1: i32 = vote.any(%v > 0.0, u32(4294967295))
    call %v_2: u64 = vote.ballot(%v_1 != 0, u32(4294967295))
    bind %r = %A[0, %tx]
    call %v_3: f32 = shfl.xor(%r, 16, 32, u32(4294967295))
    bind %r_1 = max(%r, %v_3)
    call %v_4: f32 = shfl.xor(%r_1, 8, 32, u32(4294967295))
    bind %r_2 = max(%r_1, %v_4)
    call %v_5: f32 = shfl.xor(%r_2, 4, 32, u32(4294967295))
    bind %r_3 = max(%r_2, %v_5)
    call %v_6: f32 = shfl.xor(%r_3, 2, 32, u32(4294967295))
    bind %r_4 = max(%r_3, %v_6)
    call %v_7: f32 = shfl.xor(%r_4, 1, 32, u32(4294967295))
    bind %r_5 = max(%r_4, %v_7)
    bind %elected = %tx % 64 == 0
)");
}

TEST(Calls, Atomics) {
  KernelFixture k;
  Buffer half = k.Alloc("half", "shared.dyn", {int64_t{8}}, Float(16));
  Expr place = BuildLoad(k.C, {MakeConst(0), k.tx});
  Expr shared = BuildLoad(half, {MakeConst(2)});
  k.b->AddCall("atomic_add", {place, int64_t{1}, None(), false}, Text("void"));
  k.b->AddCall("atomic_max", {place, 1.0, Text("acq_rel"), true}, Text("float32"));
  k.b->AddCall("atomic_add", {place, 1.0, Text("seq_cst"), false}, Text("void"));
  k.b->AddCall("atomic_addx2", {shared, BuildLoad(half, {MakeConst(4)}), false}, Text("void"));
  Expr pair = BuildLoad(k.C, {MakeConst(0), MakeConst(4)});
  k.b->AddCall("atomic_addx2", {place, pair, false}, Text("void"));
  k.b->AddCall("atomic_load", {place, Text("acquire")}, Text("float32"));
  k.b->AddCall("atomic_store", {place, 2.0, Text("release")}, Text("void"));
  EXPECT_EQ(k.Body(), R"(    alloc %half: shared f16[8] sized
    call red.add(&%C[0, %tx], 1.0, "relaxed.gpu")
    call %v: f32 = atom.max(&%C[0, %tx], 1.0, "acq_rel.gpu")
    call fence.sc("gpu")
    call %v_1: f32 = atom.add(&%C[0, %tx], 1.0, "acquire.gpu")
    bind %v_2 = %half.f16x2[4]
    call red.add(&%half[2], lane(%v_2, 0), "relaxed.cta")
    call red.add(&%half[3], lane(%v_2, 1), "relaxed.cta")
    call red.add.v2_f32(&%C[0, %tx +: 2], %C.f32x2[0, 4], "relaxed.gpu")
    call %v_3: f32 = ld.strong(&%C[0, %tx], "acquire.gpu")
    call st.strong(&%C[0, %tx], 2.0, "release.gpu")
)");
}

TEST(Calls, AtomicErrors) {
  KernelFixture k;
  Buffer f = k.Alloc("f", "local.fragment", {int64_t{8}});
  Buffer bytes = k.Alloc("bytes", "shared.dyn", {int64_t{8}}, Int(8));
  Expr place = BuildLoad(k.C, {MakeConst(0), MakeConst(0)});
  auto call = [&](const char* name, const Values& args) {
    return ErrorOf([&] { k.b->AddCall(name, args, Text("void")); });
  };
  EXPECT_EQ(call("atomic_load", {place, Text("release")}),
            "ValueError: atomic_load does not support memory_order='release'; expected one of "
            "['relaxed', "
            "'consume', 'acquire', 'seq_cst']");
  EXPECT_EQ(call("atomic_store", {place, 1.0, Text("acquire")}),
            "ValueError: atomic_store does not support memory_order='acquire'; expected one of "
            "['relaxed', "
            "'release', 'seq_cst']");
  EXPECT_EQ(
      call("atomic_add", {BuildLoad(f, {MakeConst(0)}), 1.0}),
      "ValueError: T.atomic_add needs an element of global or shared memory, `f` is in registers");
  EXPECT_EQ(call("atomic_add", {BuildLoad(bytes, {MakeConst(0)}), int64_t{1}}),
            "TypeError: T.atomic_add of int8 is not supported");
  EXPECT_EQ(call("atomic_or", {place, int64_t{1}}),
            "TypeError: T.atomic_or of float32 is not supported");
  EXPECT_EQ(call("atomic_add", {k.bx, int64_t{1}}),
            "TypeError: T.atomic_add needs an element of a buffer as its destination, got `bx`");
  EXPECT_EQ(call("atomic_add", {place, 1.0, None(), false, true}),
            "NotImplementedError: T.atomic_add with use_tma=True is not supported yet");
  EXPECT_EQ(
      call("atomic_addx4", {BuildLoad(bytes, {MakeConst(0)}), BuildLoad(bytes, {MakeConst(4)})}),
      "TypeError: T.atomic_addx4 of int8 is not supported");
  EXPECT_EQ(call("atomic_addx2", {place, place, true}),
            "NotImplementedError: T.atomic_addx2 with return_prev=True is not supported yet");
}

TEST(Calls, Unsupported) {
  KernelFixture k;
  for (const char* name :
       {"tma_load", "ptx_wgmma_ss", "cluster_sync", "rng_init", "pdl_sync", "ptx_mma"}) {
    EXPECT_EQ(ErrorOf([&] { k.b->AddCall(name, {}, Text("void")); }),
              std::string("NotImplementedError: T.") + name + " is not supported on this version");
  }
  EXPECT_EQ(
      ErrorOf([&] { k.b->AddCall("mbarrier_arrive", {k.A}, Text("void")); }),
      "TypeError: mbarrier must be a barrier of T.alloc_barrier or an element of one, but got "
      "tilescale.ir.Buffer");
  EXPECT_EQ(ErrorOf([&] { k.b->AddCall("sync_threads", {int64_t{1}, int64_t{33}}, Text("void")); }),
            "ValueError: T.sync_threads: arrive_count must be a positive multiple of 32, got 33");
}

TEST(Calls, CpAsync) {
  KernelFixture k;
  Buffer s = k.Alloc("s", "shared.dyn", {int64_t{8}});
  Expr from = BuildLoad(k.A, {k.bx, MakeConst(4)}), to = BuildLoad(s, {MakeConst(0)});
  k.b->AddCall("ptx_cp_async", {to, from, int64_t{4}, Binary("lt", k.bx, MakeConst(2))},
               Text("void"));
  EXPECT_EQ(ErrorOf([&] { k.b->AddCall("ptx_cp_async", {to, from, int64_t{3}}, Text("void")); }),
            "ValueError: T.ptx_cp_async copies 4, 8 or 16 bytes, got 12");
  EXPECT_EQ(
      ErrorOf([&] { k.b->AddCall("ptx_cp_async", {from, to, int64_t{4}}, Text("void")); }),
      "ValueError: T.ptx_cp_async copies an element of a global buffer to one of shared memory");
  EXPECT_EQ(k.Body(), R"(    alloc %s: shared f32[8] sized
    call cp_async.16(&%s[0 +: 4], &%A[%bx, 4 +: 4], %bx < 2)
)");
}

TEST(Print, Values) {
  KernelFixture k;
  k.b->AddCall("print", {None(), Text("100%")}, Text("void"));
  k.b->AddCall("print", {k.tx, Text("")}, Text("void"));
  k.b->AddCall("print", {BuildLoad(k.A, {MakeConst(0), MakeConst(0)}), Text("a")}, Text("void"));
  Buffer s = k.Alloc("s", "shared.dyn", {int64_t{4}, int64_t{2}}, Int(64));
  k.b->AddCall("print", {s, Text(""), int64_t{0}, int64_t{1}}, Text("void"));
  EXPECT_EQ(ErrorOf([&] { k.b->AddCall("print", {None(), Text("")}, Text("void")); }),
            "AssertionError: T.print needs a value or a message");
  EXPECT_EQ(k.Body(), R"(    call print("100%%\n")
    call print(%bx, %by, %bz, %tx, %ty, %tz, %tx, "msg='expr<tx>' BlockIdx=(%d, %d, %d), ThreadIdx=(%d, %d, %d): dtype=int32 value=%d\n")
    call print(%bx, %by, %bz, %tx, %ty, %tz, cast.f64(%A[0, 0]), "msg='a' BlockIdx=(%d, %d, %d), ThreadIdx=(%d, %d, %d): dtype=float32 value=%f\n")
    alloc %s: shared i64[4, 2] sized
    if %tx == 32 and %ty == 0 and %tz == 0 {
      for %e in 0..8 {
        call print(%bx, %by, %bz, %tx, %ty, %tz, %e, %s[%e / 2, %e % 2], "msg='buffer<s, int64>' BlockIdx=(%d, %d, %d), ThreadIdx=(%d, %d, %d): buffer=s, index=%d, dtype=int64 value=%lld\n")
      }
    }
)");
}

TEST(Annotate, Kernel) {
  KernelFixture k;
  Buffer s = k.Alloc("s", "shared.dyn", {int64_t{8}, int64_t{64}}, Float(16));
  Buffer f = k.Alloc("f", "local.fragment", {int64_t{4}});
  k.b->AddAnnotation("use_swizzle", {int64_t{10}, Text("column"), true});
  k.b->AddAnnotation("annotate_layout", {List({List({s, List({Text("swizzle"), int64_t{128}})}),
                                               List({f, List({Text("replicated")})})})});
  k.b->AddAnnotation("annotate_safe_value", {List({List({k.A, -1.0})})});
  k.b->AddAnnotation("annotate_min_blocks_per_sm", {int64_t{2}});
  k.b->AddAnnotation("annotate_restrict_buffers", {List({k.C})});
  k.b->AddAnnotation("annotate_compile_flags", {Text("-O3")});
  k.b->AddAnnotation("annotate_pass_configs",
                     {List({List({Text("tl.config_index_bitwidth"), int64_t{64}}),
                            List({Text("tl.disable_wgmma"), true})})});
  Func func = k.Finish();
  EXPECT_EQ(func->options->index_bitwidth, 64);
  EXPECT_EQ(std::string(func->options->ignored[0]), "tl.disable_wgmma");
  EXPECT_EQ(
      Print(func, {.spans = false}),
      R"(func @main(%A: f32[64, 32] sized, %C: f32[64, 32] sized alias) stage tile options(index_bitwidth=64, ignored=["tl.disable_wgmma"], compile_flags=["-O3"]) {
  kernel @main grid(%bx: 4) threads(%tx: 128) min_blocks 2 swizzle_panel 10 swizzle_columns safe(%A: -1.0) {
    alloc %s: shared f16[8, 64] sized families {exact} fixed layout "8,64 | 8:64a | 64:1a 1:512a | swz 3,3,3"
    alloc %f: frag f32[4] sized fixed layout "4 | 4:1s | rep 128:1t"
  }
}
)");
}

TEST(Annotate, Layouts) {
  KernelFixture k;
  Var i = MakeVar("i"), j = MakeVar("j");
  auto text = [&](const List& spec, std::vector<int64_t> shape) {
    return LayoutText(Values(spec.begin(), spec.end()), shape, Float(16), 32, "s");
  };
  List shape({int64_t{4}, int64_t{8}}), vars({i, j});
  EXPECT_EQ(text({Text("linear")}, {4, 8}), "4,8 | 4:8a | 8:1a");
  EXPECT_EQ(text({Text("chosen")}, {4, 8}), "");
  EXPECT_EQ(text({Text("expr"), shape, vars, List({j, i})}, {4, 8}), "4,8 | 4:1a | 8:4a");
  // 4 rows of 8 columns over 32 threads, a column of threads for each row.
  Expr thread = Binary("add", Binary("mul", i, MakeConst(8)), j);
  EXPECT_EQ(
      text({Text("fragment"), shape, vars, int64_t{1}, None(), thread, List({int64_t{0}})}, {4, 8}),
      "4,8 | 4:8t | 8:1t");
  EXPECT_EQ(ErrorOf([&] { text({Text("linear")}, {}); }), "no error");
  EXPECT_EQ(ErrorOf([&] { text({Text("text"), Text("8 | 8:1a")}, {4, 8}); }),
            "ValueError: Invalid layout for `s`: it is over [8], the tile is [4, 8]");
  EXPECT_EQ(ErrorOf([&] { text({Text("spiral")}, {4, 8}); }), "ValueError: Invalid layout: spiral");
  EXPECT_EQ(ErrorOf([&] { text({Text("expr"), shape, vars, List({k.tx})}, {4, 8}); }),
            "ValueError: the layout of `s` depends on `tx`, which is not an integer function of "
            "its indices");
}

TEST(Annotate, Errors) {
  KernelFixture k;
  Buffer s = k.Alloc("s", "shared.dyn", {int64_t{4}, int64_t{8}}, Float(16));
  Var i = MakeVar("i"), j = MakeVar("j");
  auto annotate = [&](const char* name, const Values& args) {
    return ErrorOf([&] { k.b->AddAnnotation(name, args); });
  };
  List folded(
      {Text("expr"), List({int64_t{4}, int64_t{8}}), List({i, j}), List({Binary("add", i, j)})});
  EXPECT_EQ(annotate("annotate_layout", {List({List({s, folded})})}),
            "ValueError: Invalid layout for shared buffer 's': the forward map must be injective. "
            "Details: "
            "[0, 1] and [1, 0] both map to physical coordinates [1]");
  EXPECT_EQ(annotate("annotate_layout", {List({List({k.A, List({Text("linear")})})})}),
            "NotImplementedError: T.annotate_layout of `A`, a tensor in global memory, is not "
            "supported yet: index it by the outputs of the layout's function, or lay out a shared "
            "tile");
  EXPECT_EQ(annotate("use_swizzle", {int64_t{4}, Text("diagonal")}),
            "ValueError: Unsupported swizzle order: diagonal");
  EXPECT_EQ(annotate("use_swizzle", {int64_t{0}}),
            "ValueError: panel_size must be positive, got 0");
  EXPECT_EQ(annotate("annotate_safe_value", {List({List({s, 1.0})})}),
            "ValueError: T.annotate_safe_value: `s` is on chip, only accesses of global memory are "
            "guarded");
  EXPECT_EQ(annotate("annotate_min_blocks_per_sm", {int64_t{0}}),
            "AssertionError: annotate_min_blocks_per_sm needs a positive integer, got 0");
  EXPECT_EQ(annotate("annotate_weather", {Text("")}),
            "NotImplementedError: T.annotate_weather is not supported on this version");
  EXPECT_EQ(annotate("annotate_pass_configs", {List({List({Text("tl.disable_tma_lowr"), true})})}),
            "CompileError: unknown pass config \"tl.disable_tma_lowr\"; did you mean "
            "\"tl.disable_tma_lower\"?");
  EXPECT_EQ(annotate("annotate_pass_configs",
                     {List({List({Text("tl.config_index_bitwidth"), int64_t{48}})})}),
            "CompileError: pass config \"tl.config_index_bitwidth\" must be 32 or 64, got 48");
  EXPECT_EQ(
      annotate("annotate_pass_configs", {List({List({Text("tl.enable_fast_math"), Text("yes")})})}),
      "CompileError: pass config \"tl.enable_fast_math\" must be True or False, got 'yes'");
}

}  // namespace
}  // namespace tilescale::ir
