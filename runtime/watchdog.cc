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

  WatchedModule(std::shared_ptr<Device> d, std::string k, int r)
      : device(std::move(d)), kernel(std::move(k)), rank(r), since(kRecords) {
    records = static_cast<WaitRecord*>(device->AllocateMapped(
        kRecords * sizeof(WaitRecord), reinterpret_cast<void**>(&on_device)));
  }
  ~WatchedModule() { device->FreeMapped(records); }
  WatchedModule(const WatchedModule&) = delete;
  WatchedModule& operator=(const WatchedModule&) = delete;

  std::string Where() const {
    return (rank < 0 ? "GPU " + std::to_string(device->tensor_device().device_id)
                     : "rank " + std::to_string(rank));
  }

  std::shared_ptr<Device> device;
  std::string kernel;
  int rank;
  WaitRecord* records;
  WaitRecord* on_device = nullptr;

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

uint64_t Read(const uint64_t& word) {
  return std::atomic_ref(const_cast<uint64_t&>(word)).load(std::memory_order_acquire);
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
  std::string kernel, where;  // of the last launch
  uint64_t launches = 0;
  uint64_t marked = 0;  // launches before the event
  Event event = nullptr;
  bool pending = false;  // the event has not completed
  bool told = false;     // that it does not end
  Clock::time_point since;
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
    if (abort_ == nullptr) {
      void* on_device = nullptr;
      abort_ = static_cast<uint32_t*>(device->AllocateMapped(sizeof(uint32_t), &on_device));
    }
    auto module = std::make_shared<WatchedModule>(device, kernel, rank);
    std::erase_if(modules_, [](const auto& m) { return m.expired(); });
    modules_.push_back(module);
    if (device->tensor_device().device_type == kDLCUDA) StartThread();
    return module;
  }

  // One word for all GPUs: what is mapped has one address for host and GPUs (CUDA programming
  // guide, "Unified Virtual Address Space").
  const uint32_t* abort_word() const { return abort_; }

  void Launched(const WatchedModule& module, Stream stream) {
    const std::lock_guard lock(mutex_);
    Tracked& t = streams_[{module.device.get(), stream}];
    if (t.device == nullptr) t.device = module.device;
    if (t.kernel != module.kernel) t.kernel = module.kernel;
    if (t.launches++ == 0 || t.where.empty()) t.where = module.Where();
  }

  void Forget(const Device& device, Stream stream) {
    const std::lock_guard lock(mutex_);
    const auto found = streams_.find({&device, stream});
    if (found == streams_.end()) return;
    if (found->second.event != nullptr) found->second.device->DestroyEvent(found->second.event);
    streams_.erase(found);
  }

  void Raise() {
    if (!aborted_.load()) return;
    std::unique_lock lock(mutex_);
    if (report_.empty()) return;
    if (!running_) {
      Reset();  // the simulator's kernels have ended
    } else {
      ended_.wait_for(lock, kPatience, [&] { return !aborted_.load(); });
    }
    throw Diag({}, "Deadlock") << std::exchange(report_, "");
  }

  int64_t Count() {
    const std::lock_guard lock(mutex_);
    int64_t count = 0;
    for (const auto& m : Modules()) {
      for (uint32_t i = 0; i < WatchedModule::kRecords; ++i) {
        count += Read(m->records[i].ticket) != 0 ? 1 : 0;
      }
    }
    return count;
  }

  void Abort() {
    const std::lock_guard lock(mutex_);
    if (abort_ == nullptr) {
      throw Diag({}, "RuntimeError")
          << "no kernel of this process is watched"
          << Help("set TILESCALE_WATCHDOG, for example to 5s, before the kernels are compiled");
    }
    Give("deadlock: the host has ended the waits of all kernels");
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
      }
    }
  }

  void Tick() {
    const Clock::time_point now = Clock::now();
    bool waiting = false;
    bool hung = false;
    // A little early: what is promised is that the report comes within the limit.
    const auto limit = limit_.load() * 9 / 10;
    for (const auto& m : Modules()) {
      for (uint32_t i = 0; i < WatchedModule::kRecords; ++i) {
        const uint64_t ticket = Read(m->records[i].ticket);
        if (ticket != m->since[i].ticket) m->since[i] = {ticket, now};
        if (ticket == 0) continue;
        waiting = true;
        hung |= now - m->since[i].time >= limit;
      }
    }
    const bool busy = LookAtStreams(now);
    if (aborted_.load()) {
      FollowAbort(now, waiting || busy);
    } else if (hung) {
      Give("deadlock: a wait has lasted " + knobs::Watchdog() + " (TILESCALE_WATCHDOG)");
    } else {
      TellOfSpinning(now, limit);
    }
  }

  // Whether what was launched has not ended on some stream.
  bool LookAtStreams(Clock::time_point now) {
    bool busy = false;
    for (auto& [key, t] : streams_) {
      if (t.pending && t.device->IsDone(t.event)) t.pending = t.told = false;
      if (!t.pending && t.marked != t.launches && !t.device->IsCapturing(key.second)) {
        if (t.event == nullptr) t.event = t.device->CreateEvent();
        t.device->RecordEvent(t.event, key.second);
        t.marked = t.launches;
        t.pending = true;
        t.since = now;
      }
      busy |= t.pending;
    }
    return busy;
  }

  void FollowAbort(Clock::time_point now, bool busy) {
    if (!busy) {
      Reset();
      ended_.notify_all();
    } else if (!told_ && now - aborted_at_ >= kPatience) {
      told_ = true;
      for (const auto& [key, t] : streams_) {
        if (!t.pending) continue;
        Print("the kernel `" + t.kernel + "` of " + t.where +
              " does not end: a thread of it loops in code of its own, or waits for one that has "
              "ended; its GPU is not freed");
      }
    }
  }

  void TellOfSpinning(Clock::time_point now, Milliseconds limit) {
    for (auto& [key, t] : streams_) {
      if (!t.pending || t.told || now - t.since < limit) continue;
      t.told = true;
      Print("the kernel `" + t.kernel + "` of " + t.where + " has not ended for " +
            knobs::Watchdog() +
            ", and none of its threads is in a wait of this library: it computes, loops in code of "
            "its own, or its stream waits for something; its GPU is not freed");
    }
  }

  // Makes the report, then ends the waits.
  void Give(std::string text) {
    if (aborted_.load()) return;
    report_ = std::move(text) + Waits() + Ranks();
    aborted_at_ = Clock::now();
    told_ = false;
    aborted_ = true;
    std::atomic_ref(*abort_).store(1);
    if (running_) Print(report_);
  }

  void Reset() {
    std::atomic_ref(*abort_).store(0);
    aborted_ = false;
  }

  std::vector<std::shared_ptr<WatchedModule>> Modules() const {
    std::vector<std::shared_ptr<WatchedModule>> all;
    for (const auto& weak : modules_) {
      if (auto m = weak.lock()) all.push_back(std::move(m));
    }
    return all;
  }

  // As the simulator says it: threads of one block at one line that wait for one word are a group.
  std::string Waits() const {
    struct Group {
      uint64_t count = 0;
      std::string first;
    };
    std::map<std::string, Group> groups;
    for (const auto& m : Modules()) {
      for (uint32_t i = 0; i < WatchedModule::kRecords; ++i) {
        WaitRecord r = m->records[i];
        if (r.ticket == 0) continue;
        r.what[sizeof r.what - 1] = r.file[sizeof r.file - 1] = '\0';
        const std::string word =
            NameOfSymmetric(reinterpret_cast<const void*>(static_cast<uintptr_t>(r.address)));
        const std::string text = m->Where() + " CTA (" + std::to_string(r.block[0]) + "," +
                                 std::to_string(r.block[1]) + "," + std::to_string(r.block[2]) +
                                 ") at " + FileName(r) + ":" + std::to_string(r.line) + ": " +
                                 r.what + ": " + word + " is " + Number(r.seen, r.is_signed != 0) +
                                 ", waits for " + Wanted(r);
        Group& g = groups[text];
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
    if (groups.empty()) text = "\n    no thread waits";
    return text;
  }

  // Where the ranks of this process stand, of which one has not done what the others wait for.
  std::string Ranks() const {
    std::set<std::string> waits;
    for (const auto& m : Modules()) {
      for (uint32_t i = 0; i < WatchedModule::kRecords; ++i) {
        if (Read(m->records[i].ticket) != 0) waits.insert(m->Where());
      }
    }
    std::string text;
    for (const auto& [key, t] : streams_) {
      if (waits.count(t.where) != 0) continue;
      text += "\n    " + t.where + ": `" + t.kernel + "`, its last launch, " +
              (t.pending ? "runs, and none of its threads waits" : "has ended");
    }
    return text;
  }

  static void Print(const std::string& text) {
    std::fprintf(stderr, "tilescale watchdog: %s\n", text.c_str());
    std::fflush(stderr);
  }

  std::mutex mutex_;
  std::condition_variable ended_;
  std::thread thread_;
  std::atomic<bool> stop_ = false, aborted_ = false;
  std::atomic<Milliseconds> limit_{};
  bool running_ = false;
  bool told_ = false;  // that a kernel does not end
  uint32_t* abort_ = nullptr;
  Clock::time_point aborted_at_;
  std::string report_;  // until it is raised
  std::vector<std::weak_ptr<WatchedModule>> modules_;
  std::map<std::pair<const Device*, Stream>, Tracked> streams_;
};

}  // namespace

std::shared_ptr<WatchedModule> WatchModule(const std::shared_ptr<Device>& device, Module& module,
                                           const std::string& kernel, int rank) {
  if (knobs::Watchdog().empty()) return nullptr;
  auto watched = Watchdog::Get().Add(device, kernel, rank);
  const WatchTable table{Watchdog::Get().abort_word(), watched->on_device, WatchedModule::kRecords,
                         0};
  return module.SetConstant("ts_watch", &table, sizeof table) ? watched : nullptr;
}

void NoteLaunch(const WatchedModule& module, Stream stream) {
  if (module.device->tensor_device().device_type != kDLCUDA) return;
  Watchdog::Get().Launched(module, stream);
}

void ForgetStream(const Device& device, Stream stream) {
  Watchdog::Get().Forget(device, stream);
}

void RaiseIfAborted() {
  Watchdog::Get().Raise();
}

int64_t CountWaits() {
  return Watchdog::Get().Count();
}

void AbortWaits() {
  Watchdog::Get().Abort();
}

}  // namespace tilescale::runtime
