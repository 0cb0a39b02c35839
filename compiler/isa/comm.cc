// SPDX-License-Identifier: MIT
// Communication between ranks: moves, signals, waits. The text of a Call is "<sem>.<scope>". A
// signal row is issued by one thread for all of its group: InsertSync orders what the group did
// before a release, and what it does behind an acquire.
#include "compiler/isa/instr.h"

namespace tilescale::isa {
namespace {

Instr Signal(const std::string& name, const std::string& header, const std::string& function,
             ir::Order order) {
  Instr r;
  r.name = name;
  r.header = header;
  r.function = function;
  r.effects = {{0, ir::Mode::kAtomic}};
  r.issue = Issue::kOne;
  r.order = order;
  r.scope = ir::MemScope::kSys;
  r.text_is_template = true;
  return r;
}

std::vector<Instr> Rows() {
  std::vector<Instr> out;
  // unroll, destination, source, count, lane, lanes
  for (bool nbi : {false, true}) {
    for (bool bytes : {false, true}) {
      Instr copy;
      copy.name = std::string("comm.copy") + (bytes ? "_bytes" : "") + (nbi ? "_nbi" : "");
      copy.header = "comm/distributed.cuh";
      copy.function = nbi ? "ts::comm::copy_run_nbi" : "ts::comm::copy_run";
      ir::Done done = nbi ? ir::Done::kQuiet : ir::Done::kProgram;
      copy.effects = {{1, ir::Mode::kWrite, ir::Proxy::kGeneric, done},
                      {2, ir::Mode::kRead, ir::Proxy::kGeneric, done}};
      copy.issue = Issue::kGroup;
      copy.template_args = 1;
      if (bytes) copy.casts = {"ts::u8*", "const ts::u8*"};
      out.push_back(copy);
    }
  }
  Instr quiet;
  quiet.name = "comm.quiet";
  quiet.header = "ptx/nbi.cuh";
  quiet.function = "ts::ptx::quiet";
  quiet.sync = SyncKind::kFence;
  quiet.order = ir::Order::kAcqRel;
  quiet.scope = ir::MemScope::kSys;
  quiet.completes_nbi = true;
  out.push_back(quiet);
  out.push_back(Signal("signal.add", "ptx/atomic.cuh", "ts::ptx::red_add", ir::Order::kRelease));
  out.push_back(Signal("signal.set", "ptx/ldst.cuh", "ts::ptx::st", ir::Order::kRelease));
  out.push_back(Signal("signal.wait", "comm/sync.cuh", "ts::comm::wait_ge", ir::Order::kAcquire));
  for (const char* relation : {"eq", "ne", "ge", "le", "gt", "lt"}) {
    Instr r = Signal(std::string("wait.") + relation, "comm/sync.cuh",
                     std::string("ts::comm::wait_") + relation, ir::Order::kAcquire);
    r.issue = Issue::kThread;
    out.push_back(r);
  }
  for (bool publish : {true, false}) {
    Instr r;
    r.name = publish ? "comm.barrier_blocks" : "comm.sync_blocks";
    r.header = "comm/sync.cuh";
    r.function = std::string("ts::comm::barrier_blocks<") + (publish ? "true>" : "false>");
    r.effects = {{0, ir::Mode::kAtomic}};
    r.issue = Issue::kGroup;
    r.order = publish ? ir::Order::kAcqRel : ir::Order::kRelaxed;
    r.scope = ir::MemScope::kSys;
    r.sync = SyncKind::kCtaBarrier;
    r.convergent = true;
    r.needs_heap = true;
    out.push_back(r);
  }
  for (bool warp : {true, false}) {
    Instr r;
    r.name = warp ? "comm.barrier_warp" : "comm.barrier_thread";
    r.header = "comm/sync.cuh";
    r.function = warp ? "ts::comm::barrier_warp" : "ts::comm::barrier_thread";
    r.effects = {{0, ir::Mode::kAtomic}};
    r.issue = warp ? Issue::kWarp : Issue::kThread;
    r.order = ir::Order::kAcqRel;
    r.scope = ir::MemScope::kSys;
    r.convergent = warp;
    r.needs_heap = true;
    out.push_back(r);
  }
  return out;
}

const Registration kRows(Rows());

}  // namespace
}  // namespace tilescale::isa
