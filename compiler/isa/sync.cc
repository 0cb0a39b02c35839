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

// T.sync_grid() puts a block barrier on either side; the blocks meet by one thread each.
Instr Grid() {
  Instr r;
  r.name = "grid.sync";
  r.header = "sync/grid.cuh";
  r.function = "ts::grid_sync";
  r.effects = {{0, ir::Mode::kAtomic}};
  r.issue = Issue::kGroup;
  r.order = ir::Order::kAcqRel;
  r.scope = ir::MemScope::kGpu;
  r.convergent = true;
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
    Grid(),
});

}  // namespace
}  // namespace tilescale::isa
