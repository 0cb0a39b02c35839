// SPDX-License-Identifier: MIT
// The tiers of Prove, and the facts they use.
#include "compiler/arith/analyzer_impl.h"

#include <algorithm>
#include <utility>

namespace tilescale::arith {

using namespace ir;  // NOLINT

namespace {

constexpr int kFuel = 6;      // eliminations in one NonNegative chain
constexpr int kForms = 1024;  // forms that one comparison looks at

// A variable of `f`, or a variable inside one of its atoms that is a product with it.
const VarObj* AsVar(const Expr& e) {
  return e.as<VarObj>();
}

}  // namespace

// Eliminations in another order give the same form: without this, n variables make n! chains.
bool Analyzer::Impl::FailedBefore(const LinearForm& f, int fuel) {
  std::string key;
  auto append = [&](const auto& x) { key.append(reinterpret_cast<const char*>(&x), sizeof(x)); };
  append(f.constant);
  for (const auto& [atom, k] : f.terms) {
    append(reinterpret_cast<uintptr_t>(atom.get()));
    append(k);
  }
  auto [it, fresh] = failed.try_emplace(std::move(key), fuel, f);
  if (!fresh && it->second.first >= fuel) return true;
  it->second.first = fuel;
  return static_cast<int>(failed.size()) > kForms;
}

bool Analyzer::Impl::NonNegative(const LinearForm& f, int fuel) {
  failed.clear();
  return Eliminate(f, fuel);
}

// f ≥ 0: intervals first, then eliminate variables by their symbolic bounds, then one assumed fact.
bool Analyzer::Impl::Eliminate(const LinearForm& f, int fuel) {
  if (BoundsOf(f).lo >= 0) return true;
  if (fuel == 0 || f.overflow || FailedBefore(f, fuel)) return false;
  for (const auto& [atom, k] : f.terms) {
    const VarObj* v = AsVar(atom);
    const OpObj* product = nullptr;
    if (v == nullptr) {
      // k·(v·y) with y ≥ 0: the bound of v times y.
      product = atom.as<OpObj>();
      if (product == nullptr || product->op() != OpCode::kMul) continue;
      v = AsVar(product->args[0]);
      if (v == nullptr || BoundsOf(product->args[1]).lo < 0) continue;
    }
    auto it = vars.find(v);
    if (it == vars.end() || Wraps(atom.dtype())) continue;  // symbolic bounds are of integers
    const Expr& bound = k > 0 ? it->second.begin : it->second.last;
    if (!bound.defined()) continue;
    LinearForm g = f, b = ToLinear(bound);
    AddTerm(&g, atom, -k);
    if (product != nullptr) b = LinearOfProduct(b, ToLinear(product->args[1]));
    AddForm(&g, b, k);
    if (Eliminate(g, fuel - 1)) return true;
  }
  for (size_t i = 0; i < nonneg.size(); ++i) {
    if (!(nonneg_use[i] & Use())) continue;
    const LinearForm& fact = nonneg[i];
    for (const auto& [atom, k] : fact.terms) {
      int64_t mine = 0;
      for (const auto& [other, c] : f.terms) {
        if (Compare(other, atom) == 0) mine = c;
      }
      if (mine == 0 || (mine > 0) != (k > 0) || mine % k != 0) continue;
      LinearForm g = f;
      AddForm(&g, fact, -(mine / k));
      if (Eliminate(g, fuel - 3 > 0 ? fuel - 3 : 0)) return true;
      break;
    }
  }
  // A floor division in the form: c·(x / c) ≥ x - c + 1 and ≤ x.
  for (const auto& [atom, k] : f.terms) {
    const auto* op = atom.as<OpObj>();
    if (op == nullptr || op->op() != OpCode::kFloorDiv) continue;
    auto c = AsInt(op->args[1]);
    if (!c || *c <= 0 || k % *c != 0) continue;
    LinearForm g = f, x = ToLinear(op->args[0]), rest;
    if (!Faithful(x, op->dtype)) continue;
    AddTerm(&g, atom, -k);
    AddForm(&g, x, k / *c);
    rest.constant = *c - 1;
    if (k > 0) AddForm(&g, rest, -(k / *c));
    if (Eliminate(g, fuel - 1)) return true;
  }
  return false;
}

bool Analyzer::Impl::ProveCompare(OpCode op, const Expr& a, const Expr& b) {
  LinearForm diff = ToLinear(b), other = ToLinear(a);  // b - a
  if (!Faithful(diff, b.dtype()) || !Faithful(other, a.dtype())) return false;
  AddForm(&diff, other, -1);
  LinearForm negated;
  AddForm(&negated, diff, -1);
  switch (op) {
    case OpCode::kLt:
      AddConstant(&diff, -1);
      return NonNegative(diff, kFuel);
    case OpCode::kLe:
      return NonNegative(diff, kFuel);
    case OpCode::kGt:
      AddConstant(&negated, -1);
      return NonNegative(negated, kFuel);
    case OpCode::kGe:
      return NonNegative(negated, kFuel);
    case OpCode::kEq: {
      Congruence m = ModuloOf(diff);
      if (m.divisor == 0 && m.remainder == 0) return true;
      return NonNegative(diff, kFuel) && NonNegative(negated, kFuel);
    }
    default: {  // kNe
      Congruence m = ModuloOf(diff);
      if (m.divisor > 1 && m.remainder != 0) return true;
      AddConstant(&diff, -1);
      if (NonNegative(diff, kFuel)) return true;
      AddConstant(&negated, -1);
      return NonNegative(negated, kFuel);
    }
  }
}

bool Analyzer::Impl::ProveFast(const Expr& cond) {
  if (auto c = AsInt(cond)) return *c != 0;
  for (size_t i = 0; i < conditions.size(); ++i) {
    if ((conditions_use[i] & Use()) && Compare(conditions[i], cond) == 0) return true;
  }
  const auto* op = cond.as<OpObj>();
  if (op == nullptr) return false;
  switch (op->op()) {
    case OpCode::kAnd:
      return ProveFast(op->args[0]) && ProveFast(op->args[1]);
    case OpCode::kOr:
      return ProveFast(op->args[0]) || ProveFast(op->args[1]);
    case OpCode::kNot: {
      const auto* inner = op->args[0].as<OpObj>();
      if (inner == nullptr) return false;
      if (inner->op() == OpCode::kAnd)
        return ProveFast(Not(inner->args[0])) || ProveFast(Not(inner->args[1]));
      if (inner->op() == OpCode::kOr)
        return ProveFast(Not(inner->args[0])) && ProveFast(Not(inner->args[1]));
      return false;
    }
    case OpCode::kEq: {
      // e % d == r by congruence.
      const auto* mod = op->args[0].as<OpObj>();
      auto r = AsInt(op->args[1]);
      if (mod != nullptr && r && (mod->op() == OpCode::kFloorMod)) {
        if (auto d = AsInt(mod->args[1]); d && *d > 0) {
          Congruence m = ModuloOf(mod->args[0]);
          if (m.divisor % *d == 0 && FloorModInt(m.remainder, *d) == *r) return true;
        }
      }
      [[fallthrough]];
    }
    case OpCode::kNe:
    case OpCode::kLt:
    case OpCode::kLe:
    case OpCode::kGt:
    case OpCode::kGe:
      if (!IsInteger(op->args[0].dtype()) || op->args[0].dtype().lanes > 1) return false;
      return ProveCompare(op->op(), op->args[0], op->args[1]);
    default:
      return false;
  }
}

void Analyzer::Impl::AssumeSimplified(const Expr& cond, uint8_t use) {
  if (AsInt(cond)) return;
  conditions.push_back(cond);
  conditions_use.push_back(use);
  const auto* op = cond.as<OpObj>();
  if (op == nullptr || op->args.size() != 2) return;
  if (op->op() == OpCode::kAnd) {
    AssumeSimplified(op->args[0], use);
    AssumeSimplified(op->args[1], use);
    return;
  }
  if (op->args[0].dtype().lanes > 1 || !IsInteger(op->args[0].dtype())) return;
  LinearForm up = ToLinear(op->args[1]), other = ToLinear(op->args[0]);  // b - a
  // What the machine compares are not these forms if one wraps.
  DataType t = op->args[0].dtype();
  auto faithful = [&] { return Faithful(up, t) && Faithful(other, t); };
  if (!faithful()) use &= ~kIndexFact;
  bool outer = std::exchange(values, true);
  if (!faithful()) use &= ~kValueFact;
  values = outer;
  if (use == 0) return;
  AddForm(&up, other, -1);
  LinearForm down;
  AddForm(&down, up, -1);
  auto add = [&](LinearForm& form, int64_t constant) {
    AddConstant(&form, constant);
    nonneg.push_back(form);
    nonneg_use.push_back(use);
  };
  switch (op->op()) {
    case OpCode::kLt:
      return add(up, -1);
    case OpCode::kLe:
      return add(up, 0);
    case OpCode::kGt:
      return add(down, -1);
    case OpCode::kGe:
      return add(down, 0);
    case OpCode::kEq:
      add(up, 0);
      return add(down, 0);
    default:
      return;
  }
}

}  // namespace tilescale::arith
