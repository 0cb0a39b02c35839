// SPDX-License-Identifier: MIT
// `tilescale.runtime.run_text`: compiles kernel text for a device and launches its kernels on host
// arrays, without a compiler's artifact. The conformance tests run one text on every device this
// way.
#include "runtime/device.h"
#include "support/ffi_boundary.h"

#include <tvm/ffi/container/array.h>
#include <tvm/ffi/container/map.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#include <tvm/ffi/reflection/registry.h>
#include <tvm/ffi/string.h>

#include <deque>

namespace tilescale::runtime {
namespace {

namespace ffi = tvm::ffi;
namespace refl = tvm::ffi::reflection;

using Record = ffi::Map<ffi::String, ffi::Any>;

size_t BytesOf(const ffi::Tensor& tensor) {
  size_t bytes = (static_cast<size_t>(tensor.dtype().bits) * tensor.dtype().lanes + 7) / 8;
  for (int64_t extent : tensor.shape()) bytes *= static_cast<size_t>(extent);
  return bytes;
}

/// The arguments of one launch. A device with memory of its own gets copies of the arrays, which
/// are copied back at the end.
class HostArguments {
 public:
  HostArguments(Device* device, const ffi::Array<ffi::Any>& args) : device_(device) {
    const bool in_place = device->tensor_device().device_type == kDLCPU;
    for (int32_t i = 0; i < static_cast<int32_t>(args.size()); ++i) {
      const auto tensor = args[i].try_cast<ffi::Tensor>();
      if (!tensor.has_value()) {
        AddScalar(args[i].cast<int64_t>());
        continue;
      }
      const size_t bytes = BytesOf(*tensor);
      void* host = tensor->data_ptr();
      void* address = in_place ? host : device->Allocate(bytes, nullptr);
      if (!in_place) {
        device->Copy(address, host, bytes, nullptr);
        copies_.push_back({address, host, bytes});
      }
      addresses_.push_back(address);
      values_.push_back(&addresses_.back());
      BufferArg buffer;
      buffer.arg = i;
      buffer.name = names_.emplace_back("p" + std::to_string(i)).c_str();
      buffer.address = address;
      buffer.bytes = static_cast<int64_t>(bytes);
      buffer.dtype = tensor->dtype();
      buffer.ndim = static_cast<int32_t>(tensor->shape().size());
      buffer.shape = tensor->shape().data();
      buffers_.push_back(buffer);
    }
  }
  ~HostArguments() {
    for (const Copied& copy : copies_) device_->Free(copy.address, nullptr);
  }
  HostArguments(const HostArguments&) = delete;
  HostArguments& operator=(const HostArguments&) = delete;

  void CopyBack() const {
    for (const Copied& copy : copies_) device_->Copy(copy.host, copy.address, copy.bytes, nullptr);
    device_->Synchronize(nullptr);
  }

  void Fill(LaunchRequest* request) {
    request->args = values_.data();
    request->num_args = static_cast<int32_t>(values_.size());
    if (!device_->needs_buffers()) return;
    request->buffers = buffers_.data();
    request->num_buffers = static_cast<int32_t>(buffers_.size());
  }

 private:
  struct Copied {
    void* address;
    void* host;
    size_t bytes;
  };

  // Kernel text of these tests declares every number as `int`.
  void AddScalar(int64_t value) {
    scalars_.push_back(static_cast<int32_t>(value));
    values_.push_back(&scalars_.back());
  }

  Device* device_;
  // Deques: the launch holds addresses of their elements.
  std::deque<void*> addresses_;
  std::deque<int32_t> scalars_;
  std::deque<std::string> names_;
  std::vector<void*> values_;
  std::vector<BufferArg> buffers_;
  std::vector<Copied> copies_;
};

Dim3 ReadDim(const Record& launch, const char* key) {
  const auto extents = launch[key].cast<ffi::Array<int64_t>>();
  return {static_cast<uint32_t>(extents[0]), static_cast<uint32_t>(extents[1]),
          static_cast<uint32_t>(extents[2])};
}

/// Launches run in order. Each is {entry, grid, block, shared_bytes, args}; arrays among `args` are
/// written in place. The result has for each launch "" or the text of its error, so that one
/// failure hides no other.
ffi::Array<ffi::String> RunText(ffi::String kind, ffi::String arch, ffi::String text,
                                ffi::Array<Record> launches) {
  const std::shared_ptr<Device> device = GetDevice(std::string(kind), std::string(arch), 0);
  CompileRequest compile;
  const std::string source(text), target(arch);
  compile.name = "kernel.cu";
  compile.source = source;
  compile.arch = target;
  const std::unique_ptr<Module> module = device->Load(device->Compile(compile).binary);
  ffi::Array<ffi::String> errors;
  for (const Record& launch : launches) {
    try {
      LaunchRequest request;
      FunctionRequest wanted;
      wanted.entry = std::string(launch["entry"].cast<ffi::String>());
      wanted.dynamic_shared_bytes = launch["shared_bytes"].cast<int64_t>();
      HostArguments arguments(device.get(), launch["args"].cast<ffi::Array<ffi::Any>>());
      request.name = wanted.entry.c_str();
      request.function = module->GetFunction(wanted);
      request.grid = ReadDim(launch, "grid");
      request.block = ReadDim(launch, "block");
      request.dynamic_shared_bytes = static_cast<uint32_t>(wanted.dynamic_shared_bytes);
      arguments.Fill(&request);
      device->Launch(request);
      device->Synchronize(nullptr);
      arguments.CopyBack();
      errors.push_back("");
    } catch (const Diag& diag) {
      errors.push_back(diag.type() + ": " + diag.what());
    }
  }
  return errors;
}

TVM_FFI_STATIC_INIT_BLOCK() {
  refl::GlobalDef().def("tilescale.runtime.run_text", Guarded(&RunText));
}

}  // namespace
}  // namespace tilescale::runtime
