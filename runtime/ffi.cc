// SPDX-License-Identifier: MIT
// What Python sees of runtime/: `tilescale.runtime.*`.
#include "runtime/cache.h"
#include "runtime/cuda/driver_api.h"
#include "runtime/dispatch.h"
#include "runtime/executable.h"
#include "runtime/nvrtc.h"
#include "support/ffi_boundary.h"

#include <tvm/ffi/container/array.h>
#include <tvm/ffi/container/map.h>
#include <tvm/ffi/function.h>
#include <tvm/ffi/object.h>
#include <tvm/ffi/reflection/registry.h>
#include <tvm/ffi/string.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace tilescale::runtime {
namespace {

namespace ffi = tvm::ffi;
namespace refl = tvm::ffi::reflection;

using Record = ffi::Map<ffi::String, ffi::Any>;

// A packed function whose exceptions are ours.
template <class F>
ffi::Function Packed(F call) {
  return ffi::Function::FromPacked(
      [call = std::move(call)](ffi::PackedArgs args, ffi::Any* result) {
        CallGuarded(
            [&] { call(reinterpret_cast<const TVMFFIAny*>(args.data()), args.size(), result); });
      });
}

ffi::Array<Record> UsageTable(const std::vector<KernelUsage>& usage) {
  ffi::Array<Record> table;
  for (const KernelUsage& kernel : usage) {
    table.push_back({{"entry", ffi::String(kernel.entry)},
                     {"registers", kernel.registers},
                     {"spill_store_bytes", kernel.spill_store_bytes},
                     {"spill_load_bytes", kernel.spill_load_bytes},
                     {"stack_bytes", kernel.stack_bytes},
                     {"static_shared_bytes", kernel.static_shared_bytes}});
  }
  return table;
}

/// Python's handle of an Executable.
class ExecutableObj : public ffi::Object {
 public:
  std::shared_ptr<Executable> executable;

  explicit ExecutableObj(std::shared_ptr<Executable> e) : executable(std::move(e)) {}

  /// Called with the inputs; what JITKernel.__call__ is.
  ffi::Function Entry() const {
    return Packed([e = executable](const TVMFFIAny* args, int32_t n, ffi::Any* result) {
      e->Call(args, n, result);
    });
  }

  ffi::Function VariantSelector() const {
    return Packed([e = executable](const TVMFFIAny* args, int32_t n, ffi::Any* result) {
      *result = e->SelectVariant(args, n);
    });
  }

  /// The heap and rank that this thread has entered are those of launches which do not say theirs.
  void KeepPlace() { executable->SetPlace(GetLaunchPlace()); }

  ffi::Bytes ToBytes() const { return ffi::Bytes(executable->artifact().Serialize()); }
  ffi::String Text() const { return executable->artifact().ToString(); }
  int64_t NumVariants() const {
    return static_cast<int64_t>(executable->artifact().variants.size());
  }

  const Variant& VariantAt(int64_t index) const {
    const std::vector<Variant>& variants = executable->artifact().variants;
    if (index >= 0 && index < static_cast<int64_t>(variants.size())) return variants[index];
    throw Diag({}, "IndexError") << "variant " << index << " of " << variants.size();
  }
  ffi::String Source(int64_t variant) const {
    return CallGuarded([&] { return ffi::String(VariantAt(variant).source); });
  }
  ffi::String Explain(int64_t variant) const {
    return CallGuarded([&] { return ffi::String(VariantAt(variant).explain); });
  }

  ffi::Array<Record> Params() const {
    const Artifact& artifact = executable->artifact();
    const HostNames names = artifact.Names();
    ffi::Array<Record> table;
    for (const Param& param : artifact.params) {
      ffi::Array<ffi::Any> shape;
      for (const HostExpr& extent : param.shape) {
        if (extent.IsConst()) {
          shape.push_back(extent.const_value());
        } else {
          shape.push_back(ffi::String(extent.ToString(names)));
        }
      }
      static constexpr const char* kKinds[] = {"tensor", "scalar", "pointer"};
      table.push_back({{"name", ffi::String(param.name)},
                       {"kind", ffi::String(kKinds[static_cast<int>(param.kind)])},
                       {"dtype", ffi::String(DTypeName(param.dtype))},
                       {"shape", shape},
                       {"is_output", param.is_output}});
    }
    return table;
  }

  Record Load(int64_t device_index, int64_t variant) const {
    return CallGuarded([&]() -> Record {
      const LoadedVariant& loaded =
          executable->Load(static_cast<int>(device_index), static_cast<int>(variant));
      return {{"source", ffi::String(loaded.variant.source)},
              {"explain", ffi::String(loaded.variant.explain)},
              {"log", ffi::String(loaded.compile_log)},
              {"compile_ms", loaded.compile_ms},
              {"load_ms", loaded.load_ms},
              {"usage", UsageTable(loaded.usage)}};
    });
  }

  // What the device's compiler says of the kernels of a variant, with what a launch adds to it: of
  // what is loaded, else of a compilation that needs no GPU. Empty for the simulator and for text
  // that is not made yet.
  ffi::Array<Record> Resources(int64_t variant) const {
    return CallGuarded([&] {
      const Artifact& artifact = executable->artifact();
      const Variant& v = VariantAt(variant);
      if (artifact.target_kind != "cuda" || v.source.empty()) return ffi::Array<Record>();
      const std::vector<KernelUsage> usage =
          cuda::DeviceCount() > 0 ? executable->Load(0, static_cast<int>(variant)).usage
                                  : NvrtcCompile(artifact.name, v.source, artifact.target_arch,
                                                 artifact.compile_options)
                                        .usage;
      ffi::Array<Record> table;
      for (Record record : UsageTable(usage)) {
        for (const KernelLaunch& kernel : v.kernels) {
          if (kernel.entry != record["entry"].cast<std::string>()) continue;
          int64_t threads = 1;
          for (const HostExpr& extent : kernel.block) threads *= extent.const_value();
          const HostExpr& shared = kernel.dynamic_shared_bytes;
          record.Set("threads", threads);
          record.Set("dynamic_shared_bytes", shared.IsConst() ? shared.const_value() : 0);
          table.push_back(record);
        }
      }
      return table;
    });
  }

  ffi::Array<int64_t> LaunchCounts() const {
    const std::vector<int64_t> counts = executable->LaunchCounts();
    return ffi::Array<int64_t>(counts.begin(), counts.end());
  }

  static constexpr bool _type_mutable = true;
  TVM_FFI_DECLARE_OBJECT_INFO_FINAL("tilescale.runtime.Executable", ExecutableObj, ffi::Object);
};

class ExecutableRef : public ffi::ObjectRef {
 public:
  explicit ExecutableRef(std::shared_ptr<Executable> executable)
      : ffi::ObjectRef(ffi::make_object<ExecutableObj>(std::move(executable))) {}
  TVM_FFI_DEFINE_OBJECT_REF_METHODS_NOTNULLABLE(ExecutableRef, ffi::ObjectRef, ExecutableObj);
};

/// A point in a stream of one device.
class EventObj : public ffi::Object {
 public:
  std::shared_ptr<Device> device;
  Event event = nullptr;

  explicit EventObj(std::shared_ptr<Device> d) : device(std::move(d)) {
    event = device->CreateEvent();
  }
  ~EventObj() { device->DestroyEvent(event); }

  /// `stream` is a raw handle; 0 is the default stream.
  void Record(int64_t stream) {
    CallGuarded([&] { device->RecordEvent(event, reinterpret_cast<Stream>(stream)); });
  }
  void Synchronize() {
    CallGuarded([&] { device->SynchronizeEvent(event); });
  }
  void Wait(int64_t stream) {
    CallGuarded([&] { device->WaitEvent(reinterpret_cast<Stream>(stream), event); });
  }
  double ElapsedSince(const ffi::ObjectRef& start) {
    return CallGuarded([&]() -> double {
      const auto* first = start.as<EventObj>();
      if (first == nullptr) throw Diag({}, "TypeError") << "expected an event";
      return device->ElapsedMilliseconds(first->event, event);
    });
  }

  static constexpr bool _type_mutable = true;
  TVM_FFI_DECLARE_OBJECT_INFO_FINAL("tilescale.runtime.Event", EventObj, ffi::Object);
};

Executable::Generator WrapGenerator(const ffi::Optional<ffi::Function>& generator) {
  if (!generator.has_value()) return nullptr;
  // Returns the bytes of an artifact whose variant of that index has its text.
  return [make = *generator](int index) {
    const auto bytes = make(index).cast<ffi::Bytes>();
    Artifact artifact = Artifact::Deserialize({bytes.data(), bytes.size()});
    TS_CHECK(index < static_cast<int>(artifact.variants.size()))
        << "the generated artifact has no variant " << index;
    return std::move(artifact.variants[index]);
  };
}

ExecutableRef MakeExecutable(ffi::Bytes artifact, ffi::Optional<ffi::Function> generator) {
  return ExecutableRef(std::make_shared<Executable>(
      Artifact::Deserialize({artifact.data(), artifact.size()}), WrapGenerator(generator)));
}

// Executables that live, by the key of their program: making a kernel a second time finds the
// first. Weak, so that a process that makes many keeps none alive.
class LiveExecutables {
 public:
  std::shared_ptr<Executable> Find(const std::string& key) {
    const std::lock_guard lock(mutex_);
    const auto found = live_.find(key);
    return found == live_.end() ? nullptr : found->second.lock();
  }
  void Add(const std::string& key, const std::shared_ptr<Executable>& executable) {
    const std::lock_guard lock(mutex_);
    std::erase_if(live_, [](const auto& entry) { return entry.second.expired(); });
    live_[key] = executable;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<Executable>> live_;
};

LiveExecutables& Live() {
  static auto* live = new LiveExecutables;
  return *live;
}

// The executable of a program, from memory or from disk; None if it must be compiled.
ffi::Optional<ExecutableRef> CachedExecutable(ffi::String program,
                                              ffi::Optional<ffi::Function> generator) {
  const std::string key = ArtifactKey(std::string(program));
  if (auto live = Live().Find(key)) return ExecutableRef(std::move(live));
  const auto bytes = LoadArtifactBytes(key);
  if (!bytes.has_value()) return std::nullopt;
  auto executable =
      std::make_shared<Executable>(Artifact::Deserialize(*bytes), WrapGenerator(generator));
  Live().Add(key, executable);
  return ExecutableRef(std::move(executable));
}

void CacheExecutable(ffi::String program, ExecutableRef executable) {
  const std::string key = ArtifactKey(std::string(program));
  StoreArtifactBytes(key, executable->executable->artifact().Serialize());
  Live().Add(key, executable->executable);
}

ffi::Optional<ffi::Bytes> CacheLoad(ffi::String program) {
  const auto bytes = LoadArtifactBytes(ArtifactKey(std::string(program)));
  if (!bytes.has_value()) return std::nullopt;
  return ffi::Bytes(*bytes);
}

void CacheStore(ffi::String program, ffi::Bytes artifact) {
  StoreArtifactBytes(ArtifactKey(std::string(program)), {artifact.data(), artifact.size()});
}

Record CacheStatistics() {
  const CacheStats stats = GetCacheStats();
  return {{"artifact_hits", stats.artifact_hits},
          {"artifact_misses", stats.artifact_misses},
          {"binary_hits", stats.binary_hits},
          {"binary_misses", stats.binary_misses},
          {"discarded", stats.discarded}};
}

ffi::String CacheFolderText() {
  return CacheFolder();
}

ffi::Function MakeDispatch(ffi::Array<bool> is_runtime, ffi::Array<ffi::Array<int64_t>> consts,
                           ffi::Function resolve) {
  std::vector<ConstSource> sources;
  for (const ffi::Array<int64_t>& source : consts) {
    sources.push_back({static_cast<int32_t>(source[0]), static_cast<int32_t>(source[1]),
                       source.size() > 2 && source[2] != 0});
  }
  auto resolver = [resolve](const TVMFFIAny* args, int32_t count) {
    ffi::Any found;
    resolve.CallPacked(reinterpret_cast<const ffi::AnyView*>(args), count, &found);
    const auto object = found.try_cast<ExecutableRef>();
    if (!object.has_value()) throw Diag({}, "TypeError") << "the resolver returned no Executable";
    return (*object)->executable;
  };
  auto dispatch = std::make_shared<Dispatch>(
      std::vector<bool>(is_runtime.begin(), is_runtime.end()), std::move(sources), resolver);
  return Packed([dispatch](const TVMFFIAny* args, int32_t n, ffi::Any* result) {
    dispatch->Call(args, n, result);
  });
}

Record CompileWithNvrtc(ffi::String name, ffi::String source, ffi::String arch,
                        ffi::Array<ffi::String> options) {
  std::vector<std::string> flags;
  for (const ffi::String& option : options) flags.emplace_back(option);
  const NvrtcResult result =
      NvrtcCompile(std::string(name), std::string(source), std::string(arch), flags);
  return {{"cubin", ffi::Bytes(result.cubin)},
          {"log", ffi::String(result.log)},
          {"usage", UsageTable(result.usage)}};
}

ffi::String NvrtcPathText() {
  return NvrtcPath();
}

void SetNvrtcSearch(ffi::Array<ffi::String> folders) {
  std::vector<std::string> list;
  for (const ffi::String& folder : folders) list.emplace_back(folder);
  SetNvrtcFolders(std::move(list));
}

void SetIncludes(ffi::String folder) {
  SetIncludeFolder(std::string(folder));
}

int64_t CudaDeviceCount() {
  return cuda::DeviceCount();
}
ffi::String CudaProblem() {
  return cuda::DriverProblem();
}

std::shared_ptr<Device> DeviceOf(const ffi::String& kind, const ffi::String& arch, int64_t index) {
  return GetDevice(std::string(kind), std::string(arch), static_cast<int>(index));
}

Record Properties(ffi::String kind, ffi::String arch, int64_t index) {
  const DeviceProperties& properties = DeviceOf(kind, arch, index)->properties();
  return {{"name", ffi::String(properties.name)},
          {"arch", ffi::String(properties.arch)},
          {"max_threads_per_block", properties.max_threads_per_block},
          {"max_shared_bytes", properties.max_shared_bytes},
          {"num_sms", properties.num_sms},
          {"l2_bytes", properties.l2_bytes},
          {"total_memory", properties.total_memory}};
}

ffi::ObjectRef MakeEvent(ffi::String kind, ffi::String arch, int64_t index) {
  return ffi::ObjectRef(ffi::make_object<EventObj>(DeviceOf(kind, arch, index)));
}

void SynchronizeStream(ffi::String kind, ffi::String arch, int64_t index, int64_t stream) {
  DeviceOf(kind, arch, index)->Synchronize(reinterpret_cast<Stream>(stream));
}

void SynchronizeDevice(ffi::String kind, ffi::String arch, int64_t index) {
  DeviceOf(kind, arch, index)->SynchronizeAll();
}

void SetStream(int64_t stream) {
  SetHostStream(reinterpret_cast<Stream>(stream));
}

int64_t SetRank(int64_t rank) {
  return SetCurrentRank(static_cast<int>(rank));
}
int64_t GetRank() {
  return CurrentRank();
}

ffi::Function& WarningFunction() {
  static auto* function = new ffi::Function;
  return *function;
}

void SetWarnings(ffi::Function handler) {
  WarningFunction() = std::move(handler);
  SetWarningHandler([](const std::string& text) { WarningFunction()(ffi::String(text)); });
}

TVM_FFI_STATIC_INIT_BLOCK() {
  refl::ObjectDef<ExecutableObj>(refl::init(false))
      .def("entry", &ExecutableObj::Entry)
      .def("variant_selector", &ExecutableObj::VariantSelector)
      .def("to_bytes", &ExecutableObj::ToBytes)
      .def("text", &ExecutableObj::Text)
      .def("num_variants", &ExecutableObj::NumVariants)
      .def("keep_place", &ExecutableObj::KeepPlace)
      .def("source", &ExecutableObj::Source)
      .def("explain", &ExecutableObj::Explain)
      .def("params", &ExecutableObj::Params)
      .def("load", &ExecutableObj::Load)
      .def("resources", &ExecutableObj::Resources)
      .def("launch_counts", &ExecutableObj::LaunchCounts);
  refl::ObjectDef<EventObj>(refl::init(false))
      .def("record", &EventObj::Record)
      .def("synchronize", &EventObj::Synchronize)
      .def("wait", &EventObj::Wait)
      .def("elapsed_since", &EventObj::ElapsedSince);
  refl::GlobalDef()
      .def("tilescale.runtime.executable", Guarded(&MakeExecutable))
      .def("tilescale.runtime.dispatch", Guarded(&MakeDispatch))
      .def("tilescale.runtime.cached_executable", Guarded(&CachedExecutable))
      .def("tilescale.runtime.cache_executable", Guarded(&CacheExecutable))
      .def("tilescale.runtime.cache_load", Guarded(&CacheLoad))
      .def("tilescale.runtime.cache_store", Guarded(&CacheStore))
      .def("tilescale.runtime.cache_stats", Guarded(&CacheStatistics))
      .def("tilescale.runtime.cache_folder", Guarded(&CacheFolderText))
      .def("tilescale.runtime.nvrtc_compile", Guarded(&CompileWithNvrtc))
      .def("tilescale.runtime.nvrtc_path", Guarded(&NvrtcPathText))
      .def("tilescale.runtime.set_nvrtc_folders", Guarded(&SetNvrtcSearch))
      .def("tilescale.runtime.set_include_folder", Guarded(&SetIncludes))
      .def("tilescale.runtime.cuda_device_count", Guarded(&CudaDeviceCount))
      .def("tilescale.runtime.cuda_problem", Guarded(&CudaProblem))
      .def("tilescale.runtime.device_properties", Guarded(&Properties))
      .def("tilescale.runtime.event", Guarded(&MakeEvent))
      .def("tilescale.runtime.synchronize", Guarded(&SynchronizeStream))
      .def("tilescale.runtime.synchronize_device", Guarded(&SynchronizeDevice))
      .def("tilescale.runtime.set_host_stream", Guarded(&SetStream))
      .def("tilescale.runtime.set_rank", Guarded(&SetRank))
      .def("tilescale.runtime.rank", Guarded(&GetRank))
      .def("tilescale.runtime.set_warning_handler", Guarded(&SetWarnings));
}

}  // namespace
}  // namespace tilescale::runtime
