// SPDX-License-Identifier: MIT
// Text form of the IR: Parse(Print(f)) is f up to variable identity, at every stage. Names are made
// unique by a numeric suffix. The grammar: docs/ir.md.
#pragma once

#include "compiler/ir/func.h"

#include <string>
#include <string_view>

namespace tilescale::ir {

struct PrintOptions {
  bool spans = true;  // "@7" at the end of a statement (file names once, in the header)
};
std::string Print(const Func& f, const PrintOptions& options = {});
std::string Print(const Stmt& s);
std::string Print(const Expr& e);
std::string Print(const Region& r);
std::string Print(const Schedule& s);
// As users write it, for messages and explain(): no sigils, slices, full names of dtypes. Not read
// back.
std::string Spelled(const Stmt& s);
std::string Spelled(const Expr& e);
std::string Spelled(const Region& r);
// Throws ValueError with line and column on malformed text.
Func ParseFunc(std::string_view text);
// A schedule names buffers, loops and labels of `kernel`.
Schedule ParseSchedule(std::string_view text, const Kernel& kernel);

}  // namespace tilescale::ir
