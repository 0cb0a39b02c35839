// SPDX-License-Identifier: MIT
#include "compiler/target/target.h"

#include "support/diagnostics.h"

#include <gtest/gtest.h>

namespace tilescale::target {
namespace {

TEST(ParseTarget, TakesEveryForm) {
  for (const char* text : {"cuda sm_80", "cuda:sm_80", "cuda -arch=sm_80", "cuda --arch=sm_80",
                           "sm_80", " sm_80  cuda ", "cuda arch=sm_80"}) {
    const Target target = ParseTarget(text);
    EXPECT_EQ(target.Text(), "cuda sm_80") << text;
    EXPECT_TRUE(target.arch_given);
  }
  EXPECT_EQ(ParseTarget("sim").Text(), "sim sm_90a");
  EXPECT_FALSE(ParseTarget("sim").arch_given);
  EXPECT_EQ(ParseTarget("sim:sm_89").kind, Kind::kSim);
  EXPECT_EQ(ParseTarget("sim sm_100").Text(), "sim sm_100a");
  EXPECT_EQ(ParseTarget(ParseTarget("cuda:sm_90").Text()).Text(), "cuda sm_90a");
}

std::string ErrorOf(const char* text) {
  try {
    ParseTarget(text);
  } catch (const Diag& error) {
    EXPECT_EQ(error.type(), "ValueError");
    return error.message();
  }
  return "";
}

TEST(ParseTarget, NamesWhatIsKnown) {
  EXPECT_EQ(
      ErrorOf("cuda sm_75"),
      "unknown target \"cuda sm_75\": \"sm_75\" is neither a kind (cuda, sim) nor an architecture"
      " (sm_80, sm_86, sm_89, sm_90a, sm_100a, sm_103a, sm_120a)");
  EXPECT_EQ(ErrorOf("sim cuda"), "target \"sim cuda\" names two kinds");
  EXPECT_EQ(ErrorOf("sm_80 sm_90"), "target \"sm_80 sm_90\" names two architectures");
  EXPECT_NE(ErrorOf(""), "");
}

// Limits that no row may break, and features that come with others.
TEST(Arch, RowsAreConsistent) {
  for (const Arch& arch : AllArchs()) {
    SCOPED_TRACE(arch.name);
    EXPECT_EQ(FindArch(arch.name), &arch);
    // The system keeps 1 KB of each block's share.
    EXPECT_EQ(arch.shared_per_sm - arch.shared_per_block, 1024);
    EXPECT_EQ(arch.threads_per_sm % kWarpSize, 0);
    EXPECT_GE(arch.threads_per_sm, kMaxThreadsPerBlock);
    EXPECT_FALSE(arch.has_wgmma && arch.has_tcgen05);
    EXPECT_TRUE(!arch.has_wgmma || arch.has_tma);
    EXPECT_TRUE(!arch.has_tma || (arch.has_bulk && arch.has_mbarrier));
    EXPECT_TRUE(!arch.has_fp8_mma || arch.has_fp8_cvt);
  }
  EXPECT_EQ(FindArch("sm_80")->shared_per_block, 163 * 1024);
  EXPECT_EQ(FindArch("sm_90")->shared_per_block, 227 * 1024);
  EXPECT_EQ(FindArch("sm_86")->warps_per_sm(), 48);
  EXPECT_TRUE(FindArch("sm_90a")->has_wgmma);
  EXPECT_FALSE(FindArch("sm_80")->has_fp8_cvt);
  EXPECT_TRUE(FindArch("sm_89")->has_fp8_mma);
  EXPECT_EQ(FindArch("sm_75"), nullptr);
}

}  // namespace
}  // namespace tilescale::target
