// SPDX-License-Identifier: MIT
#include "compiler/ops/common/region.h"

#include "compiler/ir/diag.h"
#include "compiler/ir/text.h"
#include "compiler/ir/visit.h"

namespace tilescale::ops {

using namespace ir;  // NOLINT

std::vector<int> WalkedDims(const Region& r) {
  std::vector<int> dims;
  for (size_t d = 0; d < r->extent.size(); ++d) {
    if (!r->extent[d].defined() || !IsConst(r->extent[d], 1)) dims.push_back(static_cast<int>(d));
  }
  return dims;
}

std::vector<Expr> ExtentsOf(const Region& r) {
  std::vector<Expr> out;
  for (int d : WalkedDims(r)) out.push_back(r->extent[d]);
  return out;
}

std::vector<Expr> IndexAt(const Region& r, const std::vector<Expr>& point) {
  std::vector<Expr> index(r->begin.begin(), r->begin.end());
  size_t next = 0;
  for (int d : WalkedDims(r)) {
    if (next == point.size()) break;
    index[d] = Add(index[d], Cast(point[next++], index[d].dtype()));
  }
  return index;
}

Expr GuardAt(const Region& r, const std::vector<Expr>& point) {
  std::vector<Expr> index = IndexAt(r, point);
  Expr guard;
  for (size_t d = 0; d < index.size(); ++d) {
    if (r->check_lo >> d & 1) guard = And(guard, Ge(index[d], MakeConst(0, index[d].dtype())));
    if (r->check_hi >> d & 1)
      guard = And(guard, Lt(index[d], Cast(r->buffer->shape[d], index[d].dtype())));
  }
  return guard;
}

Stmt GuardedCall(const Region& r, Stmt call) {
  Expr guard = GuardAt(r, {});
  if (!guard.defined()) return call;
  auto out = CopyNode(call.as<CallObj>());
  out->guard = guard;
  return Stmt(out);
}

Expr LoadAt(const Region& r, const std::vector<Expr>& point) {
  return MakeLoad(r->buffer, IndexAt(r, point), GuardAt(r, point), r->other);
}

Stmt StoreAt(const Region& r, const std::vector<Expr>& point, Expr value, Span span) {
  return MakeStore(r->buffer, IndexAt(r, point), Cast(std::move(value), r->buffer->dtype),
                   std::move(span), GuardAt(r, point));
}

std::vector<Var> NestVars(int n) {
  const char* names[] = {"i", "j", "k", "l", "m", "n"};
  std::vector<Var> vars;
  for (int d = 0; d < n; ++d) vars.push_back(MakeVar(d < 6 ? names[d] : "p"));
  return vars;
}

bool IsWhole(const Region& r) {
  for (size_t d = 0; d < r->begin.size(); ++d) {
    if (!IsConst(r->begin[d], 0) || !r->extent[d].defined() ||
        !SameExpr(r->extent[d], r->buffer->shape[d])) {
      return false;
    }
  }
  return true;
}

std::string Describe(const Region& r) {
  if (IsWhole(r)) return std::string(r->buffer->name);
  std::string s = std::string(r->buffer->name) + "[";
  for (size_t d = 0; d < r->begin.size(); ++d) {
    if (d > 0) s += ", ";
    s += Spelled(r->begin[d]);
    const Expr& extent = r->extent[d];
    if (extent.defined() && !IsConst(extent, 1)) s += ":" + Spelled(Add(r->begin[d], extent));
  }
  return s + "]";
}

namespace {

bool KnownExtents(const Region& r) {
  for (const Expr& e : r->extent) {
    if (!e.defined()) return false;
  }
  return true;
}

Region WithExtents(const Region& r, const ffi::Array<Expr>& extent) {
  auto out = CopyNode(r.get());
  out->extent = extent;
  return Region(out);
}

// The extents of `known`'s trailing dims for a region given as a start address.
Region AdoptExtents(const Region& start, const Region& known) {
  ffi::Array<Expr> extent;
  std::vector<Expr> walked(known->extent.begin(), known->extent.end());
  size_t n = start->begin.size();
  if (walked.size() > n) {
    // More dims on the other side: drop its unit dims from the left.
    std::vector<Expr> kept;
    size_t drop = walked.size() - n;
    for (const Expr& e : walked) {
      if (drop > 0 && IsConst(e, 1)) {
        --drop;
        continue;
      }
      kept.push_back(e);
    }
    walked = kept;
  }
  for (size_t d = 0; d < n; ++d) {
    size_t from_right = n - 1 - d;
    extent.push_back(from_right < walked.size() ? walked[walked.size() - 1 - from_right]
                                                : MakeConst(1));
  }
  return WithExtents(start, extent);
}

Expr Larger(const Expr& a, const Expr& b) {
  auto x = AsInt(a), y = AsInt(b);
  if (x && y) return *x >= *y ? a : b;
  if (SameExpr(a, b)) return a;
  return x ? b : a;
}

}  // namespace

void Reconcile(const char* what, Region* src, Region* dst, const Span& span) {
  bool s = KnownExtents(*src), d = KnownExtents(*dst);
  if (!s && !d) RaiseAt(span, "ValueError", "Can't deduce ", what, " extents from args");
  if (!s) *src = AdoptExtents(*src, *dst);
  if (!d) *dst = AdoptExtents(*dst, *src);
  std::vector<int> a = WalkedDims(*src), b = WalkedDims(*dst);
  if (a.size() != b.size()) {
    // Align at the trailing dims: a 1 adopts the other side's extent.
    ffi::Array<Expr> x = (*src)->extent, y = (*dst)->extent;
    size_t n = std::min(x.size(), y.size());
    for (size_t i = 1; i <= n; ++i) {
      Expr larger = IsConst(x[x.size() - i], 1)   ? y[y.size() - i]
                    : IsConst(y[y.size() - i], 1) ? x[x.size() - i]
                                                  : Larger(x[x.size() - i], y[y.size() - i]);
      x.Set(x.size() - i, larger);
      y.Set(y.size() - i, larger);
    }
    *src = WithExtents(*src, x);
    *dst = WithExtents(*dst, y);
    a = WalkedDims(*src);
    b = WalkedDims(*dst);
  }
  if (a.size() != b.size()) {
    RaiseAt(span, "ValueError", "T.", what, ": ", Describe(*src), " and ", Describe(*dst),
            " have different numbers of dimensions that are not 1 (", a.size(), " and ", b.size(),
            ")");
  }
  for (size_t i = 0; i < a.size(); ++i) {
    auto x = AsInt((*src)->extent[a[i]]), y = AsInt((*dst)->extent[b[i]]);
    if (x && y && *x != *y) {
      RaiseAt(span, "ValueError", "T.", what, ": ", Describe(*src), " has extent ", *x, " where ",
              Describe(*dst), " has ", *y);
    }
  }
}

Effect Reads(const Region& r, Done done) {
  Effect e;
  e.region = r;
  e.mode = Mode::kRead;
  e.done = done;
  return e;
}

Effect Writes(const Region& r, Done done) {
  Effect e = Reads(r, done);
  e.mode = Mode::kWrite;
  return e;
}

}  // namespace tilescale::ops
