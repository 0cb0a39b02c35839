// SPDX-License-Identifier: MIT
// The environment. Variables named TILESCALE_* are declared in knobs.def, with type, default and
// one sentence; nothing else in the core reads the environment.
//
//   if (knobs::Verify()) ...
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tilescale::knobs {

// Value of a knob; a malformed one raises ValueError that says what was expected.
#define TS_KNOB(accessor, variable, type, fallback, affects_code, doc) type accessor();
#include "support/knobs.def"
#undef TS_KNOB

struct KnobInfo {
  std::string variable;  // "TILESCALE_VERIFY"
  std::string type;      // "bool", "int", "string"
  std::string fallback;  // "0"
  std::string value;     // as set now, or the default
  bool affects_code;
  std::string doc;
};
// All knobs in the order of knobs.def.
std::vector<KnobInfo> All();

// "MUTATE=drop:3\n…": the knobs that change generated code and differ from their defaults.
std::string CacheKeyText();

// A variable that belongs to others (HOME, CUDA_HOME, PATH, …); "" when unset.
std::string System(const char* variable);

}  // namespace tilescale::knobs
