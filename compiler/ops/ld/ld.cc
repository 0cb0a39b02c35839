// SPDX-License-Identifier: MIT
// T.ld: one element, or neighbours of 16 bytes at most, with the order and scope that the program
// says. The contract is in ld.md.
#include "compiler/ops/common/region.h"
#include "compiler/ops/common/remote.h"

namespace tilescale {
namespace {

using namespace ir;   // NOLINT
using namespace ops;  // NOLINT

std::string Text(const TileOpObj* op) {
  return OrderText(op, "T.ld", {"weak", "volatile", "acquire", "relaxed"},
                   "['weak', 'volatile', 'acquire', 'relaxed']");
}

TileOp Make(TileOp op) {
  Region src = RegionArg(op.get(), "src"), value = RegionArg(op.get(), "value");
  const int64_t n = NumNeighbours(value);
  if (n > 1) {
    src = Neighbours(src, n, "T.ld", op->span);
  } else {
    src = OneElement(src, "T.ld", op->span);
    value = OneElement(value, "T.ld", op->span);
  }
  Space from = src->buffer->space(), to = value->buffer->space();
  if (from != Space::kGlobal && from != Space::kShared) {
    RaiseAt(op->span, "ValueError", "T.ld reads global or shared memory, `", src->buffer->name,
            "` is in registers");
  }
  if (to != Space::kVar && to != Space::kLocal) {
    RaiseAt(op->span, "ValueError",
            "T.ld loads into a T.alloc_var or an element of T.alloc_local, "
            "`",
            value->buffer->name, "` is neither");
  }
  if (src->buffer->dtype.bits < 8) {
    RaiseAt(op->span, "TypeError", "T.ld of ", LanguageName(src->buffer->dtype),
            " is not supported");
  }
  Text(op.get());
  if (BoolArg(op.get(), "nc") && StringArg(op.get(), "sem") != "weak") {
    RaiseAt(op->span, "ValueError", "T.ld: nc=True is for sem='weak' only");
  }
  src = OnPeer(src, ExprArg(op.get(), "src_pe"), "T.ld", op->span);
  return WithArg(WithArg(WithArg(op, "src", src), "value", value), "src_pe", ffi::Any());
}

Effects EffectsOf(const TileOpObj* op) {
  Effect e = Reads(RegionArg(op, "src"));
  std::string sem = StringArg(op, "sem"), scope = StringArg(op, "scope");
  if (sem != "weak") e.mode = ir::Mode::kAtomic;
  e.order = sem == "weak" ? Order::kWeak : sem == "acquire" ? Order::kAcquire : Order::kRelaxed;
  e.scope = scope == "cta" ? MemScope::kCta : scope == "gpu" ? MemScope::kGpu : MemScope::kSys;
  return {e, Writes(RegionArg(op, "value"))};
}

std::optional<std::string> Never(const TileOpObj*, const OpContext&) {
  return std::nullopt;
}

void Lower(const TileOpObj* op, LowerContext* c) {
  Region src = RegionArg(op, "src"), value = RegionArg(op, "value");
  std::string text = Text(op);
  const int64_t n = NumNeighbours(src);
  DataType type = src->buffer->dtype;
  type.lanes = static_cast<uint16_t>(n);
  Var loaded = MakeVar(std::string(src->buffer->name) + "_ld", type);
  std::string instr = text.starts_with("weak") ? "ld.weak" : "ld.strong";
  if (n > 1) instr += ".v" + std::to_string(n);
  c->Emit(GuardedAccess(src, MakeCall(instr, {MakeAddr(src)}, op->span, {loaded}, text)));
  for (int64_t i = 0; i < n; ++i) {
    std::vector<Expr> at(value->begin.begin(), value->begin.end());
    if (n > 1) at.back() = Add(at.back(), i);
    Expr element =
        n > 1 ? MakeOp(OpCode::kLane, {loaded, MakeConst(i)}, src->buffer->dtype) : loaded;
    c->Emit(MakeStore(value->buffer, at, Cast(element, value->buffer->dtype), op->span));
  }
}

const TileOpRegistration kLd({
    .syntax = {.name = "ld",
               .format = "ld $src -> $value",
               .params = {{"src", ArgKind::kRegion, 'r'},
                          {"value", ArgKind::kRegion, 'w'},
                          {"scope", ArgKind::kString, 0, "gpu"},
                          {"sem", ArgKind::kString, 0, "weak"},
                          {"na", ArgKind::kBool, 0, "false"},
                          {"nc", ArgKind::kBool, 0, "false"},
                          {"src_pe", ArgKind::kExpr, 0, "none"}},
               .participants = Participants::kThread,
               .make = Make},
    .effects = EffectsOf,
    .lowerings = {{.name = "simt", .refuse = Never, .families = LinearOnly, .lower = Lower}},
});

}  // namespace
}  // namespace tilescale
