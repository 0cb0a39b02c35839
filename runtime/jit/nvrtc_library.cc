// SPDX-License-Identifier: MIT
#include "runtime/jit/nvrtc_library.h"

#include "runtime/nvrtc.h"
#include "support/diagnostics.h"
#include "support/files.h"
#include "support/knobs.h"
#include "support/strings.h"

#include <tvm/ffi/c_api.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

namespace tilescale::runtime {
namespace {

struct Search {
  std::mutex mutex;
  std::vector<std::string> python_folders;
  int max_major = 0;  // 0: no limit
  std::optional<std::string> found;
};

Search& State() {
  static auto* state = new Search;
  return *state;
}

// "libnvrtc.so.13" -> 13; -1 if the name is none of the library's; 0 without a version.
int MajorOf(const std::string& name) {
  if (!name.starts_with("libnvrtc")) return -1;
  if (name.find("builtins") != std::string::npos) return -1;
  if (name.find(".alt.") != std::string::npos)
    return -1;  // a second build without the tools we use
  const size_t so = name.find(".so");
  if (so == std::string::npos) return -1;
  const std::string version = name.substr(so + 3);
  return version.empty() ? 0 : std::atoi(version.c_str() + 1);
}

// The wheels beside the one of tvm-ffi, which is the Python environment that loaded us: NVIDIA's
// put libraries into nvidia/<product>/lib, torch carries its own.
std::vector<std::string> EnvironmentFolders() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&TVMFFIErrorSetRaised), &info) == 0) return {};
  const std::string packages = ParentDir(ParentDir(ParentDir(info.dli_fname)));
  std::vector<std::string> folders;
  if (auto names = ListDir(packages + "/nvidia"); names.ok()) {
    for (const std::string& name : *names) folders.push_back(packages + "/nvidia/" + name + "/lib");
  }
  folders.push_back(packages + "/torch/lib");
  return folders;
}

std::vector<std::string> ToolkitFolders() {
  std::vector<std::string> roots;
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"}) {
    const std::string root = knobs::System(variable);
    if (!root.empty()) roots.push_back(root);
  }
  roots.emplace_back("/usr/local/cuda");
  if (auto names = ListDir("/usr/local"); names.ok()) {
    std::vector<std::string> versions;
    for (const std::string& name : *names) {
      if (name.starts_with("cuda-")) versions.push_back("/usr/local/" + name);
    }
    roots.insert(roots.end(), versions.rbegin(), versions.rend());
  }
  std::vector<std::string> folders;
  for (const std::string& root : roots) {
    for (const char* part :
         {"/lib64", "/lib", "/targets/x86_64-linux/lib", "/targets/sbsa-linux/lib"}) {
      folders.push_back(root + part);
    }
  }
  return folders;
}

std::vector<std::string> SystemFolders() {
  std::vector<std::string> folders;
  for (const std::string& folder : Split(knobs::System("LD_LIBRARY_PATH"), ':')) {
    if (!folder.empty()) folders.push_back(folder);
  }
  for (const char* folder :
       {"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"}) {
    folders.emplace_back(folder);
  }
  return folders;
}

// The newest library of a folder, or "".
std::string InFolder(const std::string& folder, int max_major) {
  const auto names = ListDir(folder);
  if (!names.ok()) return "";
  std::string best;
  int best_major = -1;
  for (const std::string& name : *names) {
    const int major = MajorOf(name);
    if (major < 0 || (max_major > 0 && major > max_major) || major < best_major) continue;
    best = folder + "/" + name;
    best_major = major;
  }
  return best;
}

constexpr const char* kInstallHelp =
    "install it with: pip install nvidia-cuda-nvrtc; or name the file in TILESCALE_NVRTC";

std::string Find(const Search& search) {
  std::string named = knobs::Nvrtc();
  if (!named.empty()) {
    if (IsFile(named)) return named;
    throw Diag({}, "NvrtcError") << "NVRTC is not where TILESCALE_NVRTC says: there is no file '"
                                 << named << "'";
  }
  std::vector<std::string> folders = search.python_folders;
  for (const auto& more : {EnvironmentFolders(), ToolkitFolders(), SystemFolders()}) {
    folders.insert(folders.end(), more.begin(), more.end());
  }
  std::string newer;
  for (const std::string& folder : folders) {
    const std::string path = InFolder(folder, search.max_major);
    if (!path.empty()) return path;
    if (newer.empty()) newer = InFolder(folder, 0);
  }
  Diag error({}, "NvrtcError");
  if (!newer.empty()) {
    error << "NVRTC '" << newer << "' is newer than the GPU's driver, which runs CUDA "
          << search.max_major
          << Help("install one that fits with: pip install 'nvidia-cuda-nvrtc-cu" +
                  std::to_string(search.max_major) + "', or a newer driver");
  } else {
    error << "NVRTC is missing: there is no libnvrtc.so in the Python environment, the CUDA "
             "toolkit or the system's folders"
          << Help(kInstallHelp);
  }
  throw error;
}

// Hexadecimal build id in the ELF notes of a file, or "" if it has none.
std::string ReadBuildIdNote(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  Elf64_Ehdr header;
  if (!file.read(reinterpret_cast<char*>(&header), sizeof header) ||
      std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    return "";
  }
  for (int i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    file.seekg(static_cast<std::streamoff>(header.e_phoff + i * sizeof segment));
    if (!file.read(reinterpret_cast<char*>(&segment), sizeof segment)) return "";
    if (segment.p_type != PT_NOTE || segment.p_filesz > 4096) continue;
    std::string notes(segment.p_filesz, '\0');
    file.seekg(static_cast<std::streamoff>(segment.p_offset));
    if (!file.read(notes.data(), static_cast<std::streamsize>(notes.size()))) return "";
    const auto aligned = [](size_t n) { return (n + 3) & ~size_t{3}; };
    for (size_t at = 0; at + sizeof(Elf64_Nhdr) <= notes.size();) {
      Elf64_Nhdr note;
      std::memcpy(&note, notes.data() + at, sizeof note);
      const size_t body = at + sizeof note + aligned(note.n_namesz);
      if (note.n_type == NT_GNU_BUILD_ID && body + note.n_descsz <= notes.size()) {
        std::string hex;
        for (size_t b = 0; b < note.n_descsz; ++b) {
          const auto byte = static_cast<uint8_t>(notes[body + b]);
          hex += {"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]};
        }
        return hex;
      }
      at = body + aligned(note.n_descsz);
    }
  }
  return "";
}

template <class F>
void Resolve(void* library, const std::string& path, const char* symbol, F* function) {
  *function = reinterpret_cast<F>(dlsym(library, symbol));
  if (*function == nullptr) {
    throw Diag({}, "NvrtcError")
        << "NVRTC '" << path << "' is too old: it has no " << symbol
        << Help("install a newer one with: pip install --upgrade nvidia-cuda-nvrtc");
  }
}

// NVRTC opens its builtins by bare name, which finds them only on the linker's path. Once they are
// loaded, the name is found.
void LoadBuiltins(const std::string& path) {
  const std::string folder = ParentDir(path);
  const auto names = ListDir(folder);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    if (!name.starts_with("libnvrtc-builtins") || name.find(".alt.") != std::string::npos) continue;
    dlopen((folder + "/" + name).c_str(), RTLD_NOW | RTLD_GLOBAL);
  }
}

NvrtcApi Load() {
  const std::string path = NvrtcPath();
  LoadBuiltins(path);
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    throw Diag({}, "NvrtcError") << "NVRTC cannot be loaded: " << dlerror() << Help(kInstallHelp);
  }
  NvrtcApi api{};
  Resolve(library, path, "nvrtcVersion", &api.Version);
  Resolve(library, path, "nvrtcGetErrorString", &api.GetErrorString);
  Resolve(library, path, "nvrtcCreateProgram", &api.CreateProgram);
  Resolve(library, path, "nvrtcDestroyProgram", &api.DestroyProgram);
  Resolve(library, path, "nvrtcCompileProgram", &api.CompileProgram);
  Resolve(library, path, "nvrtcGetCUBINSize", &api.GetCUBINSize);
  Resolve(library, path, "nvrtcGetCUBIN", &api.GetCUBIN);
  Resolve(library, path, "nvrtcGetProgramLogSize", &api.GetProgramLogSize);
  Resolve(library, path, "nvrtcGetProgramLog", &api.GetProgramLog);
  return api;
}

}  // namespace

void SetNvrtcFolders(std::vector<std::string> folders) {
  const std::lock_guard lock(State().mutex);
  State().python_folders = std::move(folders);
  State().found.reset();
}

void LimitNvrtcMajor(int major) {
  const std::lock_guard lock(State().mutex);
  if (State().max_major == major) return;
  State().max_major = major;
  State().found.reset();
}

std::string NvrtcPath() {
  Search& search = State();
  const std::lock_guard lock(search.mutex);
  // The knob is read at each use; what was found without it is kept.
  if (!knobs::Nvrtc().empty()) return Find(search);
  if (!search.found.has_value()) search.found = Find(search);
  return *search.found;
}

std::string NvrtcId() {
  static std::mutex mutex;
  static std::map<std::string, std::string> ids;
  const std::string path = NvrtcPath();
  const std::lock_guard lock(mutex);
  std::string& id = ids[path];
  if (id.empty()) {
    const size_t slash = path.rfind('/');
    id = path.substr(slash + 1) + " " + ReadBuildIdNote(path);
  }
  return id;
}

const NvrtcApi& Nvrtc() {
  static const NvrtcApi api = Load();
  return api;
}

}  // namespace tilescale::runtime
