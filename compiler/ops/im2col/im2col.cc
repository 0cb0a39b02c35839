// SPDX-License-Identifier: MIT
// T.im2col: the tile of the matrix of patches that an implicit-gemm convolution multiplies. The
// contract is in im2col.md.
#include "compiler/ir/diag.h"
#include "compiler/ops/common/nest.h"
#include "compiler/ops/common/region.h"
#include "compiler/ops/tile_op.h"

namespace tilescale {
namespace {

using namespace ir;   // NOLINT
using namespace ops;  // NOLINT

constexpr int kImageDims = 4;  // NHWC

TileOp Make(TileOp op) {
  Region img = WholeWhereUnknown(RegionArg(op.get(), "img")),
         col = WholeWhereUnknown(RegionArg(op.get(), "col"));
  if (img->buffer->ndim() != kImageDims || !IsWhole(img)) {
    RaiseAt(op->span, "ValueError", "T.im2col: `", img->buffer->name,
            "` must be a whole image tensor of 4 dimensions (N, H, W, C), got ",
            img->buffer->ndim());
  }
  std::vector<int64_t> tile = ConstExtents(col, "im2col", op->span);
  if (WalkedDims(col).size() > 2 || tile.size() < 2) {
    RaiseAt(op->span, "ValueError", "T.im2col: `", col->buffer->name,
            "` must be a tile of 2 dimensions, got shape ", ShapeText(tile));
  }
  for (const char* name : {"kernel", "stride", "dilation"}) {
    if (IntArg(op.get(), name) > 0) continue;
    RaiseAt(op->span, "ValueError", "T.im2col: ", name, " must be positive, got ",
            IntArg(op.get(), name));
  }
  if (IntArg(op.get(), "pad") < 0) {
    RaiseAt(op->span, "ValueError", "T.im2col: pad must not be negative, got ",
            IntArg(op.get(), "pad"));
  }
  return WithArg(WithArg(op, "img", img), "col", col);
}

Effects EffectsOf(const TileOpObj* op) {
  return {Reads(RegionArg(op, "img")), Writes(RegionArg(op, "col"))};
}

// Which pixel and channel row i, column j of the tile is, in any arithmetic.
template <typename T, typename Div, typename Mod>
std::vector<T> Place(const TileOpObj* op, const std::vector<T>& shape, T row, T column, Div div,
                     Mod mod) {
  T kernel(IntArg(op, "kernel")), stride(IntArg(op, "stride"));
  T dilation(IntArg(op, "dilation")), pad(IntArg(op, "pad"));
  T reach = dilation * (kernel - T(int64_t{1}));
  auto outputs = [&](T extent) {
    return div(extent + pad + pad - reach - T(int64_t{1}), stride) + T(int64_t{1});
  };
  T height = outputs(shape[1]), width = outputs(shape[2]);
  T tap = div(column, shape[3]);
  return {div(row, height * width),
          mod(div(row, width), height) * stride + div(tap, kernel) * dilation - pad,
          mod(row, width) * stride + mod(tap, kernel) * dilation - pad, mod(column, shape[3])};
}

// Host and device arithmetic of indices behind one set of operators.
struct Index {
  Expr e;
  explicit Index(int64_t v) : e(MakeConst(v)) {}
  explicit Index(Expr v) : e(std::move(v)) {}
  friend Index operator+(const Index& a, const Index& b) { return Index(Add(a.e, b.e)); }
  friend Index operator-(const Index& a, const Index& b) { return Index(Sub(a.e, b.e)); }
  friend Index operator*(const Index& a, const Index& b) { return Index(Mul(a.e, b.e)); }
};

void Evaluate(const TileOpObj* op, EvalContext* eval) {
  Region img = RegionArg(op, "img"), col = RegionArg(op, "col");
  std::vector<int64_t> tile = eval->Extents(col), shape = eval->Extents(img);
  int64_t rows = tile[tile.size() - 2], columns = tile.back();
  auto first = [&](const char* step) {
    return static_cast<int64_t>(eval->Scalar(ExprArg(op, step)));
  };
  int64_t row = first("nhw_step") * rows, column = first("c_step") * columns;
  int64_t taps = IntArg(op, "kernel") * IntArg(op, "kernel");
  auto div = [](int64_t a, int64_t b) { return a / b; };
  auto mod = [](int64_t a, int64_t b) { return a % b; };
  ForEachPoint(tile, [&](const std::vector<int64_t>& at) {
    int64_t i = row + at[at.size() - 2], j = column + at.back();
    bool inside = j < taps * shape[3];
    eval->Write(col, at,
                inside ? eval->Read(img, Place<int64_t>(op, shape, i, j, div, mod)) : Real(0));
  });
}

Stmt Nest(const TileOpObj* op, bool async) {
  Region img = RegionArg(op, "img"), col = RegionArg(op, "col");
  std::vector<Expr> extents = {col->extent[col->extent.size() - 2], col->extent.back()};
  std::vector<Var> vars = NestVars(2);
  std::vector<Expr> to(col->extent.size(), MakeConst(0));
  to[to.size() - 2] = vars[0];
  to.back() = vars[1];
  Expr row = Add(Mul(ExprArg(op, "nhw_step"), extents[0]), vars[0]);
  Expr column = Add(Mul(ExprArg(op, "c_step"), extents[1]), vars[1]);
  std::vector<Index> shape;
  for (const Expr& n : img->buffer->shape) shape.emplace_back(n);
  auto div = [](const Index& a, const Index& b) { return Index(FloorDiv(a.e, b.e)); };
  auto mod = [](const Index& a, const Index& b) { return Index(FloorMod(a.e, b.e)); };
  std::vector<Expr> from;
  Expr inside =
      Lt(div(Index(column), shape[3]).e, MakeConst(IntArg(op, "kernel") * IntArg(op, "kernel")));
  for (const Index& x : Place<Index>(op, shape, Index(row), Index(column), div, mod)) {
    from.push_back(x.e);
  }
  for (int d = 0; d + 1 < kImageDims; ++d) {
    inside = And(inside, And(Ge(from[d], MakeConst(0)), Lt(from[d], img->buffer->shape[d])));
  }
  Expr value = MakeLoad(img->buffer, from, inside, Expr());
  Stmt nest = MakeParallel(vars, extents, StorePoint(col, to, value, op->span), op->span);
  auto out = CopyNode(nest.as<ParallelObj>());
  out->label = op->label;
  out->prefer_async = async;
  return Stmt(out);
}

Stmt SimtNest(const TileOpObj* op) {
  return Nest(op, false);
}

Stmt AsyncNest(const TileOpObj* op) {
  return Nest(op, true);
}

std::optional<std::string> RefuseAsync(const TileOpObj* op, const OpContext& ctx) {
  Region img = RegionArg(op, "img"), col = RegionArg(op, "col");
  if (!ctx.target.arch->has_cp_async) {
    return std::string("needs cp.async, which ") + ctx.target.arch->name + " does not have";
  }
  if (!ctx.pipelined) return "not in a pipelined loop";
  if (!ctx.may_require) return "this variant relies on no alignment";
  if (col->buffer->space() != Space::kShared) return "copies global to shared memory only";
  if (!SameType(img->buffer->dtype, col->buffer->dtype))
    return "source and destination have different dtypes";
  constexpr int64_t kBytes = 16;
  int64_t n = kBytes * 8 / img->buffer->dtype.bits;
  if (!img->buffer->strides.empty() || !ctx.analyzer->Divides(n, img->buffer->shape.back()) ||
      !ctx.analyzer->Divides(n, col->extent.back()) ||
      !ctx.analyzer->Divides(n, col->begin.back()) ||
      !ctx.analyzer->Divides(n, col->buffer->shape.back())) {
    return "channels and columns of the tile are not multiples of 16 bytes";
  }
  Expr base = Cast(MakeAddr(img->buffer, std::vector<Expr>(kImageDims, MakeConst(0))), Int(64));
  ctx.require(Eq(FloorMod(base, kBytes), MakeConst(0, Int(64))));
  return std::nullopt;
}

std::optional<std::string> Never(const TileOpObj*, const OpContext&) {
  return std::nullopt;
}

const TileOpRegistration kIm2col({
    .syntax = {.name = "im2col",
               .format = "im2col $img -> $col",
               .params = {{"img", ArgKind::kRegion, 'r'},
                          {"col", ArgKind::kRegion, 'w'},
                          {"nhw_step", ArgKind::kExpr, 0},
                          {"c_step", ArgKind::kExpr, 0},
                          {"kernel", ArgKind::kInt, 0},
                          {"stride", ArgKind::kInt, 0},
                          {"dilation", ArgKind::kInt, 0},
                          {"pad", ArgKind::kInt, 0},
                          {"eviction_policy", ArgKind::kString, 0, "none"}},
               .make = Make},
    .effects = EffectsOf,
    .evaluate = Evaluate,
    .lowerings =
        {{.name = "cp_async", .refuse = RefuseAsync, .nest = AsyncNest, .done = Done::kCpAsync},
         {.name = "simt", .refuse = Never, .nest = SimtNest}},
});

}  // namespace
}  // namespace tilescale
