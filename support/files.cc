// SPDX-License-Identifier: MIT
#include "support/files.h"

#include "support/diagnostics.h"
#include "support/knobs.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <random>
#include <sys/random.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace tilescale {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStagePrefix = ".stage-";

// "cannot write 'x': no space left on device"
Refusal Failure(const char* verb, const std::string& path, int code) {
  std::string reason = std::generic_category().message(code);
  if (!reason.empty() && reason[0] >= 'A' && reason[0] <= 'Z') reason[0] += 'a' - 'A';
  return Refusal{std::string("cannot ") + verb + " '" + path + "': " + reason};
}

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }
  // Some file systems report a full disk only here.
  int Close() { return close(std::exchange(fd_, -1)) == 0 ? 0 : errno; }

 private:
  int fd_;
};

// Returns errno, or 0.
int WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return 0;
}

uint64_t RandomBits() {
  uint64_t bits = 0;
  if (getrandom(&bits, sizeof bits, 0) == sizeof bits) return bits;
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

}  // namespace

Expected<std::string> ReadFile(const std::string& path) {
  // A pipe would block, and a device may have no end: only files.
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return Failure("read", path, errno);
  struct stat info {};
  if (fstat(file.get(), &info) != 0) return Failure("read", path, errno);
  if (!S_ISREG(info.st_mode)) {
    return Failure("read", path, S_ISDIR(info.st_mode) ? EISDIR : EINVAL);
  }
  std::string content;
  char buffer[1 << 16];
  for (;;) {
    const ssize_t n = read(file.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Failure("read", path, errno);
    if (n == 0) return content;
    content.append(buffer, static_cast<size_t>(n));
  }
}

Expected<Done> WriteFileAtomically(const std::string& path, std::string_view bytes) {
  const std::string stage = StageName(path);
  FileDescriptor file(open(stage.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (file.get() < 0) return Failure("write", path, errno);
  int error = WriteAll(file.get(), bytes);
  const int close_error = file.Close();
  if (error == 0) error = close_error;
  if (error == 0 && rename(stage.c_str(), path.c_str()) != 0) error = errno;
  if (error == 0) return Done{};
  unlink(stage.c_str());
  return Failure("write", path, error);
}

Expected<Done> MakeDirs(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error && !IsDir(path)) error = std::make_error_code(std::errc::not_a_directory);
  if (error) return Failure("make folder", path, error.value());
  return Done{};
}

Expected<std::vector<std::string>> ListDir(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator entry(path, error);
  if (error == std::errc::no_such_file_or_directory) return names;
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  if (error) return Failure("list", path, error.value());
  std::sort(names.begin(), names.end());
  return names;
}

Expected<Done> Remove(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) return Failure("remove", path, error.value());
  return Done{};
}

Expected<Done> Publish(const std::string& stage, const std::string& path) {
  if (rename(stage.c_str(), path.c_str()) == 0) return Done{};
  const int error = errno;
  TS_TRY(const Done removed, Remove(stage));
  // A folder is not replaced unless it is empty: another process published first.
  if ((error == ENOTEMPTY || error == EEXIST) && IsDir(path)) return removed;
  return Failure("write", path, error);
}

std::string StageName(const std::string& path) {
  static std::atomic<uint64_t> count{0};
  char name[80];
  // The process id and count tell stages of this machine apart even where random bits repeat (a
  // forked child); the random bits tell machines on a shared disk apart.
  std::snprintf(name, sizeof name, "/%s%d-%llu-%016llx", kStagePrefix.data(), getpid(),
                static_cast<unsigned long long>(count.fetch_add(1)),
                static_cast<unsigned long long>(RandomBits()));
  return ParentDir(path) + name;
}

int64_t RemoveStaleStages(const std::string& folder, int64_t seconds) {
  const auto names = ListDir(folder);
  if (!names.ok()) return 0;
  int64_t removed = 0;
  for (const std::string& name : *names) {
    if (!name.starts_with(kStagePrefix)) continue;
    const std::string path = folder + "/" + name;
    struct stat info;
    if (stat(path.c_str(), &info) != 0 || std::time(nullptr) - info.st_mtime < seconds) continue;
    if (Remove(path).ok()) ++removed;
  }
  return removed;
}

bool IsFile(const std::string& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

bool IsDir(const std::string& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

std::string ParentDir(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string UserCacheDir() {
  std::string xdg = knobs::System("XDG_CACHE_HOME");
  if (!xdg.empty() && xdg[0] == '/') return xdg;
  const std::string home = knobs::System("HOME");
  return home.empty() ? "" : home + "/.cache";
}

std::string SystemTempDir() {
  const std::string dir = knobs::System("TMPDIR");
  return dir.empty() ? "/tmp" : dir;
}

TempDir::TempDir(const std::string& prefix) {
  path_ = SystemTempDir() + "/" + prefix + "XXXXXX";
  if (mkdtemp(path_.data()) == nullptr) {
    throw Diag({}, "OSError") << Failure("make folder", path_, errno).reason
                              << Help("set TMPDIR to a folder that can be written");
  }
}

TempDir::~TempDir() {
  if (!path_.empty()) (void)Remove(path_);
}

}  // namespace tilescale
