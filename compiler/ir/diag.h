// SPDX-License-Identifier: MIT
// Errors about the user's program.
//
//   RaiseAt(stmt->span, "ValueError", "buffer `", name, "` has 2 dimensions, got ", n, " indices");
//
// `kind` is the Python exception's name. While a program is traced the front end adds the user's
// line (it has the live frames), so the builder raises without a span; passes run later and give
// one.
#pragma once

#include "compiler/ir/node.h"

#include <sstream>
#include <string>

namespace tilescale::ir {

// "\n  --> util.py:72 in clip\n  --> kernels.py:77 in main": the statement first, then the lines
// that called the macro or helper it stands in. Empty for a null span.
std::string SpanBlock(const Span& span);

[[noreturn]] void RaiseText(const char* kind, const Span& span, const std::string& text);

template <class... Parts>
[[noreturn]] void RaiseAt(const Span& span, const char* kind, const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  RaiseText(kind, span, text.str());
}
template <class... Parts>
[[noreturn]] void Raise(const char* kind, const Parts&... parts) {
  RaiseAt(Span(), kind, parts...);
}

}  // namespace tilescale::ir
