// SPDX-License-Identifier: MIT
// The syntax of tile ops: what printer, parser, builder and visitors need to know of an op.
// Behaviour (checks, effects, layouts, lowerings) is in compiler/ops/tile_op.h, which extends this
// row.
#pragma once

#include "compiler/ir/stmt.h"

#include <string_view>
#include <vector>

namespace tilescale::ir {

enum class ArgKind : uint8_t { kRegion, kExpr, kInt, kFloat, kBool, kString, kInts };

// One parameter of a tile op. `mode`: 'r', 'w' or 'm' (both) for regions, 0 otherwise. `fallback`
// is the text of the default, nullptr for a required parameter; "none" makes an absent (None)
// argument.
struct OpParam {
  const char* name;
  ArgKind kind;
  char mode = 0;
  const char* fallback = nullptr;
};

enum class Participants : uint8_t { kThread, kWarp, kGroup };

// `format` is the text form: words, and $name for arguments; parameters it does not name are
// printed as name=value behind it when they differ from their default.  "copy $src -> $dst", "gemm
// $C += $A * $B".
struct OpSyntax {
  const char* name;
  const char* format;
  std::vector<OpParam> params;
  const char* spelled = nullptr;  // by the user, in messages, where that is not `name`
  Participants participants = Participants::kGroup;
  // Its first two operands, when both are one element, are a plain store of the first to the
  // second.
  bool moves_elements = false;
  // Reconciles unknown extents and checks the operands; raises the user's errors. Called once, when
  // the op is built. Null: nothing to do.
  TileOp (*make)(TileOp) = nullptr;
  int Find(std::string_view param) const;  // index, or -1
};

void RegisterSyntax(OpSyntax syntax);
const OpSyntax* FindSyntax(std::string_view op);  // nullptr when unknown
const OpSyntax& SyntaxOf(const TileOpObj* op);    // op must be registered
std::vector<const OpSyntax*> AllSyntax();         // sorted by name

// Typed access to an argument by name. The parameter must exist and be of that kind.
Region RegionArg(const TileOpObj* op, std::string_view param);  // null for None
Expr ExprArg(const TileOpObj* op, std::string_view param);      // null for None
int64_t IntArg(const TileOpObj* op, std::string_view param);
bool BoolArg(const TileOpObj* op, std::string_view param);
std::string StringArg(const TileOpObj* op, std::string_view param);  // "" for None
std::vector<int64_t> IntsArg(const TileOpObj* op, std::string_view param);
TileOp WithArg(const TileOp& op, std::string_view param, ffi::Any value);

}  // namespace tilescale::ir
