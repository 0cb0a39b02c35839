// SPDX-License-Identifier: MIT
// A nest's layout read backwards: which points one thread runs.
#include "compiler/ir/diag.h"
#include "compiler/passes/partition_and_vectorize/partition.h"

#include <algorithm>
#include <cstdlib>

namespace tilescale::partition {

using namespace ir;  // NOLINT

namespace {

struct ThreadDigit {
  Var var;
  int64_t n;
  int64_t stride;  // > 0
  bool replica;
};

// Takes out of `digits`, sorted by stride, those that keep the others from passing the gap test
// (layout/invert.cc): of each overlap the digit of the fewest values.
std::vector<ThreadDigit> TakeOverlapping(std::vector<ThreadDigit>* digits) {
  std::vector<ThreadDigit> taken;
  int64_t reach = 0;
  for (size_t i = 0; i < digits->size();) {
    if ((*digits)[i].stride > reach) {
      reach += ((*digits)[i].n - 1) * (*digits)[i].stride;
      ++i;
      continue;
    }
    auto least =
        std::min_element(digits->begin(), digits->begin() + static_cast<std::ptrdiff_t>(i) + 1,
                         [](const ThreadDigit& a, const ThreadDigit& b) { return a.n < b.n; });
    taken.push_back(*least);
    digits->erase(least);
    reach = 0;
    i = 0;
  }
  return taken;
}

// The thread digits' values. Where the strides pass the gap test: what the larger digits leave of
// tid, divided by the stride; places between are holes. The values of other digits are tried one
// after the other (NestPlan::tried), each time the rest of tid is read as above.
void PlanThreads(std::vector<ThreadDigit>* digits, int64_t offset, Expr tid, int64_t threads,
                 arith::Analyzer* analyzer, const Span& span, NestPlan* plan) {
  std::stable_sort(digits->begin(), digits->end(),
                   [](const ThreadDigit& a, const ThreadDigit& b) { return a.stride < b.stride; });
  auto must = [](Expr* cond, Expr c) { *cond = And(*cond, c); };
  int64_t top = offset;
  for (const ThreadDigit& d : *digits) top += (d.n - 1) * d.stride;
  if (offset < 0 || top >= threads) {
    RaiseAt(span, "ValueError", "the layout takes threads ", offset, " to ", top, ", threads 0 to ",
            threads - 1, " run the statement");
  }
  int64_t reach = offset;
  for (const ThreadDigit& d : TakeOverlapping(digits)) {
    plan->tried.push_back({d.var, d.n, 0});
    analyzer->Bind(d.var, arith::Interval{0, d.n - 1});
    tid = Sub(tid, Mul(d.var, d.stride));
    reach += (d.n - 1) * d.stride;
    if (d.replica) must(&plan->primary, Eq(d.var, MakeConst(0, d.var.dtype())));
  }
  if (reach > 0) {
    Var rest = MakeVar("rest");
    plan->binds.push_back(MakeBind(rest, analyzer->Simplify(Add(tid, -offset)), span));
    analyzer->Bind(rest, arith::Interval{-reach, threads - 1 - offset});
    must(&plan->valid, Ge(rest, MakeConst(0)));
    tid = rest;
  }
  if (digits->empty() && threads > 1) {
    // No thread digit at all: all points in one thread.
    must(&plan->valid, Eq(tid, MakeConst(0, tid.dtype())));
  }
  std::vector<Expr> left(digits->size() + 1, tid);  // of tid, below digit i
  for (size_t i = digits->size(); i-- > 0;) {
    left[i] = analyzer->Simplify(FloorMod(left[i + 1], (*digits)[i].stride));
  }
  for (size_t i = 0; i < digits->size(); ++i) {
    const ThreadDigit& d = (*digits)[i];
    bool last = i + 1 == digits->size();
    int64_t room = last ? threads - offset : (*digits)[i + 1].stride;
    if (i == 0 && d.stride > 1) must(&plan->valid, Eq(left[0], MakeConst(0, tid.dtype())));
    Expr value = analyzer->Simplify(FloorDiv(left[i + 1], d.stride));
    plan->binds.push_back(MakeBind(d.var, value, span));
    // What lies above n·stride inside the room is a hole.
    if (d.n * d.stride < room) must(&plan->valid, Lt(d.var, MakeConst(d.n, d.var.dtype())));
    analyzer->Bind(d.var, arith::Interval{0, d.n - 1});
    if (d.replica) must(&plan->primary, Eq(d.var, MakeConst(0, d.var.dtype())));
  }
}

}  // namespace

NestPlan PlanNest(const Layout& layout, const Expr& tid, int64_t threads,
                  const ffi::Array<Var>& vars, arith::Analyzer* analyzer, const Span& span) {
  NestPlan plan;
  plan.coords.resize(vars.size());
  std::vector<ThreadDigit> thread_digits;
  int64_t offset = layout.off()[kThread];
  // A digit that steps backwards counts from its other end.
  auto thread_digit = [&](const Var& v, int64_t n, int64_t stride, bool replica) -> Expr {
    thread_digits.push_back({v, n, std::abs(stride), replica});
    if (stride > 0) return v;
    offset += (n - 1) * stride;
    return Sub(MakeConst(n - 1), v);
  };
  int counter = 0;
  std::vector<std::pair<Expr, int64_t>> limits;  // group index < bound
  for (int g = 0; g < layout.num_groups(); ++g) {
    LayoutGroup group = layout.group(g);
    std::string name = group.dims.empty() ? "p" : std::string(vars[group.dims.back()]->name);
    Expr y = MakeConst(0);
    int64_t weight = 1;
    for (const Mode& mode : group.modes) {
      if (mode.n == 1) continue;
      int64_t t = mode.v[kThread], s = mode.v[kSlot];
      Var v = MakeVar(name + (t != 0 ? "_t" : "_s") + (counter ? std::to_string(counter) : ""));
      ++counter;
      Expr value = v;
      if (t != 0) {
        value = thread_digit(v, mode.n, t, false);
      } else {
        plan.digits.push_back({v, mode.n, s});
        analyzer->Bind(v, arith::Interval{0, mode.n - 1});
      }
      y = Add(y, Mul(value, weight));
      weight *= mode.n;
    }
    if (weight > group.bound) limits.emplace_back(y, group.bound);
    Expr rest = y;
    for (size_t i = group.dims.size(); i-- > 0;) {
      int dim = group.dims[i];
      plan.coords[dim] = i == 0 ? rest : FloorMod(rest, layout.extent(dim));
      rest = FloorDiv(rest, layout.extent(dim));
    }
  }
  for (const Mode& rep : layout.reps()) {
    if (rep.n == 1) continue;
    if (rep.v[kThread] == 0) continue;  // a second slot of the same thread: the first is enough
    thread_digit(MakeVar("rep" + std::to_string(counter++)), rep.n, rep.v[kThread], true);
  }
  PlanThreads(&thread_digits, offset, tid, threads, analyzer, span, &plan);
  for (Expr& c : plan.coords) c = c.defined() ? analyzer->Simplify(c) : MakeConst(0);
  for (const auto& [y, bound] : limits) {
    Expr inside = analyzer->Simplify(Lt(y, MakeConst(bound)));
    if (!IsConst(inside, 1)) plan.valid = And(plan.valid, inside);
  }
  std::sort(plan.digits.begin(), plan.digits.end(), [](const SlotDigit& a, const SlotDigit& b) {
    int64_t x = a.stride == 0 ? INT64_MAX : a.stride, y = b.stride == 0 ? INT64_MAX : b.stride;
    return x < y;
  });
  return plan;
}

}  // namespace tilescale::partition
