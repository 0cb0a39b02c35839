// SPDX-License-Identifier: MIT
// Scans through shared memory: the tile lies there line by line in scan order, each line padded to
// whole runs of `width` lanes. A run is scanned by shuffles, its last value carried into the next
// run.
#include "compiler/ops/common/nest.h"
#include "compiler/ops/common/region.h"
#include "compiler/ops/scan/scan.h"
#include "compiler/target/constants.h"

#include <algorithm>
#include <bit>

namespace tilescale::ops {

using namespace ir;  // NOLINT

namespace {

constexpr int64_t kWarp = target::kWarpSize;

std::optional<std::string> Refuse(const TileOpObj* op, const OpContext&) {
  for (const char* name : {"src", "dst"}) {
    Region r = RegionArg(op, name);
    if (r->buffer->space() == Space::kFrag && !IsWhole(r))
      return "a part of fragment " + std::string(r->buffer->name);
  }
  return std::nullopt;
}

struct Shape {
  int64_t length, lines;  // of the tile
  int64_t width;          // lanes of one line at a time
  int64_t threads;        // that take part: whole groups of `width` lanes
  int64_t parallel;       // lines at a time
  int64_t rounds;         // over the lines
  int64_t runs;           // of a line
  int64_t pitch() const { return runs * width; }
  int64_t elements() const { return rounds * parallel * pitch(); }
};

Shape ShapeOf(const Scan& s, int64_t threads) {
  Shape z;
  z.length = s.shape[s.dim];
  z.lines = 1;
  for (int64_t e : s.shape) z.lines *= e;
  z.lines /= z.length;
  z.threads = threads >= kWarp ? threads / kWarp * kWarp
                               : static_cast<int64_t>(std::bit_floor(uint64_t(threads)));
  z.width = std::min({static_cast<int64_t>(std::bit_ceil(uint64_t(z.length))), kWarp, z.threads});
  z.parallel = z.threads / z.width;
  z.rounds = tilescale::CeilDiv(z.lines, z.parallel);
  z.runs = tilescale::CeilDiv(z.length, z.width);
  return z;
}

std::optional<Workspace> Tile(const TileOpObj* op, LowerContext* ctx) {
  Scan s = ScanOf(op);
  return Workspace{s.staged, ShapeOf(s, ctx->threads).elements()};
}

class Emitter {
 public:
  Emitter(const TileOpObj* op, LowerContext* ctx)
      : ctx_(ctx),
        s_(ScanOf(op)),
        z_(ShapeOf(s_, ctx->threads)),
        ws_(RegionArg(op, "workspace")->buffer) {}

  void Run() {
    bool registers = s_.src->buffer->space() == Space::kFrag;
    if (registers) Copy(true);
    Lines(registers);
    Copy(false);
    ctx_->Note(std::to_string(z_.parallel) + " lines at a time, " + std::to_string(z_.width) +
               " lanes each, through " + std::to_string(z_.elements() * s_.staged.bits / 8) +
               " bytes of shared memory");
  }

 private:
  // The element k of a line as its position in scan order, and back.
  Expr Order(Expr k) { return s_.reverse ? Sub(MakeConst(z_.length - 1), std::move(k)) : k; }

  // Between the tile and the workspace, every point.
  void Copy(bool in) {
    const Region& tile = in ? s_.src : s_.dst;
    std::vector<Var> vars = NestVars(static_cast<int>(s_.shape.size()));
    std::vector<Expr> point = AsExprs(vars), line = point;
    std::vector<int64_t> lines = s_.shape;
    lines[s_.dim] = 1;
    line[s_.dim] = MakeConst(0);
    Expr at = Add(Mul(RowMajorOf(line, lines), z_.pitch()), Order(point[s_.dim]));
    Stmt body = in ? MakeStore(ws_, {at}, Cast(LoadPoint(tile, point), s_.staged), ctx_->span)
                   : StorePoint(tile, point, MakeLoad(ws_, {at}), ctx_->span);
    Layout layout = tile->buffer->space() == Space::kFrag ? ctx_->LayoutOf(tile->buffer)
                                                          : FlatLayout(s_.shape, ctx_->threads);
    ctx_->Emit(PlacedNest(vars, layout, body, ctx_->span));
  }

  // The element at position `q` of a line, in the tile.
  std::vector<Expr> PointOf(Expr line, Expr q) {
    std::vector<Expr> point(s_.shape.size());
    for (size_t d = s_.shape.size(); d-- > 0;) {
      if (static_cast<int>(d) == s_.dim) {
        point[d] = Order(q);
        continue;
      }
      point[d] = FloorMod(line, s_.shape[d]);
      line = FloorDiv(line, s_.shape[d]);
    }
    return point;
  }

  Stmt Shuffle(const char* instr, const Buffer& x, int64_t lane, const Var& result) {
    return MakeCall(
        instr,
        {At(x), MakeConst(lane), MakeConst(z_.width), MakeConst(target::kAllLanes, UInt(32))},
        ctx_->span, {result});
  }
  Expr At(const Buffer& cell) { return MakeLoad(cell, {MakeConst(0)}); }
  Stmt Set(const Buffer& cell, Expr value) {
    return MakeStore(cell, {MakeConst(0)}, std::move(value), ctx_->span);
  }

  void Lines(bool staged) {
    Buffer x = ctx_->Local("scan", s_.acc, 1), carry = ctx_->Local("carry", s_.acc, 1);
    Expr empty = Identity(s_.combiner, s_.acc);
    Var round = MakeVar("round"), run = MakeVar("run");
    Var line = MakeVar("line"), lane = MakeVar("lane"), q = MakeVar("q");
    Expr takes_part;
    if (z_.threads < ctx_->threads) takes_part = Lt(ctx_->tid, z_.threads);
    Expr inside = takes_part;
    if (z_.rounds * z_.parallel > z_.lines) inside = And(inside, Lt(line, z_.lines));
    if (z_.pitch() > z_.length) inside = And(inside, Lt(q, z_.length));
    Expr place = Add(Mul(line, z_.pitch()), q), value;
    if (staged) {
      value = Cast(MakeLoad(ws_, {place}, inside, MakeNumber(0, s_.staged)), s_.acc);
    } else {
      DataType t = s_.src->buffer->dtype;
      value = Cast(LoadPoint(s_.src, PointOf(line, q), inside, MakeNumber(0, t)), s_.acc);
    }
    if (inside.defined()) value = Select(inside, value, empty);
    std::vector<Stmt> body = {MakeBind(q, Add(Mul(run, z_.width), lane), ctx_->span),
                              Set(x, value)};
    for (int64_t step = 1; step < z_.width; step *= 2) {
      Var below = MakeVar("below", s_.acc);
      body.push_back(Shuffle("shfl.up", x, step, below));
      Expr from = Select(Ge(lane, MakeConst(step)), below, empty);
      body.push_back(Set(x, Combine(s_.combiner, false, At(x), from)));
    }
    if (z_.runs > 1) body.push_back(Set(x, Combine(s_.combiner, false, At(carry), At(x))));
    body.push_back(MakeStore(ws_, {place}, Cast(At(x), s_.staged), ctx_->span, takes_part));
    if (z_.runs > 1) {
      Var last = MakeVar("last", s_.acc);
      body.push_back(Shuffle("shfl.idx", x, z_.width - 1, last));
      body.push_back(Set(carry, last));
    }
    // Threads that take no part shuffle with their warp all the same.
    ctx_->Emit(MakeBind(lane, FloorMod(ctx_->tid, z_.width), ctx_->span));
    std::vector<Stmt> one_line = {
        MakeBind(line, Add(Mul(round, z_.parallel), FloorDiv(ctx_->tid, z_.width)), ctx_->span)};
    if (z_.runs > 1) one_line.push_back(Set(carry, empty));
    one_line.push_back(MakeFor(run, MakeConst(z_.runs), MakeSeq(body), ctx_->span));
    ctx_->Emit(MakeFor(round, MakeConst(z_.rounds), MakeSeq(one_line), ctx_->span));
  }

  LowerContext* ctx_;
  Scan s_;
  Shape z_;
  Buffer ws_;
};

void Lower(const TileOpObj* op, LowerContext* ctx) {
  Emitter(op, ctx).Run();
}

}  // namespace

extern const Lowering kScanShared;
const Lowering kScanShared = {
    .name = "shared", .refuse = Refuse, .workspace = Tile, .lower = Lower};

}  // namespace tilescale::ops
