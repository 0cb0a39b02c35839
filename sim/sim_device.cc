// SPDX-License-Identifier: MIT
// The simulated machine as a runtime::Device: one Device is one rank. Tensors are host memory;
// those of the machine's arena are used in place, all others are copied in and out (design: memory,
// tensors).
#include "runtime/artifact.h"
#include "runtime/device.h"
#include "sim/arch.h"
#include "sim/compile.h"
#include "sim/machine.h"
#include "sim/world.h"
#include "support/diagnostics.h"
#include "support/knobs.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

namespace tilescale::sim {
namespace {

class SimModule;

struct SimFunction : runtime::Function {
  SimModule* module = nullptr;
  std::string entry;
};

class SimModule : public runtime::Module {
 public:
  SimModule(std::string_view binary, std::string arch) : binary_(binary), arch_(std::move(arch)) {
    Loaded();
  }

  runtime::Function* GetFunction(const runtime::FunctionRequest& request) override {
    Loaded()->Require(request.entry);
    const u64 most = MaxSharedBytes(arch_);
    if (u64(request.dynamic_shared_bytes) > most) {
      throw Diag({}, "RuntimeError") << request.entry << " needs " << request.dynamic_shared_bytes
                                     << " bytes of shared memory, but " << arch_ << " has " << most;
    }
    const std::lock_guard lock(mutex_);
    auto& f = functions_[request.entry];
    if (!f) {
      f = std::make_unique<SimFunction>();
      f->module = this;
      f->entry = request.entry;
    }
    return f.get();
  }

  bool SetConstant(const char* name, const void* value, size_t bytes) override {
    void* at = Loaded()->Constant(name);
    if (at != nullptr) std::memcpy(at, value, bytes);
    return at != nullptr;
  }

  // On the machine in use: a process may have joined another since the module was made.
  std::shared_ptr<KernelModule> Loaded() {
    const std::lock_guard lock(mutex_);
    Machine& machine = Machine::Get();
    if (machine_ != &machine) {
      module_ = machine.Load(binary_);
      machine_ = &machine;
    }
    return module_;
  }

 private:
  std::string binary_;
  std::string arch_;
  std::mutex mutex_;
  Machine* machine_ = nullptr;
  std::shared_ptr<KernelModule> module_;
  std::map<std::string, std::unique_ptr<SimFunction>> functions_;
};

u32 ElementBytes(DLDataType t) {
  return std::max<u32>((u32(t.bits) * u32(t.lanes) + 7) / 8, 1);
}

AllocInfo InfoOf(const runtime::BufferArg& b) {
  return {.name = b.name,
          .element_bytes = ElementBytes(b.dtype),
          .type = runtime::DTypeName(b.dtype),
          .initialized = !b.fresh};
}

u64 StreamId(runtime::Stream s) {
  return reinterpret_cast<u64>(s);
}
u64* EventId(runtime::Event e) {
  return static_cast<u64*>(e);
}

class SimDevice : public runtime::Device {
 public:
  SimDevice(std::string_view arch, int rank) : arch_(arch), rank_(u32(rank)) {
    if (arch_.empty()) arch_ = "sm_90a";
    const ArchLimits& limits = LimitsOf(arch_);
    properties_.name = "simulated " + arch_;
    properties_.arch = arch_;
    properties_.max_shared_bytes = long(MaxSharedBytes(arch_));
    properties_.num_sms = int(limits.sms);
    properties_.l2_bytes = 0;
    properties_.total_memory = long{4} << 30;
  }

  DLDevice tensor_device() const override { return {kDLCPU, 0}; }
  const runtime::DeviceProperties& properties() const override { return properties_; }
  bool needs_buffers() const override { return true; }

  std::string CompilerId() override { return sim::CompilerId(); }
  runtime::CompileResult Compile(const runtime::CompileRequest& request) override {
    // Options of the pass configs are the device compiler's; the text is what is simulated.
    CompileOutput out = CompileKernel(request.source, request.name);
    runtime::CompileResult result;
    result.binary = std::move(out.binary);
    result.log = std::move(out.log);
    return result;
  }
  std::unique_ptr<runtime::Module> Load(std::string_view binary) override {
    return std::make_unique<SimModule>(binary, arch_);
  }

  void* Allocate(size_t bytes, runtime::Stream) override {
    return Machine::Get().Allocate(rank_, bytes, {.name = "an allocation"});
  }
  void Free(void* address, runtime::Stream stream) override {
    Machine::Get().FreeAsync(rank_, StreamId(stream), address);
  }
  void Copy(void* target, const void* source, size_t bytes, runtime::Stream stream) override {
    Synchronize(stream);
    std::memmove(target, source, bytes);
    if (Machine::Get().Owns(target)) Machine::Get().MarkInitialized(target, bytes);
  }

  void Zero(void* at, size_t bytes, runtime::Stream) override {
    std::memset(at, 0, bytes);
    if (Machine::Get().Owns(at)) Machine::Get().MarkInitialized(at, bytes);
  }

  // The host's memory is all there is.
  void* AllocateMapped(size_t bytes, void** device) override {
    return *device = std::calloc(bytes, 1);
  }
  void FreeMapped(void* host) override { std::free(host); }

  void Launch(const runtime::LaunchRequest& request) override {
    Machine& m = Machine::Get();
    m.Reconfigure(WithKnobs(m.config()));
    if (request.cooperative) RequireResident(request);
    const auto* f = static_cast<const SimFunction*>(request.function);
    LaunchInfo l;
    l.rank = rank_;
    l.stream = StreamId(request.stream);
    l.module = f->module->Loaded();
    l.entry = f->entry;
    l.name = request.name;
    l.arch = arch_;
    l.grid = {request.grid.x, request.grid.y, request.grid.z};
    l.block = {request.block.x, request.block.y, request.block.z};
    l.cluster = {request.cluster.x, request.cluster.y, request.cluster.z};
    l.shared_bytes = request.dynamic_shared_bytes;
    l.gang = request.uses_heap;
    for (int i = 0; i < request.num_args; ++i) {
      l.args.emplace_back(sizeof(u64));
      std::memcpy(l.args.back().data(), request.args[i], sizeof(u64));
    }
    PlaceBuffers(request, &l);
    m.Launch(std::move(l));
    // One that waits for other ranks runs with theirs, at the first synchronisation. So do all of a
    // World: what a rank launches is ordered with its own stream only.
    const bool waits = request.uses_heap && m.config().ranks > 1;
    if (!waits && !request.deferred) Synchronize(request.stream);
  }

  runtime::Stream CreateStream() override {
    static std::atomic<u64> next{1};
    return reinterpret_cast<runtime::Stream>(next++);
  }
  void DestroyStream(runtime::Stream stream) override { Synchronize(stream); }
  void Synchronize(runtime::Stream stream) override {
    RaiseIfFound(Machine::Get().Synchronize(rank_, StreamId(stream)));
  }

  void SynchronizeAll() override { RaiseIfFound(Machine::Get().SynchronizeRank(rank_)); }

  runtime::Event CreateEvent() override { return new u64(0); }
  void DestroyEvent(runtime::Event event) override {
    Machine::Get().DropEvent(*EventId(event));
    delete EventId(event);
  }
  void RecordEvent(runtime::Event event, runtime::Stream stream) override {
    Machine::Get().DropEvent(*EventId(event));
    *EventId(event) = Machine::Get().RecordEvent(rank_, StreamId(stream));
  }
  void SynchronizeEvent(runtime::Event event) override {
    RaiseIfFound(Machine::Get().SynchronizeEvent(*EventId(event)));
  }
  void WaitEvent(runtime::Stream stream, runtime::Event event) override {
    Machine::Get().WaitEvent(rank_, StreamId(stream), *EventId(event));
  }
  double ElapsedMilliseconds(runtime::Event start, runtime::Event stop) override {
    const Machine& m = Machine::Get();
    return (m.EventSeconds(*EventId(stop)) - m.EventSeconds(*EventId(start))) * 1e3;
  }

 private:
  void RequireResident(const runtime::LaunchRequest& request) const {
    const runtime::Dim3& grid = request.grid;
    const runtime::Dim3& block = request.block;
    const u32 held = Machine::Get().config().slots;
    const u32 slots =
        held ? held : SlotsOf(arch_, block.x * block.y * block.z, request.dynamic_shared_bytes);
    if (u64{grid.x} * grid.y * grid.z > slots) {
      runtime::ThrowGridTooLarge(request, properties_, slots);
    }
  }

  // Pointer arguments to where the machine can see them.
  void PlaceBuffers(const runtime::LaunchRequest& request, LaunchInfo* l) {
    Machine& m = Machine::Get();
    std::vector<const runtime::BufferArg*> host;
    for (int i = 0; i < request.num_buffers; ++i) {
      const runtime::BufferArg& b = request.buffers[i];
      if (!b.address || b.bytes == 0) continue;
      if (!m.Owns(b.address)) {
        if (b.bytes > 0) host.push_back(&b);
        continue;
      }
      m.SetName(b.address, b.name, runtime::DTypeName(b.dtype), ElementBytes(b.dtype));
      // The host may have written what it could see.
      if (!b.fresh && b.bytes > 0) m.MarkInitialized(b.address, u64(b.bytes));
    }
    // Views that overlap are one range.
    std::sort(host.begin(), host.end(), [](auto* a, auto* b) { return a->address < b->address; });
    for (size_t i = 0; i < host.size();) {
      auto* first = static_cast<u8*>(host[i]->address);
      u8* end = first + host[i]->bytes;
      size_t last = i + 1;
      for (; last < host.size() && static_cast<u8*>(host[last]->address) < end; ++last) {
        end = std::max(end, static_cast<u8*>(host[last]->address) + host[last]->bytes);
      }
      auto* at =
          static_cast<u8*>(m.Import(rank_, l->stream, first, u64(end - first), InfoOf(*host[i])));
      for (; i < last; ++i) {
        u8* placed = at + (static_cast<u8*>(host[i]->address) - first);
        std::memcpy(l->args[size_t(host[i]->arg)].data(), &placed, sizeof placed);
      }
    }
  }

  std::string arch_;
  u32 rank_;
  runtime::DeviceProperties properties_;
};

[[maybe_unused]] const bool kRegistered = [] {
  runtime::RegisterDeviceFactory(
      "sim", [](std::string_view arch, int index) -> std::shared_ptr<runtime::Device> {
        return std::make_shared<SimDevice>(arch, index);
      });
  return true;
}();

}  // namespace
}  // namespace tilescale::sim
