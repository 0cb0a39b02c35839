// SPDX-License-Identifier: MIT
// T.notify: publishes what the group has done so far and raises a signal. The contract is in
// notify.md.
#include "compiler/ops/common/region.h"
#include "compiler/ops/common/remote.h"

namespace tilescale {
namespace {

using namespace ir;   // NOLINT
using namespace ops;  // NOLINT

TileOp Make(TileOp op) {
  Region sig = SignalArg(op.get(), "signal", "T.notify");
  sig = OnPeer(sig, ExprArg(op.get(), "peer"), "T.notify", op->span);
  if (auto n = AsInt(ExprArg(op.get(), "add")); n && *n == 0) {
    RaiseAt(op->span, "ValueError", "T.notify: add=0 raises no signal");
  }
  Expr add = Cast(ExprArg(op.get(), "add"), sig->buffer->dtype);
  return WithArg(WithArg(WithArg(op, "signal", sig), "add", add), "peer", ffi::Any());
}

// One thread raises it, as a release at system scope that stands for all threads of the group.
Effects EffectsOf(const TileOpObj* op) {
  Effect e = Writes(RegionArg(op, "signal"));
  e.mode = ir::Mode::kAtomic;
  e.by = By::kOne;
  e.order = Order::kRelease;
  e.scope = MemScope::kSys;
  return {e};
}

void Lower(const TileOpObj* op, LowerContext* c) {
  Stmt call = MakeCall("signal.add", {MakeAddr(RegionArg(op, "signal")), ExprArg(op, "add")},
                       op->span, {}, "release.sys");
  c->Emit(MakeIf(Eq(c->tid, MakeConst(0)), call, op->span));
}

const TileOpRegistration kNotify({
    .syntax = {.name = "notify",
               .format = "notify $signal, $add",
               .params = {{"signal", ArgKind::kRegion, 'm'},
                          {"peer", ArgKind::kExpr, 0, "none"},
                          {"add", ArgKind::kExpr}},
               .make = Make},
    .effects = EffectsOf,
    .lowerings = {{.name = "simt", .refuse = RefuseLoneThread, .lower = Lower}},
});

}  // namespace
}  // namespace tilescale
