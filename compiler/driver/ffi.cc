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

// [[pass, microseconds, nodes, visits], …] of one compilation.
ffi::Array<ffi::Any> CompileTimes(ir::Func f, ffi::String target,
                                  ffi::Map<ffi::String, ffi::Any> options) {
  std::vector<PassTime> times;
  Compile(WithOptions(f, options), target::ParseTarget(ir::Str(target)), 0, &times);
  ffi::Array<ffi::Any> out;
  for (const PassTime& t : times)
    out.push_back(ffi::Array<ffi::Any>{ffi::String(t.pass), t.microseconds, t.nodes, t.visits});
  return out;
}

// The program after pass `last`, as text; all passes for "".
ffi::String LowerToText(ir::Func f, ffi::String target, ffi::Map<ffi::String, ffi::Any> options,
                        ffi::String last) {
  PassContext ctx;
  ctx.target = target::ParseTarget(ir::Str(target));
  return ir::Print(RunPasses(WithOptions(f, options), ctx, "", std::string(last)));
}

// The program after all passes, for the functions below.
ir::Func LowerAll(ir::Func f, ffi::String target, ffi::Map<ffi::String, ffi::Any> options) {
  return Lower(WithOptions(f, options), target::ParseTarget(ir::Str(target)));
}

// [[kind, statement, file, line], …] of the faults that a lowered program may be given.
ffi::Array<ffi::Any> ListFaults(ir::Func lowered) {
  ffi::Array<ffi::Any> out;
  for (const passes::Fault& fault : passes::Faults(lowered)) {
    const bool known = fault.span.defined();
    out.push_back(ffi::Array<ffi::Any>{ffi::String(fault.kind), ffi::String(fault.statement),
                                       known ? fault.span->file : ffi::String(),
                                       known ? fault.span->line : int64_t{0}});
  }
  return out;
}

// The artifact of a lowered program with one fault, or with none for -1. Registers that the fault
// leaves unset are an error here: the simulated machine knows them by poison only.
ffi::Bytes AssembleFault(ir::Func lowered, ffi::String target, int64_t fault) {
  PassContext ctx;
  ctx.target = target::ParseTarget(ir::Str(target));
  const ir::Func faulty = fault < 0 ? lowered : passes::InjectFault(lowered, fault);
  return ffi::Bytes(Assemble(passes::CheckRegisters(faulty, ctx), ctx.target).Serialize());
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
      .def("tilescale.driver.lowered", Guarded(&LowerAll))
      .def("tilescale.driver.faults", Guarded(&ListFaults))
      .def("tilescale.driver.assemble_fault", Guarded(&AssembleFault))
      .def("tilescale.driver.resources", Guarded(&ResourcesOf))
      .def("tilescale.driver.lower", Guarded(&LowerToText));
  return true;
}
const bool kRegistered = RegisterAll();

}  // namespace

}  // namespace tilescale::driver
