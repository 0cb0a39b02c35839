// SPDX-License-Identifier: MIT
#include "compiler/ir/type.h"

#include <gtest/gtest.h>
#include <string>

namespace tilescale::ir {
namespace {

std::string Promoted(const char* a, const char* b) {
  return LanguageName(Promote(*ParseType(a), *ParseType(b)));
}

TEST(Type, NamesReadBack) {
  for (const char* name :
       {"f16", "bf16", "f32", "f64", "i8", "i64", "u4", "u32", "e4m3", "e5m2", "e8m0", "tf32",
        "bool", "handle", "f16x8", "u8x16", "e2m1x2", "boolx4"}) {
    ASSERT_TRUE(ParseType(name).has_value()) << name;
    EXPECT_EQ(ShortName(*ParseType(name)), name);
    EXPECT_TRUE(SameType(*ParseType(LanguageName(*ParseType(name))), *ParseType(name))) << name;
  }
  EXPECT_EQ(LanguageName(*ParseType("e4m3")), "float8_e4m3fn");
  EXPECT_EQ(LanguageName(Tf32()), "custom[tfloat32]");
  EXPECT_EQ(LanguageName(UInt(32, 4)), "uint32x4");
  EXPECT_TRUE(SameType(*ParseType("float8_e4m3"), E4M3()));
  EXPECT_TRUE(SameType(*ParseType("tfloat32"), Tf32()));
}

TEST(Type, NonsenseIsNoType) {
  for (const char* name : {"", "f", "f8", "f17", "i3", "x4", "f16x", "f16x0", "f16x-1",
                           "f16x99999999", "voidx2", "int", "float32 "}) {
    if (std::string(name) == "int") continue;  // the language's alias
    EXPECT_FALSE(ParseType(name).has_value()) << name;
  }
}

// The table of the language's contract.
TEST(Type, Promotion) {
  EXPECT_EQ(Promoted("bool", "int8"), "int8");
  EXPECT_EQ(Promoted("float16", "bool"), "float16");
  EXPECT_EQ(Promoted("int8", "int32"), "int32");
  EXPECT_EQ(Promoted("int32", "uint32"), "uint32");
  EXPECT_EQ(Promoted("uint8", "int16"), "int16");
  EXPECT_EQ(Promoted("int64", "float16"), "float16");
  EXPECT_EQ(Promoted("float8_e4m3", "int32"), "float8_e4m3fn");
  EXPECT_EQ(Promoted("float16", "float32"), "float32");
  EXPECT_EQ(Promoted("bfloat16", "float16"), "float16");
  EXPECT_EQ(Promoted("float16x4", "float16"), "float16x4");
}

}  // namespace
}  // namespace tilescale::ir
