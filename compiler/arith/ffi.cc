// SPDX-License-Identifier: MIT
// What Python tells the prover: where libz3 is.
#include "compiler/arith/analyzer.h"
#include "support/ffi_boundary.h"

#include <tvm/ffi/reflection/registry.h>

namespace tilescale::arith {

namespace {

void SetSolver(ffi::String path) {
  SetSolverLibrary(std::string(path));
}

const bool kRegistered = [] {
  ffi::reflection::GlobalDef().def("tilescale.arith.set_solver", Guarded(&SetSolver));
  return true;
}();

}  // namespace

}  // namespace tilescale::arith
