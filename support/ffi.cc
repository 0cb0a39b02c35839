// SPDX-License-Identifier: MIT
// What Python sees of support/: version, build id, and the table of knobs.
#include "support/build_info.h"
#include "support/ffi_boundary.h"
#include "support/knobs.h"

#include <tvm/ffi/container/array.h>
#include <tvm/ffi/container/map.h>
#include <tvm/ffi/reflection/registry.h>
#include <tvm/ffi/string.h>

namespace tilescale {
namespace {

namespace ffi = tvm::ffi;

ffi::Array<ffi::Map<ffi::String, ffi::Any>> KnobTable() {
  ffi::Array<ffi::Map<ffi::String, ffi::Any>> table;
  for (const knobs::KnobInfo& knob : knobs::All()) {
    ffi::Map<ffi::String, ffi::Any> row;
    row.Set("variable", ffi::String(knob.variable));
    row.Set("type", ffi::String(knob.type));
    row.Set("default", ffi::String(knob.fallback));
    row.Set("value", ffi::String(knob.value));
    row.Set("affects_code", knob.affects_code);
    row.Set("doc", ffi::String(knob.doc));
    table.push_back(row);
  }
  return table;
}

ffi::String VersionText() {
  return Version();
}
ffi::String BuildIdText() {
  return BuildId();
}

TVM_FFI_STATIC_INIT_BLOCK() {
  ffi::reflection::GlobalDef()
      .def("tilescale.version", Guarded(&VersionText))
      .def("tilescale.build_id", Guarded(&BuildIdText))
      .def("tilescale.knobs", Guarded(&KnobTable));
}

}  // namespace
}  // namespace tilescale
