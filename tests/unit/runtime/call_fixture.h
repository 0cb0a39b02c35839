// SPDX-License-Identifier: MIT
#pragma once

#include "runtime/executable.h"
#include "support/diagnostics.h"
#include "tests/unit/runtime/fake_device.h"

#include <tvm/ffi/any.h>

#include <deque>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

namespace tilescale::runtime {

inline constexpr DLDataType kF16{kDLFloat, 16, 1};
inline constexpr DLDataType kF32{kDLFloat, 32, 1};
inline constexpr DLDataType kI32{kDLInt, 32, 1};
inline constexpr DLDataType kBool{kDLBool, 8, 1};

/// A host tensor whose fields a test may bend.
struct TestTensor {
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
  std::vector<char> storage;
  DLTensor tensor{};

  TestTensor(std::vector<int64_t> extents, DLDataType dtype) : shape(std::move(extents)) {
    int64_t count = 1;
    strides.resize(shape.size());
    for (size_t d = shape.size(); d-- > 0;) {
      strides[d] = count;
      count *= shape[d];
    }
    storage.resize(static_cast<size_t>(count * dtype.bits / 8 + 256));
    const auto address = reinterpret_cast<uintptr_t>(storage.data());
    tensor.data = reinterpret_cast<void*>((address + 127) / 128 * 128);
    tensor.device = {kDLCPU, 0};
    tensor.ndim = static_cast<int32_t>(shape.size());
    tensor.dtype = dtype;
    tensor.shape = shape.data();
    tensor.strides = strides.data();
  }
  TestTensor(const TestTensor&) = delete;
  TestTensor& operator=(const TestTensor&) = delete;
};

/// Arguments of a call as the FFI delivers them.
class Args {
 public:
  Args& Add(TestTensor& tensor) {
    TVMFFIAny any{};
    any.type_index = kTVMFFIDLTensorPtr;
    any.v_ptr = &tensor.tensor;
    return Push(any);
  }
  Args& Add(int64_t value) {
    TVMFFIAny any{};
    any.type_index = kTVMFFIInt;
    any.v_int64 = value;
    return Push(any);
  }
  Args& Add(double value) {
    TVMFFIAny any{};
    any.type_index = kTVMFFIFloat;
    any.v_float64 = value;
    return Push(any);
  }
  Args& AddBool(bool value) {
    TVMFFIAny any{};
    any.type_index = kTVMFFIBool;
    any.v_int64 = value;
    return Push(any);
  }
  Args& AddNone() {
    TVMFFIAny any{};
    any.type_index = kTVMFFINone;
    return Push(any);
  }
  Args& AddText(const char* text) {
    TVMFFIAny any{};
    any.type_index = kTVMFFIRawStr;
    any.v_c_str = text;
    return Push(any);
  }
  const TVMFFIAny* data() const { return list_.data(); }
  int32_t size() const { return static_cast<int32_t>(list_.size()); }

 private:
  Args& Push(const TVMFFIAny& any) {
    list_.push_back(any);
    return *this;
  }
  std::vector<TVMFFIAny> list_;
};

inline Param TensorParam(std::string name, DLDataType dtype, std::vector<HostExpr> shape) {
  Param param;
  param.name = std::move(name);
  param.dtype = dtype;
  param.shape = std::move(shape);
  return param;
}

inline Param ScalarParam(std::string name, DLDataType dtype) {
  Param param;
  param.name = std::move(name);
  param.kind = ParamKind::kScalar;
  param.dtype = dtype;
  return param;
}

inline KernelArg DataArg(int param) {
  return {ArgKind::kTensorData, param, {}, {}};
}
inline KernelArg ScalarArg(int param) {
  return {ArgKind::kScalarParam, param, {}, {}};
}
inline KernelArg ExprArg(HostExpr value, DLDataType dtype) {
  return {ArgKind::kExpr, 0, std::move(value), dtype};
}
inline KernelArg WorkspaceArg(int index) {
  return {ArgKind::kWorkspace, index, {}, {}};
}

/// scale(A: f16[m, 64], n: i32, alpha: f32): one variant that wants 16-byte alignment and a general
/// one; grid (ceildiv(m, 128), 1, 1).
inline Artifact ScaleArtifact(const std::string& arch) {
  Artifact artifact;
  artifact.name = "scale";
  artifact.target_kind = "fake";
  artifact.target_arch = arch;
  artifact.params = {TensorParam("A", kF16, {HostExpr::Symbol(0), 64}), ScalarParam("n", kI32),
                     ScalarParam("alpha", kF32)};
  artifact.symbols = {{"m", HostExpr::Dim(0, 0)}};
  Variant fast;
  fast.facts = {{Equal(FloorMod(HostExpr::Address(0), 16), 0), "A.data % 16 == 0"}};
  fast.source = "fast text";
  KernelLaunch kernel;
  kernel.entry = "scale_kernel";
  kernel.grid[0] = CeilDiv(HostExpr::Symbol(0), 128);
  kernel.block[0] = 128;
  kernel.dynamic_shared_bytes = 4096;
  kernel.args = {DataArg(0), ExprArg(HostExpr::Symbol(0), kI32), ScalarArg(1), ScalarArg(2)};
  fast.kernels = {kernel};
  Variant slow = fast;
  slow.facts.clear();
  slow.source = "slow text";
  artifact.variants = {fast, slow};
  return artifact;
}

inline tvm::ffi::Any CallExecutable(Executable& executable, const Args& args) {
  tvm::ffi::Any result;
  executable.Call(args.data(), args.size(), &result);
  return result;
}

/// "ValueError: text" of the Diag that `body` throws, or "no error".
template <class F>
std::string ErrorOf(F&& body) {
  try {
    body();
  } catch (const Diag& diag) {
    return diag.type() + ": " + diag.what();
  } catch (const InternalError& error) {
    return std::string("InternalError: ") + error.what();
  }
  return "no error";
}

}  // namespace tilescale::runtime
