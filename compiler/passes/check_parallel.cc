// SPDX-License-Identifier: MIT
// T.Parallel: what stands in a nest, how it indexes fragments and thread-local arrays, and races
// that are certain.
#include "compiler/arith/analyzer.h"
#include "compiler/ir/build.h"
#include "compiler/ir/diag.h"
#include "compiler/ir/text.h"
#include "compiler/ir/visit.h"
#include "compiler/passes/check.h"
#include "compiler/passes/thread_uniform.h"

#include <algorithm>
#include <cstdlib>
#include <unordered_set>
#include <vector>

namespace tilescale::passes {

using namespace ir;  // NOLINT

namespace {

constexpr const char* kPrefix = "[Tilelang Semantic Check] ";

class NestChecker {
 public:
  explicit NestChecker(PassContext* ctx) : ctx_(ctx) {}

  void Visit(const Stmt& stmt) {
    if (!stmt.defined()) return;
    const StmtObj* s = stmt.get();
    switch (s->kind) {
      case NodeKind::kSeq:
        for (const Stmt& child : static_cast<const SeqObj*>(s)->stmts) Visit(child);
        return;
      case NodeKind::kParallel:
        return Nest(static_cast<const ParallelObj*>(s));
      case NodeKind::kFor: {
        const auto* loop = static_cast<const ForObj*>(s);
        if (nest_ != nullptr && loop->loop() == ForKind::kPipelined) {
          RaiseAt(s->span, "ValueError", kPrefix,
                  "Pipelined loop cannot be nested inside a parallel loop. Please check your loop "
                  "structure.");
        }
        Expressions(s);
        return Perhaps([&] { Visit(loop->body); });
      }
      case NodeKind::kWhile: {
        const auto* loop = static_cast<const WhileObj*>(s);
        Expressions(s);
        return Perhaps([&] {
          Visit(loop->head);
          Visit(loop->body);
        });
      }
      case NodeKind::kIf: {
        const auto* branch = static_cast<const IfObj*>(s);
        Expressions(s);
        conditions_.push_back(branch->cond);
        Visit(branch->then_case);
        conditions_.back() = Not(branch->cond);
        Visit(branch->else_case);
        conditions_.pop_back();
        return;
      }
      case NodeKind::kGroup:
        return Visit(static_cast<const GroupObj*>(s)->body);
      case NodeKind::kTileOp:
        if (nest_ == nullptr) return;
        RaiseAt(s->span, "ValueError", kPrefix,
                "Only elementwise operations are allowed inside a parallel loop. Got a tile-op \"",
                std::string(static_cast<const TileOpObj*>(s)->op), "\".");
      case NodeKind::kBind: {
        const auto* bind = static_cast<const BindObj*>(s);
        Expressions(s);
        NoteReads(bind->value, s);
        if (nest_ == nullptr) return;
        if (DependsOnPoint(bind->value)) point_vars_.insert(bind->var.get());
        names_[bind->var.get()] = Substitute(bind->value, names_);
        return;
      }
      case NodeKind::kAlloc: {
        const auto* alloc = static_cast<const AllocObj*>(s);
        Expressions(s);
        if (nest_ != nullptr && alloc->buffer.defined()) own_.insert(alloc->buffer->storage.get());
        return;
      }
      case NodeKind::kStore: {
        const auto* store = static_cast<const StoreObj*>(s);
        Expressions(s);
        Access(store->buffer, store->index, s);
        if (nest_ != nullptr) {
          Cell(store);
          Race(store);
          NoteReads(store->value, s);
          if (Certain() && !store->guard.defined())
            writes_.push_back({store->buffer, store->index, s});
        }
        return;
      }
      default:
        Expressions(s);
    }
  }

 private:
  void Nest(const ParallelObj* nest) {
    if (nest_ != nullptr) {
      RaiseAt(nest->span, "ValueError", kPrefix,
              "Nested parallel loops are not allowed. Please check your loop structure.");
    }
    nest_ = nest;
    for (const Var& v : nest->vars) point_vars_.insert(v.get());
    std::vector<Expr> conditions = std::exchange(conditions_, {});
    int perhaps = std::exchange(perhaps_, 0);
    reads_.clear();
    writes_.clear();
    Visit(nest->body);
    for (size_t i = 0; i < writes_.size(); ++i) {
      for (const Touch& read : reads_) ReadOfOther(writes_[i], read);
      for (size_t j = i + 1; j < writes_.size(); ++j) WriteOfOther(writes_[i], writes_[j]);
    }
    RecordUnproven();
    conditions_ = std::move(conditions);
    perhaps_ = perhaps;
    nest_ = nullptr;
  }

  // What a loop does, it may do not at all.
  template <typename F>
  void Perhaps(F inside) {
    ++perhaps_;
    inside();
    --perhaps_;
  }
  bool Certain() const { return conditions_.empty() && perhaps_ == 0; }

  // Memory and fragments: other places are a point's or a thread's own.
  static bool OfManyPoints(const Buffer& b) {
    return IsMemory(b->space()) || b->space() == Space::kFrag;
  }

  struct Touch {
    Buffer buffer;
    ffi::Array<Expr> index;
    const StmtObj* by;
  };

  // Loads that each point certainly does.
  void NoteReads(const Expr& value, const StmtObj* s) {
    if (nest_ == nullptr || !Certain()) return;
    Walk(value, [&](const NodeObj* n) {
      if (n->kind == NodeKind::kOp) {
        OpCode op = static_cast<const OpObj*>(n)->op();
        return op != OpCode::kIf && op != OpCode::kAnd && op != OpCode::kOr &&
               op != OpCode::kSelect;
      }
      if (n->kind != NodeKind::kLoad) return true;
      const auto* load = static_cast<const LoadObj*>(n);
      if (!load->guard.defined()) reads_.push_back({load->buffer, load->index, s});
      return true;
    });
  }

  // The other place of `write`'s element: another point, `steps` on along one variable, touches it
  // as `other`.
  struct OtherPoint {
    const VarObj* along = nullptr;
    int64_t steps = 0;
  };
  OtherPoint Meets(const Touch& write, const Touch& other) const {
    if (!write.buffer.same_as(other.buffer) || !OfManyPoints(write.buffer)) return {};
    arith::Analyzer analyzer;
    OtherPoint out;
    const VarObj*& along = out.along;
    for (size_t d = 0; d < write.index.size(); ++d) {
      if (SameExpr(write.index[d], other.index[d])) continue;
      arith::LinearForm apart = analyzer.Linear(Sub(write.index[d], other.index[d]));
      if (along != nullptr || !apart.terms.empty()) return {};
      for (const auto& [term, factor] : analyzer.Linear(write.index[d]).terms) {
        bool own = false;
        for (size_t k = 0; k < nest_->vars.size(); ++k) {
          if (term.get() != nest_->vars[k].get()) continue;
          auto extent = AsInt(nest_->extents[k]);
          if (along != nullptr || factor != 1 || !extent || std::abs(apart.constant) >= *extent)
            return {};
          along = nest_->vars[k].get();
          own = true;
        }
        if (!own && DependsOnPoint(term)) return {};
      }
      if (along == nullptr || apart.constant == 0) return {};
      out.steps = apart.constant;
    }
    if (along == nullptr) return {};
    for (size_t d = 0; d < write.index.size(); ++d) {
      if (SameExpr(write.index[d], other.index[d]) &&
          (Uses(write.index[d], along) || UsesDerived(write.index[d])))
        return {};
    }
    return out;
  }

  static std::string Text(const Touch& t) {
    return "`" + Spelled(MakeLoad(t.buffer, {t.index.begin(), t.index.end()})) + "`";
  }
  static std::string Line(const Touch& t) {
    return t.by->span.defined() ? " at line " + std::to_string(t.by->span->line) : "";
  }

  // Does a point read what another one stores?
  void ReadOfOther(const Touch& write, const Touch& read) const {
    OtherPoint other = Meets(write, read);
    if (other.along == nullptr) return;
    RaiseAt(read.by->span, "ValueError", kPrefix, "Data race: the points of T.Parallel read ",
            Text(read), " here and store ", Text(write), Line(write),
            ": the same elements at another `", std::string(other.along->name),
            "`, and the points have no order. Store to another buffer, or use a loop for each");
  }

  // Does a point store another value where another one stores?
  void WriteOfOther(const Touch& first, const Touch& second) const {
    OtherPoint other = Meets(first, second);
    if (other.along == nullptr) return;
    auto value = [&](const Touch& t) {
      return Substitute(static_cast<const StoreObj*>(t.by)->value, names_);
    };
    Var along = ffi::GetRef<Var>(other.along);
    Expr there = Substitute(value(second), {{other.along, Add(along, other.steps)}});
    if (SameExpr(value(first), there)) return;
    RaiseAt(second.by->span, "ValueError", kPrefix, "Data race: the points of T.Parallel store ",
            Text(second), " here and ", Text(first), Line(first),
            ": different values for the same elements at another `", std::string(other.along->name),
            "`, and the points have no order. Use a loop for each");
  }

  // May two points touch one element by `a` and `b`?
  bool MayMeet(const Touch& a, const Touch& b) const {
    arith::Analyzer analyzer;
    BindPoints(*nest_, &analyzer);
    VarMap fresh;
    for (size_t d = 0; d < nest_->vars.size(); ++d) {
      Var other = MakeVar("other", nest_->vars[d].dtype());
      fresh[nest_->vars[d].get()] = other;
      if (auto extent = AsInt(nest_->extents[d])) analyzer.Bind(other, {0, *extent - 1});
    }
    bool equal = true;
    for (size_t d = 0; d < a.index.size(); ++d) {
      Expr x = Substitute(a.index[d], names_), y = Substitute(b.index[d], names_);
      if (!SameExpr(x, y)) equal = false;
      arith::Interval apart = analyzer.Bounds(Sub(x, Substitute(y, fresh)));
      if (apart.lo > 0 || apart.hi < 0) return false;
    }
    // Of one place the points are apart if they are numbers of points; what is read is any number.
    return !equal || std::any_of(a.index.begin(), a.index.end(),
                                 [&](const Expr& e) { return UsesDerived(Substitute(e, names_)); });
  }

  // What is neither a race for certain nor certainly none is the program's business: explain()
  // names it.
  void RecordUnproven() {
    auto record = [&](const Touch& write, const Touch& other, const char* does) {
      if (!write.buffer.same_as(other.buffer) || !OfManyPoints(write.buffer) ||
          !MayMeet(write, other))
        return;
      ctx_->Record("check", other.by->span, "memory " + std::string(write.buffer->name),
                   "left to the program: two points of T.Parallel may store " + Text(write) +
                       Line(write) + " and " + does + " " + Text(other) + Line(other) +
                       " at one element");
    };
    for (size_t i = 0; i < writes_.size(); ++i) {
      for (const Touch& read : reads_) record(writes_[i], read, "read");
      for (size_t j = i; j < writes_.size(); ++j) record(writes_[i], writes_[j], "store");
    }
  }

  // The loads of a statement's own expressions.
  void Expressions(const StmtObj* s) {
    ForEachExpr(s, [&](const Expr& e) {
      if (const auto* load = e.as<LoadObj>()) Access(load->buffer, load->index, s);
    });
  }

  bool DependsOnPoint(const Expr& e) const {
    bool depends = false;
    WalkOnce(e, [&](const NodeObj* n) {
      if (n->kind == NodeKind::kVar) depends = depends || point_vars_.count(n) != 0;
      // What a point reads of its own cells may differ from what another reads.
      if (n->kind == NodeKind::kLoad) {
        depends = depends || IsRegister(static_cast<const LoadObj*>(n)->buffer->space());
      }
      return !depends;
    });
    return depends;
  }

  static bool Uses(const Expr& e, const VarObj* var) {
    bool uses = false;
    WalkOnce(e, [&](const NodeObj* n) {
      uses = uses || n == var;
      return !uses;
    });
    return uses;
  }

  void Access(const Buffer& buffer, const ffi::Array<Expr>& index, const StmtObj* s) {
    if (buffer->space() == Space::kLocal && nest_ != nullptr) return Local(buffer, index, s);
    if (buffer->space() == Space::kFrag) Fragment(buffer, index, s);
  }

  void Local(const Buffer& buffer, const ffi::Array<Expr>& index, const StmtObj* s) {
    for (const Expr& e : index) {
      for (const Var& v : nest_->vars) {
        if (!Uses(e, v.get())) continue;
        RaiseAt(s->span, "ValueError", kPrefix, "Local buffer `", std::string(buffer->name),
                "` is indexed by T.Parallel loop variable `", std::string(v->name),
                "`: each thread has its own array. Use T.alloc_fragment, or a serial loop");
      }
    }
  }

  void Fragment(const Buffer& buffer, const ffi::Array<Expr>& index, const StmtObj* s) {
    std::string name = buffer->name;
    bool constant = true;
    for (const Expr& e : index) {
      auto i = AsInt(e);
      constant = constant && i;
      if (i && *i != 0) NonZero(index, s);
    }
    if (constant) return;  // all zero: every thread has it
    if (nest_ == nullptr) {
      RaiseAt(s->span, "ValueError", kPrefix, "Fragment buffer `", name,
              "` is accessed outside of T.Parallel: its elements are spread over the threads. Loop "
              "over it ",
              "with T.Parallel, or copy it to shared memory first");
    }
    for (const Expr& extent : nest_->extents) {
      if (AsInt(extent)) continue;
      RaiseAt(s->span, "ValueError", kPrefix, "A loop with symbolic extent `", Spelled(extent),
              "` may not index fragment `", name,
              "`: the extents of T.Parallel must be constants there");
    }
    for (const Expr& e : index) {
      if (Affine(e)) continue;
      RaiseAt(s->span, "ValueError", kPrefix, "Fragment buffer `", name, "` is indexed by `",
              Spelled(e),
              "`: an index must be a sum of multiples of the variables of T.Parallel and of serial "
              "loops");
    }
  }

  [[noreturn]] void NonZero(const ffi::Array<Expr>& index, const StmtObj* s) {
    std::string text;
    for (const Expr& e : index) text += (text.empty() ? "" : ", ") + Spelled(e);
    RaiseAt(s->span, "ValueError", kPrefix, "Fragment buffer access with non-zero index [", text,
            "] is not supported. Only fragment[0] access is allowed within T.Parallel loop.");
  }

  // Sums of multiples of loop variables; digits of them (i / 8, i % 8) and their permutations are
  // left to the solver, which knows which maps a layout can say.
  bool Affine(const Expr& e) const {
    bool affine = true;
    Walk(e, [&](const NodeObj* n) {
      switch (n->kind) {
        case NodeKind::kConst:
        case NodeKind::kVar:
          return true;
        case NodeKind::kOp: {
          OpCode op = static_cast<const OpObj*>(n)->op();
          bool fine = op == OpCode::kAdd || op == OpCode::kSub || op == OpCode::kMul ||
                      op == OpCode::kFloorDiv || op == OpCode::kFloorMod ||
                      op == OpCode::kTruncDiv || op == OpCode::kTruncMod || op == OpCode::kCast ||
                      op == OpCode::kBitXor || op == OpCode::kBitAnd || op == OpCode::kShl ||
                      op == OpCode::kShr;
          affine = affine && fine;
          return affine;
        }
        default:
          affine = false;
          return false;
      }
    });
    return affine;
  }

  // Normalise gave the points that set a cell first a cell of their own: what is left is carried
  // over.
  void Cell(const StoreObj* store) {
    const Buffer& cell = store->buffer;
    if (cell->space() != Space::kVar || own_.count(cell->storage.get()) != 0) return;
    std::string name = cell->name;
    RaiseAt(
        store->span, "CompileError", "`", name,
        "` keeps a value from one point of T.Parallel to the ",
        "next, but the points have no order: assign to it first at each point, or use a serial ",
        "loop, T.reduce or an atomic");
  }

  // Does the value depend on what the store overwrites?
  static bool ReadsItself(const StoreObj* store) {
    bool reads = false;
    WalkOnce(store->value, [&](const NodeObj* n) {
      if (n->kind != NodeKind::kLoad) return !reads;
      const auto* load = static_cast<const LoadObj*>(n);
      bool same = load->buffer.same_as(store->buffer);
      for (size_t d = 0; same && d < load->index.size(); ++d) {
        same = SameExpr(load->index[d], store->index[d]);
      }
      reads = reads || same;
      return !reads;
    });
    return reads;
  }

  // Does a branch around let in some points along `v` and others not?
  bool Divides(const VarObj* v) const {
    return std::any_of(conditions_.begin(), conditions_.end(), [&](const Expr& e) {
      return VariesAlong(*nest_, Substitute(e, names_), v);
    });
  }

  // Two points that certainly write different values to one place, or update it one after the
  // other. In memory a branch may keep them apart, and the simulator sees whether it does. Threads
  // that hold copies of an element of a fragment would go apart unseen, each with what its own
  // points stored: all points that share the element store it, and one value.
  void Race(const StoreObj* store) {
    const bool fragment = store->buffer->space() == Space::kFrag;
    if (!OfManyPoints(store->buffer) || store->guard.defined()) return;
    if (!fragment && !conditions_.empty()) return;
    const Expr value = Substitute(store->value, names_);
    for (size_t d = 0; d < nest_->vars.size(); ++d) {
      const VarObj* v = nest_->vars[d].get();
      auto extent = AsInt(nest_->extents[d]);
      if (!extent || *extent < 2) continue;
      bool addressed = false;
      for (const Expr& e : store->index) addressed = addressed || Uses(e, v) || UsesDerived(e);
      if (addressed) continue;  // before large values are looked through
      const bool differ = VariesAlong(*nest_, value, v) || ReadsItself(store);
      if (!(differ || (fragment && Divides(v)))) continue;
      const std::string name(v->name),
          place = Spelled(MakeLoad(store->buffer, {store->index.begin(), store->index.end()}));
      RaiseAt(
          store->span, "ValueError", kPrefix, "Data race: the points of T.Parallel along `", name,
          differ ? "` store different values to `" : "` store, and some of them only, to `", place,
          "`. Use T.reduce", fragment ? ", T.serial over `" + name + "`" : ", T.atomic_add",
          ", or index it by `", name, "`");
    }
  }
  // A name bound from the point's variables may stand for any of them.
  bool UsesDerived(const Expr& e) const {
    bool derived = false;
    WalkOnce(e, [&](const NodeObj* n) {
      bool own = false;
      for (const Var& v : nest_->vars) own = own || v.get() == n;
      if (n->kind == NodeKind::kVar) derived = derived || (!own && point_vars_.count(n) != 0);
      if (n->kind == NodeKind::kLoad)
        derived = derived || DependsOnPoint(ffi::GetRef<Expr>(static_cast<const ExprObj*>(n)));
      return !derived;
    });
    return derived;
  }

  PassContext* ctx_;
  const ParallelObj* nest_ = nullptr;
  VarMap names_;  // what names of nests stand for
  std::unordered_set<const NodeObj*>
      point_vars_;                             // the nest's variables and what is bound from them
  std::unordered_set<const StorageObj*> own_;  // cells declared in a nest
  std::vector<Expr> conditions_;               // of the branches around, within the nest
  int perhaps_ = 0;                            // loops around, likewise
  std::vector<Touch> reads_, writes_;          // certain ones, of the nest
};

}  // namespace

void CheckNests(const Kernel& kernel, PassContext* ctx) {
  NestChecker(ctx).Visit(kernel->body);
}

}  // namespace tilescale::passes
