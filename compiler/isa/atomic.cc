// SPDX-License-Identifier: MIT
// Atomics and other strong operations on one word. The text of a Call is "<sem>.<scope>", as
// "relaxed.gpu". PTX: atom, red, ld/st with .relaxed, .acquire, .release. Vector adds (x2, x4) are
// relaxed only.
#include "compiler/isa/instr.h"

namespace tilescale::isa {
namespace {

Instr Row(const std::string& name, const std::string& function, ir::Mode mode) {
  Instr r;
  r.name = name;
  r.header =
      name.starts_with("atom") || name.starts_with("red") ? "ptx/atomic.cuh" : "ptx/ldst.cuh";
  r.function = "ts::ptx::" + function;
  r.effects = {{0, mode}};
  r.order = mode == ir::Mode::kAtomic ? ir::Order::kRelaxed : ir::Order::kWeak;
  r.scope = ir::MemScope::kGpu;
  r.text_is_template = true;
  return r;
}

std::vector<Instr> Rows() {
  std::vector<Instr> out;
  for (const char* op : {"add", "max", "min", "and", "or", "xor", "exch"}) {
    out.push_back(Row(std::string("atom.") + op, std::string("atom_") + op, ir::Mode::kAtomic));
    if (std::string_view(op) != "exch") {
      out.push_back(Row(std::string("red.") + op, std::string("red_") + op, ir::Mode::kAtomic));
    }
  }
  out.push_back(Row("atom.cas", "atom_cas", ir::Mode::kAtomic));
  out.push_back(Row("ld.strong", "ld", ir::Mode::kAtomic));
  out.push_back(Row("st.strong", "st", ir::Mode::kAtomic));
  // The same functions with "weak.<scope>": ordinary accesses that name their order.
  out.push_back(Row("ld.weak", "ld", ir::Mode::kRead));
  out.push_back(Row("st.weak", "st", ir::Mode::kWrite));
  // Of several neighbours.
  for (const char* v : {"2", "4", "8", "16"}) {
    const std::string n = std::string("v") + v;
    out.push_back(Row("ld.strong." + n, "ld_" + n, ir::Mode::kAtomic));
    out.push_back(Row("ld.weak." + n, "ld_" + n, ir::Mode::kRead));
  }
  for (const char* v : {"v2_f16", "v2_bf16", "v2_f32", "v4_f32"}) {
    // Where the machine has no such instruction the function is one for each element.
    out.push_back(Row(std::string("red.add.") + v, std::string("red_add_") + v, ir::Mode::kAtomic));
  }
  return out;
}

const Registration kRows(Rows());

}  // namespace
}  // namespace tilescale::isa
