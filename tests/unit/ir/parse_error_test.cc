// SPDX-License-Identifier: MIT
// Malformed text: one ValueError with line and column, never a crash.
#include "compiler/ir/text.h"
#include "support/diagnostics.h"
#include "tests/unit/ir/testing.h"

#include <gtest/gtest.h>
#include <random>

namespace tilescale::ir {
namespace {

std::string ErrorOf(const std::string& text) {
  RegisterTestOps();
  try {
    ParseFunc(text);
  } catch (const Diag& error) {
    EXPECT_EQ(error.type(), "ValueError");
    return error.message();
  }
  return "";
}

struct BadBody {
  const char* body;
  const char* error;  // the body begins at line 3
};
class BadText : public testing::TestWithParam<BadBody> {};

TEST_P(BadText, IsNamedWithItsPlace) {
  EXPECT_EQ(ErrorOf(Program(GetParam().body)), GetParam().error);
}

const BadBody kBad[] = {
    {"bind %x = %y", "3:11: %y is not declared here"},
    {"bind %x = %bxx", "3:11: %bxx is not declared here; did you mean %bx?"},
    {"bind %n = 1", "3:6: %n is declared twice"},
    {"bind %x = 1 +", "4:1: expected an expression, got `}`"},
    {"bind %x = (1", "4:1: expected `)`, got `}`"},
    {"bind %x = %n + 1.5", "3:16: expected a value of type i32, got a number"},
    {"bind %x = cast.u8(%n) + 300", "3:25: the number does not fit in u8"},
    {"bind %x = 3000000000", "3:11: the number does not fit in i32"},
    {"bind %x = 99999999999999999999", "3:11: number out of range"},
    {"bind %x = %n + cast.i64(%n)", "3:14: operands of + have types i32 and i64"},
    {"bind %x = 0 < %n < 4", "3:18: comparisons do not chain; write a < b and b < c"},
    {"bind %x = not %n", "3:11: not needs a bool, got i32"},
    {"bind %x = exp3(%n)", "3:11: unknown function `exp3`; did you mean `exp`?"},
    {"bind %x = min(%n)", "3:11: min takes 2 operands, got 1"},
    {"bind %x = cast(%n)", "3:11: cast needs its result type: cast.f32(…)"},
    {"bind %x = cast.f17(%n)", "3:16: expected a type such as f16 or i32, got `f17`"},
    {"bind %x = %A[0]", "3:13: buffer %A has rank 2, got 1 indices"},
    {"store %n = 1", "3:7: %n is no buffer"},
    {"wait %A", "3:6: %A is no token"},
    {"copyy %A -> %A", "3:1: unknown statement `copyy`; did you mean `copy`?"},
    {"copy %A %A", "3:9: expected `->`, got `%A`"},
    {"copy %A -> %A bogus=1", "3:15: copy has no parameter `bogus`"},
    {"copy %A -> %A async=2", "3:21: expected true or false, got `2`"},
    {"copy %A[0 +: 2] -> %A", "3:6: buffer %A has rank 2, got 1 ranges"},
    {"copy %A guard(2: < 4) -> %A", "3:15: the buffer has no dimension 2"},
    {"copy %A guard(1: < 63) -> %A", "3:20: a guard's bound is the buffer's extent"},
    {"alloc %s: shred f16[8]", "3:11: expected a memory space such as shared or frag, got `shred`"},
    {"alloc %s: shared f16[8] families {sw7}", "3:35: unknown layout family `sw7`"},
    {"alloc %t: token magic depth 1", "3:17: unknown kind of token `magic`"},
    {"for %i in 0..4 {", "6:1: expected `}`, got the end of the text"},
    {"for %i: f32 in 0..4 { }", "3:5: a loop variable is an integer, got f32"},
    {"for %i in 0..4 pipelined(stage=2) { }", "3:32: expected `[`, got `2`"},
    {"view %v: f16[8] of %bx", "3:20: %bx is no buffer"},
    {"bind %x = $", "3:11: expected an expression, got `$`"},
    {"assert true, \"open", "3:14: string without an end"},
    {"assert true, \"\\q\"", "3:14: unknown escape in a string"},
    {"bind %x = `", "3:11: unexpected character ```"},
    {"break @4#1", "3:8: no source 4 in the header"},
    {"} schedule { loop %k { } } {", "3:19: the kernel has no loop %k"},
    {"} schedule { role a warps 0..4 loops %k { }",
     "3:32: expected role, pipe, turn, root, loop or after, got `loops`"},
};
INSTANTIATE_TEST_SUITE_P(Bodies, BadText, testing::ValuesIn(kBad));

TEST(ParseError, OfTheFrame) {
  EXPECT_EQ(ErrorOf(""), "1:1: expected `func`, got the end of the text");
  EXPECT_EQ(ErrorOf("func @f() stage late { }"),
            "1:17: expected tile, mapped or machine, got `late`");
  EXPECT_EQ(ErrorOf("func @f() options(speed) { }"), "1:19: unknown option `speed`");
  EXPECT_EQ(ErrorOf("func @f() { } x"), "1:15: expected the end of the text, got `x`");
  EXPECT_EQ(ErrorOf("func @f(%A: f16[%m], %m: i64) { }"), "1:22: %m is declared twice");
}

TEST(ParseError, DeepNestingIsRefused) {
  const std::string deep(100000, '(');
  EXPECT_NE(ErrorOf(Program("bind %x = " + deep)).find("nested deeper than 400 levels"),
            std::string::npos);
  // Infix operators nest without brackets.
  std::string chain = "%tx";
  for (int i = 0; i < 5000; ++i) chain += " + %tx";
  EXPECT_NE(ErrorOf(Program("bind %x = " + chain)).find("an expression of more than 4000 levels"),
            std::string::npos);
  std::string tildes(100000, '~');
  EXPECT_NE(ErrorOf(Program("bind %x = " + tildes + "1")).find("nested deeper"), std::string::npos);
  std::string ifs;
  for (int i = 0; i < 50000; ++i) ifs += "if true { ";
  EXPECT_NE(ErrorOf(Program(ifs)).find("nested deeper"), std::string::npos);
}

// Random damage of real programs either parses to something that prints, or is a ValueError.
TEST(ParseError, DamagedTextNeverCrashes) {
  RegisterTestOps();
  std::vector<std::string> texts;
  for (const char* name : {"gemm_tile", "gemm_mapped", "gemm_machine", "constructs"}) {
    texts.push_back(ReadFile(std::string("tests/unit/ir/programs/") + name + ".ir"));
    ASSERT_FALSE(texts.back().empty());
  }
  const std::string glue = "%@(){}[]<>=+-*/.,:;\"\\0 9i\n&^~|!?#x";
  std::mt19937_64 random(20);
  int parsed = 0, refused = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string text = texts[random() % texts.size()];
    for (uint64_t edits = 1 + random() % 3; edits > 0; --edits) {
      const size_t at = random() % text.size();
      const size_t length = 1 + random() % 12;
      switch (random() % 4) {
        case 0:
          text.erase(at, length);
          break;
        case 1:
          text.insert(at, 1, glue[random() % glue.size()]);
          break;
        case 2:
          text[at] = glue[random() % glue.size()];
          break;
        default:
          text.insert(random() % text.size(), text.substr(at, length));
      }
    }
    try {
      const Func f = ParseFunc(text);
      const std::string printed = Print(f);
      EXPECT_EQ(Print(ParseFunc(printed)), printed) << text;
      ++parsed;
    } catch (const Diag& error) {
      ASSERT_EQ(error.type(), "ValueError") << error.what();
      ++refused;
    }
  }
  EXPECT_GT(parsed, 50);
  EXPECT_GT(refused, 500);
}

}  // namespace
}  // namespace tilescale::ir
