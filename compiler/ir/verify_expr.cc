// SPDX-License-Identifier: MIT
// Types of expressions: the rules "types" and "rank".
#include "compiler/ir/op_def.h"
#include "compiler/ir/spec.h"
#include "compiler/ir/text.h"
#include "compiler/ir/visit.h"

namespace tilescale::ir {
namespace {

class TypeChecker {
 public:
  explicit TypeChecker(const StmtObj* s) : stmt_(s) {}

  void Check(const Expr& e) {
    switch (e.kind()) {
      case NodeKind::kOp:
        return CheckOp(e.as<OpObj>());
      case NodeKind::kLoad:
        return CheckLoad(e.as<LoadObj>());
      case NodeKind::kAddr:
        Expect(SameType(e.dtype(), Handle()), e, "an address is a handle");
        return CheckRegion(e.as<AddrObj>()->region.get(), e);
      case NodeKind::kSlot:
        return Expect(SameType(e.dtype(), Int(32)), e, "a slot is an i32");
      default:
        return;
    }
  }

  void CheckRegion(const RegionObj* r, const Node& at) {
    const size_t rank = r->buffer->shape.size();
    if (r->begin.size() != rank || r->extent.size() != rank) {
      Fail("rank", at,
           std::to_string(r->begin.size()) + " ranges of a buffer of rank " + std::to_string(rank));
    }
    for (size_t d = 0; d < rank; ++d) {
      CheckIndex(r->begin[d], at);
      if (r->extent[d].defined()) CheckIndex(r->extent[d], at);
    }
    for (const Expr& e : {r->peer, r->cta}) {
      if (e.defined()) CheckIndex(e, at);
    }
    if (r->other.defined()) {
      Check(r->other);
      Expect(SameType(r->other.dtype(), r->buffer->dtype), at,
             "the value outside has type " + ShortName(r->other.dtype()));
    }
    const int64_t beyond = rank >= 63 ? 0 : ~((int64_t{1} << rank) - 1);
    Expect((r->check_lo & beyond) == 0 && (r->check_hi & beyond) == 0, at,
           "a guard of a dimension that the buffer has not");
  }

 private:
  void Expect(bool holds, const Node& at, const std::string& message) {
    if (!holds) Fail("types", at, message);
  }

  [[noreturn]] void Fail(const char* rule, const Node& at, const std::string& message) {
    const Expr e = at.as<ExprObj>() != nullptr
                       ? ffi::GetRef<Expr>(static_cast<const ExprObj*>(at.get()))
                       : Expr();
    BreaksRule(rule, stmt_, e.defined() ? Print(e) + ": " + message : message);
  }

  void CheckIndex(const Expr& e, const Node& at) {
    Expect(e.defined(), at, "a null index");
    Check(e);
    Expect(IsInteger(e.dtype()), at, "an index of type " + ShortName(e.dtype()));
  }

  void CheckLoad(const LoadObj* load) {
    const Expr at = ffi::GetRef<Expr>(load);
    if (load->index.size() != load->buffer->shape.size()) {
      Fail("rank", at,
           std::to_string(load->index.size()) + " indices of a buffer of rank " +
               std::to_string(load->buffer->shape.size()));
    }
    for (const Expr& e : load->index) CheckIndex(e, at);
    const DataType element = load->buffer->dtype;
    Expect(SameType(Element(load->dtype), Element(element)) && load->dtype.lanes >= element.lanes,
           at,
           "a load of type " + ShortName(load->dtype) + " from elements of type " +
               ShortName(element));
    if (load->guard.defined()) {
      Check(load->guard);
      Expect(IsBool(load->guard.dtype()), at, "a guard of type " + ShortName(load->guard.dtype()));
    }
    if (load->other.defined()) {
      Check(load->other);
      Expect(SameType(Element(load->other.dtype()), Element(element)), at,
             "the value outside has type " + ShortName(load->other.dtype()));
    }
  }

  void CheckOp(const OpObj* op) {
    const Expr at = ffi::GetRef<Expr>(op);
    const OpInfo& info = Info(op->op());
    const int count = static_cast<int>(op->args.size());
    Expect(info.arity < 0 || count == info.arity, at, "operands: " + std::to_string(count));
    for (const Expr& arg : op->args) {
      Expect(arg.defined(), at, "a null operand");
      Check(arg);
    }
    switch (info.cls) {
      case OpClass::kInfix:
        return CheckInfix(op, at);
      case OpClass::kArith:
        return CheckSame(op, at, true);
      case OpClass::kCompare:
        CheckSame(op, at, false);
        return Expect(IsBool(op->dtype), at, "a comparison of type " + ShortName(op->dtype));
      case OpClass::kLogic:
        return CheckLogic(op, at);
      case OpClass::kVector:
        return CheckVector(op, at);
      default:
        return;
    }
  }

  // Operands of one type; `result` too.
  void CheckSame(const OpObj* op, const Expr& at, bool result) {
    const DataType first = op->args[0].dtype();
    for (const Expr& arg : op->args) {
      Expect(SameType(arg.dtype(), first), at,
             "operands of types " + ShortName(first) + " and " + ShortName(arg.dtype()));
    }
    if (result) {
      Expect(SameType(op->dtype, first), at,
             "type " + ShortName(op->dtype) + " of operands of type " + ShortName(first));
    }
  }

  void CheckInfix(const OpObj* op, const Expr& at) {
    const DataType first = op->args[0].dtype();
    if (op->op() == OpCode::kShl || op->op() == OpCode::kShr) {
      Expect(IsInteger(first) && IsInteger(op->args[1].dtype()), at, "a shift of a non-integer");
      return Expect(SameType(op->dtype, first), at, "type " + ShortName(op->dtype));
    }
    CheckSame(op, at, true);
    Expect(!IsHandle(first), at, "arithmetic on a handle");
    const bool integers_only =
        op->op() != OpCode::kAdd && op->op() != OpCode::kSub && op->op() != OpCode::kMul;
    Expect(!integers_only || !IsFloat(first), at, "operands of type " + ShortName(first));
  }

  void CheckLogic(const OpObj* op, const Expr& at) {
    const bool choice = op->op() == OpCode::kIf || op->op() == OpCode::kSelect;
    for (size_t i = 0; i < op->args.size(); ++i) {
      if (choice && i > 0) break;
      Expect(IsBool(op->args[i].dtype()), at,
             "an operand of type " + ShortName(op->args[i].dtype()));
    }
    if (!choice) return Expect(IsBool(op->dtype), at, "type " + ShortName(op->dtype));
    Expect(SameType(op->args[1].dtype(), op->args[2].dtype()) &&
               SameType(op->args[1].dtype(), op->dtype),
           at,
           "arms of types " + ShortName(op->args[1].dtype()) + " and " +
               ShortName(op->args[2].dtype()));
  }

  void CheckVector(const OpObj* op, const Expr& at) {
    if (op->op() == OpCode::kLane) {
      return Expect(SameType(op->dtype, Element(op->args[0].dtype())), at, "type of a lane");
    }
    for (const Expr& arg : op->args) {
      Expect(SameType(Element(arg.dtype()), Element(op->dtype)), at,
             "a piece of type " + ShortName(arg.dtype()));
    }
  }

  const StmtObj* stmt_;
};

// Arguments of a tile op against its row.
void CheckTileOp(const TileOpObj* op) {
  const std::string name(op->op);
  const OpSyntax* syntax = FindSyntax(name);
  if (syntax == nullptr) BreaksRule("ops", op, "unknown tile op " + name);
  if (op->args.size() != syntax->params.size()) {
    BreaksRule("ops", op,
               name + " has " + std::to_string(op->args.size()) + " arguments, expected " +
                   std::to_string(syntax->params.size()));
  }
  for (size_t i = 0; i < op->args.size(); ++i) {
    const ffi::Any arg = op->args[i];
    const OpParam& param = syntax->params[i];
    if (arg == nullptr) continue;
    const bool place = arg.as<Region>().has_value(), value = arg.as<Expr>().has_value();
    bool fits = false;
    switch (param.kind) {
      case ArgKind::kRegion:
      case ArgKind::kExpr:
        fits = place || value;
        break;
      case ArgKind::kInt:
        fits = arg.as<int64_t>().has_value();
        break;
      case ArgKind::kFloat:
        fits = arg.try_cast<double>().has_value();
        break;
      case ArgKind::kBool:
        fits = arg.try_cast<bool>().has_value();
        break;
      case ArgKind::kString:
        fits = arg.as<ffi::String>().has_value();
        break;
      case ArgKind::kInts:
        fits = arg.as<ffi::Array<int64_t>>().has_value();
        break;
    }
    if (!fits) BreaksRule("ops", op, name + ": argument " + param.name + " is of another kind");
  }
}

}  // namespace

void VerifyExprTypes(const Expr& e, const StmtObj* s) {
  TypeChecker(s).Check(e);
}

void VerifyTileOp(const TileOpObj* op) {
  CheckTileOp(op);
  TypeChecker checker(op);
  for (const ffi::Any& arg : op->args) {
    if (arg == nullptr) continue;
    if (auto region = arg.as<Region>()) checker.CheckRegion(region->get(), *region);
    if (auto expr = arg.as<Expr>()) checker.Check(*expr);
  }
}

}  // namespace tilescale::ir
