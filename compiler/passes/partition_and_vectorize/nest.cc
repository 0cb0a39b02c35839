// SPDX-License-Identifier: MIT
// A nest's layout read backwards: which points one thread runs.
#include "compiler/passes/partition_and_vectorize/partition.h"
#include "support/diagnostics.h"

#include <algorithm>

namespace tilescale::partition {

using namespace ir;  // NOLINT

namespace {

struct ThreadDigit {
  Var var;
  int64_t n;
  int64_t stride;
  bool replica;
};

// The thread digits' values: (tid / stride) mod the room to the next digit. Places between are
// holes.
void PlanThreads(std::vector<ThreadDigit>* digits, const Expr& tid, int64_t threads,
                 arith::Analyzer* analyzer, const Span& span, NestPlan* plan) {
  std::sort(digits->begin(), digits->end(),
            [](const ThreadDigit& a, const ThreadDigit& b) { return a.stride < b.stride; });
  auto must = [](Expr* cond, Expr c) { *cond = And(*cond, c); };
  for (size_t i = 0; i < digits->size(); ++i) {
    const ThreadDigit& d = (*digits)[i];
    int64_t room = i + 1 < digits->size() ? (*digits)[i + 1].stride : threads;
    Expr rest = i + 1 < digits->size() ? FloorMod(tid, room) : tid;
    if (i == 0 && d.stride > 1)
      must(&plan->valid, Eq(FloorMod(tid, d.stride), MakeConst(0, tid.dtype())));
    Expr value = analyzer->Simplify(FloorDiv(rest, d.stride));
    plan->binds.push_back(MakeBind(d.var, value, span));
    // What lies above n·stride inside the room is a hole.
    if (d.n * d.stride < room) must(&plan->valid, Lt(d.var, MakeConst(d.n, d.var.dtype())));
    TS_CHECK((d.n - 1) * d.stride < room) << "thread digits overlap or exceed the group";
    analyzer->Bind(d.var, arith::Interval{0, d.n - 1});
    if (d.replica) must(&plan->primary, Eq(d.var, MakeConst(0, d.var.dtype())));
  }
  if (digits->empty() && threads > 1) {
    // No thread digit at all: all points in thread 0.
    must(&plan->valid, Eq(tid, MakeConst(0, tid.dtype())));
  }
}

}  // namespace

NestPlan PlanNest(const Layout& layout, const Expr& tid, int64_t threads,
                  const ffi::Array<Var>& vars, arith::Analyzer* analyzer, const Span& span) {
  NestPlan plan;
  plan.coords.resize(vars.size());
  std::vector<ThreadDigit> thread_digits;
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
      TS_CHECK(t == 0 || s == 0) << "a digit of a nest moves thread and slot: " << layout.Text();
      Var v = MakeVar(name + (t != 0 ? "_t" : "_s") + (counter ? std::to_string(counter) : ""));
      ++counter;
      if (t != 0) {
        thread_digits.push_back({v, mode.n, t, false});
      } else {
        plan.digits.push_back({v, mode.n, s});
        analyzer->Bind(v, arith::Interval{0, mode.n - 1});
      }
      y = Add(y, Mul(v, weight));
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
    thread_digits.push_back(
        {MakeVar("rep" + std::to_string(counter++)), rep.n, rep.v[kThread], true});
  }
  PlanThreads(&thread_digits, tid, threads, analyzer, span, &plan);
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
