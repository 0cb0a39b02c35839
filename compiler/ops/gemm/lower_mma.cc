// SPDX-License-Identifier: MIT
// gemm by mma.sync: warps in a grid over C, A and B fragments from shared memory by ldmatrix where
// its 16-byte rows fit, else element by element; or from registers as they lie. Which instruction
// and which fragment layouts: the row (isa/mma_sync.cc).
#include "compiler/ops/common/region.h"
#include "compiler/ops/gemm/gemm.h"
#include "compiler/target/constants.h"
#include "support/diagnostics.h"

namespace tilescale::ops {

using namespace ir;  // NOLINT

namespace {

// One lowering's constants.
struct Plan {
  GemmOperands g;
  const isa::MmaRow* row;
  WarpGrid warps;
  int64_t rows_m, cols_n;  // of C, for one warp
};

std::optional<Plan> PlanOf(const TileOpObj* op, int64_t threads, const Target& target,
                           std::string* reason) {
  Plan p;
  p.g = OperandsOf(op);
  p.row = ChooseMma(p.g, target, reason);
  if (p.row == nullptr) return std::nullopt;
  if (threads % target::kWarpSize != 0) {
    *reason = std::to_string(threads) + " threads are no whole warps";
    return std::nullopt;
  }
  int64_t warps = threads / target::kWarpSize;
  auto grid = PartitionWarps(p.g.m, p.g.n, warps, p.g.policy, p.row->m, p.row->n);
  if (!grid) {
    *reason = "No valid warp partition for T.gemm: M=" + std::to_string(p.g.m) +
              ", N=" + std::to_string(p.g.n) + " cannot be evenly covered by " +
              std::to_string(warps) + " warps";
    return std::nullopt;
  }
  p.warps = *grid;
  p.rows_m = p.g.m / grid->row_warps;
  p.cols_n = p.g.n / grid->col_warps;
  return p;
}

std::optional<std::string> Refuse(const TileOpObj* op, const OpContext& ctx) {
  std::string reason;
  auto p = PlanOf(op, ctx.threads, ctx.target, &reason);
  if (!p) return reason;
  if (p->g.c->buffer->space() != Space::kFrag) return "C must be a fragment";
  if (!IsWhole(p->g.c)) return "C must be a whole fragment";
  for (const Region& r : {p->g.a, p->g.b}) {
    Space s = r->buffer->space();
    if (s != Space::kShared && s != Space::kFrag)
      return "A and B must be in shared memory or fragments";
    if (s == Space::kFrag && !IsWhole(r)) return "an operand in registers must be a whole fragment";
  }
  return std::nullopt;
}

// The layout of a fragment operand in its buffer's dims: rows along m (n for B), columns along k.
Layout OperandLayout(const Plan& p, bool is_a) {
  Expected<Layout> block = is_a ? MakeBlockA(p.row->a_layout, p.g.m, p.g.k, p.warps)
                                : MakeBlockB(p.row->b_layout, p.g.n, p.g.k, p.warps);
  TS_CHECK(bool(block)) << "operand layout: " << block.reason();
  bool rows_first = is_a ? !p.g.transpose_a : p.g.transpose_b;
  if (rows_first) return *block;
  const int order[] = {1, 0};
  Expected<Layout> swapped = block->Permute(order);
  TS_CHECK(bool(swapped)) << "operand layout: " << swapped.reason();
  return *swapped;
}

// 8x8 matrices of 16-bit units: the row unit of an operand is 16 bytes along its contiguous dim.
// Transposed loads exist for 16-bit elements only.
bool UsesLdmatrix(const Plan& p, bool is_a) {
  const Region& r = is_a ? p.g.a : p.g.b;
  int bits = r->buffer->dtype.bits;
  if (bits > 32 || bits < 8) return false;
  bool k_contiguous = is_a ? !p.g.transpose_a : p.g.transpose_b;
  if (!k_contiguous && bits != 16) return false;
  int64_t unit = 128 / bits;
  size_t n = r->begin.size();
  auto begin = AsInt(r->begin[n - 1]);
  return begin && *begin % unit == 0;
}

void Constrain(const TileOpObj* op, int64_t threads, const Target& target, LayoutConstraints* out) {
  std::string reason;
  auto p = PlanOf(op, threads, target, &reason);
  TS_CHECK(p.has_value()) << reason;
  std::string why = "T.gemm " + p->row->instr + ", " + std::to_string(p->warps.row_warps) + "x" +
                    std::to_string(p->warps.col_warps) + " warps";
  Expected<Layout> c = MakeBlockC(p->row->c_layout, p->g.m, p->g.n, p->warps);
  TS_CHECK(bool(c)) << "accumulator layout: " << c.reason();
  out->Anchor(p->g.c->buffer, *c, why);
  for (bool is_a : {true, false}) {
    const Region& r = is_a ? p->g.a : p->g.b;
    if (r->buffer->space() == Space::kFrag) {
      out->Operand(r->buffer, OperandLayout(*p, is_a), why);
    } else if (UsesLdmatrix(*p, is_a)) {
      // Each warp reads its slab once.
      constexpr int64_t kMatrixBytes = 8 * 16;  // of ldmatrix: 8 rows of 16 bytes
      int64_t bytes = (is_a ? p->rows_m : p->cols_n) * p->g.k * r->buffer->dtype.bits / 8;
      out->MatrixReads(r->buffer, r->buffer->ndim() - 2,
                       bytes / kMatrixBytes * (threads / target::kWarpSize));
    }
  }
}

int64_t Families(const TileOpObj*, int, const Target&) {
  return kLinear | kPadded | kSwizzle32 | kSwizzle64 | kSwizzle128 | kExact;
}

// Emits one gemm.
class Emitter {
 public:
  Emitter(const TileOpObj* op, LowerContext* ctx) : ctx_(ctx) {
    std::string reason;
    auto p = PlanOf(op, ctx->threads, *ctx->target, &reason);
    TS_CHECK(p.has_value()) << reason;
    plan_ = *p;
  }

  void Run() {
    const isa::MmaRow& row = *plan_.row;
    Bind("warp", FloorDiv(ctx_->tid, target::kWarpSize), &warp_);
    Bind("lane", FloorMod(ctx_->tid, target::kWarpSize), &lane_);
    Bind("warp_m", FloorMod(warp_, plan_.warps.row_warps), &warp_m_);
    Bind("warp_n", FloorDiv(warp_, plan_.warps.row_warps), &warp_n_);
    c_ = ctx_->Slots(plan_.g.c->buffer);
    Clear();
    atoms_m_ = plan_.rows_m / row.m;
    atoms_n_ = plan_.cols_n / row.n;
    kk_ = MakeVar("kk");
    std::vector<Stmt> body;
    Operand a = LoadOperand(true, &body), b = LoadOperand(false, &body);
    Multiply(a, b, &body);
    ctx_->Emit(
        MakeFor(kk_, MakeConst(plan_.g.k / row.k), MakeSeq(body), ctx_->span, ForKind::kUnroll));
    ctx_->Note(row.instr + ", " + std::to_string(plan_.warps.row_warps) + "x" +
               std::to_string(plan_.warps.col_warps) + " warps of " + std::to_string(plan_.rows_m) +
               "x" + std::to_string(plan_.cols_n) + "; A " + a.how + ", B " + b.how);
  }

 private:
  // Registers of an operand for one k step: element of atom i at base + i·step + kk·step_k.
  struct Operand {
    Buffer regs;
    int64_t base = 0, step = 0, step_k = 0;
    int64_t elements;  // of one atom, in one lane
    std::string how;
  };

  void Bind(const char* name, Expr value, Var* out) {
    *out = MakeVar(name);
    ctx_->Emit(MakeBind(*out, std::move(value), ctx_->span));
  }

  void Clear() {
    if (!plan_.g.clear.defined()) return;
    Var s = MakeVar("s");
    int64_t n = *AsInt(c_->shape[0]);
    Stmt zero = MakeFor(s, MakeConst(n), MakeStore(c_, {s}, MakeNumber(0, c_->dtype), ctx_->span),
                        ctx_->span, ForKind::kUnroll);
    ctx_->Emit(IsConst(plan_.g.clear, 1) ? zero : MakeIf(plan_.g.clear, zero, ctx_->span));
  }

  // Slots of atoms are linear in the atom's position: MakeBlock enumerates them so.
  static int64_t SlotStep(const Layout& layout, int dim, int64_t step) {
    std::vector<int64_t> p(layout.rank(), 0);
    if (layout.extent(dim) <= step) return 0;
    p[dim] = step;
    return layout.At(kSlot, p);
  }

  Operand LoadOperand(bool is_a, std::vector<Stmt>* body) {
    const isa::MmaRow& row = *plan_.row;
    const Region& r = is_a ? plan_.g.a : plan_.g.b;
    const Layout& atom = is_a ? row.a_layout : row.b_layout;
    Operand out;
    out.elements = atom.Extent(kSlot);
    int64_t atoms = is_a ? atoms_m_ : atoms_n_;
    if (r->buffer->space() == Space::kFrag) {
      const Layout& layout = ctx_->LayoutOf(r->buffer);
      bool rows_first = is_a ? !plan_.g.transpose_a : plan_.g.transpose_b;
      out.regs = ctx_->Slots(r->buffer);
      out.step = SlotStep(layout, rows_first ? 0 : 1, is_a ? row.m : row.n);
      out.step_k = SlotStep(layout, rows_first ? 1 : 0, row.k);
      out.how = "in registers";
      return out;
    }
    out.regs = ctx_->Local(is_a ? "a" : "b", r->buffer->dtype, atoms * out.elements);
    out.step = out.elements;
    if (UsesLdmatrix(plan_, is_a)) {
      Matrices(is_a, atoms, out, body);
      out.how = "by ldmatrix";
    } else {
      Elements(is_a, atoms, out, body);
      out.how = "element by element";
    }
    return out;
  }

  // The address of (row, k) of an operand, row counted from the warp's slab.
  std::vector<Expr> Place(bool is_a, Expr row, Expr k) {
    const Region& r = is_a ? plan_.g.a : plan_.g.b;
    Expr slab = is_a ? Mul(Expr(warp_m_), plan_.rows_m) : Mul(Expr(warp_n_), plan_.cols_n);
    row = Add(slab, row);
    k = Add(Mul(Expr(kk_), plan_.row->k), k);
    bool rows_first = is_a ? !plan_.g.transpose_a : plan_.g.transpose_b;
    std::vector<Expr> index(r->begin.begin(), r->begin.end());
    size_t n = index.size();
    index[n - 2] = Add(index[n - 2], rows_first ? row : k);
    index[n - 1] = Add(index[n - 1], rows_first ? k : row);
    return index;
  }

  // Registers of 4 bytes hold matrices in the order of the atom's slots: A (row half, k half), B (k
  // half). Lane l addresses row l % 8 of matrix l / 8.
  void Matrices(bool is_a, int64_t atoms, const Operand& out, std::vector<Stmt>* body) {
    const Region& r = is_a ? plan_.g.a : plan_.g.b;
    int64_t unit = 128 / r->buffer->dtype.bits;  // elements of a 16-byte row
    bool k_contiguous = is_a ? !plan_.g.transpose_a : plan_.g.transpose_b;
    int64_t k_halves = plan_.row->k / unit;  // matrices along k: 2
    int64_t row_halves = (is_a ? plan_.row->m : plan_.row->n) / 8;
    int64_t per_atom = k_halves * row_halves;                 // A: 4, B: 2
    int64_t group = per_atom == 2 && atoms % 2 == 0 ? 2 : 1;  // atoms of one instruction
    int64_t matrices = per_atom * group;
    Var i = MakeVar("i");
    Expr matrix = FloorMod(FloorDiv(Expr(lane_), 8), matrices), at = FloorMod(Expr(lane_), 8);
    Expr row_part, k_part;  // which 8 rows, which 16 bytes of k
    if (is_a) {
      row_part = FloorMod(matrix, row_halves);
      k_part = FloorDiv(matrix, row_halves);
    } else {
      k_part = FloorMod(matrix, k_halves);
      row_part = FloorDiv(matrix, k_halves);
    }
    int64_t atom_rows = is_a ? plan_.row->m : plan_.row->n;
    Expr first = Mul(Expr(i), atom_rows * group);
    Expr row, k;
    if (k_contiguous) {
      row = Add(Add(first, Mul(row_part, 8)), at);
      k = Mul(k_part, unit);
    } else {
      row = Add(first, Mul(row_part, 8));
      k = Add(Mul(k_part, 8), at);
    }
    std::string instr = "ldmatrix.x" + std::to_string(matrices) + (k_contiguous ? "" : ".trans");
    Expr src = MakeAddr(r->buffer, Place(is_a, row, k), unit);
    Expr dst = MakeAddr(out.regs, {Mul(Expr(i), out.elements * group)}, out.elements * group);
    Stmt load = MakeCall(instr, {src}, ctx_->span, {dst});
    body->push_back(MakeFor(i, MakeConst(atoms / group), load, ctx_->span, ForKind::kUnroll));
  }

  // Lane and slot → element, digit by digit of the atom's layout.
  void Elements(bool is_a, int64_t atoms, const Operand& out, std::vector<Stmt>* body) {
    const Region& r = is_a ? plan_.g.a : plan_.g.b;
    const Layout& atom = is_a ? plan_.row->a_layout : plan_.row->b_layout;
    int64_t atom_rows = is_a ? plan_.row->m : plan_.row->n;
    Var i = MakeVar("i");
    std::vector<Stmt> loads;
    for (int64_t e = 0; e < out.elements; ++e) {
      Expr coordinate[2];
      for (int d = 0; d < 2; ++d) {
        Expr x = MakeConst(0);
        int64_t weight = 1;
        for (const tilescale::Mode& mode : atom.group_of(d).modes) {
          if (int64_t t = mode.v[kThread]; t != 0) {
            x = Add(x, Mul(FloorMod(FloorDiv(Expr(lane_), t), mode.n), weight));
          } else if (int64_t s = mode.v[kSlot]; s != 0) {
            x = Add(x, (e / s) % mode.n * weight);
          }
          weight *= mode.n;
        }
        coordinate[d] = x;
      }
      Expr value = MakeLoad(
          r->buffer, Place(is_a, Add(Mul(Expr(i), atom_rows), coordinate[0]), coordinate[1]));
      loads.push_back(MakeStore(out.regs, {Add(Mul(Expr(i), out.elements), e)}, value, ctx_->span));
    }
    body->push_back(MakeFor(i, MakeConst(atoms), MakeSeq(loads), ctx_->span, ForKind::kUnroll));
  }

  void Multiply(const Operand& a, const Operand& b, std::vector<Stmt>* body) {
    const isa::MmaRow& row = *plan_.row;
    const Layout& layout = ctx_->LayoutOf(plan_.g.c->buffer);
    int64_t n = row.c_layout.Extent(kSlot);
    int64_t step_m = SlotStep(layout, 0, row.m), step_n = SlotStep(layout, 1, row.n);
    Var i = MakeVar("i"), j = MakeVar("j");
    auto place = [&](const Operand& o, const Var& v) {
      Expr at = Add(Mul(Expr(v), o.step), Mul(Expr(kk_), o.step_k));
      return MakeAddr(o.regs, {at}, o.elements);
    };
    Expr c = MakeAddr(c_, {Add(Mul(Expr(i), step_m), Mul(Expr(j), step_n))}, n);
    Stmt mma = MakeCall(row.instr, {place(a, i), place(b, j), c}, ctx_->span, {c});
    Stmt inner = MakeFor(j, MakeConst(atoms_n_), mma, ctx_->span, ForKind::kUnroll);
    body->push_back(MakeFor(i, MakeConst(atoms_m_), inner, ctx_->span, ForKind::kUnroll));
  }

  LowerContext* ctx_;
  Plan plan_;
  Var warp_, lane_, warp_m_, warp_n_, kk_;
  Buffer c_;
  int64_t atoms_m_ = 0, atoms_n_ = 0;
};

void Lower(const TileOpObj* op, LowerContext* ctx) {
  Emitter(op, ctx).Run();
}

}  // namespace

extern const Lowering kGemmMma;
const Lowering kGemmMma = {
    .name = "mma", .refuse = Refuse, .constrain = Constrain, .families = Families, .lower = Lower};

}  // namespace tilescale::ops
