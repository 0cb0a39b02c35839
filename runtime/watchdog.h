// SPDX-License-Identifier: MIT
#pragma once

#include "runtime/device.h"

#include <cstdint>
#include <memory>
#include <string>

/// TILESCALE_WATCHDOG: a wait that lasts too long ends its kernel and becomes an error.
///
/// A text that defines TS_WATCHDOG (device/tilescale/sync/watch.cuh) has a table `ts_watch`. Its
/// waits write who waits for what into records, memory of the host, and look at a word there. A
/// thread of the host reads the records. When one lasts too long it makes the report, sets the word
/// and every thread that waits exits. Kernels that loop in code of their own are told of, not
/// ended. On the simulator, which finds deadlocks by itself, only AbortWaits sets the word.
namespace tilescale::runtime {

class SymmetricHeap;

/// ts::WaitRecord.
struct WaitRecord {
  uint64_t ticket;  // 0: free
  uint64_t address, seen, expected;
  uint32_t is_signed;
  uint32_t block[3], thread, line;
  char what[24], file[96];
};

/// ts::WatchTable.
struct WatchTable {
  const uint32_t* abort = nullptr;
  WaitRecord* records = nullptr;
  uint32_t count = 0;
  uint32_t unused = 0;
};

/// The waits of one loaded module, as long as someone holds it.
class WatchedModule;

/// Null unless the module's text is watched. `rank` is -1 where the kernel has none.
std::shared_ptr<WatchedModule> WatchModule(const std::shared_ptr<Device>& device, Module& module,
                                           const std::string& kernel, int rank);

/// Waits are of the symmetric heap that their kernel was launched for, or of none (null): what is
/// found of one concerns no other.
using HeapOfWaits = const SymmetricHeap*;

/// A launch of the module is on the stream.
void NoteLaunch(WatchedModule& module, Stream stream, HeapOfWaits heap);
/// The heap closes: nothing is said of its waits any longer.
void ForgetWaits(HeapOfWaits heap);
/// No launch on this stream is watched any longer: it is about to end.
void ForgetStream(const Device& device, Stream stream);

/// Throws Deadlock if waits of the heap were ended since the last time, once they have.
void RaiseIfAborted(HeapOfWaits heap);
/// The same of any.
void RaiseIfAnyAborted();

/// Threads of watched kernels that are in a wait which lasts.
int64_t CountWaits();

/// Ends all waits of watched kernels of this process that last, with a report of them.
void AbortWaits();

}  // namespace tilescale::runtime
