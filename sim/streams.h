// SPDX-License-Identifier: MIT
// What the machine's streams hold: queued work, events, and memory that comes and goes with them.
#pragma once

#include "sim/core.h"

#include <chrono>
#include <deque>
#include <map>
#include <utility>

namespace tilescale::sim {

using Clock = std::chrono::steady_clock;

struct Item {
  enum class Kind { kLaunch, kRecord, kWait, kFree } kind = Kind::kLaunch;
  LaunchInfo launch;
  Knowledge host;  // what any host thread had synchronised with at enqueue
  u64 event = 0;
  void* address = nullptr;
  Clock::time_point held{};  // a gang launch: since when it waits for the others
};

struct Stream {
  std::deque<Item> queue;
  Knowledge known;    // all its work so far
  bool busy = false;  // a launch of it runs
  bool used = false;  // work that no host thread has synchronised with
  u64 queued = 0;     // items ever
  bool idle() const { return queue.empty() && !busy; }
  u64 done() const { return queued - queue.size() - (busy ? 1 : 0); }
  void Push(Item item) {
    queue.push_back(std::move(item));
    ++queued;
  }
};
using StreamKey = std::pair<u32, u64>;  // rank, stream

// Memory that is freed once the streams have done what they had to do then.
struct Leaving {
  void* address = nullptr;
  std::map<StreamKey, u64> after;
};

struct Event {
  bool done = false;
  Clock::time_point when;
  Knowledge known;
};

}  // namespace tilescale::sim
