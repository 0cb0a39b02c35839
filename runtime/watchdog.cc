// SPDX-License-Identifier: MIT
#include "runtime/watchdog.h"

#include "runtime/symm/heap.h"
#include "support/diagnostics.h"
#include "support/knobs.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace tilescale::runtime {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

class WatchedModule {
 public:
  static constexpr uint32_t kRecords = 1024;

  // What the device sees: the word that ends its waits, and the records.
  struct Shared {
    uint32_t abort;
    WaitRecord records[kRecords];
  };

  WatchedModule(std::shared_ptr<Device> d, std::string k, int r)
      : device(std::move(d)), kernel(std::move(k)), rank(r), since(kRecords) {
    shared = static_cast<Shared*>(
        device->AllocateMapped(sizeof(Shared), reinterpret_cast<void**>(&on_device)));
  }
  ~WatchedModule() { device->FreeMapped(shared); }
  WatchedModule(const WatchedModule&) = delete;
  WatchedModule& operator=(const WatchedModule&) = delete;

  bool OnGpu() const { return device->tensor_device().device_type == kDLCUDA; }
  std::string Where() const {
    return rank < 0 ? "GPU " + std::to_string(device->tensor_device().device_id)
                    : "rank " + std::to_string(rank);
  }
  uint64_t Ticket(uint32_t i) const {
    return std::atomic_ref(shared->records[i].ticket).load(std::memory_order_acquire);
  }
  bool Waits() const {
    for (uint32_t i = 0; i < kRecords; ++i) {
      if (Ticket(i) != 0) return true;
    }
    return false;
  }
  void Abort(bool abort) const { std::atomic_ref(shared->abort).store(abort ? 1 : 0); }
  // Of threads that will not do it: their context has failed, or their heap is closed.
  void Clear() const {
    Abort(false);
    for (WaitRecord& r : shared->records) std::atomic_ref(r.ticket).store(0);
  }

  std::shared_ptr<Device> device;
  std::string kernel;
  int rank;
  HeapOfWaits heap = nullptr;  // of the last launch
  Shared* shared;
  Shared* on_device = nullptr;

  struct Since {
    uint64_t ticket = 0;
    Clock::time_point time;
  };
  std::vector<Since> since;  // when a record was first seen with its ticket
};

namespace {

constexpr size_t kMaxGroups = 24;
constexpr Milliseconds kPatience{2000};  // for waits to end once they are told to

// "5s" or "500ms"; 0 if the knob is not set.
Milliseconds Limit() {
  const std::string text = knobs::Watchdog();
  if (text.empty()) return Milliseconds(0);
  int64_t number = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string unit = text.substr(static_cast<size_t>(end - text.data()));
  if (status != std::errc() || number <= 0 || (unit != "s" && unit != "ms")) {
    throw Diag({}, "ValueError") << "TILESCALE_WATCHDOG: expected a time such as 5s or 500ms, got '"
                                 << text << "'";
  }
  return Milliseconds(unit == "s" ? number * 1000 : number);
}

std::string Number(uint64_t value, bool is_signed) {
  return is_signed ? std::to_string(static_cast<int64_t>(value)) : std::to_string(value);
}

// What the wait is for, by the name of its device function.
std::string Wanted(const WaitRecord& r) {
  const std::string expected = Number(r.expected, r.is_signed != 0);
  const std::pair<const char*, const char*> relations[] = {
      {"wait_eq", "equal to"}, {"wait_ne", "other than"}, {"wait_ge", "at least"},
      {"wait_le", "at most"},  {"wait_gt", "more than"},  {"wait_lt", "less than"}};
  for (const auto& [name, words] : relations) {
    if (std::strcmp(r.what, name) == 0) return std::string(words) + " " + expected;
  }
  return "the other blocks";
}

std::string FileName(const WaitRecord& r) {
  const char* slash = std::strrchr(r.file, '/');
  return slash == nullptr ? r.file : slash + 1;
}

// A queue that kernels of watched modules were launched on.
struct Tracked {
  std::shared_ptr<Device> device;
  std::string kernel, where;   // of the last launch
  HeapOfWaits heap = nullptr;  // likewise
  uint64_t launches = 0;
  uint64_t marked = 0;  // launches before the event
  Event event = nullptr;
  bool pending = false;  // the event has not completed
  bool told = false;     // that it does not end
  Clock::time_point since;
};

// What was found of one heap's waits.
struct Found {
  std::string report;    // until it is raised
  bool aborted = false;  // its waits are being ended
  bool told = false;     // that a kernel does not end
  bool on_gpu = false;
  Clock::time_point at;
};

class Watchdog {
 public:
  // Never destroyed: modules and streams may outlive static destruction.
  static Watchdog& Get() {
    static auto* watchdog = new Watchdog;
    return *watchdog;
  }

  std::shared_ptr<WatchedModule> Add(const std::shared_ptr<Device>& device,
                                     const std::string& kernel, int rank) {
    const std::lock_guard lock(mutex_);
    limit_ = Limit();
    limit_text_ = knobs::Watchdog();
    auto module = std::make_shared<WatchedModule>(device, kernel, rank);
    std::erase_if(modules_, [](const auto& m) { return m.expired(); });
    modules_.push_back(module);
    if (module->OnGpu()) StartThread();
    return module;
  }

  void Launched(WatchedModule& module, Stream stream, HeapOfWaits heap) {
    const std::lock_guard lock(mutex_);
    module.heap = heap;
    if (!module.OnGpu()) return;
    Tracked& t = streams_[{module.device.get(), stream}];
    if (t.device == nullptr) t.device = module.device;
    if (t.kernel != module.kernel) t.kernel = module.kernel;
    if (t.launches++ == 0 || t.heap != heap) t.where = module.Where();
    t.heap = heap;
  }

  void ForgetStream(const Device& device, Stream stream) {
    const std::lock_guard lock(mutex_);
    const auto found = streams_.find({&device, stream});
    if (found == streams_.end()) return;
    if (found->second.event != nullptr) found->second.device->DestroyEvent(found->second.event);
    streams_.erase(found);
  }

  void ForgetHeap(HeapOfWaits heap) {
    const std::lock_guard lock(mutex_);
    found_.erase(heap);
    for (const auto& m : Modules(heap)) {
      m->Clear();
      m->heap = nullptr;
    }
    for (auto& [key, t] : streams_) {
      if (t.heap == heap) t.heap = nullptr;
    }
  }

  void Raise(HeapOfWaits heap) {
    if (!reports_.load()) return;
    std::unique_lock lock(mutex_);
    const auto it = found_.find(heap);
    if (it == found_.end() || it->second.report.empty()) return;
    if (!it->second.on_gpu) {
      Reset(heap);  // the simulator's kernels have ended
    } else {
      ended_.wait_for(lock, kPatience, [&] { return !found_[heap].aborted; });
    }
    std::string report = std::exchange(found_[heap].report, "");
    reports_ = AnyReport();
    if (!report.empty()) throw Diag({}, "Deadlock") << report;
  }

  void RaiseAny() {
    std::vector<HeapOfWaits> heaps;
    {
      const std::lock_guard lock(mutex_);
      for (const auto& [heap, f] : found_) heaps.push_back(heap);
    }
    for (HeapOfWaits heap : heaps) Raise(heap);
  }

  int64_t Count() {
    const std::lock_guard lock(mutex_);
    int64_t count = 0;
    for (const auto& m : Modules()) {
      for (uint32_t i = 0; i < WatchedModule::kRecords; ++i) count += m->Ticket(i) != 0 ? 1 : 0;
    }
    return count;
  }

  void Abort() {
    const std::lock_guard lock(mutex_);
    std::set<HeapOfWaits> heaps;
    for (const auto& m : Modules()) {
      if (m->Waits()) heaps.insert(m->heap);
    }
    if (Modules().empty()) {
      throw Diag({}, "RuntimeError")
          << "no kernel of this process is watched"
          << Help("set TILESCALE_WATCHDOG, for example to 5s, before the kernels are compiled");
    }
    for (HeapOfWaits heap : heaps)
      Give(heap, "deadlock: the host has ended the waits of all kernels");
  }

 private:
  void StartThread() {
    if (std::exchange(running_, true)) return;
    std::atexit([] {
      Get().stop_ = true;
      Get().thread_.join();
    });
    thread_ = std::thread([this] { Watch(); });
  }

  void Watch() {
    while (!stop_) {
      std::this_thread::sleep_for(
          std::clamp(limit_.load() / 50, Milliseconds(1), Milliseconds(50)));
      const std::lock_guard lock(mutex_);
      try {
        Tick();
      } catch (const std::exception&) {
        // A kernel failed, and the context with it: whoever waits for it is told by the driver.
        streams_.clear();
        for (const auto& m : Modules()) {
          if (m->OnGpu()) m->Clear();
        }
      }
    }
  }

  void Tick() {
    const Clock::time_point now = Clock::now();
    std::set<HeapOfWaits> hung;
    // A little early: what is promised is that the report comes within the limit.
    const auto limit = limit_.load() * 9 / 10;
    for (const auto& m : Modules()) {
      for (uint32_t i = 0; m->OnGpu() && i < WatchedModule::kRecords; ++i) {
        const uint64_t ticket = m->Ticket(i);
        if (ticket != m->since[i].ticket) m->since[i] = {ticket, now};
        if (ticket != 0 && now - m->since[i].time >= limit) hung.insert(m->heap);
      }
    }
    LookAtStreams(now);
    for (HeapOfWaits heap : hung) {
      Give(heap, "deadlock: a wait has lasted " + limit_text_ + " (TILESCALE_WATCHDOG)");
    }
    for (auto& [heap, f] : found_) {
      if (f.aborted && f.on_gpu) FollowAbort(heap, &f, now);
    }
    TellOfSpinning(now, limit);
  }

  void LookAtStreams(Clock::time_point now) {
    for (auto& [key, t] : streams_) {
      if (t.pending && t.device->IsDone(t.event)) t.pending = t.told = false;
      if (!t.pending && t.marked != t.launches && !t.device->IsCapturing(key.second)) {
        if (t.event == nullptr) t.event = t.device->CreateEvent();
        t.device->RecordEvent(t.event, key.second);
        t.marked = t.launches;
        t.pending = true;
        t.since = now;
      }
    }
  }

  void FollowAbort(HeapOfWaits heap, Found* f, Clock::time_point now) {
    bool busy = false;
    for (const auto& m : Modules(heap)) busy |= m->Waits();
    for (const auto& [key, t] : streams_) busy |= t.heap == heap && t.pending;
    if (!busy) {
      Reset(heap);
      ended_.notify_all();
    } else if (!f->told && now - f->at >= kPatience) {
      f->told = true;
      for (auto& [key, t] : streams_) {
        if (t.heap != heap || !t.pending) continue;
        t.told = true;
        Print("the kernel `" + t.kernel + "` of " + t.where +
              " does not end: a thread of it loops in code of its own, or waits for one that has "
              "ended; its GPU is not freed");
      }
    }
  }

  void TellOfSpinning(Clock::time_point now, Milliseconds limit) {
    for (auto& [key, t] : streams_) {
      const auto f = found_.find(t.heap);
      if (f != found_.end() && f->second.aborted) continue;
      if (!t.pending || t.told || now - t.since < limit) continue;
      t.told = true;
      Print("the kernel `" + t.kernel + "` of " + t.where + " has not ended for " + limit_text_ +
            ", and none of its threads is in a wait of this library: it computes, loops in code of "
            "its own, or its stream waits for something; its GPU is not freed");
    }
  }

  // Makes the report, then ends the waits of all ranks.
  void Give(HeapOfWaits heap, std::string text) {
    Found& f = found_[heap];
    if (f.aborted) return;
    f.report = std::move(text) + Waits(heap) + Ranks(heap);
    f.at = Clock::now();
    f.told = f.on_gpu = false;
    f.aborted = true;
    for (const auto& m : Modules(heap)) {
      m->Abort(true);
      f.on_gpu |= m->OnGpu();
    }
    reports_ = true;
    if (f.on_gpu) Print(f.report);
  }

  void Reset(HeapOfWaits heap) {
    for (const auto& m : Modules(heap)) m->Abort(false);
    found_[heap].aborted = false;
  }

  bool AnyReport() const {
    return std::any_of(found_.begin(), found_.end(),
                       [](const auto& f) { return !f.second.report.empty(); });
  }

  std::vector<std::shared_ptr<WatchedModule>> Modules() const {
    std::vector<std::shared_ptr<WatchedModule>> all;
    for (const auto& weak : modules_) {
      if (auto m = weak.lock()) all.push_back(std::move(m));
    }
    return all;
  }
  std::vector<std::shared_ptr<WatchedModule>> Modules(HeapOfWaits heap) const {
    auto all = Modules();
    std::erase_if(all, [heap](const auto& m) { return m->heap != heap; });
    return all;
  }

  // As the simulator says it: threads of one block at one line that wait for one word are a group.
  std::string Waits(HeapOfWaits heap) const {
    struct Group {
      uint64_t count = 0;
      std::string first;
    };
    std::map<std::string, Group> groups;
    for (const auto& m : Modules(heap)) {
      for (WaitRecord r : m->shared->records) {
        if (r.ticket == 0) continue;
        Group& g = groups[Describe(*m, &r)];
        if (g.count++ == 0) {
          g.first = " (first: warp " + std::to_string(r.thread / 32) + " lane " +
                    std::to_string(r.thread % 32) + ")";
        }
      }
    }
    std::string text;
    size_t shown = 0;
    for (const auto& [what, g] : groups) {
      if (shown++ == kMaxGroups) {
        text +=
            "\n    and " + std::to_string(groups.size() - kMaxGroups) + " more groups of threads";
        break;
      }
      text += "\n    " + std::to_string(g.count) + (g.count == 1 ? " thread of " : " threads of ") +
              what + g.first;
    }
    return text;
  }

  static std::string Describe(const WatchedModule& m, WaitRecord* r) {
    r->what[sizeof r->what - 1] = r->file[sizeof r->file - 1] = '\0';
    const std::string word =
        NameOfSymmetric(reinterpret_cast<const void*>(static_cast<uintptr_t>(r->address)));
    return m.Where() + " CTA (" + std::to_string(r->block[0]) + "," + std::to_string(r->block[1]) +
           "," + std::to_string(r->block[2]) + ") at " + FileName(*r) + ":" +
           std::to_string(r->line) + ": " + r->what + ": " + word + " is " +
           Number(r->seen, r->is_signed != 0) + ", waits for " + Wanted(*r);
  }

  // Where the ranks of this process stand, of which one has not done what the others wait for.
  std::string Ranks(HeapOfWaits heap) const {
    std::set<std::string> waits;
    for (const auto& m : Modules(heap)) {
      if (m->Waits()) waits.insert(m->Where());
    }
    std::string text;
    for (const auto& [key, t] : streams_) {
      if (t.heap != heap || waits.count(t.where) != 0) continue;
      text += "\n    " + t.where + ": `" + t.kernel + "`, its last launch, " +
              (t.pending ? "runs, and none of its threads waits" : "has ended");
    }
    return text;
  }

  static void Print(const std::string& text) {
    std::fprintf(stderr, "tilescale watchdog: %s\n", text.c_str());
    std::fflush(stderr);
  }

  // Recursive: to name a word holds its heap, whose end comes here if it was the last to.
  std::recursive_mutex mutex_;
  std::condition_variable_any ended_;
  std::thread thread_;
  std::atomic<bool> stop_ = false, reports_ = false;
  std::atomic<Milliseconds> limit_{};
  std::string limit_text_;  // the knob, when a module was last added
  bool running_ = false;
  std::map<HeapOfWaits, Found> found_;
  std::vector<std::weak_ptr<WatchedModule>> modules_;
  std::map<std::pair<const Device*, Stream>, Tracked> streams_;
};

}  // namespace

std::shared_ptr<WatchedModule> WatchModule(const std::shared_ptr<Device>& device, Module& module,
                                           const std::string& kernel, int rank) {
  if (knobs::Watchdog().empty()) return nullptr;
  auto watched = Watchdog::Get().Add(device, kernel, rank);
  const WatchTable table{&watched->on_device->abort, watched->on_device->records,
                         WatchedModule::kRecords, 0};
  return module.SetConstant("ts_watch", &table, sizeof table) ? watched : nullptr;
}

void NoteLaunch(WatchedModule& module, Stream stream, HeapOfWaits heap) {
  Watchdog::Get().Launched(module, stream, heap);
}

void ForgetWaits(HeapOfWaits heap) {
  Watchdog::Get().ForgetHeap(heap);
}

void ForgetStream(const Device& device, Stream stream) {
  Watchdog::Get().ForgetStream(device, stream);
}

void RaiseIfAborted(HeapOfWaits heap) {
  Watchdog::Get().Raise(heap);
}

void RaiseIfAnyAborted() {
  Watchdog::Get().RaiseAny();
}

int64_t CountWaits() {
  return Watchdog::Get().Count();
}

void AbortWaits() {
  Watchdog::Get().Abort();
}

}  // namespace tilescale::runtime
