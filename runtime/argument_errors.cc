// SPDX-License-Identifier: MIT
#include "runtime/call_frame.h"
#include "support/diagnostics.h"
#include "support/strings.h"

#include <cinttypes>
#include <cstdio>

namespace tilescale::runtime {
namespace {

const char* DeviceTypeName(int32_t type) {
  switch (type) {
    case kDLCPU:
      return "cpu";
    case kDLCUDA:
      return "cuda";
    case kDLCUDAHost:
      return "cuda_host";
    case kDLCUDAManaged:
      return "cuda_managed";
    case kDLROCM:
      return "rocm";
    case kDLMetal:
      return "metal";
    default:
      return "other";
  }
}

const char* TypeText(const TVMFFIAny& arg) {
  switch (arg.type_index) {
    case kTVMFFINone:
      return "None";
    case kTVMFFIInt:
      return "int";
    case kTVMFFIBool:
      return "bool";
    case kTVMFFIFloat:
      return "float";
    case kTVMFFIDLTensorPtr:
    case kTVMFFITensor:
      return "a tensor";
    case kTVMFFIRawStr:
    case kTVMFFISmallStr:
    case kTVMFFIStr:
      return "str";
    default:
      return "an object of another type";
  }
}

std::string ShapeText(const DLTensor& tensor) {
  std::string text = "(";
  for (int d = 0; d < tensor.ndim; ++d) text += (d ? ", " : "") + std::to_string(tensor.shape[d]);
  return text + (tensor.ndim == 1 ? ",)" : ")");
}

std::string HexAddress(int64_t address) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%" PRIx64, static_cast<uint64_t>(address));
  return text;
}

// Walks a call that BindArguments refused, in the order of its rules, and throws at the first that
// does not hold.
class Diagnosis {
 public:
  Diagnosis(const Artifact& artifact, const TVMFFIAny* args, int32_t num_args)
      : artifact_(artifact), names_(artifact.Names()), args_(args), num_args_(num_args) {}

  [[noreturn]] void Run() {
    CheckCount();
    const DLDeviceType device_type = TensorDeviceType(artifact_.target_kind);
    frame_.device = {device_type, -1};
    int32_t next = 0;
    for (size_t p = 0; p < artifact_.params.size(); ++p) {
      frame_.tensors[p] = nullptr;
      frame_.addresses[p] = 0;
      frame_.scalars[p] = 0;
      if (!artifact_.params[p].is_output) BindOne(static_cast<int>(p), next++);
    }
    BindSymbols();
    for (size_t p = 0; p < artifact_.params.size(); ++p) {
      if (frame_.tensors[p] == nullptr) continue;
      CheckShape(artifact_.params[p], *frame_.tensors[p]);
      CheckStrides(artifact_.params[p], *frame_.tensors[p]);
    }
    TS_UNREACHABLE("a call of " << artifact_.name << " was refused for no reason");
  }

 private:
  std::string Where(const Param& param) const { return artifact_.name + "." + param.name; }

  void CheckCount() const {
    std::vector<std::string> inputs;
    for (const Param& param : artifact_.params) {
      if (!param.is_output) inputs.push_back(param.name);
    }
    if (static_cast<size_t>(num_args_) == inputs.size()) return;
    throw Diag({}, "ValueError") << "Kernel expected " << inputs.size() << " inputs, but "
                                 << num_args_ << " are provided. " << artifact_.name
                                 << ": num_args should be " << inputs.size()
                                 << "; expected: " << (inputs.empty() ? "none" : Join(inputs, ", "))
                                 << ", got: " << num_args_;
  }

  void BindOne(int p, int position) {
    const Param& param = artifact_.params[p];
    const TVMFFIAny& arg = args_[position];
    if (param.kind == ParamKind::kScalar) return BindScalar(p, position);
    const DLTensor* tensor = AsTensor(arg);
    if (tensor == nullptr) return BindNoTensor(p, position);
    CheckDevice(param, *tensor);
    if (param.kind == ParamKind::kTensor) {
      CheckRankAndDType(param, *tensor);
      frame_.tensors[p] = tensor;
    }
    frame_.addresses[p] =
        reinterpret_cast<int64_t>(tensor->data) + static_cast<int64_t>(tensor->byte_offset);
    CheckAddress(param, *tensor, frame_.addresses[p]);
  }

  void BindScalar(int p, int position) {
    const Param& param = artifact_.params[p];
    const TVMFFIAny& arg = args_[position];
    const bool integral = arg.type_index == kTVMFFIInt || arg.type_index == kTVMFFIBool;
    const bool wants_integer = param.dtype.code == kDLInt || param.dtype.code == kDLUInt;
    const bool wants_bool = param.dtype.code == kDLBool;
    if (!integral && (wants_integer || wants_bool || arg.type_index != kTVMFFIFloat)) {
      throw Diag({}, "TypeError") << "Expect arg[" << position << "] to be "
                                  << (wants_bool      ? "boolean"
                                      : wants_integer ? "int"
                                                      : "float")
                                  << ": " << Where(param) << " is " << DTypeName(param.dtype)
                                  << ", got " << TypeText(arg);
    }
    if (wants_integer && !EncodeInteger(param.dtype, arg.v_int64, &frame_.scalars[p])) {
      throw Diag({}, "ValueError")
          << Where(param) << ": " << arg.v_int64 << " does not fit " << DTypeName(param.dtype);
    }
    if (wants_bool) frame_.scalars[p] = arg.v_int64 != 0;
    if (wants_integer || wants_bool) return;
    const double value = integral ? static_cast<double>(arg.v_int64) : arg.v_float64;
    TS_CHECK(EncodeFloat(param.dtype, value, &frame_.scalars[p]))
        << Where(param) << " has no scalar type";
  }

  void BindNoTensor(int p, int position) {
    const Param& param = artifact_.params[p];
    const TVMFFIAny& arg = args_[position];
    const bool address = param.kind == ParamKind::kPointer &&
                         (arg.type_index == kTVMFFIInt || arg.type_index == kTVMFFIOpaquePtr);
    if (address) frame_.addresses[p] = arg.v_int64;
    if (address && arg.v_int64 == 0 && !param.nullable) ThrowNull(param, "");
    if (address) return;
    if (arg.type_index == kTVMFFINone) {
      if (!param.nullable) ThrowNull(param, "");
      return;
    }
    throw Diag({}, "TypeError")
        << "Expect arg[" << position << "] to be pointer: " << Where(param)
        << (param.kind == ParamKind::kTensor ? " is a tensor" : " is a pointer") << ", got "
        << TypeText(arg)
        << (param.kind == ParamKind::kTensor
                ? "; pass a tensor of torch, numpy or another DLPack framework"
                : "; pass an address or a tensor");
  }

  [[noreturn]] void ThrowNull(const Param& param, const char* what) const {
    throw Diag({}, "ValueError") << Where(param) << " is expected to have non-NULL " << what
                                 << "pointer, but got NULL";
  }

  void CheckDevice(const Param& param, const DLTensor& tensor) {
    const int32_t expected = frame_.device.device_type;
    const int32_t got = tensor.device.device_type;
    if (got != expected) {
      Diag error({}, "ValueError");
      error << Where(param) << ".device_type mismatch [expected: " << expected << " ("
            << DeviceTypeName(expected) << ")], got: " << got << " (" << DeviceTypeName(got) << ")";
      if (expected == kDLCUDA) error << Help("move the tensor to the GPU, with .cuda() in torch");
      if (expected == kDLCPU) error << Help("the target runs on host memory: pass CPU tensors");
      throw error;
    }
    if (frame_.device.device_id < 0) frame_.device.device_id = tensor.device.device_id;
    if (tensor.device.device_id != frame_.device.device_id) {
      throw Diag({}, "ValueError")
          << "Argument " << Where(param)
          << ".device_id has an unsatisfied constraint: " << frame_.device.device_id
          << " == " << tensor.device.device_id
          << Help("all tensors of a call must be on one device");
    }
  }

  void CheckRankAndDType(const Param& param, const DLTensor& tensor) const {
    if (static_cast<size_t>(tensor.ndim) != param.shape.size()) {
      throw Diag({}, "ValueError")
          << Where(param) << ".ndim is expected to equal " << param.shape.size()
          << ", but got mismatched ndim " << tensor.ndim;
    }
    if (!DTypeAccepts(param.dtype, tensor.dtype)) {
      throw Diag({}, "TypeError") << Where(param) << ".dtype is expected to be "
                                  << DTypeName(param.dtype) << ", but got incompatible dtype "
                                  << DTypeName(tensor.dtype);
    }
  }

  void CheckAddress(const Param& param, const DLTensor& tensor, int64_t address) const {
    for (int d = 0; d < tensor.ndim && param.kind == ParamKind::kTensor; ++d) {
      if (tensor.shape[d] == 0) ThrowEmpty(param, tensor, d);
    }
    if (tensor.data == nullptr) {
      if (param.kind == ParamKind::kPointer && param.nullable) return;
      ThrowNull(param, "data ");
    }
    const int bytes = param.dtype.bits * param.dtype.lanes / 8;
    if (param.kind != ParamKind::kTensor || bytes == 0) return;
    const int alignment = bytes & -bytes;
    if (static_cast<uint64_t>(address) % alignment != 0) {
      throw Diag({}, "ValueError")
          << Where(param) << ": the data address " << HexAddress(address)
          << " is not a multiple of " << alignment << ", the size of " << DTypeName(param.dtype);
    }
  }

  [[noreturn]] void ThrowEmpty(const Param& param, const DLTensor& tensor, int d) const {
    throw Diag({}, "ValueError") << Where(param) << ".shape[" << d
                                 << "] is 0: a kernel cannot run on an empty tensor, got shape "
                                 << ShapeText(tensor);
  }

  void BindSymbols() {
    for (size_t s = 0; s < artifact_.symbols.size(); ++s) {
      const Symbol& symbol = artifact_.symbols[s];
      if (!symbol.bind.Evaluate(frame_.Values(), &frame_.symbols[s])) {
        throw Diag({}, "ValueError")
            << artifact_.name << ": " << symbol.name << " = " << symbol.bind.ToString(names_)
            << " divides by zero or exceeds 64 bits for these arguments";
      }
    }
  }

  // "(m, 2 * k) with m = 3, k = 4"
  std::string DeclaredText(const std::vector<HostExpr>& extents) const {
    std::string text = "(";
    std::string values;
    std::vector<bool> listed(artifact_.symbols.size(), false);
    for (size_t d = 0; d < extents.size(); ++d) {
      text += (d ? ", " : "") + extents[d].ToString(names_);
      for (const HostInstr& instr : extents[d].code()) {
        if (instr.op != HostOp::kSymbol || listed[instr.value]) continue;
        listed[instr.value] = true;
        values += (values.empty() ? " with " : ", ") + artifact_.symbols[instr.value].name + " = " +
                  std::to_string(frame_.symbols[instr.value]);
      }
    }
    return text + (extents.size() == 1 ? ",)" : ")") + values;
  }

  bool Holds(const HostExpr& expected, int64_t got) const {
    int64_t value = 0;
    return expected.Evaluate(frame_.Values(), &value) && value == got;
  }

  void CheckShape(const Param& param, const DLTensor& tensor) const {
    for (int d = 0; d < tensor.ndim; ++d) {
      if (Holds(param.shape[d], tensor.shape[d])) continue;
      throw Diag({}, "ValueError")
          << "Argument " << Where(param) << ".shape[" << d
          << "] has an unsatisfied constraint: " << param.shape[d].ToString(names_)
          << " == " << tensor.shape[d] << "; expected shape " << DeclaredText(param.shape)
          << ", got " << ShapeText(tensor);
    }
  }

  void CheckStrides(const Param& param, const DLTensor& tensor) const {
    int64_t dense = 1;
    for (int d = tensor.ndim - 1; d >= 0; --d) {
      const int64_t stride = tensor.strides != nullptr ? tensor.strides[d] : dense;
      const HostExpr expected = param.strides.empty() ? HostExpr(dense) : param.strides[d];
      if (tensor.shape[d] != 1 && !Holds(expected, stride)) {
        Diag error({}, "ValueError");
        error << "Argument " << Where(param) << ".strides[" << d
              << "] has an unsatisfied constraint: " << expected.ToString(names_)
              << " == " << stride;
        if (param.strides.empty()) {
          error << "; the tensor must be contiguous"
                << Help("pass " + param.name + ".contiguous(), or declare it as T.StridedTensor");
        } else {
          error << "; expected strides " << DeclaredText(param.strides);
        }
        throw error;
      }
      dense *= tensor.shape[d];
    }
  }

  const Artifact& artifact_;
  const HostNames names_;
  const TVMFFIAny* args_;
  const int32_t num_args_;
  CallFrame frame_{};
};

}  // namespace

void ThrowArgumentError(const Artifact& artifact, const TVMFFIAny* args, int32_t num_args) {
  Diagnosis(artifact, args, num_args).Run();
}

}  // namespace tilescale::runtime
