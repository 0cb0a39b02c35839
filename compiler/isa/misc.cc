// SPDX-License-Identifier: MIT
// Register budgets, printing, traps and calls of functions that the user brings.
#include "compiler/isa/instr.h"

namespace tilescale::isa {
namespace {

Instr Row(const char* name, const char* header, const char* function) {
  Instr r;
  r.name = name;
  r.header = header;
  r.function = function;
  return r;
}

std::vector<Instr> Rows() {
  Instr inc = Row("setmaxnreg.inc", "ptx/misc.cuh", "ts::ptx::setmaxnreg_inc");
  Instr dec = Row("setmaxnreg.dec", "ptx/misc.cuh", "ts::ptx::setmaxnreg_dec");
  for (Instr* r : {&inc, &dec}) {
    r->template_args = 1;
    r->issue = Issue::kGroup;
    r->convergent = true;
    r->available = [](const Target& t) { return t.arch->has_setmaxnreg; };
  }
  Instr print = Row("print", "ptx/misc.cuh", "ts::print");
  Instr assertion = Row("assert", "ptx/misc.cuh", "ts::device_assert");
  Instr external = Row("extern", "", "");
  external.opaque = true;
  Instr spin = Row("spin", "", "ts::spin");
  return {inc, dec, print, assertion, external, spin};
}

const Registration kRows(Rows());

}  // namespace
}  // namespace tilescale::isa
