// SPDX-License-Identifier: MIT
// T.st: one element, or neighbours of 16 bytes at most, with the order and scope that the program
// says. The contract is in st.md.
#include "compiler/ops/common/region.h"
#include "compiler/ops/common/remote.h"

namespace tilescale {
namespace {

using namespace ir;   // NOLINT
using namespace ops;  // NOLINT

std::string Text(const TileOpObj* op) {
  return OrderText(op, "T.st", {"weak", "volatile", "release", "relaxed"},
                   "['weak', 'volatile', 'release', 'relaxed']");
}

TileOp Make(TileOp op) {
  Expr value = ExprArg(op.get(), "value");
  const int64_t lanes = value.dtype().lanes;
  Region dst = RegionArg(op.get(), "dst");
  dst = lanes > 1 ? Neighbours(dst, lanes, "T.st", op->span) : OneElement(dst, "T.st", op->span);
  Space space = dst->buffer->space();
  if (space != Space::kGlobal && space != Space::kShared) {
    RaiseAt(op->span, "ValueError", "T.st writes global or shared memory, `", dst->buffer->name,
            "` is in registers");
  }
  if (dst->buffer->dtype.bits < 8) {
    RaiseAt(op->span, "TypeError", "T.st of ", LanguageName(dst->buffer->dtype),
            " is not supported");
  }
  Text(op.get());
  dst = OnPeer(dst, ExprArg(op.get(), "dst_pe"), "T.st", op->span);
  // The access is as wide as the element, whatever the value is.
  DataType type = dst->buffer->dtype;
  type.lanes = static_cast<uint16_t>(lanes);
  value = Cast(value, type);
  return WithArg(WithArg(WithArg(op, "dst", dst), "value", value), "dst_pe", ffi::Any());
}

Effects EffectsOf(const TileOpObj* op) {
  Effect e = Writes(RegionArg(op, "dst"));
  std::string sem = StringArg(op, "sem"), scope = StringArg(op, "scope");
  if (sem != "weak") e.mode = ir::Mode::kAtomic;
  e.order = sem == "weak" ? Order::kWeak : sem == "release" ? Order::kRelease : Order::kRelaxed;
  e.scope = scope == "cta" ? MemScope::kCta : scope == "gpu" ? MemScope::kGpu : MemScope::kSys;
  return {e};
}

std::optional<std::string> Never(const TileOpObj*, const OpContext&) {
  return std::nullopt;
}

Stmt Access(const TileOpObj* op, const Region& dst, const Expr& value) {
  const std::string text = Text(op);
  return MakeCall(text.starts_with("weak") ? "st.weak" : "st.strong", {MakeAddr(dst), value},
                  op->span, {}, text);
}

void Lower(const TileOpObj* op, LowerContext* c) {
  const Region dst = BindIndices(RegionArg(op, "dst"), c);
  const Expr value = ExprArg(op, "value"), guard = WholeGuard(dst);
  const int64_t n = NumNeighbours(dst);
  if (n <= 1 || !guard.defined()) {
    c->Emit(GuardedCall(dst, Access(op, dst, value)));
    return;
  }
  // Of neighbours partly in range, those that are.
  Var vector = MakeVar(std::string(dst->buffer->name) + "_st", value.dtype());
  std::vector<Stmt> each;
  for (int64_t i = 0; i < n; ++i) {
    const Region one = Neighbour(dst, i);
    const Expr element = MakeOp(OpCode::kLane, {vector, MakeConst(i)}, dst->buffer->dtype);
    each.push_back(GuardedCall(one, Access(op, one, element)));
  }
  c->Emit(MakeBind(vector, value, op->span));
  c->Emit(MakeIf(guard, Access(op, dst, vector), op->span, MakeSeq(each)));
}

const TileOpRegistration kSt({
    .syntax = {.name = "st",
               .format = "st $dst, $value",
               .params = {{"dst", ArgKind::kRegion, 'w'},
                          {"value", ArgKind::kExpr},
                          {"scope", ArgKind::kString, 0, "gpu"},
                          {"sem", ArgKind::kString, 0, "weak"},
                          {"na", ArgKind::kBool, 0, "false"},
                          {"dst_pe", ArgKind::kExpr, 0, "none"}},
               .participants = Participants::kThread,
               .make = Make},
    .effects = EffectsOf,
    .lowerings = {{.name = "simt", .refuse = Never, .families = LinearOnly, .lower = Lower}},
});

}  // namespace
}  // namespace tilescale
