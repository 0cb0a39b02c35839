// SPDX-License-Identifier: MIT
#include "compiler/ops/common/combine.h"

#include "support/diagnostics.h"

#include <limits>

namespace tilescale::ops {

using namespace ir;  // NOLINT

DataType AccumulatorOf(DataType t) {
  if (IsFloat(t)) return t.bits == 64 ? t : Float(32);
  if (t.bits == 64) return t;
  return IsUInt(t) ? UInt(32) : Int(32);
}

Expr Identity(Combiner c, DataType t) {
  if (c == Combiner::kMax || c == Combiner::kMin) {
    bool max = c == Combiner::kMax;
    if (IsFloat(t)) {
      double inf = std::numeric_limits<double>::infinity();
      return MakeFloat(max ? -inf : inf, t);
    }
    if (IsUInt(t)) return MakeConst(max ? 0 : -1, t);
    int64_t least =
        t.bits == 64 ? std::numeric_limits<int64_t>::min() : std::numeric_limits<int32_t>::min();
    int64_t most =
        t.bits == 64 ? std::numeric_limits<int64_t>::max() : std::numeric_limits<int32_t>::max();
    return MakeConst(max ? least : most, t);
  }
  if (c == Combiner::kBitAnd) return MakeConst(-1, t);
  return MakeNumber(0, t);
}

Expr Combine(Combiner c, bool nan, Expr a, Expr b) {
  DataType t = a.dtype();
  nan = nan && IsFloat(t);
  auto op = [&](OpCode code) { return MakeOp(code, {a, b}, t); };
  switch (c) {
    case Combiner::kSum:
      return op(OpCode::kAdd);
    case Combiner::kMax:
      return op(nan ? OpCode::kMaxNan : OpCode::kMax);
    case Combiner::kMin:
      return op(nan ? OpCode::kMinNan : OpCode::kMin);
    case Combiner::kBitAnd:
      return op(OpCode::kBitAnd);
    case Combiner::kBitOr:
      return op(OpCode::kBitOr);
    case Combiner::kBitXor:
      return op(OpCode::kBitXor);
  }
  TS_UNREACHABLE("combiner");
}

}  // namespace tilescale::ops
