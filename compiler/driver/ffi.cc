// SPDX-License-Identifier: MIT
// The compiler as Python sees it: `tilescale.driver.*`.
#include "compiler/driver/compile.h"
#include "compiler/driver/explain.h"
#include "compiler/ir/text.h"
#include "compiler/passes/passes.h"
#include "support/ffi_boundary.h"

#include <tvm/ffi/reflection/registry.h>

namespace tilescale::driver {

namespace {

// The bytes of the artifact whose variant `index` has its text.
ffi::Bytes CompileToBytes(ir::Func f, ffi::String target, ffi::Map<ffi::String, ffi::Any> options,
                          int64_t index) {
  runtime::Artifact artifact = Compile(
      WithOptions(f, options), target::ParseTarget(ir::Str(target)), static_cast<int>(index));
  return ffi::Bytes(artifact.Serialize());
}

ffi::Optional<ffi::String> CacheTextOf(ir::Func f, ffi::String target,
                                       ffi::Map<ffi::String, ffi::Any> options) {
  const auto text = CacheText(WithOptions(f, options), target::ParseTarget(ir::Str(target)));
  if (!text.has_value()) return std::nullopt;
  return ffi::String(*text);
}

// [[pass, microseconds, nodes], …] of one compilation.
ffi::Array<ffi::Any> CompileTimes(ir::Func f, ffi::String target,
                                  ffi::Map<ffi::String, ffi::Any> options) {
  std::vector<PassTime> times;
  Compile(WithOptions(f, options), target::ParseTarget(ir::Str(target)), 0, &times);
  ffi::Array<ffi::Any> out;
  for (const PassTime& t : times)
    out.push_back(ffi::Array<ffi::Any>{ffi::String(t.pass), t.microseconds, t.nodes});
  return out;
}

// The program after pass `last`, as text; all passes for "".
ffi::String LowerToText(ir::Func f, ffi::String target, ffi::Map<ffi::String, ffi::Any> options,
                        ffi::String last) {
  PassContext ctx;
  ctx.target = target::ParseTarget(ir::Str(target));
  return ir::Print(RunPasses(WithOptions(f, options), ctx, "", std::string(last)));
}

ir::Func Lowered(const ir::Func& f, std::string_view target,
                 const ffi::Map<ffi::String, ffi::Any>& options) {
  PassContext ctx;
  ctx.target = target::ParseTarget(target);
  return RunPasses(WithOptions(f, options), ctx);
}

// [[kind, statement, file, line], …] of the faults that may be injected.
ffi::Array<ffi::Any> ListFaults(ir::Func f, ffi::String target,
                                ffi::Map<ffi::String, ffi::Any> options) {
  ffi::Array<ffi::Any> out;
  for (const passes::Fault& fault : passes::Faults(Lowered(f, ir::Str(target), options))) {
    const bool known = fault.span.defined();
    out.push_back(ffi::Array<ffi::Any>{ffi::String(fault.kind), ffi::String(fault.statement),
                                       known ? fault.span->file : ffi::String(),
                                       known ? fault.span->line : int64_t{0}});
  }
  return out;
}

// As compile, with one fault injected.
ffi::Bytes CompileFault(ir::Func f, ffi::String target, ffi::Map<ffi::String, ffi::Any> options,
                        int64_t fault) {
  runtime::Artifact artifact =
      Compile(WithOptions(f, options), target::ParseTarget(ir::Str(target)), 0, nullptr,
              [&](const ir::Func& lowered) { return passes::InjectFault(lowered, fault); });
  return ffi::Bytes(artifact.Serialize());
}

ffi::String ResourcesOf(ffi::String target, ffi::Map<ffi::String, ffi::Any> usage) {
  auto number = [&](const char* key) { return usage[key].cast<int64_t>(); };
  KernelResources k;
  k.entry = std::string(usage["entry"].cast<ffi::String>());
  k.threads = number("threads");
  k.registers = number("registers");
  k.spilled_bytes = number("spill_store_bytes") + number("spill_load_bytes");
  k.shared_bytes = number("static_shared_bytes") + number("dynamic_shared_bytes");
  return ResourceText(*target::ParseTarget(ir::Str(target)).arch, k);
}

bool RegisterAll() {
  namespace refl = ffi::reflection;
  refl::GlobalDef()
      .def("tilescale.driver.compile", Guarded(&CompileToBytes))
      .def("tilescale.driver.cache_text", Guarded(&CacheTextOf))
      .def("tilescale.driver.compile_times", Guarded(&CompileTimes))
      .def("tilescale.driver.faults", Guarded(&ListFaults))
      .def("tilescale.driver.compile_fault", Guarded(&CompileFault))
      .def("tilescale.driver.resources", Guarded(&ResourcesOf))
      .def("tilescale.driver.lower", Guarded(&LowerToText));
  return true;
}
const bool kRegistered = RegisterAll();

}  // namespace

}  // namespace tilescale::driver
