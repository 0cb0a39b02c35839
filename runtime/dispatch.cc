// SPDX-License-Identifier: MIT
#include "runtime/dispatch.h"

#include "support/diagnostics.h"

#include <cstring>
#include <mutex>

namespace tilescale::runtime {
namespace {

// The key of a call as bytes, on the stack. Values are tagged by type, because a kernel compiled
// for 1 is not the kernel compiled for 1.0 or True.
class KeyBuffer {
 public:
  // False: the value has no key here, Python must find the kernel.
  bool Add(const TVMFFIAny& value) {
    switch (value.type_index) {
      case kTVMFFINone:
        return Append(value.type_index, nullptr, 0);
      case kTVMFFIInt:
      case kTVMFFIBool:
      case kTVMFFIFloat:
      case kTVMFFIDataType:
        return Append(value.type_index, &value.v_uint64, sizeof value.v_uint64);
      case kTVMFFIRawStr:
        return Append(kTVMFFIStr, value.v_c_str, std::strlen(value.v_c_str));
      case kTVMFFISmallStr:
        return Append(kTVMFFIStr, value.v_bytes, value.small_str_len);
      case kTVMFFIStr: {
        const TVMFFIByteArray* bytes = TVMFFIBytesGetByteArrayPtr(value.v_obj);
        return Append(kTVMFFIStr, bytes->data, bytes->size);
      }
      default:
        return false;
    }
  }

  bool AddExtent(int64_t extent) { return Append(kTVMFFIInt, &extent, sizeof extent); }

  std::string_view view() const { return {bytes_, size_}; }

 private:
  bool Append(int32_t tag, const void* data, size_t length) {
    const auto header = static_cast<uint32_t>(tag) | static_cast<uint32_t>(length) << 8;
    if (size_ + sizeof header + length > sizeof bytes_) return false;
    std::memcpy(bytes_ + size_, &header, sizeof header);
    if (length > 0) std::memcpy(bytes_ + size_ + sizeof header, data, length);
    size_ += sizeof header + length;
    return true;
  }

  char bytes_[1024];
  size_t size_ = 0;
};

bool AddConst(const ConstSource& source, const TVMFFIAny* args, KeyBuffer* key) {
  const DLTensor* tensor = AsTensor(args[source.arg]);
  if (tensor == nullptr || source.dim >= tensor->ndim) return false;
  if (!source.stride) return key->AddExtent(tensor->shape[source.dim]);
  return tensor->strides != nullptr && key->AddExtent(tensor->strides[source.dim]);
}

}  // namespace

Dispatch::Dispatch(std::vector<bool> is_runtime, std::vector<ConstSource> consts, Resolver resolver)
    : is_runtime_(std::move(is_runtime)),
      consts_(std::move(consts)),
      resolver_(std::move(resolver)) {
  TS_CHECK(is_runtime_.size() <= kMaxParams) << is_runtime_.size() << " arguments";
  for (const ConstSource& source : consts_) {
    TS_CHECK(source.arg >= 0 && source.arg < static_cast<int32_t>(is_runtime_.size()) &&
             source.dim >= 0)
        << "const from argument " << source.arg << ", dimension " << source.dim;
  }
}

std::shared_ptr<Executable> Dispatch::Find(std::string_view key) const {
  const std::shared_lock lock(mutex_);
  const auto found = kernels_.find(key);
  return found == kernels_.end() ? nullptr : found->second;
}

void Dispatch::Call(const TVMFFIAny* args, int32_t num_args, tvm::ffi::Any* result) {
  bool has_key = num_args == static_cast<int32_t>(is_runtime_.size());
  TVMFFIAny runtime_args[kMaxParams];
  int32_t num_runtime = 0;
  KeyBuffer key;
  for (int32_t i = 0; i < num_args && has_key; ++i) {
    if (is_runtime_[i]) {
      runtime_args[num_runtime++] = args[i];
    } else {
      has_key = key.Add(args[i]);
    }
  }
  for (size_t i = 0; i < consts_.size() && has_key; ++i) {
    has_key = AddConst(consts_[i], args, &key);
  }
  std::shared_ptr<Executable> executable = has_key ? Find(key.view()) : nullptr;
  if (executable == nullptr) {
    executable = resolver_(args, num_args);
    if (num_args != static_cast<int32_t>(is_runtime_.size())) {
      throw Diag({}, "TypeError") << "expected " << is_runtime_.size() << " arguments, got "
                                  << num_args;
    }
    num_runtime = 0;
    for (int32_t i = 0; i < num_args; ++i) {
      if (is_runtime_[i]) runtime_args[num_runtime++] = args[i];
    }
    if (has_key) {
      const std::unique_lock lock(mutex_);
      kernels_.emplace(std::string(key.view()), executable);
    }
  }
  executable->Call(runtime_args, num_runtime, result);
}

}  // namespace tilescale::runtime
