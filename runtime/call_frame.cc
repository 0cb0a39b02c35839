// SPDX-License-Identifier: MIT
#include "runtime/call_frame.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace tilescale::runtime {
namespace {

bool IsE4M3(uint8_t code) {
  return code >= kDLFloat8_e4m3 && code <= kDLFloat8_e4m3fnuz;
}
bool IsE5M2(uint8_t code) {
  return code == kDLFloat8_e5m2 || code == kDLFloat8_e5m2fnuz;
}
bool IsByte(DLDataType t) {
  return (t.code == kDLInt || t.code == kDLUInt || t.code == kDLBool) && t.bits <= 8;
}

ExtentRule MakeExtentRule(const HostExpr& expr) {
  if (expr.IsConst()) return {ExtentRule::kConst, expr.const_value(), nullptr};
  if (expr.code().size() == 1 && expr.code()[0].op == HostOp::kSymbol) {
    return {ExtentRule::kSymbol, expr.code()[0].value, nullptr};
  }
  return {ExtentRule::kExpr, 0, &expr};
}

// The nearest value of a narrower binary format, ties to even, in its bits.
uint32_t NarrowFloat(double value, int exponent_bits, int mantissa_bits) {
  const uint32_t sign = static_cast<uint32_t>(std::signbit(value))
                        << (exponent_bits + mantissa_bits);
  const uint32_t infinity = ((1U << exponent_bits) - 1) << mantissa_bits;
  if (std::isnan(value)) return sign | infinity | (1U << (mantissa_bits - 1));
  if (std::isinf(value)) return sign | infinity;
  if (value == 0) return sign;
  const int min_exponent = 2 - (1 << (exponent_bits - 1));  // of normal numbers
  const int exponent = std::max(std::ilogb(value), min_exponent);
  // In units of the last place; nearbyint rounds to even in the default mode.
  const double units = std::nearbyint(std::ldexp(std::fabs(value), mantissa_bits - exponent));
  if (units == 0) return sign;
  // A mantissa that rounds up to the next power of two carries into the exponent, as it should.
  const double encoded = std::ldexp(exponent - min_exponent, mantissa_bits) + units;
  return sign | static_cast<uint32_t>(std::min<double>(encoded, infinity));
}

bool BindScalar(const ParamRule& rule, const TVMFFIAny& arg, int64_t* bits) {
  const bool integral = arg.type_index == kTVMFFIInt || arg.type_index == kTVMFFIBool;
  switch (rule.dtype.code) {
    case kDLInt:
    case kDLUInt:
    case kDLBool:
      return integral && EncodeInteger(rule.dtype, arg.v_int64, bits);
    default:
      if (integral) return EncodeFloat(rule.dtype, static_cast<double>(arg.v_int64), bits);
      return arg.type_index == kTVMFFIFloat && EncodeFloat(rule.dtype, arg.v_float64, bits);
  }
}

bool BindPointer(const ParamRule& rule, const TVMFFIAny& arg, int64_t* address) {
  if (const DLTensor* tensor = AsTensor(arg)) {
    *address = reinterpret_cast<int64_t>(tensor->data) + static_cast<int64_t>(tensor->byte_offset);
    return tensor->data != nullptr || rule.nullable;
  }
  if (arg.type_index == kTVMFFINone) {
    *address = 0;
    return rule.nullable;
  }
  if (arg.type_index != kTVMFFIInt && arg.type_index != kTVMFFIOpaquePtr) return false;
  *address = arg.v_int64;
  return *address != 0 || rule.nullable;
}

// Everything about one tensor that does not need symbols.
bool BindTensor(const ParamRule& rule, const DLTensor& tensor, int64_t* address) {
  const DLDataType& got = tensor.dtype;
  const bool same =
      got.code == rule.dtype.code && got.bits == rule.dtype.bits && got.lanes == rule.dtype.lanes;
  if (!same && !DTypeAccepts(rule.dtype, got)) return false;
  *address = reinterpret_cast<int64_t>(tensor.data) + static_cast<int64_t>(tensor.byte_offset);
  return tensor.ndim == rule.rank && tensor.data != nullptr &&
         (static_cast<uint64_t>(*address) & rule.align_mask) == 0;
}

bool CheckExtent(const ExtentRule& rule, int64_t got, const CallFrame& frame) {
  switch (rule.kind) {
    case ExtentRule::kBound:
      return true;
    case ExtentRule::kConst:
      return got == rule.value;
    case ExtentRule::kSymbol:
      return got == frame.symbols[rule.value];
    default: {
      int64_t expected = 0;
      return rule.expr->Evaluate(frame.Values(), &expected) && got == expected;
    }
  }
}

bool CheckShapeAndStrides(const ArgumentPlan& plan, const ParamRule& rule, const DLTensor& tensor,
                          const CallFrame& frame) {
  int64_t dense = 1;
  for (int32_t d = rule.rank - 1; d >= 0; --d) {
    const int64_t extent = tensor.shape[d];
    if (extent <= 0 || !CheckExtent(plan.extents[rule.first_extent + d], extent, frame)) {
      return false;
    }
    const int64_t stride = tensor.strides != nullptr ? tensor.strides[d] : dense;
    // The stride of a single element is never used.
    const bool right = rule.contiguous
                           ? stride == dense
                           : CheckExtent(plan.strides[rule.first_stride + d], stride, frame);
    if (!right && extent != 1) return false;
    dense *= extent;
  }
  return true;
}

}  // namespace

DLDeviceType TensorDeviceType(const std::string& target_kind) {
  return target_kind == "cuda" ? kDLCUDA : kDLCPU;
}

bool DTypeAccepts(DLDataType expected, DLDataType got) {
  // Frameworks have no agreed name for packed elements: any type of a byte holds them.
  if (expected.bits * expected.lanes < 8 && got.bits * got.lanes == 8) return true;
  if (got.lanes != expected.lanes) return false;
  if (IsE4M3(expected.code)) return IsE4M3(got.code);
  if (IsE5M2(expected.code)) return IsE5M2(got.code);
  if (expected.code == kDLBool) return IsByte(got);
  return got.code == expected.code && got.bits == expected.bits;
}

bool EncodeInteger(DLDataType dtype, int64_t value, int64_t* bits) {
  if (dtype.code == kDLBool) {
    *bits = value != 0;
    return true;
  }
  *bits = value;
  if (dtype.bits >= 64) return dtype.code == kDLInt || value >= 0;
  const int64_t span = int64_t{1} << (dtype.bits - (dtype.code == kDLInt ? 1 : 0));
  return value < span && value >= (dtype.code == kDLInt ? -span : 0);
}

bool EncodeFloat(DLDataType dtype, double value, int64_t* bits) {
  *bits = 0;
  if (dtype.code == kDLBfloat && dtype.bits == 16) {
    *bits = NarrowFloat(value, 8, 7);
  } else if (dtype.code == kDLFloat && dtype.bits == 16) {
    *bits = NarrowFloat(value, 5, 10);
  } else if (dtype.code == kDLFloat && dtype.bits == 32) {
    *bits = std::bit_cast<uint32_t>(static_cast<float>(value));
  } else if (dtype.code == kDLFloat && dtype.bits == 64) {
    *bits = std::bit_cast<int64_t>(value);
  } else {
    return false;
  }
  return true;
}

ArgumentPlan::ArgumentPlan(const Artifact& artifact)
    : device_type(TensorDeviceType(artifact.target_kind)) {
  for (const Param& param : artifact.params) {
    ParamRule rule;
    rule.kind = param.kind;
    rule.is_output = param.is_output;
    rule.nullable = param.nullable;
    rule.contiguous = param.strides.empty();
    rule.dtype = param.dtype;
    rule.rank = static_cast<int32_t>(param.shape.size());
    rule.first_extent = static_cast<int32_t>(extents.size());
    rule.first_stride = static_cast<int32_t>(strides.size());
    const int bits = param.dtype.bits * param.dtype.lanes;
    if (param.kind == ParamKind::kTensor && bits >= 8) {
      rule.align_mask = std::bit_floor(static_cast<uint64_t>(bits) / 8) - 1;
    }
    for (const HostExpr& extent : param.shape) extents.push_back(MakeExtentRule(extent));
    for (const HostExpr& stride : param.strides) strides.push_back(MakeExtentRule(stride));
    if (!param.is_output) inputs.push_back(static_cast<int32_t>(params.size()));
    params.push_back(rule);
  }
  for (size_t i = 0; i < artifact.symbols.size(); ++i) {
    const std::vector<HostInstr>& code = artifact.symbols[i].bind.code();
    SymbolRule rule;
    rule.expr = &artifact.symbols[i].bind;
    if (code.size() == 1 && code[0].op == HostOp::kDim) {
      rule.param = code[0].param;
      rule.dim = code[0].dim;
      ExtentRule& source = extents[params[rule.param].first_extent + rule.dim];
      const bool itself =
          source.kind == ExtentRule::kSymbol && source.value == static_cast<int64_t>(i);
      if (itself) source.kind = ExtentRule::kBound;
    }
    symbols.push_back(rule);
  }
}

bool BindArguments(const ArgumentPlan& plan, const TVMFFIAny* args, int32_t num_args,
                   CallFrame* frame) {
  if (num_args != static_cast<int32_t>(plan.inputs.size())) return false;
  frame->device = {plan.device_type, -1};
  const TVMFFIAny* arg = args;
  for (size_t p = 0; p < plan.params.size(); ++p) {
    const ParamRule& rule = plan.params[p];
    frame->tensors[p] = nullptr;
    frame->addresses[p] = 0;
    frame->scalars[p] = 0;
    if (rule.is_output) continue;
    const DLTensor* tensor = rule.kind == ParamKind::kScalar ? nullptr : AsTensor(*arg);
    if (tensor != nullptr) {
      if (tensor->device.device_type != plan.device_type) return false;
      if (frame->device.device_id < 0) frame->device.device_id = tensor->device.device_id;
      if (tensor->device.device_id != frame->device.device_id) return false;
    }
    bool bound = false;
    if (rule.kind == ParamKind::kScalar) {
      bound = BindScalar(rule, *arg, &frame->scalars[p]);
    } else if (rule.kind == ParamKind::kPointer) {
      frame->tensors[p] = tensor;  // what a raw pointer reaches is known if it came as a tensor
      bound = BindPointer(rule, *arg, &frame->addresses[p]);
    } else if (tensor != nullptr) {
      frame->tensors[p] = tensor;
      bound = BindTensor(rule, *tensor, &frame->addresses[p]);
    } else {
      bound = arg->type_index == kTVMFFINone && rule.nullable;
    }
    if (!bound) return false;
    ++arg;
  }
  for (size_t s = 0; s < plan.symbols.size(); ++s) {
    const SymbolRule& rule = plan.symbols[s];
    if (rule.param >= 0) {
      frame->symbols[s] = frame->tensors[rule.param]->shape[rule.dim];
    } else if (!rule.expr->Evaluate(frame->Values(), &frame->symbols[s])) {
      return false;
    }
  }
  for (const int32_t p : plan.inputs) {
    const DLTensor* tensor = frame->tensors[p];
    if (tensor != nullptr && plan.params[p].kind == ParamKind::kTensor &&
        !CheckShapeAndStrides(plan, plan.params[p], *tensor, *frame)) {
      return false;
    }
  }
  return true;
}

}  // namespace tilescale::runtime
