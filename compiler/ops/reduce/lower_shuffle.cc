// SPDX-License-Identifier: MIT
// reduce of a fragment along its layout's digits: slots serially in each thread,
// lanes by XOR butterflies, whole warps through shared memory. Places that hold no element start
// with the identity, so ragged extents and idle lanes need no cases of their own.
#include "compiler/layout/queries.h"
#include "compiler/ops/common/nest.h"
#include "compiler/ops/common/region.h"
#include "compiler/ops/reduce/reduce.h"
#include "compiler/target/constants.h"

#include <algorithm>

namespace tilescale::ops {

using namespace ir;  // NOLINT

namespace {

constexpr int64_t kWarp = target::kWarpSize;

std::optional<std::string> Refuse(const TileOpObj* op, const OpContext&) {
  Region src = RegionArg(op, "buffer"), out = RegionArg(op, "out");
  if (src->buffer->space() != Space::kFrag) return "the tile is not a fragment";
  if (!IsWhole(src)) return "a part of a fragment";
  if (out->buffer->space() == Space::kFrag && !IsWhole(out))
    return "a part of a fragment as the output";
  return std::nullopt;
}

void Constrain(const TileOpObj* op, int64_t, const Target&, LayoutConstraints* c) {
  Region src = RegionArg(op, "buffer"), out = RegionArg(op, "out");
  if (out->buffer->space() != Space::kFrag) return;
  c->Reduce(src->buffer, out->buffer, static_cast<int>(IntArg(op, "dim")));
}

// How a fragment's layout is reduced.
struct Plan {
  bool whole = false;  // no plan: the tile itself goes through shared memory
  ReducePlan stages;
  Layout partial;       // of the partial results: src's rank, 1 at dim
  int64_t warps = 1;    // partial results of one output in different warps
  bool staged = false;  // partial results go through shared memory
};

Plan PlanOf(const Reduction& r, LowerContext* ctx) {
  Plan plan;
  const Layout& layout = ctx->LayoutOf(r.src->buffer);
  Expected<ReducePlan> stages = PlanReduce(layout, r.dim);
  Expected<Layout> result = ReduceResult(layout, r.dim);
  Expected<Layout> partial =
      result ? result->Broadcast(r.dim, 1) : Expected<Layout>(result.refusal());
  // Padded butterflies may reach lanes that a small group does not have.
  if (!stages || !partial || partial->Extent(kThread) > ctx->threads) {
    plan.whole = true;
    return plan;
  }
  plan.stages = *stages;
  plan.partial = *partial;
  for (const ReduceStage& s : *stages) {
    if (s.kind == StageKind::kWarps) plan.warps = s.n;
  }
  plan.staged = plan.warps > 1;
  if (r.out->buffer->space() == Space::kFrag && !plan.staged) {
    // Every owner of an output must hold its result.
    Expected<Layout> held = partial->Reshape(r.out_shape);
    plan.staged = !held || !Contains(*held, ctx->LayoutOf(r.out->buffer));
  }
  return plan;
}

std::optional<Workspace> Staging(const TileOpObj* op, LowerContext* ctx) {
  Reduction r = ReductionOf(op);
  Plan plan = PlanOf(r, ctx);
  if (plan.whole) return Workspace{r.src->buffer->dtype, NumElements(r.src->buffer)};
  if (plan.staged) return Workspace{r.acc, r.Outputs() * plan.warps};
  return std::nullopt;
}

class Emitter {
 public:
  Emitter(const TileOpObj* op, LowerContext* ctx)
      : ctx_(ctx),
        r_(ReductionOf(op)),
        plan_(PlanOf(r_, ctx)),
        ws_(RegionArg(op, "workspace")),
        layout_(ctx->LayoutOf(r_.src->buffer)) {}

  void Run() {
    if (plan_.whole) {
      Whole();
    } else {
      slots_ = std::max<int64_t>(1, plan_.partial.Extent(kSlot));
      partial_ = ctx_->Local("part", r_.acc, slots_);
      Slots();
      Lanes();
      if (plan_.staged) Publish();
      Result();
    }
    Explain();
  }

 private:
  std::vector<Var> Vars(size_t n) { return NestVars(static_cast<int>(n)); }
  Expr Zero() { return MakeConst(0); }

  // Where the partial result of a point of src lies in its thread's array.
  Expr SlotOf(std::vector<Expr> point) {
    point[r_.dim] = Zero();
    return arith::ApplyLayout(plan_.partial, kSlot, point);
  }

  void Slots() {
    Var s = MakeVar("s");
    ctx_->Emit(MakeFor(s, MakeConst(slots_), MakeStore(partial_, {s}, r_.Empty(), ctx_->span),
                       ctx_->span, ForKind::kUnroll));
    std::vector<Var> vars = Vars(r_.shape.size());
    std::vector<Expr> point = AsExprs(vars);
    Expr slot = SlotOf(point);
    Expr sum = r_.Join(MakeLoad(partial_, {slot}), r_.Element(LoadPoint(r_.src, point)));
    ctx_->Emit(PlacedNest(vars, layout_, MakeStore(partial_, {slot}, sum, ctx_->span), ctx_->span));
  }

  // All lanes of a butterfly end with the result.
  void Lanes() {
    Var s = MakeVar("s");
    std::vector<Stmt> body;
    for (const ReduceStage& stage : plan_.stages) {
      if (stage.kind != StageKind::kLanes) continue;
      for (int64_t mask = stage.stride; mask < stage.stride * stage.n; mask *= 2) {
        Var other = MakeVar("other", r_.acc);
        Expr mine = MakeLoad(partial_, {s});
        body.push_back(MakeCall(
            "shfl.xor",
            {mine, MakeConst(mask), MakeConst(kWarp), MakeConst(target::kAllLanes, UInt(32))},
            ctx_->span, {other}));
        Expr value = other;
        if (ctx_->threads % kWarp != 0) {
          // The last warp has lanes that do not exist: what they send is undefined.
          Expr partner = MakeOp(OpCode::kBitXor, {ctx_->tid, MakeConst(mask, ctx_->tid.dtype())},
                                ctx_->tid.dtype());
          value = Select(Lt(partner, ctx_->threads), value, r_.Empty());
        }
        body.push_back(MakeStore(partial_, {s}, r_.Join(mine, value), ctx_->span));
      }
    }
    if (body.empty()) return;
    ctx_->Emit(MakeFor(s, MakeConst(slots_), MakeSeq(body), ctx_->span, ForKind::kUnroll));
  }

  // The layout of the partial results before warps are joined: src's with only whole warps along
  // dim, so that one lane of each butterfly writes.
  Layout Writers() {
    Layout l = layout_.Normal();
    std::vector<tilescale::Mode> warps;
    for (const tilescale::Mode& m : l.group_of(r_.dim).modes) {
      int64_t s = m.v[kThread];
      if (s == 0) continue;
      int64_t inside = s >= kWarp ? 1 : std::min(m.n, std::max<int64_t>(kWarp / s, 1));
      int64_t n = tilescale::CeilDiv(m.n, inside);
      if (n > 1) warps.push_back({n, Strides(kThread, s * inside)});
    }
    std::vector<int64_t> shape = r_.shape;
    shape[r_.dim] = plan_.warps;
    LayoutBuilder b(shape);
    for (int i = 0; i < l.num_groups(); ++i) {
      LayoutGroup g = l.group(i);
      if (g.Is(r_.dim)) {
        b.AddDim(r_.dim, warps);
      } else {
        b.AddGroup(g.dims, g.bound, g.modes);
      }
    }
    return b.AddReps(l.reps()).SetOffset(l.off()).BuildUnchecked();
  }

  // workspace[output, warp]; `point` has the warp, or anything, at dim.
  Expr PlaceOf(std::vector<Expr> point, Expr warp) {
    std::vector<int64_t> shape = r_.shape;
    shape[r_.dim] = 1;
    point[r_.dim] = Zero();
    return Add(Mul(RowMajorOf(point, shape), plan_.warps), std::move(warp));
  }

  void Publish() {
    std::vector<Var> vars = Vars(r_.shape.size());
    std::vector<Expr> point = AsExprs(vars);
    Stmt store = MakeStore(ws_->buffer, {PlaceOf(point, vars[r_.dim])},
                           MakeLoad(partial_, {SlotOf(point)}), ctx_->span);
    ctx_->Emit(PlacedNest(vars, Writers(), store, ctx_->span));
  }

  void Result() {
    std::vector<Var> vars = Vars(r_.out_shape.size());
    std::vector<Expr> out = AsExprs(vars), point = r_.SourcePoint(out, Zero());
    bool fragment = r_.out->buffer->space() == Space::kFrag;
    Layout owners =
        fragment ? ctx_->LayoutOf(r_.out->buffer) : *plan_.partial.Reshape(r_.out_shape);
    Stmt body;
    if (!plan_.staged) {
      body = r_.Finish(out, MakeLoad(partial_, {SlotOf(point)}), ctx_->span);
    } else if (plan_.warps == 1) {
      body = r_.Finish(out, MakeLoad(ws_->buffer, {PlaceOf(point, Zero())}), ctx_->span);
    } else {
      Buffer all = ctx_->Local("red", r_.acc, 1);
      Var w = MakeVar("w");
      Expr next = MakeLoad(ws_->buffer, {PlaceOf(point, Add(Expr(w), 1))});
      Stmt join = MakeStore(all, {Zero()}, r_.Join(MakeLoad(all, {Zero()}), next), ctx_->span);
      body = MakeSeq(
          {MakeStore(all, {Zero()}, MakeLoad(ws_->buffer, {PlaceOf(point, Zero())}), ctx_->span),
           MakeFor(w, MakeConst(plan_.warps - 1), join, ctx_->span, ForKind::kUnroll),
           r_.Finish(out, MakeLoad(all, {Zero()}), ctx_->span)});
    }
    ctx_->Emit(PlacedNest(vars, owners, body, ctx_->span));
  }

  // The layout has no plan for dim: the tile goes to shared memory, one thread makes each output.
  void Whole() {
    std::vector<Var> vars = Vars(r_.shape.size());
    std::vector<Expr> point = AsExprs(vars);
    Stmt store =
        MakeStore(ws_->buffer, {RowMajorOf(point, r_.shape)}, LoadPoint(r_.src, point), ctx_->span);
    ctx_->Emit(PlacedNest(vars, layout_, store, ctx_->span));
    vars = Vars(r_.out_shape.size());
    std::vector<Expr> out = AsExprs(vars);
    bool fragment = r_.out->buffer->space() == Space::kFrag;
    Layout owners =
        fragment ? ctx_->LayoutOf(r_.out->buffer) : FlatLayout(r_.out_shape, ctx_->threads);
    Buffer all = ctx_->Local("red", r_.acc, 1);
    Var k = MakeVar("k");
    Expr element =
        r_.Element(MakeLoad(ws_->buffer, {RowMajorOf(r_.SourcePoint(out, k), r_.shape)}));
    Stmt join = MakeStore(all, {Zero()}, r_.Join(MakeLoad(all, {Zero()}), element), ctx_->span);
    Stmt body = MakeSeq({MakeStore(all, {Zero()}, r_.Empty(), ctx_->span),
                         MakeFor(k, MakeConst(r_.shape[r_.dim]), join, ctx_->span),
                         r_.Finish(out, MakeLoad(all, {Zero()}), ctx_->span)});
    ctx_->Emit(PlacedNest(vars, owners, body, ctx_->span));
  }

  void Explain() {
    std::string text;
    for (const ReduceStage& s : plan_.stages) {
      text += (text.empty() ? "" : ", ") + std::to_string(s.n) + " " + Name(s.kind);
      if (s.kind == StageKind::kLanes) text += " " + std::to_string(s.stride) + " apart";
    }
    if (plan_.whole) text = "the tile through shared memory";
    if (plan_.staged && plan_.warps == 1)
      text += (text.empty() ? "" : ", ") + std::string("results through shared memory");
    ctx_->Note(text.empty() ? "one element" : text);
  }

  LowerContext* ctx_;
  Reduction r_;
  Plan plan_;
  Region ws_;
  Layout layout_;
  Buffer partial_;
  int64_t slots_ = 1;
};

void Lower(const TileOpObj* op, LowerContext* ctx) {
  Emitter(op, ctx).Run();
}

}  // namespace

extern const Lowering kReduceShuffle;
const Lowering kReduceShuffle = {.name = "shuffle",
                                 .refuse = Refuse,
                                 .constrain = Constrain,
                                 .workspace = Staging,
                                 .lower = Lower};

}  // namespace tilescale::ops
