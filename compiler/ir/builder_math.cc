// SPDX-License-Identifier: MIT
// The pure functions of the language: a name of its table to an opcode or a small expression.
#include "compiler/ir/builder.h"
#include "compiler/ir/text.h"
#include "compiler/target/constants.h"

#include <array>
#include <functional>

namespace tilescale::ir {

namespace {

// What the operands may be. kRound: identity on integers. kReal: integers are computed in float32;
// the result of exp stays float32, that of the others returns to the integer type (the contract).
enum class Domain : uint8_t { kAny, kReal, kExp, kRound, kFloatOnly, kIntegerOnly };

struct MathRow {
  std::string_view name;
  OpCode op;
  int arity;
  Domain domain = Domain::kReal;
};
constexpr std::array kMath = {
    MathRow{"exp", OpCode::kExp, 1, Domain::kExp},
    MathRow{"exp2", OpCode::kExp2, 1},
    MathRow{"exp10", OpCode::kExp10, 1},
    MathRow{"log", OpCode::kLog, 1},
    MathRow{"log2", OpCode::kLog2, 1},
    MathRow{"log10", OpCode::kLog10, 1},
    MathRow{"log1p", OpCode::kLog1p, 1},
    MathRow{"sqrt", OpCode::kSqrt, 1},
    MathRow{"rsqrt", OpCode::kRsqrt, 1},
    MathRow{"sin", OpCode::kSin, 1},
    MathRow{"cos", OpCode::kCos, 1},
    MathRow{"tan", OpCode::kTan, 1},
    MathRow{"sinh", OpCode::kSinh, 1},
    MathRow{"cosh", OpCode::kCosh, 1},
    MathRow{"tanh", OpCode::kTanh, 1},
    MathRow{"asin", OpCode::kAsin, 1},
    MathRow{"acos", OpCode::kAcos, 1},
    MathRow{"atan", OpCode::kAtan, 1},
    MathRow{"asinh", OpCode::kAsinh, 1},
    MathRow{"acosh", OpCode::kAcosh, 1},
    MathRow{"atanh", OpCode::kAtanh, 1},
    MathRow{"erf", OpCode::kErf, 1},
    MathRow{"sigmoid", OpCode::kSigmoid, 1},
    MathRow{"floor", OpCode::kFloor, 1, Domain::kRound},
    MathRow{"ceil", OpCode::kCeil, 1, Domain::kRound},
    MathRow{"trunc", OpCode::kTrunc, 1, Domain::kRound},
    MathRow{"nearbyint", OpCode::kNearbyint, 1, Domain::kRound},
    MathRow{"atan2", OpCode::kAtan2, 2},
    MathRow{"fmod", OpCode::kFmod, 2},
    MathRow{"hypot", OpCode::kHypot, 2},
    MathRow{"copysign", OpCode::kCopysign, 2},
    MathRow{"nextafter", OpCode::kNextafter, 2},
    MathRow{"popcount", OpCode::kPopcount, 1, Domain::kIntegerOnly},
    MathRow{"clz", OpCode::kClz, 1, Domain::kIntegerOnly},
    MathRow{"__exp", OpCode::kFastExp, 1, Domain::kFloatOnly},
    MathRow{"__exp2", OpCode::kFastExp2, 1, Domain::kFloatOnly},
    MathRow{"__exp10", OpCode::kFastExp10, 1, Domain::kFloatOnly},
    MathRow{"__log", OpCode::kFastLog, 1, Domain::kFloatOnly},
    MathRow{"__log2", OpCode::kFastLog2, 1, Domain::kFloatOnly},
    MathRow{"__log10", OpCode::kFastLog10, 1, Domain::kFloatOnly},
    MathRow{"__sin", OpCode::kFastSin, 1, Domain::kFloatOnly},
    MathRow{"__cos", OpCode::kFastCos, 1, Domain::kFloatOnly},
    MathRow{"__tan", OpCode::kFastTan, 1, Domain::kFloatOnly},
    MathRow{"fast_rcp", OpCode::kFastRcp, 1, Domain::kFloatOnly},
    MathRow{"fast_tanh", OpCode::kFastTanh, 1, Domain::kFloatOnly},
};

Expr BuildRow(const MathRow& row, const Values& values) {
  if (static_cast<int>(values.size()) != row.arity) {
    Raise("TypeError", "T.", row.name, " takes ", row.arity, " arguments, got ", values.size());
  }
  std::vector<Expr> args;
  for (const ffi::Any& v : values) args.push_back(ToExpr(v));
  DataType t = args[0].dtype();
  if (row.arity == 2) t = Promote(t, args[1].dtype());
  if (IsHandle(t)) Raise("TypeError", "T.", row.name, " of a pointer");
  bool real = IsFloat(t);
  if (row.domain == Domain::kFloatOnly && !real) {
    Raise("TypeError", "T.", row.name, " needs a floating-point argument, got ", LanguageName(t));
  }
  if (row.domain == Domain::kIntegerOnly && real) {
    Raise("TypeError", "T.", row.name, " needs an integer argument, got ", LanguageName(t));
  }
  if (row.domain == Domain::kRound && !real) return args[0];
  DataType compute = real || row.domain == Domain::kIntegerOnly ? t : WithLanes(Float(32), t.lanes);
  for (Expr& e : args) e = CastTo(e, compute);
  Expr value = MakeOp(row.op, args, compute);
  return row.domain == Domain::kExp ? value : CastTo(value, t);
}

// x^n. A constant n is repeated multiplication; beyond kMaxPowers the text would grow out of hand.
constexpr int64_t kMaxPowers = 16;
Expr Power(const Values& args) {
  Expr x = ToExpr(args[0]), n = ToExpr(args[1]);
  auto count = AsInt(n);
  if (count && *count == 0) return CastTo(MakeConst(1), x.dtype());
  if (count && *count > 0 && *count <= kMaxPowers) {
    Expr product = x;
    for (int64_t i = 1; i < *count; ++i) product = MakeOp(OpCode::kMul, {product, x}, x.dtype());
    return product;
  }
  DataType t = IsFloat(x.dtype()) ? x.dtype() : Promote(x.dtype(), n.dtype());
  if (!IsFloat(t)) {
    Raise("TypeError", "T.pow needs a float operand or a constant exponent from 0 to ", kMaxPowers,
          ", got ", LanguageName(x.dtype()), " and ", LanguageName(n.dtype()));
  }
  return MakeOp(OpCode::kPow, {CastTo(x, t), CastTo(n, t)}, t);
}

std::string RoundingMode(const ffi::Any& v) {
  std::string mode = ToText(v, "rounding_mode");
  if (mode != "rn" && mode != "rz" && mode != "ru" && mode != "rd") {
    Raise("ValueError", "Invalid rounding mode '", mode,
          "'. Must be one of: ['rn', 'rz', 'ru', 'rd']");
  }
  return mode;
}

// IEEE arithmetic with an explicit rounding: `mode` is the argument after the operands.
Expr Ieee(std::string_view name, const Values& args, size_t operands) {
  std::vector<Expr> x;
  for (size_t i = 0; i < operands; ++i) x.push_back(ToExpr(args[i]));
  DataType t = x[0].dtype();
  if (!IsFloat(t)) {
    Raise("TypeError", "T.", name, " needs floating-point operands, got ", LanguageName(t));
  }
  for (size_t i = 1; i < operands; ++i) x[i] = CastTo(x[i], t);
  std::string mode = operands < args.size() ? RoundingMode(args[operands]) : "rn";
  if (name == "ieee_frsqrt") {
    if (t.bits == 64) {
      Raise("ValueError", "IEEE frsqrt is not supported for float64 in CUDA. Use T.rsqrt");
    }
    return MakeOp(OpCode::kRsqrt, x, t);
  }
  if (mode != "rn" && t.bits == 16) {
    Raise("ValueError", "Only rounding mode 'rn' is available for half precision.");
  }
  if (mode == "rn") {
    if (name == "ieee_add") return MakeOp(OpCode::kAdd, x, t);
    if (name == "ieee_sub") return MakeOp(OpCode::kSub, x, t);
    if (name == "ieee_mul") return MakeOp(OpCode::kMul, x, t);
    if (name == "ieee_fdiv") return MakeOp(OpCode::kDiv, x, t);
    if (name == "ieee_fmaf") return MakeOp(OpCode::kFma, x, t);
    if (name == "ieee_fsqrt") return MakeOp(OpCode::kSqrt, x, t);
    return MakeOp(OpCode::kDiv, {MakeFloat(1.0, t), x[0]}, t);  // ieee_frcp
  }
  bool up = mode == "ru", zero = mode == "rz";
  if (name == "ieee_add" || name == "ieee_sub") {
    // x - y and x + (-y) are the same number before rounding.
    Expr y = name == "ieee_add" ? x[1] : MakeOp(OpCode::kNeg, {x[1]}, t);
    return MakeOp(zero ? OpCode::kAddRz : up ? OpCode::kAddRp : OpCode::kAddRm, {x[0], y}, t);
  }
  if (name == "ieee_mul") {
    return MakeOp(zero ? OpCode::kMulRz : up ? OpCode::kMulRp : OpCode::kMulRm, x, t);
  }
  Raise("NotImplementedError", "T.", name, " with rounding mode '", mode, "' is not supported yet");
}

// Packed arithmetic on two lanes.
Expr Packed(std::string_view name, const Values& args) {
  std::vector<Expr> x;
  for (const ffi::Any& v : args) x.push_back(ToExpr(v));
  DataType t = x[0].dtype();
  if (t.lanes != 2 || !IsFloat(t)) {
    Raise("TypeError", "T.", name, " needs operands of two floating-point lanes, got ",
          LanguageName(t));
  }
  for (const Expr& e : x) {
    if (!SameType(e.dtype(), t)) {
      Raise("ValueError", "T.", name, " needs operands of one dtype, got ", LanguageName(t),
            " and ", LanguageName(e.dtype()));
    }
  }
  struct Row {
    std::string_view name;
    OpCode op;
  };
  constexpr std::array kRows = {Row{"add2", OpCode::kAdd}, Row{"sub2", OpCode::kSub},
                                Row{"mul2", OpCode::kMul}, Row{"fma2", OpCode::kFma},
                                Row{"max2", OpCode::kMax}, Row{"min2", OpCode::kMin},
                                Row{"abs2", OpCode::kAbs}};
  for (const Row& row : kRows) {
    if (row.name == name) return MakeOp(row.op, x, t);
  }
  return Expr();
}

using target::kWarpSize;

// T.get_lane_idx and its siblings take the warp size as an optional check.
Expr Identity(std::string_view name, const Values& args) {
  for (size_t i = 0; i < args.size(); ++i) {
    if (IsNone(args[i])) continue;
    int64_t given = ToInt(args[i], i == 0 ? "warp_size" : "warps_per_group");
    int64_t here = i == 0 ? kWarpSize : target::kWarpsPerWarpgroup;
    if (given != here) {
      Raise("NotImplementedError", "T.", name, " with ",
            i == 0 ? "warp_size=" : "warps_per_group=", given, " is not supported: here it is ",
            here);
    }
  }
  if (name == "get_lane_idx") return MakeOp(OpCode::kLaneId, {}, Int(32));
  Expr warp = MakeOp(OpCode::kWarpId, {}, Int(32));
  return name == "get_warp_group_idx" ? FloorDiv(warp, target::kWarpsPerWarpgroup) : warp;
}

// T.any_of / T.all_of: over the elements of a small tile, in order.
constexpr int64_t kMaxElements = 64;
Expr OverElements(const ffi::Any& v, bool all) {
  Region region = ToRegion(v);
  if (!region.defined())
    Raise("TypeError", "T.", all ? "all_of" : "any_of", " needs a buffer or a slice");
  int64_t count = 1;
  size_t rank = region->begin.size();
  for (size_t d = 0; d < rank; ++d) {
    auto n = region->extent[d].defined() ? AsInt(region->extent[d]) : std::optional<int64_t>(1);
    if (!n) Raise("ValueError", "T.", all ? "all_of" : "any_of", " needs constant extents");
    count *= *n;
  }
  if (count > kMaxElements) {
    Raise("NotImplementedError", "T.", all ? "all_of" : "any_of", " over ", count,
          " elements is not supported yet, at most ", kMaxElements);
  }
  Expr value;
  for (int64_t flat = 0; flat < count; ++flat) {
    std::vector<Expr> index(rank);
    int64_t rest = flat;
    for (size_t d = rank; d-- > 0;) {
      Expr extent = region->extent[d];
      int64_t n = extent.defined() ? *AsInt(extent) : 1;
      index[d] = Add(region->begin[d], rest % n);
      rest /= n;
    }
    Expr element = ToBool(BuildLoad(region->buffer, index));
    value = !value.defined() ? element : all ? And(value, element) : Or(value, element);
  }
  return value;
}

Expr AccessPtr(const Values& args) {
  // (base, access type, [extents], offset, extent, ignored): the region is what may be touched.
  Expr address = ToAddress(args[0]);
  const auto* addr = address.as<AddrObj>();
  if (addr == nullptr) return address;
  Region region = addr->region;
  size_t rank = region->begin.size();
  std::vector<Expr> begin(region->begin.begin(), region->begin.end());
  std::vector<Expr> extent(region->extent.begin(), region->extent.end());
  Values extents = args.size() > 2 ? ToValues(args[2]) : Values{};
  if (extents.size() > rank) {
    Raise("ValueError", "T.access_ptr of `", std::string(region->buffer->name), "` has ", rank,
          " dimensions, got ", extents.size(), " extents");
  }
  if (!extents.empty()) {
    for (size_t d = 0; d < rank; ++d) {
      bool given = d + extents.size() >= rank;
      extent[d] = given ? ToExpr(extents[d + extents.size() - rank]) : MakeConst(1);
    }
  }
  if (args.size() > 3 && !IsNone(args[3]) && !IsConst(ToExpr(args[3]), 0)) {
    if (rank != 1) {
      Raise("ValueError", "T.access_ptr takes an offset only for a buffer of one dimension; `",
            std::string(region->buffer->name), "` has ", rank, ": index the element instead");
    }
    begin[0] = Binary("add", begin[0], ToExpr(args[3]));
  }
  if (args.size() > 4 && !IsNone(args[4])) {
    for (Expr& e : extent) e = MakeConst(1);
    extent[rank - 1] = ToExpr(args[4]);
  }
  return MakeAddr(MakeRegion(region->buffer, begin, extent));
}

Expr Reinterpret(const Values& args, const ffi::Any& result) {
  Expr x = ToExpr(args[0]);
  DataType t = TypeOf(ToText(IsNone(result) ? args[1] : result, "dtype"));
  if (t.bits * t.lanes != x.dtype().bits * x.dtype().lanes) {
    Raise("ValueError", "T.reinterpret from ", LanguageName(x.dtype()), " to ", LanguageName(t),
          ": the widths differ");
  }
  return MakeOp(OpCode::kBitcast, {x}, t);
}

Expr ExtractLane(const Values& args) {
  Expr vector = ToExpr(args[0]);
  int64_t lane = ToInt(args[1], "the lane of T.extract_lane");
  if (lane < 0 || lane >= vector.dtype().lanes) {
    Raise("IndexError", "lane ", lane, " of a vector of ", vector.dtype().lanes, " lanes");
  }
  return MakeOp(OpCode::kLane, {vector, MakeConst(lane)}, Element(vector.dtype()));
}

// isnan and its siblings: false for what cannot be one.
Expr Classify(OpCode op, const Expr& x) {
  if (!IsFloat(x.dtype())) return MakeConst(op == OpCode::kIsFinite ? 1 : 0, Bool());
  return MakeOp(op, {x}, Bool(x.dtype().lanes));
}

Expr RoundTo(const Values& args) {
  Expr x = ToExpr(args[0]);
  std::string mode =
      args.size() > 1 && !IsNone(args[1]) ? ToText(args[1], "rounding_mode") : "ties-to-even";
  if (mode != "ties-to-even" && mode != "ties-away-from-zero") {
    Raise("ValueError", "Invalid rounding mode '", mode,
          "'. Must be one of: ['ties-to-even', 'ties-away-from-zero']");
  }
  if (!IsFloat(x.dtype())) return x;
  return MakeOp(mode == "ties-to-even" ? OpCode::kNearbyint : OpCode::kRound, {x}, x.dtype());
}

Expr ReadOnlyLoad(const Values& args) {
  if (args.size() < 2 || IsNone(args[1])) return ToExpr(args[0]);
  auto buffer = args[0].as<Buffer>();
  if (!buffer) Raise("ValueError", "T.__ldg takes an index only with a buffer");
  return BuildLoad(*buffer, {ToIndex(args[1], *buffer, 0)});
}

using Make = Expr (*)(const Values&, const ffi::Any&);
struct FunctionRow {
  std::string_view name;
  size_t min_args;
  Make make;
};
const FunctionRow kFunctions[] = {
    {"pow", 2, [](const Values& a, const ffi::Any&) { return Power(a); }},
    {"ldexp", 2,
     [](const Values& a, const ffi::Any&) {
       Expr x = ToExpr(a[0]);
       if (!IsFloat(x.dtype())) x = CastTo(x, Float(32));
       return MakeOp(OpCode::kLdexp, {x, ToTyped(a[1], Int(32))}, x.dtype());
     }},
    {"fma", 3,
     [](const Values& a, const ffi::Any&) {
       Expr x = ToExpr(a[0]);
       return MakeOp(OpCode::kFma, {x, ToTyped(a[1], x.dtype()), ToTyped(a[2], x.dtype())},
                     x.dtype());
     }},
    {"clamp", 3,
     [](const Values& a, const ffi::Any&) {
       return Binary("min", Binary("max", ToExpr(a[0]), ToExpr(a[1])), ToExpr(a[2]));
     }},
    {"round", 1, [](const Values& a, const ffi::Any&) { return RoundTo(a); }},
    {"isnan", 1,
     [](const Values& a, const ffi::Any&) { return Classify(OpCode::kIsNan, ToExpr(a[0])); }},
    {"isinf", 1,
     [](const Values& a, const ffi::Any&) { return Classify(OpCode::kIsInf, ToExpr(a[0])); }},
    {"isfinite", 1,
     [](const Values& a, const ffi::Any&) { return Classify(OpCode::kIsFinite, ToExpr(a[0])); }},
    {"isnullptr", 1,
     [](const Values& a, const ffi::Any&) {
       return Binary("eq", ToAddress(a[0]), MakeConst(0, Handle()));
     }},
    {"likely", 1, [](const Values& a, const ffi::Any&) { return ToBool(ToExpr(a[0])); }},
    {"reinterpret", 1, [](const Values& a, const ffi::Any& r) { return Reinterpret(a, r); }},
    {"extract_lane", 2, [](const Values& a, const ffi::Any&) { return ExtractLane(a); }},
    {"address_of", 1, [](const Values& a, const ffi::Any&) { return ToAddress(a[0]); }},
    {"access_ptr", 1, [](const Values& a, const ffi::Any&) { return AccessPtr(a); }},
    {"__ldg", 1, [](const Values& a, const ffi::Any&) { return ReadOnlyLoad(a); }},
    {"any_of", 1, [](const Values& a, const ffi::Any&) { return OverElements(a[0], false); }},
    {"all_of", 1, [](const Values& a, const ffi::Any&) { return OverElements(a[0], true); }},
    {"__ffs", 1,
     [](const Values& a, const ffi::Any&) {
       return MakeOp(OpCode::kFfs, {ToExpr(a[0])}, Int(32));
     }},
    {"rank", 0, [](const Values&, const ffi::Any&) { return MakeOp(OpCode::kRank, {}, Int(32)); }},
    {"num_ranks", 0,
     [](const Values&, const ffi::Any&) { return MakeOp(OpCode::kNumRanks, {}, Int(32)); }},
};

}  // namespace

Expr BuildMath(std::string_view name, const Values& args, const ffi::Any& result) {
  for (const MathRow& row : kMath) {
    if (row.name == name) return BuildRow(row, args);
  }
  for (const FunctionRow& row : kFunctions) {
    if (row.name != name) continue;
    if (args.size() < row.min_args) {
      Raise("TypeError", "T.", name, " needs ", row.min_args, " arguments, got ", args.size());
    }
    return row.make(args, result);
  }
  if (name == "ieee_fmaf") return Ieee(name, args, 3);
  if (name == "ieee_add" || name == "ieee_sub" || name == "ieee_mul" || name == "ieee_fdiv") {
    return Ieee(name, args, 2);
  }
  if (name == "ieee_frcp" || name == "ieee_fsqrt" || name == "ieee_frsqrt")
    return Ieee(name, args, 1);
  if (name.size() == 4 && name.back() == '2' &&
      (name == "add2" || name == "sub2" || name == "mul2" || name == "fma2" || name == "max2" ||
       name == "min2" || name == "abs2")) {
    return Packed(name, args);
  }
  if (name == "get_lane_idx" || name == "get_warp_idx" || name == "get_warp_idx_sync" ||
      name == "get_warp_group_idx") {
    return Identity(name, args);
  }
  return Expr();
}

}  // namespace tilescale::ir
