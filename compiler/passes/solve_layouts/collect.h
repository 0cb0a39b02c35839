// SPDX-License-Identifier: MIT
// A kernel as the solver's program: classes, nests, accesses; and where each came from.
#pragma once

#include "compiler/arith/analyzer.h"
#include "compiler/layout/solver.h"
#include "compiler/ops/tile_op.h"
#include "compiler/passes/passes.h"

#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace tilescale::layouts {

// What one solver op stands for.
struct Source {
  ir::Stmt stmt;                      // the Parallel or TileOp
  std::vector<ir::Buffer> fragments;  // operands by position in the op (for Converts)
};

struct Problem {
  solver::Program program;
  std::vector<Source> sources;                                // by solver op
  std::unordered_map<const ir::BufferObj*, int> fragment_of;  // fragment buffers and their views
  std::vector<ir::Buffer> fragments;                          // by solver fragment
  std::unordered_map<const ir::StorageObj*, int> shared_of;   // index into program.buffers
  std::unordered_map<const ir::StmtObj*, int> nest_of;        // statement → its nest's solver op
  std::unordered_set<const ir::StmtObj*> empty;               // nests without points
  // Thread maps of the user's that are no digits: where elements lie changes no result, so the
  // solver gives these a layout as if nothing were annotated, and explain() says so.
  std::vector<std::pair<ir::Span, std::string>> no_digits;
};

Problem Collect(const ir::Func& f, const ir::Kernel& k, const Target& target);

// The index of a fragment access as the solver takes it; raises the contract's error on other
// indices.
solver::IndexMap FragmentIndex(const ir::Buffer& b, const ffi::Array<ir::Expr>& index,
                               const ffi::Array<ir::Var>& vars, arith::Analyzer* analyzer,
                               const ir::Span& span);

}  // namespace tilescale::layouts
