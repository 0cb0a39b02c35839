// SPDX-License-Identifier: MIT
#include "compiler/ir/type.h"

#include <array>
#include <charconv>

namespace tilescale::ir {
namespace {

// A scalar type that is not of the form letter + width. Integers and plain floats are spelled by
// rule.
struct NamedType {
  DataType type;
  const char* short_name;
  const char* language_name;
};

constexpr std::array kNamed = {
    NamedType{BFloat16(), "bf16", "bfloat16"},
    NamedType{Tf32(), "tf32", "custom[tfloat32]"},
    NamedType{Bool(), "bool", "bool"},
    NamedType{E4M3(), "e4m3", "float8_e4m3fn"},
    NamedType{E5M2(), "e5m2", "float8_e5m2"},
    NamedType{MakeType(kDLFloat8_e8m0fnu, 8), "e8m0", "float8_e8m0fnu"},
    NamedType{MakeType(kDLFloat6_e2m3fn, 6), "e2m3", "float6_e2m3fn"},
    NamedType{MakeType(kDLFloat6_e3m2fn, 6), "e3m2", "float6_e3m2fn"},
    NamedType{MakeType(kDLFloat4_e2m1fn, 4), "e2m1", "float4_e2m1fn"},
    NamedType{MakeType(kE2M1UnpackedCode, 8), "e2m1u", "custom[float4_e2m1_unpacked]"},
    NamedType{Handle(), "handle", "handle"},
    NamedType{Void(), "void", "void"},
};

// Other spellings of the language that name a type above.
struct Alias {
  const char* name;
  DataType type;
};
constexpr std::array kAliases = {
    Alias{"float8_e4m3", E4M3()}, Alias{"tfloat32", Tf32()}, Alias{"float", Float(32)},
    Alias{"double", Float(64)},   Alias{"half", Float(16)},  Alias{"int", Int(32)},
};

bool SameElement(DataType a, DataType b) {
  return a.code == b.code && a.bits == b.bits;
}

std::string WithLanesText(std::string base, DataType t) {
  if (t.lanes > 1) base += "x" + std::to_string(t.lanes);
  return base;
}

std::string NameOf(DataType t, bool language) {
  if (SameType(t, Void())) return "void";
  for (const NamedType& n : kNamed) {
    if (SameElement(n.type, t)) {
      return WithLanesText(language ? n.language_name : n.short_name, t);
    }
  }
  const char* stem = language ? "float" : "f";
  if (IsInt(t)) stem = language ? "int" : "i";
  if (IsUInt(t)) stem = language ? "uint" : "u";
  if (!IsInteger(t) && t.code != kDLFloat) stem = "type";
  return WithLanesText(stem + std::to_string(t.bits), t);
}

// Reads all of `text` as a positive number.
std::optional<int> ParseCount(std::string_view text) {
  int value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value <= 0) return std::nullopt;
  return value;
}

std::optional<DataType> ParseElement(std::string_view text) {
  for (const NamedType& n : kNamed) {
    if (text == n.short_name || text == n.language_name) return n.type;
  }
  for (const Alias& a : kAliases) {
    if (text == a.name) return a.type;
  }
  struct Stem {
    std::string_view text;
    int code;
  };
  constexpr std::array kStems = {Stem{"uint", kDLUInt},   Stem{"int", kDLInt},
                                 Stem{"float", kDLFloat}, Stem{"u", kDLUInt},
                                 Stem{"i", kDLInt},       Stem{"f", kDLFloat}};
  for (const Stem& stem : kStems) {
    if (!text.starts_with(stem.text)) continue;
    std::optional<int> bits = ParseCount(text.substr(stem.text.size()));
    if (!bits) continue;
    bool known = *bits == 16 || *bits == 32 || *bits == 64;
    if (stem.code != kDLFloat) known |= *bits == 1 || *bits == 2 || *bits == 4 || *bits == 8;
    if (known) return MakeType(stem.code, *bits);
  }
  return std::nullopt;
}

template <typename E, size_t N>
std::optional<E> FindName(const std::array<const char*, N>& names, std::string_view text) {
  for (size_t i = 0; i < N; ++i) {
    if (text == names[i]) return static_cast<E>(i);
  }
  return std::nullopt;
}

constexpr std::array kSpaceNames = {"global", "shared", "mbar", "frag",
                                    "local",  "var",    "desc", "tmem"};
constexpr std::array kRootNames = {"param", "alloc", "workspace", "pointer", "heap"};

}  // namespace

std::string ShortName(DataType t) {
  return NameOf(t, false);
}
std::string LanguageName(DataType t) {
  return NameOf(t, true);
}

std::optional<DataType> ParseType(std::string_view text) {
  if (auto t = ParseElement(text)) return t;
  size_t x = text.rfind('x');
  if (x == std::string_view::npos) return std::nullopt;
  auto element = ParseElement(text.substr(0, x));
  auto lanes = ParseCount(text.substr(x + 1));
  if (!element || !lanes || *lanes > 0xffff || element->lanes == 0) return std::nullopt;
  return WithLanes(*element, *lanes);
}

DataType Promote(DataType a, DataType b) {
  int lanes = a.lanes > b.lanes ? a.lanes : b.lanes;
  if (SameElement(a, b)) return WithLanes(a, lanes);
  if (IsBool(a)) return WithLanes(b, lanes);
  if (IsBool(b)) return WithLanes(a, lanes);
  if (IsInteger(a) && IsInteger(b)) {
    if (a.bits != b.bits) return WithLanes(a.bits > b.bits ? a : b, lanes);
    return UInt(a.bits, lanes);
  }
  // A float wins over an integer whatever the widths; of two floats the wider, and float16 over
  // bfloat16.
  if (IsInteger(a)) return WithLanes(b, lanes);
  if (IsInteger(b)) return WithLanes(a, lanes);
  if (a.bits != b.bits) return WithLanes(a.bits > b.bits ? a : b, lanes);
  if (a.code == kDLFloat) return WithLanes(a, lanes);
  if (b.code == kDLFloat) return WithLanes(b, lanes);
  return WithLanes(a, lanes);
}

const char* SpaceName(Space space) {
  return kSpaceNames[static_cast<size_t>(space)];
}
const char* RootName(Root root) {
  return kRootNames[static_cast<size_t>(root)];
}
std::optional<Space> ParseSpace(std::string_view text) {
  return FindName<Space>(kSpaceNames, text);
}
std::optional<Root> ParseRoot(std::string_view text) {
  return FindName<Root>(kRootNames, text);
}

}  // namespace tilescale::ir
