// SPDX-License-Identifier: MIT
// T.notify: publishes what the group has done so far and raises a signal. The contract is in
// notify.md.
#include "compiler/ops/common/region.h"
#include "compiler/ops/common/remote.h"
#include "compiler/target/constants.h"

namespace tilescale {
namespace {

using namespace ir;   // NOLINT
using namespace ops;  // NOLINT

// One block at gpu scope is what T.arrive_barrier_gpu is.
std::string NameOf(const TileOpObj* op) {
  if (SyntaxOf(op).participants != Participants::kGroup || StringArg(op, "op") == "set") {
    return "T.signal_op";
  }
  return StringArg(op, "scope") == "gpu" ? "T.arrive_barrier_gpu" : "T.notify";
}

TileOp Make(TileOp op) {
  std::string what = NameOf(op.get());
  Region sig = SignalArg(op.get(), "signal", what);
  sig = OnPeer(sig, ExprArg(op.get(), "peer"), what, op->span);
  bool adds = StringArg(op.get(), "op") == "add";
  if (auto n = AsInt(ExprArg(op.get(), "add")); n && *n == 0 && adds) {
    RaiseAt(op->span, "ValueError", what, ": add=0 raises no signal");
  }
  Expr add = Cast(ExprArg(op.get(), "add"), sig->buffer->dtype);
  return WithArg(WithArg(WithArg(op, "signal", sig), "add", add), "peer", ffi::Any());
}

// One thread raises it, as a release that stands for all threads of the group or the warp.
Effects EffectsOf(const TileOpObj* op) {
  Effect e = Writes(RegionArg(op, "signal"));
  e.mode = ir::Mode::kAtomic;
  e.by = SyntaxOf(op).participants == Participants::kGroup ? By::kOne : By::kThread;
  e.order = Order::kRelease;
  e.scope = StringArg(op, "scope") == "gpu" ? MemScope::kGpu : MemScope::kSys;
  return {e};
}

Stmt Update(const TileOpObj* op, const char* add, const char* set) {
  Region signal = RegionArg(op, "signal");
  return GuardedCall(signal, MakeCall(StringArg(op, "op") == "add" ? add : set,
                                      {MakeAddr(signal), ExprArg(op, "add")}, op->span, {},
                                      "release." + StringArg(op, "scope")));
}

void LowerByGroup(const TileOpObj* op, LowerContext* c) {
  c->Emit(MakeIf(Eq(c->tid, MakeConst(0)), Update(op, "signal.add", "signal.set"), op->span));
}

// The warp's barrier gathers what its lanes did.
void LowerByWarp(const TileOpObj* op, LowerContext* c) {
  c->Emit(MakeCall("warp.sync", {MakeConst(target::kAllLanes, UInt(32))}, op->span));
  c->Emit(MakeIf(Eq(MakeOp(OpCode::kLaneId, {}, Int(32)), MakeConst(0)),
                 Update(op, "red.add", "st.strong"), op->span));
}

void LowerByThread(const TileOpObj* op, LowerContext* c) {
  c->Emit(Update(op, "red.add", "st.strong"));
}

std::optional<std::string> Never(const TileOpObj*, const OpContext&) {
  return std::nullopt;
}

TileOpDef Notify(const char* name, const char* format, const char* spelled, Participants who,
                 Lowering lowering) {
  return {.syntax = {.name = name,
                     .format = format,
                     .params = {{"signal", ArgKind::kRegion, 'm'},
                                {"peer", ArgKind::kExpr, 0, "none"},
                                {"add", ArgKind::kExpr},
                                {"op", ArgKind::kString, 0, "add"},
                                {"scope", ArgKind::kString, 0, "sys"}},
                     .spelled = spelled,
                     .participants = who,
                     .make = Make},
          .effects = EffectsOf,
          .lowerings = {lowering}};
}

const TileOpRegistration kNotify(
    Notify("notify", "notify $signal, $add", "notify", Participants::kGroup,
           {.name = "simt", .refuse = RefuseLoneThread, .lower = LowerByGroup}));
const TileOpRegistration kByWarp(Notify("warp_notify", "warp_notify $signal, $add",
                                        "putmem_signal_warp", Participants::kWarp,
                                        {.name = "simt", .refuse = Never, .lower = LowerByWarp}));
const TileOpRegistration kByThread(
    Notify("thread_notify", "thread_notify $signal, $add", "signal_op", Participants::kThread,
           {.name = "simt", .refuse = Never, .lower = LowerByThread}));

}  // namespace
}  // namespace tilescale
