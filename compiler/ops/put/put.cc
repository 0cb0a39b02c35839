// SPDX-License-Identifier: MIT
// T.put, T.put_block, T.put_warp and T.putmem. The contract is in put.md.
#include "compiler/ops/common/remote.h"

namespace tilescale {
namespace {

struct Registered {
  Registered() {
    for (TileOpDef& def : ops::MoveOps(true)) RegisterTileOp(std::move(def));
  }
};
const Registered kPut;

}  // namespace
}  // namespace tilescale
