// SPDX-License-Identifier: MIT
// The public face of the analyzer: facts with undo, and queries.
#include "compiler/arith/analyzer.h"

#include "compiler/arith/analyzer_impl.h"
#include "compiler/ir/size.h"

namespace tilescale::arith {

using namespace ir;  // NOLINT

Analyzer::Analyzer() : impl_(std::make_unique<Impl>()) {
  impl_->self = this;
}
Analyzer::~Analyzer() = default;

namespace {

void ForEachRead(const Expr& e, const std::function<void(const StorageObj*)>& f) {
  Walk(e, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kLoad) f(static_cast<const LoadObj*>(n)->buffer->storage.get());
    return true;
  });
}

bool ReadsAny(const Expr& e, const std::function<bool(const StorageObj*)>& which) {
  bool reads = false;
  ForEachRead(e, [&](const StorageObj* s) { reads = reads || which(s); });
  return reads;
}

}  // namespace

void Analyzer::Impl::Push(const VarObj* var, bool fact) {
  int64_t state = fact ? ++states : undo.empty() ? 0 : undo.back().state;
  Undo u{var, {}, false, nonneg.size(), conditions.size(), state};
  if (auto it = vars.find(var); var != nullptr && it != vars.end()) {
    u.had = true;
    u.old_fact = it->second;
  }
  undo.push_back(std::move(u));
}

size_t Analyzer::Mark() const {
  impl_->Push(nullptr, false);
  return impl_->undo.size() - 1;
}

void Analyzer::Leave(size_t mark) {
  auto& undo = impl_->undo;
  while (undo.size() > mark) {
    Impl::Undo& u = undo.back();
    if (u.var != nullptr) {
      if (u.had) {
        impl_->vars[u.var] = u.old_fact;
      } else {
        impl_->vars.erase(u.var);
      }
    }
    impl_->nonneg.resize(u.nonneg);
    impl_->nonneg_use.resize(u.nonneg);
    impl_->conditions.resize(u.conditions);
    impl_->conditions_use.resize(u.conditions);
    undo.pop_back();
  }
}

namespace {

void SetFact(Analyzer::Impl* impl, const Var& var, VarFact fact);

}  // namespace

void Analyzer::Bind(const Var& var, Interval range) {
  SetFact(impl_.get(), var, VarFact{range, Expr(), Expr(), Expr(), range});
}

void Analyzer::Bind(const Var& var, const Expr& begin, const Expr& extent) {
  Expr first = impl_->Rewrite(begin);
  Expr last =
      impl_->Rewrite(ir::Add(ir::Add(first, Cast(impl_->Rewrite(extent), first.dtype())), -1));
  Interval low = impl_->BoundsOf(first), high = impl_->BoundsOf(last);
  // The loop counts from `begin` up while it is below a bound that may have wrapped.
  impl_->values = true;
  Interval machine{impl_->BoundsOf(begin).lo, Interval::kMax};
  Expr end = ir::Add(ir::Add(begin, Cast(extent, begin.dtype())), -1);
  if (impl_->Faithful(impl_->ToLinear(end), end.dtype())) machine.hi = impl_->BoundsOf(end).hi;
  impl_->values = false;
  // The values of memory at the start of a loop are not those within it.
  if (Loads(first)) first = Expr();
  if (Loads(last)) last = Expr();
  SetFact(impl_.get(), var, VarFact{{low.lo, high.hi}, first, last, Expr(), machine});
}

void Analyzer::Define(const Var& var, const Expr& value) {
  Expr v = impl_->Rewrite(value);
  Interval range = IsInteger(v.dtype()) && v.dtype().lanes == 1 ? impl_->BoundsOf(v) : Interval{};
  Interval machine = v.dtype().lanes == 1 ? ValueBounds(value) : Interval{};
  SetFact(impl_.get(), var, VarFact{range, Expr(), Expr(), Loads(v) ? Expr() : v, machine});
}

namespace {

void SetFact(Analyzer::Impl* impl, const Var& var, VarFact fact) {
  impl->Push(var.get(), true);
  impl->keep.push_back(var);
  impl->vars[var.get()] = std::move(fact);
}

// Replaces variables that are defined by their values, as far as the tree stays small: a chain of
// definitions that each use the one before twice is a tree of 2^n. What stays a variable has an
// interval.
class Inline : public Mutator {
 public:
  explicit Inline(const std::unordered_map<const VarObj*, VarFact>& vars) : vars_(vars) {}
  Expr MutateVar(const Var& v) override {
    auto it = vars_.find(v.get());
    if (it == vars_.end() || !it->second.value.defined()) return v;
    if (LargerThan(it->second.value, left_)) return v;
    Walk(it->second.value, [&](const NodeObj*) { return --left_ >= 0; });
    return MutateExpr(it->second.value);
  }

 private:
  const std::unordered_map<const VarObj*, VarFact>& vars_;
  int left_ = 512;  // nodes
};

}  // namespace

void Analyzer::Assume(const Expr& cond) {
  impl_->Push(nullptr, true);
  Expr fact = impl_->Rewrite(Inline(impl_->vars).MutateExpr(cond));
  impl_->memory_facts += Loads(fact);
  // Once as integers, once as the machine computes it; mostly that is the same.
  impl_->values = true;
  Expr exact = impl_->Rewrite(cond);
  impl_->values = false;
  if (impl_->Compare(fact, exact) == 0) {
    impl_->AssumeSimplified(fact, Impl::kIndexFact | Impl::kValueFact);
    return;
  }
  impl_->AssumeSimplified(fact, Impl::kIndexFact);
  impl_->AssumeSimplified(exact, Impl::kValueFact);
}

bool Analyzer::ReadsMemory() const {
  return impl_->memory_facts > 0;
}

void Analyzer::Forget(const std::function<bool(const StorageObj*)>& written) {
  // In place: marks count facts. Nothing is left of one but what always holds.
  bool some = false;
  for (Expr& cond : impl_->conditions) {
    if (!ReadsAny(cond, written)) continue;
    cond = MakeConst(1, Bool());
    some = true;
  }
  for (LinearForm& form : impl_->nonneg) {
    bool reads = false;
    for (const auto& [atom, k] : form.terms) reads = reads || ReadsAny(atom, written);
    if (reads) form = LinearForm();
    some = some || reads;
  }
  impl_->forgotten += some;
}

Expr Analyzer::Simplify(const Expr& e) {
  return impl_->Rewrite(e);
}
Expr Analyzer::SimplifyValue(const Expr& e) {
  impl_->values = true;
  Expr out = impl_->Rewrite(e);
  impl_->values = false;
  return out;
}
Interval Analyzer::ValueBounds(const Expr& e) {
  impl_->values = true;
  Interval out = impl_->BoundsOf(impl_->Rewrite(e));
  impl_->values = false;
  return out;
}
LinearForm Analyzer::Linear(const Expr& e) {
  return impl_->ToLinear(impl_->Rewrite(e));
}
Expr Analyzer::FromLinear(const LinearForm& f, DataType dtype) {
  Expr sum = impl_->Build(f, dtype);
  return std::exchange(impl_->escaped, false) ? Expr() : sum;
}
Interval Analyzer::Bounds(const Expr& e) {
  return impl_->BoundsOf(impl_->Rewrite(Inline(impl_->vars).MutateExpr(e)));
}
Congruence Analyzer::Modulo(const Expr& e) {
  return impl_->ModuloOf(impl_->Rewrite(Inline(impl_->vars).MutateExpr(e)));
}
bool Analyzer::Divides(int64_t divisor, const Expr& e) {
  if (divisor == 1) return true;
  Congruence m = Modulo(e);
  return m.divisor % divisor == 0 && m.remainder % divisor == 0;
}

bool Analyzer::Prove(const Expr& cond, Tier limit) {
  impl_->stats.queries++;
  impl_->counterexample.clear();
  Expr c = impl_->Rewrite(Inline(impl_->vars).MutateExpr(cond));
  if (impl_->ProveFast(c)) {
    impl_->stats.fast++;
    return true;
  }
  if (AsInt(c) || limit == Tier::kFast) return false;
  if (auto known = impl_->ProveByEnumeration(c)) {
    impl_->stats.enumerated++;
    if (*known || impl_->conditions.empty()) return *known;
  }
  if (limit == Tier::kEnumerate) return false;
  return impl_->ProveBySolver(c);
}

std::optional<int64_t> Analyzer::Stride(const Expr& e, const Var& var) {
  LinearForm f = Linear(e);
  int64_t stride = 0;
  for (const auto& [atom, k] : f.terms) {
    if (atom.same_as(var)) {
      stride = k;
      continue;
    }
    bool uses = false;
    Walk(atom, [&](const NodeObj* n) {
      uses = uses || n == var.get();
      return !uses;
    });
    if (uses) return std::nullopt;
  }
  return stride;
}

const Analyzer::Stats& Analyzer::stats() const {
  return impl_->stats;
}
const std::string& Analyzer::counterexample() const {
  return impl_->counterexample;
}

}  // namespace tilescale::arith
