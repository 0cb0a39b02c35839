// SPDX-License-Identifier: MIT
// The solver through its structs. Worked examples and the comparison with the reference solver are
// in tests/layout/test_solver.py.
#include "compiler/layout/solver.h"

#include "compiler/layout/block.h"

#include <gtest/gtest.h>

namespace tilescale::solver {
namespace {

const Layout kMmaC = Layout::Literal("16,8 | 8:4t 2:2s | 2:1s 4:1t");

Program BiasProgram() {
  Program p;
  p.threads = 128;
  p.fragments = {{"C", {128, 128}, 32}, {"b", {128}, 32}};
  p.ops.push_back(Anchor{0, *MakeBlockC(kMmaC, 128, 128, {2, 2}), "T.gemm"});
  Nest bias;
  bias.name = "bias";
  bias.shape = {128};
  bias.writes = {{1, {Var(0)}}};
  bias.memory = {{"ld bias", MemorySpace::kGlobal, RowMajor(Shape{128}), 32}};
  p.ops.push_back(bias);
  Nest add;
  add.name = "add";
  add.shape = {128, 128};
  add.reads = {{0, {Var(0), Var(1)}}, {1, {Var(1)}}};
  add.writes = {{0, {Var(0), Var(1)}}};
  p.ops.push_back(add);
  return p;
}

TEST(Solver, FollowsAnAnchorByProjection) {
  Program p = BiasProgram();
  Expected<Solution> s = Solve(p);
  ASSERT_TRUE(s.ok()) << s.reason();
  EXPECT_EQ(s->fragments[0].layout.Text(),
            "128,128 | 8:4t 2:2s 4:32s 2:32t | 2:1s 4:1t 8:4s 2:64t");
  EXPECT_EQ(s->fragments[1].layout.Text(), "128 | 2:1s 4:1t 8:2s 2:64t | rep 16:4t");
  EXPECT_EQ(s->fragments[0].why, "anchor: T.gemm");
  EXPECT_TRUE(s->nests[1].has_value());
  EXPECT_FALSE(s->nests[0].has_value());
  EXPECT_TRUE(s->converts.empty());
  EXPECT_EQ(ExplainText(p, *s, true), ExplainText(p, *Solve(p), true));
}

TEST(Solver, WeightsScaleWithTheLoop) {
  Program p = BiasProgram();
  Expected<Solution> once = Solve(p);
  std::get<Nest>(p.ops[2]).weight = 10;
  Expected<Solution> often = Solve(p);
  EXPECT_GT(often->cost, once->cost);
  EXPECT_TRUE(often->fragments[1].layout.Identical(once->fragments[1].layout));
}

TEST(Solver, CandidatesCoverAnyExtent) {
  for (int64_t threads : {32, 96, 128, 160}) {
    for (int64_t rows : {1, 3, 8}) {
      for (int64_t cols : {1, 5, 20, 257, 300}) {
        for (bool reduced : {false, true}) {
          int64_t shape[] = {rows, cols};
          int fast[] = {1};
          std::vector<Candidate> all = Candidates(shape, threads, 32, fast, reduced);
          int planned = 0;
          for (const Candidate& c : all) {
            EXPECT_TRUE(c.layout.Injective()) << c.layout.Text();
            EXPECT_LE(c.layout.Extent(kThread), threads) << c.layout.Text();
            EXPECT_EQ(c.layout.NumPoints(), rows * cols);
            // Never flattened: some candidate has a plan.
            EXPECT_TRUE(!reduced || c.layout.group_of(1).Is(1)) << c.layout.Text();
            planned += PlanReduce(c.layout, 1).ok();
          }
          EXPECT_GT(planned, 0) << rows << "x" << cols << " on " << threads;
        }
      }
    }
  }
}

TEST(Solver, PullAndPush) {
  Layout nest = Layout::Literal("64,64 | 64:2t | 16:1s 2:1t 2:16s");
  int64_t half[] = {64, 32}, row[] = {64}, tile[] = {64, 64};
  EXPECT_EQ(Pull(nest, {Var(0), Var(1, 2)}, half)->Text(), "64,32 | 64:2t | 8:1s 2:1t 2:8s");
  EXPECT_EQ(Pull(nest, {Var(0)}, row)->Text(), "64 | 64:2t | rep 2:1t");
  EXPECT_EQ(Pull(nest, {Var(0), Var(0)}, tile).reason(), "loop variable 0 indexes two dims");
  EXPECT_EQ(Push(Layout::Literal("64 | 64:1t"), {Var(1)}, tile)->Text(), "64,64 | 64:1s | 64:1t");
  EXPECT_EQ(Push(nest, {Var(0), Var(1, 2)}, tile).reason(), "divided index");
  EXPECT_EQ(Replicated(Shape{2, 3}, 64)->Text(), "2,3 | 2:3s | 3:1s | rep 64:1t");
}

TEST(Solver, FamilyOptionsFollowTheMask) {
  int64_t shape[] = {64, 64};
  auto names = [&](int64_t mask) {
    std::string out;
    for (const FamilyOption& o : FamilyOptions(shape, 16, mask)) out += o.name + ";";
    return out;
  };
  EXPECT_EQ(names(~int64_t(0)),
            "linear;swizzle 128;swizzle 64;swizzle 32;pad 8;pad 2;interleaved;");
  EXPECT_EQ(names(1 << int(FamilyKind::kSwizzle64)), "swizzle 64;");
  int64_t odd[] = {3, 5};
  EXPECT_EQ(FamilyOptions(odd, 16, ~int64_t(0)).size(), 3u);  // linear and padded
}

TEST(Solver, ABufferThatNoFamilySuitsIsRefused) {
  Program p;
  p.buffers = {{"S", {{"pad 1", Layout::Literal("64,64 | 64:65a | 64:1a")}}}};
  p.ops.push_back(MatrixReads{0, 16, 0, 1, 1});
  EXPECT_EQ(Solve(p).reason(), "no family of S suits all its users");
}

TEST(Solver, AnEmptyProgramHasAnAnswer) {
  Expected<Solution> s = Solve(Program{});
  ASSERT_TRUE(s.ok());
  EXPECT_EQ(s->cost, 0);
}

}  // namespace
}  // namespace tilescale::solver
