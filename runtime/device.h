// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <dlpack/dlpack.h>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

/// What the launcher needs of a machine that runs kernels. One Device is one rank: one GPU, or one
/// simulated GPU. runtime/cuda and sim/sim_device.cc implement it; both register a factory.
///
/// Errors are thrown as Diag (types ValueError, CudaError, NvrtcError, …). All
/// members may be called from any thread.
namespace tilescale::runtime {

/// A queue of work. nullptr is the device's default stream; for CUDA it is a CUstream.
using Stream = void*;
/// A point in a stream; made by CreateEvent.
using Event = void*;

struct Dim3 {
  uint32_t x = 1;
  uint32_t y = 1;
  uint32_t z = 1;

  bool operator==(const Dim3&) const = default;
};

struct DeviceProperties {
  std::string name;
  std::string arch;  // "sm_90"; the arch that it was asked to be, for sim
  int32_t max_threads_per_block = 1024;
  int64_t max_shared_bytes = 0;  // static and dynamic of one CTA, after opt-in
  int32_t num_sms = 0;
  int64_t l2_bytes = 0;
  int64_t total_memory = 0;
};

/// A text to compile for a device. `source` is kernel text; the device headers are the compiler's
/// own business and part of its Id().
struct CompileRequest {
  std::string_view name;  // file name in diagnostics
  std::string_view source;
  std::string_view arch;  // the arch that the text was generated for
  std::vector<std::string> options;
};

/// What one kernel of a binary needs of the machine; -1 where the compiler does not say.
struct KernelUsage {
  std::string entry;
  int32_t registers = -1;
  int32_t spill_store_bytes = -1;
  int32_t spill_load_bytes = -1;
  int32_t stack_bytes = -1;
  int32_t static_shared_bytes = -1;
};

/// A compiled text. `binary` is what Device::Load takes; `log` is the compiler's output.
struct CompileResult {
  std::string binary;
  std::string log;
  std::vector<KernelUsage> usage;
};

/// One function of a loaded module, ready to launch. Owned by its Module.
class Function {
 public:
  virtual ~Function() = default;
};

/// What a function will be launched with; the device sets attributes and refuses what cannot run.
struct FunctionRequest {
  std::string entry;
  int64_t dynamic_shared_bytes = 0;
  Dim3 cluster;
  bool cooperative = false;
};

class Module {
 public:
  virtual ~Module() = default;
  /// Throws if the entry does not exist or the device cannot give what is asked for. The result
  /// lives as long as the module.
  virtual Function* GetFunction(const FunctionRequest& request) = 0;
  /// Sets a constant of the module ahead of its first launch; false if it has none of that name.
  virtual bool SetConstant(const char* /*name*/, const void* /*value*/, size_t /*bytes*/) {
    return false;
  }
};

/// Memory behind one pointer argument: what the simulator needs for exact bounds, for names in
/// reports and for copies in and out.
struct BufferArg {
  int32_t arg = 0;          // index in LaunchRequest::args
  const char* name = "";    // the user's name
  void* address = nullptr;  // first byte
  int64_t bytes = 0;        // to the last byte that the shape and strides reach; -1: not known
  DLDataType dtype{};
  int32_t ndim = 0;
  const int64_t* shape = nullptr;
  bool fresh = false;  // allocated by this launch: its contents are not initialised
};

struct LaunchRequest {
  const char* name = "";  // the artifact's name, for reports
  Function* function = nullptr;
  Dim3 grid;
  Dim3 block;
  Dim3 cluster;
  uint32_t dynamic_shared_bytes = 0;
  bool cooperative = false;
  bool uses_heap = false;  // may wait for other ranks
  bool deferred = false;   // by a World, whose barrier waits for it
  void** args = nullptr;   // args[i] points at the value of parameter i
  int32_t num_args = 0;
  const BufferArg* buffers = nullptr;  // pointer arguments, in increasing `arg`
  int32_t num_buffers = 0;
  Stream stream = nullptr;
};

class Device {
 public:
  virtual ~Device() = default;

  /// Where tensors must be to be arguments: {kDLCUDA, i}, or {kDLCPU, 0} for sim.
  virtual DLDevice tensor_device() const = 0;
  virtual const DeviceProperties& properties() const = 0;
  /// LaunchRequest::buffers are read; otherwise the launcher leaves them empty.
  virtual bool needs_buffers() const = 0;

  /// Identity of the compiler and its headers: part of the cache key of a binary. Cheap.
  virtual std::string CompilerId() = 0;
  /// Kernel text to binary. Throws NvrtcError (sim: RuntimeError) with the compiler's messages.
  virtual CompileResult Compile(const CompileRequest& request) = 0;
  virtual std::unique_ptr<Module> Load(std::string_view binary) = 0;

  /// 256-byte aligned; ordered on `stream`. Contents undefined (poisoned on sim).
  virtual void* Allocate(size_t bytes, Stream stream) = 0;
  virtual void Free(void* address, Stream stream) = 0;
  /// Between any two of host and this device; ordered on `stream`.
  virtual void Copy(void* target, const void* source, size_t bytes, Stream stream) = 0;

  /// Memory that several devices of this process reach at the same addresses, for symmetric heaps:
  /// addresses first, memory of this device behind parts of them later, loaded and stored by all
  /// `users` (device ids). Offsets and sizes are multiples of SharedGranularity. A device without
  /// such memory throws.
  virtual size_t SharedGranularity();
  virtual void* ReserveAddresses(size_t bytes);
  virtual void ReleaseAddresses(void* at, size_t bytes);
  virtual void MapShared(void* at, size_t bytes, const std::vector<int>& users);
  virtual void UnmapShared(void* at, size_t bytes);
  /// As MapShared, for this device alone, and for other processes: gives a descriptor of an open
  /// file with which a process of this host maps the same memory (MapImported). The caller closes
  /// it.
  virtual int MapExported(void* at, size_t bytes);
  virtual void MapImported(void* at, size_t bytes, int descriptor);
  /// Where the driver has no such files: memory whose address the driver chooses, opened in another
  /// process by the bytes of a handle.
  virtual bool CanExportFiles() const;
  virtual void* AllocateExported(size_t bytes, std::string* handle);
  virtual void* OpenImported(const std::string& handle);
  virtual void FreeExported(void* at);
  virtual void CloseImported(void* at);
  /// Throws if this device cannot load and store `other`'s memory.
  virtual void RequirePeerAccess(const Device& other);
  /// Of memory that no work queued on another stream uses.
  virtual void Zero(void* at, size_t bytes, Stream stream);

  /// The stream writes a word of 4 or 8 bytes behind all work before; or waits until it is equal.
  virtual void WriteValue(Stream stream, void* at, uint64_t value, int bytes);
  virtual void WaitValue(Stream stream, void* at, uint64_t value, int bytes);
  /// Memory of the host that the device reaches at the address in `*device`; zeroed.
  virtual void* AllocateMapped(size_t bytes, void** device);
  virtual void FreeMapped(void* host);

  /// Enqueues. A device whose tensors are host memory returns when the results are there, except
  /// that a kernel which waits for other ranks may still run: Synchronize ends that.
  virtual void Launch(const LaunchRequest& request) = 0;

  virtual Stream CreateStream() = 0;
  virtual void DestroyStream(Stream stream) = 0;
  virtual void Synchronize(Stream stream) = 0;
  /// All streams of the device.
  virtual void SynchronizeAll() { Synchronize(nullptr); }

  virtual Event CreateEvent() = 0;
  virtual void DestroyEvent(Event event) = 0;
  virtual void RecordEvent(Event event, Stream stream) = 0;
  virtual void SynchronizeEvent(Event event) = 0;
  /// What the watchdog asks from a thread of its own: whether the event has completed, and whether
  /// the stream records a graph, so that nothing may be put into it.
  virtual bool IsDone(Event /*event*/) { return true; }
  virtual bool IsCapturing(Stream /*stream*/) { return false; }
  /// `stream` waits for `event`.
  virtual void WaitEvent(Stream stream, Event event) = 0;
  /// Both events must have completed.
  virtual double ElapsedMilliseconds(Event start, Event stop) = 0;
};

/// ValueError: a cooperative launch needs all its blocks at a time, and the device holds fewer.
[[noreturn]] void ThrowGridTooLarge(const LaunchRequest& request, const DeviceProperties& device,
                                    int64_t resident);

/// Makes the Device `index` (GPU or rank) of one target kind; `arch` is "" for the device's own.
using DeviceFactory = std::function<std::shared_ptr<Device>(std::string_view arch, int index)>;

/// Called once per kind, before the first GetDevice: implementations register at library load.
/// `count` says how many devices the machine has.
void RegisterDeviceFactory(std::string kind, DeviceFactory factory,
                           std::function<int()> count = nullptr);

/// Devices of a kind on this machine; 0 where that is not known.
int CountDevices(std::string_view kind);

/// The Device of (kind, arch, index); made on first use and kept. Throws ValueError on an unknown
/// kind; what the factory throws (no driver, no such GPU) passes through.
std::shared_ptr<Device> GetDevice(std::string_view kind, std::string_view arch, int index);

/// The rank that launches of this thread use on a target without device ordinals in its tensors
/// (sim). Returns the previous one.
int SetCurrentRank(int rank);
int CurrentRank();
/// The stream of this thread's launches on a device whose tensors are host memory, where no
/// framework has one.
void SetHostStream(Stream stream);
Stream HostStream();
/// The rank of threads which have set none: of a process that is one rank of many.
void SetProcessRank(int rank);

}  // namespace tilescale::runtime
