// SPDX-License-Identifier: MIT
// Memory of one GPU that all GPUs of the process reach at one address: CUDA's virtual memory
// management (driver API, "Virtual Memory Management").
#include "runtime/cuda/cuda_device.h"
#include "support/diagnostics.h"

#include <cstring>
#include <unistd.h>

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

AllocationHandle CudaDevice::Create(size_t bytes, int handle_types) {
  AllocationProperties properties = On(ordinal_);
  properties.handle_types = handle_types;
  AllocationHandle handle = 0;
  const Result made = driver_.MemCreate(&handle, bytes, &properties, 0);
  if (made != kSuccess) {
    ThrowCudaError(
        "cuMemCreate", made,
        std::to_string(bytes) + " bytes of symmetric memory on GPU " + std::to_string(ordinal_));
  }
  return handle;
}

void CudaDevice::Map(void* at, size_t bytes, AllocationHandle handle,
                     const std::vector<int>& users) {
  const auto address = reinterpret_cast<DevicePointer>(at);
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
  ThrowCudaError("cuMemSetAccess", allowed,
                 "memory of another GPU needs peer access: nvidia-smi topo -p2p r");
}

void CudaDevice::MapShared(void* at, size_t bytes, const std::vector<int>& users) {
  const ContextScope scope(context_);
  Map(at, bytes, Create(bytes, 0), users);
}

int CudaDevice::MapExported(void* at, size_t bytes) {
  const ContextScope scope(context_);
  const AllocationHandle handle = Create(bytes, kPosixFileDescriptor);
  int descriptor = -1;
  const Result exported =
      driver_.MemExportToShareableHandle(&descriptor, handle, kPosixFileDescriptor, 0);
  if (exported != kSuccess) {
    driver_.MemRelease(handle);
    ThrowCudaError("cuMemExportToShareableHandle", exported, "");
  }
  try {
    Map(at, bytes, handle, {ordinal_});
  } catch (...) {
    close(descriptor);
    throw;
  }
  return descriptor;
}

void CudaDevice::MapImported(void* at, size_t bytes, int descriptor) {
  const ContextScope scope(context_);
  AllocationHandle handle = 0;
  Check(driver_.MemImportFromShareableHandle(
            &handle, reinterpret_cast<void*>(static_cast<intptr_t>(descriptor)),
            kPosixFileDescriptor),
        "cuMemImportFromShareableHandle");
  Map(at, bytes, handle, {ordinal_});
}

bool CudaDevice::CanExportFiles() const {
  int memory = 0;
  int files = 0;
  Check(driver_.DeviceGetAttribute(&memory, kVirtualMemorySupported, ordinal_),
        "cuDeviceGetAttribute");
  Check(driver_.DeviceGetAttribute(&files, kPosixFileDescriptorSupported, ordinal_),
        "cuDeviceGetAttribute");
  return memory != 0 && files != 0;
}

void* CudaDevice::AllocateExported(size_t bytes, std::string* handle) {
  const ContextScope scope(context_);
  DevicePointer at = 0;
  const Result made = driver_.MemAlloc(&at, bytes);
  if (made != kSuccess) {
    ThrowCudaError(
        "cuMemAlloc", made,
        std::to_string(bytes) + " bytes of symmetric memory on GPU " + std::to_string(ordinal_));
  }
  IpcHandle ipc{};
  const Result exported = driver_.IpcGetMemHandle(&ipc, at);
  if (exported != kSuccess) {
    driver_.MemFree(at);
    ThrowCudaError("cuIpcGetMemHandle", exported, "");
  }
  handle->assign(ipc.bytes, sizeof ipc.bytes);
  return reinterpret_cast<void*>(at);
}

void* CudaDevice::OpenImported(const std::string& handle) {
  const ContextScope scope(context_);
  IpcHandle ipc{};
  TS_CHECK(handle.size() == sizeof ipc.bytes) << "a handle of " << handle.size() << " bytes";
  std::memcpy(ipc.bytes, handle.data(), sizeof ipc.bytes);
  DevicePointer at = 0;
  Check(driver_.IpcOpenMemHandle(&at, ipc, kIpcLazyPeerAccess), "cuIpcOpenMemHandle");
  return reinterpret_cast<void*>(at);
}

void CudaDevice::FreeExported(void* at) {
  // From destructors, also at exit.
  driver_.MemFree(reinterpret_cast<DevicePointer>(at));
}

void CudaDevice::CloseImported(void* at) {
  driver_.IpcCloseMemHandle(reinterpret_cast<DevicePointer>(at));
}

void CudaDevice::WriteValue(Stream stream, void* at, uint64_t value, int bytes) {
  const ContextScope scope(context_);
  const auto where = reinterpret_cast<DevicePointer>(at);
  auto* queue = static_cast<StreamRef>(stream);
  if (bytes == 8) {
    Check(driver_.StreamWriteValue64(queue, where, value, kStreamWriteDefault),
          "cuStreamWriteValue64");
  } else {
    Check(
        driver_.StreamWriteValue32(queue, where, static_cast<uint32_t>(value), kStreamWriteDefault),
        "cuStreamWriteValue32");
  }
}

void CudaDevice::WaitValue(Stream stream, void* at, uint64_t value, int bytes) {
  const ContextScope scope(context_);
  const auto where = reinterpret_cast<DevicePointer>(at);
  auto* queue = static_cast<StreamRef>(stream);
  if (bytes == 8) {
    Check(driver_.StreamWaitValue64(queue, where, value, kStreamWaitEqual), "cuStreamWaitValue64");
  } else {
    Check(driver_.StreamWaitValue32(queue, where, static_cast<uint32_t>(value), kStreamWaitEqual),
          "cuStreamWaitValue32");
  }
}

void* CudaDevice::AllocateMapped(size_t bytes, void** device) {
  const ContextScope scope(context_);
  void* host = nullptr;
  Check(driver_.MemHostAlloc(&host, bytes, kHostPortableAndMapped), "cuMemHostAlloc");
  std::memset(host, 0, bytes);
  DevicePointer at = 0;
  const Result found = driver_.MemHostGetDevicePointer(&at, host, 0);
  if (found != kSuccess) {
    driver_.MemFreeHost(host);
    ThrowCudaError("cuMemHostGetDevicePointer", found, "");
  }
  *device = reinterpret_cast<void*>(at);
  return host;
}

void CudaDevice::FreeMapped(void* host) {
  driver_.MemFreeHost(host);
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
