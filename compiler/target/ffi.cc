// SPDX-License-Identifier: MIT
#include "compiler/target/target.h"
#include "support/ffi_boundary.h"

#include <tvm/ffi/reflection/registry.h>
#include <tvm/ffi/string.h>

namespace tilescale::target {
namespace {

namespace ffi = tvm::ffi;

ffi::String Normalize(ffi::String text) {
  return ParseTarget(std::string_view(text.data(), text.size())).Text();
}

bool ArchGiven(ffi::String text) {
  return ParseTarget(std::string_view(text.data(), text.size())).arch_given;
}

}  // namespace

TVM_FFI_STATIC_INIT_BLOCK() {
  namespace refl = tvm::ffi::reflection;
  refl::GlobalDef()
      .def("tilescale.target.normalize", Guarded(&Normalize))
      .def("tilescale.target.arch_given", Guarded(&ArchGiven));
}

}  // namespace tilescale::target
