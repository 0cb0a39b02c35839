// SPDX-License-Identifier: MIT
// The machine of this process, with what only the process that owns one may ask of it.
#pragma once

#include "sim/machine.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tilescale::sim {

class LocalMachine : public Machine {
 public:
  LocalMachine();
  ~LocalMachine() override;

  void Configure(const Config& config) override;
  bool Reconfigure(const Config& config) override;
  const Config& config() const override;
  void SetSeed(u64 seed) override;

  void* Allocate(u32 rank, u64 bytes, const AllocInfo& info) override;
  void* AllocateSymmetric(u64 bytes, const AllocInfo& info) override;
  void* Peer(const void* p, u32 from, u32 to) const override;
  void* HeapOf(u32 rank) const override;
  void Free(void* p) override;
  void FreeAsync(u32 rank, u64 stream, void* p) override;
  bool Owns(const void* p) const override;
  u64 BytesFrom(const void* p) const override;
  void SetName(void* p, const std::string& name, const std::string& type,
               u32 element_bytes) override;
  void MarkInitialized(void* p, u64 bytes) override;
  void* Import(u32 rank, u64 stream, void* host, u64 bytes, const AllocInfo& info) override;
  std::shared_ptr<KernelModule> Load(std::string_view binary) override;

  void Launch(LaunchInfo launch) override;
  u64 RecordEvent(u32 rank, u64 stream) override;
  void WaitEvent(u32 rank, u64 stream, u64 event) override;
  double EventSeconds(u64 event) const override;
  void DropEvent(u64 event) override;

  Report Synchronize() override;
  Report SynchronizeRank(u32 rank) override;
  Report Synchronize(u32 rank, u64 stream) override;
  Report SynchronizeEvent(u64 event) override;

  Statistics TakeStatistics() override;
  std::vector<OlderValue> TakeOlderValues() override;

  // A host that will drive the rank is on its way: until it waits or departs nothing is a deadlock.
  void Expect(u32 rank);
  // A rank's host is gone. With `death`, what all others are told from now on: work in flight of
  // all ranks is dropped.
  void Depart(u32 rank, const std::string& death);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tilescale::sim
