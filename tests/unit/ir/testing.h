// SPDX-License-Identifier: MIT
// What the tests of the IR share: a few tile ops and a program's text.
#pragma once

#include "compiler/ir/op_def.h"

#include <fstream>
#include <sstream>
#include <string>

namespace tilescale::ir {

// Rows with one of each kind of argument. The test links no compiler/ops.
inline void RegisterTestOps() {
  static const bool done = [] {
    RegisterSyntax({"copy",
                    "copy $src -> $dst",
                    {{"src", ArgKind::kRegion, 'r'},
                     {"dst", ArgKind::kRegion, 'w'},
                     {"async", ArgKind::kBool, 0, "false"}}});
    RegisterSyntax(
        {"fill", "fill $dst, $value", {{"dst", ArgKind::kRegion, 'w'}, {"value", ArgKind::kExpr}}});
    RegisterSyntax({"gemm",
                    "gemm $C += $A * $B",
                    {{"A", ArgKind::kRegion, 'r'},
                     {"B", ArgKind::kRegion, 'r'},
                     {"C", ArgKind::kRegion, 'm'},
                     {"trans_A", ArgKind::kBool, 0, "false"},
                     {"policy", ArgKind::kInt, 0, "0"}}});
    RegisterSyntax({"reduce",
                    "reduce $src -> $dst by $kind",
                    {{"src", ArgKind::kRegion, 'r'},
                     {"dst", ArgKind::kRegion, 'm'},
                     {"kind", ArgKind::kString},
                     {"dim", ArgKind::kInt, 0, "-1"},
                     {"axes", ArgKind::kInts, 0, "[]"},
                     {"scale", ArgKind::kFloat, 0, "1.0"},
                     {"init", ArgKind::kExpr, 0, "none"}}});
    return true;
  }();
  (void)done;
}

inline std::string ReadFile(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// A function whose kernel has this body. Parameters: %A: f16[%m, 64], %n: i32.
inline std::string Program(const std::string& body, const std::string& stage = "tile") {
  return "func @f(%A: f16[%m, 64], %n: i32) stage " + stage + " {\n" +
         "  kernel @f grid(%bx: 4) threads(%tx: 128) shared 0 {\n" + body + "\n}\n}\n";
}

}  // namespace tilescale::ir
