// SPDX-License-Identifier: MIT
// Small things that std::string lacks.
#pragma once

#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace tilescale {

// Elements printed with <<, `separator` between them.
template <class Range>
std::string Join(const Range& range, std::string_view separator) {
  std::ostringstream out;
  bool first = true;
  for (const auto& element : range) {
    if (!first) out << separator;
    first = false;
    out << element;
  }
  return out.str();
}

// Pieces between separators; "a,,b" has three, "" has one (empty) piece.
std::vector<std::string> Split(std::string_view text, char separator);

// Without white space at both ends.
std::string_view Trim(std::string_view text);

// `text` with every `from` replaced; `from` is not empty.
std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to);

// The candidate nearest to `name` by edits, for "did you mean"; "" when none is near enough (more
// than a third of the name wrong). The first of equals wins.
std::string ClosestName(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace tilescale
