// SPDX-License-Identifier: MIT
// The executable specification of each stage, with the invariants of docs/ir.md: throws
// InternalError naming the rule and the statement when `f` breaks it. Run by the pass driver after
// every pass in tests and under TILESCALE_VERIFY=1.
#pragma once

#include "compiler/ir/func.h"

namespace tilescale::ir {

// What holds at every stage: scoping and one declaration a symbol (I3), flat bodies, types of
// expressions, ranks, where kernels and host statements may stand.
void VerifyCommon(const Func& f);
void VerifyTile(const Func& f);     // spec_tile.cc
void VerifyMapped(const Func& f);   // spec_mapped.cc
void VerifyMachine(const Func& f);  // spec_machine.cc
void Verify(const Func& f);         // VerifyCommon, then by f.stage()

// What single passes guarantee beyond their stage, from then on.
void VerifyScheduleApplied(const Func& f);  // ApplySchedule: no schedule, no pipelined loop
void VerifyLowered(const Func& f);          // LowerTileOps: no tile op
void VerifyPlaced(const Func& f);     // PlaceMemory: shared memory has addresses inside its size
void VerifyNoTokens(const Func& f);   // InsertSync: no token, TokenOp or slot
void VerifyTruncOnly(const Func& f);  // Optimise: integers are divided toward zero only

}  // namespace tilescale::ir
