// SPDX-License-Identifier: MIT
// T.put, T.put_block and T.put_warp. The contract is in put.md.
#include "compiler/ops/common/remote.h"

namespace tilescale {
namespace {

using namespace ir;   // NOLINT
using namespace ops;  // NOLINT

TileOp Make(TileOp op) {
  return MakeMove(std::move(op), "put", true);
}

TileOp MakeByWarp(TileOp op) {
  if (!ExprArg(op.get(), "size").defined()) {
    RaiseAt(op->span, "TypeError", "T.put_warp: size must not be None");
  }
  return MakeMove(std::move(op), "put_warp", true);
}

const TileOpRegistration kPut({
    .syntax =
        {.name = "put", .format = "put $src -> $dst", .params = MoveParams(true), .make = Make},
    .effects = MoveEffects,
    .lowerings =
        {{.name = "simt", .refuse = RefuseTileMove, .nest = MoveNest},
         {.name = "run", .refuse = RefuseRun, .families = LinearOnly, .lower = LowerRunByGroup}},
});

const TileOpRegistration kPutWarp({
    .syntax = {.name = "warp_put",
               .format = "warp_put $src -> $dst",
               .params = MoveParams(true),
               .spelled = "put_warp",
               .participants = Participants::kWarp,
               .make = MakeByWarp},
    .effects = MoveEffects,
    .lowerings =
        {{.name = "run", .refuse = RefuseRun, .families = LinearOnly, .lower = LowerRunByWarp}},
});

}  // namespace
}  // namespace tilescale
