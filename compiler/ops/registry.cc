// SPDX-License-Identifier: MIT
#include "compiler/ops/tile_op.h"
#include "support/diagnostics.h"

#include <map>

namespace tilescale {

namespace {

std::map<std::string, TileOpDef, std::less<>>& Defs() {
  static auto* defs = new std::map<std::string, TileOpDef, std::less<>>();
  return *defs;
}

}  // namespace

void RegisterTileOp(TileOpDef def) {
  ir::RegisterSyntax(def.syntax);
  std::string name = def.syntax.name;
  Defs().emplace(std::move(name), std::move(def));
}

const TileOpDef& DefOf(const ir::TileOpObj* op) {
  auto it = Defs().find(ir::Str(op->op));
  TS_CHECK(it != Defs().end()) << "no op is named " << op->op;
  return it->second;
}

const Lowering& LoweringOf(const ir::TileOpObj* op) {
  for (const Lowering& l : DefOf(op).lowerings) {
    if (ir::Str(op->lowering) == l.name) return l;
  }
  TS_UNREACHABLE(op->op << " has no lowering named '" << op->lowering << "'");
}

}  // namespace tilescale
