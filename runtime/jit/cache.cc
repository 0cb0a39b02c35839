// SPDX-License-Identifier: MIT
#include "runtime/cache.h"

#include "support/build_info.h"
#include "support/files.h"
#include "support/hash.h"
#include "support/knobs.h"

#include <atomic>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <set>

namespace tilescale::runtime {
namespace {

// A file is this line, the 64 digits of the content's SHA-256, a newline, the content.
constexpr std::string_view kHeader = "tilescale cache 1\n";
constexpr size_t kDigestLength = 64;
// A stage lives for milliseconds; what is older belongs to a process that was killed.
constexpr int64_t kStaleSeconds = 600;

struct Counters {
  std::atomic<int64_t> artifact_hits{0};
  std::atomic<int64_t> artifact_misses{0};
  std::atomic<int64_t> binary_hits{0};
  std::atomic<int64_t> binary_misses{0};
  std::atomic<int64_t> discarded{0};
};

Counters& Count() {
  static Counters counters;
  return counters;
}

std::atomic<WarningHandler> warning_handler{nullptr};

// The content of a cache file, or nothing if any byte of it is not what was written.
std::optional<std::string> Unseal(const std::string& file) {
  const size_t begin = kHeader.size() + kDigestLength + 1;
  if (file.size() < begin || !file.starts_with(kHeader) || file[begin - 1] != '\n') {
    return std::nullopt;
  }
  std::string content = file.substr(begin);
  if (Sha256Hex(content) != file.substr(kHeader.size(), kDigestLength)) return std::nullopt;
  return content;
}

std::string Seal(std::string_view content) {
  std::string file(kHeader);
  file += Sha256Hex(content) + "\n";
  file += content;
  return file;
}

// CompileResult as fields of "length newline bytes"; the digest of the file has been verified, so a
// malformed list is a fault of ours and is treated as a miss.
class Fields {
 public:
  static std::string Write(const CompileResult& result) {
    std::string out;
    Append(out, result.binary);
    Append(out, result.log);
    for (const KernelUsage& usage : result.usage) {
      Append(out, usage.entry);
      for (int32_t value : {usage.registers, usage.spill_store_bytes, usage.spill_load_bytes,
                            usage.stack_bytes, usage.static_shared_bytes}) {
        Append(out, std::to_string(value));
      }
    }
    return out;
  }

  static std::optional<CompileResult> Read(std::string_view in) {
    CompileResult result;
    if (!Take(in, &result.binary) || !Take(in, &result.log)) return std::nullopt;
    while (!in.empty()) {
      KernelUsage usage;
      if (!Take(in, &usage.entry)) return std::nullopt;
      for (int32_t* value : {&usage.registers, &usage.spill_store_bytes, &usage.spill_load_bytes,
                             &usage.stack_bytes, &usage.static_shared_bytes}) {
        std::string text;
        if (!Take(in, &text)) return std::nullopt;
        *value = static_cast<int32_t>(std::strtol(text.c_str(), nullptr, 10));
      }
      result.usage.push_back(std::move(usage));
    }
    return result;
  }

 private:
  static void Append(std::string& out, std::string_view field) {
    out += std::to_string(field.size()) + "\n";
    out += field;
  }

  static bool Take(std::string_view& in, std::string* field) {
    const size_t newline = in.find('\n');
    if (newline == std::string_view::npos) return false;
    const size_t length = std::strtoull(std::string(in.substr(0, newline)).c_str(), nullptr, 10);
    in.remove_prefix(newline + 1);
    if (length > in.size()) return false;
    *field = in.substr(0, length);
    in.remove_prefix(length);
    return true;
  }
};

}  // namespace

std::string DiskCache::PathOf(const std::string& key) const {
  return folder_ + "/" + key.substr(0, 2) + "/" + key;
}

std::optional<std::string> DiskCache::Get(const std::string& key) const {
  if (folder_.empty()) return std::nullopt;
  const std::string path = PathOf(key);
  auto file = ReadFile(path);
  if (!file.ok()) return std::nullopt;
  std::optional<std::string> content = Unseal(*file);
  if (!content.has_value()) {
    Count().discarded.fetch_add(1, std::memory_order_relaxed);
    // On a disk that cannot be written it stays, and stays refused.
    (void)Remove(path);
  }
  return content;
}

void DiskCache::Put(const std::string& key, std::string_view content) const {
  if (folder_.empty()) return;
  const std::string path = PathOf(key);
  const std::string parent = ParentDir(path);
  auto written = MakeDirs(parent);
  if (written.ok()) {
    RemoveStaleStages(parent, kStaleSeconds);
    written = WriteFileAtomically(path, Seal(content));
  }
  if (written.ok()) return;
  const std::string& reason = written.reason();
  const size_t colon = reason.rfind(": ");
  WarnOnce(folder_,
           "the kernel cache folder '" + folder_ + "' cannot be written (" +
               (colon == std::string::npos ? reason : reason.substr(colon + 2)) +
               "): kernels are compiled anew in every process; set TILESCALE_CACHE_DIR to a folder "
               "that can be written, or TILESCALE_CACHE=0");
}

std::string CacheFolder() {
  if (!knobs::Cache()) return "";
  std::string folder = knobs::CacheDir();
  if (!folder.empty()) return folder;
  const std::string home = UserCacheDir();
  return home.empty() ? "" : home + "/tilescale";
}

CacheStats GetCacheStats() {
  const Counters& c = Count();
  return {c.artifact_hits.load(), c.artifact_misses.load(), c.binary_hits.load(),
          c.binary_misses.load(), c.discarded.load()};
}

std::string ArtifactKey(std::string_view program) {
  return Sha256()
      .AddField("artifact")
      .AddField(BuildId())
      .AddField(knobs::CacheKeyText())
      .AddField(program)
      .HexDigest();
}

CompileResult CompileCached(Device& device, const CompileRequest& request) {
  const DiskCache cache(CacheFolder());
  Sha256 hash;
  hash.AddField("binary").AddField(BuildId()).AddField(device.CompilerId());
  hash.AddField(request.arch).AddField(device.properties().arch).AddField(request.name);
  hash.AddField(request.source);
  for (const std::string& option : request.options) hash.AddField(option);
  const std::string key = hash.HexDigest();
  if (const auto content = cache.Get(key)) {
    if (auto result = Fields::Read(*content)) {
      Count().binary_hits.fetch_add(1, std::memory_order_relaxed);
      return *std::move(result);
    }
  }
  Count().binary_misses.fetch_add(1, std::memory_order_relaxed);
  CompileResult result = device.Compile(request);
  cache.Put(key, Fields::Write(result));
  return result;
}

std::optional<std::string> LoadArtifactBytes(const std::string& key) {
  auto content = DiskCache(CacheFolder()).Get(key);
  (content ? Count().artifact_hits : Count().artifact_misses)
      .fetch_add(1, std::memory_order_relaxed);
  return content;
}

void StoreArtifactBytes(const std::string& key, std::string_view bytes) {
  DiskCache(CacheFolder()).Put(key, bytes);
}

void WarnOnce(const std::string& subject, const std::string& text) {
  static std::mutex mutex;
  static std::set<std::string> said;
  {
    const std::lock_guard lock(mutex);
    if (!said.insert(subject).second) return;
  }
  if (const WarningHandler handler = warning_handler.load()) {
    handler(text);
  } else {
    std::fprintf(stderr, "tilescale: warning: %s\n", text.c_str());
  }
}

void SetWarningHandler(WarningHandler handler) {
  warning_handler.store(handler);
}

}  // namespace tilescale::runtime
