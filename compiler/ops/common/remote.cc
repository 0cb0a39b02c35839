// SPDX-License-Identifier: MIT
#include "compiler/ops/common/remote.h"

#include "compiler/ir/text.h"
#include "compiler/ir/visit.h"
#include "compiler/ops/common/nest.h"
#include "compiler/ops/common/region.h"
#include "support/ranks.h"

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
  if (known && *known >= kMaxRanks) {
    RaiseAt(span, "ValueError", what, ": there is no rank ", *known, "; a world has at most ",
            kMaxRanks, " ranks");
  }
  if (!IsInteger(peer.dtype())) {
    RaiseAt(span, "TypeError", what, ": a rank is an integer, got `", Spelled(peer), "` of ",
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

Region Neighbours(const Region& r, int64_t n, const std::string& what, const Span& span) {
  const Buffer& b = r->buffer;
  const int64_t bytes = n * b->dtype.bits / 8;
  const int64_t named = NumNeighbours(r);
  if (named != 1 && named != n) {
    RaiseAt(span, "ValueError", what, " takes ", n, " elements here, got ", Describe(r));
  }
  if (!b->strides.empty() && !IsConst(b->strides[b->strides.size() - 1], 1)) {
    RaiseAt(span, "ValueError", what, " of several elements needs neighbours in memory, `", b->name,
            "` has strides");
  }
  if (bytes != 2 && bytes != 4 && bytes != 8 && bytes != 16) {
    RaiseAt(span, "ValueError", what, " of ", n, " elements of ", LanguageName(b->dtype),
            " is an access of ", bytes, " bytes, and there are accesses of 1, 2, 4, 8 and 16");
  }
  const Expr& first = r->begin[r->begin.size() - 1];
  if (auto at = AsInt(first); at && *at % n != 0) {
    RaiseAt(span, "ValueError", what, " of ", n, " elements begins at a multiple of ", n, ", got ",
            *at);
  }
  std::vector<Expr> extent(r->extent.size(), MakeConst(1));
  extent.back() = MakeConst(n);
  return WithOwnExtents(r, extent);
}

Expr WholeGuard(const Region& r) {
  Expr guard;
  for (size_t d = 0; d < r->begin.size(); ++d) {
    const Expr& first = r->begin[d];
    const Expr last = Add(first, AsInt(r->extent[d]).value_or(1) - 1);
    if (r->check_lo >> d & 1) guard = And(guard, Ge(first, MakeConst(0, first.dtype())));
    if (r->check_hi >> d & 1) guard = And(guard, Lt(last, Cast(r->buffer->shape[d], last.dtype())));
  }
  return guard;
}

Region BindIndices(const Region& r, LowerContext* c) {
  auto out = CopyNode(r.get());
  for (size_t d = 0; d < r->begin.size(); ++d) {
    if (!Loads(r->begin[d])) continue;
    Var index = MakeVar(std::string(r->buffer->name) + "_at", r->begin[d].dtype());
    c->Emit(MakeBind(index, r->begin[d], c->span));
    out->begin.Set(d, index);
  }
  return Region(out);
}

Region Neighbour(const Region& r, int64_t i) {
  auto out = CopyNode(r.get());
  out->begin.Set(r->begin.size() - 1, Add(r->begin[r->begin.size() - 1], i));
  out->extent = ffi::Array<Expr>(std::vector<Expr>(r->extent.size(), MakeConst(1)));
  return Region(out);
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
