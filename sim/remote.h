// SPDX-License-Identifier: MIT
// A machine that another process owns: what a program with a process per rank uses. One process
// (the server, sim/server.h) owns the arena, the shadow and the clocks and executes every rank's
// kernels; its data is a memory file that all ranks map at the same address, so symmetric tensors
// are shared memory. A rank's calls of Machine are messages: Request, operands; back comes 1 and
// the results, or 0 and an error's type and text.
#pragma once

#include "sim/machine.h"
#include "support/wire.h"

#include <cstdint>
#include <memory>
#include <string>

namespace tilescale::sim {

enum class Request : u8 {
  kJoin,
  kLeave,
  kOpenHeap,
  kCloseHeap,
  kHeapAllocate,
  kHeapFree,
  kAllocate,
  kFree,
  kFreeAsync,
  kBytesFrom,
  kSetName,
  kMarkInitialized,
  kLoad,
  kUnload,
  kRequire,
  kLaunch,
  kRecordEvent,
  kWaitEvent,
  kEventSeconds,
  kDropEvent,
  kSynchronizeRank,
  kSynchronizeStream,
  kSynchronizeEvent,
  kStatistics,
  kOlderValues,
};

struct JoinInfo {
  std::string address;  // of the server
  u32 rank = 0, ranks = 0;
  std::string program;  // what all ranks run: its name
};

// Makes the server's machine that of this process. Throws Diag: BootstrapError if it cannot be
// reached, or if rank, number of ranks, build or program do not fit what other ranks said.
void Join(const JoinInfo& info);
// The rank that this process joined as; -1: none.
int JoinedRank();
// This process ends in order: the others are not told that it died.
void Leave();

// Waits for launches of this stream that other ranks' kernels take part in, if there are any;
// raises what they ran into. Nothing where the process has not joined.
void SettleStream(u64 stream);

// One request to the server; throws its error. Throws RuntimeError when the server is gone.
Unpacker Ask(const Packer& request);
// For destructors, which have nobody to tell.
void AskQuietly(const Packer& request);

void PutReport(Packer* to, const Report& report);
Report GetReport(Unpacker* from);
void PutInfo(Packer* to, const AllocInfo& info);
AllocInfo GetInfo(Unpacker* from);

}  // namespace tilescale::sim
