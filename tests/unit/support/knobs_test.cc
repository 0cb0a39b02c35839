// SPDX-License-Identifier: MIT
#include "support/knobs.h"

#include "support/build_info.h"
#include "support/diagnostics.h"

#include <cstdlib>
#include <gtest/gtest.h>
#include <string>

namespace tilescale {
namespace {

// Sets a variable for one test.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Variable() { unsetenv(name_); }

 private:
  const char* name_;
};

TEST(Knobs, ReadTheEnvironmentAtEachUse) {
  EXPECT_EQ(knobs::SimSeed(), 0);
  {
    const Variable seed("TILESCALE_SIM_SEED", "-17");
    EXPECT_EQ(knobs::SimSeed(), -17);
  }
  EXPECT_EQ(knobs::SimSeed(), 0);
  const Variable cache("TILESCALE_CACHE", "0");
  EXPECT_FALSE(knobs::Cache());
  const Variable dump("TILESCALE_DUMP", "out");
  EXPECT_EQ(knobs::Dump(), "out");
}

TEST(Knobs, EmptyIsUnset) {
  const Variable cache("TILESCALE_CACHE", "");
  EXPECT_TRUE(knobs::Cache());
}

TEST(Knobs, MalformedValuesAreUserErrors) {
  auto text = [](auto read) -> std::string {
    try {
      read();
    } catch (const Diag& diag) {
      return diag.type() + ": " + diag.what();
    }
    return "";
  };
  const Variable cache("TILESCALE_CACHE", "yes");
  EXPECT_EQ(text(knobs::Cache), "ValueError: TILESCALE_CACHE: expected 0 or 1, got 'yes'");
  const Variable seed("TILESCALE_SIM_SEED", "12x");
  EXPECT_EQ(text(knobs::SimSeed), "ValueError: TILESCALE_SIM_SEED: expected an integer, got '12x'");
}

TEST(Knobs, OnlyWhatChangesCodeIsInTheCacheKey) {
  EXPECT_EQ(knobs::CacheKeyText(), "");
  const Variable seed("TILESCALE_SIM_SEED", "3");
  EXPECT_EQ(knobs::CacheKeyText(), "");
  const Variable comments("TILESCALE_SOURCE_COMMENTS", "1");
  EXPECT_EQ(knobs::CacheKeyText(), "TILESCALE_SOURCE_COMMENTS=1\n");
}

TEST(Knobs, TheTableIsComplete) {
  const Variable seed("TILESCALE_SIM_SEED", "5");
  bool found = false;
  for (const knobs::KnobInfo& knob : knobs::All()) {
    EXPECT_TRUE(knob.variable.starts_with("TILESCALE_"));
    EXPECT_FALSE(knob.doc.empty());
    if (knob.variable != "TILESCALE_SIM_SEED") continue;
    found = true;
    EXPECT_EQ(knob.type, "int");
    EXPECT_EQ(knob.fallback, "0");
    EXPECT_EQ(knob.value, "5");
    EXPECT_FALSE(knob.affects_code);
  }
  EXPECT_TRUE(found);
}

TEST(BuildInfo, HasAVersionAndALinkersHash) {
  EXPECT_FALSE(Version().empty());
  EXPECT_EQ(BuildId().size(), 40u);
  EXPECT_EQ(BuildId().find_first_not_of("0123456789abcdef"), std::string::npos);
}

}  // namespace
}  // namespace tilescale
