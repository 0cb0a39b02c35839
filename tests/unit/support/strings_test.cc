// SPDX-License-Identifier: MIT
#include "support/strings.h"

#include "support/expected.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tilescale {
namespace {

TEST(Strings, JoinIsTheInverseOfSplit) {
  for (const std::string text : {"", "a", "a,b", ",", "a,,b,"}) {
    EXPECT_EQ(Join(Split(text, ','), ","), text);
  }
  EXPECT_EQ(Split("a,,b", ',').size(), 3u);
  EXPECT_EQ(Split("", ',').size(), 1u);
  EXPECT_EQ(Join(std::vector<int>{1, 2, 3}, " x "), "1 x 2 x 3");
}

TEST(Strings, Trim) {
  EXPECT_EQ(Trim("  a b\t\n"), "a b");
  EXPECT_EQ(Trim(" \n "), "");
}

TEST(Strings, ReplaceAll) {
  EXPECT_EQ(ReplaceAll("aXbX", "X", "XX"), "aXXbXX");
  EXPECT_EQ(ReplaceAll("none", "X", "y"), "none");
}

TEST(Strings, ClosestName) {
  const std::vector<std::string> ops = {"gemm", "copy", "reduce_sum", "reduce_max"};
  EXPECT_EQ(ClosestName("gem", ops), "gemm");
  EXPECT_EQ(ClosestName("copyy", ops), "copy");
  EXPECT_EQ(ClosestName("redcue_max", ops), "reduce_max");
  EXPECT_EQ(ClosestName("convolution", ops), "");
  EXPECT_EQ(ClosestName("x", {}), "");
}

Expected<int> Half(int n) {
  if (n % 2 != 0) return Refusal{std::to_string(n) + " is odd"};
  return n / 2;
}
Expected<int> Quarter(int n) {
  TS_TRY(const int half, Half(n));
  TS_TRY(const int quarter, Half(half));
  return quarter;
}

TEST(Expected, ValueOrReasonPassesThrough) {
  EXPECT_EQ(*Quarter(12), 3);
  EXPECT_EQ(Quarter(6).reason(), "3 is odd");
  EXPECT_EQ(Quarter(5).reason(), "5 is odd");
}

}  // namespace
}  // namespace tilescale
