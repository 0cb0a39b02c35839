// SPDX-License-Identifier: MIT
#include "support/knobs.h"

#include "support/diagnostics.h"

#include <charconv>
#include <cstdlib>
#include <type_traits>

namespace tilescale::knobs {
namespace {

// Empty counts as unset: that is how a shell script undoes a variable.
const char* Read(const std::string& variable) {
  const char* text = std::getenv(variable.c_str());
  return text != nullptr && *text != '\0' ? text : nullptr;
}

[[noreturn]] void Malformed(const std::string& variable, const char* expected, const char* got) {
  throw Diag({}, "ValueError") << variable << ": expected " << expected << ", got '" << got << "'";
}

template <class T>
T Get(const char* name, const T& fallback) {
  const std::string variable = std::string("TILESCALE_") + name;
  const char* text = Read(variable);
  if (text == nullptr) return fallback;
  std::string value = text;
  if constexpr (std::is_same_v<T, bool>) {
    if (value != "0" && value != "1") Malformed(variable, "0 or 1", text);
    return value == "1";
  } else if constexpr (std::is_same_v<T, int64_t>) {
    int64_t number = 0;
    const auto [end, status] = std::from_chars(text, text + value.size(), number);
    if (status != std::errc() || end != text + value.size()) {
      Malformed(variable, "an integer", text);
    }
    return number;
  } else {
    return value;
  }
}

template <class T>
std::string TypeName() {
  if (std::is_same_v<T, bool>) return "bool";
  return std::is_same_v<T, int64_t> ? "int" : "string";
}

std::string Print(bool value) {
  return value ? "1" : "0";
}
std::string Print(int64_t value) {
  return std::to_string(value);
}
std::string Print(const std::string& value) {
  return value;
}

template <class T>
KnobInfo Describe(const char* name, const T& fallback, bool affects_code, const char* doc) {
  return {std::string("TILESCALE_") + name, TypeName<T>(), Print(fallback),
          Print(Get<T>(name, fallback)),    affects_code,  doc};
}

}  // namespace

#define TS_KNOB(accessor, variable, type, fallback, affects_code, doc) \
  type accessor() {                                                    \
    return Get<type>(variable, fallback);                              \
  }
#include "support/knobs.def"
#undef TS_KNOB

std::vector<KnobInfo> All() {
  return {
#define TS_KNOB(accessor, variable, type, fallback, affects_code, doc) \
  Describe<type>(variable, fallback, affects_code, doc),
#include "support/knobs.def"
#undef TS_KNOB
  };
}

std::string CacheKeyText() {
  std::string text;
  for (const KnobInfo& knob : All()) {
    if (knob.affects_code && knob.value != knob.fallback) {
      text += knob.variable + "=" + knob.value + "\n";
    }
  }
  return text;
}

std::string System(const char* variable) {
  const char* text = Read(variable);
  return text == nullptr ? "" : text;
}

}  // namespace tilescale::knobs
