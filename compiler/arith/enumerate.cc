// SPDX-License-Identifier: MIT
// Exact enumeration of small domains: the tier for digits and XORs that sums cannot say.
#include "compiler/arith/analyzer_impl.h"

#include <unordered_set>

namespace tilescale::arith {

using namespace ir;  // NOLINT

namespace {

constexpr int64_t kMaxPoints = int64_t(1) << 16;  // of one query
constexpr int64_t kMaxTotal = int64_t(1) << 20;   // of one analyzer: a kernel

std::optional<int64_t> EvaluateOp(const OpObj* op, int64_t a, int64_t b) {
  switch (op->op()) {
    case OpCode::kAdd:
      return a + b;
    case OpCode::kSub:
      return a - b;
    case OpCode::kMul:
      return a * b;
    case OpCode::kNeg:
      return -a;
    case OpCode::kFloorDiv:
      return b == 0 ? std::nullopt : std::optional(FloorDivInt(a, b));
    case OpCode::kFloorMod:
      return b == 0 ? std::nullopt : std::optional(FloorModInt(a, b));
    case OpCode::kTruncDiv:
      return b == 0 ? std::nullopt : std::optional(a / b);
    case OpCode::kTruncMod:
      return b == 0 ? std::nullopt : std::optional(a % b);
    case OpCode::kMin:
      return a < b ? a : b;
    case OpCode::kMax:
      return a > b ? a : b;
    case OpCode::kShl:
      return b < 0 || b > 62 ? std::nullopt : std::optional(a << b);
    case OpCode::kShr:
      return b < 0 || b > 62 ? std::nullopt : std::optional(a >> b);
    case OpCode::kBitAnd:
      return a & b;
    case OpCode::kBitOr:
      return a | b;
    case OpCode::kBitXor:
      return a ^ b;
    case OpCode::kBitNot:
      return ~a;
    case OpCode::kEq:
      return a == b;
    case OpCode::kNe:
      return a != b;
    case OpCode::kLt:
      return a < b;
    case OpCode::kLe:
      return a <= b;
    case OpCode::kGt:
      return a > b;
    case OpCode::kGe:
      return a >= b;
    case OpCode::kNot:
      return !a;
    default:
      return std::nullopt;
  }
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
      DataType from = op->args[0].dtype();
      bool widens = IsInteger(op->dtype) && (IsInteger(from) || IsBool(from)) &&
                    (op->dtype.bits > from.bits || op->dtype.bits >= 32);
      return widens ? a : std::nullopt;
    }
    default:
      break;
  }
  if (!IsInteger(op->args[0].dtype()) && !IsBool(op->args[0].dtype())) return std::nullopt;
  auto b = op->args.size() == 1 ? int64_t(0) : EvaluateInt(op->args[1], value);
  auto out = b ? EvaluateOp(op, *a, *b) : std::nullopt;
  bool wraps = IsUInt(op->dtype) || (IsInt(op->dtype) && op->dtype.bits < 32);
  return out && wraps ? WrapInt(*out, op->dtype) : out;
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
