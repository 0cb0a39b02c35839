// SPDX-License-Identifier: MIT
#include "compiler/ir/build.h"
#include "compiler/ir/fold.h"
#include "compiler/ir/printer.h"
#include "compiler/ir/text_rules.h"
#include "compiler/ir/visit.h"

#include <charconv>
#include <cmath>

namespace tilescale::ir::text {
namespace {

// The shortest text that reads back to `value`; always with a point or an exponent.
std::string FloatText(double value, DataType t) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const bool wide = t.code == kDLFloat && t.bits == 64;
  auto end = wide ? std::to_chars(buffer, buffer + sizeof buffer, value).ptr
                  : std::to_chars(buffer, buffer + sizeof buffer, static_cast<float>(value)).ptr;
  std::string text(buffer, end);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string IntText(int64_t value, DataType t) {
  return IsUInt(t) ? std::to_string(static_cast<uint64_t>(value)) : std::to_string(value);
}

bool IsFull(const RegionObj* r) {
  const size_t rank = r->buffer->shape.size();
  // A broken program's region may be of another rank; its dump shows that.
  if (r->begin.size() != rank || r->extent.size() != rank) return false;
  for (size_t d = 0; d < rank; ++d) {
    const Expr dim = r->buffer->shape[d];
    if (!SameExpr(r->begin[d], MakeConst(0, dim.dtype())) || !SameExpr(r->extent[d], dim)) {
      return false;
    }
  }
  return true;
}

}  // namespace

void Printer::PrintVar(const VarObj* var) {
  const bool declares = declaring_ && !names_.Known(var);
  PrintName(names_.Of(var, View(var->name)));
  if (declares && !SameType(var->dtype, Int(32))) out_ += ":" + ShortName(var->dtype);
}

void Printer::PrintConst(const ConstObj* c, std::optional<DataType> context) {
  if (SameType(c->dtype, Bool())) {
    out_ += c->i != 0 ? "true" : "false";
    return;
  }
  const bool is_float = IsFloat(c->dtype);
  const std::string text = is_float ? FloatText(c->f, c->dtype) : IntText(c->i, c->dtype);
  const DataType untyped = context ? *context : is_float ? Float(32) : Int(32);
  out_ += SameType(untyped, c->dtype) ? text : TypeName(c->dtype) + "(" + text + ")";
}

void Printer::PrintExprs(const ffi::Array<Expr>& exprs) {
  bool first = true;
  for (const Expr& e : exprs) {
    if (!first) out_ += ", ";
    first = false;
    PrintExpr(e);
  }
}

void Printer::PrintCallForm(const OpObj* op) {
  const OpInfo& info = Info(op->op());
  std::optional<DataType> inferred = InferType(op->op(), op->args);
  const bool spelled = Precedence(op->op()) == 0 && op->op() != OpCode::kBitNot;
  out_ += spelled ? std::string(info.text) : "op" + Quote(info.text);
  if (!inferred || !SameType(*inferred, op->dtype)) out_ += "." + TypeName(op->dtype);
  out_ += "(";
  std::optional<DataType> context = LiteralType(op->op(), op->args);
  for (size_t i = 0; i < op->args.size(); ++i) {
    if (i > 0) out_ += ", ";
    const bool shared = static_cast<int>(i) >= FirstShared(op->op());
    PrintExpr(op->args[i], 0, shared ? context : std::nullopt);
  }
  out_ += ")";
}

void Printer::PrintOp(const OpObj* op, int min_precedence) {
  std::optional<DataType> inferred = InferType(op->op(), op->args);
  const bool usual = inferred && SameType(*inferred, op->dtype);
  if (usual && (op->op() == OpCode::kNot || op->op() == OpCode::kBitNot)) {
    const bool logical = op->op() == OpCode::kNot;
    const int precedence = logical ? kNotPrecedence : kPrimary - 1;
    if (precedence < min_precedence) out_ += "(";
    out_ += logical ? "not " : "~";
    PrintExpr(op->args[0], precedence);
    if (precedence < min_precedence) out_ += ")";
    return;
  }
  const int precedence = Precedence(op->op());
  if (precedence == 0 || !usual || op->args.size() != 2) return PrintCallForm(op);
  std::optional<DataType> context = LiteralType(op->op(), op->args);
  const bool compare =
      Info(op->op()).cls == OpClass::kCompare;  // no chains: a < b < c is not written
  if (precedence < min_precedence) out_ += "(";
  PrintExpr(op->args[0], compare ? precedence + 1 : precedence, context);
  out_ += " " + std::string(Info(op->op()).text) + " ";
  PrintExpr(op->args[1], precedence + 1, context);
  if (precedence < min_precedence) out_ += ")";
}

void Printer::PrintLoad(const LoadObj* load) {
  const BufferObj* buffer = load->buffer.get();
  PrintName(NameOf(buffer));
  const bool typed = !user_ && !SameType(load->dtype, buffer->dtype);
  if (typed) out_ += "." + ShortName(load->dtype);
  const bool guarded = !user_ && (load->guard.defined() || load->other.defined());
  if (user_ && buffer->space() == Space::kVar) return;
  if (load->index.empty() && !guarded && !typed) return;
  out_ += "[";
  PrintExprs(load->index);
  if (guarded) {
    out_ += load->index.empty() ? "? " : " ? ";
    if (load->guard.defined()) PrintExpr(load->guard);
    if (load->other.defined()) {
      out_ += load->guard.defined() ? " : " : ": ";
      PrintExpr(load->other, 0, buffer->dtype);
    }
  }
  out_ += "]";
}

void Printer::PrintBox(const RegionObj* r) {
  if (IsFull(r)) return;
  out_ += "[";
  for (size_t d = 0; d < r->begin.size(); ++d) {
    if (d > 0) out_ += ", ";
    PrintExpr(r->begin[d]);
    const Expr extent = d < r->extent.size() ? r->extent[d] : Expr();
    if (user_) {
      if (!extent.defined() || IsConst(extent, 1)) continue;
      out_ += ":";
      PrintExpr(Add(r->begin[d], extent));
      continue;
    }
    if (!extent.defined()) {
      out_ += " +: ?";
    } else if (!SameExpr(extent, MakeConst(1))) {
      out_ += " +: ";
      PrintExpr(extent);
    }
  }
  out_ += "]";
}

void Printer::PrintGuards(const RegionObj* r) {
  if (r->check_lo != 0 || r->check_hi != 0) {
    bool first = true;
    out_ += " guard(";
    for (size_t d = 0; d < r->buffer->shape.size(); ++d) {
      const bool lo = (r->check_lo >> d & 1) != 0, hi = (r->check_hi >> d & 1) != 0;
      if (!lo && !hi) continue;
      out_ += (first ? "" : ", ") + std::to_string(d) + ":";
      first = false;
      if (lo) out_ += " >= 0";
      if (!hi) continue;
      out_ += " < ";
      PrintExpr(r->buffer->shape[d], Precedence(OpCode::kLt) + 1);
    }
    out_ += ")";
  }
  if (r->other.defined()) {
    out_ += " other(";
    PrintExpr(r->other, 0, r->buffer->dtype);
    out_ += ")";
  }
}

void Printer::PrintRegion(const Region& r) {
  PrintName(NameOf(r->buffer.get()));
  if (r->peer.defined()) {
    out_ += "@peer(";
    PrintExpr(r->peer);
    out_ += ")";
  }
  if (r->cta.defined()) {
    out_ += "@cta(";
    PrintExpr(r->cta);
    out_ += ")";
  }
  PrintBox(r.get());
  PrintGuards(r.get());
}

void Printer::PrintAddr(const AddrObj* addr) {
  const RegionObj* r = addr->region.get();
  const bool plain = !r->peer.defined() && !r->cta.defined() && !r->other.defined() &&
                     r->check_lo == 0 && r->check_hi == 0;
  if (plain && IsFull(r)) {
    PrintName(NameOf(r->buffer.get()));
    out_ += ".data";
  } else {
    out_ += "&";
    PrintRegion(addr->region);
  }
}

void Printer::PrintSlot(const SlotObj* slot) {
  PrintName(names_.Of(slot->token.get(), View(slot->token->name)));
  out_ += slot->phase ? ".phase_" : ".";
  out_ += slot->out ? "out" : "in";
  if (slot->back != 0) out_ += "-" + std::to_string(slot->back);
}

void Printer::PrintExpr(const Expr& e, int min_precedence, std::optional<DataType> context) {
  if (!e.defined()) {
    out_ += "none";
    return;
  }
  switch (e.kind()) {
    case NodeKind::kVar:
      return PrintVar(e.as<VarObj>());
    case NodeKind::kConst:
      return PrintConst(e.as<ConstObj>(), context);
    case NodeKind::kOp:
      return PrintOp(e.as<OpObj>(), min_precedence);
    case NodeKind::kLoad:
      return PrintLoad(e.as<LoadObj>());
    case NodeKind::kAddr:
      return PrintAddr(e.as<AddrObj>());
    case NodeKind::kSlot:
      return PrintSlot(e.as<SlotObj>());
    default:
      out_ += NodeKindName(e.kind());
  }
}

}  // namespace tilescale::ir::text
