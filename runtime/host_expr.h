// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <dlpack/dlpack.h>
#include <string>
#include <vector>

/// Host expressions: integer arithmetic that the launcher evaluates on every call.
///
/// A HostExpr is a postfix program over int64. The compiler builds it with the functions below, the
/// launch record stores it, and the launcher evaluates it with no allocation. Integers are
/// mathematical: an overflow of 64 bits or a division by zero makes the evaluation fail, it never
/// wraps. Example, `ceildiv(m, 128)` with m the symbol 0:
///
///     HostExpr m = HostExpr::Symbol(0);
///     HostExpr grid_y = FloorDiv(m + 127, 128);          // symbol 0, const 127, add, const 128,
///     ...
///
/// Symbols are the run-time integers of one call (Artifact::symbols). Facts about arguments are
/// leaves too: `HostExpr::Address(0) % 16 == 0` is the launch fact "A.data % 16 == 0".
namespace tilescale::runtime {

enum class HostOp : uint8_t {
  // Leaves.
  kConst,    // value
  kSymbol,   // value of symbol `value`
  kDim,      // shape[dim] of tensor parameter `param`
  kStride,   // strides[dim] of tensor parameter `param`, in elements
  kScalar,   // value of integer or bool scalar parameter `param`
  kAddress,  // data address of tensor or pointer parameter `param`
  kNumel,    // number of elements of tensor parameter `param`
  // Two operands.
  kAdd,
  kSub,
  kMul,
  kFloorDiv,
  kFloorMod,
  kMin,
  kMax,
  kEq,
  kNe,
  kLt,
  kLe,
  kAnd,
  kOr,
  // One operand.
  kNot,
  // Three operands: condition, value if true, value if false. Both values are evaluated.
  kSelect,
};

struct HostInstr {
  HostOp op = HostOp::kConst;
  int16_t param = 0;
  int16_t dim = 0;
  int64_t value = 0;

  bool operator==(const HostInstr&) const = default;
};

/// What one call supplies to the leaves. Entries of `tensors` that are no tensors are null.
struct HostValues {
  const int64_t* symbols = nullptr;
  const DLTensor* const* tensors = nullptr;
  const int64_t* scalars = nullptr;
  const int64_t* addresses = nullptr;
};

/// The names that HostExpr::ToString prints for symbols and parameters.
struct HostNames {
  std::vector<std::string> symbols;
  std::vector<std::string> params;
};

class HostExpr {
 public:
  /// Deepest operand stack that Evaluate supports; Artifact validation enforces it.
  static constexpr int kMaxDepth = 32;

  HostExpr() = default;
  HostExpr(int64_t value) : code_{{HostOp::kConst, 0, 0, value}} {}  // NOLINT: constants convert

  static HostExpr Symbol(int index) { return Leaf(HostOp::kSymbol, 0, 0, index); }
  static HostExpr Dim(int param, int dim) { return Leaf(HostOp::kDim, param, dim); }
  static HostExpr Stride(int param, int dim) { return Leaf(HostOp::kStride, param, dim); }
  static HostExpr Scalar(int param) { return Leaf(HostOp::kScalar, param); }
  static HostExpr Address(int param) { return Leaf(HostOp::kAddress, param); }
  static HostExpr Numel(int param) { return Leaf(HostOp::kNumel, param); }

  /// `op` over its operands. Constant operands are folded unless the result is undefined.
  static HostExpr Make(HostOp op, std::vector<HostExpr> operands);
  static HostExpr FromCode(std::vector<HostInstr> code);

  const std::vector<HostInstr>& code() const { return code_; }
  bool empty() const { return code_.empty(); }
  bool IsConst() const { return code_.size() == 1 && code_[0].op == HostOp::kConst; }
  bool IsConst(int64_t value) const { return IsConst() && code_[0].value == value; }
  int64_t const_value() const { return code_[0].value; }

  /// Depth of the operand stack that the program needs; -1 if the program is malformed (an operand
  /// is missing, or not exactly one result remains).
  int Depth() const;

  /// Writes the value; false if it overflows or divides by zero. The program must be well formed.
  bool Evaluate(const HostValues& values, int64_t* result) const;

  /// Infix text with the user's names, for messages: `(m + 127) // 128`.
  std::string ToString(const HostNames& names) const;

  bool operator==(const HostExpr&) const = default;

 private:
  static HostExpr Leaf(HostOp op, int param = 0, int dim = 0, int64_t value = 0);

  std::vector<HostInstr> code_;
};

HostExpr operator+(const HostExpr& a, const HostExpr& b);
HostExpr operator-(const HostExpr& a, const HostExpr& b);
HostExpr operator*(const HostExpr& a, const HostExpr& b);
HostExpr FloorDiv(const HostExpr& a, const HostExpr& b);
HostExpr FloorMod(const HostExpr& a, const HostExpr& b);
HostExpr CeilDiv(const HostExpr& a, const HostExpr& b);
HostExpr Equal(const HostExpr& a, const HostExpr& b);
HostExpr Less(const HostExpr& a, const HostExpr& b);

}  // namespace tilescale::runtime
