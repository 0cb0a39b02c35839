// SPDX-License-Identifier: MIT
// mbarriers: phases of arrivals and transaction bytes in shared memory. PTX: mbarrier.init,
// .arrive, .expect_tx, .try_wait.parity. arrive releases and wait acquires at CTA scope.
#include "compiler/isa/instr.h"

namespace tilescale::isa {
namespace {

Instr Row(const char* name, const char* function, SyncKind kind) {
  Instr r;
  r.name = name;
  r.header = "ptx/mbarrier.cuh";
  r.function = function;
  r.sync = kind;
  r.order = ir::Order::kAcqRel;
  r.available = [](const Target& t) { return t.arch->has_mbarrier; };
  return r;
}

const Registration kRows({
    Row("mbarrier.init", "ts::ptx::mbar_init", SyncKind::kMbarInit),
    Row("mbarrier.arrive", "ts::ptx::mbar_arrive", SyncKind::kMbarArrive),
    Row("mbarrier.expect_tx", "ts::ptx::mbar_expect_tx", SyncKind::kNone),
    Row("mbarrier.arrive_expect_tx", "ts::ptx::mbar_arrive_expect_tx", SyncKind::kMbarArrive),
    Row("mbarrier.wait", "ts::ptx::mbar_wait", SyncKind::kMbarWait),
    Row("mbarrier.inval", "ts::ptx::mbar_inval", SyncKind::kNone),
});

}  // namespace
}  // namespace tilescale::isa
