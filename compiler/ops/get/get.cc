// SPDX-License-Identifier: MIT
// T.get, T.get_block, T.get_warp and T.getmem. The contract is in get.md.
#include "compiler/ops/common/remote.h"

namespace tilescale {
namespace {

struct Registered {
  Registered() {
    for (TileOpDef& def : ops::MoveOps(false)) RegisterTileOp(std::move(def));
  }
};
const Registered kGet;

}  // namespace
}  // namespace tilescale
