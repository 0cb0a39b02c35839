// SPDX-License-Identifier: MIT
#include "compiler/ir/build.h"
#include "compiler/ir/parser.h"
#include "support/strings.h"

#include <charconv>
#include <ranges>

namespace tilescale::ir::text {
namespace {

// Deeper programs are no programs: the recursion of parser and visitors stays far from the stack's
// end.
constexpr int kMaxDepth = 400;

}  // namespace

Parser::Nested::Nested(Parser* parser) : parser_(parser) {
  if (++parser->depth_ > kMaxDepth) {
    --parser->depth_;
    parser->Fail("nested deeper than " + std::to_string(kMaxDepth) + " levels");
  }
}

std::string Parser::Shown(const Lexeme& l) {
  switch (l.kind) {
    case LexKind::kEnd:
      return "the end of the text";
    case LexKind::kSymbol:
      return "`%" + std::string(l.text) + "`";
    case LexKind::kString:
      return "a string";
    default:
      return "`" + std::string(l.text) + "`";
  }
}

bool Parser::Accept(std::string_view text) {
  if (!Is(text)) return false;
  Take();
  return true;
}

void Parser::Expect(std::string_view text) {
  if (!Accept(text)) Fail("expected `" + std::string(text) + "`, got " + Shown(Now()));
}

void Parser::ExpectEnd() {
  if (Now().kind != LexKind::kEnd) Fail("expected the end of the text, got " + Shown(Now()));
}

std::string Parser::Word(const char* what) {
  if (Now().kind == LexKind::kString) return Unescape(Take());
  if (Now().kind != LexKind::kWord) Fail(std::string("expected ") + what + ", got " + Shown(Now()));
  return std::string(Take().text);
}

std::string Parser::String(const char* what) {
  if (Now().kind != LexKind::kString) {
    Fail(std::string("expected ") + what + " in quotes, got " + Shown(Now()));
  }
  return Unescape(Take());
}

// Read from the source: "16.2" of a name is no number.
std::string Parser::DottedName(const char* what) {
  if (Now().kind != LexKind::kWord) return Word(what);
  const size_t begin = Now().begin;
  size_t end = begin;
  auto in_name = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
  };
  while (end < source_.size() && in_name(source_[end])) ++end;
  while (Now().kind != LexKind::kEnd && Now().begin < end) Take();
  return std::string(source_.substr(begin, end - begin));
}

int64_t Parser::Integer(const char* what) {
  const bool negative = Is("-") && Ahead(1).kind == LexKind::kInt;
  if (negative) Take();
  const Lexeme& at = Now();
  if (at.kind != LexKind::kInt) Fail(std::string("expected ") + what + ", got " + Shown(at));
  int64_t value = 0;
  const std::string text = (negative ? "-" : "") + std::string(at.text);
  auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc()) Fail("number out of range");
  Take();
  return value;
}

double Parser::Number(const char* what) {
  const bool negative = Accept("-");
  const Lexeme& at = Now();
  const bool is_number =
      at.kind == LexKind::kInt || at.kind == LexKind::kFloat || Is("inf") || Is("nan");
  if (!is_number) Fail(std::string("expected ") + what + ", got " + Shown(at));
  const Operand literal = Literal(negative);
  if (literal.is_float) return literal.number;
  const auto magnitude = static_cast<double>(literal.magnitude);
  return negative ? -magnitude : magnitude;
}

DataType Parser::Type() {
  const Lexeme& at = Now();
  std::optional<DataType> dtype;
  if (at.kind == LexKind::kWord) dtype = ParseType(at.text);
  if (!dtype) Fail("expected a type such as f16 or i32, got " + Shown(at));
  Take();
  return *dtype;
}

ffi::Array<int64_t> Parser::Integers(const char* what) {
  ffi::Array<int64_t> values;
  Expect("[");
  while (!Is("]")) {
    if (!values.empty()) Expect(",");
    values.push_back(Integer(what));
  }
  Expect("]");
  return values;
}

const Lexeme& Parser::Symbol(const char* what) {
  if (Now().kind != LexKind::kSymbol)
    Fail(std::string("expected ") + what + ", got " + Shown(Now()));
  return Take();
}

void Parser::Declare(const Lexeme& at, Node symbol) {
  const std::string name(at.text);
  if (Find(name).defined()) FailAt(at, "%" + name + " is declared twice");
  if (symbol.kind() == NodeKind::kBuffer) scheduled_[name].push_back(symbol);
  scopes_.back().emplace(name, std::move(symbol));
}

Var Parser::DeclareVar(const Lexeme& name, DataType dtype) {
  Var var = MakeVar(name.text, dtype);
  Declare(name, var);
  return var;
}

Node Parser::Find(std::string_view name) const {
  for (const auto& scope : std::views::reverse(scopes_)) {
    auto it = scope.find(name);
    if (it != scope.end()) return it->second;
  }
  return Node();
}

Node Parser::Lookup(const Lexeme& at) const {
  Node symbol = Find(at.text);
  if (symbol.defined()) return symbol;
  std::vector<std::string> known;
  for (const auto& scope : scopes_) {
    for (const auto& [name, node] : scope) known.push_back(name);
  }
  std::string message = "%" + std::string(at.text) + " is not declared here";
  // Of one or two letters every name is near.
  const std::string near = at.text.size() > 2 ? ClosestName(at.text, known) : "";
  FailAt(at, near.empty() ? message : message + "; did you mean %" + near + "?");
}

Buffer Parser::LookupBuffer(const Lexeme& at) const {
  Node symbol = Lookup(at);
  const BufferObj* buffer = symbol.as<BufferObj>();
  if (buffer == nullptr) FailAt(at, "%" + std::string(at.text) + " is no buffer");
  return ffi::GetRef<Buffer>(buffer);
}

Token Parser::LookupToken(const Lexeme& at) const {
  Node symbol = Lookup(at);
  const TokenObj* token = symbol.as<TokenObj>();
  if (token == nullptr) FailAt(at, "%" + std::string(at.text) + " is no token");
  return ffi::GetRef<Token>(token);
}

}  // namespace tilescale::ir::text
