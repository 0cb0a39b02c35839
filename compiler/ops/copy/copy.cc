// SPDX-License-Identifier: MIT
// T.copy: dst[...] = cast(src[...]). The contract is in copy.md.
#include "compiler/ir/diag.h"
#include "compiler/ir/text.h"
#include "compiler/layout/layout.h"
#include "compiler/ops/common/nest.h"
#include "compiler/ops/common/region.h"
#include "compiler/ops/common/remote.h"
#include "compiler/ops/tile_op.h"

namespace tilescale {
namespace {

using namespace ir;   // NOLINT
using namespace ops;  // NOLINT

TileOp Make(TileOp op) {
  Region src = RegionArg(op.get(), "src"), dst = RegionArg(op.get(), "dst");
  Reconcile("copy", &src, &dst, op->span);
  std::string prefer = StringArg(op.get(), "prefer_instruction");
  if (prefer != "" && prefer != "tma" && prefer != "cp_async" && prefer != "sync") {
    RaiseAt(op->span, "ValueError", "Unsupported T.copy prefer_instruction=\"", prefer,
            "\". Expected one of: \"tma\", \"cp_async\", \"sync\".");
  }
  src = OnPeer(src, ExprArg(op.get(), "src_pe"), "T.copy", op->span);
  dst = OnPeer(dst, ExprArg(op.get(), "dst_pe"), "T.copy", op->span);
  op = WithArg(WithArg(op, "src", src), "dst", dst);
  return WithArg(WithArg(op, "src_pe", ffi::Any()), "dst_pe", ffi::Any());
}

Effects EffectsOf(const TileOpObj* op) {
  Done done = op->lowering.size() ? LoweringOf(op).done : Done::kProgram;
  return {Reads(RegionArg(op, "src"), done), Writes(RegionArg(op, "dst"), done)};
}

void Evaluate(const TileOpObj* op, EvalContext* eval) {
  Region src = RegionArg(op, "src"), dst = RegionArg(op, "dst");
  std::vector<int64_t> n = eval->Extents(dst), m = eval->Extents(src);
  // Coordinates of the walked dims of one side on the other.
  auto place = [](const std::vector<int64_t>& extents, const std::vector<int64_t>& point) {
    std::vector<int64_t> at(extents.size(), 0);
    size_t next = 0;
    for (size_t d = 0; d < extents.size(); ++d) {
      if (extents[d] != 1 && next < point.size()) at[d] = point[next++];
    }
    return at;
  };
  std::vector<int64_t> walked;
  for (int64_t e : n) {
    if (e != 1) walked.push_back(e);
  }
  std::vector<int64_t> point(walked.size(), 0);
  int64_t total = 1;
  for (int64_t e : walked) total *= e;
  // All reads before all writes: source and destination may overlap.
  std::vector<Real> values;
  for (int pass = 0; pass < 2; ++pass) {
    std::fill(point.begin(), point.end(), 0);
    for (int64_t i = 0; i < total; ++i) {
      if (pass == 0) {
        values.push_back(eval->Read(src, place(m, point)));
      } else {
        eval->Write(dst, place(n, point), values[i]);
      }
      for (size_t d = walked.size(); d-- > 0;) {
        if (++point[d] < walked[d]) break;
        point[d] = 0;
      }
    }
  }
}

Stmt MakeNest(const TileOpObj* op, bool async) {
  Stmt nest = CopyNest(RegionArg(op, "src"), RegionArg(op, "dst"), op->span);
  auto out = CopyNode(nest.as<ParallelObj>());
  out->prefer_async = async;
  out->width = IntArg(op, "coalesced_width");
  out->label = op->label;
  std::string layout = StringArg(op, "loop_layout");
  if (!layout.empty()) {
    out->layout = layout;
    out->layout_fixed = true;
  }
  return Stmt(out);
}

Stmt SimtNest(const TileOpObj* op) {
  return MakeNest(op, false);
}
Stmt AsyncNest(const TileOpObj* op) {
  return MakeNest(op, true);
}

std::optional<std::string> RefuseSimt(const TileOpObj* op, const OpContext&) {
  std::string prefer = StringArg(op, "prefer_instruction");
  if (prefer == "cp_async") return "prefer_instruction=\"cp_async\"";
  return std::nullopt;
}

std::optional<std::string> RefuseTma(const TileOpObj*, const OpContext& ctx) {
  if (!ctx.target.arch->has_tma)
    return std::string("needs TMA, which ") + ctx.target.arch->name + " does not have";
  return "no lowering to it yet";
}

// The contiguous elements that one cp.async can move: 16, 8 or 4 bytes of rows that start and end
// at multiples of it on both sides. Zero: not even 4 bytes.
int64_t AsyncBytes(const Region& src, const OpContext& ctx) {
  const Buffer& a = src->buffer;
  for (int64_t bytes : {16, 8, 4}) {
    if (bytes * 8 % a->dtype.bits != 0) continue;
    int64_t n = bytes * 8 / a->dtype.bits;
    bool ok = true;
    std::vector<Expr> facts;
    auto multiple = [&](const Expr& e) {
      if (ctx.analyzer->Divides(n, e)) return true;
      if (e.kind() != NodeKind::kVar || !ctx.of_launch(e)) return false;
      facts.push_back(Eq(FloorMod(e, n), MakeConst(0, e.dtype())));
      return true;
    };
    int last = a->ndim() - 1;
    // Of extents and strides of the tensor the host knows; where the region begins may be a loop's
    // or a block's index.
    ok = ok && ctx.analyzer->Divides(n, src->begin[last]) &&
         ctx.analyzer->Divides(n, src->extent[last]);
    if (a->strides.empty()) {
      ok = ok && (last == 0 || multiple(a->shape[last]));
      if (src->check_hi >> last & 1) ok = ok && multiple(a->shape[last]);
    } else {
      ok = ok && IsConst(a->strides[last], 1);
      for (int d = 0; d < last && ok; ++d) ok = multiple(a->strides[d]);
      if (src->check_hi >> last & 1) ok = ok && multiple(a->shape[last]);
    }
    if (!ok) continue;
    for (const Expr& f : facts) ctx.require(f);
    return bytes;
  }
  return 0;
}

std::optional<std::string> RefuseAsync(const TileOpObj* op, const OpContext& ctx) {
  Region src = RegionArg(op, "src"), dst = RegionArg(op, "dst");
  std::string prefer = StringArg(op, "prefer_instruction");
  if (prefer == "sync") return "prefer_instruction=\"sync\"";
  if (!ctx.target.arch->has_cp_async) {
    return std::string("needs cp.async, which ") + ctx.target.arch->name + " does not have";
  }
  if (!ctx.pipelined && prefer != "cp_async") return "not in a pipelined loop";
  if (src->buffer->space() != Space::kGlobal || dst->buffer->space() != Space::kShared) {
    return "copies global to shared memory only";
  }
  if (!ctx.may_require) return "this variant relies on no alignment";
  if (!SameType(src->buffer->dtype, dst->buffer->dtype))
    return "source and destination have different dtypes";
  if (src->other.defined() && !IsConst(src->other, 0))
    return "fills with zeros only, a safe value is annotated";
  if (dst->check_lo != 0 || dst->check_hi != 0) return "the destination is guarded";
  int last = dst->buffer->ndim() - 1;
  int64_t bytes = AsyncBytes(src, ctx);
  if (bytes == 0) return "rows are not multiples of 4 bytes";
  int64_t n = bytes * 8 / dst->buffer->dtype.bits;
  if (!ctx.analyzer->Divides(n, dst->begin[last]) ||
      !ctx.analyzer->Divides(n, dst->buffer->shape[last])) {
    return "rows of the destination are not multiples of " + std::to_string(bytes) + " bytes";
  }
  // The base address: a launch fact.
  Expr base = MakeOp(OpCode::kCast,
                     {MakeAddr(src->buffer, std::vector<Expr>(src->buffer->ndim(), MakeConst(0)))},
                     Int(64));
  ctx.require(Eq(FloorMod(base, bytes), MakeConst(0, Int(64))));
  return std::nullopt;
}

int64_t AnyFamily(const TileOpObj*, int, const Target&) {
  return kLinear | kPadded | kSwizzle32 | kSwizzle64 | kSwizzle128 | kExact;
}

const TileOpRegistration kCopy({
    .syntax = {.name = "copy",
               .format = "copy $src -> $dst",
               .params = {{"src", ArgKind::kRegion, 'r'},
                          {"dst", ArgKind::kRegion, 'w'},
                          {"coalesced_width", ArgKind::kInt, 0, "0"},
                          {"disable_tma", ArgKind::kBool, 0, "false"},
                          {"eviction_policy", ArgKind::kString, 0, "none"},
                          {"prefer_instruction", ArgKind::kString, 0, "none"},
                          {"src_pe", ArgKind::kExpr, 0, "none"},
                          {"dst_pe", ArgKind::kExpr, 0, "none"},
                          {"loop_layout", ArgKind::kString, 0, "none"}},
               .moves_elements = true,
               .make = Make},
    .effects = EffectsOf,
    .evaluate = Evaluate,
    .lowerings = {{.name = "tma", .refuse = RefuseTma},
                  {.name = "cp_async",
                   .refuse = RefuseAsync,
                   .nest = AsyncNest,
                   .families = AnyFamily,
                   .done = Done::kCpAsync},
                  {.name = "simt", .refuse = RefuseSimt, .nest = SimtNest, .families = AnyFamily}},
});

}  // namespace
}  // namespace tilescale
