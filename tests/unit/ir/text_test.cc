// SPDX-License-Identifier: MIT
// Text: what parses prints back, byte for byte and node for node.
#include "compiler/ir/text.h"

#include "compiler/ir/build.h"
#include "compiler/ir/verify.h"
#include "compiler/ir/visit.h"
#include "tests/unit/ir/testing.h"

#include <gtest/gtest.h>

namespace tilescale::ir {
namespace {

class GoldenText : public testing::TestWithParam<const char*> {};

TEST_P(GoldenText, RoundTripsAndVerifies) {
  RegisterTestOps();
  const std::string text = ReadFile(std::string("tests/unit/ir/programs/") + GetParam() + ".ir");
  ASSERT_FALSE(text.empty());
  const Func f = ParseFunc(text);
  EXPECT_EQ(Print(f), text);
  const Func again = ParseFunc(Print(f));
  EXPECT_TRUE(StructuralEqual(f, again));
  EXPECT_EQ(Print(again), text);
  PrintOptions no_spans;
  no_spans.spans = false;
  EXPECT_TRUE(StructuralEqual(f, ParseFunc(Print(f, no_spans))));
  Verify(f);
}

INSTANTIATE_TEST_SUITE_P(Stages, GoldenText,
                         testing::Values("gemm_tile", "gemm_mapped", "gemm_machine", "constructs"),
                         [](const auto& info) { return std::string(info.param); });

// Every word of the text carries meaning: another text is another program.
TEST(Text, DifferentProgramsDiffer) {
  RegisterTestOps();
  const std::string base = Program(
      "alloc %s: shared f16[8, 8] families {pad}\n"
      "for %i in 0..4 unroll { store %s[%i, 0] = 1.0 guard %i < 3 }");
  const std::pair<const char*, const char*> changes[] = {
      {"shared f16", "local f16"},
      {"[8, 8]", "[8, 9]"},
      {"{pad}", "{sw32}"},
      {"0..4", "0..5"},
      {"unroll", "vector"},
      {"[%i, 0]", "[0, %i]"},
      {"= 1.0", "= 2.0"},
      {"%i < 3", "%i <= 3"},
      {"%m, 64", "64, %m"},
      {"%n: i32", "%n: i64"},
      {"grid(%bx: 4)", "grid(%bx: 5)"},
      {"threads(%tx: 128)", "threads(%tx: 64)"},
      {"func @f", "func @g"},
  };
  const Func f = ParseFunc(base);
  for (const auto& [from, to] : changes) {
    std::string text = base;
    const size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, std::string(from).size(), to);
    EXPECT_FALSE(StructuralEqual(f, ParseFunc(text))) << from << " -> " << to;
  }
}

TEST(Text, NamesAreUniqueAndStable) {
  // Three variables of one name, one of them called like the suffix of another.
  Var a = MakeVar("r_1"), b = MakeVar("r"), c = MakeVar("r"), d = MakeVar("9 x");
  Stmt seq = MakeSeq({MakeBind(a, MakeConst(1), Span()), MakeBind(b, Add(a, 1), Span()),
                      MakeBind(c, Add(b, a), Span()), MakeBind(d, Add(c, b), Span())});
  EXPECT_EQ(Print(seq),
            "{\n  bind %r_1 = 1\n  bind %r = %r_1 + 1\n  bind %r_2 = %r + %r_1\n"
            "  bind %v9_x = %r_2 + %r\n}");
}

TEST(Text, NamesAreFreeAgainBehindTheirScope) {
  RegisterTestOps();
  const std::string text =
      Print(ParseFunc(Program("for %i in 0..4 { bind %r = %i }\n"
                              "for %i in 0..5 { bind %r = %i }")));
  EXPECT_EQ(text.find("%i_1"), std::string::npos) << text;
  EXPECT_EQ(text.find("%r_1"), std::string::npos) << text;
}

// A name that the schedule uses belongs to the whole kernel.
TEST(Text, ScheduledNamesAreTheKernels) {
  RegisterTestOps();
  const std::string text = Program("alloc %s: shared f16[8]\nfor %k in 0..4 { u: fill %s, 0.0 }\n");
  Func f = ParseFunc(text.substr(0, text.rfind("}\n}\n")) +
                     "} schedule { role r warps 0..4 pipe p (%s) depth 2 from r(program) to r\n"
                     "loop %k { r: do u } } }");
  Kernel kernel;
  Walk(f, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kKernel)
      kernel = ffi::GetRef<Kernel>(static_cast<const KernelObj*>(n));
    return true;
  });
  // A sibling loop, in front, of the same name.
  auto copy = CopyNode(kernel.get());
  std::vector<Stmt> stmts = StmtsOf(kernel->body);
  stmts.insert(stmts.begin(), MakeFor(MakeVar("k"), MakeConst(2), MakeSeq({}), Span()));
  copy->body = MakeSeq(stmts);
  f = MapKernels(f, [&](const Kernel&) { return Kernel(copy); });
  const std::string printed = Print(f);
  EXPECT_NE(printed.find("for %k_1 in 0..2"), std::string::npos) << printed;
  EXPECT_NE(printed.find("loop %k {"), std::string::npos) << printed;
  EXPECT_TRUE(StructuralEqual(f, ParseFunc(printed)));
  EXPECT_EQ(Print(ParseFunc(printed)), printed);
}

TEST(Text, ExpressionsKeepTheirShape) {
  Var x = MakeVar("x"), y = MakeVar("y");
  auto op = [](OpCode code, Expr a, Expr b) { return MakeOp(code, {a, b}, a.dtype()); };
  EXPECT_EQ(Print(Mul(Add(x, y), Sub(x, y))), "(%x + %y) * (%x - %y)");
  EXPECT_EQ(Print(Sub(x, Sub(y, x))), "%x - (%y - %x)");
  EXPECT_EQ(Print(Sub(Sub(x, y), x)), "%x - %y - %x");
  EXPECT_EQ(Print(op(OpCode::kBitAnd, Add(x, y), x)), "%x + %y & %x");
  EXPECT_EQ(Print(Not(And(Lt(x, y), Or(Lt(y, 3), Lt(x, 2))))),
            "not (%x < %y and (%y < 3 or %x < 2))");
  EXPECT_EQ(Print(Cast(FloorMod(x, 4), Float(16))), "cast.f16(%x % 4)");
  EXPECT_EQ(Print(MakeFloat(0.1, Float(32))), "0.1");
  EXPECT_EQ(Print(MakeFloat(0.1, Float(16))), "f16(0.099975586)");
  EXPECT_EQ(Print(MakeFloat(1e30, Float(64))), "f64(1e+30)");
  EXPECT_EQ(Print(MakeConst(-5, Int(64))), "i64(-5)");
  EXPECT_EQ(Print(MakeConst(-1, UInt(64))), "u64(18446744073709551615)");
  Var f = MakeVar("f", Float(16));
  EXPECT_EQ(Print(Mul(f, MakeFloat(-0.0, Float(16)))), "%f * -0.0");
}

TEST(Text, HandWrittenFormsParse) {
  RegisterTestOps();
  const Func f =
      ParseFunc(Program("// a comment\n"
                        "bind %c = ceildiv(%n, 128); bind %h = cast.f16(%n) * 2 ;\n"
                        "bind %d = %tx%32"));
  const std::string text = Print(f);
  EXPECT_NE(text.find("bind %c = (%n + 127) / 128"), std::string::npos) << text;
  EXPECT_NE(text.find("bind %h = cast.f16(%n) * 2.0"), std::string::npos) << text;
  EXPECT_NE(text.find("bind %d = %tx % 32"), std::string::npos) << text;
}

// The machine stage uses a storage in flat forms that no statement declares.
TEST(Text, UndeclaredFormsOfAStorageRoundTrip) {
  RegisterTestOps();
  const Func parsed =
      ParseFunc(Program("alloc %s: shared f16[64] at 0\nbind %x = %s[0]", "machine"));
  const Buffer a = parsed->params[0]->buffer;
  Func f = MapKernels(parsed, [&](const Kernel& k) {
    std::vector<Stmt> stmts = StmtsOf(k->body);
    const Buffer s = stmts[0].as<AllocObj>()->buffer;
    Buffer words = MakeBuffer("s", UInt(32), {MakeConst(32)}, s->storage);
    Buffer flat = MakeBuffer("A", Float(16), {Mul(a->shape[0], 64)}, a->storage);
    stmts.push_back(MakeStore(words, {MakeConst(1)}, MakeConst(7, UInt(32)), Span()));
    stmts.push_back(MakeBind(MakeVar("y", Float(16)), MakeLoad(flat, {MakeConst(3)}), Span()));
    stmts.push_back(MakeStore(words, {MakeConst(2)}, MakeConst(8, UInt(32)), Span()));
    auto copy = CopyNode(k.get());
    copy->body = MakeSeq(std::move(stmts));
    return Kernel(std::move(copy));
  });
  Verify(f);
  const std::string text = Print(f);
  EXPECT_NE(text.find("memory %A_1: f16[%m * 64] of %A"), std::string::npos) << text;
  EXPECT_NE(text.find("memory %s_1: u32[32] of %s"), std::string::npos) << text;
  const Func again = ParseFunc(text);
  EXPECT_EQ(Print(again), text);
  EXPECT_TRUE(StructuralEqual(f, again));
  EXPECT_FALSE(StructuralEqual(f, parsed));
  Verify(again);
}

// Symbols are equal by where they are declared, not by name; types and uses count.
TEST(StructuralEqual, IsAlphaEquivalence) {
  RegisterTestOps();
  const Func f = ParseFunc(Program("bind %a = %tx + 1\nbind %b = %a + %n"));
  EXPECT_TRUE(StructuralEqual(f, ParseFunc(Program("bind %x = %tx + 1\nbind %y = %x + %n"))));
  EXPECT_FALSE(StructuralEqual(f, ParseFunc(Program("bind %a = %tx + 1\nbind %b = %n + %a"))));
  EXPECT_FALSE(StructuralEqual(f, ParseFunc(Program("bind %a = %tx + 1\nbind %b = %a + %bx"))));
}

TEST(Schedule, ParsesAgainstAKernel) {
  RegisterTestOps();
  const Func f =
      ParseFunc(Program("alloc %As: shared f16[8, 8]\nfor %ko in 0..9 { u: fill %As, 0.0 }"));
  Kernel kernel;
  Walk(f, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kKernel)
      kernel = ffi::GetRef<Kernel>(static_cast<const KernelObj*>(n));
    return true;
  });
  const std::string text =
      "schedule {\n"
      "  role load warps 8..12 nreg 24\n"
      "  role math warps 0..8 nreg 240 replicas 2\n"
      "  pipe ab (%As) depth 4 from load(mbarrier) to math, load\n"
      "  turn t over warpgroups of math\n"
      "  root {\n    load: acquire ab; do u; commit ab\n    math: wait ab\n  }\n"
      "  loop %ko {\n    math: wait ab +1; enter t; do u; await u -1; leave t; release ab -1\n  }\n"
      "  after %ko {\n    math: await u\n  }\n"
      "}\n";
  EXPECT_EQ(Print(ParseSchedule(text, kernel)), text);
  EXPECT_THROW(ParseSchedule("schedule { loop %k { } }", kernel), std::exception);
}

}  // namespace
}  // namespace tilescale::ir
