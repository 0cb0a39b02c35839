// SPDX-License-Identifier: MIT
// What the specifications of the stages share.
#pragma once

#include "compiler/ir/func.h"

#include <functional>
#include <string>

namespace tilescale::ir {

// Throws InternalError: "<rule>: <message>\n  in: <statement>". `s` may be null.
[[noreturn]] void BreaksRule(const std::string& rule, const StmtObj* s, const std::string& message);

// The types of an expression and of everything below it (verify_expr.cc). `s` is for the message.
void VerifyExprTypes(const Expr& e, const StmtObj* s);
// A tile op against its row of the op registry, and the types of its arguments.
void VerifyTileOp(const TileOpObj* op);

// I13: a copy of a storage with versions is selected by a token's slot, so that the disjointness of
// slots is the protocol's business and no proof about counters.
void VerifyVersion(const ViewObj* view);

// Calls `visit` on every statement of the kernels (the Kernel itself included), in pre-order.
void ForEachKernelStmt(const Func& f, const std::function<void(const StmtObj*)>& visit);

}  // namespace tilescale::ir
