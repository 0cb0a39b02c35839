// SPDX-License-Identifier: MIT
// Vector accesses. A loop over v becomes loops over w and k, v = V·w + k: an access is a run if its
// index is linear in k with coefficient 1 and, at k = 0, a multiple of the access's width, and its
// guard does not depend on k. Runs become one vector access; everything else stays scalar in the
// loop over k.
//
// Each point keeps the order of its statements (I7, docs/ir.md). A run that is stored goes to
// memory behind the loop over k, so whatever else the body does to that memory must go through the
// same lanes in registers (Chunk) or be provably elsewhere; where neither holds, the store stays
// scalar, in its place.
#include "compiler/passes/partition_and_vectorize/partition.h"
#include "support/diagnostics.h"

#include <algorithm>

namespace tilescale::partition {

using namespace ir;  // NOLINT

namespace {

bool FillsBytes(DataType t, int64_t lanes) {
  return t.bits * lanes % 8 == 0;
}

bool Uses(const Expr& e, const Var& v) {
  bool uses = false;
  Walk(e, [&](const NodeObj* n) {
    uses = uses || n == v.get();
    return !uses;
  });
  return uses;
}

// A run that the body stores; its elements are lanes in registers until the loop over k ends.
struct Chunk {
  const StoreObj* store;  // the first that every iteration performs
  int64_t width;          // of one access
  bool alone = true;      // no other statement touches it: its loads stay in memory
  bool filled = false;    // read before it is written
  Buffer lanes;
};

bool SameGuard(const Expr& a, const Expr& b) {
  return a.defined() == b.defined() && (!a.defined() || SameExpr(a, b));
}

class Vectorizer {
 public:
  Vectorizer(const Var& v, int64_t extent, std::vector<Stmt> body, const VectorOptions& options,
             arith::Analyzer* analyzer, const Span& span)
      : v_(v),
        extent_(extent),
        body_(std::move(body)),
        options_(options),
        analyzer_(analyzer),
        span_(span) {
    for (size_t i = 0; i < body_.size(); ++i) {
      const Stmt& s = body_[i];
      Walk(s, [&](const NodeObj* n) {
        jumps_ = jumps_ || n->kind == NodeKind::kJump || n->kind == NodeKind::kWhile;
        calls_ = calls_ || n->kind == NodeKind::kCall;
        if (n->kind == NodeKind::kStore) {
          written_.emplace_back(static_cast<const StoreObj*>(n)->buffer->storage, i);
        }
        return true;
      });
      if (const auto* bind = s.as<BindObj>()) body_vars_.push_back(bind->var);
      if (const auto* call = s.as<CallObj>()) {
        for (const Expr& r : call->results) {
          if (r.kind() == NodeKind::kVar) body_vars_.push_back(r.as_or_throw<Var>());
        }
      }
    }
  }

  std::vector<Stmt> Run() {
    // A point that may leave the loop, or wait in it, is done before the next one begins.
    int64_t width = jumps_ ? 1 : ChooseWidth(options_.max_width);
    if (width == 1) return Scalar();
    w_ = MakeVar(std::string(v_->name) + "_o");
    k_ = MakeVar(std::string(v_->name) + "_i");
    width_ = width;
    size_t mark = analyzer_->Mark();
    analyzer_->Bind(w_, arith::Interval{0, extent_ / width - 1});
    analyzer_->Bind(k_, arith::Interval{0, width - 1});
    std::vector<Stmt> body = Vectors();
    analyzer_->Leave(mark);
    if (extent_ == width) {
      Stmt seq = Substitute(MakeSeq(body), VarMap{{w_.get(), MakeConst(0)}});
      return StmtsOf(seq);
    }
    return {MakeFor(w_, MakeConst(extent_ / width), MakeSeq(body), span_, ForKind::kUnroll)};
  }

 private:
  std::vector<Stmt> Scalar() {
    Stmt body = MakeSeq(body_);
    if (extent_ == 1) return StmtsOf(Substitute(body, VarMap{{v_.get(), MakeConst(0)}}));
    return {MakeFor(v_, MakeConst(extent_), body, span_, ForKind::kUnroll)};
  }

  // The index at v = V·w + k, simplified.
  Expr Split(const Expr& e, int64_t width, const Var& w, const Var& k) {
    if (!e.defined()) return e;
    return analyzer_->Simplify(SplitVar(e, width, w, k));
  }
  Expr SplitVar(const Expr& e, int64_t width, const Var& w, const Var& k) {
    return Substitute(e, VarMap{{v_.get(), Add(Mul(w, width), k)}});
  }

  // The widest power of two, at most `limit`, such that b[index] is a run of that width at every w.
  int64_t RunWidth(const Buffer& b, const Expr& index, const Expr& guard, int64_t limit) {
    // Without a fact about its base address a tensor is aligned to its elements only.
    if (b->space() == Space::kGlobal && !options_.aligned) return 1;
    for (int64_t width = std::min<int64_t>(limit, kMaxVectorBits / b->dtype.bits); width > 1;
         width /= 2) {
      if (!FillsBytes(b->dtype, width)) break;
      if (extent_ % width == 0 && IsRun(index, guard, width)) return width;
    }
    return 1;
  }

  // A variable that the body computes may depend on v in any way.
  bool UsesBodyVar(const Expr& e) {
    for (const Var& v : body_vars_) {
      if (e.defined() && Uses(e, v)) return true;
    }
    return false;
  }

  bool IsRun(const Expr& index, const Expr& guard, int64_t width) {
    if (UsesBodyVar(index) || UsesBodyVar(guard)) return false;
    if (ReadsWritten(index) || ReadsWritten(guard)) return false;
    Var w = MakeVar("w"), k = MakeVar("k");
    size_t mark = analyzer_->Mark();
    analyzer_->Bind(w, arith::Interval{0, extent_ / width - 1});
    analyzer_->Bind(k, arith::Interval{0, width - 1});
    Expr e = Split(index, width, w, k);
    auto stride = analyzer_->Stride(e, k);
    bool run = stride && *stride == 1 &&
               analyzer_->Divides(width, Substitute(e, VarMap{{k.get(), MakeConst(0)}}));
    if (run && guard.defined()) run = UniformGuard(Split(guard, width, w, k), k, width).defined();
    analyzer_->Leave(mark);
    return run;
  }

  // The guard without k, if it has one value for all k in 0 … width - 1; else null.
  Expr UniformGuard(const Expr& g, const Var& k, int64_t width) {
    if (!Uses(g, k)) return g;
    const auto* op = g.as<OpObj>();
    if (op == nullptr || op->args.size() != 2) return Expr();
    if (op->op() == OpCode::kAnd || op->op() == OpCode::kOr) {
      Expr a = UniformGuard(op->args[0], k, width), b = UniformGuard(op->args[1], k, width);
      return a.defined() && b.defined() ? MakeOp(op->op(), {a, b}, g.dtype()) : Expr();
    }
    if (!IsInteger(op->args[0].dtype())) return Expr();
    // x + k < y with x and y multiples of the width is x < y; x + k ≥ y likewise; ≤, > shift y by
    // one.
    Expr x = op->args[0], y = op->args[1];
    OpCode code = op->op();
    if (code == OpCode::kLe || code == OpCode::kGt) y = Add(y, 1);
    if (code == OpCode::kLe) code = OpCode::kLt;
    if (code == OpCode::kGt) code = OpCode::kGe;
    if (code != OpCode::kLt && code != OpCode::kGe) return Expr();
    auto stride = analyzer_->Stride(x, k);
    if (!stride || *stride != 1 || Uses(y, k)) return Expr();
    Expr base = analyzer_->Simplify(Substitute(x, VarMap{{k.get(), MakeConst(0)}}));
    if (!analyzer_->Divides(width, base) || !analyzer_->Divides(width, y)) return Expr();
    return analyzer_->Simplify(Compare(code, base, y));
  }

  // Its value changes within the body: no address of what moves out of the loop over k.
  bool ReadsWritten(const Expr& e) const {
    bool found = false;
    if (!e.defined()) return false;
    Walk(e, [&](const NodeObj* n) {
      if (n->kind != NodeKind::kLoad) return !found;
      const Storage& s = static_cast<const LoadObj*>(n)->buffer->storage;
      for (const auto& [storage, at] : written_) found = found || options_.aliases->May(storage, s);
      return !found;
    });
    return found;
  }

  // A load of it in the current statement cannot move before the loop over k.
  bool Written(const Buffer& b) const {
    if (calls_) return true;
    for (const auto& [storage, at] : written_) {
      if (storage.same_as(b->storage)) return true;
      if (at < current_ && options_.aliases->May(storage, b->storage)) return true;
    }
    return false;
  }

  // Loads that every iteration performs: not below a lazy operand, not inside nested statements.
  // `casts` sees the conversions among them.
  void Unconditional(
      const Expr& e, const std::function<void(const LoadObj*)>& loads,
      const std::function<void(const OpObj*)>& casts = [](const OpObj*) {}) {
    if (!e.defined()) return;
    if (const auto* load = e.as<LoadObj>()) {
      loads(load);
      for (const Expr& i : load->index) Unconditional(i, loads, casts);
      return;
    }
    const auto* op = e.as<OpObj>();
    if (op == nullptr) return;
    if (op->op() == OpCode::kCast) casts(op);
    bool lazy = op->op() == OpCode::kAnd || op->op() == OpCode::kOr || op->op() == OpCode::kIf;
    for (size_t i = 0; i < (lazy ? 1 : op->args.size()); ++i) {
      Unconditional(op->args[i], loads, casts);
    }
  }

  int64_t ChooseWidth(int64_t limit) {
    int64_t width = 1;
    for (current_ = 0; current_ < body_.size(); ++current_) {
      const Stmt& s = body_[current_];
      if (const auto* store = s.as<StoreObj>()) {
        if (IsMemory(store->buffer->space())) {
          width = std::max(width, RunWidth(store->buffer, store->index[0], store->guard, limit));
        }
        ConsiderAll(store->value, limit, &width);
      } else if (const auto* bind = s.as<BindObj>()) {
        ConsiderAll(bind->value, limit, &width);
      }
    }
    return width;
  }

  void ConsiderAll(const Expr& value, int64_t limit, int64_t* width) {
    Unconditional(
        value, [&](const LoadObj* load) { Consider(load, limit, width); },
        [&](const OpObj* cast) { *width = std::max(*width, UnpackWidth(cast, limit)); });
  }

  // Elements of less than a byte are converted together, wherever they are: the width in which
  // `cast` does that to a run, or 1.
  int64_t UnpackWidth(const OpObj* cast, int64_t limit) {
    const auto* load = cast->args[0].as<LoadObj>();
    if (load == nullptr || load->dtype.bits >= 8 || load->dtype.lanes > 1) return 1;
    const Buffer& b = load->buffer;
    if (cast->dtype.bits < 8 || b->space() == Space::kVar || load->other.defined()) return 1;
    if (IsBool(cast->dtype) || Written(b)) return 1;
    return RunWidth(b, load->index[0], load->guard,
                    std::min<int64_t>(limit, kMaxVectorBits / cast->dtype.bits));
  }

  void Consider(const LoadObj* load, int64_t limit, int64_t* width) {
    if (!IsMemory(load->buffer->space()) || load->dtype.lanes > 1 || Written(load->buffer)) return;
    *width = std::max(*width, RunWidth(load->buffer, load->index[0], load->guard, limit));
  }

  // -- emission: k_ and w_ are bound
  Expr At(const Expr& e, int64_t k) {
    if (!e.defined()) return e;
    return analyzer_->Simplify(
        Substitute(e, VarMap{{v_.get(), Add(Mul(w_, width_), MakeConst(k))}}));
  }

  Expr LaneGuard(const Expr& guard, int64_t width) {
    if (!guard.defined()) return guard;
    return UniformGuard(Split(guard, width_, w_, k_), k_, width);
  }

  // `value` as a vector expression of `width_` lanes, or null: loads that are runs, constants,
  // casts.
  Expr Vector(const Expr& value) {
    if (const auto* load = value.as<LoadObj>()) {
      if (load->dtype.lanes > 1 || !FillsBytes(load->dtype, width_)) return Expr();
      if (load->buffer->dtype.bits * width_ > kMaxVectorBits) return Expr();
      if (load->buffer->space() == Space::kGlobal && !options_.aligned) return Expr();
      if (load->buffer->space() == Space::kVar || !IsRun(load->index[0], load->guard, width_))
        return Expr();
      auto out = CopyNode(load);
      out->dtype = WithLanes(load->dtype, static_cast<int>(width_));
      out->index = {At(load->index[0], 0)};
      out->guard = LaneGuard(load->guard, width_);
      if (load->other.defined()) {
        if (Uses(load->other, v_)) return Expr();
        out->other = MakeOp(OpCode::kBroadcast, {load->other}, out->dtype);
      }
      return Expr(out);
    }
    const auto* op = value.as<OpObj>();
    if (op == nullptr || op->op() != OpCode::kCast) return Expr();
    // Conversions of whole vectors: both sides are ≤ 16 bytes.
    if (!FillsBytes(op->dtype, width_) || op->dtype.bits * width_ > kMaxVectorBits) return Expr();
    if (IsBool(op->dtype) || IsBool(op->args[0].dtype())) return Expr();
    Expr inner = Vector(op->args[0]);
    if (!inner.defined()) return Expr();
    return MakeOp(OpCode::kCast, {inner}, WithLanes(op->dtype, static_cast<int>(width_)));
  }

  // -- chunks

  enum class Meets { kNever, kSamePoint, kMaybe };

  // How an access of the body, at any point of a run, meets the chunk that `store` writes.
  Meets Meet(const StoreObj* store, const Buffer& b, const ffi::Array<Expr>& index) {
    if (!options_.aliases->May(store->buffer->storage, b->storage)) return Meets::kNever;
    if (!b.same_as(store->buffer)) return Meets::kMaybe;
    if (SameExpr(index[0], store->index[0])) return Meets::kSamePoint;
    // |difference| ≥ width_: outside the chunk, whichever two of its points are compared.
    arith::Interval apart = analyzer_->Bounds(Sub(index[0], store->index[0]));
    return apart.lo >= width_ || apart.hi <= -width_ ? Meets::kNever : Meets::kMaybe;
  }

  // What a node of the body does to the chunk.
  Meets MeetNode(const StoreObj* store, const NodeObj* n) {
    if (n->kind == NodeKind::kStore) {
      const auto* other = static_cast<const StoreObj*>(n);
      Meets m = Meet(store, other->buffer, other->index);
      return m == Meets::kSamePoint && other->value.dtype().lanes > 1 ? Meets::kMaybe : m;
    }
    if (n->kind == NodeKind::kLoad) {
      const auto* load = static_cast<const LoadObj*>(n);
      Meets m = Meet(store, load->buffer, load->index);
      return m == Meets::kSamePoint && load->dtype.lanes > 1 ? Meets::kMaybe : m;
    }
    if (n->kind == NodeKind::kRegion) {
      const auto* region = static_cast<const RegionObj*>(n);
      return options_.aliases->May(store->buffer->storage, region->buffer->storage) ? Meets::kMaybe
                                                                                    : Meets::kNever;
    }
    if (n->kind == NodeKind::kCall) {
      // What orders memory, or reaches what no argument names, stays behind the stores before it.
      bool orders = analysis::WritesOf(ffi::GetRef<Stmt>(static_cast<const CallObj*>(n))).memory;
      return orders ? Meets::kMaybe : Meets::kNever;
    }
    return Meets::kNever;
  }

  // The chunk that a store which every iteration performs begins, or nothing: it stays in place.
  std::optional<Chunk> PlanChunk(size_t at) {
    const auto* store = body_[at].as<StoreObj>();
    if (store == nullptr || !IsMemory(store->buffer->space())) return std::nullopt;
    Chunk c;
    c.store = store;
    c.width = RunWidth(store->buffer, store->index[0], store->guard, width_);
    if (c.width <= 1) return std::nullopt;
    bool apart = true, reads = false, fills = false;
    for (size_t i = 0; i < body_.size(); ++i) {
      const auto* other = body_[i].as<StoreObj>();
      Walk(body_[i], [&](const NodeObj* n) {
        if (n == store) return true;
        Meets m = MeetNode(store, n);
        if (m == Meets::kNever) return true;
        bool own = i == at && n->kind == NodeKind::kLoad;
        // The points of a nest do not see each other's writes.
        apart = apart && (m == Meets::kSamePoint || (own && options_.independent));
        c.alone = c.alone && own;
        reads = reads || (i <= at && n->kind == NodeKind::kLoad);
        return true;
      });
      if (other != nullptr && other != store && IsMemory(other->buffer->space()) &&
          Meet(store, other->buffer, other->index) == Meets::kSamePoint) {
        if (i < at) return std::nullopt;  // the first one's
        apart = apart && SameGuard(other->guard, store->guard);
      }
      if (i > at) continue;
      const auto* bind = body_[i].as<BindObj>();
      Expr value = other ? other->value : bind ? bind->value : Expr();
      Unconditional(value, [&](const LoadObj* load) {
        fills = fills || MeetNode(store, load) == Meets::kSamePoint;
      });
    }
    if (!apart) return std::nullopt;
    // Nothing is read that the body might not: it may be read-before-written otherwise.
    if (reads && !fills && !c.alone) return std::nullopt;
    c.filled = reads && fills;
    if (c.filled) c.alone = false;
    return c;
  }

  // The chunk that an access belongs to, if its lanes stand for memory.
  const Chunk* LanesOf(const Buffer& b, const ffi::Array<Expr>& index) const {
    for (const Chunk& c : chunks_) {
      if (!c.alone && b.same_as(c.store->buffer) && SameExpr(index[0], c.store->index[0])) {
        return &c;
      }
    }
    return nullptr;
  }

  // Accesses of chunks go to their lanes.
  class ThroughLanes : public Mutator {
   public:
    explicit ThroughLanes(Vectorizer* v) : v_(v) {}
    Expr MutateLoad(const Load& e) override {
      const Chunk* c = v_->LanesOf(e->buffer, e->index);
      if (c == nullptr) return DefaultExpr(e);
      Expr lane = v_->LaneLoad(c->lanes);
      if (!e->guard.defined()) return lane;
      Expr other = e->other.defined() ? MutateExpr(e->other) : MakeNumber(0, e->dtype);
      return If3(MutateExpr(e->guard), lane, other);
    }
    Stmt MutateStore(const Store& s) override {
      const Chunk* c = v_->LanesOf(s->buffer, s->index);
      if (c == nullptr) return DefaultStmt(s);
      Expr guard = SameGuard(s->guard, c->store->guard) ? Expr() : MutateExpr(s->guard);
      return MakeStore(c->lanes, {FloorMod(v_->v_, v_->width_)}, MutateExpr(s->value), s->span,
                       guard);
    }

   private:
    Vectorizer* v_;
  };

  void FillLanes(const Chunk& c, std::vector<Stmt>* before) {
    for (int64_t q = 0; q < width_; q += c.width) {
      Expr value = MakeLoad(c.store->buffer, {At(c.store->index[0], q)},
                            ChunkGuard(c.store->guard, q), Expr(), static_cast<int>(c.width));
      before->push_back(MakeStore(c.lanes, {MakeConst(q)}, value, span_));
    }
  }

  void WriteLanes(const Chunk& c, std::vector<Stmt>* after) {
    for (int64_t q = 0; q < width_; q += c.width) {
      auto out = CopyNode(c.store);
      out->index = {At(c.store->index[0], q)};
      out->guard = ChunkGuard(c.store->guard, q);
      out->value = MakeLoad(c.lanes, {MakeConst(q)}, Expr(), Expr(), static_cast<int>(c.width));
      after->push_back(Stmt(out));
    }
  }

  std::vector<Stmt> Vectors() {
    if (body_.size() == 1) {
      if (const auto* store = body_[0].as<StoreObj>()) {
        if (Stmt s = WholeStore(store); s.defined()) return {s};
      }
    }
    std::vector<Stmt> before, inside, after;
    for (size_t i = 0; i < body_.size(); ++i) {
      if (auto chunk = PlanChunk(i)) chunks_.push_back(*chunk);
    }
    for (Chunk& c : chunks_) {
      if (c.alone) continue;
      c.lanes = Lanes(c.store->buffer, "_v", &before);
      if (c.filled) FillLanes(c, &before);
    }
    ThroughLanes through(this);
    for (current_ = 0; current_ < body_.size(); ++current_) {
      Stmt s = through(body_[current_]);
      if (const auto* store = s.as<StoreObj>()) {
        auto out = CopyNode(store);
        out->value = Hoist(store->value, &before);
        for (Chunk& c : chunks_) {
          if (!c.alone || c.store != body_[current_].get()) continue;
          c.lanes = Lanes(store->buffer, "_v", &before);
          out->buffer = c.lanes;
          out->index = {k_};
          out->value = analyzer_->SimplifyValue(SplitVar(out->value, width_, w_, k_));
          out->guard = Expr();
        }
        inside.push_back(SplitStmt(Stmt(out)));
      } else if (const auto* bind = s.as<BindObj>()) {
        auto out = CopyNode(bind);
        out->value = Hoist(bind->value, &before);
        inside.push_back(SplitStmt(Stmt(out)));
      } else {
        inside.push_back(SplitStmt(s));
      }
    }
    for (const Chunk& c : chunks_) WriteLanes(c, &after);
    std::vector<Stmt> out = std::move(before);
    out.push_back(MakeFor(k_, MakeConst(width_), MakeSeq(inside), span_, ForKind::kUnroll));
    out.insert(out.end(), after.begin(), after.end());
    return out;
  }

  Stmt SplitStmt(const Stmt& s) {
    return Substitute(s, VarMap{{v_.get(), Add(Mul(w_, width_), k_)}});
  }

  // A guard that has one value on a chunk of a run: that of its first element.
  Expr ChunkGuard(const Expr& guard, int64_t q) { return At(guard, q); }

  // One vector statement for the whole body, or null.
  Stmt WholeStore(const StoreObj* store) {
    const Buffer& b = store->buffer;
    if (!FillsBytes(b->dtype, width_) || b->dtype.bits * width_ > kMaxVectorBits ||
        b->space() == Space::kVar) {
      return Stmt();
    }
    if (b->space() == Space::kGlobal && !options_.aligned) return Stmt();
    if (!IsRun(store->index[0], store->guard, width_)) return Stmt();
    Expr value = Vector(store->value);
    if (!value.defined()) return Stmt();
    Expr guard = LaneGuard(store->guard, width_);
    auto out = CopyNode(store);
    out->index = {At(store->index[0], 0)};
    out->value = value;
    out->guard = guard;
    return Stmt(out);
  }

  Buffer Lanes(const Buffer& like, const char* suffix, std::vector<Stmt>* before) {
    std::string name = std::string(like->name) + suffix;
    Buffer b = MakeBuffer(name, like->dtype, {MakeConst(width_)},
                          MakeStorage(name, Space::kLocal, Root::kAlloc));
    auto alloc = ffi::make_object<AllocObj>();
    alloc->buffer = b;
    alloc->span = span_;
    before->push_back(Stmt(alloc));
    return b;
  }

  // Replaces unconditional run loads of memory by elements of vectors loaded before the loop over
  // k.
  Expr Hoist(const Expr& e, std::vector<Stmt>* before) {
    if (const auto* load = e.as<LoadObj>()) {
      if (!IsMemory(load->buffer->space()) || load->dtype.lanes > 1 || Written(load->buffer))
        return e;
      int64_t width = RunWidth(load->buffer, load->index[0], load->guard, width_);
      if (width == 1 || (load->other.defined() && Uses(load->other, v_))) return e;
      for (const auto& [seen, lanes] : loads_) {
        if (SameExpr(seen, e)) return LaneLoad(lanes);
      }
      Buffer lanes = Lanes(load->buffer, "_v", before);
      for (int64_t q = 0; q < width_; q += width) {
        auto wide = CopyNode(load);
        wide->dtype = WithLanes(load->dtype, static_cast<int>(width));
        wide->index = {At(load->index[0], q)};
        wide->guard = ChunkGuard(load->guard, q);
        if (load->other.defined())
          wide->other = MakeOp(OpCode::kBroadcast, {load->other}, wide->dtype);
        before->push_back(MakeStore(lanes, {MakeConst(q)}, Expr(wide), span_));
      }
      loads_.emplace_back(e, lanes);
      return LaneLoad(lanes);
    }
    const auto* op = e.as<OpObj>();
    if (op == nullptr || op->args.empty()) return e;
    if (op->op() == OpCode::kCast) {
      if (int64_t width = UnpackWidth(op, width_); width > 1) return Unpacked(op, width, before);
    }
    bool lazy = op->op() == OpCode::kAnd || op->op() == OpCode::kOr || op->op() == OpCode::kIf;
    auto out = CopyNode(op);
    ffi::Array<Expr> args;
    for (size_t i = 0; i < op->args.size(); ++i) {
      args.push_back(lazy && i > 0 ? op->args[i] : Hoist(op->args[i], before));
    }
    out->args = args;
    return Expr(out);
  }

  Expr Unpacked(const OpObj* cast, int64_t width, std::vector<Stmt>* before) {
    const auto* load = cast->args[0].as<LoadObj>();
    auto copy = CopyNode(load->buffer.get());
    copy->dtype = cast->dtype;
    Buffer lanes = Lanes(Buffer(copy), "_u", before);
    for (int64_t q = 0; q < width_; q += width) {
      auto wide = CopyNode(load);
      wide->dtype = WithLanes(load->dtype, static_cast<int>(width));
      wide->index = {At(load->index[0], q)};
      wide->guard = ChunkGuard(load->guard, q);
      DataType to = WithLanes(cast->dtype, static_cast<int>(width));
      before->push_back(
          MakeStore(lanes, {MakeConst(q)}, MakeOp(OpCode::kCast, {Expr(wide)}, to), span_));
    }
    return LaneLoad(lanes);
  }

  // The element of this k; the loop over k is substituted later, so v's remainder names it.
  Expr LaneLoad(const Buffer& lanes) { return MakeLoad(lanes, {FloorMod(v_, width_)}); }

  Var v_, w_, k_;
  int64_t extent_, width_ = 1;
  std::vector<Stmt> body_;
  size_t current_ = 0;  // the statement of the body that is looked at
  std::vector<Var> body_vars_;
  std::vector<std::pair<Storage, size_t>> written_;  // by which statement
  bool calls_ = false, jumps_ = false;
  VectorOptions options_;
  arith::Analyzer* analyzer_;
  Span span_;
  std::vector<Chunk> chunks_;
  std::vector<std::pair<Expr, Buffer>> loads_;
};

}  // namespace

std::vector<Stmt> VectorizeLoop(const Var& var, int64_t extent, std::vector<Stmt> body,
                                const VectorOptions& options, arith::Analyzer* analyzer,
                                const Span& span) {
  std::vector<Stmt> out = Vectorizer(var, extent, std::move(body), options, analyzer, span).Run();
  if (!options.async) return out;
  for (Stmt& s : out) s = CopyAsync(s);
  return out;
}

}  // namespace tilescale::partition
