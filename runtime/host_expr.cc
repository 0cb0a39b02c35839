// SPDX-License-Identifier: MIT
#include "runtime/host_expr.h"

#include <algorithm>
#include <utility>

namespace tilescale::runtime {
namespace {

int Arity(HostOp op) {
  switch (op) {
    case HostOp::kConst:
    case HostOp::kSymbol:
    case HostOp::kDim:
    case HostOp::kStride:
    case HostOp::kScalar:
    case HostOp::kAddress:
    case HostOp::kNumel:
      return 0;
    case HostOp::kNot:
      return 1;
    case HostOp::kSelect:
      return 3;
    default:
      return 2;
  }
}

bool FloorDivide(int64_t a, int64_t b, int64_t* quotient, int64_t* remainder) {
  if (b == 0 || (a == INT64_MIN && b == -1)) return false;
  *quotient = a / b;
  *remainder = a % b;
  if (*remainder != 0 && (*remainder < 0) != (b < 0)) {
    *quotient -= 1;
    *remainder += b;
  }
  return true;
}

bool ApplyBinary(HostOp op, int64_t a, int64_t b, int64_t* result) {
  int64_t other = 0;
  switch (op) {
    case HostOp::kAdd:
      return !__builtin_add_overflow(a, b, result);
    case HostOp::kSub:
      return !__builtin_sub_overflow(a, b, result);
    case HostOp::kMul:
      return !__builtin_mul_overflow(a, b, result);
    case HostOp::kFloorDiv:
      return FloorDivide(a, b, result, &other);
    case HostOp::kFloorMod:
      return FloorDivide(a, b, &other, result);
    case HostOp::kMin:
      *result = std::min(a, b);
      return true;
    case HostOp::kMax:
      *result = std::max(a, b);
      return true;
    case HostOp::kEq:
      *result = a == b;
      return true;
    case HostOp::kNe:
      *result = a != b;
      return true;
    case HostOp::kLt:
      *result = a < b;
      return true;
    case HostOp::kLe:
      *result = a <= b;
      return true;
    case HostOp::kAnd:
      *result = a != 0 && b != 0;
      return true;
    case HostOp::kOr:
      *result = a != 0 || b != 0;
      return true;
    default:
      return false;
  }
}

int64_t LeafValue(const HostInstr& instr, const HostValues& values) {
  switch (instr.op) {
    case HostOp::kSymbol:
      return values.symbols[instr.value];
    case HostOp::kDim:
      return values.tensors[instr.param]->shape[instr.dim];
    case HostOp::kStride: {
      const DLTensor& tensor = *values.tensors[instr.param];
      if (tensor.strides != nullptr) return tensor.strides[instr.dim];
      int64_t stride = 1;
      for (int d = tensor.ndim - 1; d > instr.dim; --d) stride *= tensor.shape[d];
      return stride;
    }
    case HostOp::kScalar:
      return values.scalars[instr.param];
    case HostOp::kAddress:
      return values.addresses[instr.param];
    case HostOp::kNumel: {
      const DLTensor& tensor = *values.tensors[instr.param];
      int64_t count = 1;
      for (int d = 0; d < tensor.ndim; ++d) count *= tensor.shape[d];
      return count;
    }
    default:
      return instr.value;
  }
}

// Text of a subexpression and how tightly its outermost operator binds.
struct Printed {
  std::string text;
  int precedence;
};

struct BinaryText {
  const char* text;
  int precedence;  // 0: printed as a call
};

BinaryText TextOf(HostOp op) {
  switch (op) {
    case HostOp::kAdd:
      return {"+", 5};
    case HostOp::kSub:
      return {"-", 5};
    case HostOp::kMul:
      return {"*", 6};
    case HostOp::kFloorDiv:
      return {"//", 6};
    case HostOp::kFloorMod:
      return {"%", 6};
    case HostOp::kMin:
      return {"min", 0};
    case HostOp::kMax:
      return {"max", 0};
    case HostOp::kEq:
      return {"==", 4};
    case HostOp::kNe:
      return {"!=", 4};
    case HostOp::kLt:
      return {"<", 4};
    case HostOp::kLe:
      return {"<=", 4};
    case HostOp::kAnd:
      return {"and", 2};
    default:
      return {"or", 1};
  }
}

std::string Named(const std::vector<std::string>& names, int64_t index, const char* kind) {
  if (index >= 0 && index < static_cast<int64_t>(names.size())) return names[index];
  return kind + std::to_string(index);
}

std::string LeafText(const HostInstr& instr, const HostNames& names) {
  const auto param = [&] { return Named(names.params, instr.param, "arg"); };
  switch (instr.op) {
    case HostOp::kSymbol:
      return Named(names.symbols, instr.value, "symbol");
    case HostOp::kDim:
      return param() + ".shape[" + std::to_string(instr.dim) + "]";
    case HostOp::kStride:
      return param() + ".strides[" + std::to_string(instr.dim) + "]";
    case HostOp::kScalar:
      return param();
    case HostOp::kAddress:
      return param() + ".data";
    case HostOp::kNumel:
      return "numel(" + param() + ")";
    default:
      return std::to_string(instr.value);
  }
}

std::string Enclosed(const Printed& operand, int needed) {
  return operand.precedence < needed ? "(" + operand.text + ")" : operand.text;
}

Printed PrintBinary(HostOp op, const Printed& a, const Printed& b) {
  const BinaryText text = TextOf(op);
  if (text.precedence == 0) {
    return {std::string(text.text) + "(" + a.text + ", " + b.text + ")", 9};
  }
  // Comparisons do not chain and the others associate to the left.
  const int left = text.precedence + (text.precedence == 4);
  return {Enclosed(a, left) + " " + text.text + " " + Enclosed(b, text.precedence + 1),
          text.precedence};
}

}  // namespace

HostExpr HostExpr::Leaf(HostOp op, int param, int dim, int64_t value) {
  return FromCode({{op, static_cast<int16_t>(param), static_cast<int16_t>(dim), value}});
}

HostExpr HostExpr::FromCode(std::vector<HostInstr> code) {
  HostExpr expr;
  expr.code_ = std::move(code);
  return expr;
}

HostExpr HostExpr::Make(HostOp op, std::vector<HostExpr> operands) {
  HostExpr result;
  bool constant = true;
  for (const HostExpr& operand : operands) {
    constant &= operand.IsConst();
    result.code_.insert(result.code_.end(), operand.code_.begin(), operand.code_.end());
  }
  result.code_.push_back({op, 0, 0, 0});
  int64_t value = 0;
  if (constant && result.Depth() > 0 && result.Evaluate({}, &value)) return HostExpr(value);
  return result;
}

int HostExpr::Depth() const {
  int depth = 0;
  int deepest = 0;
  for (const HostInstr& instr : code_) {
    if (instr.op > HostOp::kSelect) return -1;
    const int arity = Arity(instr.op);
    if (depth < arity) return -1;
    depth += 1 - arity;
    deepest = std::max(deepest, depth);
  }
  return depth == 1 ? deepest : -1;
}

bool HostExpr::Evaluate(const HostValues& values, int64_t* result) const {
  int64_t stack[kMaxDepth];
  int top = -1;
  for (const HostInstr& instr : code_) {
    switch (Arity(instr.op)) {
      case 0:
        stack[++top] = LeafValue(instr, values);
        break;
      case 1:
        stack[top] = stack[top] == 0;
        break;
      case 2:
        --top;
        if (!ApplyBinary(instr.op, stack[top], stack[top + 1], &stack[top])) return false;
        break;
      default:
        top -= 2;
        stack[top] = stack[top] != 0 ? stack[top + 1] : stack[top + 2];
    }
  }
  *result = stack[0];
  return true;
}

std::string HostExpr::ToString(const HostNames& names) const {
  std::vector<Printed> stack;
  for (const HostInstr& instr : code_) {
    const int arity = Arity(instr.op);
    if (arity == 0) {
      const bool negative = instr.op == HostOp::kConst && instr.value < 0;
      stack.push_back({LeafText(instr, names), negative ? 5 : 9});
      continue;
    }
    Printed* operand = &stack[stack.size() - arity];
    Printed result;
    if (arity == 1) {
      result = {"not " + Enclosed(operand[0], 3), 3};
    } else if (arity == 2) {
      result = PrintBinary(instr.op, operand[0], operand[1]);
    } else {
      result = {Enclosed(operand[1], 1) + " if " + Enclosed(operand[0], 1) + " else " +
                    Enclosed(operand[2], 0),
                0};
    }
    stack.resize(stack.size() - arity);
    stack.push_back(std::move(result));
  }
  return stack.empty() ? "" : stack.back().text;
}

HostExpr operator+(const HostExpr& a, const HostExpr& b) {
  if (a.IsConst(0)) return b;
  if (b.IsConst(0)) return a;
  return HostExpr::Make(HostOp::kAdd, {a, b});
}

HostExpr operator-(const HostExpr& a, const HostExpr& b) {
  return b.IsConst(0) ? a : HostExpr::Make(HostOp::kSub, {a, b});
}

HostExpr operator*(const HostExpr& a, const HostExpr& b) {
  if (a.IsConst(1)) return b;
  if (b.IsConst(1)) return a;
  return HostExpr::Make(HostOp::kMul, {a, b});
}

HostExpr FloorDiv(const HostExpr& a, const HostExpr& b) {
  return b.IsConst(1) ? a : HostExpr::Make(HostOp::kFloorDiv, {a, b});
}

HostExpr FloorMod(const HostExpr& a, const HostExpr& b) {
  return HostExpr::Make(HostOp::kFloorMod, {a, b});
}

HostExpr CeilDiv(const HostExpr& a, const HostExpr& b) {
  return FloorDiv(a + (b - 1), b);
}

HostExpr Equal(const HostExpr& a, const HostExpr& b) {
  return HostExpr::Make(HostOp::kEq, {a, b});
}

HostExpr Less(const HostExpr& a, const HostExpr& b) {
  return HostExpr::Make(HostOp::kLt, {a, b});
}

}  // namespace tilescale::runtime
