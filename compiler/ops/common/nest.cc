// SPDX-License-Identifier: MIT
#include "compiler/ops/common/nest.h"

#include "compiler/ir/diag.h"
#include "compiler/ops/common/region.h"

#include <algorithm>

namespace tilescale::ops {

using namespace ir;  // NOLINT

Stmt PlacedNest(const std::vector<Var>& vars, const Layout& layout, Stmt body, Span span) {
  std::vector<Expr> extents;
  for (int64_t e : layout.shape()) extents.push_back(MakeConst(e));
  Stmt nest = MakeParallel(vars, extents, std::move(body), std::move(span));
  auto out = CopyNode(nest.as<ParallelObj>());
  out->layout = layout.Text();
  out->layout_fixed = true;
  return Stmt(out);
}

namespace {

int Level(const Region& r) {
  Space s = r->buffer->space();
  return IsRegister(s) ? 2 : s == Space::kShared ? 1 : 0;
}

}  // namespace

Stmt CopyNest(const Region& src, const Region& dst, const Span& span) {
  std::vector<Expr> extents = ExtentsOf(Level(dst) > Level(src) ? dst : src);
  if (extents.empty()) extents.push_back(MakeConst(1));
  std::vector<Var> vars = NestVars(static_cast<int>(extents.size()));
  std::vector<Expr> point(vars.begin(), vars.end());
  return MakeParallel(vars, extents, StoreAt(dst, point, LoadAt(src, point), span), span);
}

Layout FlatLayout(std::span<const int64_t> shape, int64_t threads) {
  DimList dims;
  int64_t size = 1;
  for (size_t d = 0; d < shape.size(); ++d) {
    dims.push_back(static_cast<int8_t>(d));
    size *= shape[d];
  }
  int64_t n = std::min(threads, size);
  tilescale::Mode modes[] = {{n, Strides(kThread, 1)},
                             {tilescale::CeilDiv(size, n), Strides(kSlot, 1)}};
  return LayoutBuilder(shape).AddGroup(dims, size, modes).BuildUnchecked();
}

Expr RowMajorOf(const std::vector<Expr>& point, std::span<const int64_t> shape) {
  Expr flat = MakeConst(0);
  for (size_t d = 0; d < point.size(); ++d) flat = Add(Mul(flat, shape[d]), point[d]);
  return flat;
}

std::vector<int64_t> ConstExtents(const Region& r, const char* what, const Span& span) {
  std::vector<int64_t> out;
  for (const Expr& e : r->extent) {
    auto n = AsInt(e);
    if (!n) {
      RaiseAt(span, "ValueError", "T.", what, ": the extents of `", r->buffer->name,
              "` must be constants");
    }
    out.push_back(*n);
  }
  return out;
}

Region WholeWhereUnknown(const Region& r) {
  auto out = CopyNode(r.get());
  ffi::Array<Expr> extent;
  for (size_t d = 0; d < r->extent.size(); ++d) {
    extent.push_back(r->extent[d].defined() ? r->extent[d] : r->buffer->shape[d]);
  }
  out->extent = extent;
  return Region(out);
}

namespace {

std::vector<Expr> Index(const Region& r, const std::vector<Expr>& point) {
  std::vector<Expr> index;
  for (size_t d = 0; d < point.size(); ++d) {
    index.push_back(Add(r->begin[d], Cast(point[d], r->begin[d].dtype())));
  }
  return index;
}

Expr InBuffer(const Region& r, const std::vector<Expr>& index) {
  Expr guard;
  for (size_t d = 0; d < index.size(); ++d) {
    DataType t = index[d].dtype();
    if (r->check_lo >> d & 1) guard = And(guard, Ge(index[d], MakeConst(0, t)));
    if (r->check_hi >> d & 1) guard = And(guard, Lt(index[d], Cast(r->buffer->shape[d], t)));
  }
  return guard;
}

}  // namespace

Expr LoadPoint(const Region& r, const std::vector<Expr>& point, Expr guard, Expr other) {
  std::vector<Expr> index = Index(r, point);
  Expr inside = InBuffer(r, index);
  if (!guard.defined()) return MakeLoad(r->buffer, index, inside, r->other);
  if (!inside.defined()) return MakeLoad(r->buffer, index, guard, other);
  // Outside the buffer the safe value, outside the op's own box `other`.
  return If3(guard, MakeLoad(r->buffer, index, inside, r->other), other);
}

Stmt StorePoint(const Region& r, const std::vector<Expr>& point, Expr value, Span span) {
  std::vector<Expr> index = Index(r, point);
  return MakeStore(r->buffer, index, Cast(std::move(value), r->buffer->dtype), std::move(span),
                   InBuffer(r, index));
}

std::vector<Expr> AsExprs(const std::vector<Var>& vars) {
  return {vars.begin(), vars.end()};
}

std::string ShapeText(std::span<const int64_t> shape) {
  std::string s = "[";
  for (size_t d = 0; d < shape.size(); ++d) s += (d > 0 ? ", " : "") + std::to_string(shape[d]);
  return s + "]";
}

const char* ScopeName(const Buffer& b) {
  switch (b->space()) {
    case Space::kFrag:
      return "local.fragment";
    case Space::kShared:
      return "shared.dyn";
    case Space::kLocal:
      return "local";
    case Space::kVar:
      return "local.var";
    default:
      return SpaceName(b->space());
  }
}

void ForEachPoint(const std::vector<int64_t>& shape,
                  const std::function<void(const std::vector<int64_t>&)>& f) {
  int64_t total = 1;
  for (int64_t e : shape) total *= e;
  std::vector<int64_t> point(shape.size(), 0);
  for (int64_t i = 0; i < total; ++i) {
    f(point);
    for (size_t d = shape.size(); d-- > 0;) {
      if (++point[d] < shape[d]) break;
      point[d] = 0;
    }
  }
}

}  // namespace tilescale::ops
