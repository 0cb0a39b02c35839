// SPDX-License-Identifier: MIT
// Bulk copies (the TMA engine without a tensor map): runs of global memory through a ring in shared
// memory. PTX: cp.async.bulk with mbarrier::complete_tx::bytes and with bulk groups. One thread of
// the group issues and completes them; what the engine writes is complete, and back in the generic
// proxy, when that thread is through.
#include "compiler/isa/instr.h"

namespace tilescale::isa {
namespace {

// unroll, stages, bytes of a piece, bytes from which it pays, destination, source, count, lane,
// lanes, staging
Instr Run(bool bytes) {
  Instr r;
  r.name = std::string("bulk.copy") + (bytes ? "_bytes" : "");
  r.header = "comm/bulk.cuh";
  r.function = "ts::comm::copy_run_bulk";
  r.effects = {{4, ir::Mode::kWrite}, {5, ir::Mode::kRead}, {9, ir::Mode::kWrite}};
  r.issue = Issue::kGroup;
  r.template_args = 4;
  if (bytes) r.casts = {"ts::u8*", "const ts::u8*"};
  r.available = [](const Target& t) { return t.arch->has_bulk; };
  return r;
}

const Registration kRows({Run(false), Run(true)});

}  // namespace
}  // namespace tilescale::isa
