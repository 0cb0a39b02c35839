// SPDX-License-Identifier: MIT
#include "support/diagnostics.h"

#include "support/files.h"

#include <gtest/gtest.h>
#include <string>

namespace tilescale {
namespace {

template <class F>
std::string TextOf(F f) {
  try {
    f();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(Diag, PrintsLocationSourceLineCaretAndHelp) {
  const TempDir dir("ts-diag-");
  const std::string file = dir.path() + "/k.py";
  ASSERT_TRUE(WriteFileAtomically(file, "def k():\n    T.gemm(A, B, C)\n").ok());
  const std::string text = TextOf([&] {
    throw Diag({file, 2, 12}, "ValueError")
        << "gemm: k must be positive, got " << 0 << Help("pass k >= 1");
  });
  EXPECT_EQ(text, file +
                      ":2: gemm: k must be positive, got 0\n"
                      "    T.gemm(A, B, C)\n"
                      "           ^\n"
                      "help: pass k >= 1");
}

TEST(Diag, WithoutColumnPointsAtTheStatement) {
  const TempDir dir("ts-diag-");
  const std::string file = dir.path() + "/k.py";
  ASSERT_TRUE(WriteFileAtomically(file, "\tT.clear(C)").ok());
  EXPECT_EQ(TextOf([&] { throw Diag({file, 1, 0}) << "x"; }),
            file + ":1: x\n    T.clear(C)\n    ^");
}

TEST(Diag, LeavesOutWhatItDoesNotKnow) {
  EXPECT_EQ(TextOf([] { throw Diag() << "no file"; }), "no file");
  EXPECT_EQ(TextOf([] { throw Diag({"<cell>", 3, 1}) << "no text"; }), "<cell>:3: no text");
  EXPECT_EQ(TextOf([] { throw Diag({"<cell>"}) << "no line"; }), "<cell>: no line");
}

TEST(Diag, CarriesTypeMessageAndHelpApart) {
  try {
    throw Diag({"a.py", 7, 0}, "TypeError") << "a" << 1 << Help("b");
  } catch (const Diag& diag) {
    EXPECT_EQ(diag.type(), "TypeError");
    EXPECT_EQ(diag.where().line, 7);
    EXPECT_EQ(diag.message(), "a1");
    EXPECT_EQ(diag.help(), "b");
  }
  EXPECT_EQ(Diag().type(), "CompileError");
}

TEST(Check, PassesSilentlyAndEvaluatesItsConditionOnce) {
  int count = 0;
  TS_CHECK(++count == 1) << "not " << count;
  EXPECT_EQ(count, 1);
}

TEST(Check, DoesNotCaptureAnElse) {
  bool taken = false;
  if (false)
    TS_CHECK(true) << "unused";
  else
    taken = true;
  EXPECT_TRUE(taken);
}

TEST(Check, NamesOurLineConditionAndMessage) {
  const int line = __LINE__ + 1;
  EXPECT_EQ(TextOf([] { TS_CHECK(1 > 2) << "one is " << 1; }),
            "tests/unit/support/diagnostics_test.cc:" + std::to_string(line) +
                ": check failed: 1 > 2: one is 1\n"
                "this is a fault of tilescale, not of your program");
  EXPECT_THROW(TS_CHECK(false) << "x", InternalError);
}

TEST(Check, UnreachableEndsAFunction) {
  auto f = [](int kind) -> int {
    if (kind == 0) return 1;
    TS_UNREACHABLE("kind " << kind);
  };
  EXPECT_EQ(f(0), 1);
  EXPECT_NE(TextOf([&] { f(3); }).find(": kind 3\n"), std::string::npos);
}

TEST(Replay, InnermostWriterIsAskedAndNamed) {
  std::string seen;
  const ReplayScope outer([](const std::string&) { return std::string("outer.zip"); });
  {
    const ReplayScope inner([&](const std::string& message) {
      seen = message;
      return std::string("inner.zip");
    });
    const std::string text = TextOf([] { TS_CHECK(false) << "m"; });
    EXPECT_TRUE(text.ends_with("; please report it with the file inner.zip")) << text;
    EXPECT_TRUE(seen.ends_with("check failed: false: m")) << seen;
  }
  const std::string text = TextOf([] { TS_CHECK(false) << "m"; });
  EXPECT_TRUE(text.ends_with("; please report it with the file outer.zip")) << text;
}

TEST(Replay, AFailureInsideTheWriterDoesNotRecurse) {
  int calls = 0;
  const ReplayScope scope([&](const std::string&) {
    ++calls;
    try {
      TS_CHECK(false) << "second";
    } catch (const InternalError&) {
      return std::string("partial.zip");
    }
    return std::string();
  });
  EXPECT_TRUE(TextOf([] { TS_CHECK(false) << "first"; }).ends_with("partial.zip"));
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace tilescale
