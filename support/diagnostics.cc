// SPDX-License-Identifier: MIT
#include "support/diagnostics.h"

#include <fstream>

namespace tilescale {
namespace {

thread_local ReplayScope* innermost_scope = nullptr;

// The user's line without its newline, or "" when the file cannot be read (a notebook cell, say).
std::string SourceLine(const SourceLocation& where) {
  std::ifstream file(where.file);
  std::string line;
  for (int i = 0; i < where.line; ++i) {
    if (!std::getline(file, line)) return "";
  }
  return line;
}

// "    T.gemm(A, B, C)\n    ^", without the line's own indentation.
std::string Excerpt(const SourceLocation& where) {
  const std::string line = SourceLine(where);
  const size_t begin = line.find_first_not_of(" \t");
  if (begin == std::string::npos) return "";
  const size_t column = where.column > 0 ? static_cast<size_t>(where.column) - 1 : begin;
  const size_t caret = column > begin && column < line.size() ? column - begin : 0;
  return "\n    " + line.substr(begin) + "\n    " + std::string(caret, ' ') + "^";
}

}  // namespace

void Diag::Render() {
  text_.clear();
  if (!where_.file.empty()) {
    text_ += where_.file;
    if (where_.line > 0) text_ += ":" + std::to_string(where_.line);
    text_ += ": ";
  }
  text_ += message_;
  if (!where_.file.empty() && where_.line > 0) text_ += Excerpt(where_);
  if (!help_.empty()) text_ += "\nhelp: " + help_;
}

ReplayScope::ReplayScope(Writer write) : write_(std::move(write)), outer_(innermost_scope) {
  innermost_scope = this;
}

ReplayScope::~ReplayScope() {
  innermost_scope = outer_;
}

class ReplayAccess {
 public:
  static std::string Write(const std::string& message) {
    ReplayScope* scope = innermost_scope;
    if (scope == nullptr) return "";
    // The writer runs our code on a broken program: a second failure in it must not recurse.
    innermost_scope = nullptr;
    std::string path = scope->write_(message);
    innermost_scope = scope;
    return path;
  }
};

namespace detail {

void FailInternal(const char* file, int line, const std::string& message) {
  std::string text = std::string(file) + ":" + std::to_string(line) + ": " + message;
  const std::string path = ReplayAccess::Write(text);
  text += "\nthis is a fault of tilescale, not of your program";
  if (!path.empty()) text += "; please report it with the file " + path;
  throw InternalError(text);
}

}  // namespace detail
}  // namespace tilescale
