// SPDX-License-Identifier: MIT
// Barriers of the CTA and the warp. PTX: bar{.cta}.sync, bar.arrive, bar.red, bar.warp.sync; each
// orders memory among its participants.
#include "compiler/isa/instr.h"

namespace tilescale::isa {
namespace {

Instr Barrier(const char* name, const char* function, SyncKind kind) {
  Instr r;
  r.name = name;
  r.function = function;
  r.issue = kind == SyncKind::kWarpBarrier ? Issue::kWarp : Issue::kGroup;
  r.sync = kind;
  r.convergent = true;
  r.order = ir::Order::kAcqRel;
  return r;
}

const Registration kRows({
    Barrier("bar.cta", "ts::cta_sync", SyncKind::kCtaBarrier),
    Barrier("bar.cta_count", "ts::cta_sync_count", SyncKind::kCtaBarrier),
    Barrier("bar.cta_and", "ts::cta_sync_and", SyncKind::kCtaBarrier),
    Barrier("bar.cta_or", "ts::cta_sync_or", SyncKind::kCtaBarrier),
    Barrier("bar.sync", "ts::bar_sync", SyncKind::kNamedBarrier),
    Barrier("bar.arrive", "ts::bar_arrive", SyncKind::kBarrierArrive),
    Barrier("warp.sync", "ts::warp_sync", SyncKind::kWarpBarrier),
});

}  // namespace
}  // namespace tilescale::isa
