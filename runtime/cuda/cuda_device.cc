// SPDX-License-Identifier: MIT
#include "runtime/cuda/cuda_device.h"

#include "runtime/cuda/module.h"
#include "runtime/nvrtc.h"
#include "runtime/watchdog.h"
#include "support/diagnostics.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace tilescale::runtime::cuda {
namespace {

int Attribute(DeviceAttribute attribute, DeviceOrdinal device) {
  int value = 0;
  Check(Driver().DeviceGetAttribute(&value, attribute, device), "cuDeviceGetAttribute");
  return value;
}

int CheckedOrdinal(int ordinal) {
  Driver();  // a missing driver is the better error
  if (ordinal >= 0 && ordinal < DeviceCount()) return ordinal;
  throw Diag({}, "ValueError") << "there is no GPU " << ordinal << ": this process sees "
                               << DeviceCount();
}

// libcuda's number for CUDA 12.4 is 12040.
void LimitNvrtcToDriver() {
  int version = 0;
  Check(Driver().DriverGetVersion(&version), "cuDriverGetVersion");
  LimitNvrtcMajor(version / 1000);
}

[[maybe_unused]] const bool kRegistered = [] {
  RegisterDeviceFactory(
      "cuda",
      [](std::string_view, int index) -> std::shared_ptr<Device> {
        return std::make_shared<CudaDevice>(index);
      },
      DeviceCount);
  return true;
}();

}  // namespace

CudaDevice::CudaDevice(int ordinal) : driver_(Driver()), ordinal_(CheckedOrdinal(ordinal)) {
  DeviceOrdinal device = 0;
  Check(driver_.DeviceGet(&device, ordinal_), "cuDeviceGet");
  // Retained for good: modules and memory of other libraries live in it.
  Check(driver_.DevicePrimaryCtxRetain(&context_, device), "cuDevicePrimaryCtxRetain");
  char name[256] = "";
  Check(driver_.DeviceGetName(name, sizeof name, device), "cuDeviceGetName");
  size_t memory = 0;
  Check(driver_.DeviceTotalMem(&memory, device), "cuDeviceTotalMem");
  capability_ =
      Attribute(kComputeCapabilityMajor, device) * 10 + Attribute(kComputeCapabilityMinor, device);
  properties_.name = name;
  properties_.arch = "sm_" + std::to_string(capability_);
  properties_.max_threads_per_block = Attribute(kMaxThreadsPerBlock, device);
  properties_.max_shared_bytes = Attribute(kMaxSharedMemoryPerBlockOptin, device);
  properties_.num_sms = Attribute(kMultiprocessorCount, device);
  properties_.l2_bytes = Attribute(kL2CacheSize, device);
  properties_.total_memory = static_cast<int64_t>(memory);
  LimitNvrtcToDriver();
}

// Text is portable upwards, cubins are not: a cubin runs on its own major version only. So text
// made for sm_80 is compiled for the GPU that is there, and refused only if it needs more.
std::string CudaDevice::ArchFor(std::string_view artifact_arch) const {
  // A letter at the end ("sm_90a") allows features that no other arch has.
  const bool specific = !artifact_arch.empty() && std::isalpha(artifact_arch.back()) != 0;
  const std::string_view plain = artifact_arch.substr(0, artifact_arch.size() - (specific ? 1 : 0));
  if (plain == properties_.arch) return std::string(artifact_arch);
  const int wanted = plain.starts_with("sm_") ? std::atoi(std::string(plain.substr(3)).c_str()) : 0;
  if (specific || wanted == 0 || wanted > capability_) {
    throw Diag({}, "ValueError") << "a kernel compiled for " << artifact_arch
                                 << " cannot run on GPU " << ordinal_ << ", " << properties_.name
                                 << " (" << properties_.arch << ")";
  }
  return properties_.arch;
}

std::string CudaDevice::CompilerId() {
  return NvrtcId() + " " + IncludeDigest();
}

CompileResult CudaDevice::Compile(const CompileRequest& request) {
  NvrtcResult result =
      NvrtcCompile(request.name, request.source, ArchFor(request.arch), request.options);
  return {std::move(result.cubin), std::move(result.log), std::move(result.usage)};
}

std::unique_ptr<Module> CudaDevice::Load(std::string_view binary) {
  return std::make_unique<CudaModule>(context_, binary);
}

void* CudaDevice::Allocate(size_t bytes, Stream stream) {
  const ContextScope scope(context_);
  DevicePointer address = 0;
  // The pool's granularity is 512 bytes, so the result is aligned; a size of zero is refused.
  Check(driver_.MemAllocAsync(&address, std::max<size_t>(bytes, 1), static_cast<StreamRef>(stream)),
        "cuMemAllocAsync");
  return reinterpret_cast<void*>(address);
}

void CudaDevice::Free(void* address, Stream stream) {
  // Called from destructors, also after the driver is gone: nothing can be done about a failure.
  Context popped = nullptr;
  if (driver_.CtxPushCurrent(context_) != kSuccess) return;
  driver_.MemFreeAsync(reinterpret_cast<DevicePointer>(address), static_cast<StreamRef>(stream));
  driver_.CtxPopCurrent(&popped);
}

void CudaDevice::Copy(void* target, const void* source, size_t bytes, Stream stream) {
  const ContextScope scope(context_);
  Check(driver_.MemcpyAsync(reinterpret_cast<DevicePointer>(target),
                            reinterpret_cast<DevicePointer>(source), bytes,
                            static_cast<StreamRef>(stream)),
        "cuMemcpyAsync");
}

void CudaDevice::Launch(const LaunchRequest& request) {
  const ContextScope scope(context_);
  const FunctionRef function = static_cast<CudaFunction*>(request.function)->handle();
  const auto stream = static_cast<StreamRef>(request.stream);
  const Dim3& grid = request.grid;
  const Dim3& block = request.block;
  const Dim3& cluster = request.cluster;
  const bool clustered = cluster.x * cluster.y * cluster.z > 1;
  Result result = kSuccess;
  if (!clustered && !request.cooperative) {
    result = driver_.LaunchKernel(function, grid.x, grid.y, grid.z, block.x, block.y, block.z,
                                  request.dynamic_shared_bytes, stream, request.args, nullptr);
  } else {
    LaunchAttribute attributes[2] = {};
    unsigned count = 0;
    if (clustered) {
      attributes[count].id = kClusterDimension;
      attributes[count].value.cluster = {cluster.x, cluster.y, cluster.z};
      ++count;
    }
    if (request.cooperative) {
      attributes[count].id = kCooperative;
      attributes[count].value.cooperative = 1;
      ++count;
    }
    const LaunchConfig config{
        grid.x, grid.y,     grid.z, block.x, block.y, block.z, request.dynamic_shared_bytes,
        stream, attributes, count};
    result = driver_.LaunchKernelEx(&config, function, request.args, nullptr);
  }
  if (result == kCooperativeLaunchTooLarge) {
    int per_sm = 0;
    Check(driver_.OccupancyMaxActiveBlocksPerMultiprocessor(
              &per_sm, function, static_cast<int>(block.x * block.y * block.z),
              request.dynamic_shared_bytes),
          "cuOccupancyMaxActiveBlocksPerMultiprocessor");
    ThrowGridTooLarge(request, properties_, int64_t{per_sm} * properties_.num_sms);
  }
  if (result != kSuccess) [[unlikely]] {
    ThrowCudaError(clustered || request.cooperative ? "cuLaunchKernelEx" : "cuLaunchKernel", result,
                   request.name);
  }
}

Stream CudaDevice::CreateStream() {
  const ContextScope scope(context_);
  StreamRef stream = nullptr;
  Check(driver_.StreamCreate(&stream, kStreamNonBlocking), "cuStreamCreate");
  return stream;
}

void CudaDevice::DestroyStream(Stream stream) {
  ForgetStream(*this, stream);
  const ContextScope scope(context_);
  Check(driver_.StreamDestroy(static_cast<StreamRef>(stream)), "cuStreamDestroy");
}

void CudaDevice::Synchronize(Stream stream) {
  const ContextScope scope(context_);
  Check(driver_.StreamSynchronize(static_cast<StreamRef>(stream)), "cuStreamSynchronize");
}

void CudaDevice::SynchronizeAll() {
  const ContextScope scope(context_);
  Check(driver_.CtxSynchronize(), "cuCtxSynchronize");
}

Event CudaDevice::CreateEvent() {
  const ContextScope scope(context_);
  EventRef event = nullptr;
  Check(driver_.EventCreate(&event, kEventDefault), "cuEventCreate");
  return event;
}

void CudaDevice::DestroyEvent(Event event) {
  // From destructors, also at exit.
  Context popped = nullptr;
  if (driver_.CtxPushCurrent(context_) != kSuccess) return;
  driver_.EventDestroy(static_cast<EventRef>(event));
  driver_.CtxPopCurrent(&popped);
}

void CudaDevice::RecordEvent(Event event, Stream stream) {
  const ContextScope scope(context_);
  Check(driver_.EventRecord(static_cast<EventRef>(event), static_cast<StreamRef>(stream)),
        "cuEventRecord");
}

void CudaDevice::SynchronizeEvent(Event event) {
  const ContextScope scope(context_);
  Check(driver_.EventSynchronize(static_cast<EventRef>(event)), "cuEventSynchronize");
}

bool CudaDevice::IsDone(Event event) {
  const ContextScope scope(context_);
  // Another thread may be capturing, which forbids queries of whoever has not said that he knows
  // (driver API, cuThreadExchangeStreamCaptureMode).
  int mode = kCaptureModeRelaxed;
  Check(driver_.ThreadExchangeStreamCaptureMode(&mode), "cuThreadExchangeStreamCaptureMode");
  const Result result = driver_.EventQuery(static_cast<EventRef>(event));
  Check(driver_.ThreadExchangeStreamCaptureMode(&mode), "cuThreadExchangeStreamCaptureMode");
  if (result != kNotReady) Check(result, "cuEventQuery");
  return result != kNotReady;
}

bool CudaDevice::IsCapturing(Stream stream) {
  const ContextScope scope(context_);
  int status = 0;
  Check(driver_.StreamIsCapturing(static_cast<StreamRef>(stream), &status), "cuStreamIsCapturing");
  return status != 0;
}

void CudaDevice::WaitEvent(Stream stream, Event event) {
  const ContextScope scope(context_);
  Check(driver_.StreamWaitEvent(static_cast<StreamRef>(stream), static_cast<EventRef>(event), 0),
        "cuStreamWaitEvent");
}

double CudaDevice::ElapsedMilliseconds(Event start, Event stop) {
  const ContextScope scope(context_);
  float milliseconds = 0;
  Check(driver_.EventElapsedTime(&milliseconds, static_cast<EventRef>(start),
                                 static_cast<EventRef>(stop)),
        "cuEventElapsedTime");
  return milliseconds;
}

}  // namespace tilescale::runtime::cuda
