// SPDX-License-Identifier: MIT
// Composition, inverse and the operations on the domain, against index arithmetic on every digit
// system of small shapes. An operation may refuse; what it gives must be exact.
#include "compiler/layout/layout.h"
#include "compiler/layout/table.h"
#include "tests/unit/layout/laws.h"

namespace tilescale {
namespace {

using testing::ForEachLayout;
using testing::MeaningOf;
using testing::Places;
using testing::Point;
using testing::PointsOf;
using testing::StridesOn;
using testing::SystemsOf;

// Every x -> off + step * x over all digit systems of 12 and of 3 by 4.
TEST(Compose, IsExactOrRefuses) {
  int64_t exact = 0, refused = 0;
  for (const ModeList& modes : SystemsOf(12, StridesOn(kAddr, {1, 3, 5}))) {
    Layout a = *LayoutBuilder(Shape{12}).AddDim(0, modes).Build();
    for (int64_t n = 1; n <= 12; ++n) {
      for (int64_t step = -3; step <= 6; ++step) {
        for (int64_t off = 0; off < 12; ++off) {
          int64_t last = off + step * (n - 1);
          if (last < 0 || last >= 12) continue;
          Mode m{n, Strides(Axis::Dim(0), step)};
          Layout b = *LayoutBuilder(Shape{n})
                          .AddDim(0, {&m, 1})
                          .SetOffset(Strides(Axis::Dim(0), off))
                          .Build();
          Expected<Layout> c = Compose(a, b);
          Expected<AnyLayout> any = ComposeAny(a, b);
          ASSERT_TRUE(any.ok());
          Table table = *TableOf(*any);
          ++(c.ok() ? exact : refused);
          for (int64_t x = 0; x < n; ++x) {
            Point at{off + step * x};
            if (c.ok()) {
              EXPECT_EQ(c->At(kAddr, Point{x}), a.At(kAddr, at)) << a.Text() << " o " << b.Text();
            }
            EXPECT_EQ(table.At(kAddr, x), a.At(kAddr, at));
          }
        }
      }
    }
  }
  EXPECT_GT(exact, 1000);
  EXPECT_GT(refused, 1000);
}

TEST(Compose, SucceedsWhereItShould) {
  Layout a = Layout::Literal("128,64 | 8:4t 2:2s 8:32t | 2:1s 4:1t 8:4s");
  for (const char* text : {"4,16,64 | 4:32@0 | 16:1@0 | 64:1@1", "8,64 | 8:16@0 | 64:1@1 | off 5@0",
                           "2,8,8 | 2:64@0 | 8:8@1 | 8:1@1 | off 3@0", "64 | 32:1@0 2:32@0",
                           "8 | 8:-1@1 | off 7@1", "100 | 100:1@0"}) {
    EXPECT_TRUE(Compose(a, Layout::Literal(text)).ok()) << text;
  }
  const std::pair<const char*, const char*> refused[] = {
      {"8,3 | 8:1@0 | 3:1@0", "carry out of digit 0 of dims 0"},
      {"10 | 10:3@0", "step 3 does not divide the digit boundary 8"},
      {"3 | 3:1@1 | off 7@1", "carry out of digit 0 of dims 1"},
      {"24 | 12:1@0 2:32@0", "12 steps do not split into 8"},
      {"8 | 8:1@0 | rep 2:1@1", "the inner map has replicas"},
      {"8 | 8:1@0 | swz 1,0,1", "the inner map has a swizzle"},
  };
  for (auto [text, why] : refused) {
    Expected<Layout> c = Compose(a, Layout::Literal(text));
    ASSERT_FALSE(c.ok()) << text;
    EXPECT_EQ(c.reason(), why);
  }
}

TEST(Compose, IdentityIsNeutral) {
  ForEachLayout({2, 3}, StridesOn(kAddr, {0, 1, 2, 5}), [&](const Layout& a) {
    Expected<Layout> c = Compose(a, IdentityLayout(a.shape()));
    if (!c.ok()) return;
    EXPECT_TRUE(c->Identical(a.Normal())) << a.Text();
  });
}

// Total on every place that holds something, nothing on every hole.
TEST(Inverse, GivesEveryPointBackAndNamesEveryHole) {
  std::vector<Strides> strides = StridesOn(kThread, {1, 2, 3, 6});
  strides.push_back(Strides(kSlot, 1));
  strides.push_back(Strides(kSlot, 2));
  int64_t inverted = 0;
  auto check = [&](const Layout& l) {
    Expected<Inverse> inverse = Invert(l);
    if (!inverse.ok()) return;
    ++inverted;
    std::map<std::vector<int64_t>, Point> owner;
    for (auto& [x, places] : MeaningOf(l, {kThread, kSlot})) {
      for (const auto& place : places) {
        EXPECT_TRUE(owner.emplace(place, x).second) << l.Text() << ": two points in one place";
      }
    }
    for (int64_t t = 0; t < l.Extent(kThread) + 3; ++t) {
      for (int64_t s = 0; s < l.Extent(kSlot) + 3; ++s) {
        Inverse::Place place[] = {{kThread, t}, {kSlot, s}};
        auto c = inverse->At(place);
        auto at = owner.find({t, s});
        ASSERT_EQ(c.has_value(), at != owner.end()) << l.Text() << " at " << t << "," << s;
        if (!c) continue;
        for (int i = 0; i < l.num_groups(); ++i) {
          LayoutGroup g = l.group(i);
          int64_t y = 0, got = 0;
          for (int8_t d : g.dims) y = y * l.extent(d) + at->second[size_t(d)];
          for (const auto& part : *c) {
            if (part.name == Axis::Dims(g.dims)) got = part.value;
          }
          EXPECT_EQ(got, y) << l.Text();
        }
      }
    }
  };
  ForEachLayout({6}, strides, check);
  ForEachLayout({5}, strides, check);
  ForEachLayout({2, 3}, strides, check);
  EXPECT_GT(inverted, 100);
}

TEST(Inverse, OfAReplicatedAndOfASwizzledLayout) {
  Layout l = Layout::Literal("5 | 4:1t 2:4t | rep 3:8t");
  Inverse inverse = *Invert(l);
  for (int64_t t = 0; t < 30; ++t) {
    Inverse::Place place[] = {{kThread, t}};
    EXPECT_EQ(inverse.At(place).has_value(), t < 24 && t % 8 < 5) << t;
  }
  EXPECT_EQ(Invert(Layout::Literal("4 | 4:1t | off 1t")).reason(), "offset: subtract it first");
  EXPECT_EQ(Invert(Layout::Literal("4,2 | 4:1t | 2:3t")).reason(),
            "digits on thread overlap at stride 3");
}

// Injectivity by the gap test or by counting, against counting.
TEST(Injective, IsExact) {
  std::vector<Strides> strides = StridesOn(kThread, {0, 1, 2, 3, 4});
  int64_t yes = 0, no = 0;
  ForEachLayout({2, 3}, strides, [&](const Layout& l) {
    Places all;
    size_t count = 0;
    for (auto& [x, places] : MeaningOf(l, {kThread})) {
      all.insert(places.begin(), places.end());
      ++count;
    }
    EXPECT_EQ(l.Injective(), all.size() == count) << l.Text();
    ++(l.Injective() ? yes : no);
  });
  EXPECT_GT(yes, 10);
  EXPECT_GT(no, 10);
  EXPECT_TRUE(Layout::Literal("3,3 | 3:3t | 3:4t").Injective());  // no gap, yet injective
}

// -- the domain
// -------------------------------------------------------------------------------------

template <class F>
void ForEachSmall(F&& f) {
  ForEachLayout({2, 3}, StridesOn(kAddr, {0, 1, 2, 5}), f);
  ForEachLayout({4, 2}, StridesOn(kAddr, {1, 3}), f);
}

TEST(Domain, DivideIsIndexArithmetic) {
  ForEachSmall([](const Layout& l) {
    for (int d = 0; d < 2; ++d) {
      for (int64_t tile = 1; tile <= 4; ++tile) {
        Expected<Layout> r = l.Divide(d, tile);
        EXPECT_TRUE(r.ok() || (d == 1 && l.extent(1) % tile)) << l.Text();
        if (!r.ok()) continue;
        std::map<Point, Places> want;
        for (auto& [x, places] : MeaningOf(l, {kAddr})) {
          Point p = x;
          p[size_t(d)] /= tile;
          p.insert(p.begin() + d + 1, x[size_t(d)] % tile);
          want[p] = places;
        }
        EXPECT_EQ(MeaningOf(*r, {kAddr}), want) << l.Text() << " " << d << " " << tile;
      }
    }
  });
}

TEST(Domain, PermuteBroadcastRepeatAreIndexArithmetic) {
  ForEachSmall([](const Layout& l) {
    int swap[] = {1, 0};
    std::map<Point, Places> permuted, wider, repeated, meaning = MeaningOf(l, {kAddr});
    for (auto& [x, places] : meaning) {
      permuted[{x[1], x[0]}] = places;
      for (int64_t i = 0; i < 3; ++i) {
        wider[{x[0], i, x[1]}] = places;
        for (const auto& place : places)
          repeated[{x[0] + i * l.extent(0), x[1]}].insert({place[0] + 100 * i});
      }
    }
    EXPECT_EQ(MeaningOf(*l.Permute(swap), {kAddr}), permuted) << l.Text();
    EXPECT_EQ(MeaningOf(*l.Broadcast(1, 3), {kAddr}), wider) << l.Text();
    Expected<Layout> r = l.Repeat(0, 3, Strides(kAddr, 100));
    if (!r.ok()) return;
    EXPECT_EQ(MeaningOf(*r, {kAddr}), repeated) << l.Text();
  });
}

TEST(Domain, ReshapeIsRowMajor) {
  int64_t reshaped = 0;
  ForEachSmall([&](const Layout& l) {
    for (std::vector<int64_t> shape :
         {std::vector<int64_t>{l.Size()}, {l.extent(1), l.extent(0)}, {2, l.Size() / 2}}) {
      Expected<Layout> r = l.Reshape(shape);
      if (!r.ok()) continue;
      ++reshaped;
      std::map<Point, Places> want;
      for (auto& [x, places] : MeaningOf(l, {kAddr})) {
        int64_t y = x[0] * l.extent(1) + x[1];
        Point p(shape.size());
        for (size_t d = shape.size(); d-- > 0;) {
          p[d] = y % shape[d];
          y /= shape[d];
        }
        want[p] = places;
      }
      EXPECT_EQ(MeaningOf(*r, {kAddr}), want) << l.Text();
      EXPECT_TRUE(r->Reshape(l.shape())->Equals(l)) << l.Text();
    }
  });
  EXPECT_GT(reshaped, 500);
  EXPECT_EQ(Layout::Literal("16,16 | 8:4t 2:2s | 2:1s 4:1t 2:4s").Reshape(Shape{4, 64})->Text(),
            "4,64 | 2:16t 2:2s | 2:1s 4:1t 2:4s 4:4t");
  EXPECT_EQ(Layout::Literal("2,300 | 2:3s | 128:1t 3:1s").Reshape(Shape{2, 3, 100})->Text(),
            "2,3,100 | 2:3s | *2 128:1t 3:1s");
  EXPECT_EQ(Layout::Literal("2,300 | 2:3s | 128:1t 3:1s").Reshape(Shape{600}).reason(),
            "dims (1) are padded");
}

TEST(Domain, SliceIsExactOrRefuses) {
  int64_t exact = 0;
  ForEachSmall([&](const Layout& l) {
    for (int d = 0; d < 2; ++d) {
      for (int64_t start = 0; start < l.extent(d); ++start) {
        for (int64_t size = 1; start + size <= l.extent(d); ++size) {
          Expected<Layout> r = l.Slice(d, start, size);
          if (!r.ok()) continue;
          ++exact;
          std::map<Point, Places> want;
          for (auto& [x, places] : MeaningOf(l, {kAddr})) {
            Point p = x;
            p[size_t(d)] -= start;
            if (p[size_t(d)] >= 0 && p[size_t(d)] < size) want[p] = places;
          }
          EXPECT_EQ(MeaningOf(*r, {kAddr}), want) << l.Text() << " " << d << " " << start;
        }
      }
    }
  });
  EXPECT_GT(exact, 1000);
}

TEST(Domain, RecastRefusesWhatSplitsAUnit) {
  EXPECT_FALSE(Layout::Literal("4,8 | 4:8a | 8:1a").Recast(0, -2).ok());
  EXPECT_EQ(Layout::Literal("4,257 | 4:257a | 257:1a").Recast(1, -2).reason(),
            "2 neighbours along dim 1 are not one aligned unit");
  EXPECT_FALSE(Layout::Literal("8,8 | 8:4t | 2:4s 4:1t").Recast(1, -2, kSlot).ok());
  Layout l = Layout::Literal("8,64 | 8:64a | 64:1a | swz 3,3,3");
  EXPECT_EQ(l.Recast(1, -2)->Text(), "8,32 | 8:32a | 32:1a | swz 3,2,3");
  EXPECT_TRUE(l.Recast(1, -2)->Recast(1, 2)->Equals(l));
}

TEST(Domain, FreeDigitsCompleteABijection) {
  int64_t completed = 0;
  ForEachLayout({6}, StridesOn(kThread, {1, 2, 3, 4, 6}), [&](const Layout& l) {
    if (!l.Injective()) return;
    Expected<ModeList> free = l.Free(kThread, 24);
    if (!free.ok() || l.Extent(kThread) > 24) return;
    Expected<Layout> full = l.WithReplicas(*free);
    ASSERT_TRUE(full.ok());
    EXPECT_TRUE(full->Injective()) << full->Text();
    ++completed;
  });
  EXPECT_GT(completed, 5);
}

TEST(Domain, RefusesBadArguments) {
  Layout l = Layout::Literal("4,6 | 4:6a | 6:1a");
  int twice[] = {0, 0}, outside[] = {0, 2};
  EXPECT_EQ(l.Permute(twice).reason(), "a permutation names dim 0 twice");
  EXPECT_EQ(l.Permute(outside).reason(), "dim 2 of a layout of rank 2");
  EXPECT_EQ(l.Divide(2, 2).reason(), "dim 2 of a layout of rank 2");
  EXPECT_EQ(l.Divide(0, 0).reason(), "a tile of 0");
  EXPECT_EQ(l.Slice(0, 2, 3).reason(), "region [2, 5) of a dim of 4");
  EXPECT_EQ(l.Reshape(Shape{5, 5}).reason(), "a reshape keeps the number of elements: 24 to 25");
  EXPECT_EQ(l.Repeat(0, 0, {}).reason(), "a repeat of 0");
}

// -- tables
// -------------------------------------------------------------------------------------------

TEST(Tables, AnswerTheSameQuestions) {
  ForEachLayout({2, 3}, StridesOn(kAddr, {0, 1, 2}), [](const Layout& l) {
    Table t = *Table::FromLayout(l);
    int swap[] = {1, 0};
    EXPECT_EQ(t.Injective(), l.Injective());
    EXPECT_TRUE(t.Permute(swap)->Equals(*Table::FromLayout(*l.Permute(swap))));
    EXPECT_TRUE(t.Divide(0, 2)->Equals(*Table::FromLayout(*l.Divide(0, 2))));
    EXPECT_TRUE(t.Broadcast(1, 2)->Equals(*Table::FromLayout(*l.Broadcast(1, 2))));
    EXPECT_EQ(Table::Parse(t.Text())->Text(), t.Text());
    Expected<Layout> drop = l.Drop(1, 2);
    if (!drop.ok()) return;
    EXPECT_TRUE(t.Drop(1, 2)->Equals(*Table::FromLayout(*drop)));
  });
}

TEST(Tables, RefuseDamagedText) {
  EXPECT_EQ(Table::Parse("2 | table 1 | a 0 1").ok(), true);
  EXPECT_EQ(Table::Parse("2 | table 1 | a 0").reason(),
            "expected 2 values of an axis in a table, got 1");
  EXPECT_EQ(Table::Parse("2 | table 1 | x 0 1").reason(),
            "expected an axis (a t s c r l q) in a table, got \"x\"");
  EXPECT_EQ(Table::Parse("2 | table 1 | a 0 b").reason(),
            "expected a number in a table, got \"b\"");
  EXPECT_FALSE(Table::Parse("9999999 | table 1 | a 0").ok());
  EXPECT_FALSE(Table::FromLayout(Layout::Literal("2097152 | 2097152:1a")).ok());
}

// -- sampling
// -----------------------------------------------------------------------------------------

TEST(Sampling, FindsTheDigitsOfEverySystem) {
  ForEachLayout({2, 3}, StridesOn(kAddr, {0, 1, 2, 5}), [](const Layout& l) {
    AxisSamples samples{kAddr, {}};
    for (const Point& x : PointsOf(l)) samples.values.push_back(l.At(kAddr, x));
    Expected<AnyLayout> found = FromValues(l.shape(), {&samples, 1});
    ASSERT_TRUE(found.ok() && std::holds_alternative<Layout>(*found)) << l.Text();
    EXPECT_TRUE(std::get<Layout>(*found).Identical(l.Normal())) << l.Text();
  });
}

TEST(Sampling, RecognisesSwizzlesAndFallsBackToTables) {
  auto sample = [](int64_t rows, int64_t cols, auto&& f) {
    std::vector<std::vector<int64_t>> outputs;
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < cols; ++j) {
        std::vector<int64_t> v = f(i, j);
        outputs.resize(v.size());
        for (size_t k = 0; k < v.size(); ++k) outputs[k].push_back(v[k]);
      }
    }
    Axis axes[] = {kAddr};
    return TextOf(*FromSamples(Shape{rows, cols}, axes, outputs));
  };
  using V = std::vector<int64_t>;
  EXPECT_EQ(sample(64, 128,
                   [](int64_t i, int64_t j) {
                     return V{j / 64, i / 8, ((j / 8 % 8) ^ (i % 8)) * 8 + j % 8 + 64 * (i % 8)};
                   }),
            "64,128 | 64:64a | 64:1a 2:4096a | swz 3,3,3");
  EXPECT_EQ(
      sample(16, 16,
             [](int64_t i, int64_t j) { return V{4 * (j / 4) + ((j % 4) ^ (i % 4)) + 16 * i}; }),
      "16,16 | 16:16a | 16:1a | swz 2,0,4");
  EXPECT_EQ(sample(1, 5, [](int64_t, int64_t j) { return V{j * j}; }),
            "1,5 | table 1 | a 0 1 4 9 16");
}

}  // namespace
}  // namespace tilescale
