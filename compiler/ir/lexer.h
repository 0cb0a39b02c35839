// SPDX-License-Identifier: MIT
// Splits IR text into words, symbols, numbers, strings and punctuation.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tilescale::ir::text {

enum class LexKind : uint8_t { kEnd, kWord, kSymbol, kInt, kFloat, kString, kPunct };

struct Lexeme {
  LexKind kind = LexKind::kEnd;
  std::string_view text;  // without the % of a symbol and the quotes of a string
  size_t begin = 0, end = 0;
  int line = 1, column = 1;
};

// All lexemes, one of kind kEnd last. ValueError with line and column on a character or string that
// is none; `//` begins a comment.
std::vector<Lexeme> Lex(std::string_view source);

// The value of a string: escapes resolved.
std::string Unescape(const Lexeme& string);

[[noreturn]] void FailAt(const Lexeme& at, const std::string& message);

}  // namespace tilescale::ir::text
