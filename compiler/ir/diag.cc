// SPDX-License-Identifier: MIT
#include "compiler/ir/diag.h"

#include <tvm/ffi/cast.h>
#include <tvm/ffi/error.h>

namespace tilescale::ir {

namespace {
constexpr int kMaxSpanLines = 3;  // as many as the front end shows
}

std::string SpanBlock(const Span& span) {
  std::ostringstream out;
  Span at = span;
  for (int i = 0; i < kMaxSpanLines && at.defined(); ++i) {
    out << "\n  --> " << std::string(at->file) << ":" << at->line;
    if (!at->function.empty()) out << " in " << std::string(at->function);
    at = at->caller.as<Span>().value_or(Span());
  }
  return out.str();
}

void RaiseText(const char* kind, const Span& span, const std::string& text) {
  throw ffi::Error(kind, text + SpanBlock(span), "");
}

}  // namespace tilescale::ir
