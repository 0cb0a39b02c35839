// SPDX-License-Identifier: MIT
// Each rule of the specifications rejects a program that breaks it, and says which.
#include "compiler/ir/verify.h"

#include "compiler/ir/build.h"
#include "compiler/ir/text.h"
#include "compiler/ir/visit.h"
#include "support/diagnostics.h"
#include "tests/unit/ir/testing.h"

#include <functional>
#include <gtest/gtest.h>

namespace tilescale::ir {
namespace {

std::string WhatBreaks(const std::function<void()>& verify) {
  try {
    verify();
  } catch (const InternalError& error) {
    return error.what();
  }
  return "";
}

Func Parse(const std::string& body, const char* stage = "tile") {
  RegisterTestOps();
  return ParseFunc(Program(body, stage));
}

// The program with its kernel's statements replaced by `stmts` of the kernel.
Func WithBody(const Func& f, const std::function<std::vector<Stmt>(const Kernel&)>& stmts) {
  return MapKernels(f, [&](const Kernel& k) {
    auto copy = CopyNode(k.get());
    copy->body = MakeSeq(stmts(k));
    return Kernel(std::move(copy));
  });
}

void ExpectBreaks(const Func& f, const std::string& rule) {
  const std::string what = WhatBreaks([&] { Verify(f); });
  EXPECT_NE(what.find("rule " + rule), std::string::npos)
      << "expected: " << rule << "\ngot: " << what;
}

struct TextCase {
  const char* rule;
  const char* stage;
  const char* body;
};
class BrokenText : public testing::TestWithParam<TextCase> {};

TEST_P(BrokenText, IsRejected) {
  ExpectBreaks(Parse(GetParam().body, GetParam().stage), GetParam().rule);
}

const TextCase kBroken[] = {
    {"tile: an address before PlaceMemory", "tile", "alloc %s: shared f16[8] at 0"},
    {"tile: a view of register slots", "tile",
     "alloc %f: frag f32[8]\nview %v: f32[8] of %f slots"},
    {"I13: a version that is no slot", "tile",
     "alloc %s: shared f16[8] versions 2\nview %v: f16[8] of %s version %tx"},
    {"I13: a version that is no slot", "mapped",
     "alloc %s: shared f16[8] versions 2 layout \"8 | 8:1a\"\nview %v: f16[8] of %s version 1"},
    {"mapped: %s has no layout", "mapped", "alloc %s: shared f16[8]"},
    {"mapped: %f has no layout", "mapped", "alloc %f: frag f16[8]"},
    {"mapped: a parallel nest without a layout", "mapped", "parallel %i in 8 { }"},
    {"mapped: a tile op without a lowering", "mapped",
     "alloc %f: frag f32[8] layout \"8 | 8:1t\"\nfill %f, 0.0"},
    {"mapped: an operand of unknown extent", "mapped",
     "alloc %f: frag f16[8] layout \"8 | 8:1t\"\ncopy %A[0 +: ?, 0 +: ?] -> %f via simt"},
    {"schedule: a pipelined loop", "mapped", "for %i in 0..4 pipelined(stages=2) { }"},
    {"schedule: a schedule behind", "mapped", "} schedule { role r warps 0..4"},
    {"machine: a tile op", "machine", "alloc %l: local f32[8]\nfill %l, 0.0 via simt"},
    {"machine: a parallel nest", "machine", "parallel %i in 8 layout \"8 | 8:1t\" { }"},
    {"machine: fragment %f", "machine", "alloc %f: frag f16[8] layout \"8 | 8:1t\""},
    {"machine: %s still has families", "machine", "alloc %s: shared f16[8] families {pad}"},
    {"machine: a view of a fragment", "machine",
     "alloc %f: local f32[8]\nview %v: f32[8] of %f slots"},
    {"schedule: a pipelined loop", "machine", "for %i in 0..4 pipelined(stages=2) { }"},
    {"memory: global memory is allocated by the host", "tile", "alloc %w: global f32[8]"},
    {"memory: on-chip %s has a shape that is no constant", "tile", "alloc %s: shared f16[%n]"},
    {"memory: versions 0", "tile", "alloc %s: shared f16[8] versions 0"},
    {"memory: a token of depth 0", "tile", "alloc %t: token cp_async depth 0"},
    {"control: a jump outside every loop", "tile", "break"},
    {"control: a jump outside every loop", "tile", "for %i in 0..4 { parallel %j in 4 { break } }"},
    {"control: threads 64 to 192 of 128", "tile", "group 64 +: 128 { }"},
    {"types: %A[cast.f32(%n), 0]: an index of type f32", "tile", "bind %x = %A[cast.f32(%n), 0]"},
    {"types: a condition of type i32", "tile", "if %n { }"},
    {"types: a value of type i32 into elements of type f32", "tile",
     "alloc %s: var f32\nstore %s = %n"},
    {"types: a guard of type i32", "tile", "alloc %s: var i32\nstore %s = 1 guard %n"},
    {"types: op\"&\".f32(%n, f32(1.5)): operands of types i32 and f32", "tile",
     "bind %x = op\"&\".f32(%n, f32(1.5))"},
    {"types: a bound of type i64, expected i32", "tile", "for %i in 0..i64(4) { }"},
    {"program: a kernel in a kernel", "tile", "kernel @g grid(%b: 1) threads(%t: 32) { }"},
};
INSTANTIATE_TEST_SUITE_P(Rules, BrokenText, testing::ValuesIn(kBroken));

TEST(Verify, SoundProgramsPass) {
  Verify(
      Parse("alloc %f: frag f32[8] families {}\nfor %i in 0..4 { if %i < 2 { break } }\n"
            "alloc %s: shared f16[8] versions 2\nalloc %t: token cp_async depth 2\n"
            "view %v: f16[8] of %s version %t.in\nexit"));
  Verify(Parse("alloc %s: shared f16[8] at 0", "machine"));
}

// What no text can say.

TEST(Verify, SymbolsAreUsedInTheirScope) {
  Var v = MakeVar("late");
  const Func f = Parse("bind %x = %n");
  ExpectBreaks(WithBody(f,
                        [&](const Kernel&) {
                          return std::vector<Stmt>{MakeBind(MakeVar("a"), Add(v, 1), Span()),
                                                   MakeBind(v, MakeConst(1), Span())};
                        }),
               "I3: %late is used outside its scope");
  ExpectBreaks(
      WithBody(f,
               [&](const Kernel&) {
                 Stmt inner =
                     MakeIf(MakeConst(1, Bool()), MakeBind(v, MakeConst(1), Span()), Span());
                 return std::vector<Stmt>{inner, MakeBind(MakeVar("a"), Add(v, 1), Span())};
               }),
      "I3: %late is used outside its scope");
  Buffer ghost = MakeBuffer("ghost", Float(32), {MakeConst(4)},
                            MakeStorage("ghost", Space::kShared, Root::kAlloc));
  ExpectBreaks(WithBody(f,
                        [&](const Kernel&) {
                          return std::vector<Stmt>{
                              MakeStore(ghost, {MakeConst(0)}, MakeFloat(0, Float(32)), Span())};
                        }),
               "I3: %ghost is used outside its scope");
  Token token = MakeToken("t", Done::kCpAsync, 2);
  ExpectBreaks(WithBody(f,
                        [&](const Kernel&) {
                          return std::vector<Stmt>{MakeTokenOp(TokenVerb::kWait, token, Span())};
                        }),
               "I3: %t is used outside its scope");
}

TEST(Verify, SymbolsAreDeclaredOnce) {
  const Func f = Parse("for %i in 0..4 { bind %x = %i + 1 }");
  auto twice = [&](const std::function<Stmt(const Stmt&)>& copy) {
    return WithBody(f, [&](const Kernel& k) {
      const Stmt s = StmtsOf(k->body)[0];
      return std::vector<Stmt>{s, copy(s)};
    });
  };
  ExpectBreaks(twice([](const Stmt& s) { return s; }), "I3: %i is declared a second time");
  Verify(twice([](const Stmt& s) { return RefreshDeclarations(s); }));
}

TEST(Verify, BodiesAreFlat) {
  const Func f = Parse("bind %x = %n");
  auto loop = [&](const Stmt& body) {
    return WithBody(f, [&](const Kernel&) {
      Stmt s = MakeFor(MakeVar("i"), MakeConst(2), MakeSeq({}), Span());
      auto copy = CopyNode(s.as<ForObj>());
      copy->body = body;
      return std::vector<Stmt>{For(std::move(copy))};
    });
  };
  ExpectBreaks(loop(MakeBind(MakeVar("a"), MakeConst(1), Span())), "flat: a body that is no Seq");
  auto outer = ffi::make_object<SeqObj>();
  outer->stmts = {MakeSeq({MakeBind(MakeVar("a"), MakeConst(1), Span())})};
  ExpectBreaks(loop(Seq(outer)), "flat: a Seq in a Seq");
}

TEST(Verify, TypesOfNodes) {
  const Func f = Parse("bind %x = %n");
  auto bind = [&](const Expr& value, Var var) {
    return WithBody(f,
                    [&](const Kernel&) { return std::vector<Stmt>{MakeBind(var, value, Span())}; });
  };
  ExpectBreaks(bind(MakeFloat(1, Float(16)), MakeVar("a")), "types: %a of type i32 is bound to");
  Buffer a = f->params[0]->buffer;
  auto load = CopyNode(MakeLoad(a, {MakeConst(0), MakeConst(0)}).as<LoadObj>());
  load->index = {MakeConst(0)};
  ExpectBreaks(bind(Load(load), MakeVar("a", Float(16))), "rank: ");
  auto wrong = CopyNode(MakeLoad(a, {MakeConst(0), MakeConst(0)}).as<LoadObj>());
  wrong->dtype = Float(32);
  ExpectBreaks(bind(Load(wrong), MakeVar("a")), "types: ");
  auto region = CopyNode(FullRegion(a).get());
  region->extent = {MakeConst(1)};
  ExpectBreaks(bind(MakeAddr(Region(region)), MakeVar("a", Handle())), "rank: ");
}

TEST(Verify, HostHoldsNoDeviceStatements) {
  RegisterTestOps();
  ExpectBreaks(ParseFunc("func @f(%A: f16[8]) stage tile { store %A[0] = 1.0 }"),
               "program: a device statement outside every kernel");
  ExpectBreaks(ParseFunc("func @f() stage tile options none { }"),
               "program: the function has no options");
  // A launch fact is evaluated by the host.
  const Func f = Parse("bind %x = %n");
  const Func bad = MapKernels(f, [](const Kernel& k) {
    auto copy = CopyNode(k.get());
    copy->requires_ = {Lt(k->thread_vars[0], 4)};
    return Kernel(std::move(copy));
  });
  ExpectBreaks(bad, "I3: %tx is used outside its scope");
}

TEST(Verify, TileOpsMatchTheirRow) {
  const Func f = Parse("alloc %f: frag f32[8]\nfill %f, 0.0");
  auto with = [&](const std::function<void(TileOpObj*)>& change) {
    return WithBody(f, [&](const Kernel& k) {
      std::vector<Stmt> stmts = StmtsOf(k->body);
      auto copy = CopyNode(stmts[1].as<TileOpObj>());
      change(copy.get());
      stmts[1] = TileOp(std::move(copy));
      return stmts;
    });
  };
  ExpectBreaks(with([](TileOpObj* op) { op->op = "nothing"; }), "ops: unknown tile op nothing");
  ExpectBreaks(with([](TileOpObj* op) { op->args.push_back(1); }),
               "ops: fill has 3 arguments, expected 2");
  ExpectBreaks(with([](TileOpObj* op) { op->args.Set(1, ffi::String("x")); }),
               "ops: fill: argument value is of another kind");
}

TEST(Verify, PassGuarantees) {
  auto breaks = [](const std::function<void(const Func&)>& verify, const std::string& body,
                   const std::string& rule) {
    const Func f = Parse(body, "machine");
    Verify(f);
    const std::string what = WhatBreaks([&] { verify(f); });
    EXPECT_NE(what.find(rule), std::string::npos) << what;
  };
  breaks(VerifyNoTokens, "alloc %t: token cp_async depth 2", "a token behind InsertSync");
  breaks(VerifyTruncOnly, "bind %x = %tx / 2", "a division toward minus infinity");
  breaks(VerifyPlaced, "alloc %s: shared f16[8]", "%s has no address");
  breaks(VerifyPlaced, "alloc %s: shared f16[8] at 0", "%s ends at byte 16 of 0");
  RegisterTestOps();
  const Func tiled =
      Parse("alloc %f: frag f32[8] layout \"8 | 8:1t\"\nfill %f, 0.0 via simt", "mapped");
  EXPECT_NE(WhatBreaks([&] { VerifyLowered(tiled); }).find("a tile op behind LowerTileOps"),
            std::string::npos);
  const Func f = Parse("alloc %t: token cp_async depth 2\nacquire %t\nbind %x = %t.in", "machine");
  EXPECT_NE(WhatBreaks([&] { VerifyNoTokens(f); }).find("rule tokens"), std::string::npos);
}

TEST(Verify, NamesTheStatementAndItsLine) {
  RegisterTestOps();
  const Func f = ParseFunc(
      "source 0 \"k.py\"\nfunc @f() stage tile {\n"
      "kernel @f grid(%bx: 1) threads(%tx: 32) {\n break @7\n} }");
  const std::string what = WhatBreaks([&] { Verify(f); });
  EXPECT_NE(what.find("rule control: a jump outside every loop\n  in: break\n  at: k.py:7"),
            std::string::npos)
      << what;
}

}  // namespace
}  // namespace tilescale::ir
