// SPDX-License-Identifier: MIT
#include "support/files.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <set>
#include <signal.h>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace tilescale {
namespace {

std::vector<std::string> Names(const std::string& folder) {
  return *ListDir(folder);
}

TEST(Files, WritesReadsAndReplaces) {
  const TempDir dir("ts-files-");
  const std::string path = dir.path() + "/a";
  const std::string bytes("zero\0inside", 11);
  ASSERT_TRUE(WriteFileAtomically(path, bytes).ok());
  EXPECT_EQ(*ReadFile(path), bytes);
  ASSERT_TRUE(WriteFileAtomically(path, std::string(300000, 'x')).ok());
  EXPECT_EQ(*ReadFile(path), std::string(300000, 'x'));
  EXPECT_EQ(Names(dir.path()), std::vector<std::string>{"a"});
}

TEST(Files, NamesWhatFails) {
  const TempDir dir("ts-files-");
  const std::string missing = dir.path() + "/no/file";
  EXPECT_EQ(ReadFile(missing).reason(), "cannot read '" + missing + "': no such file or directory");
  EXPECT_EQ(ReadFile("/dev/zero").reason(), "cannot read '/dev/zero': invalid argument");
  EXPECT_EQ(ReadFile("/").reason(), "cannot read '/': is a directory");
  EXPECT_EQ(WriteFileAtomically(missing, "x").reason(),
            "cannot write '" + missing + "': no such file or directory");
  ASSERT_TRUE(WriteFileAtomically(dir.path() + "/f", "x").ok());
  EXPECT_EQ(MakeDirs(dir.path() + "/f").reason(),
            "cannot make folder '" + dir.path() + "/f': not a directory");
  EXPECT_EQ(MakeDirs(dir.path() + "/f/g").reason(),
            "cannot make folder '" + dir.path() + "/f/g': not a directory");
}

TEST(Files, AFailedWriteLeavesTheOldContentAndNoStage) {
  const TempDir dir("ts-files-");
  const std::string path = dir.path() + "/a";
  ASSERT_TRUE(WriteFileAtomically(path, "before").ok());
  // A limit on file size stands in for a full disk: write() fails after some bytes.
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{4096, 4096};
    setrlimit(RLIMIT_FSIZE, &limit);
    const auto result = WriteFileAtomically(path, std::string(100000, 'y'));
    _exit(!result.ok() && result.reason() == "cannot write '" + path + "': file too large" ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(*ReadFile(path), "before");
  EXPECT_EQ(Names(dir.path()), std::vector<std::string>{"a"});
}

TEST(Files, SixteenProcessesNeverShowAPartialFile) {
  const TempDir dir("ts-files-");
  const std::string path = dir.path() + "/shared";
  ASSERT_TRUE(WriteFileAtomically(path, std::string(50000, 'a')).ok());
  std::vector<pid_t> children;
  for (int p = 0; p < 16; ++p) {
    const pid_t child = fork();
    if (child == 0) {
      bool good = true;
      for (int i = 0; i < 20 && good; ++i) {
        good = WriteFileAtomically(path, std::string(50000, static_cast<char>('a' + p))).ok();
        const auto content = ReadFile(path);
        good = good && content.ok() && content->size() == 50000 &&
               content->find_first_not_of((*content)[0]) == std::string::npos;
      }
      _exit(good ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(Names(dir.path()), std::vector<std::string>{"shared"});
}

TEST(Files, AKilledWriterHarmsNothingAndItsStageIsRemoved) {
  const TempDir dir("ts-files-");
  const std::string path = dir.path() + "/a";
  ASSERT_TRUE(WriteFileAtomically(path, "whole").ok());
  for (int round = 0; round < 10; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      for (;;) (void)WriteFileAtomically(path, "whole");
    }
    usleep(3000);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    EXPECT_EQ(*ReadFile(path), "whole");
  }
  const std::string stage = StageName(path);
  ASSERT_TRUE(WriteFileAtomically(stage, "left behind").ok());
  EXPECT_EQ(RemoveStaleStages(dir.path(), 3600), 0);
  EXPECT_GE(RemoveStaleStages(dir.path(), 0), 1);
  EXPECT_EQ(Names(dir.path()), std::vector<std::string>{"a"});
}

TEST(Files, StageNamesDiffer) {
  std::set<std::string> names;
  for (int i = 0; i < 1000; ++i) names.insert(StageName("d/x"));
  EXPECT_EQ(names.size(), 1000u);
  EXPECT_TRUE(names.begin()->starts_with("d/.stage-"));
}

TEST(Files, PublishingAFolderKeepsTheFirst) {
  const TempDir dir("ts-files-");
  for (const std::string name : {"one", "two"}) {
    ASSERT_TRUE(MakeDirs(dir.path() + "/" + name).ok());
    ASSERT_TRUE(WriteFileAtomically(dir.path() + "/" + name + "/f", name).ok());
  }
  const std::string entry = dir.path() + "/entry";
  EXPECT_TRUE(Publish(dir.path() + "/one", entry).ok());
  EXPECT_TRUE(Publish(dir.path() + "/two", entry).ok());
  EXPECT_EQ(*ReadFile(entry + "/f"), "one");
  EXPECT_EQ(Names(dir.path()), std::vector<std::string>{"entry"});
}

TEST(Files, ListsSortedAndRemovesTrees) {
  const TempDir dir("ts-files-");
  ASSERT_TRUE(MakeDirs(dir.path() + "/b/c/d").ok());
  ASSERT_TRUE(WriteFileAtomically(dir.path() + "/a", "").ok());
  EXPECT_EQ(Names(dir.path()), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(IsDir(dir.path() + "/b"));
  EXPECT_FALSE(IsFile(dir.path() + "/b"));
  EXPECT_TRUE(IsFile(dir.path() + "/a"));
  EXPECT_TRUE(Remove(dir.path() + "/b").ok());
  EXPECT_TRUE(Remove(dir.path() + "/b").ok());
  EXPECT_EQ(Names(dir.path()), std::vector<std::string>{"a"});
  EXPECT_TRUE(Names(dir.path() + "/none").empty());
}

TEST(Files, ParentDir) {
  EXPECT_EQ(ParentDir("a/b/c"), "a/b");
  EXPECT_EQ(ParentDir("c"), ".");
  EXPECT_EQ(ParentDir("/c"), "/");
}

TEST(Files, TempDirGoesAwayWithItsOwner) {
  std::string path;
  {
    const TempDir dir("ts-files-");
    path = dir.path();
    ASSERT_TRUE(WriteFileAtomically(path + "/x", "x").ok());
  }
  EXPECT_FALSE(IsDir(path));
}

}  // namespace
}  // namespace tilescale
