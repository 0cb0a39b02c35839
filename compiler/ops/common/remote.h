// SPDX-License-Identifier: MIT
// Operands on other ranks: checks of ranks and signals, moves between ranks, addresses for
// instructions.
#pragma once

#include "compiler/ir/diag.h"
#include "compiler/ops/tile_op.h"

#include <string>

namespace tilescale::ops {

// `r` on rank `peer`. The literal -1 is this rank, by the contract: the region stays local. Raises
// when the rank cannot exist or the region is no tensor that other ranks hold, too.
ir::Region OnPeer(const ir::Region& r, const ir::Expr& peer, const std::string& what,
                  const ir::Span& span);
// Does it name memory of another rank, by its peer or, once that is lowered, by a view of it?
bool IsRemote(const ir::Region& r);
// One element in global memory that ranks signal through: a 32- or 64-bit integer.
ir::Region SignalArg(const ir::TileOpObj* op, std::string_view param, const std::string& what);
// One element of `r` as the op's only place; raises when `r` is more than one.
ir::Region OneElement(const ir::Region& r, const std::string& what, const ir::Span& span);

// `n` neighbours in the last dim of `r` as the op's only place, for one access of 2, 4, 8 or 16
// bytes. Raises unless PTX has it, and when `r` is of another number.
ir::Region Neighbours(const ir::Region& r, int64_t n, const std::string& what,
                      const ir::Span& span);
// Whether all the elements of `r`, whose extents are known, are in range; null: they are.
ir::Expr WholeGuard(const ir::Region& r);
// `r` with what its indices read from memory read once: the accesses to its elements may write
// that.
ir::Region BindIndices(const ir::Region& r, LowerContext* c);
// Element `i` of the neighbours `r`, with their checks.
ir::Region Neighbour(const ir::Region& r, int64_t i);

// T.put, T.get and their forms by a warp and by one thread: args src, dst, dst_pe or src_pe, size,
// unroll_factor, bytes, nbi. With `size` the operands are addresses and `size` consecutive elements
// (or bytes) move; without, tiles move, converted and guarded as by T.copy. `nbi`: complete at
// T.quiet only.
std::vector<TileOpDef> MoveOps(bool put);

// "release.sys" of the arguments `sem` and `scope`; raises unless `sem` is one of `allowed`, which
// `listed` spells.
std::string OrderText(const ir::TileOpObj* op, const std::string& what,
                      std::initializer_list<std::string_view> allowed, const char* listed);
// Instructions address shared operands as rows of memory.
int64_t LinearOnly(const ir::TileOpObj* op, int arg, const Target& target);
// Refuses where a single thread would stand for a whole group.
std::optional<std::string> RefuseLoneThread(const ir::TileOpObj* op, const OpContext& c);

}  // namespace tilescale::ops
