// SPDX-License-Identifier: MIT
// Timers, sleep, printing, assertions: twins of ptx/misc.cuh.
#include "sim/collective.h"
#include "sim/core.h"
#include "sim/report.h"

#include <cstdarg>
#include <cstdio>
#include <tilescale/ptx/misc.cuh>

namespace sim = tilescale::sim;

// Time is the machine's count of switches: it passes whenever others run, and depends on the seed
// only.
void ts_sim_nanosleep(ts_u32) {
  TS_SIM_ENTER();
  sim::Yield();
}

ts_u64 ts_sim_globaltimer() {
  TS_SIM_ENTER();
  sim::Yield();
  return sim::core.switches * 32;
}

ts_u64 ts_sim_clock() {
  TS_SIM_ENTER();
  return sim::core.switches * 64 + sim::core.accesses;
}

void ts_sim_trap(const char* message) {
  TS_SIM_ENTER();
  sim::Report r;
  r.kind = "SimulationError";
  r.text = !message   ? std::string("the kernel called trap()")
           : *message ? std::string("device assertion failed: ") + message
                      : std::string("device assertion failed");
  r.text +=
      "\n    by " + sim::NameOf(*sim::current) + " at " + sim::LineOf(sim::current->site).text();
  sim::Fail(std::move(r));
}

void ts_sim_print(const char* format, ...) {
  TS_SIM_ENTER();
  va_list args;
  va_start(args, format);
  std::vfprintf(stdout, format, args);
  va_end(args);
  std::fflush(stdout);
}
