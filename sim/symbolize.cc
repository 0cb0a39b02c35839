// SPDX-License-Identifier: MIT
// Code positions to user lines. Nothing is kept at run time: cells hold return addresses, and a
// report asks addr2line (in the same package as the assembler) or llvm-symbolizer for the inline
// chain.
#include "sim/module.h"
#include "sim/report.h"

#include <cstdio>
#include <map>

namespace tilescale::sim {
namespace {

bool OnPath(const char* program) {
  std::string command = std::string("command -v ") + program + " >/dev/null 2>&1";
  return std::system(command.c_str()) == 0;
}

const char* Symbolizer() {
  static const char* found = OnPath("addr2line") ? "addr2line -i -e "
                             : OnPath("llvm-symbolizer")
                                 ? "llvm-symbolizer -s=0 --inlines -f=none -e "
                                 : nullptr;
  return found;
}

// "/dir/./gemm.py:13 (discriminator 2)" -> {"gemm.py", 13}. Kernel text is compiled with its folder
// mapped to ".", so relative names in #line come back as "./name".
Line ParseFrame(std::string frame) {
  size_t end = frame.find_first_of(" \n");
  if (end != std::string::npos) frame.resize(end);
  size_t colon = frame.find(':');
  if (colon == std::string::npos) return {};
  Line line;
  line.file = frame.substr(0, colon);
  line.line = std::atoi(frame.c_str() + colon + 1);
  while (line.file.compare(0, 2, "./") == 0) line.file.erase(0, 2);
  return line;
}

bool IsOurs(const std::string& file) {
  return file.size() > 4 && file.compare(file.size() - 4, 4, ".cuh") == 0;
}

Line LookUp(const Module& module, u64 offset) {
  if (!Symbolizer()) return {};
  char command[600];
  std::snprintf(command, sizeof command, "%s'%s' 0x%llx 2>/dev/null", Symbolizer(),
                module.path().c_str(), static_cast<unsigned long long>(offset));
  FILE* pipe = popen(command, "r");
  if (!pipe) return {};
  Line first, user;
  char buffer[1024];
  while (std::fgets(buffer, sizeof buffer, pipe)) {
    Line line = ParseFrame(buffer);
    if (line.line == 0) continue;
    if (first.line == 0) first = line;
    if (user.line == 0 && !IsOurs(line.file)) user = line;
  }
  pclose(pipe);
  return user.line ? user : first;
}

}  // namespace

std::string Line::text() const {
  if (line) return file + ":" + std::to_string(line);
  return Symbolizer() ? "an unknown line"
                      : "an unknown line (install binutils for lines: addr2line was not found)";
}

Line LineOf(u32 site) {
  const Module* module = ModuleOfSite(site);
  if (!module) return {};
  static auto* memo = new std::map<std::pair<u64, u64>, Line>;
  auto key = std::make_pair(module->serial(), u64(site - module->site_base));
  auto it = memo->find(key);
  if (it == memo->end()) {
    if (memo->size() > 4096) memo->clear();
    it = memo->emplace(key, LookUp(*module, key.second)).first;
  }
  return it->second;
}

}  // namespace tilescale::sim
