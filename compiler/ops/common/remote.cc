// SPDX-License-Identifier: MIT
#include "compiler/ops/common/remote.h"

#include "compiler/ir/text.h"
#include "compiler/ops/common/nest.h"
#include "compiler/ops/common/region.h"

#include <algorithm>

namespace tilescale::ops {

using namespace ir;  // NOLINT

namespace {

bool IsSignalType(DataType t) {
  return IsInteger(t) && t.lanes == 1 && (t.bits == 32 || t.bits == 64);
}

Region WithOwnExtents(const Region& r, std::vector<Expr> extent) {
  auto out = CopyNode(r.get());
  out->extent = ffi::Array<Expr>(extent);
  return Region(out);
}

}  // namespace

Region OnPeer(const Region& r, const Expr& peer, const std::string& what, const Span& span) {
  if (!peer.defined()) return r;
  auto known = AsInt(peer);
  if (known && *known == -1) return r;
  if (known && *known < 0) {
    RaiseAt(span, "ValueError", what, ": there is no rank ", *known,
            "; ranks count from 0, and -1 is this rank");
  }
  if (!IsInteger(peer.dtype())) {
    RaiseAt(span, "TypeError", what, ": a rank is an integer, got `", Print(peer), "` of ",
            LanguageName(peer.dtype()));
  }
  const Buffer& b = r->buffer;
  if (b->space() != Space::kGlobal || b->storage->root() != Root::kParam) {
    RaiseAt(span, "ValueError", what, ": `", b->name,
            "` is on this rank only; other ranks reach tensor arguments that are in symmetric "
            "memory");
  }
  auto out = CopyNode(r.get());
  out->peer = Cast(peer, Int(32));
  return Region(out);
}

bool IsRemote(const Region& r) {
  return r->peer.defined() || r->buffer->storage->root() == Root::kHeap;
}

Region OneElement(const Region& r, const std::string& what, const Span& span) {
  std::vector<Expr> ones;
  for (const Expr& e : r->extent) {
    if (e.defined() && !IsConst(e, 1)) {
      RaiseAt(span, "ValueError", what, " takes one element, got ", Describe(r));
    }
    ones.push_back(MakeConst(1));
  }
  return WithOwnExtents(r, ones);
}

Region SignalArg(const TileOpObj* op, std::string_view param, const std::string& what) {
  Region r = OneElement(RegionArg(op, param), what, op->span);
  if (r->buffer->space() != Space::kGlobal) {
    RaiseAt(op->span, "ValueError", what, " needs an element of a tensor in global memory, `",
            r->buffer->name, "` is not");
  }
  if (!IsSignalType(r->buffer->dtype)) {
    RaiseAt(op->span, "TypeError", what, " needs an element of int32, uint32, int64 or uint64, `",
            r->buffer->name, "` is ", LanguageName(r->buffer->dtype));
  }
  return r;
}

// -- moves
// -------------------------------------------------------------------------------------------

std::vector<OpParam> MoveParams(bool put) {
  return {{"src", ArgKind::kRegion, 'r'},
          {"dst", ArgKind::kRegion, 'w'},
          {put ? "dst_pe" : "src_pe", ArgKind::kExpr, 0, "none"},
          {"size", ArgKind::kExpr, 0, "none"},
          {"unroll_factor", ArgKind::kInt, 0, "4"}};
}

namespace {

// Operands of a run of `size` elements. The box of a one-dimensional buffer is known; runs across
// rows have none.
Region RunOf(const Region& r, const Expr& size, const std::string& what, const Span& span) {
  const Buffer& b = r->buffer;
  if (b->space() != Space::kGlobal && b->space() != Space::kShared) {
    RaiseAt(span, "ValueError", what, " moves between global and shared memory, `", b->name,
            "` is in registers; T.put and T.get take tiles");
  }
  if (b->dtype.bits < 8) {
    RaiseAt(span, "TypeError", what, " of ", LanguageName(b->dtype), " is not supported");
  }
  if (!b->strides.empty()) {
    RaiseAt(span, "ValueError", what, " moves consecutive elements, `", b->name,
            "` has strides; T.put and T.get take tiles");
  }
  std::vector<Expr> extent(r->begin.size(), MakeConst(1));
  if (extent.size() == 1) extent[0] = size;
  return WithOwnExtents(r, extent);
}

}  // namespace

TileOp MakeMove(TileOp op, const char* base, bool put) {
  Region src = RegionArg(op.get(), "src"), dst = RegionArg(op.get(), "dst");
  Expr size = ExprArg(op.get(), "size");
  std::string what = std::string("T.") + base;
  if (size.defined()) {
    if (!what.ends_with("_warp")) what += "_block";
    if (auto n = AsInt(size); n && *n < 1) {
      RaiseAt(op->span, "ValueError", what, ": size must be positive, got ", *n);
    }
    if (!SameType(src->buffer->dtype, dst->buffer->dtype)) {
      RaiseAt(op->span, "TypeError", what, " moves elements as they are, but `", src->buffer->name,
              "` is ", LanguageName(src->buffer->dtype), " and `", dst->buffer->name, "` is ",
              LanguageName(dst->buffer->dtype));
    }
    src = RunOf(src, size, what, op->span);
    dst = RunOf(dst, size, what, op->span);
  } else {
    Reconcile(base, &src, &dst, op->span);
  }
  Region& remote = put ? dst : src;
  const char* pe = put ? "dst_pe" : "src_pe";
  remote = OnPeer(remote, ExprArg(op.get(), pe), what, op->span);
  int64_t unroll = IntArg(op.get(), "unroll_factor");
  if (unroll < 1 || unroll > 32) {
    RaiseAt(op->span, "ValueError", what, ": unroll_factor must be 1 to 32, got ", unroll);
  }
  return WithArg(WithArg(WithArg(op, "src", src), "dst", dst), pe, ffi::Any());
}

Effects MoveEffects(const TileOpObj* op) {
  Effect read = Reads(RegionArg(op, "src")), write = Writes(RegionArg(op, "dst"));
  if (!ExprArg(op, "size").defined()) return {read, write};
  for (Effect* e : {&read, &write}) {
    if (e->region->buffer->ndim() == 1) continue;
    auto whole = CopyNode(FullRegion(e->region->buffer).get());
    whole->peer = e->region->peer;
    e->region = Region(whole);
    e->exact = false;
  }
  return {read, write};
}

Stmt MoveNest(const TileOpObj* op) {
  auto out =
      CopyNode(CopyNest(RegionArg(op, "src"), RegionArg(op, "dst"), op->span).as<ParallelObj>());
  out->label = op->label;
  return Stmt(out);
}

namespace {

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
Expr RunAddress(const Region& r, const Expr& size) {
  std::vector<Expr> extent(r->begin.size(), MakeConst(1));
  extent.back() = size;
  auto out = CopyNode(WithOwnExtents(r, extent).get());
  out->check_lo = out->check_hi = 0;
  return MakeAddr(Region(out));
}

void LowerRun(const TileOpObj* op, LowerContext* c, const Expr& lane, int64_t lanes) {
  Region src = RegionArg(op, "src"), dst = RegionArg(op, "dst");
  Expr size = ExprArg(op, "size"), count = Cast(size, Int(64));
  // Elements behind the end of a tensor are left alone, as everywhere.
  for (const Region& r : {src, dst}) {
    Expr left = ElementsLeft(r);
    if (left.defined() && !c->analyzer->Prove(Le(Cast(size, Int(64)), left))) {
      count = Min(count, left);
      c->Note("`" + std::string(r->buffer->name) + "`: the end of the run is guarded");
    }
  }
  c->Emit(MakeCall("comm.copy",
                   {MakeConst(IntArg(op, "unroll_factor")), RunAddress(dst, size),
                    RunAddress(src, size), c->analyzer->Simplify(count), lane, MakeConst(lanes)},
                   op->span));
}

}  // namespace

void LowerRunByGroup(const TileOpObj* op, LowerContext* c) {
  LowerRun(op, c, c->tid, c->threads);
}

void LowerRunByWarp(const TileOpObj* op, LowerContext* c) {
  LowerRun(op, c, MakeOp(OpCode::kLaneId, {}, Int(32)), target::Arch::kWarpSize);
}

std::optional<std::string> RefuseTileMove(const TileOpObj* op, const OpContext&) {
  if (ExprArg(op, "size").defined()) return "a count of elements is given";
  return std::nullopt;
}

std::optional<std::string> RefuseRun(const TileOpObj* op, const OpContext&) {
  if (!ExprArg(op, "size").defined()) return "no count of elements is given";
  return std::nullopt;
}

int64_t LinearOnly(const TileOpObj*, int, const Target&) {
  return kLinear;
}

// -- order
// -------------------------------------------------------------------------------------------

std::string OrderText(const TileOpObj* op, const std::string& what,
                      std::initializer_list<std::string_view> allowed, const char* listed) {
  std::string sem = StringArg(op, "sem"), scope = StringArg(op, "scope");
  if (std::find(allowed.begin(), allowed.end(), sem) == allowed.end()) {
    RaiseAt(op->span, "ValueError", what, ": sem must be one of ", listed, ", got '", sem, "'");
  }
  if (scope != "cta" && scope != "gpu" && scope != "sys") {
    RaiseAt(op->span, "ValueError", what, ": scope must be one of ['cta', 'gpu', 'sys'], got '",
            scope, "'");
  }
  return (sem == "volatile" ? "volatile_" : sem) + "." + scope;
}

std::optional<std::string> RefuseLoneThread(const TileOpObj*, const OpContext& c) {
  if (c.threads > 1) return std::nullopt;
  return "all threads of the block or of a group run it together, but one thread alone comes "
         "here: take it out of the condition on the thread";
}

}  // namespace tilescale::ops
