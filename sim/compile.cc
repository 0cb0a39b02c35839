// SPDX-License-Identifier: MIT
#include "sim/compile.h"

#include "support/build_info.h"
#include "support/diagnostics.h"
#include "support/files.h"
#include "support/hash.h"
#include "support/knobs.h"

#include <algorithm>
#include <climits>
#include <dlfcn.h>
#include <fcntl.h>
#include <map>
#include <mutex>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace tilescale::sim {
namespace {

std::string FindProgram(const std::string& name) {
  if (name.find('/') != std::string::npos) return access(name.c_str(), X_OK) == 0 ? name : "";
  const std::string path = knobs::System("PATH");
  for (size_t at = 0; at <= path.size();) {
    size_t end = std::min(path.find(':', at), path.size());
    std::string file = path.substr(at, end - at) + "/" + name;
    if (access(file.c_str(), X_OK) == 0 && IsFile(file)) return file;
    at = end + 1;
  }
  return "";
}

struct Compiler {
  std::string path;
  bool clang = false;
};

// Runs a program with its output in a file; returns its exit status, or -1.
int RunProgram(const std::vector<std::string>& args, const std::string& output) {
  std::vector<char*> argv;
  for (const auto& a : args) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                   0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t pid = 0;
  int error = posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error) return -1;
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string OutputOf(const std::string& path) {
  auto text = ReadFile(path);
  return text.ok() ? *std::move(text) : "";
}

bool IsClang(const std::string& path) {
  TempDir dir("tilescale-sim");
  std::string log = dir.path() + "/version";
  RunProgram({path, "--version"}, log);
  return OutputOf(log).find("clang") != std::string::npos;
}

// The path of the host compiler; looked for at each use, since the knob and PATH may change.
std::string FindCompiler() {
  const std::string named = knobs::SimCxx();
  std::vector<std::string> candidates{"c++", "g++", "clang++"};
  if (!named.empty()) candidates = {named};
  for (const auto& name : candidates) {
    std::string path = FindProgram(name);
    if (!path.empty()) return path;
  }
  if (!named.empty()) {
    throw Diag({}, "RuntimeError")
        << "TILESCALE_SIM_CXX names '" << named << "', which is not there"
        << Help("name a g++ or clang++, or unset it");
  }
  throw Diag({}, "RuntimeError")
      << "the simulator compiles kernels with a host C++ compiler, and found none (looked for c++, "
         "g++, clang++ in PATH)"
      << Help(
             "install one: `apt install g++`, `dnf install gcc-c++` or `conda install "
             "cxx-compiler`");
}

// The host compiler, described once by running it.
Compiler TheCompiler() {
  static std::mutex mutex;
  static auto* known = new std::map<std::string, Compiler>;
  const std::lock_guard lock(mutex);
  const std::string path = FindCompiler();
  auto it = known->find(path);
  if (it == known->end()) it = known->emplace(path, Compiler{path, IsClang(path)}).first;
  return it->second;
}

// The program that `path` leads to and the version of it that is installed, without running it.
std::string FileStamp(const std::string& path) {
  char real[PATH_MAX];
  const std::string target = realpath(path.c_str(), real) != nullptr ? real : path;
  struct stat info {};
  (void)stat(target.c_str(), &info);
  return target + " " + std::to_string(info.st_size) + " " + std::to_string(info.st_mtim.tv_sec) +
         "." + std::to_string(info.st_mtim.tv_nsec);
}

std::vector<std::string>& NamedFolders() {
  static auto* v = new std::vector<std::string>;
  return *v;
}

bool HasTwin(const std::string& folder) {
  return IsFile(folder + "/tilescale/kernel.cuh");
}

// Folders of the twin headers and of those that both sides share.
std::vector<std::string> IncludeFolders() {
  if (!NamedFolders().empty()) return NamedFolders();
  std::vector<std::string> roots;
  const std::string named = knobs::HomeInclude();
  if (!named.empty()) roots.push_back(ParentDir(named));
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(&FindCompiler), &info) && info.dli_fname) {
    char real[4096];
    std::string dir = ParentDir(realpath(info.dli_fname, real) ? real : info.dli_fname);
    roots.push_back(ParentDir(dir) + "/include");
    for (; dir.size() > 1; dir = ParentDir(dir))
      roots.push_back(dir);  // a build inside the sources
  }
  for (const auto& root : roots) {
    for (const char* sim : {"/sim", "/sim/include"}) {
      if (HasTwin(root + sim)) return {root + sim, root + "/device"};
    }
    if (named.empty() || root != roots[0]) continue;
    throw Diag({}, "RuntimeError")
        << "TILESCALE_INCLUDE_DIR names '" << named << "', and the simulator's headers "
        << "(sim/include/tilescale/kernel.cuh) are not beside it in '" << root << "'"
        << Help(
               "name the folder of the device headers, `device` of the sources or of the package, "
               "or leave it unset");
  }
  throw Diag({}, "RuntimeError")
      << "the simulator's headers (sim/include/tilescale/kernel.cuh) were not found beside the "
         "library"
      << Help(
             "install the package anew, or name the folder of the device headers in "
             "TILESCALE_INCLUDE_DIR");
}

std::vector<std::string> Flags(const Compiler& c) {
  std::vector<std::string> f{"-std=c++20", "-O1", "-g1", "-fPIC", "-w", "-fsanitize=thread",
                             // With -fwrapv the second one checks divisions only.
                             "-fsanitize=integer-divide-by-zero,signed-integer-overflow,bounds",
                             "-fno-strict-aliasing", "-fwrapv", "-fno-builtin", "-fno-exceptions",
                             "-fno-rtti", "-ffp-contract=off", "-fno-stack-protector"};
  if (c.clang) {
    for (const char* x :
         {"-mllvm", "-tsan-instrument-func-entry-exit=0", "-fno-vectorize", "-fno-slp-vectorize"}) {
      f.push_back(x);
    }
  } else {
    f.push_back("-fno-tree-vectorize");
    f.push_back("--param=tsan-instrument-func-entry-exit=0");
  }
  return f;
}

// Lines relative to the text, whatever folder we compile in.
void AddPrefixMaps(const std::string& folder, std::vector<std::string>* args) {
  args->push_back("-fdebug-prefix-map=" + folder + "=.");
  char cwd[4096];
  if (getcwd(cwd, sizeof cwd)) args->push_back("-fdebug-prefix-map=" + std::string(cwd) + "=.");
}

[[noreturn]] void Failed(const std::string& what, std::string_view name, const std::string& log) {
  throw Diag({}, "RuntimeError") << "the host compiler refuses the kernel text "
                                 << std::string(name) << " (" << what << "):\n"
                                 << log;
}

}  // namespace

void SetIncludeFolders(std::vector<std::string> folders) {
  NamedFolders() = std::move(folders);
}

CompileOutput CompileKernel(std::string_view text, std::string_view name,
                            const std::vector<std::string>& options) {
  const Compiler compiler = TheCompiler();
  TempDir dir("tilescale-sim");
  const std::string base = dir.path() + "/", source = base + "kernel.cc",
                    object = base + "kernel.o", module = base + "kernel.so", log = base + "log";
  auto written = WriteFileAtomically(source, text);
  if (!written.ok()) throw Diag({}, "RuntimeError") << written.reason();
  std::vector<std::string> args{compiler.path};
  for (auto& f : Flags(compiler)) args.push_back(std::move(f));
  for (const auto& folder : IncludeFolders()) args.push_back("-I" + folder);
  AddPrefixMaps(dir.path(), &args);
  args.insert(args.end(), options.begin(), options.end());
  args.insert(args.end(), {"-c", source, "-o", object});
  if (RunProgram(args, log) != 0) Failed(compiler.path, name, OutputOf(log));
  // Not linked with -fsanitize=thread: its runtime is ours. Symbols of memory functions that
  // compilers make up go through our checks.
  std::vector<std::string> wrap{"--wrap=memcpy", "--wrap=memset", "--wrap=memmove"};
  std::string linker = FindProgram("ld");
  std::vector<std::string> link;
  if (!linker.empty()) {
    link = {linker, "-shared", "--build-id=none"};
    link.insert(link.end(), wrap.begin(), wrap.end());
  } else {
    link = {compiler.path, "-shared", "-nostdlib"};
    for (const auto& w : wrap) link.push_back("-Wl," + w);
  }
  link.insert(link.end(), {"-o", module, object});
  if (RunProgram(link, log) != 0) Failed("linking", name, OutputOf(log));
  auto binary = ReadFile(module);
  if (!binary.ok()) throw Diag({}, "RuntimeError") << binary.reason();
  return {*std::move(binary), OutputOf(log)};
}

namespace {

void HashHeaders(const std::string& folder, Sha256* hash) {
  auto names = ListDir(folder);
  if (!names.ok()) return;
  for (const auto& name : *names) {
    std::string path = folder + "/" + name;
    if (IsDir(path)) {
      HashHeaders(path, hash);
    } else {
      hash->AddField(name).AddField(OutputOf(path));
    }
  }
}

std::string HeaderDigest(const std::vector<std::string>& folders) {
  static std::mutex mutex;
  static auto* known = new std::map<std::vector<std::string>, std::string>;
  const std::lock_guard lock(mutex);
  auto it = known->find(folders);
  if (it == known->end()) {
    Sha256 hash;
    for (const auto& f : folders) HashHeaders(f, &hash);
    it = known->emplace(folders, hash.HexDigest()).first;
  }
  return it->second;
}

}  // namespace

// The flags follow from the compiler's kind and from this build.
std::string CompilerId() {
  Sha256 hash;
  hash.AddField(FileStamp(FindCompiler())).AddField(HeaderDigest(IncludeFolders()));
  return "sim-" + hash.AddField(BuildId()).HexDigest();
}

}  // namespace tilescale::sim
