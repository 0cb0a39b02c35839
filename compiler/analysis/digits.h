// SPDX-License-Identifier: MIT
// Indices of global memory as numbers of mixed radix: each thread keeps to elements of its own,
// whatever loops, blocks and loaded values add.
#pragma once

#include "compiler/analysis/lanes.h"
#include "compiler/arith/analyzer.h"

#include <string>
#include <vector>

namespace tilescale::analysis {

// An index is a sum of digits: a factor times an expression that stays below the next factor. Those
// above the last digit of a thread are multiples of `above` (0: there are none); those below go
// `reach` far, elements of the access included.
struct Digits {
  std::string text;  // of the digits below `above`; "": the index is no such sum
  int64_t above = 0, reach = 0;
};

// Digits of the threads alone must differ between any two of `threads`. An access is to `count`
// elements from `index` on; `guards` hold where it happens; `analyzer` knows how far variables go.
Digits DigitsOf(const ir::Expr& index, int64_t count, const std::vector<ir::Expr>& guards,
                const Threads& threads, arith::Analyzer* analyzer);

// Do two different threads, each at one of the places, never meet at an element, in whatever rounds
// of whatever loops? The places may be one. Their elements are of equal size and counted from the
// same start.
bool DigitsDiffer(const Digits& a, const Digits& b);

}  // namespace tilescale::analysis
