// SPDX-License-Identifier: MIT
// Python values and kernel values become expressions: the default types of numbers, literals
// converted straight to an element type, ranges checked.
#include "compiler/ir/builder.h"
#include "compiler/ir/text.h"
#include "compiler/target/constants.h"

#include <tvm/ffi/big_int.h>
#include <tvm/ffi/cast.h>

#include <charconv>
#include <cmath>
#include <limits>

namespace tilescale::ir {

namespace {

// Shortest text that reads back as the same number: 70000, 1e+300.
std::string NumberText(double v) {
  char buffer[64];
  auto end = std::to_chars(buffer, buffer + sizeof(buffer), v).ptr;
  return std::string(buffer, end);
}

double MaxFloat(DataType t) {
  if (t.code == kDLFloat && t.bits == 16) return 65504.0;
  if (t.code == kDLBfloat) return 0x1.FEp127;
  if (t.code == kDLFloat && t.bits == 32) return std::numeric_limits<float>::max();
  if (t.code == kTf32Code) return 0x1.FFCp127;  // 10 bits of mantissa
  if (t.code == kDLFloat8_e4m3fn) return 448.0;
  if (t.code == kDLFloat8_e5m2) return 57344.0;
  return std::numeric_limits<double>::infinity();
}

[[noreturn]] void DoesNotFit(const std::string& number, bool above, DataType dtype) {
  Raise("ValueError", "Literal value ", number, " exceeds ", above ? "maximum" : "minimum", " of ",
        LanguageName(dtype));
}

Expr IntLiteral(int64_t v, DataType dtype) {
  DataType t = Element(dtype);
  if (IsBool(t)) return MakeConst(v != 0 ? 1 : 0, t);
  if (IsFloat(t)) {
    if (std::fabs(static_cast<double>(v)) > MaxFloat(t)) DoesNotFit(std::to_string(v), v > 0, t);
    return MakeFloat(static_cast<double>(v), t);
  }
  if (IsInt(t) && t.bits < 64) {
    int64_t high = (int64_t{1} << (t.bits - 1)) - 1;
    if (v > high || v < -high - 1) DoesNotFit(std::to_string(v), v > 0, t);
  }
  if (IsUInt(t)) {
    bool above = t.bits < 64 && v >= (int64_t{1} << t.bits);
    if (v < 0 || above) DoesNotFit(std::to_string(v), above, t);
  }
  return MakeConst(v, t);
}

Expr FloatLiteral(double v, DataType dtype) {
  DataType t = Element(dtype);
  if (IsBool(t)) return MakeConst(v != 0 ? 1 : 0, t);
  if (IsFloat(t)) {
    if (std::isfinite(v) && std::fabs(v) > MaxFloat(t)) DoesNotFit(NumberText(v), v > 0, t);
    return MakeFloat(v, t);
  }
  // Values of 2^63 and above would need an unsigned path that no program has asked for.
  if (!std::isfinite(v) || std::fabs(v) >= 0x1p63) DoesNotFit(NumberText(v), v > 0, t);
  return IntLiteral(static_cast<int64_t>(v), t);
}

// Python integers beyond 64 bits signed: only those of uint64 have a place.
Expr BigLiteral(const ffi::BigInt& v, const DataType* dtype) {
  std::ostringstream text;
  text << v;
  bool negative = text.str()[0] == '-';
  DataType t = dtype != nullptr ? Element(*dtype) : UInt(64);
  if (IsFloat(t)) return FloatLiteral(static_cast<double>(v), t);
  if (!IsUInt(t) || t.bits < 64 || negative) DoesNotFit(text.str(), !negative, t);
  uint64_t bits = 0;
  std::string digits = text.str();
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  if (error != std::errc()) DoesNotFit(digits, true, t);
  return MakeConst(static_cast<int64_t>(bits), t);
}

bool IsBig(const ffi::Any& v) {
  return v.type_index() == ffi::TypeIndex::kTVMFFIBigInt;
}

// A place that reads as a value: a cell, or a region of constant extent.
Expr ReadPlace(const ffi::Any& v) {
  if (auto buffer = v.as<Buffer>()) {
    if ((*buffer)->space() == Space::kVar) return BuildLoad(*buffer, {MakeConst(0)});
    std::string zeros;
    for (int d = 0; d < (*buffer)->ndim(); ++d) zeros += d == 0 ? "0" : ", 0";
    std::string name = (*buffer)->name;
    Raise("TypeError", "buffer `", name, "` is used where a value is expected; index it, e.g. `",
          name, "[", zeros, "]`");
  }
  auto region = v.as<Region>();
  if (!region) return Expr();
  std::vector<Expr> index;
  for (size_t d = 0; d < (*region)->begin.size(); ++d) {
    Expr begin = (*region)->begin[d], extent = (*region)->extent[d];
    auto n = extent.defined() ? AsInt(extent) : std::optional<int64_t>(1);
    if (!n) {
      Raise("TypeError", "the slice `", Spelled(*region),
            "` is used where a value is expected, but its extent is not a constant");
    }
    index.push_back(RampOf(begin, MakeConst(1, begin.dtype()), *n));
  }
  return BuildLoad((*region)->buffer, index);
}

}  // namespace

DataType TypeOf(std::string_view name) {
  if (auto t = ParseType(name)) return *t;
  Raise("TypeError", "Invalid DataType '", name, "'");
}

bool IsNone(const ffi::Any& v) {
  return v.type_index() == ffi::TypeIndex::kTVMFFINone;
}

bool IsNumber(const ffi::Any& v) {
  int32_t t = v.type_index();
  return t == ffi::TypeIndex::kTVMFFIBool || t == ffi::TypeIndex::kTVMFFIInt ||
         t == ffi::TypeIndex::kTVMFFIFloat || IsBig(v);
}

Expr ToExpr(const ffi::Any& v) {
  switch (v.type_index()) {
    case ffi::TypeIndex::kTVMFFIBool:
      return MakeConst(v.cast<bool>() ? 1 : 0, Bool());
    case ffi::TypeIndex::kTVMFFIInt: {
      int64_t i = v.cast<int64_t>();
      bool small =
          i >= std::numeric_limits<int32_t>::min() && i <= std::numeric_limits<int32_t>::max();
      return MakeConst(i, Int(small ? 32 : 64));
    }
    case ffi::TypeIndex::kTVMFFIFloat:
      return FloatLiteral(v.cast<double>(), Float(32));
    case ffi::TypeIndex::kTVMFFINone:
      Raise("TypeError", "None is used where a kernel value is expected");
    default:
      break;
  }
  if (IsBig(v)) return BigLiteral(v.cast<ffi::BigInt>(), nullptr);
  if (auto e = v.as<Expr>()) return *e;
  if (Expr place = ReadPlace(v); place.defined()) return place;
  Raise("TypeError", Given(v), " is used where a kernel value is expected");
}

Expr ToTyped(const ffi::Any& v, DataType dtype) {
  Expr e;
  switch (v.type_index()) {
    case ffi::TypeIndex::kTVMFFIBool:
      e = IntLiteral(v.cast<bool>() ? 1 : 0, dtype);
      break;
    case ffi::TypeIndex::kTVMFFIInt:
      e = IntLiteral(v.cast<int64_t>(), dtype);
      break;
    case ffi::TypeIndex::kTVMFFIFloat:
      e = FloatLiteral(v.cast<double>(), dtype);
      break;
    default:
      e = IsBig(v) ? BigLiteral(v.cast<ffi::BigInt>(), &dtype) : ToExpr(v);
  }
  return CastTo(e, dtype);
}

Expr ToBool(Expr e) {
  if (e.dtype().lanes > 1) {
    Raise("TypeError", "a condition is one value, got ", LanguageName(e.dtype()),
          ": test each lane, with T.extract_lane");
  }
  if (IsBool(e.dtype())) return e;
  return Compare(OpCode::kNe, e, CastTo(MakeNumber(0, Element(e.dtype())), e.dtype()));
}

Expr CastTo(Expr e, DataType dtype) {
  DataType from = e.dtype();
  if (SameType(from, dtype)) return e;
  if (from.lanes == 1 && dtype.lanes > 1) {
    return MakeOp(OpCode::kBroadcast, {CastTo(std::move(e), Element(dtype))}, dtype);
  }
  if (from.lanes != dtype.lanes) {
    Raise("TypeError", "cannot convert ", LanguageName(from), " to ", LanguageName(dtype),
          ": the numbers of lanes differ");
  }
  // The device has no vector wider than an access: of such a value only lanes are ever computed.
  if (dtype.lanes > 1 &&
      std::max(from.bits, dtype.bits) * dtype.lanes > 8 * target::kMaxAccessBytes) {
    std::vector<Expr> lanes;
    for (int i = 0; i < dtype.lanes; ++i) {
      lanes.push_back(CastTo(LaneOf(e, i), Element(dtype)));
    }
    return MakeOp(OpCode::kVector, lanes, dtype);
  }
  return Cast(std::move(e), dtype);
}

Expr ToIndex(const ffi::Any& v, const Buffer& buffer, size_t dim) {
  Expr e = ToExpr(v);
  if (IsBool(e.dtype())) return CastTo(e, WithLanes(Int(32), e.dtype().lanes));
  if (!IsInteger(e.dtype())) {
    Raise("TypeError", "index ", dim, " of `", std::string(buffer->name),
          "` must be an integer, got ", LanguageName(e.dtype()));
  }
  return e;
}

std::string Given(const ffi::Any& v) {
  if (auto e = v.as<Expr>()) return "`" + Spelled(*e) + "`";
  if (auto s = v.as<ffi::String>()) return "'" + std::string(*s) + "'";
  if (auto d = v.as<double>()) return Spelled(MakeFloat(*d, Float(64)));
  return v.GetTypeKey();
}

int64_t ToInt(const ffi::Any& v, std::string_view what) {
  if (v.type_index() == ffi::TypeIndex::kTVMFFIInt ||
      v.type_index() == ffi::TypeIndex::kTVMFFIBool) {
    return v.cast<int64_t>();
  }
  if (auto e = v.as<Expr>()) {
    if (auto i = AsInt(*e)) return *i;
  }
  Raise("TypeError", what, " must be a constant integer, got ", Given(v));
}

std::string DimText(const Expr& e) {
  if (auto i = AsInt(e)) return std::to_string(*i);
  return Spelled(e);
}

Values ToValues(const ffi::Any& list) {
  if (IsNone(list)) return {};
  auto array = list.as<ffi::Array<ffi::Any>>();
  if (!array) Raise("TypeError", "expected a list, got ", Given(list));
  return Values(array->begin(), array->end());
}

std::string ToText(const ffi::Any& v, std::string_view what) {
  if (auto s = v.as<ffi::String>()) return std::string(*s);
  Raise("TypeError", what, " must be a string, got ", Given(v));
}

DataType TypeOfValue(const ffi::Any& v) {
  if (auto buffer = v.as<Buffer>()) return (*buffer)->dtype;
  if (auto region = v.as<Region>()) return (*region)->buffer->dtype;
  return ToExpr(v).dtype();
}

}  // namespace tilescale::ir
