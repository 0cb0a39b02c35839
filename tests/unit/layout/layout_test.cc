// SPDX-License-Identifier: MIT
// Text, normal form, equality: on every digit system of small shapes.
#include "compiler/layout/layout.h"

#include "tests/unit/layout/laws.h"

namespace tilescale {
namespace {

using testing::ForEachLayout;
using testing::MeaningOf;
using testing::StridesOn;

const char* const kTexts[] = {
    "16,16 | 8:4t 2:2s | 2:1s 4:1t 2:4s",
    "64,128 | 64:64a | 64:1a 2:4096a | swz 3,3,3",
    "4,257 | 4:32t | 32:1t 9:1s",
    "4,257 | *2 96:1t 11:1s",
    "128 | 2:1s 4:1t 16:2s | rep 8:4t",
    "1024,4096 | 128:4096a 8:1r | 4096:1a",
    "16,8 | [1,0] 128:1a",
    "300 | 32:1t 9:1s <280",
    "1,257 |  | 32:1t 9:1s | rep 3:32t",
    " | rep 128:1t",
    "4 | 4:1a+8t | off 3a+1s",
    "8 | 8:0",
    "4,4 | 4:2@1 | 4:1@0.1",
    "8,8 | 8:1l | 8:1q+1c",
};

TEST(LayoutText, RoundTrips) {
  for (const char* text : kTexts) {
    Expected<Layout> l = Layout::Parse(text);
    ASSERT_TRUE(l.ok()) << text << ": " << l.reason();
    EXPECT_EQ(l->Text(), text);
  }
}

TEST(LayoutText, RefusesWithTheReason) {
  const std::pair<const char*, const char*> cases[] = {
      {"4 | 2:1a", "digits of 2 values do not cover 4 points"},
      {"4,4 | 4:1a", "the groups do not partition the dims: 1 of 2"},
      {"4 | 4:1a | 4:1a", "a layout has more parts than dims"},
      {"4 | 4:1x", "expected an axis (a t s c r l q) in a layout, got \"1x\""},
      {"4 | 4", "expected a digit such as 8:4t in a layout, got \"4\""},
      {"4 | 4:a", "expected a stride such as 8a in a layout, got \"a\""},
      {"a | 4:1a", "expected a number in a layout, got \"a\""},
      {"4 | 4:1a <5", "bound 5 is not within its 4 points"},
      {"4 | 4:1a | swz 3,0,2", "a swizzle must not overlap itself"},
      {"4 | 4:1a | swz 3,0", "expected swz bits,base,shift in a layout, got \"3,0\""},
      {"4,4 | [0,0] 16:1a", "the groups do not partition the dims: dim 0"},
      {"4 | 0:1a", "a digit has 0 values"},
      {"1,1,1,1,1,1,1,1,1 | *9", "more than 8 dims"},
      {"4 | 4:9999999999999999a", "stride 9999999999999999 is out of range"},
      {"4 | 4:1a+1t+1s+1c+1r", "a digit moves more than 4 axes"},
      {"1000000000000,1000000000000 | 1000000000000:1a | 1000000000000:1a",
       "the shape has more than 2^60 points"},
  };
  for (auto [text, why] : cases) {
    Expected<Layout> l = Layout::Parse(text);
    ASSERT_FALSE(l.ok()) << text;
    EXPECT_EQ(l.reason(), why) << text;
  }
  std::string many = "16777216,16777216 |";
  for (int i = 0; i < 25; ++i) many += " 2:1a";
  EXPECT_EQ(Layout::Parse(many + " | 16777216:1a").reason(), "more than 24 digits");
}

TEST(LayoutText, NeverCrashesOnDamagedText) {
  for (const char* text : kTexts) {
    std::string s = text;
    for (size_t i = 0; i < s.size(); ++i) {
      for (char c : {' ', '|', ':', '9', 'a', '*', '[', '<', '-', '@', '\0'}) {
        std::string damaged = s;
        damaged[i] = c;
        Expected<Layout> l = Layout::Parse(damaged);
        if (l.ok()) {
          // What parses means what it prints.
          EXPECT_TRUE(l->Identical(*Layout::Parse(l->Text()))) << damaged;
        }
      }
    }
  }
}

// One normal form for each function; it means the same and is its own normal form. All digit
// systems with strides 0 to 4, flattened and by dims.
TEST(NormalForm, IsUnique) {
  for (std::vector<int64_t> shape : {std::vector<int64_t>{6}, {5}, {2, 3}, {3, 2}, {2, 2}}) {
    std::map<std::vector<int64_t>, std::string> form_of;
    int64_t checked = 0;
    ForEachLayout(shape, StridesOn(kAddr, {0, 1, 2, 3, 4}), [&](const Layout& l) {
      Layout n = l.Normal();
      EXPECT_TRUE(n.Identical(n.Normal())) << l.Text();
      std::vector<int64_t> function;
      for (const testing::Point& x : testing::PointsOf(l)) {
        function.push_back(l.At(kAddr, x));
        EXPECT_EQ(n.At(kAddr, x), l.At(kAddr, x)) << l.Text();
      }
      auto [at, fresh] = form_of.try_emplace(function, n.Text());
      EXPECT_EQ(at->second, n.Text()) << l.Text();
      ++checked;
    });
    EXPECT_GE(checked, 80);
  }
}

TEST(NormalForm, SplitsWhereDigitsAllow) {
  auto normal = [](const char* text) { return Layout::Literal(text).Normal().Text(); };
  EXPECT_EQ(normal("3,5,40 | *3 8:1s 75:1t"), "3,5,40 | 3:25t | 5:5t | 8:1s 5:1t");
  EXPECT_EQ(normal("4,257 | *2 96:1t 11:1s"), "4,257 | *2 96:1t 11:1s");
  EXPECT_EQ(normal("16 | 2:1a 4:2a 2:8a"), "16 | 16:1a");
  EXPECT_EQ(normal("8 | 8:1t | rep 2:8t 2:16t 3:0"), "8 | 8:1t | rep 4:8t");
  EXPECT_EQ(normal("16 | 16:1a | swz 2,0,3"), "16 | 16:1a | swz 1,0,3");
}

TEST(Equality, IsEqualityOfFunctions) {
  std::vector<Layout> some;
  int64_t k = 0;
  ForEachLayout({2, 3}, StridesOn(kAddr, {0, 1, 3}), [&](const Layout& l) {
    if (k++ % 7 == 0) some.push_back(l);
    if (k % 31 == 0) some.push_back(*l.WithSwizzle(Swizzle{1, 0, 1}));
    if (k % 37 == 0) {
      Mode rep{2, Strides(kAddr, k % 2)};
      some.push_back(*l.WithReplicas({&rep, 1}));
    }
  });
  ASSERT_GE(some.size(), 20u);
  for (const Layout& a : some) {
    for (const Layout& b : some) {
      EXPECT_EQ(a.Equals(b), MeaningOf(a, {kAddr}) == MeaningOf(b, {kAddr}))
          << a.Text() << " and " << b.Text();
    }
  }
  EXPECT_FALSE(Layout::Literal("4 | 4:1a").Equals(Layout::Literal("2,2 | 2:2a | 2:1a")));
}

TEST(Extent, BoundsThePlacesOfASwizzle) {
  for (int bits = 1; bits <= 3; ++bits) {
    for (int base = 0; base <= 2; ++base) {
      Layout l = *Layout::Literal("7,9 | 7:9a | 9:1a").WithSwizzle(Swizzle{bits, base, 3});
      for (const testing::Point& x : testing::PointsOf(l)) {
        EXPECT_LT(l.At(kAddr, x), l.Extent(kAddr));
      }
      EXPECT_TRUE(l.Injective());
    }
  }
}

TEST(Values, AreSmallEnoughToCopy) {
  EXPECT_LE(sizeof(Layout), 4096u);
  static_assert(std::is_trivially_destructible_v<Layout>);
}

}  // namespace
}  // namespace tilescale
