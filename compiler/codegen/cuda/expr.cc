// SPDX-License-Identifier: MIT
// Expressions as C++. Arithmetic is printed fully parenthesised below the top: the reader of the
// text must not need C++'s precedence table for mixed bit operations.
#include "compiler/codegen/cuda/printer.h"
#include "compiler/ir/build.h"
#include "compiler/ir/visit.h"
#include "support/diagnostics.h"

#include <cmath>
#include <cstdio>
#include <iterator>
#include <utility>

namespace tilescale::codegen::cuda {

using ir::DataType;
using ir::OpCode;

std::string TypeName(DataType t) {
  if (t.lanes > 1 && t.bits < 8) {
    return (ir::IsInt(t) ? "ts::i4vec<" : "ts::u4vec<") + std::to_string(t.lanes) + ">";
  }
  if (t.lanes > 1) {
    return "ts::vec<" + TypeName(ir::Element(t)) + ", " + std::to_string(t.lanes) + ">";
  }
  if (ir::IsBool(t)) return "bool";
  if (ir::IsHandle(t)) return "void*";
  if (t.code == kDLFloat && t.bits == 32) return "float";
  if (t.code == kDLFloat && t.bits == 64) return "double";
  if (ir::IsInt(t) && t.bits == 32) return "int";
  if (ir::IsInteger(t) && t.bits < 8) return ir::IsInt(t) ? "ts::i8" : "ts::u8";
  return "ts::" + ir::ShortName(t);
}

namespace {

bool IsAtom(const std::string& s) {
  int depth = 0;
  for (char c : s) {
    if (c == '(' || c == '[') ++depth;
    if (c == ')' || c == ']') --depth;
    if (depth == 0 && c == ' ') return false;
  }
  return s.empty() || (s[0] != '-' && s[0] != '*' && s[0] != '!' && s[0] != '~' && s[0] != '(');
}

std::string Paren(const std::string& s) {
  return IsAtom(s) ? s : "(" + s + ")";
}

std::string FloatLiteral(double v, bool single) {
  if (std::isnan(v))
    return single ? "ts::bits<float>(0x7fc00000u)" : "ts::bits<double>(0x7ff8000000000000ull)";
  if (std::isinf(v)) {
    std::string f =
        single ? "ts::bits<float>(0x7f800000u)" : "ts::bits<double>(0x7ff0000000000000ull)";
    return v < 0 ? "-" + f : f;
  }
  char buf[40];
  std::snprintf(buf, sizeof buf, single ? "%.9g" : "%.17g", v);
  std::string s = buf;
  for (int digits = 1; digits < (single ? 9 : 17); ++digits) {
    std::snprintf(buf, sizeof buf, "%.*g", digits, v);
    double back =
        single ? static_cast<double>(std::strtof(buf, nullptr)) : std::strtod(buf, nullptr);
    if (back == v) {
      s = buf;
      break;
    }
  }
  if (s.find_first_of(".e") == std::string::npos) s += ".0";
  return single ? s + "f" : s;
}

}  // namespace

std::string Printer::Const(const ir::ConstObj* c) {
  DataType t = c->dtype;
  if (ir::IsBool(t)) return c->i ? "true" : "false";
  if (ir::IsInteger(t)) {
    bool is_unsigned = ir::IsUInt(t);
    std::string digits = is_unsigned
                             ? std::to_string(static_cast<uint64_t>(c->i) &
                                              (t.bits >= 64 ? ~0ull : ((1ull << t.bits) - 1)))
                             : std::to_string(c->i);
    if (t.bits == 64) {
      if (!is_unsigned && c->i == INT64_MIN) return "(-9223372036854775807ll - 1)";
      return digits + (is_unsigned ? "ull" : "ll");
    }
    if (t.bits == 32) {
      if (!is_unsigned && c->i == INT32_MIN) return "(-2147483647 - 1)";
      return digits + (is_unsigned ? "u" : "");
    }
    return "(" + TypeName(t) + ")" + Paren(digits);
  }
  if (t.code == kDLFloat && t.bits == 64) return FloatLiteral(c->f, false);
  std::string single = FloatLiteral(c->f, true);
  if (t.code == kDLFloat && t.bits == 32) return single;
  return "ts::cast<" + TypeName(t) + ">(" + single + ")";
}

std::string Printer::Expr(const ir::Expr& e) {
  switch (e.kind()) {
    case ir::NodeKind::kVar:
      return Name(e.get(), ir::Str(e.as<ir::VarObj>()->name));
    case ir::NodeKind::kConst:
      return Const(e.as<ir::ConstObj>());
    case ir::NodeKind::kOp:
      return Op(e.as<ir::OpObj>());
    case ir::NodeKind::kLoad:
      return Load(e.as<ir::LoadObj>());
    case ir::NodeKind::kAddr:
      return Addr(e.as<ir::AddrObj>()->region.get());
    default:
      TS_UNREACHABLE("expression " << ir::NodeKindName(e.kind()) << " at the machine stage");
  }
}

std::string Printer::Cast(const ir::OpObj* op) {
  DataType from = op->args[0].dtype(), to = op->dtype;
  std::string x = Expr(op->args[0]);
  if (ir::SameType(from, to)) return x;
  if (to.bits < 8 || from.bits < 8) headers_.insert("numeric/int4.cuh");
  if (to.lanes > 1 && to.bits < 8) {
    if (from.bits < 8) return "ts::bits<" + TypeName(to) + ">(" + x + ")";
    return (ir::IsInt(to) ? "ts::cast_i4vec<" : "ts::cast_u4vec<") + std::to_string(to.lanes) +
           ">(" + x + ")";
  }
  if (to.lanes > 1) {
    return "ts::cast_vec<" + TypeName(ir::Element(to)) + ", " + std::to_string(to.lanes) + ">(" +
           x + ")";
  }
  if (ir::IsHandle(to) || ir::IsHandle(from)) return "(" + TypeName(to) + ")" + Paren(x);
  bool plain = (ir::IsInteger(from) || ir::IsBool(from)) && ir::IsInteger(to);
  if (to.bits < 8) return Low(to, plain ? x : "ts::cast<int>(" + x + ")");
  if (plain) return "(" + TypeName(to) + ")" + Paren(x);
  return "ts::cast<" + TypeName(to) + ">(" + x + ")";
}

// The low bits of an integer as one of less than a byte.
std::string Printer::Low(DataType t, const std::string& x) {
  headers_.insert("numeric/int4.cuh");
  return (ir::IsInt(t) ? "ts::to_i4(" : "ts::to_u4(") + x + ")";
}

std::string Printer::Op(const ir::OpObj* op) {
  const ir::OpInfo& info = ir::Info(op->op());
  auto arg = [&](size_t i) { return Paren(Expr(op->args[i])); };
  auto call = [&](const std::string& f) {
    std::string s = f + "(";
    for (size_t i = 0; i < op->args.size(); ++i) s += (i ? ", " : "") + Expr(op->args[i]);
    return s + ")";
  };
  if (MayOverflow(op)) {
    constexpr const char* kNames[] = {"add", "sub", "mul", "neg", "shl"};
    constexpr OpCode kOps[] = {OpCode::kAdd, OpCode::kSub, OpCode::kMul, OpCode::kNeg,
                               OpCode::kShl};
    for (size_t i = 0; i < std::size(kOps); ++i) {
      if (op->op() == kOps[i]) return call(std::string("ts::wrapping_") + kNames[i]);
    }
  }
  switch (op->op()) {
    case OpCode::kFloorDiv:
      return call("ts::floordiv");
    case OpCode::kFloorMod:
      return ir::IsFloat(op->dtype) ? call("ts::fmod") : call("ts::floormod");
    case OpCode::kTruncDiv:
    case OpCode::kDiv:
      return arg(0) + " / " + arg(1);
    case OpCode::kTruncMod:
      return arg(0) + " % " + arg(1);
    case OpCode::kNeg:
    case OpCode::kBitNot: {
      std::string s = (op->op() == OpCode::kNeg ? "-" : "~") + arg(0);
      return op->dtype.bits < 8 ? Low(op->dtype, s) : s;
    }
    case OpCode::kNot:
      return "!" + arg(0);
    case OpCode::kAnd:
      return arg(0) + " && " + arg(1);
    case OpCode::kOr:
      return arg(0) + " || " + arg(1);
    case OpCode::kIf:
    case OpCode::kSelect:
      return "(" + arg(0) + " ? " + arg(1) + " : " + arg(2) + ")";
    case OpCode::kCast:
      return Cast(op);
    case OpCode::kBitcast:
      if (op->dtype.bits < 8 || op->args[0].dtype().bits < 8) headers_.insert("numeric/int4.cuh");
      return "ts::bits<" + TypeName(op->dtype) + ">(" + Expr(op->args[0]) + ")";
    case OpCode::kMin:
    case OpCode::kMax:
      return call(std::string("ts::") + info.text);
    case OpCode::kLaneId:
    case OpCode::kWarpId:
      return std::string("ts::") + info.text + "()";
    case OpCode::kRank:
    case OpCode::kNumRanks:
      headers_.insert("ptx/peer.cuh");
      return std::string("ts::") + info.text + "()";
    case OpCode::kLane:
      return arg(0) + "[" + Expr(op->args[1]) + "]";
    case OpCode::kVector:
    case OpCode::kBroadcast: {
      std::string s = TypeName(op->dtype) + "{";
      for (int i = 0; i < op->dtype.lanes; ++i) {
        s += (i ? ", " : "") + Expr(op->args[op->op() == OpCode::kVector ? i : 0]);
      }
      return s + "}";
    }
    default:
      break;
  }
  if (info.cls == ir::OpClass::kInfix || info.cls == ir::OpClass::kCompare) {
    std::string s = arg(0) + " " + info.text + " " + arg(1);
    if (ir::IsInteger(op->dtype) && op->dtype.bits < 8) return Low(op->dtype, s);
    // C++ computes 8- and 16-bit integers as int.
    if (ir::IsInteger(op->dtype) && op->dtype.bits < 32)
      return "(" + TypeName(op->dtype) + ")(" + s + ")";
    return s;
  }
  TS_CHECK(info.cls == ir::OpClass::kMath) << "opcode " << info.text << " cannot be printed";
  return call(std::string("ts::") + info.text);
}

std::string Printer::ArrayName(const ir::Buffer& b) {
  return Name(b->storage.get(), ir::Str(b->name));
}

std::string Printer::Pointer(const ir::Buffer& b) {
  std::string name = ArrayName(b);
  auto it = declared_.find(b->storage.get());
  if (it == declared_.end() || ir::SameType(it->second, b->dtype)) return name;
  std::string qualifier = read_only_.count(b->storage.get()) ? "const " : "";
  return "((" + qualifier + TypeName(b->dtype) + "*)" + name + ")";
}

std::string Printer::Element(const ir::Buffer& b, const ir::Expr& index) {
  if (b->space() == ir::Space::kVar) return ArrayName(b);
  return Pointer(b) + "[" + Expr(index) + "]";
}

// pointer + index. What is constant once loops are unrolled is added last, to a pointer of its own:
// then one register serves many accesses, which differ in the constant offset of their instruction.
// As part of one integer sum, the device compiler adds it to the base of the array instead.
std::string Printer::Offset(const std::string& pointer, const ir::Expr& index) {
  ir::Expr varying, fixed;
  auto collect = [&](auto&& self, const ir::Expr& e) -> void {
    const auto* op = e.as<ir::OpObj>();
    if (op != nullptr && op->op() == OpCode::kAdd) {
      self(self, op->args[0]);
      self(self, op->args[1]);
      return;
    }
    bool unrolled = true;
    ir::Walk(e, [&](const ir::NodeObj* n) {
      bool known = n->kind == ir::NodeKind::kConst || n->kind == ir::NodeKind::kOp;
      unrolled = unrolled && (known || unrolled_.count(n) != 0);
      return unrolled;
    });
    ir::Expr& sum = unrolled ? fixed : varying;
    sum = sum.defined() ? ir::MakeOp(OpCode::kAdd, {sum, e}, e.dtype()) : e;
  };
  collect(collect, index);
  if (!varying.defined() || !fixed.defined()) return pointer + " + " + Paren(Expr(index));
  return pointer + " + " + Paren(Expr(varying)) + " + " + Paren(Expr(fixed));
}

std::string Printer::VectorPlace(const ir::Buffer& b, const ir::Expr& index, DataType t,
                                 bool write) {
  std::string at = ir::IsConst(index, 0) ? Pointer(b) : "(" + Offset(Pointer(b), index) + ")";
  return std::string("*(") + (write ? "" : "const ") + TypeName(t) + "*)" + at;
}

std::string Printer::Load(const ir::LoadObj* load) {
  const bool outer = std::exchange(value_, false);
  std::string value =
      load->dtype.lanes > 1
          ? VectorPlace(load->buffer, load->index[0], load->dtype, false)
          : Element(load->buffer, load->index.empty() ? ir::MakeConst(0) : load->index[0]);
  std::string guard = load->guard.defined() ? Paren(IndexOrValue(load->guard)) : "";
  value_ = outer;
  if (guard.empty()) return value;
  std::string other = load->other.defined()   ? Expr(load->other)
                      : load->dtype.lanes > 1 ? TypeName(load->dtype) + "{}"
                                              : Expr(ir::MakeNumber(0, load->dtype));
  return "(" + guard + " ? " + value + " : " + other + ")";
}

std::string Printer::Addr(const ir::RegionObj* region) {
  const ir::Buffer& b = region->buffer;
  if (b->space() == ir::Space::kVar) return "&" + ArrayName(b);
  const bool outer = std::exchange(value_, false);
  std::string at = region->begin.empty() || ir::IsConst(region->begin[0], 0)
                       ? Pointer(b)
                       : Offset(Pointer(b), region->begin[0]);
  if (region->peer.defined()) {
    headers_.insert("ptx/peer.cuh");
    at = "ts::peer(" + at + ", " + Expr(region->peer) + ")";
  }
  value_ = outer;
  return at;
}

}  // namespace tilescale::codegen::cuda
