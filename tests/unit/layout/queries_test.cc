// SPDX-License-Identifier: MIT
// Fragments against their definitions: containment, conversion, vector width, memory cost,
// reductions run on a register file.
#include "compiler/layout/queries.h"

#include "compiler/layout/memory.h"
#include "tests/unit/layout/laws.h"

#include <bit>

namespace tilescale {
namespace {

using testing::ForEachLayout;
using testing::MeaningOf;
using testing::Places;
using testing::Point;
using testing::StridesOn;

// Every assignment of the digits of every radix to threads and slots in order: bijections.
std::vector<Layout> FragmentsOf(int64_t n) {
  std::vector<Layout> out;
  for (const std::vector<int64_t>& radix : testing::RadicesOf(n)) {
    for (int mask = 0; mask < 1 << radix.size(); ++mask) {
      int64_t at[2] = {1, 1};
      ModeList modes;
      for (size_t i = 0; i < radix.size(); ++i) {
        int side = mask >> i & 1;
        modes.push_back(Mode{radix[i], Strides(side ? kSlot : kThread, at[side])});
        at[side] *= radix[i];
      }
      out.push_back(*LayoutBuilder(Shape{n}).AddDim(0, modes).Build());
    }
  }
  return out;
}

TEST(Containment, IsByDefinition) {
  std::vector<Layout> all = FragmentsOf(6);
  for (size_t i = 0; i < FragmentsOf(6).size(); ++i) {
    Mode rep{2, Strides(kThread, all[i].Extent(kThread))};
    all.push_back(*all[i].WithReplicas({&rep, 1}));
  }
  for (const Layout& a : all) {
    for (const Layout& b : all) {
      auto x = MeaningOf(a, {kThread}), y = MeaningOf(b, {kThread});
      bool want = true;
      for (auto& [p, places] : y) {
        for (const auto& place : places) want &= x[p].count(place) > 0;
      }
      EXPECT_EQ(Contains(a, b), want) << a.Text() << " and " << b.Text();
      ConversionKind kind = ConversionOf(a, b, 32)->kind;
      EXPECT_EQ(kind == ConversionKind::kSame || kind == ConversionKind::kMoves, want);
      EXPECT_NE(kind, ConversionKind::kShared);  // one warp
      EXPECT_FALSE(CertainlyCrossesWarps(a, b));
      EXPECT_EQ(*ConversionOf(AnyLayout(a), AnyLayout(*Table::FromLayout(b)), 32),
                *ConversionOf(a, b, 32));
    }
  }
}

TEST(Conversion, AcrossWarpsIsShared) {
  Layout a = Layout::Literal("64 | 64:1t"), b = Layout::Literal("64 | 2:32t 32:1t");
  EXPECT_TRUE(CertainlyCrossesWarps(a, b));
  EXPECT_EQ(*ConversionOf(a, b, 16), (Conversion{ConversionKind::kShared, 1, 128}));
  EXPECT_EQ(*ConversionOf(a, Layout::Literal("64 | 2:1t 32:2t"), 16), Conversion{});
}

// Exactly the widest legal access, for every fragment of 8, 6 and 5 elements and every memory.
TEST(VectorWidth, IsExact) {
  int64_t wide = 0;
  for (int64_t n : {8, 6, 5}) {
    for (const Layout& f : FragmentsOf(n)) {
      ForEachLayout({n}, StridesOn(kAddr, {1, 2, 4}), [&](const Layout& m) {
        for (int64_t off : {0, 2}) {
          Layout mem = m.WithOffset(Strides(kAddr, off));
          int64_t got = VectorWidth(f, mem, 32);
          EXPECT_EQ(got, VectorWidthByDefinition(AnyLayout(f), AnyLayout(mem), 4))
              << f.Text() << " and " << mem.Text();
          wide += got > 1;
        }
      });
    }
  }
  EXPECT_GT(wide, 100);
}

TEST(VectorWidth, OfKnownCases) {
  const std::tuple<const char*, const char*, int64_t> cases[] = {
      {"4,8 | 4:1t | 8:1s", "4,8 | 4:8a | 8:1a", 4},
      {"4,4 | 4:1t | 4:1s", "4,4 | 4:5a | 4:1a", 1},
      {"4,4 | 4:1t | 4:1s", "4,4 | 4:6a | 4:1a", 2},
      {"4 | 4:1s", "4 | 4:1a | off 2a", 2},
      {"4,8 | 4:1t | 8:1s", "4,8 | 4:8a | 8:1a | swz 1,1,2", 2},
      {"257 | 4:1s 32:1t 3:4s", "257 | 257:1a", 1},
      {"4,257 | *2 4:1s 96:1t 3:4s", "4,257 | *2 1028:1a", 4},
      {"300 | 4:1s 32:1t 3:4s", "300 | 300:1a", 4},
      {"8 | 8:2s", "8 | 8:1a", 1},
  };
  for (auto [f, m, want] : cases) {
    EXPECT_EQ(VectorWidth(Layout::Literal(f), Layout::Literal(m), 32), want) << f;
  }
  Layout f = Layout::Literal("64 | 16:1s 4:1t"), m = Layout::Literal("64 | 64:1a");
  EXPECT_EQ(VectorWidth(f, m, 8), 16);
  EXPECT_EQ(VectorWidth(f, m, 8, 64), 8);
  EXPECT_EQ(VectorWidth(f, m, 8, 128, 32), 4);  // the base is known to 4 bytes only
}

TEST(BankCycles, FollowTheRules) {
  auto lanes = [](int64_t step) {
    std::vector<int64_t> out;
    for (int64_t i = 0; i < 32; ++i) out.push_back(step * i);
    return out;
  };
  EXPECT_EQ(BankCycles(lanes(4), 4), 1);
  EXPECT_EQ(BankCycles(lanes(0), 4), 1);
  EXPECT_EQ(BankCycles(lanes(128), 4), 32);
  EXPECT_EQ(BankCycles(lanes(8), 4), 2);
  EXPECT_EQ(BankCycles(lanes(8), 8), 2);
  EXPECT_EQ(BankCycles(lanes(16), 16), 4);
  EXPECT_EQ(BankCycles(lanes(128), 16), 32);
  EXPECT_EQ(BankCycles(lanes(2), 2), 1);
  EXPECT_EQ(Sectors(lanes(16), 16), 16);
  EXPECT_EQ(Sectors(lanes(4096), 4), 32);
  EXPECT_EQ(Sectors(lanes(4), 4, 128), 1);
  std::vector<int64_t> idle(32, kIdle);
  EXPECT_EQ(BankCycles(idle, 4), 0);
  EXPECT_EQ(Sectors(idle, 4), 0);
}

// The priced digits agree with pricing each access of the table.
TEST(MemoryCost, AgreesWithEnumeration) {
  const char* mems[] = {"64,128 | 64:128a | 128:1a", "64,128 | 64:64a | 64:1a 2:4096a | swz 3,3,3",
                        "64,128 | 64:136a | 128:1a", "64,128 | 64:1a | 128:64a"};
  const char* frags[] = {"64,128 | 8:16t 8:8s | 8:1s 16:1t", "64,128 | 16:8t 4:1s | 8:1t 16:4s",
                         "64,128 | 8:4t 2:2s 4:32t | 2:1s 4:1t 16:4s",
                         "64,128 | 8:16t 8:8s | 8:1s 16:1t | rep 2:128t"};
  for (const char* f : frags) {
    for (const char* m : mems) {
      Layout frag = Layout::Literal(f), mem = Layout::Literal(m);
      for (MemorySpace space : {MemorySpace::kGlobal, MemorySpace::kShared}) {
        MemoryCost fast = MemoryCostOf(frag, mem, 16, space);
        AnyLayout table = *Table::FromLayout(frag.WithoutReplicas());
        MemoryCost slow = MemoryCostOf(table, AnyLayout(mem), 16, space);
        EXPECT_EQ(fast, slow) << f << " and " << m;
      }
    }
  }
}

// Runs a plan on registers: every owner of a result ends with the whole sum.
void Simulate(const Layout& f, int dim, const ReducePlan& plan) {
  using Key = std::pair<Point, int64_t>;  // output, thread
  auto without = [&](Point x) {
    x.erase(x.begin() + dim);
    return x;
  };
  std::map<Key, int64_t> part;
  std::map<Point, int64_t> want;
  std::set<int64_t> threads;
  int64_t value = 1;
  for (auto& [x, places] : MeaningOf(f, {kThread, kSlot})) {
    want[without(x)] += value;
    for (const auto& place : places) part[{without(x), place[0]}] += value;
    value = value * 3 + 1;
    value &= 0xffff;
  }
  for (const ReduceStage& s : plan) {
    if (s.kind != StageKind::kLanes) continue;
    for (int64_t k = 1; k < s.n; k *= 2) {
      std::map<Key, int64_t> next;
      for (auto& [key, v] : part) {
        next[key] += v;
        next[{key.first, key.second ^ (k * s.stride)}] += v;
      }
      part = std::move(next);
    }
  }
  Layout result = *ReduceResult(f, dim);
  for (auto& [x, places] : MeaningOf(result, {kThread})) {
    for (const auto& place : places) {
      EXPECT_EQ((part[{x, place[0]}]), want[x]) << f.Text() << " over " << dim;
    }
  }
}

TEST(Reduction, PlansComputeTheSum) {
  int64_t planned = 0;
  std::vector<Strides> strides = StridesOn(kThread, {1, 2, 4, 8});
  strides.push_back(Strides(kSlot, 1));
  ForEachLayout({3, 4}, strides, [&](const Layout& f) {
    if (f.num_groups() != 2) return;
    // Distinct registers: slots are not modelled, so two digits may not share a stride of threads.
    Expected<Inverse> owners = Invert(f);
    if (!owners.ok()) return;
    for (int dim = 0; dim < 2; ++dim) {
      Expected<ReducePlan> plan = PlanReduce(f, dim);
      if (!plan.ok()) continue;
      ++planned;
      Simulate(f, dim, *plan);
    }
  });
  EXPECT_GT(planned, 20);
}

TEST(Reduction, ReadsTheDigits) {
  auto plan = [](const char* text, int dim) {
    std::string out;
    Expected<ReducePlan> p = PlanReduce(Layout::Literal(text), dim);
    if (!p.ok()) return p.reason();
    for (const ReduceStage& s : *p) {
      out += std::string(Name(s.kind)) + " " + std::to_string(s.n) + " " +
             std::to_string(s.stride) + ";";
    }
    return out;
  };
  EXPECT_EQ(plan("4,300 | 4:32t | 4:1s 32:1t 3:4s", 1), "slots 12 1;lanes 32 1;");
  EXPECT_EQ(plan("257 | 96:1t 3:1s", 0), "slots 3 1;lanes 32 1;warps 3 1;");
  EXPECT_EQ(plan("20 | 20:1t", 0), "lanes 32 1;");
  EXPECT_EQ(plan("64,8 | 64:8t | 8:1t", 0), "lanes 4 8;warps 16 1;");
  EXPECT_EQ(plan("4,257 | *2 96:1t 11:1s", 1),
            "dim 1 shares digits with dims (0,1): relayout before reducing");
  EXPECT_EQ(plan("3,8 | 3:1t | 8:3t", 1),
            "8 lanes 3 apart have no aligned power-of-two room: through shared memory");
  EXPECT_EQ(ReduceResult(Layout::Literal("20 | 20:1t | rep 4:32t"), 0)->Text(), " | rep 128:1t");
}

// -- shared families
// ----------------------------------------------------------------------------------

TEST(SharedFamilies, MakeTheirLayouts) {
  auto text = [](std::initializer_list<int64_t> shape, int bits, const char* family) {
    Expected<SharedFamily> f = ParseSharedFamily(family);
    if (!f.ok()) return f.reason();
    Expected<Layout> l = SharedLayout(Shape(shape), bits, *f);
    return l.ok() ? l->Normal().Text() : l.reason();
  };
  EXPECT_EQ(text({64, 128}, 16, "linear"), "64,128 | 64:128a | 128:1a");
  EXPECT_EQ(text({64, 128}, 16, "pad 8"), "64,128 | 64:136a | 128:1a");
  EXPECT_EQ(text({64, 128}, 16, "swizzle 128"), "64,128 | 64:64a | 64:1a 2:4096a | swz 3,3,3");
  EXPECT_EQ(text({3, 128, 32}, 16, "swizzle 64"),
            "3,128,32 | 3:4096a | 128:32a | 32:1a | swz 2,3,3");
  EXPECT_EQ(text({32, 64}, 16, "swizzle 64, transposed"), "32,64 | 32:1a | 64:32a | swz 2,3,3");
  EXPECT_EQ(text({64, 40}, 16, "swizzle 128"), "64x40 does not divide into 8x64 atoms");
  EXPECT_EQ(text({64, 64}, 16, "swizzle 16"),
            "expected linear, pad N, swizzle 32, swizzle 64, swizzle 128 or interleaved as a "
            "shared layout family, got \"swizzle 16\"");
  for (const char* family : {"linear", "pad 8", "swizzle 128", "interleaved, transposed"}) {
    EXPECT_EQ(ParseSharedFamily(family)->Text(), family);
  }
}

TEST(SharedFamilies, MatrixReads) {
  auto cycles = [](const char* text, int row_dim) {
    Expected<int64_t> c = MatrixReadCycles(Layout::Literal(text), 16, row_dim);
    return c.ok() ? std::to_string(*c) : c.reason();
  };
  EXPECT_EQ(cycles("16,64 | 16:64a | 64:1a", 0), "8");
  EXPECT_EQ(cycles("16,64 | 16:72a | 64:1a", 0), "1");
  EXPECT_EQ(cycles("16,64 | 16:64a | 64:1a | swz 3,3,3", 0), "1");
  EXPECT_EQ(cycles("16,32 | 16:32a | 32:1a | swz 2,3,3", 0), "1");
  EXPECT_EQ(cycles("3,16,64 | 3:1024a | 16:64a | 64:1a | swz 3,3,3", 1), "1");
  EXPECT_EQ(cycles("64,16 | 64:1a | 16:64a | swz 3,3,3", 1), "1");
  EXPECT_EQ(cycles("16,64 | *2 1024:1a", 0), "8");  // by table
  EXPECT_EQ(cycles("16,64 | 16:66a | 64:1a", 0), "rows are not 16-byte aligned");
  EXPECT_EQ(cycles("16,64 | 16:1a | 64:16a", 0), "a row of 16 bytes is not in one piece");
  EXPECT_EQ(cycles("12,64 | 12:64a | 64:1a", 0), "12x64 is not made of 8x8 matrices");
}

}  // namespace
}  // namespace tilescale
