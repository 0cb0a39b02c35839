// SPDX-License-Identifier: MIT
// Instructions that access neighbours as one vector: they must be neighbours in memory, and begin
// where a vector may.
#include "compiler/ir/diag.h"
#include "compiler/ir/text.h"
#include "compiler/ir/visit.h"
#include "compiler/isa/instr.h"
#include "compiler/passes/partition_and_vectorize/partition.h"

#include <unordered_map>

namespace tilescale::partition {

using namespace ir;  // NOLINT: the pass speaks of IR throughout

std::optional<int64_t> VectorLanes(const Region& r) {
  const int64_t lanes = NumNeighbours(r);
  if (lanes <= 1 || lanes * r->buffer->dtype.bits > kMaxVectorBits) return std::nullopt;
  return lanes;
}

// What one thread accesses as one vector lies together, at a multiple of its size: raises where a
// point of the program is found at which it does not. What is not known here is the simulator's
// and the machine's business.
void AddressRewriter::CheckVector(const Region& region, const CallObj* call) {
  constexpr int64_t kMostValues = int64_t{1} << 24;  // of a variable whose range says something
  const auto lanes = VectorLanes(region);
  if (!lanes) return;
  std::vector<Expr> places;
  bool proven = true;
  for (int64_t i = 0; i < *lanes; ++i) {
    ffi::Array<Expr> index;
    for (const Expr& e : region->begin) index.push_back(MutateExpr(e));
    const size_t last = index.size() - 1;
    index.Set(last, Add(index[last], i));
    places.push_back(memories_->Locate(region->buffer, index).index);
    proven =
        proven && (i == 0 ? analyzer_->Divides(*lanes, places[0])
                          : analyzer_->Prove(Eq(places[i], Add(places[0], i)), arith::Tier::kFast));
  }
  if (proven) return;
  std::vector<std::pair<Var, arith::Interval>> vars;
  for (const Expr& place : places) {
    WalkOnce(place, [&](const NodeObj* n) {
      if (n->kind != NodeKind::kVar) return true;
      Var v = ffi::GetRef<Var>(static_cast<const VarObj*>(n));
      for (const auto& seen : vars) {
        if (seen.first.same_as(v)) return true;
      }
      vars.emplace_back(v, analyzer_->Bounds(v));
      return true;
    });
  }
  std::unordered_map<const VarObj*, int64_t> point;
  for (const auto& [v, range] : vars) {
    if (!range.Bounded() || range.hi - range.lo >= kMostValues) return;
    point[v.get()] = range.lo;
  }
  auto value = [&](const Expr& e) {
    return arith::EvaluateInt(e, [&](const VarObj* v) {
      auto it = point.find(v);
      return it == point.end() ? std::nullopt : std::optional<int64_t>(it->second);
    });
  };
  auto check = [&] {
    const auto first = value(places[0]);
    if (!first) return;
    bool together = true;
    for (int64_t i = 1; i < *lanes; ++i) {
      const auto at = value(places[i]);
      if (!at) return;
      together = together && *at == *first + i;
    }
    if (together && *first % *lanes == 0) return;
    Expr here;
    std::string where;
    for (const auto& [v, range] : vars) {
      here = And(here, Eq(v, MakeConst(point[v.get()], v.dtype())));
      where += (where.empty() ? " where " : ", ") + std::string(v->name) + " = " +
               std::to_string(point[v.get()]);
    }
    if (here.defined() && analyzer_->Prove(Not(here))) return;  // the program never comes there
    const std::string bytes = std::to_string(*lanes * region->buffer->dtype.bits / 8);
    if (!together) {
      RaiseAt(call->span, "CompileError", "`", Spelled(region), "` is accessed as one of ", bytes,
              " bytes, but the layout of `", region->buffer->name,
              "` does not keep its elements together", where,
              ": access them one by one, or annotate a layout that does");
    }
    RaiseAt(call->span, "CompileError", "`", Spelled(region), "` is accessed as one of ", bytes,
            " bytes, which begins at a multiple of ", *lanes,
            " elements, but it begins at element ", *first, " of `", region->buffer->name, "`",
            where, ": access its elements one by one, or give the rows a multiple of ", *lanes);
  };
  check();
  for (const auto& [v, range] : vars) {
    for (int64_t step = 1; range.lo + step <= range.hi; step *= 2) {
      point[v.get()] = range.lo + step;
      check();
    }
    point[v.get()] = range.lo;
  }
}

Stmt AddressRewriter::MutateCall(const Call& call) {
  if (isa::Get(Str(call->instr)).issue == isa::Issue::kThread) {
    const size_t mark = analyzer_->Mark();
    if (call->guard.defined()) analyzer_->Assume(call->guard);
    for (const Expr& a : call->args) {
      if (const auto* addr = a.as<AddrObj>()) CheckVector(addr->region, call.get());
    }
    analyzer_->Leave(mark);
  }
  return DefaultStmt(call);
}

}  // namespace tilescale::partition
