// SPDX-License-Identifier: MIT
// The state of an Analyzer, shared by the files of this folder only.
#pragma once

#include "compiler/arith/analyzer.h"
#include "compiler/ir/numeric.h"

#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tilescale::arith {

// What is known of one variable: an interval, and symbolic bounds begin ≤ var ≤ last where given.
struct VarFact {
  Interval range;
  ir::Expr begin, last;  // or null
  ir::Expr value;        // var == value, or null
  Interval machine;      // `range` where arithmetic wraps: what the machine holds lies in it
};

// Types whose arithmetic, in an index, means integers; and casts that keep the integer. Any other
// cast makes what the machine makes.
constexpr bool IsIndexType(ir::DataType t) {
  return ir::IsInt(t) && t.bits >= 32;
}
constexpr bool IsIndexCast(ir::DataType from, ir::DataType to) {
  return IsIndexType(from) && IsIndexType(to) && from.bits <= to.bits;
}

// A literal of uint64 above int64's values: AsInt gives the int64 of its bits.
inline bool BeyondInt64(const ir::Expr& e) {
  auto c = ir::AsInt(e);
  return c && *c < 0 && ir::IsUInt(e.dtype());
}

struct Analyzer::Impl {
  Analyzer* self = nullptr;
  std::unordered_map<const ir::VarObj*, VarFact> vars;
  std::unordered_map<const ir::NodeObj*, int>
      order;  // first sight: a deterministic order of variables
  // How a fact may be used: in the arithmetic of indices, of values, or both (bits).
  static constexpr uint8_t kIndexFact = 1, kValueFact = 2;
  std::vector<LinearForm> nonneg;    // assumed: form ≥ 0
  std::vector<ir::Expr> conditions;  // assumed, for the solver and syntactic hits
  std::vector<uint8_t> nonneg_use, conditions_use;
  struct Undo {
    const ir::VarObj* var;  // null: a fact of nonneg / conditions
    VarFact old_fact;
    bool had;
    size_t nonneg, conditions;
    int64_t state;  // which facts hold once it is on top: equal numbers, equal facts
  };
  std::vector<Undo> undo;
  int64_t states = 0;          // numbers given to states
  int64_t forgotten = 0;       // facts that ended
  size_t memory_facts = 0;     // conditions ever assumed that read memory
  std::vector<ir::Node> keep;  // keeps symbols alive: the maps hold raw pointers
  Stats stats;
  std::string counterexample;

  int OrderOf(const ir::NodeObj* symbol) {
    auto [it, fresh] = order.emplace(symbol, static_cast<int>(order.size()));
    if (fresh) keep.push_back(ffi::GetRef<ir::Node>(symbol));
    return it->second;
  }
  void Push(const ir::VarObj* var, bool fact);
  // Tells expressions apart whose texts are equal: the symbols in it, by number.
  std::string KeyOf(const ir::Expr& e);

  // Indices are integers: int32 and int64 do not wrap. Values do, and so does all
  // arithmetic of other types. A form says what the machine computes if its interval is in its
  // type; sums alone are right modulo 2^bits in any case.
  bool values = false;   // the mode
  bool escaped = false;  // a rewriting met what it cannot say in the type: its result is void
  bool Wraps(ir::DataType t) const { return values || !IsIndexType(t); }
  bool Faithful(const LinearForm& f, ir::DataType t);
  void CheckFaithful(const LinearForm& f, ir::DataType t) {
    if (!Faithful(f, t)) escaped = true;
  }
  Interval CutToType(Interval r, ir::DataType t);  // the type's if it may have wrapped
  uint8_t Use() const { return values ? kValueFact : kIndexFact; }

  // linear.cc
  int Compare(const ir::Expr& a, const ir::Expr& b);  // total order; 0: structurally equal
  void AddTerm(LinearForm* f, const ir::Expr& atom, int64_t coeff);
  void AddConstant(LinearForm* f, int64_t c) {
    f->overflow |= __builtin_add_overflow(f->constant, c, &f->constant);
  }
  void AddForm(LinearForm* f, const LinearForm& g, int64_t factor);
  LinearForm ToLinear(const ir::Expr& e);  // of a simplified expression
  LinearForm LinearOfProduct(const LinearForm& a, const LinearForm& b);
  ir::Expr Build(const LinearForm& f, ir::DataType t);
  void RecombineDivMod(LinearForm* f);

  // simplify.cc
  ir::Expr Rewrite(const ir::Expr& e);
  ir::Expr Remake(ir::OpCode op, const std::vector<ir::Expr>& args, ir::DataType t);
  ir::Expr RewriteOp(const ir::Op& op);
  ir::Expr RewriteDiv(const ir::Expr& a, const ir::Expr& b, bool floor, ir::DataType t);
  ir::Expr RewriteMod(const ir::Expr& a, const ir::Expr& b, bool floor, ir::DataType t);
  ir::Expr DivByConst(LinearForm f, int64_t c, ir::DataType t);
  ir::Expr ModByConst(LinearForm f, int64_t c, ir::DataType t);
  ir::Expr RewriteCompare(ir::OpCode op, const ir::Expr& a, const ir::Expr& b);
  ir::Expr RewriteLogic(const ir::Op& op);
  ir::Expr RewriteXor(const ir::Expr& a, const ir::Expr& b, ir::DataType t);
  ir::Expr RewriteMinMax(ir::OpCode op, const ir::Expr& a, const ir::Expr& b);

  // bounds.cc
  Interval BoundsOf(const ir::Expr& e);
  Interval BoundsOf(const LinearForm& f);
  Interval BoundsOfOp(const ir::Op& op);
  Interval BoundsOfBits(const ir::Op& op);
  bool ProductFits(const ir::OpObj* mul);  // the machine's product is that of the integers
  Congruence ModuloOf(const ir::Expr& e);
  Congruence ModuloOf(const LinearForm& f);

  // prove.cc
  bool NonNegative(const LinearForm& f, int fuel);
  bool Eliminate(const LinearForm& f, int fuel);
  bool FailedBefore(const LinearForm& f, int fuel);
  // Forms of the comparison in hand that were not proven, with the fuel there was; by the identity
  // of their atoms, which they keep alive.
  std::unordered_map<std::string, std::pair<int, LinearForm>> failed;
  bool ProveFast(const ir::Expr& cond);
  bool ProveCompare(ir::OpCode op, const ir::Expr& a, const ir::Expr& b);
  void AssumeSimplified(const ir::Expr& cond, uint8_t use);

  // enumerate.cc: nullopt when the domain is too large or has other than bounded variables
  std::optional<bool> ProveByEnumeration(const ir::Expr& cond);
  int64_t enumerated_points = 0;  // of 2^20 a kernel

  // solver.cc
  bool ProveBySolver(const ir::Expr& cond);
  std::map<std::string, bool> solver_memo;
};

Interval RangeOfType(ir::DataType t);
Interval Add(Interval a, Interval b);
Interval Scale(Interval a, int64_t k);

}  // namespace tilescale::arith
