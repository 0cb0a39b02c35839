// SPDX-License-Identifier: MIT
// The simulated machine as its users see it: ranks, memory, streams, launches, reports.
//
// A machine has `ranks` GPUs of one architecture. Everything is queued and runs inside
// `Synchronize`, on the caller's thread, so that one seed and the same host calls give one result:
//
//   Machine& m = Machine::Get();
//   m.Configure({.ranks = 2, .arch = "sm_90a", .seed = 7});
//   void* a = m.AllocateSymmetric(4096, {.name = "A", .element_bytes = 4});   // rank 0's address
//   auto module = m.Load(CompileKernel(text).binary);
//   m.Launch({.rank = 0, .module = module, .entry = "put", .grid = {8}, .block = {128}, .args =
//   {..}}); Report r = m.Synchronize(); if (!r.ok()) puts(r.text.c_str());
#pragma once

#include "sim/types.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tilescale::sim {

struct Config {
  u32 ranks = 1;
  std::string arch = "sm_90a";
  u64 seed = 1;
  u32 slots = 0;              // CTAs a rank holds; 0: as the architecture would
  u32 active = 8;             // CTAs of a rank kept running; more start when these all wait
  bool races = true;          // check order (bounds, alignment and deadlock are always checked)
  bool late_copies = true;    // asynchronous bytes move as late as permitted
  bool older_values = true;   // strong loads may return an older value of their word
  bool strict_proxy = false;  // generic reads before asynchronous writes need a proxy fence, too
  bool strict_stores =
      false;                  // equal values that warps of a CTA store by one instruction race, too
  bool peer_access = true;    // peers' memory can be loaded and stored; else: put, get, signals
  u32 hang_ms = 1000;         // a loop without any event for this long is a deadlock
  u32 host_grace_ms = 10000;  // how long a deadlock waits for ranks whose host thread still runs
  u64 shadow_budget = u64{4} << 30;  // bytes of reader lists before they are sampled
};

// With TILESCALE_SIM_SEED, TILESCALE_SIM_SLOTS and the other knobs of the simulator as they are
// now.
Config ConfigFromEnvironment(Config base = {});

// One side of a report.
struct AccessInfo {
  std::string kind;   // "read", "write", "strong write", "asynchronous read"
  std::string scope;  // "", "cta", "cluster", "gpu", "sys"
  std::string agent;  // "" for a thread, else the engine: "cp.async group", "bulk copy", …
  u32 rank = 0;
  Dim3 cta{0, 0, 0};
  int warp = -1, lane = -1;  // -1: not a thread
  std::string file;
  int line = 0;
};

// kind is "" (nothing found), "DataRace", "Deadlock", "OutOfBounds", "UninitializedRead" or
// "MisalignedAccess"; the Python side has an exception class of each name. "SimulationError" is
// what is wrong with the call or the kernel text itself.
struct Report {
  std::string kind;
  std::string text;  // complete, as the exception prints it
  std::string kernel;
  std::string arch;
  u32 ranks = 0;
  u64 seed = 0;
  std::string buffer, space;  // of the memory it is about; index in elements
  long index = 0;
  int owner_rank = -1;
  std::string reason;
  std::vector<AccessInfo> accesses;
  bool interrupted = false;  // by a signal, whose Python error is already set in this thread
  bool ok() const { return kind.empty(); }
};

// A strong load that got an older value than the newest: no fault, but a trace of what it may
// cause.
struct OlderValue {
  std::string place, file;
  int line = 0;
  u64 got = 0, newest = 0;
  u32 rank = 0;
};

struct Statistics {
  u64 accesses = 0, switches = 0, launches = 0, ctas = 0;
  bool sampled = false;  // reader lists went over the budget: some races may have been missed
};

struct AllocInfo {
  std::string name = "buffer";
  u32 element_bytes = 1;
  std::string type = "";     // element type in reports; may be empty
  bool initialized = false;  // host-visible contents: no byte counts as unwritten
};

// A kernel module that a machine has loaded.
class KernelModule {
 public:
  virtual ~KernelModule() = default;
  // Throws Diag if there is no such kernel.
  virtual void Require(const std::string& kernel) const = 0;
  // An object of the text that the host sets; null if it has none of that name, or is another
  // process's.
  virtual void* Constant(const char* /*name*/) const { return nullptr; }
};

struct LaunchInfo {
  u32 rank = 0;
  u64 stream = 0;
  std::shared_ptr<KernelModule> module;
  std::string entry;
  std::string name;  // the user's name of the kernel; the entry's if empty
  std::string arch;  // the machine's if empty
  Dim3 grid, block, cluster;
  u64 shared_bytes = 0;
  // Waits for other ranks: starts when all have launched one, wait, or are late (gang start).
  bool gang = false;
  // Values of the arguments, each in its own bytes; the entry's trampoline reads them by type.
  std::vector<std::vector<u8>> args;
};

class Machine {
 public:
  virtual ~Machine() = default;
  // The machine of this process, or the one that it has joined (sim/remote.h).
  static Machine& Get();
  static Machine& Local();
  // Joins another process's machine: Get gives it from now on. It lives to the end.
  static void Use(std::unique_ptr<Machine> machine);

  // Drops everything (queues, memory, shadow) and starts anew.
  virtual void Configure(const Config& config) = 0;
  // Other settings for what comes, memory stays; false if work is queued or runs.
  virtual bool Reconfigure(const Config& config) = 0;
  virtual const Config& config() const = 0;
  // From the next launch on a machine at rest: every such launch starts from the seed, so that its
  // schedule does not depend on what ran before.
  virtual void SetSeed(u64 seed) = 0;

  // Memory of one rank. The address is directly usable by the host.
  virtual void* Allocate(u32 rank, u64 bytes, const AllocInfo& info) = 0;
  // Memory at the same offset of every rank's heap; returns rank 0's address, Peer gives the
  // others.
  virtual void* AllocateSymmetric(u64 bytes, const AllocInfo& info) = 0;
  virtual void* Peer(const void* p, u32 from, u32 to) const = 0;
  virtual void* HeapOf(u32 rank) const = 0;  // where the rank's symmetric memory begins
  // Once all that is queued on any stream is done; of a symmetric allocation rank 0's address frees
  // all.
  virtual void Free(void* p) = 0;
  virtual void FreeAsync(u32 rank, u64 stream, void* p) = 0;  // once the stream has come here
  // Whether p lies in the machine's memory, and the bytes from p to the end of its allocation.
  virtual bool Owns(const void* p) const = 0;
  virtual u64 BytesFrom(const void* p) const = 0;
  virtual void SetName(void* p, const std::string& name, const std::string& type,
                       u32 element_bytes) = 0;
  // What the host wrote counts as initialised from now on.
  virtual void MarkInitialized(void* p, u64 bytes) = 0;

  // A host tensor outside the arena: copied in now, with its exact bounds; a range inside an
  // earlier import shares it. What kernels change is copied back when the stream is synchronised,
  // which also ends the import.
  virtual void* Import(u32 rank, u64 stream, void* host, u64 bytes, const AllocInfo& info) = 0;

  // A module from the bytes of a shared object (sim/compile.h). It must outlive its launches.
  virtual std::shared_ptr<KernelModule> Load(std::string_view binary) = 0;

  // Queued, in order, per (rank, stream). Throw Diag for a launch that cannot run.
  virtual void Launch(LaunchInfo launch) = 0;
  virtual u64 RecordEvent(u32 rank, u64 stream) = 0;
  virtual void WaitEvent(u32 rank, u64 stream, u64 event) = 0;
  virtual double EventSeconds(u64 event) const = 0;  // host time of its completion
  virtual void DropEvent(u64 event) = 0;

  // Run what is queued, on this thread, until the work asked for is done; streams and ranks advance
  // together. The machine is clean after a report: all queued work of all ranks is dropped, and
  // every host thread gets the report that waits, or when it next waits if it had launched.
  virtual Report Synchronize() = 0;
  virtual Report SynchronizeRank(u32 rank) = 0;
  virtual Report Synchronize(u32 rank, u64 stream) = 0;
  virtual Report SynchronizeEvent(u64 event) = 0;

  virtual Statistics TakeStatistics() = 0;
  virtual std::vector<OlderValue> TakeOlderValues() = 0;
};

}  // namespace tilescale::sim
