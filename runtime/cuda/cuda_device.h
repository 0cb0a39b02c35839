// SPDX-License-Identifier: MIT
#pragma once

#include "runtime/cuda/driver_api.h"
#include "runtime/device.h"

#include <memory>
#include <string>

namespace tilescale::runtime::cuda {

/// One GPU through its primary context, which is the one that torch and every other user of the
/// CUDA runtime work in: their pointers and streams are valid here.
class CudaDevice : public Device {
 public:
  explicit CudaDevice(int ordinal);

  DLDevice tensor_device() const override { return {kDLCUDA, ordinal_}; }
  const DeviceProperties& properties() const override { return properties_; }
  bool needs_buffers() const override { return false; }

  std::string CompilerId() override;
  CompileResult Compile(const CompileRequest& request) override;
  std::unique_ptr<Module> Load(std::string_view binary) override;

  void* Allocate(size_t bytes, Stream stream) override;
  void Free(void* address, Stream stream) override;
  void Copy(void* target, const void* source, size_t bytes, Stream stream) override;
  size_t SharedGranularity() override;
  void* ReserveAddresses(size_t bytes) override;
  void ReleaseAddresses(void* at, size_t bytes) override;
  void MapShared(void* at, size_t bytes, const std::vector<int>& users) override;
  void UnmapShared(void* at, size_t bytes) override;
  int MapExported(void* at, size_t bytes) override;
  void MapImported(void* at, size_t bytes, int descriptor) override;
  bool CanExportFiles() const override;
  void* AllocateExported(size_t bytes, std::string* handle) override;
  void* OpenImported(const std::string& handle) override;
  void FreeExported(void* at) override;
  void CloseImported(void* at) override;
  void WriteValue(Stream stream, void* at, uint64_t value, int bytes) override;
  void WaitValue(Stream stream, void* at, uint64_t value, int bytes) override;
  void* AllocateMapped(size_t bytes, void** device) override;
  void FreeMapped(void* host) override;
  void RequirePeerAccess(const Device& other) override;
  void Zero(void* at, size_t bytes, Stream stream) override;

  void Launch(const LaunchRequest& request) override;

  Stream CreateStream() override;
  void DestroyStream(Stream stream) override;
  void Synchronize(Stream stream) override;
  void SynchronizeAll() override;
  Event CreateEvent() override;
  void DestroyEvent(Event event) override;
  void RecordEvent(Event event, Stream stream) override;
  void SynchronizeEvent(Event event) override;
  bool IsDone(Event event) override;
  bool IsCapturing(Stream stream) override;
  void WaitEvent(Stream stream, Event event) override;
  double ElapsedMilliseconds(Event start, Event stop) override;

  Context context() const { return context_; }

 private:
  // Maps memory behind an address for these devices; releases the handle.
  void Map(void* at, size_t bytes, AllocationHandle handle, const std::vector<int>& users);
  AllocationHandle Create(size_t bytes, int handle_types);

  std::string ArchFor(std::string_view artifact_arch) const;

  const DriverApi& driver_;
  int ordinal_;
  Context context_ = nullptr;
  DeviceProperties properties_;
  int capability_ = 0;  // 90 is compute capability 9.0
};

/// Makes a context current while it lives. The caller's context is almost always this one, and
/// asking is cheaper than setting.
class ContextScope {
 public:
  explicit ContextScope(Context context) {
    Context current = nullptr;
    Check(Driver().CtxGetCurrent(&current), "cuCtxGetCurrent");
    if (current == context) return;
    Check(Driver().CtxPushCurrent(context), "cuCtxPushCurrent");
    pushed_ = true;
  }
  ~ContextScope() {
    Context popped = nullptr;
    if (pushed_) Driver().CtxPopCurrent(&popped);
  }
  ContextScope(const ContextScope&) = delete;
  ContextScope& operator=(const ContextScope&) = delete;

 private:
  bool pushed_ = false;
};

}  // namespace tilescale::runtime::cuda
