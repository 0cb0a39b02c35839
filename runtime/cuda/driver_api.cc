// SPDX-License-Identifier: MIT
#include "runtime/cuda/driver_api.h"

#include "support/diagnostics.h"
#include "support/knobs.h"

#include <dlfcn.h>
#include <sstream>
#include <utility>

namespace tilescale::runtime::cuda {
namespace {

constexpr const char* kInstallHelp =
    "install the NVIDIA driver (on Debian or Ubuntu: apt-get install nvidia-driver) or name the "
    "library in TILESCALE_LIBCUDA; without a GPU, kernels run with target=\"sim\"";

struct Loaded {
  DriverApi api{};
  std::string problem;
  int device_count = 0;
};

// Fills the table; "" or what is wrong. cuda.h maps some names to versioned symbols: these are the
// versions of the 64-bit API.
std::string ResolveAll(void* library, DriverApi* api) {
  const auto slot = [](auto* function) { return reinterpret_cast<void**>(function); };
  const std::pair<const char*, void**> symbols[] = {
      {"cuInit", slot(&api->Init)},
      {"cuDriverGetVersion", slot(&api->DriverGetVersion)},
      {"cuGetErrorName", slot(&api->GetErrorName)},
      {"cuGetErrorString", slot(&api->GetErrorString)},
      {"cuDeviceGetCount", slot(&api->DeviceGetCount)},
      {"cuDeviceGet", slot(&api->DeviceGet)},
      {"cuDeviceGetName", slot(&api->DeviceGetName)},
      {"cuDeviceGetAttribute", slot(&api->DeviceGetAttribute)},
      {"cuDeviceTotalMem_v2", slot(&api->DeviceTotalMem)},
      {"cuDevicePrimaryCtxRetain", slot(&api->DevicePrimaryCtxRetain)},
      {"cuCtxGetCurrent", slot(&api->CtxGetCurrent)},
      {"cuCtxPushCurrent_v2", slot(&api->CtxPushCurrent)},
      {"cuCtxPopCurrent_v2", slot(&api->CtxPopCurrent)},
      {"cuModuleLoadData", slot(&api->ModuleLoadData)},
      {"cuModuleGetFunction", slot(&api->ModuleGetFunction)},
      {"cuFuncSetAttribute", slot(&api->FuncSetAttribute)},
      {"cuLaunchKernel", slot(&api->LaunchKernel)},
      {"cuLaunchKernelEx", slot(&api->LaunchKernelEx)},
      {"cuOccupancyMaxActiveBlocksPerMultiprocessor",
       slot(&api->OccupancyMaxActiveBlocksPerMultiprocessor)},
      {"cuMemAllocAsync", slot(&api->MemAllocAsync)},
      {"cuMemFreeAsync", slot(&api->MemFreeAsync)},
      {"cuMemcpyAsync", slot(&api->MemcpyAsync)},
      {"cuMemsetD8Async", slot(&api->MemsetD8Async)},
      {"cuDeviceCanAccessPeer", slot(&api->DeviceCanAccessPeer)},
      {"cuMemGetAllocationGranularity", slot(&api->MemGetAllocationGranularity)},
      {"cuMemAddressReserve", slot(&api->MemAddressReserve)},
      {"cuMemAddressFree", slot(&api->MemAddressFree)},
      {"cuMemCreate", slot(&api->MemCreate)},
      {"cuMemRelease", slot(&api->MemRelease)},
      {"cuMemMap", slot(&api->MemMap)},
      {"cuMemUnmap", slot(&api->MemUnmap)},
      {"cuMemSetAccess", slot(&api->MemSetAccess)},
      {"cuMemExportToShareableHandle", slot(&api->MemExportToShareableHandle)},
      {"cuMemImportFromShareableHandle", slot(&api->MemImportFromShareableHandle)},
      {"cuMemAlloc_v2", slot(&api->MemAlloc)},
      {"cuMemFree_v2", slot(&api->MemFree)},
      {"cuIpcGetMemHandle", slot(&api->IpcGetMemHandle)},
      {"cuIpcOpenMemHandle_v2", slot(&api->IpcOpenMemHandle)},
      {"cuIpcCloseMemHandle", slot(&api->IpcCloseMemHandle)},
      {"cuStreamWriteValue32_v2", slot(&api->StreamWriteValue32)},
      {"cuStreamWriteValue64_v2", slot(&api->StreamWriteValue64)},
      {"cuStreamWaitValue32_v2", slot(&api->StreamWaitValue32)},
      {"cuStreamWaitValue64_v2", slot(&api->StreamWaitValue64)},
      {"cuMemHostAlloc", slot(&api->MemHostAlloc)},
      {"cuMemHostGetDevicePointer_v2", slot(&api->MemHostGetDevicePointer)},
      {"cuMemFreeHost", slot(&api->MemFreeHost)},
      {"cuModuleGetGlobal_v2", slot(&api->ModuleGetGlobal)},
      {"cuMemcpyHtoD_v2", slot(&api->MemcpyHtoD)},
      {"cuCtxSynchronize", slot(&api->CtxSynchronize)},
      {"cuStreamCreate", slot(&api->StreamCreate)},
      {"cuStreamDestroy_v2", slot(&api->StreamDestroy)},
      {"cuStreamSynchronize", slot(&api->StreamSynchronize)},
      {"cuStreamWaitEvent", slot(&api->StreamWaitEvent)},
      {"cuEventCreate", slot(&api->EventCreate)},
      {"cuEventDestroy_v2", slot(&api->EventDestroy)},
      {"cuEventRecord", slot(&api->EventRecord)},
      {"cuEventSynchronize", slot(&api->EventSynchronize)},
      {"cuEventQuery", slot(&api->EventQuery)},
      {"cuStreamIsCapturing", slot(&api->StreamIsCapturing)},
      {"cuThreadExchangeStreamCaptureMode", slot(&api->ThreadExchangeStreamCaptureMode)},
      {"cuEventElapsedTime", slot(&api->EventElapsedTime)},
  };
  for (const auto& [symbol, address] : symbols) {
    *address = dlsym(library, symbol);
    if (*address != nullptr) continue;
    std::ostringstream problem;
    problem << "the NVIDIA driver is too old: libcuda has no " << symbol
            << "\nhelp: install a driver for CUDA 12.0 or newer";
    return problem.str();
  }
  return "";
}

std::string ErrorText(const DriverApi& api, Result code) {
  const char* name = nullptr;
  const char* text = nullptr;
  if (api.GetErrorName(code, &name) != kSuccess || name == nullptr) name = "unknown error";
  if (api.GetErrorString(code, &text) != kSuccess || text == nullptr) text = "no description";
  return std::string(name) + " (" + std::to_string(code) + "): " + text;
}

Loaded Load() {
  Loaded loaded;
  const std::string named = knobs::Libcuda();
  const char* path = named.empty() ? "libcuda.so.1" : named.c_str();
  // Never closed: the driver does not support being unloaded.
  void* library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    loaded.problem =
        std::string("there is no CUDA driver: ") + dlerror() + "\nhelp: " + kInstallHelp;
    return loaded;
  }
  loaded.problem = ResolveAll(library, &loaded.api);
  if (!loaded.problem.empty()) return loaded;
  Result code = loaded.api.Init(0);
  if (code == kSuccess) code = loaded.api.DeviceGetCount(&loaded.device_count);
  if (code != kSuccess) {
    loaded.device_count = 0;
    loaded.problem = "the CUDA driver cannot be used: cuInit: " + ErrorText(loaded.api, code) +
                     "\nhelp: nvidia-smi shows the state of the GPUs; without one, kernels run "
                     "with target=\"sim\"";
  } else if (loaded.device_count == 0) {
    loaded.problem =
        "the CUDA driver sees no GPU\nhelp: check CUDA_VISIBLE_DEVICES; without a GPU, kernels run "
        "with target=\"sim\"";
  }
  return loaded;
}

const Loaded& Get() {
  static const Loaded loaded = Load();
  return loaded;
}

}  // namespace

const DriverApi& Driver() {
  const Loaded& loaded = Get();
  if (!loaded.problem.empty()) throw Diag({}, "CudaError") << loaded.problem;
  return loaded.api;
}

const std::string& DriverProblem() {
  return Get().problem;
}

int DeviceCount() {
  return Get().device_count;
}

void ThrowCudaError(const char* call, Result code, const std::string& context) {
  Diag error({}, "CudaError");
  if (!context.empty()) error << context << ": ";
  throw error << call << ": " << ErrorText(Driver(), code);
}

}  // namespace tilescale::runtime::cuda
