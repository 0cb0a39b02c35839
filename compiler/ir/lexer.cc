// SPDX-License-Identifier: MIT
#include "compiler/ir/lexer.h"

#include "support/diagnostics.h"

#include <array>

namespace tilescale::ir::text {
namespace {

// Longest first.
constexpr std::array<std::string_view, 10> kPairs = {"..", "+:", "+=", "->", "<<",
                                                     ">>", "<=", ">=", "==", "!="};
constexpr std::string_view kSingles = "()[]{}<>=+-*/%&|^~?:;,.@#!$";

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}
bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Lexeme> Run() {
    std::vector<Lexeme> lexemes;
    do {
      SkipBlank();
      lexemes.push_back(Next());
    } while (lexemes.back().kind != LexKind::kEnd);
    return lexemes;
  }

 private:
  char At(size_t offset) const {
    return pos_ + offset < source_.size() ? source_[pos_ + offset] : '\0';
  }

  void SkipBlank() {
    while (pos_ < source_.size()) {
      const char c = source_[pos_];
      if (c == '\n') {
        ++line_;
        line_begin_ = ++pos_;
      } else if (c == ' ' || c == '\t' || c == '\r') {
        ++pos_;
      } else if (c == '/' && At(1) == '/') {
        while (pos_ < source_.size() && source_[pos_] != '\n') ++pos_;
      } else {
        return;
      }
    }
  }

  Lexeme Next() {
    Lexeme lexeme;
    lexeme.begin = pos_;
    lexeme.line = line_;
    lexeme.column = static_cast<int>(pos_ - line_begin_) + 1;
    if (pos_ >= source_.size()) {
      lexeme.end = pos_;
      return lexeme;
    }
    const char c = source_[pos_];
    if (c == '"') return String(lexeme);
    if (IsLetter(c)) {
      lexeme.kind = LexKind::kWord;
      SkipWord();
    } else if (c == '%' && IsLetter(At(1))) {
      lexeme.kind = LexKind::kSymbol;
      ++pos_;
      SkipWord();
      lexeme.text = source_.substr(lexeme.begin + 1, pos_ - lexeme.begin - 1);
      lexeme.end = pos_;
      return lexeme;
    } else if (IsDigit(c)) {
      lexeme.kind = Number();
    } else {
      lexeme.kind = LexKind::kPunct;
      if (!Punctuation()) FailAt(lexeme, "unexpected character " + Shown(c));
    }
    lexeme.end = pos_;
    lexeme.text = source_.substr(lexeme.begin, pos_ - lexeme.begin);
    return lexeme;
  }

  void SkipWord() {
    while (IsLetter(At(0)) || IsDigit(At(0))) ++pos_;
  }
  void SkipDigits() {
    while (IsDigit(At(0))) ++pos_;
  }

  LexKind Number() {
    LexKind kind = LexKind::kInt;
    SkipDigits();
    if (At(0) == '.' && IsDigit(At(1))) {
      kind = LexKind::kFloat;
      ++pos_;
      SkipDigits();
    }
    const size_t sign = At(1) == '+' || At(1) == '-' ? 1 : 0;
    if (At(0) == 'e' && IsDigit(At(1 + sign))) {
      kind = LexKind::kFloat;
      pos_ += 1 + sign;
      SkipDigits();
    }
    return kind;
  }

  bool Punctuation() {
    for (std::string_view pair : kPairs) {
      if (source_.substr(pos_, 2) == pair) {
        pos_ += 2;
        return true;
      }
    }
    if (kSingles.find(source_[pos_]) == std::string_view::npos) return false;
    ++pos_;
    return true;
  }

  Lexeme String(Lexeme lexeme) {
    ++pos_;
    while (At(0) != '"') {
      if (pos_ >= source_.size() || source_[pos_] == '\n') FailAt(lexeme, "string without an end");
      pos_ += source_[pos_] == '\\' && pos_ + 1 < source_.size() ? 2 : 1;
    }
    ++pos_;
    lexeme.kind = LexKind::kString;
    lexeme.end = pos_;
    lexeme.text = source_.substr(lexeme.begin + 1, pos_ - lexeme.begin - 2);
    return lexeme;
  }

  static std::string Shown(char c) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) return std::string("`") + c + "`";
    return "of code " + std::to_string(byte);
  }

  std::string_view source_;
  size_t pos_ = 0, line_begin_ = 0;
  int line_ = 1;
};

int HexDigit(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::vector<Lexeme> Lex(std::string_view source) {
  return Lexer(source).Run();
}

std::string Unescape(const Lexeme& string) {
  std::string out;
  const std::string_view text = string.text;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    const char c = ++i < text.size() ? text[i] : '\0';
    if (c == '"' || c == '\\') {
      out += c;
    } else if (c == 'n') {
      out += '\n';
    } else if (c == 'x' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 &&
               HexDigit(text[i + 2]) >= 0) {
      out += static_cast<char>(HexDigit(text[i + 1]) * 16 + HexDigit(text[i + 2]));
      i += 2;
    } else {
      FailAt(string, "unknown escape in a string");
    }
  }
  return out;
}

void FailAt(const Lexeme& at, const std::string& message) {
  throw Diag({}, "ValueError") << at.line << ":" << at.column << ": " << message;
}

}  // namespace tilescale::ir::text
