// SPDX-License-Identifier: MIT
#include "compiler/target/target.h"
#include "support/diagnostics.h"
#include "support/strings.h"

#include <array>
#include <optional>

namespace tilescale::target {
namespace {

constexpr std::array kKindNames = {"cuda", "sim"};

std::string KnownArchs() {
  std::vector<std::string> names;
  for (const Arch& arch : AllArchs()) names.push_back(arch.name);
  return Join(names, ", ");
}

std::optional<Kind> FindKind(std::string_view word) {
  for (size_t i = 0; i < kKindNames.size(); ++i) {
    if (word == kKindNames[i]) return static_cast<Kind>(i);
  }
  return std::nullopt;
}

// "-arch=sm_80", "--arch=sm_80" and "arch=sm_80" say what "sm_80" says.
std::string_view StripArchKey(std::string_view word) {
  while (word.starts_with('-')) word.remove_prefix(1);
  constexpr std::string_view kKey = "arch=";
  if (word.starts_with(kKey)) word.remove_prefix(kKey.size());
  return word;
}

std::vector<std::string> Words(std::string_view text) {
  std::vector<std::string> words;
  for (const std::string& piece : Split(ReplaceAll(text, ":", " "), ' ')) {
    if (std::string_view word = Trim(piece); !word.empty()) words.emplace_back(word);
  }
  return words;
}

[[noreturn]] void Unknown(std::string_view text, const std::string& word) {
  throw Diag({}, "ValueError") << "unknown target \"" << text << "\": \"" << word
                               << "\" is neither a kind (" << Join(kKindNames, ", ")
                               << ") nor an architecture (" << KnownArchs() << ")"
                               << Help("write for example \"cuda sm_90a\" or \"sim\"");
}

[[noreturn]] void Twice(std::string_view text, const char* what) {
  throw Diag({}, "ValueError") << "target \"" << text << "\" names two " << what
                               << Help("write for example \"cuda sm_90a\" or \"sim\"");
}

}  // namespace

const char* KindName(Kind kind) {
  return kKindNames[static_cast<size_t>(kind)];
}

std::string Target::Text() const {
  return std::string(KindName(kind)) + " " + arch->name;
}

Target ParseTarget(std::string_view text) {
  Target target;
  bool kind_given = false;
  for (const std::string& word : Words(text)) {
    if (std::optional<Kind> kind = FindKind(word)) {
      if (kind_given) Twice(text, "kinds");
      kind_given = true;
      target.kind = *kind;
    } else if (const Arch* arch = FindArch(StripArchKey(word))) {
      if (target.arch_given) Twice(text, "architectures");
      target.arch_given = true;
      target.arch = arch;
    } else {
      Unknown(text, word);
    }
  }
  if (!kind_given && !target.arch_given) Unknown(text, "");
  if (!target.arch_given) target.arch = &DefaultArch();
  return target;
}

}  // namespace tilescale::target
