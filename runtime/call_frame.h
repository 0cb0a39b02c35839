// SPDX-License-Identifier: MIT
#pragma once

#include "runtime/artifact.h"
#include "runtime/limits.h"

#include <tvm/ffi/any.h>

#include <cstdint>
#include <dlpack/dlpack.h>
#include <vector>

/// The hot half of a call: arguments in, checked and bound, with no allocation.
///
/// An ArgumentPlan is an Artifact's parameters compiled once into flat rules. BindArguments walks
/// them and fills a CallFrame on the stack. It only says whether a rule failed; ThrowArgumentError
/// then walks the Artifact again, slowly, to say which and why.
namespace tilescale::runtime {

/// What one call binds. Arrays are indexed by parameter (symbols by symbol).
struct CallFrame {
  const DLTensor* tensors[kMaxParams];  // null for scalars, pointers, None and outputs to come
  int64_t addresses[kMaxParams];
  int64_t scalars[kMaxParams];  // the bits of the declared type, in the low bytes
  int64_t symbols[kMaxSymbols];
  DLDevice device;

  HostValues Values() const { return {symbols, tensors, scalars, addresses}; }
};

/// How one extent or stride is compared.
struct ExtentRule {
  enum Kind : uint8_t { kBound, kConst, kSymbol, kExpr };  // kBound: it defines its symbol
  Kind kind = kConst;
  int64_t value = 0;               // the constant, or the symbol
  const HostExpr* expr = nullptr;  // kExpr
};

struct ParamRule {
  ParamKind kind = ParamKind::kTensor;
  bool is_output = false;
  bool nullable = false;
  bool contiguous = true;
  DLDataType dtype{};
  int32_t rank = 0;
  int32_t first_extent = 0;
  int32_t first_stride = 0;
  uint64_t align_mask = 0;  // bits of the address that must be zero
};

/// Where a symbol comes from; most are one extent of one tensor.
struct SymbolRule {
  int32_t param = -1;  // -1: evaluate `expr`
  int32_t dim = 0;
  const HostExpr* expr = nullptr;
};

/// Points into the Artifact it was made from.
struct ArgumentPlan {
  explicit ArgumentPlan(const Artifact& artifact);

  std::vector<ParamRule> params;
  std::vector<ExtentRule> extents;
  std::vector<ExtentRule> strides;
  std::vector<SymbolRule> symbols;
  std::vector<int32_t> inputs;  // parameters that the caller passes, in order
  DLDeviceType device_type = kDLCUDA;
};

/// Where tensors of a target must be.
DLDeviceType TensorDeviceType(const std::string& target_kind);

/// The tensor in an argument, or null.
inline const DLTensor* AsTensor(const TVMFFIAny& arg) {
  if (arg.type_index == kTVMFFITensor) return TVMFFITensorGetDLTensorPtr(arg.v_obj);
  if (arg.type_index == kTVMFFIDLTensorPtr) return static_cast<const DLTensor*>(arg.v_ptr);
  return nullptr;
}

/// Checks and binds everything but outputs, facts and HostChecks. False if a rule failed.
bool BindArguments(const ArgumentPlan& plan, const TVMFFIAny* args, int32_t num_args,
                   CallFrame* frame);

/// Names the first rule that a call breaks. Must be called only after BindArguments refused it.
[[noreturn]] void ThrowArgumentError(const Artifact& artifact, const TVMFFIAny* args,
                                     int32_t num_args);

/// Elements of `got` may be passed where `expected` is declared: the same type, another member of
/// the e4m3 or of the e5m2 family, and bool for any 8-bit integer.
bool DTypeAccepts(DLDataType expected, DLDataType got);

/// The bits of `value` in a scalar type; false if it does not fit an integer type or the type is
/// none that a scalar can have.
bool EncodeInteger(DLDataType dtype, int64_t value, int64_t* bits);
bool EncodeFloat(DLDataType dtype, double value, int64_t* bits);

}  // namespace tilescale::runtime
