// SPDX-License-Identifier: MIT
// T.cumsum and T.cummax: inclusive scans along one dimension. The contract is in scan.md.
#include "compiler/ops/scan/scan.h"

#include "compiler/ir/diag.h"
#include "compiler/ops/common/nest.h"
#include "compiler/ops/common/region.h"

#include <cmath>

namespace tilescale::ops {

using namespace ir;  // NOLINT

Scan ScanOf(const TileOpObj* op) {
  Scan s;
  s.src = RegionArg(op, "src");
  s.dst = RegionArg(op, "dst");
  s.shape = ConstExtents(s.src, std::string(op->op).c_str(), op->span);
  s.dim = static_cast<int>(IntArg(op, "dim"));
  s.reverse = BoolArg(op, "reverse");
  s.combiner = op->op == "cumsum" ? Combiner::kSum : Combiner::kMax;
  DataType from = s.src->buffer->dtype, to = s.dst->buffer->dtype;
  s.acc = AccumulatorOf(to);
  s.staged = SameType(from, to) && to.bits >= 8 ? to : s.acc;
  return s;
}

namespace {

TileOp Make(TileOp op) {
  std::string name(op->op);
  Region src = WholeWhereUnknown(RegionArg(op.get(), "src")), dst = RegionArg(op.get(), "dst");
  dst = dst.defined() ? WholeWhereUnknown(dst) : src;
  std::vector<int64_t> shape = ConstExtents(src, name.c_str(), op->span),
                       got = ConstExtents(dst, name.c_str(), op->span);
  int64_t rank = static_cast<int64_t>(shape.size()), dim = IntArg(op.get(), "dim");
  if (dim < -rank || dim >= rank) {
    RaiseAt(op->span, "ValueError", "Dimension ", dim, " is out of bounds for buffer with shape ",
            ShapeText(shape));
  }
  if (dim < 0) dim += rank;
  auto mismatch = [&](const std::string& why) {
    RaiseAt(op->span, "ValueError", name, " dst shape ", ShapeText(got), " must match src shape ",
            ShapeText(shape), " (", why, ")");
  };
  if (got.size() != shape.size()) mismatch("rank mismatch");
  for (size_t d = 0; d < shape.size(); ++d) {
    if (got[d] != shape[d]) mismatch("dim " + std::to_string(d) + " mismatch");
  }
  for (const Region& r : {src, dst}) {
    Space s = r->buffer->space();
    if (s == Space::kFrag || s == Space::kShared || s == Space::kGlobal) continue;
    RaiseAt(op->span, "ValueError", "T.", name, ": `", r->buffer->name, "` is ",
            ScopeName(r->buffer), " memory; use a fragment, shared or global buffer");
  }
  return WithArg(WithArg(WithArg(op, "src", src), "dst", dst), "dim", dim);
}

Effects EffectsOf(const TileOpObj* op) {
  return {Reads(RegionArg(op, "src")), Writes(RegionArg(op, "dst"))};
}

void Evaluate(const TileOpObj* op, EvalContext* eval) {
  Region src = RegionArg(op, "src"), dst = RegionArg(op, "dst");
  size_t dim = static_cast<size_t>(IntArg(op, "dim"));
  bool reverse = BoolArg(op, "reverse"), sum = op->op == "cumsum";
  std::vector<int64_t> shape = eval->Extents(src), lines = shape;
  int64_t n = shape[dim];
  lines[dim] = 1;
  ForEachPoint(lines, [&](const std::vector<int64_t>& line) {
    std::vector<int64_t> at = line;
    Real value = 0;
    for (int64_t i = 0; i < n; ++i) {
      at[dim] = reverse ? n - 1 - i : i;
      Real x = eval->Read(src, at);
      value = i == 0 ? x : sum ? value + x : std::fmax(value, x);
      eval->Write(dst, at, value);
    }
  });
}

}  // namespace

extern const Lowering kScanShared;  // lower_shared.cc

namespace {

TileOpDef Row(const char* name, const char* format) {
  return {.syntax = {.name = name,
                     .format = format,
                     .params = {{"src", ArgKind::kRegion, 'r'},
                                {"dst", ArgKind::kRegion, 'w', "none"},
                                {"dim", ArgKind::kInt, 0, "0"},
                                {"reverse", ArgKind::kBool, 0, "false"},
                                {"workspace", ArgKind::kRegion, 'm', "none"}},
                     .make = Make},
          .effects = EffectsOf,
          .evaluate = Evaluate,
          .lowerings = {kScanShared}};
}

const TileOpRegistration kCumsum(Row("cumsum", "cumsum $src -> $dst"));
const TileOpRegistration kCummax(Row("cummax", "cummax $src -> $dst"));

}  // namespace
}  // namespace tilescale::ops
