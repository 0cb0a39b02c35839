// SPDX-License-Identifier: MIT
// Memory of one GPU that all GPUs of the process reach at one address: CUDA's virtual memory
// management (driver API, "Virtual Memory Management").
#include "runtime/cuda/cuda_device.h"
#include "support/diagnostics.h"

namespace tilescale::runtime::cuda {
namespace {

AllocationProperties On(int ordinal) {
  AllocationProperties properties;
  properties.location.id = ordinal;
  return properties;
}

}  // namespace

size_t CudaDevice::SharedGranularity() {
  const ContextScope scope(context_);
  const AllocationProperties properties = On(ordinal_);
  size_t bytes = 0;
  Check(driver_.MemGetAllocationGranularity(&bytes, &properties, kMinimumGranularity),
        "cuMemGetAllocationGranularity");
  return bytes;
}

void* CudaDevice::ReserveAddresses(size_t bytes) {
  const ContextScope scope(context_);
  DevicePointer at = 0;
  Check(driver_.MemAddressReserve(&at, bytes, 0, 0, 0), "cuMemAddressReserve");
  return reinterpret_cast<void*>(at);
}

void CudaDevice::ReleaseAddresses(void* at, size_t bytes) {
  // From destructors, also at exit.
  driver_.MemAddressFree(reinterpret_cast<DevicePointer>(at), bytes);
}

void CudaDevice::MapShared(void* at, size_t bytes, const std::vector<int>& users) {
  const ContextScope scope(context_);
  const auto address = reinterpret_cast<DevicePointer>(at);
  const AllocationProperties properties = On(ordinal_);
  AllocationHandle handle = 0;
  const Result made = driver_.MemCreate(&handle, bytes, &properties, 0);
  if (made != kSuccess) {
    ThrowCudaError(
        "cuMemCreate", made,
        std::to_string(bytes) + " bytes of symmetric memory on GPU " + std::to_string(ordinal_));
  }
  const Result mapped = driver_.MemMap(address, bytes, 0, handle, 0);
  // The mapping keeps the memory.
  driver_.MemRelease(handle);
  Check(mapped, "cuMemMap");
  std::vector<AccessDescriptor> access;
  for (const int user : users) {
    access.emplace_back();
    access.back().location.id = user;
  }
  const Result allowed = driver_.MemSetAccess(address, bytes, access.data(), access.size());
  if (allowed == kSuccess) return;
  driver_.MemUnmap(address, bytes);
  ThrowCudaError("cuMemSetAccess", allowed, "");
}

void CudaDevice::UnmapShared(void* at, size_t bytes) {
  // From destructors, also at exit; kernels that use the memory must have ended.
  Context popped = nullptr;
  if (driver_.CtxPushCurrent(context_) != kSuccess) return;
  driver_.CtxSynchronize();
  driver_.MemUnmap(reinterpret_cast<DevicePointer>(at), bytes);
  driver_.CtxPopCurrent(&popped);
}

void CudaDevice::RequirePeerAccess(const Device& other) {
  const int theirs = other.tensor_device().device_id;
  if (theirs == ordinal_) return;
  int can = 0;
  Check(driver_.DeviceCanAccessPeer(&can, ordinal_, theirs), "cuDeviceCanAccessPeer");
  if (can != 0) return;
  throw Diag({}, "RuntimeError")
      << "GPU " << ordinal_ << " cannot reach the memory of GPU " << theirs
      << Help("choose GPUs that nvidia-smi topo -p2p r shows as OK in CUDA_VISIBLE_DEVICES");
}

void CudaDevice::Zero(void* at, size_t bytes, Stream stream) {
  const ContextScope scope(context_);
  Check(driver_.MemsetD8Async(reinterpret_cast<DevicePointer>(at), 0, bytes,
                              static_cast<StreamRef>(stream)),
        "cuMemsetD8Async");
}

}  // namespace tilescale::runtime::cuda
