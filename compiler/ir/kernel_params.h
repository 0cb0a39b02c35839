// SPDX-License-Identifier: MIT
// The arguments of a kernel's device function, in order: what the kernel uses of the Func's
// parameters, symbols and workspaces. Codegen prints this list as the signature, PlanHost fills it
// at launch.
#pragma once

#include "compiler/ir/func.h"

#include <vector>

namespace tilescale::ir {

struct KernelParam {
  enum class Kind : uint8_t { kData, kScalar, kSymbol, kWorkspace };
  Kind kind;
  int index =
      0;  // data, scalar: position in Func.params; workspace: position among the Func's Allocs
  Buffer buffer;         // data, workspace: as the kernel's text declares it
  Var var;               // scalar, symbol, or the pointer parameter's variable
  bool written = false;  // data: the kernel writes it
  bool restrict_ = false;
};

std::vector<KernelParam> KernelParams(const Func& f, const Kernel& k);

}  // namespace tilescale::ir
