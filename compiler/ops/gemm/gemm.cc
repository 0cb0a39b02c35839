// SPDX-License-Identifier: MIT
// T.gemm: C += op(A) · op(B). The contract is in gemm.md.
#include "compiler/ops/gemm/gemm.h"

#include "compiler/ir/diag.h"
#include "compiler/ops/common/region.h"

#include <cmath>

namespace tilescale::ops {

using namespace ir;  // NOLINT

GemmOperands OperandsOf(const TileOpObj* op) {
  GemmOperands g;
  g.a = RegionArg(op, "A");
  g.b = RegionArg(op, "B");
  g.c = RegionArg(op, "C");
  g.transpose_a = BoolArg(op, "transpose_A");
  g.transpose_b = BoolArg(op, "transpose_B");
  g.policy = static_cast<int>(IntArg(op, "policy"));
  auto dim = [](const Region& r, int from_right) {
    return AsInt(r->extent[r->extent.size() - 1 - from_right]).value_or(-1);
  };
  g.m = dim(g.c, 1);
  g.n = dim(g.c, 0);
  g.k = dim(g.a, g.transpose_a ? 1 : 0);
  Expr clear = ExprArg(op, "clear_accum");
  if (clear.defined() && !IsConst(clear, 0)) g.clear = clear;
  return g;
}

std::optional<WarpGrid> PartitionWarps(int64_t m, int64_t n, int64_t warps, int policy,
                                       int64_t atom_m, int64_t atom_n) {
  std::optional<WarpGrid> best;
  double best_score = 0;
  for (int64_t rows = 1; rows <= warps; ++rows) {
    if (warps % rows != 0) continue;
    int64_t cols = warps / rows;
    if (m % (rows * atom_m) != 0 || n % (cols * atom_n) != 0) continue;
    double score;
    if (policy == 1) {
      score = -static_cast<double>(rows);
    } else if (policy == 2) {
      score = -static_cast<double>(cols);
    } else {
      double ratio =
          (static_cast<double>(m) / (atom_m * rows)) / (static_cast<double>(n) / (atom_n * cols));
      score = std::fabs(ratio - static_cast<double>(m) / static_cast<double>(n));
    }
    if (!best || score < best_score) {
      best = WarpGrid{rows, cols};
      best_score = score;
    }
  }
  return best;
}

namespace {

DataType TypeInMma(DataType t) {
  return SameType(t, Float(32)) ? Tf32() : t;
}

}  // namespace

const isa::MmaRow* ChooseMma(const GemmOperands& g, const Target& target, std::string* reason) {
  DataType a = TypeInMma(g.a->buffer->dtype), b = TypeInMma(g.b->buffer->dtype);
  DataType c = g.c->buffer->dtype;
  *reason = "no matrix instruction takes " + LanguageName(g.a->buffer->dtype) + " and " +
            LanguageName(g.b->buffer->dtype) + " into " + LanguageName(c);
  for (const isa::MmaRow& row : isa::MmaRows()) {
    if (!SameType(row.a, a) || !SameType(row.b, b) || !SameType(row.c, c)) continue;
    if (!row.available(target)) {
      *reason = row.instr + " is not in " + target.arch->name;
      continue;
    }
    if (g.m % row.m != 0 || g.n % row.n != 0 || g.k % row.k != 0) {
      *reason = "the tile " + std::to_string(g.m) + "x" + std::to_string(g.n) + "x" +
                std::to_string(g.k) + " is no multiple of " + std::to_string(row.m) + "x" +
                std::to_string(row.n) + "x" + std::to_string(row.k);
      continue;
    }
    return &row;
  }
  return nullptr;
}

std::string NeedsOfMma(const GemmOperands& g, const Target& target) {
  const DataType a = TypeInMma(g.a->buffer->dtype), b = TypeInMma(g.b->buffer->dtype);
  const isa::MmaRow* found = nullptr;
  std::string results;
  bool alike = false;  // are there rows for two matrices of one of the types?
  for (const isa::MmaRow& row : isa::MmaRows()) {
    if (!row.available(target)) continue;
    alike = alike || (SameType(row.a, row.b) && (SameType(row.a, a) || SameType(row.a, b)));
    if (!SameType(row.a, a) || !SameType(row.b, b)) continue;
    const std::string c = LanguageName(row.c);
    if (results.find(c) == std::string::npos) results += (found != nullptr ? " or " : "") + c;
    if (found == nullptr || row.k < found->k) found = &row;
  }
  if (found == nullptr) {
    return alike && !SameType(a, b) ? "Give A and B one dtype" : "";
  }
  return "Matrix instructions take A and B in shared memory or fragments, a fragment of " +
         results + " as C, whole warps, and for each warp a tile of multiples of " +
         std::to_string(found->m) + "x" + std::to_string(found->n) + "x" +
         std::to_string(found->k) + ": fewer threads leave more of the tile to each";
}

namespace {

Region Whole(const Region& r) {
  auto out = CopyNode(r.get());
  ffi::Array<Expr> extent;
  for (size_t d = 0; d < r->extent.size(); ++d) {
    extent.push_back(r->extent[d].defined() ? r->extent[d] : r->buffer->shape[d]);
  }
  out->extent = extent;
  return Region(out);
}

void CheckMatrix(const char* name, const Region& r, const Span& span) {
  size_t n = r->extent.size();
  bool ok = n >= 2;
  for (size_t d = 0; ok && d + 2 < n; ++d) ok = IsConst(r->extent[d], 1);
  if (!ok) {
    RaiseAt(span, "AssertionError", "current only support ", name,
            " as a 2D or higher-order tensor",
            n > 2 ? " with the last two dimensions being the matrix dimensions" : "");
  }
}

int64_t Dim(const Region& r, int from_right, const Span& span, const char* name) {
  auto n = AsInt(r->extent[r->extent.size() - 1 - from_right]);
  if (!n) RaiseAt(span, "ValueError", "T.gemm: the extents of ", name, " must be constants");
  return *n;
}

TileOp Make(TileOp op) {
  Region a = Whole(RegionArg(op.get(), "A")), b = Whole(RegionArg(op.get(), "B")),
         c = Whole(RegionArg(op.get(), "C"));
  CheckMatrix("A", a, op->span);
  CheckMatrix("B", b, op->span);
  CheckMatrix("C", c, op->span);
  bool ta = BoolArg(op.get(), "transpose_A"), tb = BoolArg(op.get(), "transpose_B");
  int64_t m_a = Dim(a, ta ? 0 : 1, op->span, "A"), k_a = Dim(a, ta ? 1 : 0, op->span, "A");
  int64_t n_b = Dim(b, tb ? 1 : 0, op->span, "B"), k_b = Dim(b, tb ? 0 : 1, op->span, "B");
  int64_t m_c = Dim(c, 1, op->span, "C"), n_c = Dim(c, 0, op->span, "C");
  if (m_a != m_c) {
    RaiseAt(op->span, "AssertionError", "T.gemm M shape check failed: M_A = ", m_a,
            ", M_C = ", m_c);
  }
  if (k_a != k_b) {
    RaiseAt(op->span, "AssertionError", "T.gemm K shape check failed: K_A = ", k_a,
            ", K_B = ", k_b);
  }
  if (n_b != n_c) {
    RaiseAt(op->span, "AssertionError", "T.gemm N shape check failed: N_B = ", n_b,
            ", N_C = ", n_c);
  }
  return WithArg(WithArg(WithArg(op, "A", a), "B", b), "C", c);
}

Effects EffectsOf(const TileOpObj* op) {
  Region a = RegionArg(op, "A"), b = RegionArg(op, "B"), c = RegionArg(op, "C");
  Effects effects = {Reads(a), Reads(b), Writes(c)};
  // What clear_accum may discard need not be there; the write orders all other accesses.
  if (!OperandsOf(op).clear.defined()) effects.push_back(Reads(c));
  return effects;
}

void Evaluate(const TileOpObj* op, EvalContext* eval) {
  GemmOperands g = OperandsOf(op);
  auto at = [](const Region& r, int64_t row, int64_t col) {
    std::vector<int64_t> p(r->extent.size(), 0);
    p[p.size() - 2] = row;
    p[p.size() - 1] = col;
    return p;
  };
  // A by rows and B by columns, so that both are read once.
  auto matrix = [&](const Region& r, int64_t rows, int64_t cols, bool swap) {
    std::vector<Real> out;
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < cols; ++j) {
        out.push_back(eval->Read(r, swap ? at(r, j, i) : at(r, i, j)));
      }
    }
    return out;
  };
  const std::vector<Real> a = matrix(g.a, g.m, g.k, g.transpose_a),
                          b = matrix(g.b, g.n, g.k, !g.transpose_b);
  bool clear = g.clear.defined() && eval->Scalar(g.clear) != 0;
  for (int64_t i = 0; i < g.m; ++i) {
    for (int64_t j = 0; j < g.n; ++j) {
      Real sum = clear ? 0 : eval->Read(g.c, at(g.c, i, j));
      for (int64_t k = 0; k < g.k; ++k) sum += a[i * g.k + k] * b[j * g.k + k];
      eval->Write(g.c, at(g.c, i, j), sum);
    }
  }
}

}  // namespace

// The lowerings, in their files.
extern const Lowering kGemmMma;
extern const Lowering kGemmSimt;

namespace {

const TileOpRegistration kGemm({
    .syntax = {.name = "gemm",
               .format = "gemm $C += $A * $B",
               .params = {{"A", ArgKind::kRegion, 'r'},
                          {"B", ArgKind::kRegion, 'r'},
                          {"C", ArgKind::kRegion, 'm'},
                          {"transpose_A", ArgKind::kBool, 0, "false"},
                          {"transpose_B", ArgKind::kBool, 0, "false"},
                          {"policy", ArgKind::kInt, 0, "0"},
                          {"clear_accum", ArgKind::kExpr, 0, "none"},
                          {"k_pack", ArgKind::kInt, 0, "1"},
                          {"mbar", ArgKind::kRegion, 'r', "none"},
                          {"wg_wait", ArgKind::kInt, 0, "0"}},
               .make = Make},
    .effects = EffectsOf,
    .evaluate = Evaluate,
    .lowerings = {kGemmMma, kGemmSimt},
});

}  // namespace
}  // namespace tilescale::ops
