// SPDX-License-Identifier: MIT
// cp.async: asynchronous copies of 4, 8 or 16 bytes from global to shared memory by one thread
// (generic proxy), completed in groups or by an arrive on an mbarrier. PTX: cp.async,
// cp.async.commit_group, cp.async.wait_group, cp.async.mbarrier.arrive.
#include "compiler/isa/instr.h"

namespace tilescale::isa {
namespace {

bool Available(const Target& t) {
  return t.arch->has_cp_async;
}

Instr Copy(int bytes, bool zfill) {
  Instr r;
  r.name = "cp_async." + std::to_string(bytes) + (zfill ? ".zfill" : "");
  r.header = "ptx/cp_async.cuh";
  r.function = std::string(zfill ? "ts::ptx::cp_async_zfill<" : "ts::ptx::cp_async<") +
               std::to_string(bytes) + ">";
  r.effects = {{0, ir::Mode::kWrite, ir::Proxy::kGeneric, ir::Done::kCpAsync},
               {1, ir::Mode::kRead, ir::Proxy::kGeneric, ir::Done::kCpAsync}};
  r.available = Available;
  return r;
}

Instr Group(const char* name, const char* function, SyncKind kind, int templates) {
  Instr r;
  r.name = name;
  r.header = "ptx/cp_async.cuh";
  r.function = function;
  r.sync = kind;
  r.template_args = templates;
  r.available = Available;
  return r;
}

const Registration kRows({
    Copy(4, false),
    Copy(8, false),
    Copy(16, false),
    Copy(4, true),
    Copy(8, true),
    Copy(16, true),
    Group("cp_async.commit", "ts::ptx::cp_async_commit", SyncKind::kAsyncCommit, 0),
    Group("cp_async.wait_group", "ts::ptx::cp_async_wait", SyncKind::kAsyncWait, 1),
    Group("cp_async.mbar_arrive", "ts::ptx::cp_async_mbar_arrive", SyncKind::kMbarArrive, 0),
});

}  // namespace
}  // namespace tilescale::isa
