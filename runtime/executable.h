// SPDX-License-Identifier: MIT
#pragma once

#include "runtime/artifact.h"
#include "runtime/call_frame.h"
#include "runtime/device.h"
#include "runtime/symm/heap.h"
#include "runtime/watchdog.h"

#include <tvm/ffi/any.h>
#include <tvm/ffi/container/tensor.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

/// A compiled function that can be called: an Artifact with what was loaded of it.
namespace tilescale::runtime {

/// One variant on one device.
struct LoadedVariant {
  Variant variant;
  std::unique_ptr<Module> module;
  std::vector<Function*> functions;  // one per kernel
  std::shared_ptr<WatchedModule> watched;
  std::string compile_log;
  std::vector<KernelUsage> usage;
  double compile_ms = 0;  // text to binary, cache included
  double load_ms = 0;
};

class Executable {
 public:
  /// Generates variant `index`, whose text the artifact does not hold yet.
  using Generator = std::function<Variant(int index)>;

  /// Throws InternalError if the artifact breaks an invariant.
  explicit Executable(Artifact artifact, Generator generator = nullptr);
  ~Executable();

  const Artifact& artifact() const { return artifact_; }

  /// Checks, allocates outputs, launches. `args` are the parameters that are no outputs, in order.
  /// The result is None, the one output, or an Array of outputs. Thread safe.
  void Call(const TVMFFIAny* args, int32_t num_args, tvm::ffi::Any* result);

  /// The variant that a call with these arguments and allocated outputs would run.
  int SelectVariant(const TVMFFIAny* args, int32_t num_args);

  /// Compiles and loads ahead of the first call. `device_index` is the GPU or rank.
  const LoadedVariant& Load(int device_index, int variant);

  /// The heap and rank of launches whose arguments do not say it.
  void SetPlace(LaunchPlace place) { place_ = std::move(place); }

  /// How often each variant was launched.
  std::vector<int64_t> LaunchCounts() const;

 private:
  static constexpr int kMaxDevices = 64;
  static constexpr int kMaxVariants = 8;

  struct DeviceState {
    std::shared_ptr<Device> device;
    const HeapTable* heap_table = nullptr;  // for modules that have one
    void* barrier_words = nullptr;          // of this rank of the heap, if a kernel needs them
    std::weak_ptr<SymmetricHeap> heap;      // of a RankState
    std::array<std::atomic<const LoadedVariant*>, kMaxVariants> variants{};
    std::vector<std::unique_ptr<LoadedVariant>> owned;
  };

  /// What is loaded for one rank of one heap: its module has the heap's table.
  struct RankState : DeviceState {
    int rank = 0;
    HeapTable table;
  };

  DeviceState& StateOf(int device_index);
  DeviceState& StateOf(const LaunchPlace& place);
  LaunchPlace PlaceOf(const CallFrame& frame) const;
  const LoadedVariant& LoadSlow(DeviceState& state, int variant);
  LoadedVariant Build(DeviceState& state, int variant);

  void Bind(const TVMFFIAny* args, int32_t num_args, CallFrame* frame);
  void CheckConditions(const CallFrame& frame) const;
  int ChooseVariant(const CallFrame& frame) const;
  void OutputShape(const Param& param, const CallFrame& frame, int64_t* shape) const;
  std::vector<tvm::ffi::Tensor> AllocateOutputs(DeviceState& state, CallFrame* frame) const;
  void RunVariant(DeviceState& state, const CallFrame& frame, Stream stream, bool prepare);
  std::vector<BufferArg> DescribeBuffers(const LoadedVariant& loaded, size_t index,
                                         const CallFrame& frame, void* const* workspaces) const;
  int64_t EvaluateOrThrow(const HostExpr& expr, const CallFrame& frame, const char* what) const;
  void Launch(DeviceState& state, const LoadedVariant& loaded, const CallFrame& frame,
              Stream stream) const;
  void LaunchKernel(DeviceState& state, const LoadedVariant& loaded, size_t index,
                    const CallFrame& frame, void* const* workspaces, Stream stream) const;
  Dim3 EvaluateExtents(const std::array<HostExpr, 3>& extents, const CallFrame& frame,
                       const char* what, const int64_t (&limits)[3]) const;
  uint32_t SharedBytes(const DeviceState& state, const KernelLaunch& kernel,
                       const CallFrame& frame) const;

  Artifact artifact_;
  ArgumentPlan plan_;
  Generator generator_;
  LaunchPlace place_;
  std::array<std::atomic<DeviceState*>, kMaxDevices> states_{};
  std::vector<std::unique_ptr<DeviceState>> owned_states_;
  std::vector<std::unique_ptr<RankState>> rank_states_;
  std::recursive_mutex mutex_;  // a generator may compile, and so load, on this thread
  mutable std::array<std::atomic<int64_t>, kMaxVariants> launches_{};
};

/// A contiguous tensor of the caller's framework if it offers an allocator, else of the device.
tvm::ffi::Tensor AllocateTensor(const std::shared_ptr<Device>& device, const int64_t* shape,
                                int32_t rank, DLDataType dtype, DLDevice where);

}  // namespace tilescale::runtime
