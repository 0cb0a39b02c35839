// SPDX-License-Identifier: MIT
// Prices of a full assignment: every op, every Convert, the families of shared buffers, registers.
#include "compiler/layout/solver_engine.h"

#include <algorithm>

namespace tilescale::solver {

void Solver::Need(int fragment, int op, LayoutId from, LayoutId to, int64_t weight, bool write,
                  Score* score) {
  int bits = p_.fragments[size_t(fragment)].bits;
  Model::ConversionCost c = model_.ConvertCost(from, to, bits);
  score->cost += c.cost * weight;
  if (c.kind == ConversionKind::kSame) return;
  extra_[size_t(op)] =
      std::max(extra_[size_t(op)], CeilDiv(model_.pool().Slots(write ? from : to) * bits, 32));
  if (edits_) edits_->push_back(Edit{fragment, op, write, from, to, c.cost * weight});
}

bool Solver::PriceNest(int op, const Nest& n, const Assignment& a, Score* score) {
  int nest_class = ClassOfNest(op);
  LayoutId nest = a[size_t(nest_class)];
  int64_t cost = model_.ArithmeticCost(op, nest);
  for (int u : model_.Memory(op)) {
    if (model_.memory_use(u).access->buffer < 0) cost += model_.MemoryUseCost(u, 0, nest);
  }
  score->cost += cost * n.weight;
  for (int pass = 0; pass < 2; ++pass) {
    for (int u : pass ? model_.Writes(op) : model_.Reads(op)) {
      int f = model_.use(u).access->fragment;
      const Derived* want = &model_.PulledBy(u, nest);
      // What no replica pattern says, every thread may hold.
      if (want->id == kNoLayout && !pass && (lenient_ || classes_[size_t(nest_class)].hard)) {
        want = &model_.ReplicatedRegion(u);
      }
      const Derived& have = model_.RegionOf(u, a[size_t(ClassOfFragment(f))]);
      if (want->id == kNoLayout || have.id == kNoLayout) {
        score->refusal = n.name + ": " + (want->id == kNoLayout ? want->refusal : have.refusal);
        return false;
      }
      bool covers = model_.Contains(have.id, want->id);
      if (!pass) {
        if (!covers) Need(f, op, have.id, want->id, n.weight, false, score);
        continue;
      }
      if (covers && model_.Contains(want->id, have.id)) continue;
      if (!lenient_ && !classes_[size_t(ClassOfFragment(f))].hard) {
        score->refusal = n.name + " does not own what it writes to " + NameOf(f);
        return false;
      }
      Need(f, op, want->id, have.id, n.weight, true, score);
    }
  }
  return true;
}

bool Solver::PriceOp(int i, const Assignment& a, Score* score) {
  const Op& op = p_.ops[size_t(i)];
  auto of = [&](int fragment) { return a[size_t(ClassOfFragment(fragment))]; };
  auto reduce = [&](int src, int64_t weight) {
    const Derived& from =
        model_.ReducibleFrom(i, of(src), lenient_ || classes_[size_t(ClassOfFragment(src))].hard);
    if (from.id == kNoLayout) {
      score->refusal = from.refusal;
      return false;
    }
    if (from.id != of(src)) Need(src, i, of(src), from.id, weight, false, score);
    score->cost += model_.ReduceCost(i, from.id) * weight;
    return true;
  };
  if (const Nest* n = std::get_if<Nest>(&op)) return PriceNest(i, *n, a, score);
  if (const Scan* s = std::get_if<Scan>(&op)) return reduce(s->src, s->weight);
  if (const Reduce* r = std::get_if<Reduce>(&op)) {
    if (!reduce(r->src, r->weight)) return false;
    const Derived& result = model_.ReduceResultOf(
        i, of(r->src), lenient_ || classes_[size_t(ClassOfFragment(r->src))].hard);
    // A destination with an anchor of its own is converted to.
    if (result.id != kNoLayout && !model_.Contains(result.id, of(r->dst))) {
      Need(r->dst, i, result.id, of(r->dst), r->weight, true, score);
    }
  } else if (const Anchor* x = std::get_if<Anchor>(&op)) {
    LayoutId want = model_.pool().Add(x->layout);
    if (want != of(x->fragment)) {
      Need(x->fragment, i, of(x->fragment), want, x->weight, false, score);
    }
  } else if (const solver::View* v = std::get_if<solver::View>(&op)) {
    const Derived& want = model_.ViewOf(i, of(v->src));
    if (want.id == of(v->dst)) return true;
    if (v->alias || want.id == kNoLayout) {
      score->refusal =
          NameOf(v->dst) + " cannot view " + NameOf(v->src) + ": " +
          (want.id == kNoLayout ? want.refusal
                                : "it has " + model_.pool()[of(v->dst)].Text() +
                                      ", the view needs " + model_.pool()[want.id].Text());
      return false;
    }
    Need(v->dst, i, want.id, of(v->dst), 1, true, score);
  }
  return true;
}

int64_t Solver::FamilyCost(int buffer, int option, const Assignment& a, int64_t limit) {
  int64_t cost = 0;
  // Matrix reads first: they are cheap to price and rule families out.
  for (bool nests : {false, true}) {
    for (const BufferUse& b : buffer_uses_[size_t(buffer)]) {
      if ((b.use >= 0) != nests) continue;
      if (cost >= limit) return cost;
      int64_t weight, c;
      if (nests) {
        weight = std::get<Nest>(p_.ops[size_t(b.op)]).weight;
        c = model_.MemoryUseCost(b.use, option, a[size_t(ClassOfNest(b.op))]);
      } else {
        weight = std::get<MatrixReads>(p_.ops[size_t(b.op)]).weight;
        c = model_.MatrixReadCost(b.op, option);
      }
      if (c == kRefused) return kRefused;
      cost += c * weight;
    }
  }
  return cost;
}

bool Solver::PriceFamilies(const Assignment& a, Score* score, std::vector<int>* families) {
  for (size_t b = 0; b < p_.buffers.size(); ++b) {
    int64_t best = kRefused;
    int chosen = -1;
    for (size_t o = 0; o < p_.buffers[b].options.size(); ++o) {
      int64_t c = FamilyCost(int(b), int(o), a, best == kRefused ? kNoLimit : best);
      if (c == kRefused || (best != kRefused && c >= best)) continue;
      best = c;
      chosen = int(o);
    }
    if (chosen < 0) {
      score->refusal = "no family of " + p_.buffers[b].name + " suits all its users";
      return false;
    }
    score->cost += best;
    if (families) families->push_back(chosen);
  }
  return true;
}

// 32-bit registers a thread at the worst op: live fragments and the op's temporaries.
int64_t Solver::Registers(const Assignment& a) const {
  int64_t worst = 0;
  std::vector<int64_t> change(p_.ops.size() + 1, 0);
  for (size_t f = 0; f < p_.fragments.size(); ++f) {
    auto [first, last] = live_[f];
    if (first > last) continue;
    LayoutId id = a[size_t(ClassOfFragment(int(f)))];
    int64_t regs = CeilDiv(const_cast<Model&>(model_).pool().Slots(id) * p_.fragments[f].bits, 32);
    change[size_t(first)] += regs;
    change[size_t(last) + 1] -= regs;
  }
  int64_t live = 0;
  for (size_t i = 0; i < p_.ops.size(); ++i) {
    live += change[i];
    worst = std::max(worst, live + extra_[i]);
  }
  return worst;
}

Score Solver::Evaluate(const Assignment& a, std::vector<Edit>* edits, std::vector<int>* families) {
  Score score;
  edits_ = edits;
  extra_.assign(p_.ops.size(), 0);
  for (int i = 0; i < int(p_.ops.size()); ++i) {
    if (!PriceOp(i, a, &score)) return score;
  }
  if (!PriceFamilies(a, &score, families)) return score;
  score.registers = Registers(a);
  const Weights& w = p_.weights;
  score.cost += score.registers + w.spill * std::max<int64_t>(0, score.registers - w.registers);
  score.ok = true;
  return score;
}

}  // namespace tilescale::solver
