// SPDX-License-Identifier: MIT
#include "runtime/cuda/module.h"

#include "runtime/cuda/cuda_device.h"
#include "support/diagnostics.h"

namespace tilescale::runtime::cuda {
namespace {

// Clusters of more than 8 blocks are not portable across devices of one arch and must be allowed
// for the function (CUDA programming guide, "Thread Block Clusters").
constexpr unsigned kPortableClusterSize = 8;

}  // namespace

CudaModule::CudaModule(Context context, std::string_view cubin) : context_(context) {
  const ContextScope scope(context_);
  // The driver reads the size from the ELF header; the image must only live through the call.
  const std::string image(cubin);
  Check(Driver().ModuleLoadData(&handle_, image.data()), "cuModuleLoadData");
}

Function* CudaModule::GetFunction(const FunctionRequest& request) {
  const ContextScope scope(context_);
  FunctionRef handle = nullptr;
  const Result found = Driver().ModuleGetFunction(&handle, handle_, request.entry.c_str());
  if (found != kSuccess) ThrowCudaError("cuModuleGetFunction", found, request.entry);
  // Up to 48 KB need no permission, and asking for exactly what is used leaves the rest to L1.
  if (const auto shared = static_cast<int>(request.dynamic_shared_bytes); shared > 0) {
    const Result sized = Driver().FuncSetAttribute(handle, kMaxDynamicSharedSizeBytes, shared);
    if (sized != kSuccess) {
      ThrowCudaError("cuFuncSetAttribute", sized,
                     request.entry + " with " + std::to_string(shared) + " bytes of shared memory");
    }
  }
  const Dim3& cluster = request.cluster;
  if (cluster.x * cluster.y * cluster.z > kPortableClusterSize) {
    Check(Driver().FuncSetAttribute(handle, kNonPortableClusterSizeAllowed, 1),
          "cuFuncSetAttribute");
  }
  const std::lock_guard lock(mutex_);
  return functions_.emplace_back(std::make_unique<CudaFunction>(handle)).get();
}

bool CudaModule::SetConstant(const char* name, const void* value, size_t bytes) {
  const ContextScope scope(context_);
  DevicePointer address = 0;
  size_t size = 0;
  if (Driver().ModuleGetGlobal(&address, &size, handle_, name) != kSuccess) return false;
  TS_CHECK(size == bytes) << name << " has " << size << " bytes in the module, not " << bytes;
  Check(Driver().MemcpyHtoD(address, value, bytes), "cuMemcpyHtoD");
  return true;
}

}  // namespace tilescale::runtime::cuda
