// SPDX-License-Identifier: MIT
// T.reduce_*: one dimension of a tile combined into a smaller tile. The contract is in reduce.md.
#include "compiler/ops/reduce/reduce.h"

#include "compiler/ir/diag.h"
#include "compiler/ops/common/nest.h"
#include "compiler/ops/common/region.h"

#include <cmath>
#include <limits>

namespace tilescale::ops {

using namespace ir;  // NOLINT

namespace {

struct Kind {
  const char* name;
  Combiner combiner;
  bool absolute, bits;
};
constexpr Kind kKinds[] = {
    {"sum", Combiner::kSum, false, false},    {"max", Combiner::kMax, false, false},
    {"min", Combiner::kMin, false, false},    {"absmax", Combiner::kMax, true, false},
    {"abssum", Combiner::kSum, true, false},  {"bitand", Combiner::kBitAnd, false, true},
    {"bitor", Combiner::kBitOr, false, true}, {"bitxor", Combiner::kBitXor, false, true},
};

const Kind* FindKind(std::string_view name) {
  for (const Kind& k : kKinds) {
    if (name == k.name) return &k;
  }
  return nullptr;
}

}  // namespace

Reduction ReductionOf(const TileOpObj* op) {
  Reduction r;
  r.src = RegionArg(op, "buffer");
  r.out = RegionArg(op, "out");
  r.shape = ConstExtents(r.src, "reduce", op->span);
  r.out_shape = ConstExtents(r.out, "reduce", op->span);
  r.dim = static_cast<int>(IntArg(op, "dim"));
  const Kind* kind = FindKind(StringArg(op, "reduce_type"));
  r.combiner = kind->combiner;
  r.absolute = kind->absolute;
  r.nan = BoolArg(op, "nan_propagate");
  r.clear = BoolArg(op, "clear");
  r.acc = AccumulatorOf(r.out->buffer->dtype);
  return r;
}

Expr Reduction::Element(Expr value) const {
  Expr e = Cast(std::move(value), acc);
  return absolute && !IsUInt(acc) ? MakeOp(OpCode::kAbs, {e}, acc) : e;
}

int64_t Reduction::Outputs() const {
  int64_t n = 1;
  for (int64_t e : out_shape) n *= e;
  return n;
}

std::vector<Expr> Reduction::SourcePoint(const std::vector<Expr>& out_point, Expr k) const {
  std::vector<Expr> point;
  bool kept = out_shape.size() == shape.size();
  size_t next = 0;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (static_cast<int>(d) == dim) {
      point.push_back(k);
      if (kept) ++next;
    } else {
      point.push_back(out_point[next++]);
    }
  }
  return point;
}

Stmt Reduction::Finish(const std::vector<Expr>& out_point, Expr result, Span span) const {
  if (!clear) result = Join(Cast(LoadPoint(out, out_point), acc), std::move(result));
  return StorePoint(out, out_point, std::move(result), std::move(span));
}

namespace {

bool IsCell(const Buffer& b) {
  return b->space() == Space::kLocal || b->space() == Space::kVar;
}
bool IsTile(const Buffer& b) {
  return b->space() == Space::kFrag || b->space() == Space::kShared;
}

TileOp Make(TileOp op) {
  Region src = WholeWhereUnknown(RegionArg(op.get(), "buffer")),
         out = WholeWhereUnknown(RegionArg(op.get(), "out"));
  std::string type = StringArg(op.get(), "reduce_type");
  const Kind* kind = FindKind(type);
  if (kind == nullptr) {
    RaiseAt(op->span, "ValueError", "T.reduce: unknown reduce_type \"", type,
            "\"; expected one of sum, max, min, absmax, abssum, bitand, bitor, bitxor");
  }
  if (int64_t batch = IntArg(op.get(), "batch"); batch < 1) {
    RaiseAt(op->span, "ValueError", "batch must be >= 1, got ", batch);
  }
  DataType t = src->buffer->dtype;
  if (kind->bits && !IsInteger(t) && !IsBool(t)) {
    RaiseAt(op->span, "ValueError", "reduce_", type, " requires an integer/bool buffer, got dtype ",
            LanguageName(t));
  }
  bool tiles = IsTile(src->buffer) && IsTile(out->buffer),
       cells = IsCell(src->buffer) && IsCell(out->buffer);
  if (!tiles && !cells) {
    RaiseAt(op->span, "ValueError", "Invalid buffer scopes: ", ScopeName(src->buffer), " and ",
            ScopeName(out->buffer));
  }
  std::vector<int64_t> shape = ConstExtents(src, "reduce", op->span),
                       got = ConstExtents(out, "reduce", op->span);
  int64_t rank = static_cast<int64_t>(shape.size()), dim = IntArg(op.get(), "dim");
  if (dim < -rank || dim >= rank) {
    RaiseAt(op->span, "ValueError", "T.reduce: dim ", dim,
            " is out of bounds for buffer with shape ", ShapeText(shape));
  }
  if (dim < 0) dim += rank;
  std::vector<int64_t> kept = shape, dropped = shape;
  kept[dim] = 1;
  dropped.erase(dropped.begin() + dim);
  if (got != kept && (got != dropped || got.empty())) {
    RaiseAt(op->span, "ValueError", "Invalid reduce output shape, buffer shape is ",
            ShapeText(shape), ", dim is ", dim, ", output shape is ", ShapeText(got),
            ", expected shapes are [", dropped.empty() ? "" : ShapeText(dropped) + ", ",
            ShapeText(kept), "]");
  }
  return WithArg(WithArg(WithArg(op, "buffer", src), "out", out), "dim", dim);
}

Effects EffectsOf(const TileOpObj* op) {
  Effects effects = {Reads(RegionArg(op, "buffer")), Writes(RegionArg(op, "out"))};
  if (!BoolArg(op, "clear")) effects.push_back(Reads(RegionArg(op, "out")));
  return effects;
}

// The bits of an integer in two's complement.
int64_t Bits(Real x) {
  return x < 0 ? static_cast<int64_t>(x) : static_cast<int64_t>(static_cast<uint64_t>(x));
}

// One step of the meaning; bits as two's complement.
Real Step(const std::string& type, bool nan, Real a, Real b) {
  if (type == "sum" || type == "abssum") return a + b;
  if (type == "bitand") return static_cast<Real>(Bits(a) & Bits(b));
  if (type == "bitor") return static_cast<Real>(Bits(a) | Bits(b));
  if (type == "bitxor") return static_cast<Real>(Bits(a) ^ Bits(b));
  if (nan && (std::isnan(a) || std::isnan(b))) return std::numeric_limits<Real>::quiet_NaN();
  return type == "min" ? std::fmin(a, b) : std::fmax(a, b);
}

void Evaluate(const TileOpObj* op, EvalContext* eval) {
  Region src = RegionArg(op, "buffer"), out = RegionArg(op, "out");
  std::string type = StringArg(op, "reduce_type");
  bool nan = BoolArg(op, "nan_propagate"), clear = BoolArg(op, "clear"),
       absolute = type.starts_with("abs");
  size_t dim = static_cast<size_t>(IntArg(op, "dim"));
  std::vector<int64_t> shape = eval->Extents(src), out_shape = eval->Extents(out);
  ForEachPoint(out_shape, [&](const std::vector<int64_t>& at) {
    std::vector<int64_t> from = at;
    if (out_shape.size() < shape.size()) from.insert(from.begin() + static_cast<int64_t>(dim), 0);
    Real value = 0;
    for (int64_t k = 0; k < shape[dim]; ++k) {
      from[dim] = k;
      Real x = eval->Read(src, from);
      if (absolute) x = std::fabs(x);
      value = k == 0 ? x : Step(type, nan, value, x);
    }
    // The identity of max and min is infinite: among NaNs alone it remains.
    if (!nan && std::isnan(value) && (type == "max" || type == "min" || type == "absmax")) {
      Real inf = std::numeric_limits<Real>::infinity();
      value = type == "max" ? -inf : type == "min" ? inf : 0;
    }
    eval->Write(out, at, clear ? value : Step(type, nan, eval->Read(out, at), value));
  });
}

}  // namespace

// The lowerings, in their files.
extern const Lowering kReduceThread;
extern const Lowering kReduceShuffle;
extern const Lowering kReduceSerial;

namespace {

const TileOpRegistration kReduce({
    .syntax = {.name = "reduce",
               .format = "reduce $reduce_type $buffer -> $out",
               .params = {{"buffer", ArgKind::kRegion, 'r'},
                          {"out", ArgKind::kRegion, 'm'},
                          {"reduce_type", ArgKind::kString},
                          {"dim", ArgKind::kInt},
                          {"clear", ArgKind::kBool, 0, "true"},
                          {"batch", ArgKind::kInt, 0, "1"},
                          {"nan_propagate", ArgKind::kBool, 0, "false"},
                          {"workspace", ArgKind::kRegion, 'm', "none"}},
               .make = Make},
    .effects = EffectsOf,
    .evaluate = Evaluate,
    .lowerings = {kReduceThread, kReduceShuffle, kReduceSerial},
});

}  // namespace
}  // namespace tilescale::ops
