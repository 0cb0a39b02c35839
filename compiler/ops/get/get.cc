// SPDX-License-Identifier: MIT
// T.get, T.get_block and T.get_warp. The contract is in get.md.
#include "compiler/ops/common/remote.h"

namespace tilescale {
namespace {

using namespace ir;   // NOLINT
using namespace ops;  // NOLINT

TileOp Make(TileOp op) {
  return MakeMove(std::move(op), "get", false);
}

TileOp MakeByWarp(TileOp op) {
  if (!ExprArg(op.get(), "size").defined()) {
    RaiseAt(op->span, "TypeError", "T.get_warp: size must not be None");
  }
  return MakeMove(std::move(op), "get_warp", false);
}

const TileOpRegistration kGet({
    .syntax =
        {.name = "get", .format = "get $src -> $dst", .params = MoveParams(false), .make = Make},
    .effects = MoveEffects,
    .lowerings =
        {{.name = "simt", .refuse = RefuseTileMove, .nest = MoveNest},
         {.name = "run", .refuse = RefuseRun, .families = LinearOnly, .lower = LowerRunByGroup}},
});

const TileOpRegistration kGetWarp({
    .syntax = {.name = "warp_get",
               .format = "warp_get $src -> $dst",
               .params = MoveParams(false),
               .spelled = "get_warp",
               .participants = Participants::kWarp,
               .make = MakeByWarp},
    .effects = MoveEffects,
    .lowerings =
        {{.name = "run", .refuse = RefuseRun, .families = LinearOnly, .lower = LowerRunByWarp}},
});

}  // namespace
}  // namespace tilescale
