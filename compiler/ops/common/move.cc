// SPDX-License-Identifier: MIT
// Moves between ranks: the two ops of each of the three that may issue one, and their lowerings.
#include "compiler/ir/text.h"
#include "compiler/ops/common/nest.h"
#include "compiler/ops/common/region.h"
#include "compiler/ops/common/remote.h"

namespace tilescale::ops {

using namespace ir;  // NOLINT

namespace {

Region WithExtents(const Region& r, std::vector<Expr> extent) {
  auto out = CopyNode(r.get());
  out->extent = ffi::Array<Expr>(extent);
  return Region(out);
}

bool IsRun(const TileOpObj* op) {
  return ExprArg(op, "size").defined();
}

// The name that the user wrote: by bytes the names of NVSHMEM.
std::string NameOf(const TileOpObj* op, bool put) {
  std::string name = std::string("T.") + (put ? "put" : "get");
  bool bytes = BoolArg(op, "bytes");
  if (bytes) name += BoolArg(op, "nbi") ? "mem_nbi" : "mem";
  Participants who = SyntaxOf(op).participants;
  if (who == Participants::kThread) return name;
  if (who == Participants::kWarp) return name + "_warp";
  return bytes || IsRun(op) ? name + "_block" : name;
}

// Elements of a run, in a buffer of these elements.
Expr ElementsOf(const TileOpObj* op, const Buffer& b) {
  Expr size = ExprArg(op, "size");
  int64_t width = b->dtype.bits / 8;
  return BoolArg(op, "bytes") ? FloorDiv(Add(size, width - 1), width) : size;
}

// An operand of a run. The box of a one-dimensional buffer is known; runs across rows have none.
Region RunOf(const TileOpObj* op, const Region& r, const std::string& what) {
  const Buffer& b = r->buffer;
  if (b->space() != Space::kGlobal && b->space() != Space::kShared) {
    RaiseAt(op->span, "ValueError", what, " moves between global and shared memory, `", b->name,
            "` is in registers; T.put and T.get take tiles");
  }
  if (b->dtype.bits < 8) {
    RaiseAt(op->span, "TypeError", what, " of ", LanguageName(b->dtype), " is not supported");
  }
  if (!b->strides.empty()) {
    RaiseAt(op->span, "ValueError", what, " moves consecutive elements, `", b->name,
            "` has strides; T.put and T.get take tiles");
  }
  std::vector<Expr> extent(r->begin.size(), MakeConst(1));
  if (extent.size() == 1) extent[0] = ElementsOf(op, b);
  return WithExtents(r, extent);
}

void CheckRun(const TileOpObj* op, const Region& src, const Region& dst, const std::string& what) {
  bool bytes = BoolArg(op, "bytes");
  if (auto n = AsInt(ExprArg(op, "size")); n && *n < 1) {
    RaiseAt(op->span, "ValueError", what, ": ", bytes ? "nelems" : "size",
            " must be positive, got ", *n);
  }
  if (!bytes && !SameType(src->buffer->dtype, dst->buffer->dtype)) {
    RaiseAt(op->span, "TypeError", what, " moves elements as they are, but `", src->buffer->name,
            "` is ", LanguageName(src->buffer->dtype), " and `", dst->buffer->name, "` is ",
            LanguageName(dst->buffer->dtype));
  }
  int64_t unroll = IntArg(op, "unroll_factor");
  if (unroll < 1 || unroll > 32) {
    RaiseAt(op->span, "ValueError", what, ": unroll_factor must be 1 to 32, got ", unroll);
  }
}

TileOp Make(TileOp op, bool put) {
  Region src = RegionArg(op.get(), "src"), dst = RegionArg(op.get(), "dst");
  std::string what = NameOf(op.get(), put);
  if (IsRun(op.get())) {
    CheckRun(op.get(), src, dst, what);
    src = RunOf(op.get(), src, what);
    dst = RunOf(op.get(), dst, what);
  } else if (SyntaxOf(op.get()).participants != Participants::kGroup) {
    RaiseAt(op->span, "TypeError", what, ": size must not be None");
  } else {
    Reconcile(put ? "put" : "get", &src, &dst, op->span);
  }
  Region& remote = put ? dst : src;
  const char* pe = put ? "dst_pe" : "src_pe";
  remote = OnPeer(remote, ExprArg(op.get(), pe), what, op->span);
  return WithArg(WithArg(WithArg(op, "src", src), "dst", dst), pe, ffi::Any());
}

TileOp MakePut(TileOp op) {
  return Make(std::move(op), true);
}
TileOp MakeGet(TileOp op) {
  return Make(std::move(op), false);
}

Effects EffectsOf(const TileOpObj* op) {
  Done done = BoolArg(op, "nbi") ? Done::kQuiet : Done::kProgram;
  Effect read = Reads(RegionArg(op, "src"), done), write = Writes(RegionArg(op, "dst"), done);
  if (!IsRun(op)) return {read, write};
  for (Effect* e : {&read, &write}) {
    if (e->region->buffer->ndim() == 1) continue;
    auto whole = CopyNode(FullRegion(e->region->buffer).get());
    whole->peer = e->region->peer;
    e->region = Region(whole);
    e->exact = false;
  }
  return {read, write};
}

Stmt TileNest(const TileOpObj* op) {
  auto out =
      CopyNode(CopyNest(RegionArg(op, "src"), RegionArg(op, "dst"), op->span).as<ParallelObj>());
  out->label = op->label;
  return Stmt(out);
}

// Elements of `r` from its begin to the end of its tensor; null for memory on the chip.
Expr ElementsLeft(const Region& r) {
  const Buffer& b = r->buffer;
  if (b->space() != Space::kGlobal) return Expr();
  Expr all = MakeConst(1, Int(64)), at = MakeConst(0, Int(64));
  for (size_t d = 0; d < r->begin.size(); ++d) {
    Expr n = Cast(b->shape[d], Int(64));
    all = Mul(all, n);
    at = Add(Mul(at, n), Cast(r->begin[d], Int(64)));
  }
  return Sub(all, at);
}

// The address of a run: all of it, so that effects see what it touches.
Expr RunAddress(const TileOpObj* op, const Region& r) {
  std::vector<Expr> extent(r->begin.size(), MakeConst(1));
  extent.back() = ElementsOf(op, r->buffer);
  auto out = CopyNode(WithExtents(r, extent).get());
  out->check_lo = out->check_hi = 0;
  return MakeAddr(Region(out));
}

// A ring of pieces in shared memory, each with an mbarrier behind them all. Three loads in flight
// and three stores: 48 KB each way for a block.
constexpr int64_t kPiece = 16384, kStages = 6, kBarrierBytes = 8;
// Below this the threads' own loads and stores are as fast: of a large block, which has 64 KB of
// them in flight, up to a megabyte (measured: benchmarks/RESULTS.md, p2p). Sizes that only the
// launch knows are compared there, with the same number.
int64_t BulkPays(int64_t threads, int64_t unroll) {
  return (threads * unroll * 16 >= 64 << 10 ? 64 : 2) * kPiece;
}

// With `staging` by bulk copies.
void LowerRun(const TileOpObj* op, LowerContext* c, const Expr& lane, int64_t lanes,
              const Region& staging = {}) {
  Region src = RegionArg(op, "src"), dst = RegionArg(op, "dst");
  bool bytes = BoolArg(op, "bytes");
  Expr size = Cast(ExprArg(op, "size"), Int(64)), count = size;
  // Elements behind the end of a tensor are left alone, as everywhere.
  for (const Region& r : {src, dst}) {
    Expr left = ElementsLeft(r);
    if (left.defined() && bytes) left = Mul(left, int64_t{r->buffer->dtype.bits / 8});
    if (left.defined() && !c->analyzer->Prove(Le(size, left))) {
      count = Min(count, left);
      c->Note("`" + std::string(r->buffer->name) + "`: the end of the run is guarded");
    }
  }
  std::string instr = staging.defined() ? "bulk.copy" : "comm.copy";
  if (bytes) instr += "_bytes";
  if (BoolArg(op, "nbi")) instr += "_nbi";
  std::vector<Expr> args = {MakeConst(IntArg(op, "unroll_factor")),
                            RunAddress(op, dst),
                            RunAddress(op, src),
                            c->analyzer->Simplify(count),
                            lane,
                            MakeConst(lanes)};
  if (staging.defined()) {
    int64_t stages = NumElements(staging->buffer) / (kPiece + kBarrierBytes);
    int64_t least = BulkPays(lanes, IntArg(op, "unroll_factor"));
    args.insert(args.begin() + 1, {MakeConst(stages), MakeConst(kPiece), MakeConst(least)});
    args.push_back(MakeAddr(staging));
    c->Note(std::to_string(stages) + " pieces of " + std::to_string(kPiece / 1024) +
            " KB in flight; where an address is no multiple of 16 bytes, the threads move it");
  }
  c->Emit(MakeCall(instr, std::move(args), op->span));
}

// -- bulk copies
// -------------------------------------------------------------------------------------------

std::optional<std::string> RefuseBulk(const TileOpObj* op, const OpContext& c) {
  if (!IsRun(op)) return "no count of elements is given";
  if (!c.target.arch->has_bulk) {
    return std::string("needs bulk copies, which ") + c.target.arch->name + " does not have";
  }
  if (c.options.disable_tma_lower) return "tl.disable_tma_lower is set";
  if (BoolArg(op, "nbi")) return "an nbi copy completes at T.quiet";
  Region src = RegionArg(op, "src"), dst = RegionArg(op, "dst");
  for (const Region& r : {src, dst}) {
    if (r->buffer->space() == Space::kGlobal) continue;
    return "moves between tensors, `" + std::string(r->buffer->name) + "` is in shared memory";
  }
  if (auto n = AsInt(ExprArg(op, "size"))) {
    int64_t bytes = BoolArg(op, "bytes") ? *n : *n * src->buffer->dtype.bits / 8;
    int64_t least = BulkPays(c.threads, IntArg(op, "unroll_factor"));
    if (bytes < least) {
      return std::to_string(bytes) + " bytes: it pays from " + std::to_string(least) + " on";
    }
  }
  return std::nullopt;
}

std::optional<Workspace> Staging(const TileOpObj*, LowerContext* c) {
  int64_t stages = std::min(kStages, c->shared_left / (kPiece + kBarrierBytes));
  if (stages < 2) return std::nullopt;
  return Workspace{UInt(8), stages * (kPiece + kBarrierBytes)};
}

void LowerByGroup(const TileOpObj* op, LowerContext* c) {
  LowerRun(op, c, c->tid, c->threads);
}
void LowerBulk(const TileOpObj* op, LowerContext* c) {
  Region staging = RegionArg(op, "workspace");
  if (!staging.defined()) c->Note("by the threads: the block's shared memory has no room");
  LowerRun(op, c, c->tid, c->threads, staging);
}
void LowerByWarp(const TileOpObj* op, LowerContext* c) {
  LowerRun(op, c, MakeOp(OpCode::kLaneId, {}, Int(32)), target::kWarpSize);
}
void LowerByThread(const TileOpObj* op, LowerContext* c) {
  LowerRun(op, c, MakeConst(0), 1);
}

std::optional<std::string> RefuseTile(const TileOpObj* op, const OpContext&) {
  if (IsRun(op)) return "a count of elements is given";
  return std::nullopt;
}
std::optional<std::string> RefuseRun(const TileOpObj* op, const OpContext&) {
  if (!IsRun(op)) return "no count of elements is given";
  return std::nullopt;
}

TileOpDef Move(const char* name, const char* format, const char* spelled, bool put,
               Participants who) {
  TileOpDef def{.syntax = {.name = name,
                           .format = format,
                           .params = {{"src", ArgKind::kRegion, 'r'},
                                      {"dst", ArgKind::kRegion, 'w'},
                                      {put ? "dst_pe" : "src_pe", ArgKind::kExpr, 0, "none"},
                                      {"size", ArgKind::kExpr, 0, "none"},
                                      {"unroll_factor", ArgKind::kInt, 0, "4"},
                                      {"bytes", ArgKind::kBool, 0, "false"},
                                      {"nbi", ArgKind::kBool, 0, "false"},
                                      {"workspace", ArgKind::kRegion, 'm', "none"}},
                           .spelled = spelled,
                           .participants = who,
                           .make = put ? MakePut : MakeGet},
                .effects = EffectsOf,
                .lowerings = {}};
  if (who == Participants::kGroup) {
    def.lowerings.push_back({.name = "simt", .refuse = RefuseTile, .nest = TileNest});
    def.lowerings.push_back({.name = "bulk",
                             .refuse = RefuseBulk,
                             .families = LinearOnly,
                             .workspace = Staging,
                             .lower = LowerBulk});
  }
  auto lower = who == Participants::kGroup  ? LowerByGroup
               : who == Participants::kWarp ? LowerByWarp
                                            : LowerByThread;
  def.lowerings.push_back(
      {.name = "run", .refuse = RefuseRun, .families = LinearOnly, .lower = lower});
  return def;
}

}  // namespace

std::vector<TileOpDef> MoveOps(bool put) {
  if (put) {
    return {Move("put", "put $src -> $dst", "put", true, Participants::kGroup),
            Move("warp_put", "warp_put $src -> $dst", "put_warp", true, Participants::kWarp),
            Move("thread_put", "thread_put $src -> $dst", "putmem", true, Participants::kThread)};
  }
  return {Move("get", "get $src -> $dst", "get", false, Participants::kGroup),
          Move("warp_get", "warp_get $src -> $dst", "get_warp", false, Participants::kWarp),
          Move("thread_get", "thread_get $src -> $dst", "getmem", false, Participants::kThread)};
}

int64_t LinearOnly(const TileOpObj*, int, const Target&) {
  return kLinear;
}

}  // namespace tilescale::ops
