// SPDX-License-Identifier: MIT
// The simulated machine as its users see it: ranks, memory, streams, launches, reports.
//
// A machine has `ranks` GPUs of one architecture in one process. Everything is queued and runs
// inside `Synchronize`, on the caller's thread, so that one seed and the same host calls give one
// result:
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

class Module;  // a loaded kernel module (sim/module.h)

struct LaunchInfo {
  u32 rank = 0;
  u64 stream = 0;
  std::shared_ptr<Module> module;
  std::string entry;
  std::string name;  // the user's name of the kernel; the entry's if empty
  std::string arch;  // the machine's if empty
  Dim3 grid, block, cluster;
  u64 shared_bytes = 0;
  // Values of the arguments, each in its own bytes; the entry's trampoline reads them by type.
  std::vector<std::vector<u8>> args;
};

class Machine {
 public:
  static Machine& Get();

  // Drops everything (queues, memory, shadow) and starts anew.
  void Configure(const Config& config);
  // Other settings for what comes, memory stays; false if work is queued or runs.
  bool Reconfigure(const Config& config);
  const Config& config() const;
  // From the next launch on a machine at rest: every such launch starts from the seed, so that its
  // schedule does not depend on what ran before.
  void SetSeed(u64 seed);

  // Memory of one rank. The address is directly usable by the host.
  void* Allocate(u32 rank, u64 bytes, const AllocInfo& info);
  // Memory at the same offset of every rank's heap; returns rank 0's address, Peer gives the
  // others.
  void* AllocateSymmetric(u64 bytes, const AllocInfo& info);
  void* Peer(const void* p, u32 from, u32 to) const;
  void Free(void* p);  // of a symmetric allocation: rank 0's address frees all
  void FreeAsync(u32 rank, u64 stream, void* p);  // once the stream has come here
  // Whether p lies in the machine's memory, and the bytes from p to the end of its allocation.
  bool Owns(const void* p) const;
  u64 BytesFrom(const void* p) const;
  void SetName(void* p, const std::string& name, const std::string& type, u32 element_bytes);
  // What the host wrote counts as initialised from now on.
  void MarkInitialized(void* p, u64 bytes);

  // A host tensor outside the arena: copied in now, with its exact bounds; a range inside an
  // earlier import shares it. What kernels change is copied back when the stream is synchronised,
  // which also ends the import.
  void* Import(u32 rank, u64 stream, void* host, u64 bytes, const AllocInfo& info);

  // A module from the bytes of a shared object (sim/compile.h). It must outlive its launches.
  std::shared_ptr<Module> Load(std::string_view binary);

  // Queued, in order, per (rank, stream). Throw Diag for a launch that cannot run.
  void Launch(LaunchInfo launch);
  u64 RecordEvent(u32 rank, u64 stream);
  void WaitEvent(u32 rank, u64 stream, u64 event);
  double EventSeconds(u64 event) const;  // host time of its completion
  void DropEvent(u64 event);

  // Run what is queued, on this thread, until the work asked for is done; streams and ranks advance
  // together. The machine is clean after a report: all queued work of all ranks is dropped, and
  // every thread that waits gets the report.
  Report Synchronize();
  Report Synchronize(u32 rank, u64 stream);
  Report SynchronizeEvent(u64 event);

  Statistics TakeStatistics();
  std::vector<OlderValue> TakeOlderValues();

 private:
  Machine();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tilescale::sim
