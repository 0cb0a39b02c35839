// SPDX-License-Identifier: MIT
// ldmatrix and stmatrix: 8x8 matrices of 16-bit elements between shared memory and a warp's
// registers. Lane l addresses row l % 8 of matrix l / 8; register i of lane l holds elements (l /
// 4, 2(l % 4) + {0, 1}) of matrix i, or their transpose. PTX: ldmatrix (sm_75), stmatrix (sm_90).
#include "compiler/isa/instr.h"

namespace tilescale::isa {
namespace {

Instr Row(bool load, int matrices, bool transposed) {
  Instr r;
  std::string x = "x" + std::to_string(matrices);
  r.name = std::string(load ? "ldmatrix." : "stmatrix.") + x + (transposed ? ".trans" : "");
  r.header = "ptx/ldmatrix.cuh";
  r.function = std::string(load ? "ts::ptx::ldmatrix_" : "ts::ptx::stmatrix_") + x +
               (transposed ? "_trans" : "");
  r.issue = Issue::kWarp;
  r.convergent = true;
  if (load) {
    r.results_by_pointer = true;
    r.casts = {"ts::u32*", ""};
    r.effects = {{0, ir::Mode::kRead}, {-1, ir::Mode::kWrite}};
    r.available = [](const Target& t) { return t.arch->has_ldmatrix; };
  } else {
    r.casts = {"", "const ts::u32*"};
    r.effects = {{0, ir::Mode::kWrite}, {1, ir::Mode::kRead}};
    r.available = [](const Target& t) { return t.arch->has_stmatrix; };
  }
  return r;
}

const Registration kRows({
    Row(true, 1, false),
    Row(true, 2, false),
    Row(true, 4, false),
    Row(true, 1, true),
    Row(true, 2, true),
    Row(true, 4, true),
    Row(false, 1, false),
    Row(false, 2, false),
    Row(false, 4, false),
    Row(false, 1, true),
    Row(false, 2, true),
    Row(false, 4, true),
});

}  // namespace
}  // namespace tilescale::isa
