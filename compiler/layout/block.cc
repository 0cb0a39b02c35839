// SPDX-License-Identifier: MIT
#include "compiler/layout/block.h"

#include "compiler/target/constants.h"

namespace tilescale {

Expected<Layout> MakeBlock(const Layout& atom, const BlockSpec& spec) {
  Layout out = atom.Normal();
  int64_t slots = out.Extent(kSlot);
  for (int d : spec.slot_order) {
    int64_t per_warp = spec.extents[d] / spec.warps[d];
    if (spec.extents[d] % spec.warps[d] || per_warp % atom.extent(d)) {
      return Refusal{"dim " + std::to_string(d) + " of " + std::to_string(spec.extents[d]) +
                     " is not a multiple of " + std::to_string(spec.warps[d]) + " warps of " +
                     std::to_string(atom.extent(d))};
    }
    int64_t times = per_warp / atom.extent(d);
    if (times > 1) {
      TS_TRY(out, out.Repeat(d, times, Strides(kSlot, slots)));
    }
    slots *= times;
  }
  for (int d = 0; d < out.rank(); ++d) {
    if (spec.warps[d] > 1) {
      TS_TRY(out, out.Repeat(d, spec.warps[d], Strides(kThread, spec.warp_strides[d])));
    }
  }
  ModeList reps;
  for (const Mode& m : out.reps()) reps.push_back(m);
  for (const Mode& m : spec.replicas) {
    if (m.n > 1) reps.push_back(m);
  }
  TS_TRY(out, out.WithReplicas(reps));
  return out.Normal();
}

namespace {

// Threads of the unit that issues an atom: whole warps.
int64_t UnitOf(const Layout& atom) {
  return CeilDiv(atom.Extent(kThread), target::kWarpSize) * target::kWarpSize;
}

}  // namespace

Expected<Layout> MakeBlockC(const Layout& atom, int64_t m, int64_t n, const WarpGrid& warps) {
  int64_t unit = UnitOf(atom);
  BlockSpec spec;
  spec.extents = {m, n};
  spec.warps = {warps.row_warps, warps.col_warps};
  spec.warp_strides = {unit, unit * warps.row_warps};
  spec.slot_order = {1, 0};
  return MakeBlock(atom, spec);
}

Expected<Layout> MakeBlockA(const Layout& atom, int64_t m, int64_t k, const WarpGrid& warps) {
  int64_t unit = UnitOf(atom);
  BlockSpec spec;
  spec.extents = {m, k};
  spec.warps = {warps.row_warps, 1};
  spec.warp_strides = {unit, 0};
  spec.slot_order = {1, 0};
  spec.replicas = {Mode{warps.col_warps, Strides(kThread, unit * warps.row_warps)}};
  return MakeBlock(atom, spec);
}

Expected<Layout> MakeBlockB(const Layout& atom, int64_t n, int64_t k, const WarpGrid& warps) {
  int64_t unit = UnitOf(atom);
  BlockSpec spec;
  spec.extents = {n, k};
  spec.warps = {warps.col_warps, 1};
  spec.warp_strides = {unit * warps.row_warps, 0};
  spec.slot_order = {1, 0};
  spec.replicas = {Mode{warps.row_warps, Strides(kThread, unit)}};
  return MakeBlock(atom, spec);
}

}  // namespace tilescale
