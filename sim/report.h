// SPDX-License-Identifier: MIT
// Reports: what they say, and how a code position becomes the user's line.
#pragma once

#include "sim/core.h"
#include "sim/machine.h"
#include "sim/module.h"
#include "sim/shadow.h"

#include <string>

namespace tilescale::sim {

// Ends the run with a report. In a fiber it never returns to it; in the scheduler it throws Stop.
struct Stop {};
[[noreturn]] void Fail(Report report);

enum class RaceReason : u8 { kUnordered, kNoProxyFence };
Report RaceReport(const Access& old, u32 lane, const Access& now, Fiber& f, const u8* p,
                  RaceReason reason);
// A race that is found without a pair of cells: an engine used past its time.
Report EngineReport(Fiber& f, const std::string& text, const u8* p);
Report BoundsReport(const u8* p, u64 bytes, u8 flags, Fiber& f);
// An index of a per-thread array.
Report LocalBoundsReport(const LocalArray& array, long index, Fiber& f);
// An operation without a result.
Report FaultReport(const std::string& text, Fiber& f);
Report RankReport(long rank, Fiber& f);
// A load or store of another rank's memory where the transport has none.
Report PeerReport(const u8* p, bool write, Fiber& f);
Report AlignmentReport(const u8* p, u64 bytes, u64 alignment, Fiber& f);
Report DeadlockReport(const std::string& text);
// The machine itself cannot go on.
Report MachineReport(const std::string& text);
Report InterruptReport();  // by a signal of the host
// Deferred: the missing write may come later and unordered, and then the race is the fault.
void NoteUnwritten(Fiber& f, const u8* p);

struct Place {
  std::string text;    // "C[129]"
  std::string detail;  // "float, global memory of rank 0" or "shared memory of CTA (0,0,0), rank 0"
  std::string buffer, space;
  long index = 0;
  int rank = -1;
};
Place PlaceOf(const u8* p);

// "rank 0 CTA (1,0,0) warp 2 lane 3"
std::string NameOf(const Fiber& f);
std::string CtaName(const Cta& c);

struct Line {
  std::string file;
  int line = 0;
  std::string text() const;  // "gemm.py:13", or "an unknown line"
};
// The first frame of the inline chain at this code position that is not of our headers.
Line LineOf(u32 site);

}  // namespace tilescale::sim
