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

// The place of element `i` of what is loaded.
std::vector<Expr> PlaceOf(const Region& value, int64_t i) {
  std::vector<Expr> at(value->begin.begin(), value->begin.end());
  if (i > 0) at.back() = Add(at.back(), i);
  return at;
}

// One access to `src`; its elements are those of `value` from `first` on.
Stmt Load(const TileOpObj* op, const Region& src, const Region& value, int64_t first) {
  const std::string text = Text(op);
  const int64_t n = NumNeighbours(src);
  DataType type = src->buffer->dtype;
  type.lanes = static_cast<uint16_t>(n);
  Var loaded = MakeVar(std::string(src->buffer->name) + "_ld", type);
  std::string instr = text.starts_with("weak") ? "ld.weak" : "ld.strong";
  if (n > 1) instr += ".v" + std::to_string(n);
  std::vector<Stmt> out = {MakeCall(instr, {MakeAddr(src)}, op->span, {loaded}, text)};
  for (int64_t i = 0; i < n; ++i) {
    Expr element =
        n > 1 ? MakeOp(OpCode::kLane, {loaded, MakeConst(i)}, src->buffer->dtype) : loaded;
    out.push_back(MakeStore(value->buffer, PlaceOf(value, first + i),
                            Cast(element, value->buffer->dtype), op->span));
  }
  return MakeSeq(out);
}

// What is out of range reads as the safe value.
Stmt LoadInRange(const TileOpObj* op, const Region& src, const Region& value, int64_t first) {
  Stmt load = Load(op, src, value, first);
  const Expr guard = WholeGuard(src);
  if (!guard.defined()) return load;
  const int64_t n = NumNeighbours(src);
  std::vector<Stmt> otherwise;
  if (n > 1) {
    for (int64_t i = 0; i < n; ++i) {
      otherwise.push_back(LoadInRange(op, Neighbour(src, i), value, first + i));
    }
  } else {
    Expr safe = src->other.defined() ? src->other : MakeNumber(0, src->buffer->dtype);
    otherwise.push_back(MakeStore(value->buffer, PlaceOf(value, first),
                                  Cast(safe, value->buffer->dtype), op->span));
  }
  return MakeIf(guard, load, op->span, MakeSeq(otherwise));
}

void Lower(const TileOpObj* op, LowerContext* c) {
  const Region src = BindIndices(RegionArg(op, "src"), c);
  c->Emit(LoadInRange(op, src, BindIndices(RegionArg(op, "value"), c), 0));
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
