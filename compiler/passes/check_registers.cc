// SPDX-License-Identifier: MIT
// CheckRegisters (passes.h): reads of registers that nothing has set.
#include "compiler/analysis/assigned.h"
#include "compiler/ir/diag.h"
#include "compiler/ir/visit.h"
#include "compiler/passes/check.h"
#include "compiler/passes/passes.h"

namespace tilescale::passes {

using namespace ir;  // NOLINT

Func CheckRegisters(Func f, PassContext&) {
  if (SkipsInitialisation(f)) return f;
  MapKernels(f, [&](const Kernel& kernel) {
    for (const analysis::UnsetRead& found : analysis::FindUnsetReads(kernel)) {
      std::string name = found.storage->name;
      std::string threads = found.thread == found.last ? "thread " + std::to_string(found.thread)
                                                       : "threads " + std::to_string(found.thread) +
                                                             " to " + std::to_string(found.last);
      std::string used =
          found.use.defined() && found.read.defined() && found.use->line != found.read->line
              ? ", and line " + std::to_string(found.use->line) + " uses the value"
              : "";
      if (found.storage->space() == Space::kVar) {
        RaiseAt(found.read, "CompileError", "`", name, "` is read by ", threads,
                " before it has a value", used,
                ": give T.alloc_var an init, or assign to it first");
      }
      RaiseAt(found.read, "CompileError", "elements of `", name, "` are read by ", threads,
              " before anything is written to them", used,
              ": fill all of it first (T.clear, T.fill), or read only what was written");
    }
    return kernel;
  });
  return f;
}

}  // namespace tilescale::passes
