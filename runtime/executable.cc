// SPDX-License-Identifier: MIT
#include "runtime/executable.h"

#include "runtime/cache.h"
#include "support/diagnostics.h"

#include <chrono>

namespace tilescale::runtime {
namespace {

class Stopwatch {
 public:
  double Milliseconds() const {
    const auto elapsed = std::chrono::steady_clock::now() - start_;
    return std::chrono::duration<double, std::milli>(elapsed).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

Artifact Validated(Artifact artifact) {
  artifact.Validate();
  return artifact;
}

// The largest value a launch can need; an expression that is not constant may need all there is.
int64_t ConstantOr(const HostExpr& expr, int64_t otherwise) {
  return expr.IsConst() ? expr.const_value() : otherwise;
}

}  // namespace

Executable::Executable(Artifact artifact, Generator generator)
    : artifact_(Validated(std::move(artifact))),
      plan_(artifact_),
      generator_(std::move(generator)) {
  TS_CHECK(artifact_.variants.size() <= kMaxVariants)
      << artifact_.name << " has " << artifact_.variants.size() << " variants";
}

Executable::~Executable() = default;

Executable::DeviceState& Executable::StateOf(int device_index) {
  if (device_index < 0 || device_index >= kMaxDevices) {
    throw Diag({}, "ValueError") << artifact_.name << ": device index " << device_index
                                 << " is out of range, expected 0 to " << kMaxDevices - 1;
  }
  DeviceState* state = states_[device_index].load(std::memory_order_acquire);
  if (state != nullptr) return *state;
  const std::lock_guard lock(mutex_);
  state = states_[device_index].load(std::memory_order_relaxed);
  if (state == nullptr) {
    auto fresh = std::make_unique<DeviceState>();
    // A GPU has the arch it has; a simulated one is made as the artifact asks.
    const bool physical = plan_.device_type == kDLCUDA;
    fresh->device =
        GetDevice(artifact_.target_kind, physical ? "" : artifact_.target_arch, device_index);
    state = owned_states_.emplace_back(std::move(fresh)).get();
    states_[device_index].store(state, std::memory_order_release);
  }
  return *state;
}

Executable::DeviceState& Executable::StateOf(const LaunchPlace& place) {
  const std::lock_guard lock(mutex_);
  std::erase_if(rank_states_, [](const auto& s) { return s->heap.expired(); });
  for (const auto& s : rank_states_) {
    if (s->rank == place.rank && s->heap.lock() == place.heap) return *s;
  }
  if (place.heap->ranks() < artifact_.min_ranks) {
    throw Diag({}, "ValueError") << artifact_.name << ": " << artifact_.min_ranks_by
                                 << " reaches rank " << artifact_.min_ranks - 1
                                 << ", but there are " << place.heap->ranks() << " ranks";
  }
  auto fresh = std::make_unique<RankState>();
  // A GPU has the arch it has; a simulated one is made as the artifact asks.
  fresh->device = plan_.device_type == kDLCUDA
                      ? place.heap->device(place.rank)
                      : GetDevice(artifact_.target_kind, artifact_.target_arch, place.rank);
  fresh->heap = place.heap;
  fresh->rank = place.rank;
  fresh->table = place.heap->Table(place.rank);
  fresh->heap_table = &fresh->table;
  for (const Variant& v : artifact_.variants) {
    for (const Workspace& w : v.workspaces) {
      if (w.of_heap) fresh->barrier_words = place.heap->BarrierWords(place.rank);
    }
  }
  return *rank_states_.emplace_back(std::move(fresh));
}

const LoadedVariant& Executable::Load(int device_index, int variant) {
  DeviceState& state = StateOf(device_index);
  if (variant < 0 || variant >= static_cast<int>(artifact_.variants.size())) {
    throw Diag({}, "ValueError") << artifact_.name << ": there is no variant " << variant;
  }
  const LoadedVariant* loaded = state.variants[variant].load(std::memory_order_acquire);
  return loaded != nullptr ? *loaded : LoadSlow(state, variant);
}

const LoadedVariant& Executable::LoadSlow(DeviceState& state, int variant) {
  const std::lock_guard lock(mutex_);
  const LoadedVariant* loaded = state.variants[variant].load(std::memory_order_relaxed);
  if (loaded == nullptr) {
    auto built = std::make_unique<LoadedVariant>(Build(state, variant));
    loaded = state.owned.emplace_back(std::move(built)).get();
    state.variants[variant].store(loaded, std::memory_order_release);
  }
  return *loaded;
}

LoadedVariant Executable::Build(DeviceState& state, int variant) {
  LoadedVariant loaded;
  loaded.variant = artifact_.variants[variant];
  if (loaded.variant.source.empty()) {
    TS_CHECK(generator_ != nullptr)
        << artifact_.name << ": variant " << variant << " has no text and nothing makes it";
    loaded.variant = generator_(variant);
    Artifact whole = artifact_;
    whole.variants = {loaded.variant};
    whole.variants[0].facts.clear();
    whole.Validate();
    TS_CHECK(!loaded.variant.source.empty())
        << artifact_.name << ": variant " << variant << " was generated without text";
  }
  const DeviceProperties& properties = state.device->properties();
  for (const KernelLaunch& kernel : loaded.variant.kernels) {
    const int64_t shared = ConstantOr(kernel.dynamic_shared_bytes, 0);
    if (shared > properties.max_shared_bytes) {
      throw Diag({}, "ValueError")
          << artifact_.name << " needs " << shared << " bytes of shared memory, " << properties.name
          << " has " << properties.max_shared_bytes << Help("use smaller tiles or fewer stages");
    }
  }
  const Stopwatch compile;
  CompileResult result = CompileCached(
      *state.device,
      {artifact_.name, loaded.variant.source, artifact_.target_arch, artifact_.compile_options});
  loaded.compile_ms = compile.Milliseconds();
  const Stopwatch load;
  loaded.module = state.device->Load(result.binary);
  for (const KernelLaunch& kernel : loaded.variant.kernels) {
    FunctionRequest request;
    request.entry = kernel.entry;
    request.dynamic_shared_bytes =
        ConstantOr(kernel.dynamic_shared_bytes, properties.max_shared_bytes);
    request.cluster = {static_cast<uint32_t>(ConstantOr(kernel.cluster[0], 1)),
                       static_cast<uint32_t>(ConstantOr(kernel.cluster[1], 1)),
                       static_cast<uint32_t>(ConstantOr(kernel.cluster[2], 1))};
    request.cooperative = kernel.cooperative;
    loaded.functions.push_back(loaded.module->GetFunction(request));
  }
  if (state.heap_table != nullptr) {
    loaded.module->SetConstant("ts_heap", state.heap_table, sizeof *state.heap_table);
  }
  // Ranks that share a GPU share the module of a kernel that asks for no rank.
  const int rank = state.heap_table != nullptr    ? state.heap_table->rank
                   : plan_.device_type != kDLCUDA ? GetLaunchPlace().rank
                                                  : -1;
  loaded.watched = WatchModule(state.device, *loaded.module, artifact_.name, rank);
  loaded.load_ms = load.Milliseconds();
  loaded.compile_log = std::move(result.log);
  loaded.usage = std::move(result.usage);
  return loaded;
}

std::vector<int64_t> Executable::LaunchCounts() const {
  std::vector<int64_t> counts;
  for (size_t i = 0; i < artifact_.variants.size(); ++i) {
    counts.push_back(launches_[i].load(std::memory_order_relaxed));
  }
  return counts;
}

}  // namespace tilescale::runtime
