// SPDX-License-Identifier: MIT
#include "runtime/device.h"
#include "support/diagnostics.h"
#include "support/strings.h"

#include <atomic>
#include <map>
#include <mutex>
#include <tuple>

namespace tilescale::runtime {
namespace {

struct Registry {
  std::mutex mutex;
  std::map<std::string, DeviceFactory, std::less<>> factories;
  std::map<std::string, std::function<int()>, std::less<>> counts;
  std::map<std::tuple<std::string, std::string, int>, std::shared_ptr<Device>> devices;
};

// Never destroyed: devices are used by objects that outlive static destruction (tensors that Python
// frees at exit).
Registry& GetRegistry() {
  static auto* registry = new Registry;
  return *registry;
}

std::atomic<int> process_rank = 0;
thread_local Stream host_stream = nullptr;
thread_local int current_rank = -1;  // -1: the process's

}  // namespace

void RegisterDeviceFactory(std::string kind, DeviceFactory factory, std::function<int()> count) {
  Registry& registry = GetRegistry();
  const std::lock_guard lock(registry.mutex);
  if (count) registry.counts[kind] = std::move(count);
  registry.factories[std::move(kind)] = std::move(factory);
}

int CountDevices(std::string_view kind) {
  Registry& registry = GetRegistry();
  const std::lock_guard lock(registry.mutex);
  const auto count = registry.counts.find(kind);
  return count == registry.counts.end() ? 0 : count->second();
}

namespace {

[[noreturn]] void ThrowNotShared(const Device& device) {
  throw Diag({}, "RuntimeError") << device.properties().name
                                 << " has no memory that other devices reach";
}

}  // namespace

size_t Device::SharedGranularity() {
  ThrowNotShared(*this);
}
void* Device::ReserveAddresses(size_t) {
  ThrowNotShared(*this);
}
void Device::ReleaseAddresses(void*, size_t) {
  ThrowNotShared(*this);
}
void Device::MapShared(void*, size_t, const std::vector<int>&) {
  ThrowNotShared(*this);
}
void Device::UnmapShared(void*, size_t) {
  ThrowNotShared(*this);
}
int Device::MapExported(void*, size_t) {
  ThrowNotShared(*this);
}
void Device::MapImported(void*, size_t, int) {
  ThrowNotShared(*this);
}
bool Device::CanExportFiles() const {
  return false;
}
void* Device::AllocateExported(size_t, std::string*) {
  ThrowNotShared(*this);
}
void* Device::OpenImported(const std::string&) {
  ThrowNotShared(*this);
}
void Device::FreeExported(void*) {
  ThrowNotShared(*this);
}
void Device::CloseImported(void*) {
  ThrowNotShared(*this);
}
void Device::WriteValue(Stream, void*, uint64_t, int) {
  ThrowNotShared(*this);
}
void Device::WaitValue(Stream, void*, uint64_t, int) {
  ThrowNotShared(*this);
}
void* Device::AllocateMapped(size_t, void**) {
  ThrowNotShared(*this);
}
void Device::FreeMapped(void*) {
  ThrowNotShared(*this);
}
void Device::RequirePeerAccess(const Device&) {
  ThrowNotShared(*this);
}
void ThrowGridTooLarge(const LaunchRequest& request, const DeviceProperties& device,
                       int64_t resident) {
  const int64_t blocks = int64_t{request.grid.x} * request.grid.y * request.grid.z;
  throw Diag({}, "ValueError") << request.name << " meets in T.sync_grid, so that all its "
                               << blocks << " blocks must run at a time; " << device.name
                               << " holds " << resident << " of them"
                               << Help("launch at most " + std::to_string(resident) +
                                       " blocks, each for several tiles");
}

void Device::Zero(void*, size_t, Stream) {
  ThrowNotShared(*this);
}

std::shared_ptr<Device> GetDevice(std::string_view kind, std::string_view arch, int index) {
  Registry& registry = GetRegistry();
  const std::lock_guard lock(registry.mutex);
  const auto factory = registry.factories.find(kind);
  if (factory == registry.factories.end()) {
    std::vector<std::string> kinds;
    for (const auto& [known, unused] : registry.factories) kinds.push_back(known);
    throw Diag({}, "ValueError") << "there is no device of kind '" << kind
                                 << "'; expected one of: " << Join(kinds, ", ");
  }
  auto& device = registry.devices[{std::string(kind), std::string(arch), index}];
  if (device == nullptr) device = factory->second(arch, index);
  return device;
}

int SetCurrentRank(int rank) {
  const int previous = CurrentRank();
  current_rank = rank;
  return previous;
}

int CurrentRank() {
  return current_rank < 0 ? process_rank.load(std::memory_order_relaxed) : current_rank;
}

void SetHostStream(Stream stream) {
  host_stream = stream;
}

Stream HostStream() {
  return host_stream;
}

void SetProcessRank(int rank) {
  process_rank.store(rank, std::memory_order_relaxed);
}

}  // namespace tilescale::runtime
