// SPDX-License-Identifier: MIT
#include "runtime/jit/headers.h"

#include "runtime/nvrtc.h"
#include "support/diagnostics.h"
#include "support/files.h"
#include "support/hash.h"
#include "support/knobs.h"

#include <dlfcn.h>
#include <mutex>

namespace tilescale::runtime {
namespace {

std::mutex folder_mutex;
std::string python_folder;

// The wheel has lib/libtilescale.so beside include/device; a build has build/<preset>/ in the
// repository, whose folder device/ it uses.
std::string FolderBesideLibrary() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&FolderBesideLibrary), &info) == 0) return "";
  const std::string above = ParentDir(ParentDir(info.dli_fname));
  const std::string installed = above + "/include/device";
  const std::string built = ParentDir(above) + "/device";
  return IsDir(installed) || !IsDir(built) ? installed : built;
}

void Collect(const std::string& folder, const std::string& prefix, HeaderSet* headers) {
  const auto names = ListDir(folder);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    const std::string path = folder + "/" + name;
    if (IsDir(path)) {
      Collect(path, prefix + name + "/", headers);
    } else if (name.ends_with(".cuh")) {
      auto text = ReadFile(path);
      if (!text.ok()) throw Diag({}, "NvrtcError") << text.reason();
      headers->names.push_back(prefix + name);
      headers->texts.push_back(*std::move(text));
    }
  }
}

HeaderSet ReadHeaders(const std::string& folder) {
  HeaderSet headers;
  Collect(folder, "", &headers);
  if (headers.names.empty()) {
    throw Diag({}, "NvrtcError")
        << "the device headers are missing: there is no .cuh file in '" << folder << "'"
        << Help("install the package anew, or name the folder in TILESCALE_INCLUDE_DIR");
  }
  Sha256 hash;
  for (size_t i = 0; i < headers.names.size(); ++i) {
    hash.AddField(headers.names[i]).AddField(headers.texts[i]);
  }
  headers.digest = hash.HexDigest();
  return headers;
}

}  // namespace

void SetIncludeFolder(std::string folder) {
  const std::lock_guard lock(folder_mutex);
  python_folder = std::move(folder);
}

std::string IncludeFolder() {
  std::string named = knobs::HomeInclude();
  if (!named.empty()) return named;
  const std::lock_guard lock(folder_mutex);
  return python_folder.empty() ? FolderBesideLibrary() : python_folder;
}

const HeaderSet& Headers() {
  // Sets are kept: a caller may still hold one when another folder is named.
  static std::mutex mutex;
  static auto* sets = new std::map<std::string, HeaderSet>;
  const std::string folder = IncludeFolder();
  const std::lock_guard lock(mutex);
  const auto found = sets->find(folder);
  return found != sets->end() ? found->second
                              : sets->emplace(folder, ReadHeaders(folder)).first->second;
}

const std::string& IncludeDigest() {
  return Headers().digest;
}

}  // namespace tilescale::runtime
