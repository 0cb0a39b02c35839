// SPDX-License-Identifier: MIT
// Exact enumeration of small domains: the tier for digits and XORs that sums cannot say.
#include "compiler/arith/analyzer_impl.h"

#include <unordered_set>

namespace tilescale::arith {

using namespace ir;  // NOLINT

namespace {

constexpr int64_t kMaxPoints = int64_t(1) << 16;  // of one query
constexpr int64_t kMaxTotal = int64_t(1) << 20;   // of one analyzer: a kernel

// Of integers, which do not wrap; nothing where int64 does not hold the result.
std::optional<int64_t> EvaluateOp(const OpObj* op, int64_t a, int64_t b) {
  int64_t out = 0;
  bool beyond = false;
  switch (op->op()) {
    case OpCode::kAdd:
      beyond = __builtin_add_overflow(a, b, &out);
      break;
    case OpCode::kSub:
      beyond = __builtin_sub_overflow(a, b, &out);
      break;
    case OpCode::kMul:
      beyond = __builtin_mul_overflow(a, b, &out);
      break;
    case OpCode::kNeg:
    case OpCode::kAbs:
      if (op->op() == OpCode::kAbs && a >= 0) return a;
      beyond = __builtin_sub_overflow(int64_t{0}, a, &out);
      break;
    case OpCode::kShl:
      if (b < 0 || b > 62) return std::nullopt;
      beyond = __builtin_mul_overflow(a, int64_t{1} << b, &out);
      break;
    default:
      return EvalInt(op->op(), a, b, Int(64));
  }
  return beyond ? std::nullopt : std::optional(out);
}

}  // namespace

std::optional<int64_t> EvaluateInt(
    const Expr& e, const std::function<std::optional<int64_t>(const VarObj*)>& value) {
  if (auto c = AsInt(e)) return c;
  if (const auto* v = e.as<VarObj>()) return value(v);
  const auto* op = e.as<OpObj>();
  if (op == nullptr || op->dtype.lanes > 1 || op->args.empty()) return std::nullopt;
  auto a = EvaluateInt(op->args[0], value);
  if (!a) return std::nullopt;
  switch (op->op()) {
    case OpCode::kAnd:
      return *a ? EvaluateInt(op->args[1], value) : std::optional<int64_t>(0);
    case OpCode::kOr:
      return *a ? std::optional<int64_t>(1) : EvaluateInt(op->args[1], value);
    case OpCode::kIf:
    case OpCode::kSelect:
      return EvaluateInt(op->args[*a ? 1 : 2], value);
    case OpCode::kCast: {
      DataType from = op->args[0].dtype(), to = op->dtype;
      if ((!IsInteger(from) && !IsBool(from)) || (!IsInteger(to) && !IsBool(to))) {
        return std::nullopt;
      }
      return IsIndexCast(from, to) ? a : WrapInt(*a, to);
    }
    case OpCode::kNot:
      return !*a;
    default:
      break;
  }
  DataType t = op->args[0].dtype();
  if (!IsInteger(t) && !IsBool(t)) return std::nullopt;
  auto b = op->args.size() == 1 ? int64_t(0) : EvaluateInt(op->args[1], value);
  if (!b) return std::nullopt;
  return IsIndexType(t) ? EvaluateOp(op, *a, *b) : EvalInt(op->op(), *a, *b, t);
}

std::optional<bool> Analyzer::Impl::ProveByEnumeration(const Expr& cond) {
  std::vector<const VarObj*> names;
  std::vector<Interval> ranges;
  std::unordered_set<const VarObj*> seen;
  bool bounded = true;
  int64_t points = 1;
  Walk(cond, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kLoad || n->kind == NodeKind::kSlot) bounded = false;
    if (n->kind != NodeKind::kVar) return bounded;
    const auto* v = static_cast<const VarObj*>(n);
    if (!seen.insert(v).second) return true;
    auto it = vars.find(v);
    if (it == vars.end() || !it->second.range.Bounded()) return bounded = false;
    int64_t count = it->second.range.hi - it->second.range.lo + 1;
    if (count <= 0 || count > kMaxPoints || points * count > kMaxPoints) return bounded = false;
    points *= count;
    names.push_back(v);
    ranges.push_back(it->second.range);
    return true;
  });
  if (!bounded || enumerated_points + points > kMaxTotal) return std::nullopt;
  enumerated_points += points;
  std::vector<int64_t> at(names.size());
  for (size_t i = 0; i < names.size(); ++i) at[i] = ranges[i].lo;
  auto value = [&](const VarObj* v) -> std::optional<int64_t> {
    for (size_t i = 0; i < names.size(); ++i) {
      if (names[i] == v) return at[i];
    }
    return std::nullopt;
  };
  for (int64_t p = 0; p < points; ++p) {
    auto holds = EvaluateInt(cond, value);
    if (!holds) return std::nullopt;
    if (!*holds) return false;
    for (size_t i = 0; i < at.size(); ++i) {
      if (++at[i] <= ranges[i].hi) break;
      at[i] = ranges[i].lo;
    }
  }
  return true;
}

}  // namespace tilescale::arith
