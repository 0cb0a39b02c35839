// SPDX-License-Identifier: MIT
// Integer reasoning about index expressions: canonical form, intervals,
// congruences, exact enumeration of small domains, and Z3 as the last tier. Index arithmetic means
// integers, not machine words. Deterministic: limits are counts, never time.
//
//   Analyzer a;
//   a.Bind(i, {0, 127});  a.Assume(Lt(j, m));
//   a.Simplify((i*64 + j) / 64);      a.Prove(Lt(i + 1, n));      a.Modulo(i*8).divisor == 8
#pragma once

#include "compiler/ir/build.h"
#include "compiler/ir/visit.h"
#include "compiler/layout/layout.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tilescale::arith {

// lo … hi inclusive; kMin / kMax are minus and plus infinity. Arithmetic saturates.
struct Interval {
  static constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  static constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  int64_t lo = kMin, hi = kMax;
  bool IsPoint() const { return lo == hi; }
  bool Bounded() const { return lo != kMin && hi != kMax; }
};

// value ≡ remainder (mod divisor); divisor 0: the value is `remainder`; divisor 1: nothing known.
struct Congruence {
  int64_t divisor = 1, remainder = 0;
};

enum class Tier : uint8_t {
  kFast,
  kEnumerate,
  kSolver
};  // kFast: normal form, intervals, congruences

// Σ coeff·atom + constant; atoms are expressions that are no sum (vars, divisions, loads, …).
struct LinearForm {
  std::vector<std::pair<ir::Expr, int64_t>> terms;  // ordered deterministically
  int64_t constant = 0;
  bool overflow = false;  // a coefficient left int64: the form holds modulo 2^64 only
};

class Analyzer {
 public:
  Analyzer();
  ~Analyzer();
  Analyzer(const Analyzer&) = delete;

  // Facts. Each returns a mark; Leave(mark) forgets what came after it.
  size_t Mark() const;
  void Leave(size_t mark);
  void Bind(const ir::Var& var, Interval range);
  void Bind(const ir::Var& var, const ir::Expr& begin,
            const ir::Expr& extent);                       // begin ≤ var < begin+extent
  void Define(const ir::Var& var, const ir::Expr& value);  // var == value (a Bind)
  void Assume(const ir::Expr& cond);                       // conjunctions are split
  // A fact that reads memory holds until that is written: ends those of which `written` says so,
  // for good (Leave brings none back). compiler/analysis/writes.h calls it along a program.
  void Forget(const std::function<bool(const ir::StorageObj*)>& written);
  bool ReadsMemory() const;  // some fact does
  // Extents of buffers and grid sizes are positive integers; declared by Bind of their vars.

  // Canonical: sums sorted, divisions and modulos resolved. Of an index or a bound, whose
  // arithmetic of int32 and int64 means integers; the indices within it included.
  ir::Expr Simplify(const ir::Expr& e);
  // Of a value that a user computes: exact in its dtype, wrap-around included.
  ir::Expr SimplifyValue(const ir::Expr& e);
  Interval ValueBounds(const ir::Expr& e);
  LinearForm Linear(const ir::Expr& e);
  // Null where a number of the form is no value of `dtype`.
  ir::Expr FromLinear(const LinearForm& f, ir::DataType dtype);
  Interval Bounds(const ir::Expr& e);
  Congruence Modulo(const ir::Expr& e);
  bool Divides(int64_t divisor, const ir::Expr& e);  // proven
  // True when `cond` holds for all values of its variables under the facts; false: unknown or not.
  bool Prove(const ir::Expr& cond, Tier limit = Tier::kSolver);
  // How `e` changes when `var` grows by one, if that is one constant over var's whole range.
  std::optional<int64_t> Stride(const ir::Expr& e, const ir::Var& var);
  // Counts, for explain() and tests: queries that reached each tier.
  struct Stats {
    int64_t queries = 0, fast = 0, enumerated = 0, solver = 0, memo = 0;
  };
  const Stats& stats() const;
  // A counter-model of the last failed Prove that reached Z3: "m = 5, bx = 0"; empty if none.
  const std::string& counterexample() const;

  struct Impl;  // analyzer_impl.h: of this folder's files

 private:
  std::unique_ptr<Impl> impl_;
};

// Where libz3 is; used at the first query that needs it. Without one such queries are "unknown".
void SetSolverLibrary(std::string path);

// The place of a point of a layout on one axis as an expression of its coordinates. Coordinates are
// in range (0 ≤ x < extent). apply_layout.cc.
ir::Expr ApplyLayout(const Layout& layout, Axis axis, const std::vector<ir::Expr>& point);

// The value of an integer expression; `value` gives variables. nullopt: not evaluable (loads,
// division by 0).
std::optional<int64_t> EvaluateInt(
    const ir::Expr& e, const std::function<std::optional<int64_t>(const ir::VarObj*)>& value);

}  // namespace tilescale::arith
