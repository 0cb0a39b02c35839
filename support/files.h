// SPDX-License-Identifier: MIT
// Files that many processes share. A reader sees a whole file or none: writers stage beside the
// target and rename. A killed writer leaves at most a stage, which RemoveStaleStages takes away.
//
// No function here raises for what a disk may do (missing, full, read-only): it returns the reason.
#pragma once

#include "support/expected.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tilescale {

// Success without a value.
struct Done {};

// Whole content, or the reason: "cannot read 'x': no such file or directory".
Expected<std::string> ReadFile(const std::string& path);

// Makes `path` hold exactly `bytes`, replacing what was there; on failure `path` is untouched and
// nothing is left behind.
Expected<Done> WriteFileAtomically(const std::string& path, std::string_view bytes);

// Makes the folder and its parents; a folder that exists is fine.
Expected<Done> MakeDirs(const std::string& path);

// Names in a folder, sorted, without "." and ".."; a folder that does not exist is empty.
Expected<std::vector<std::string>> ListDir(const std::string& path);

// Removes a file, or a folder with all it holds; what does not exist is fine.
Expected<Done> Remove(const std::string& path);

// Publishes a staged file or folder under its final name. A folder that exists there stays, and the
// staged one is removed: whoever was first has won, with equal content.
Expected<Done> Publish(const std::string& stage, const std::string& path);

// A name beside `path` that no other process, on this or another machine, uses: ".stage-…".
std::string StageName(const std::string& path);

// Removes stages in `folder` older than `seconds`; returns how many.
int64_t RemoveStaleStages(const std::string& folder, int64_t seconds);

bool IsFile(const std::string& path);
bool IsDir(const std::string& path);

// "a/b/c" without its last part: "a/b"; "c" gives ".".
std::string ParentDir(const std::string& path);

// The user's cache folder by the XDG rules ("" when there is no home): ~/.cache.
std::string UserCacheDir();

// The system's folder for temporary files: TMPDIR, else "/tmp".
std::string SystemTempDir();

// A fresh folder, gone with its owner.
class TempDir {
 public:
  // Raises OSError when none can be made: without it the caller cannot go on.
  explicit TempDir(const std::string& prefix);
  ~TempDir();
  TempDir(TempDir&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  TempDir& operator=(TempDir&&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace tilescale
