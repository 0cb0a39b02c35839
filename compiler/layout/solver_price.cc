// SPDX-License-Identifier: MIT
// Prices of a full assignment: every op, every Convert, the families of shared buffers, registers.
#include "compiler/layout/solver_engine.h"
#include "compiler/target/constants.h"

#include <algorithm>

namespace tilescale::solver {

void Solver::Need(int fragment, int op, LayoutId own, LayoutId temporary, int64_t weight,
                  Direction d, Score* score) {
  int bits = p_.fragments[size_t(fragment)].bits;
  for (bool write : {false, true}) {
    if (!(write ? d.out : d.in)) continue;
    LayoutId from = write ? temporary : own, to = write ? own : temporary;
    Model::ConversionCost c = model_.ConvertCost(from, to, bits);
    // A temporary that is written is needed even where each element stays in its place.
    if (c.kind == ConversionKind::kSame && !d.out) return;
    score->cost += c.cost * weight;
    if (edits_) edits_->push_back(Edit{fragment, op, write, from, to, c.cost * weight});
  }
  extra_[size_t(op)] = std::max(
      extra_[size_t(op)], CeilDiv(model_.pool().Slots(temporary) * bits, target::kRegisterBits));
}

bool Solver::PriceFragment(int op, const Nest& n, std::span<const int> reads,
                           std::span<const int> writes, const Assignment& a, Score* score) {
  int nest_class = ClassOfNest(op);
  LayoutId nest = a[size_t(nest_class)];
  int f = model_.use(reads.empty() ? writes[0] : reads[0]).access->fragment;
  LayoutId own = a[size_t(ClassOfFragment(f))];
  const std::vector<int64_t>& size = model_.use(reads.empty() ? writes[0] : reads[0]).size;
  bool one_region = true, read_fits = true, write_fits = true, partial = false;
  LayoutId read_as = kNoLayout, write_as = kNoLayout;
  LayoutId have = kNoLayout;
  auto refuse = [&](const Derived& d) {
    score->refusal = n.name + ": " + d.refusal;
    return false;
  };
  for (bool write : {false, true}) {
    for (int u : write ? writes : reads) {
      const Derived* want = &model_.PulledBy(u, nest);
      // What no replica pattern says, every thread may hold.
      if (want->id == kNoLayout && !write && (lenient_ || classes_[size_t(nest_class)].hard)) {
        want = &model_.ReplicatedRegion(u);
      }
      const Derived& region = model_.RegionOf(u, own);
      if (want->id == kNoLayout || region.id == kNoLayout) {
        return refuse(want->id == kNoLayout ? *want : region);
      }
      one_region &= model_.use(u).size == size;
      have = region.id;
      bool covers = model_.Contains(have, want->id);
      LayoutId& as = write ? write_as : read_as;
      if (!write) {
        read_fits &= covers;
        if (as == kNoLayout) as = want->id;
        // Two index patterns: whatever a thread reads, it has.
        if (!(one_region && model_.Contains(as, want->id))) as = model_.ReplicatedRegion(u).id;
      } else {
        write_fits &= covers && model_.Contains(want->id, have);
        partial |= model_.use(u).access->partial;
        if (as == kNoLayout) as = want->id;
        one_region &= as == want->id;
      }
    }
  }
  if (read_fits && write_fits) return true;
  if (!write_fits && !lenient_ && !classes_[size_t(ClassOfFragment(f))].hard) {
    score->refusal = n.name + " does not own what it writes to " + NameOf(f);
    return false;
  }
  if (writes.empty()) {
    if (!one_region) {
      have = own;
      read_as = model_.ReplicatedFragment(f, op).id;
    }
    Need(f, op, have, read_as, n.weight, {true, false}, score);
    return true;
  }
  if (!one_region || (!reads.empty() && !model_.Contains(write_as, read_as))) {
    score->refusal = n.name + " uses " + NameOf(f) + " under two index patterns";
    return false;
  }
  Need(f, op, have, write_as, n.weight, {!reads.empty() || partial, true}, score);
  return true;
}

bool Solver::PriceNest(int op, const Nest& n, const Assignment& a, Score* score) {
  LayoutId nest = a[size_t(ClassOfNest(op))];
  int64_t cost = model_.ArithmeticCost(op, nest);
  for (int u : model_.Memory(op)) {
    if (model_.memory_use(u).access->buffer < 0) cost += model_.MemoryUseCost(u, 0, nest);
  }
  score->cost += cost * n.weight;
  std::vector<int> done;
  for (const std::vector<int>* uses : {&model_.Reads(op), &model_.Writes(op)}) {
    for (int u : *uses) {
      int f = model_.use(u).access->fragment;
      if (std::find(done.begin(), done.end(), f) != done.end()) continue;
      done.push_back(f);
      std::vector<int> of[2];
      for (int k = 0; k < 2; ++k) {
        for (int v : k ? model_.Writes(op) : model_.Reads(op)) {
          if (model_.use(v).access->fragment == f) of[k].push_back(v);
        }
      }
      if (!PriceFragment(op, n, of[0], of[1], a, score)) return false;
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
    if (from.id != of(src)) Need(src, i, of(src), from.id, weight, {true, false}, score);
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
      Need(r->dst, i, of(r->dst), result.id, r->weight, {r->accumulates, true}, score);
    }
  } else if (const Anchor* x = std::get_if<Anchor>(&op)) {
    LayoutId want = model_.pool().Add(x->layout);
    if (want != of(x->fragment)) {
      Need(x->fragment, i, of(x->fragment), want, x->weight,
           {true, x->use != AnchorUse::kRead && x->writes}, score);
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
    Need(v->dst, i, of(v->dst), want.id, 1, {false, true}, score);
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
    int64_t regs = CeilDiv(const_cast<Model&>(model_).pool().Slots(id) * p_.fragments[f].bits,
                           target::kRegisterBits);
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
