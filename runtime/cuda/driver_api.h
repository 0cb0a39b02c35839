// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

/// The part of the CUDA driver API that we use, declared here so that no CUDA header is needed to
/// build, and loaded from libcuda at the first use so that none is needed to run without a GPU.
/// Types and values follow cuda.h; the names of functions are those of the driver without "cu".
namespace tilescale::runtime::cuda {

using Result = int;
constexpr Result kSuccess = 0;
constexpr Result kNotReady = 600;
constexpr Result kCooperativeLaunchTooLarge = 720;

using DeviceOrdinal = int;
using Context = struct ContextHandle*;
using ModuleRef = struct ModuleHandle*;
using FunctionRef = struct FunctionHandle*;
using StreamRef = struct StreamHandle*;
using EventRef = struct EventHandle*;
using DevicePointer = uint64_t;

enum DeviceAttribute : int {
  kMaxThreadsPerBlock = 1,
  kMultiprocessorCount = 16,
  kL2CacheSize = 38,
  kComputeCapabilityMajor = 75,
  kComputeCapabilityMinor = 76,
  kMaxSharedMemoryPerBlockOptin = 97,
  kVirtualMemorySupported = 102,
  kPosixFileDescriptorSupported = 103,
};

enum FunctionAttribute : int {
  kMaxDynamicSharedSizeBytes = 8,
  kNonPortableClusterSizeAllowed = 14,
};

enum LaunchAttributeId : int { kCooperative = 2, kClusterDimension = 4 };

struct LaunchAttribute {
  LaunchAttributeId id;
  char pad[8 - sizeof(LaunchAttributeId)];
  union {
    char bytes[64];
    int cooperative;
    struct {
      unsigned x, y, z;
    } cluster;
  } value;
};

struct LaunchConfig {
  unsigned grid_x, grid_y, grid_z;
  unsigned block_x, block_y, block_z;
  unsigned shared_bytes;
  StreamRef stream;
  LaunchAttribute* attributes;
  unsigned num_attributes;
};

/// Flags of EventCreate, StreamCreate.
constexpr unsigned kEventDefault = 0;
constexpr unsigned kStreamNonBlocking = 1;

/// Virtual memory: pinned memory of one device (CU_MEM_ALLOCATION_TYPE_PINNED,
/// CU_MEM_LOCATION_TYPE_DEVICE), read and written by the devices that get access.
using AllocationHandle = unsigned long long;

struct MemoryLocation {
  int type = 1;
  int id = 0;
};

struct AllocationProperties {
  int type = 1;
  int handle_types = 0;
  MemoryLocation location;
  void* windows_attributes = nullptr;
  struct {
    unsigned char compression = 0;
    unsigned char gpu_direct_rdma = 0;
    unsigned short usage = 0;
    unsigned char reserved[4] = {};
  } flags;
};

struct AccessDescriptor {
  MemoryLocation location;
  int flags = 3;  // CU_MEM_ACCESS_FLAGS_PROT_READWRITE
};

constexpr int kMinimumGranularity = 0;
/// CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR
constexpr int kPosixFileDescriptor = 1;

/// Memory of another process (CUipcMemHandle).
struct IpcHandle {
  char bytes[64];
};
constexpr unsigned kIpcLazyPeerAccess = 1;
/// CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP
constexpr unsigned kHostPortableAndMapped = 3;
constexpr unsigned kStreamWaitEqual = 1;
constexpr unsigned kStreamWriteDefault = 0;
constexpr int kCaptureModeRelaxed = 2;

struct DriverApi {
  Result (*Init)(unsigned flags);
  Result (*DriverGetVersion)(int* version);
  Result (*GetErrorName)(Result error, const char** text);
  Result (*GetErrorString)(Result error, const char** text);
  Result (*DeviceGetCount)(int* count);
  Result (*DeviceGet)(DeviceOrdinal* device, int ordinal);
  Result (*DeviceGetName)(char* name, int length, DeviceOrdinal device);
  Result (*DeviceGetAttribute)(int* value, DeviceAttribute attribute, DeviceOrdinal device);
  Result (*DeviceTotalMem)(size_t* bytes, DeviceOrdinal device);
  Result (*DevicePrimaryCtxRetain)(Context* context, DeviceOrdinal device);
  Result (*CtxGetCurrent)(Context* context);
  Result (*CtxPushCurrent)(Context context);
  Result (*CtxPopCurrent)(Context* context);
  Result (*ModuleLoadData)(ModuleRef* module, const void* image);
  Result (*ModuleGetFunction)(FunctionRef* function, ModuleRef module, const char* name);
  Result (*FuncSetAttribute)(FunctionRef function, FunctionAttribute attribute, int value);
  Result (*LaunchKernel)(FunctionRef function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                         unsigned block_x, unsigned block_y, unsigned block_z,
                         unsigned shared_bytes, StreamRef stream, void** params, void** extra);
  Result (*LaunchKernelEx)(const LaunchConfig* config, FunctionRef function, void** params,
                           void** extra);
  Result (*OccupancyMaxActiveBlocksPerMultiprocessor)(int* blocks, FunctionRef function,
                                                      int threads, size_t shared_bytes);
  Result (*MemAllocAsync)(DevicePointer* address, size_t bytes, StreamRef stream);
  Result (*MemFreeAsync)(DevicePointer address, StreamRef stream);
  Result (*MemcpyAsync)(DevicePointer target, DevicePointer source, size_t bytes, StreamRef stream);
  Result (*MemsetD8Async)(DevicePointer address, unsigned char value, size_t bytes,
                          StreamRef stream);
  Result (*DeviceCanAccessPeer)(int* can, DeviceOrdinal device, DeviceOrdinal peer);
  Result (*MemGetAllocationGranularity)(size_t* bytes, const AllocationProperties* properties,
                                        int option);
  Result (*MemAddressReserve)(DevicePointer* address, size_t bytes, size_t alignment,
                              DevicePointer wish, unsigned long long flags);
  Result (*MemAddressFree)(DevicePointer address, size_t bytes);
  Result (*MemCreate)(AllocationHandle* handle, size_t bytes,
                      const AllocationProperties* properties, unsigned long long flags);
  Result (*MemRelease)(AllocationHandle handle);
  Result (*MemMap)(DevicePointer address, size_t bytes, size_t offset, AllocationHandle handle,
                   unsigned long long flags);
  Result (*MemUnmap)(DevicePointer address, size_t bytes);
  Result (*MemSetAccess)(DevicePointer address, size_t bytes, const AccessDescriptor* access,
                         size_t count);
  Result (*MemExportToShareableHandle)(void* shareable, AllocationHandle handle, int type,
                                       unsigned long long flags);
  Result (*MemImportFromShareableHandle)(AllocationHandle* handle, void* shareable, int type);
  Result (*MemAlloc)(DevicePointer* address, size_t bytes);
  Result (*MemFree)(DevicePointer address);
  Result (*IpcGetMemHandle)(IpcHandle* handle, DevicePointer address);
  Result (*IpcOpenMemHandle)(DevicePointer* address, IpcHandle handle, unsigned flags);
  Result (*IpcCloseMemHandle)(DevicePointer address);
  Result (*StreamWriteValue32)(StreamRef stream, DevicePointer at, uint32_t value, unsigned flags);
  Result (*StreamWriteValue64)(StreamRef stream, DevicePointer at, uint64_t value, unsigned flags);
  Result (*StreamWaitValue32)(StreamRef stream, DevicePointer at, uint32_t value, unsigned flags);
  Result (*StreamWaitValue64)(StreamRef stream, DevicePointer at, uint64_t value, unsigned flags);
  Result (*MemHostAlloc)(void** host, size_t bytes, unsigned flags);
  Result (*MemHostGetDevicePointer)(DevicePointer* device, void* host, unsigned flags);
  Result (*MemFreeHost)(void* host);
  Result (*ModuleGetGlobal)(DevicePointer* address, size_t* bytes, ModuleRef module,
                            const char* name);
  Result (*MemcpyHtoD)(DevicePointer target, const void* source, size_t bytes);
  Result (*CtxSynchronize)();
  Result (*StreamCreate)(StreamRef* stream, unsigned flags);
  Result (*StreamDestroy)(StreamRef stream);
  Result (*StreamSynchronize)(StreamRef stream);
  Result (*StreamWaitEvent)(StreamRef stream, EventRef event, unsigned flags);
  Result (*EventCreate)(EventRef* event, unsigned flags);
  Result (*EventDestroy)(EventRef event);
  Result (*EventRecord)(EventRef event, StreamRef stream);
  Result (*EventSynchronize)(EventRef event);
  Result (*EventQuery)(EventRef event);
  Result (*StreamIsCapturing)(StreamRef stream, int* status);
  Result (*ThreadExchangeStreamCaptureMode)(int* mode);
  Result (*EventElapsedTime)(float* milliseconds, EventRef start, EventRef stop);
};

/// The loaded and initialised driver. Throws CudaError that names what is missing.
const DriverApi& Driver();

/// "" if Driver() works, else its message: what `auto` reports when it takes the simulator.
const std::string& DriverProblem();

/// Number of GPUs; 0 without a driver.
int DeviceCount();

/// Throws CudaError with the call, the code and the driver's text.
[[noreturn]] void ThrowCudaError(const char* call, Result code, const std::string& context);

inline void Check(Result code, const char* call) {
  if (code != kSuccess) [[unlikely]] {
    ThrowCudaError(call, code, "");
  }
}

}  // namespace tilescale::runtime::cuda
