// SPDX-License-Identifier: MIT
// T.atomic_add, atomic_max, atomic_min on a tile. The contract is in atomic.md. Atomics on one
// element are Calls (compiler/ir/builder_call.cc).
#include "compiler/ir/diag.h"
#include "compiler/ops/common/nest.h"
#include "compiler/ops/common/region.h"
#include "compiler/ops/common/remote.h"
#include "compiler/ops/tile_op.h"

#include <algorithm>
#include <cmath>

namespace tilescale {
namespace {

using namespace ir;   // NOLINT
using namespace ops;  // NOLINT

// `value` is a tile or one scalar.
Region ValueTile(const TileOpObj* op) {
  auto region = op->args[SyntaxOf(op).Find("value")].as<Region>();
  return region ? *region : Region();
}

void CheckType(const std::string& kind, DataType t, const Span& span) {
  bool wide = t.bits == 32 || t.bits == 64;
  bool plain = t.code == kDLFloat || t.code == kDLBfloat;
  if (IsInteger(t) ? wide : plain && t.bits >= 16) return;
  RaiseAt(span, "TypeError", "T.atomic_", kind, " of ", LanguageName(t), " is not supported");
}

TileOp Make(TileOp op) {
  std::string kind = StringArg(op.get(), "op"), order = StringArg(op.get(), "memory_order");
  std::string name = "atomic_" + kind;
  if (kind != "add" && kind != "max" && kind != "min") {
    RaiseAt(op->span, "ValueError", "T.", name,
            " is not available on tiles; expected add, max or min");
  }
  constexpr const char* kOrders[] = {"",        "relaxed", "consume", "acquire",
                                     "release", "acq_rel", "seq_cst"};
  if (std::find(std::begin(kOrders), std::end(kOrders), order) == std::end(kOrders)) {
    RaiseAt(
        op->span, "ValueError", name, " does not support memory_order='", order,
        "'; expected one of ['relaxed', 'consume', 'acquire', 'release', 'acq_rel', 'seq_cst']");
  }
  Region dst = RegionArg(op.get(), "dst"), value = ValueTile(op.get());
  Space space = dst->buffer->space();
  if (space != Space::kGlobal && space != Space::kShared) {
    RaiseAt(op->span, "ValueError", "T.", name,
            " needs a destination in global or shared memory, `", dst->buffer->name,
            "` is in registers");
  }
  CheckType(kind, dst->buffer->dtype, op->span);
  if (value.defined()) {
    Reconcile(name.c_str(), &value, &dst, op->span);
    op = WithArg(op, "value", value);
  } else {
    dst = WholeWhereUnknown(dst);
  }
  dst = OnPeer(dst, ExprArg(op.get(), "dst_pe"), "T." + name, op->span);
  return WithArg(WithArg(op, "dst", dst), "dst_pe", ffi::Any());
}

Effects EffectsOf(const TileOpObj* op) {
  Effect update = Writes(RegionArg(op, "dst"));
  update.mode = ir::Mode::kAtomic;
  update.order = Order::kRelaxed;
  update.scope = update.region->buffer->space() == Space::kShared ? MemScope::kCta
                 : IsRemote(update.region)                        ? MemScope::kSys
                                                                  : MemScope::kGpu;
  Effects effects = {update};
  if (Region value = ValueTile(op); value.defined()) effects.push_back(Reads(value));
  return effects;
}

void Evaluate(const TileOpObj* op, EvalContext* eval) {
  Region dst = RegionArg(op, "dst"), value = ValueTile(op);
  std::string kind = StringArg(op, "op");
  std::vector<int64_t> to = eval->Extents(dst), from, walked;
  if (value.defined()) from = eval->Extents(value);
  for (int64_t e : to) {
    if (e != 1) walked.push_back(e);
  }
  // Coordinates of the walked dims, in order, on one side.
  auto place = [](const std::vector<int64_t>& extents, const std::vector<int64_t>& point) {
    std::vector<int64_t> at(extents.size(), 0);
    size_t next = 0;
    for (size_t d = 0; d < extents.size(); ++d) {
      if (extents[d] != 1) at[d] = point[next++];
    }
    return at;
  };
  ForEachPoint(walked, [&](const std::vector<int64_t>& point) {
    Real x = value.defined() ? eval->Read(value, place(from, point))
                             : eval->Scalar(ExprArg(op, "value"));
    std::vector<int64_t> at = place(to, point);
    Real old = eval->Read(dst, at);
    eval->Write(dst, at,
                kind == "add"   ? old + x
                : kind == "max" ? std::fmax(old, x)
                                : std::fmin(old, x));
  });
}

Stmt Nest(const TileOpObj* op) {
  Region dst = RegionArg(op, "dst"), value = ValueTile(op);
  std::vector<Expr> extents = ExtentsOf(dst);
  if (extents.empty()) extents.push_back(MakeConst(1));
  std::vector<Var> vars = NestVars(static_cast<int>(extents.size()));
  std::vector<Expr> point(vars.begin(), vars.end());
  // The machine has no consume; seq_cst is a fence and then an acquire (the mapping of PTX's
  // model).
  std::string order = StringArg(op, "memory_order");
  bool fence = order == "seq_cst";
  if (order.empty()) order = "relaxed";
  if (order == "consume" || fence) order = "acquire";
  std::string scope = dst->buffer->space() == Space::kShared ? "cta"
                      : IsRemote(dst)                        ? "sys"
                                                             : "gpu";
  Expr x = Cast(value.defined() ? LoadAt(value, point) : ExprArg(op, "value"), dst->buffer->dtype);
  // `red` reads nothing that an acquire could order behind.
  const bool atom = order == "acquire" || order == "acq_rel";
  std::vector<Expr> old;
  if (atom) old.push_back(MakeVar("old", x.dtype()));
  Stmt body =
      MakeCall((atom ? "atom." : "red.") + StringArg(op, "op"),
               {MakeAddr(dst->buffer, IndexAt(dst, point)), x}, op->span, old, order + "." + scope);
  if (fence) body = MakeSeq({MakeCall("fence.sc", {}, op->span, {}, scope), body});
  // Elements that are outside either tensor are left alone.
  Expr guard = GuardAt(dst, point);
  if (value.defined()) guard = And(guard, GuardAt(value, point));
  if (guard.defined()) body = MakeIf(guard, body, op->span);
  Stmt nest = MakeParallel(vars, extents, body, op->span);
  auto out = CopyNode(nest.as<ParallelObj>());
  out->label = op->label;
  return Stmt(out);
}

std::optional<std::string> RefuseBulk(const TileOpObj* op, const OpContext&) {
  if (!BoolArg(op, "use_tma")) return "use_tma is not set";
  return "no lowering to it yet";
}

std::optional<std::string> RefuseSimt(const TileOpObj* op, const OpContext&) {
  if (BoolArg(op, "use_tma")) return "use_tma=True";
  return std::nullopt;
}

const TileOpRegistration kAtomic({
    .syntax = {.name = "atomic",
               .format = "atomic $op $dst, $value",
               .params = {{"op", ArgKind::kString},
                          {"dst", ArgKind::kRegion, 'm'},
                          {"value", ArgKind::kExpr, 'r'},
                          {"memory_order", ArgKind::kString, 0, "none"},
                          {"use_tma", ArgKind::kBool, 0, "false"},
                          {"dst_pe", ArgKind::kExpr, 0, "none"}},
               .spelled = "atomic_{op}",
               .make = Make},
    .effects = EffectsOf,
    .evaluate = Evaluate,
    .lowerings = {{.name = "bulk", .refuse = RefuseBulk},
                  {.name = "simt", .refuse = RefuseSimt, .nest = Nest}},
});

}  // namespace
}  // namespace tilescale
