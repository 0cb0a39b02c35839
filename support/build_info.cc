// SPDX-License-Identifier: MIT
#include "support/build_info.h"

#include "support/diagnostics.h"

#include <cstdint>
#include <cstring>
#include <elf.h>
#include <link.h>

namespace tilescale {
namespace {

// Notes are 4-byte aligned records: sizes of name and body, type, name, body.
std::string FindBuildIdNote(const char* begin, size_t size) {
  auto aligned = [](size_t n) { return (n + 3) & ~size_t{3}; };
  for (size_t at = 0; at + sizeof(ElfW(Nhdr)) <= size;) {
    ElfW(Nhdr) note;
    std::memcpy(&note, begin + at, sizeof note);
    const size_t body = at + sizeof note + aligned(note.n_namesz);
    if (note.n_type == NT_GNU_BUILD_ID && body + note.n_descsz <= size) {
      std::string hex;
      for (size_t i = 0; i < note.n_descsz; ++i) {
        const auto byte = static_cast<uint8_t>(begin[body + i]);
        hex += "0123456789abcdef"[byte >> 4];
        hex += "0123456789abcdef"[byte & 15];
      }
      return hex;
    }
    at = body + aligned(note.n_descsz);
  }
  return "";
}

struct Search {
  uintptr_t address;
  std::string id;
};

int VisitBinary(dl_phdr_info* info, size_t, void* opaque) {
  auto* search = static_cast<Search*>(opaque);
  bool ours = false;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& segment = info->dlpi_phdr[i];
    const uintptr_t begin = info->dlpi_addr + segment.p_vaddr;
    ours |= segment.p_type == PT_LOAD && search->address - begin < segment.p_memsz;
  }
  if (!ours) return 0;
  for (int i = 0; i < info->dlpi_phnum && search->id.empty(); ++i) {
    const auto& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    const auto* notes = reinterpret_cast<const char*>(info->dlpi_addr + segment.p_vaddr);
    search->id = FindBuildIdNote(notes, segment.p_memsz);
  }
  return 1;
}

std::string ReadBuildId() {
  Search search{reinterpret_cast<uintptr_t>(&ReadBuildId), ""};
  dl_iterate_phdr(VisitBinary, &search);
  TS_CHECK(!search.id.empty()) << "the library was linked without --build-id";
  return search.id;
}

}  // namespace

std::string Version() {
  return TS_VERSION;
}

const std::string& BuildId() {
  static const std::string id = ReadBuildId();
  return id;
}

}  // namespace tilescale
