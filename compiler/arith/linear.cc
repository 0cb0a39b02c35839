// SPDX-License-Identifier: MIT
// Sums in normal form: Σ coeff·atom + constant with atoms in a deterministic order.
#include "compiler/arith/analyzer_impl.h"

#include <algorithm>
#include <bit>

namespace tilescale::arith {

using namespace ir;  // NOLINT: the folder speaks of IR expressions throughout

namespace {

// Modulo 2^64; true where that is not the integer.
bool Sum(int64_t a, int64_t b, int64_t* out) {
  return __builtin_add_overflow(a, b, out);
}
bool Product(int64_t a, int64_t b, int64_t* out) {
  return __builtin_mul_overflow(a, b, out);
}

int64_t Negated(int64_t a) {
  return static_cast<int64_t>(-static_cast<uint64_t>(a));
}

int CompareInt(int64_t a, int64_t b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

}  // namespace

int Analyzer::Impl::Compare(const Expr& a, const Expr& b) {
  if (a.get() == b.get()) return 0;
  if (!a.defined() || !b.defined()) return a.defined() ? 1 : -1;
  if (a.kind() != b.kind()) return CompareInt(int(a.kind()), int(b.kind()));
  DataType ta = a.dtype(), tb = b.dtype();
  if (ta.code != tb.code) return CompareInt(ta.code, tb.code);
  if (ta.bits != tb.bits) return CompareInt(ta.bits, tb.bits);
  if (ta.lanes != tb.lanes) return CompareInt(ta.lanes, tb.lanes);
  auto each = [&](const ffi::Array<Expr>& x, const ffi::Array<Expr>& y) {
    if (x.size() != y.size()) return CompareInt(x.size(), y.size());
    for (size_t i = 0; i < x.size(); ++i) {
      if (int c = Compare(x[i], y[i])) return c;
    }
    return 0;
  };
  switch (a.kind()) {
    case NodeKind::kVar:
      return CompareInt(OrderOf(a.as<VarObj>()), OrderOf(b.as<VarObj>()));
    case NodeKind::kConst: {
      const auto *x = a.as<ConstObj>(), *y = b.as<ConstObj>();
      if (x->i != y->i) return CompareInt(x->i, y->i);
      return CompareInt(std::bit_cast<int64_t>(x->f), std::bit_cast<int64_t>(y->f));
    }
    case NodeKind::kOp: {
      const auto *x = a.as<OpObj>(), *y = b.as<OpObj>();
      if (x->code != y->code) return CompareInt(x->code, y->code);
      return each(x->args, y->args);
    }
    case NodeKind::kLoad: {
      const auto *x = a.as<LoadObj>(), *y = b.as<LoadObj>();
      if (x->buffer.get() != y->buffer.get()) {
        int c = Str(x->buffer->name).compare(Str(y->buffer->name));
        return c != 0 ? (c < 0 ? -1 : 1) : (x->buffer.get() < y->buffer.get() ? -1 : 1);
      }
      if (int c = each(x->index, y->index)) return c;
      if (int c = Compare(x->guard, y->guard)) return c;
      return Compare(x->other, y->other);
    }
    case NodeKind::kSlot: {
      const auto *x = a.as<SlotObj>(), *y = b.as<SlotObj>();
      if (x->token.get() != y->token.get()) {
        return Str(x->token->name) < Str(y->token->name) ? -1 : 1;
      }
      if (x->out != y->out) return CompareInt(x->out, y->out);
      if (x->phase != y->phase) return CompareInt(x->phase, y->phase);
      return CompareInt(x->back, y->back);
    }
    default: {
      const auto *x = a.as<AddrObj>(), *y = b.as<AddrObj>();
      if (x == nullptr || y == nullptr) return a.get() < b.get() ? -1 : 1;
      if (x->region->buffer.get() != y->region->buffer.get()) {
        return Str(x->region->buffer->name) < Str(y->region->buffer->name) ? -1 : 1;
      }
      return each(x->region->begin, y->region->begin);
    }
  }
}

void Analyzer::Impl::AddTerm(LinearForm* f, const Expr& atom, int64_t coeff) {
  if (coeff == 0) return;
  auto it = f->terms.begin();
  for (; it != f->terms.end(); ++it) {
    int c = Compare(it->first, atom);
    if (c == 0) {
      f->overflow |= Sum(it->second, coeff, &it->second);
      if (it->second == 0) f->terms.erase(it);
      return;
    }
    if (c > 0) break;
  }
  f->terms.insert(it, {atom, coeff});
}

void Analyzer::Impl::AddForm(LinearForm* f, const LinearForm& g, int64_t factor) {
  f->overflow |= g.overflow;
  for (const auto& [atom, coeff] : g.terms) {
    int64_t scaled;
    f->overflow |= Product(coeff, factor, &scaled);
    AddTerm(f, atom, scaled);
  }
  int64_t constant;
  f->overflow |= Product(g.constant, factor, &constant);
  f->overflow |= Sum(f->constant, constant, &f->constant);
}

LinearForm Analyzer::Impl::LinearOfProduct(const LinearForm& a, const LinearForm& b) {
  LinearForm out;
  DataType t = !a.terms.empty() ? a.terms[0].first.dtype() : b.terms[0].first.dtype();
  AddForm(&out, a, b.constant);
  AddForm(&out, b, a.constant);
  out.overflow |= Product(a.constant, b.constant, &out.constant);
  for (const auto& [x, cx] : a.terms) {
    for (const auto& [y, cy] : b.terms) {
      // Products are flat and sorted, so that equal monomials are equal atoms.
      std::vector<Expr> factors;
      auto flatten = [&](auto&& self, const Expr& e) -> void {
        const auto* op = e.as<OpObj>();
        if (op != nullptr && op->op() == OpCode::kMul) {
          self(self, op->args[0]);
          self(self, op->args[1]);
        } else {
          factors.push_back(e);
        }
      };
      flatten(flatten, x);
      flatten(flatten, y);
      std::stable_sort(factors.begin(), factors.end(),
                       [&](const Expr& p, const Expr& q) { return Compare(p, q) < 0; });
      Expr product = factors[0];
      for (size_t i = 1; i < factors.size(); ++i) {
        product = MakeOp(OpCode::kMul, {product, factors[i]}, t);
      }
      int64_t coeff;
      out.overflow |= Product(cx, cy, &coeff);
      AddTerm(&out, product, coeff);
    }
  }
  return out;
}

LinearForm Analyzer::Impl::ToLinear(const Expr& e) {
  LinearForm out;
  if (auto c = AsInt(e)) {
    out.constant = *c;
    out.overflow = BeyondInt64(e);
    return out;
  }
  const auto* op = e.as<OpObj>();
  if (op != nullptr && IsInteger(e.dtype())) {
    switch (op->op()) {
      case OpCode::kAdd:
        out = ToLinear(op->args[0]);
        AddForm(&out, ToLinear(op->args[1]), 1);
        return out;
      case OpCode::kSub:
        out = ToLinear(op->args[0]);
        AddForm(&out, ToLinear(op->args[1]), -1);
        return out;
      case OpCode::kNeg:
        AddForm(&out, ToLinear(op->args[0]), -1);
        return out;
      case OpCode::kMul: {
        LinearForm a = ToLinear(op->args[0]), b = ToLinear(op->args[1]);
        if (a.terms.empty()) std::swap(a, b);
        if (b.terms.empty()) {
          AddForm(&out, a, b.constant);
          return out;
        }
        size_t total = (a.terms.size() + (a.constant != 0)) * (b.terms.size() + (b.constant != 0));
        if (total > 1 && total <= 9) return LinearOfProduct(a, b);
        if (a.terms.size() == 1 && b.terms.size() == 1 && a.constant == 0 && b.constant == 0) {
          return LinearOfProduct(a, b);
        }
        break;
      }
      case OpCode::kShl:
        if (auto s = AsInt(op->args[1]); s && *s >= 0 && *s < 31) {
          AddForm(&out, ToLinear(op->args[0]), int64_t(1) << *s);
          return out;
        }
        break;
      default:
        break;
    }
  }
  AddTerm(&out, e, 1);
  return out;
}

Expr Analyzer::Impl::Build(const LinearForm& f, DataType t) {
  Expr sum;
  auto add = [&](Expr term, bool negative) {
    if (!sum.defined()) {
      sum = negative ? MakeOp(OpCode::kSub, {MakeConst(0, t), term}, t) : term;
    } else {
      sum = MakeOp(negative ? OpCode::kSub : OpCode::kAdd, {sum, term}, t);
    }
  };
  // A number that wraps is right where arithmetic does, and no integer.
  auto number = [&](int64_t k) {
    escaped = escaped || (!Wraps(t) && !FitsInt(k, t));
    return MakeConst(k, t);
  };
  auto scaled = [&](const Expr& atom, int64_t k) {
    return k == 1 ? atom : MakeOp(OpCode::kMul, {atom, number(k)}, t);
  };
  // Positive terms first: no leading minus where one can be avoided.
  for (const auto& [atom, coeff] : f.terms) {
    if (coeff > 0) add(scaled(atom, coeff), false);
  }
  if (!sum.defined() && f.constant > 0) {
    sum = number(f.constant);
  }
  bool constant_done = sum.defined() && f.constant > 0 && AsInt(sum).has_value();
  for (const auto& [atom, coeff] : f.terms) {
    if (coeff < 0) add(scaled(atom, Negated(coeff)), true);
  }
  if (!sum.defined()) return number(f.constant);
  if (!constant_done && f.constant != 0) {
    add(number(f.constant > 0 ? f.constant : Negated(f.constant)), f.constant < 0);
  }
  return sum;
}

bool Analyzer::Impl::Faithful(const LinearForm& f, DataType t) {
  if (f.overflow) return false;
  if (!Wraps(t)) return true;
  bool atom = f.terms.size() == 1 && f.terms[0].second == 1 && f.constant == 0;
  if (atom) return true;
  Interval r = BoundsOf(f), type = RangeOfType(t);
  return r.Bounded() && r.lo >= type.lo && r.hi <= type.hi;
}

// k·c·(x / c) + k·(x % c) is k·x.
void Analyzer::Impl::RecombineDivMod(LinearForm* f) {
  for (bool changed = true; changed;) {
    changed = false;
    for (const auto& [atom, coeff] : f->terms) {
      const auto* mod = atom.as<OpObj>();
      if (mod == nullptr || mod->op() != OpCode::kFloorMod) continue;
      auto c = AsInt(mod->args[1]);
      if (!c) continue;
      Expr div;
      for (const auto& [other, k] : f->terms) {
        const auto* d = other.as<OpObj>();
        if (d != nullptr && d->op() == OpCode::kFloorDiv && k == coeff * *c &&
            IsConst(d->args[1], *c) && Compare(d->args[0], mod->args[0]) == 0) {
          div = other;
          break;
        }
      }
      if (!div.defined()) continue;
      Expr mod_atom = atom;
      int64_t k = coeff;
      AddTerm(f, mod_atom, -k);
      AddTerm(f, div, -k * *c);
      AddForm(f, ToLinear(mod_atom.as<OpObj>()->args[0]), k);
      changed = true;
      break;
    }
  }
}

}  // namespace tilescale::arith
