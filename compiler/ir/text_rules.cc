// SPDX-License-Identifier: MIT
#include "compiler/ir/text_rules.h"

#include "compiler/ir/build.h"

#include <array>

namespace tilescale::ir::text {
namespace {

// Words that begin or continue a statement. A label that is one of them is quoted.
constexpr std::array<std::string_view, 62> kReserved = {
    "acquire",  "after",       "alias",    "alloc",    "align", "and",     "arrivals", "assert",
    "assume",   "at",          "await",    "bind",     "bits",  "break",   "call",     "commit",
    "continue", "cooperative", "do",       "else",     "enter", "exit",    "families", "fixed",
    "for",      "func",        "group",    "guard",    "head",  "if",      "in",       "init",
    "kernel",   "layout",      "leave",    "loop",     "none",  "not",     "of",       "offset",
    "or",       "other",       "out",      "parallel", "pdl",   "pending", "pipe",     "release",
    "role",     "root",        "schedule", "sized",    "step",  "store",   "strides",  "turn",
    "unroll",   "vector",      "versions", "via",      "view",  "wait",
};
constexpr std::array<std::string_view, 12> kReservedMore = {"while",  "width", "true", "false",
                                                            "nan",    "inf",   "op",   "pipelined",
                                                            "region", "value", "tile", "memory"};

template <size_t N>
bool Contains(const std::array<std::string_view, N>& words, std::string_view word) {
  for (std::string_view w : words) {
    if (w == word) return true;
  }
  return false;
}

bool IsWord(std::string_view word, bool digit_first) {
  if (word.empty() || (!digit_first && word[0] >= '0' && word[0] <= '9')) return false;
  for (char c : word) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (!letter && !(c >= '0' && c <= '9')) return false;
  }
  return true;
}

}  // namespace

int Precedence(OpCode op) {
  switch (op) {
    case OpCode::kOr:
      return 1;
    case OpCode::kAnd:
      return 2;
    case OpCode::kEq:
    case OpCode::kNe:
    case OpCode::kLt:
    case OpCode::kLe:
    case OpCode::kGt:
    case OpCode::kGe:
      return 4;
    case OpCode::kBitOr:
      return 5;
    case OpCode::kBitXor:
      return 6;
    case OpCode::kBitAnd:
      return 7;
    case OpCode::kShl:
    case OpCode::kShr:
      return 8;
    case OpCode::kAdd:
    case OpCode::kSub:
      return 9;
    case OpCode::kMul:
    case OpCode::kFloorDiv:
    case OpCode::kFloorMod:
      return 10;
    default:
      return 0;
  }
}

int FirstShared(OpCode op) {
  if (op == OpCode::kIf || op == OpCode::kSelect) return 1;
  if (op == OpCode::kVector) return 0;
  switch (Info(op).cls) {
    case OpClass::kInfix:
    case OpClass::kArith:
    case OpClass::kCompare:
    case OpClass::kMath:
      return 0;
    default:
      return -1;
  }
}

std::optional<DataType> LiteralType(OpCode op, const ffi::Array<Expr>& args) {
  const int first = FirstShared(op);
  if (first < 0) return std::nullopt;
  for (size_t i = static_cast<size_t>(first); i < args.size(); ++i) {
    const Expr arg = args[i];
    if (arg.as<ConstObj>() == nullptr) return arg.dtype();
  }
  return std::nullopt;
}

bool IsReserved(std::string_view word) {
  return Contains(kReserved, word) || Contains(kReservedMore, word);
}

bool IsPlainWord(std::string_view word) {
  return IsWord(word, false) && !IsReserved(word);
}

std::string Quote(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out = "\"";
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string WordOrQuoted(std::string_view word) {
  return IsPlainWord(word) ? std::string(word) : Quote(word);
}

std::string WordOrQuotedName(std::string_view name) {
  size_t begin = 0;
  bool plain = !name.empty();
  while (plain && begin <= name.size()) {
    size_t end = name.find('.', begin);
    if (end == std::string_view::npos) end = name.size();
    plain = IsWord(name.substr(begin, end - begin), begin > 0);
    begin = end + 1;
  }
  return plain ? std::string(name) : Quote(name);
}

Expr ElementBits(const BufferObj* b) {
  Expr bits = MakeConst(b->dtype.bits * b->dtype.lanes, Int(64));
  for (const Expr& dim : b->shape) bits = Mul(Cast(dim, Int(64)), bits);
  return bits;
}

}  // namespace tilescale::ir::text
