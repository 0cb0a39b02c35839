// SPDX-License-Identifier: MIT
// T.wait on a signal, by the group, and T.wait_eq … T.wait_lt, by each thread. The contract is in
// wait.md.
#include "compiler/ops/common/region.h"
#include "compiler/ops/common/remote.h"

namespace tilescale {
namespace {

using namespace ir;   // NOLINT
using namespace ops;  // NOLINT

// -- T.wait
// -------------------------------------------------------------------------------------------

TileOp MakeWait(TileOp op) {
  bool gpu = StringArg(op.get(), "scope") == "gpu";
  Region sig = SignalArg(op.get(), "signal", gpu ? "T.wait_barrier_gpu" : "T.wait");
  Expr least = Cast(ExprArg(op.get(), "at_least"), sig->buffer->dtype);
  return WithArg(WithArg(op, "signal", sig), "at_least", least);
}

// One thread polls, as an acquire that stands for all threads of the group.
Effects WaitEffects(const TileOpObj* op) {
  Effect e = Reads(RegionArg(op, "signal"));
  e.mode = ir::Mode::kAtomic;
  e.by = By::kOne;
  e.order = Order::kAcquire;
  e.scope = StringArg(op, "scope") == "gpu" ? MemScope::kGpu : MemScope::kSys;
  return {e};
}

void LowerWait(const TileOpObj* op, LowerContext* c) {
  Region signal = RegionArg(op, "signal");
  Stmt call = MakeCall("signal.wait", {MakeAddr(signal), ExprArg(op, "at_least")}, op->span, {},
                       "acquire." + StringArg(op, "scope"));
  c->Emit(MakeIf(Eq(c->tid, MakeConst(0)), GuardedCall(signal, call), op->span));
}

const TileOpRegistration kWait({
    .syntax = {.name = "wait_signal",
               .format = "wait_signal $signal, $at_least",
               .params = {{"signal", ArgKind::kRegion, 'm'},
                          {"at_least", ArgKind::kExpr},
                          {"scope", ArgKind::kString, 0, "sys"}},
               .spelled = "wait",
               .make = MakeWait},
    .effects = WaitEffects,
    .lowerings = {{.name = "simt", .refuse = RefuseLoneThread, .lower = LowerWait}},
});

// -- T.wait_eq … T.wait_lt
// -------------------------------------------------------------------------------------------

std::string Text(const TileOpObj* op) {
  return OrderText(op, "T.wait_" + StringArg(op, "relation"), {"acquire", "volatile", "relaxed"},
                   "['acquire', 'volatile', 'relaxed']");
}

TileOp MakeWaitValue(TileOp op) {
  std::string what = "T.wait_" + StringArg(op.get(), "relation");
  Region place = SignalArg(op.get(), "place", what);
  Text(op.get());
  place = OnPeer(place, ExprArg(op.get(), "peer"), what, op->span);
  Expr expected = Cast(ExprArg(op.get(), "expected"), place->buffer->dtype);
  return WithArg(WithArg(WithArg(op, "place", place), "expected", expected), "peer", ffi::Any());
}

Effects WaitValueEffects(const TileOpObj* op) {
  Effect e = Reads(RegionArg(op, "place"));
  std::string scope = StringArg(op, "scope");
  e.mode = ir::Mode::kAtomic;
  e.order = StringArg(op, "sem") == "acquire" ? Order::kAcquire : Order::kRelaxed;
  e.scope = scope == "cta" ? MemScope::kCta : scope == "gpu" ? MemScope::kGpu : MemScope::kSys;
  return {e, Writes(RegionArg(op, "result"))};
}

std::optional<std::string> Never(const TileOpObj*, const OpContext&) {
  return std::nullopt;
}

void LowerWaitValue(const TileOpObj* op, LowerContext* c) {
  Region place = RegionArg(op, "place"), result = RegionArg(op, "result");
  Var seen = MakeVar(std::string(place->buffer->name) + "_seen", place->buffer->dtype);
  c->Emit(GuardedCall(
      place, MakeCall("wait." + StringArg(op, "relation"),
                      {MakeAddr(place), ExprArg(op, "expected")}, op->span, {seen}, Text(op))));
  c->Emit(MakeStore(result->buffer, {result->begin.begin(), result->begin.end()}, seen, op->span));
}

const TileOpRegistration kWaitValue({
    .syntax = {.name = "wait_value",
               .format = "wait_value $place $relation $expected -> $result",
               .params = {{"place", ArgKind::kRegion, 'm'},
                          {"relation", ArgKind::kString},
                          {"expected", ArgKind::kExpr},
                          {"result", ArgKind::kRegion, 'w'},
                          {"peer", ArgKind::kExpr, 0, "none"},
                          {"scope", ArgKind::kString, 0, "sys"},
                          {"sem", ArgKind::kString, 0, "acquire"}},
               .participants = Participants::kThread,
               .make = MakeWaitValue},
    .effects = WaitValueEffects,
    .lowerings = {{.name = "simt", .refuse = Never, .lower = LowerWaitValue}},
});

}  // namespace
}  // namespace tilescale
