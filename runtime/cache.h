// SPDX-License-Identifier: MIT
#pragma once

#include "runtime/device.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What is compiled once and kept on disk: artifacts by the key of their program, binaries by the
/// key of their text.
///
/// Any number of processes, also of several machines on a shared disk, may use one folder, and any
/// of them may be killed at any moment: a file is staged and renamed, carries the digest of its
/// content, and is removed and made anew when the digest is wrong. A folder that cannot be written
/// costs one warning that names it; everything works without it.
namespace tilescale::runtime {

/// Content by key; both are plain bytes.
class DiskCache {
 public:
  explicit DiskCache(std::string folder) : folder_(std::move(folder)) {}

  /// The content stored under `key` (hexadecimal digits), or nothing.
  std::optional<std::string> Get(const std::string& key) const;
  /// Keeps `content`; does nothing but warn once if the folder cannot be written.
  void Put(const std::string& key, std::string_view content) const;

  std::string PathOf(const std::string& key) const;

 private:
  std::string folder_;
};

/// The folder that the knobs name, "" if caching is off or there is no place for it.
std::string CacheFolder();

struct CacheStats {
  int64_t artifact_hits = 0;
  int64_t artifact_misses = 0;
  int64_t binary_hits = 0;
  int64_t binary_misses = 0;
  int64_t discarded = 0;  // files whose content was broken
};
CacheStats GetCacheStats();

/// The disk key of the artifact that `program` compiles to: the canonical text of the IR, its
/// target and options, with everything of ours that kernel text depends on (build id, knobs that
/// change code). Device headers and the device compiler are in the key of the binary.
std::string ArtifactKey(std::string_view program);

/// Device::Compile, through the disk cache.
CompileResult CompileCached(Device& device, const CompileRequest& request);

/// Artifact bytes by ArtifactKey, through the disk cache.
std::optional<std::string> LoadArtifactBytes(const std::string& key);
void StoreArtifactBytes(const std::string& key, std::string_view bytes);

/// Says something to the user, once per `subject`: to the handler, else to standard error.
void WarnOnce(const std::string& subject, const std::string& text);
using WarningHandler = void (*)(const std::string& text);
void SetWarningHandler(WarningHandler handler);

}  // namespace tilescale::runtime
