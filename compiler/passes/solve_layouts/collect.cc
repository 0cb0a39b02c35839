// SPDX-License-Identifier: MIT
#include "compiler/passes/solve_layouts/collect.h"

#include "compiler/arith/facts.h"
#include "compiler/ir/diag.h"
#include "compiler/ir/text.h"
#include "compiler/layout/table.h"
#include "support/diagnostics.h"

#include <algorithm>
#include <numeric>
#include <unordered_set>

namespace tilescale::layouts {

using namespace ir;  // NOLINT

namespace {

constexpr int64_t kUnknownTrips = 16;  // weight of a loop whose extent is known at launch only
constexpr int64_t kMaxWeight = 1 << 20;

// IR family bits → the solver's (1 << FamilyKind).
int64_t SolverFamilies(int64_t families) {
  int64_t mask = 0;
  auto add = [&](int64_t bit, FamilyKind kind) {
    if (families & bit) mask |= int64_t(1) << int(kind);
  };
  add(kLinear, FamilyKind::kLinear);
  add(kSwizzle128, FamilyKind::kSwizzle128);
  add(kSwizzle64, FamilyKind::kSwizzle64);
  add(kSwizzle32, FamilyKind::kSwizzle32);
  add(kPadded, FamilyKind::kPadded);
  return mask;
}

class Collector : public LayoutConstraints {
 public:
  Collector(const Func& f, const Kernel& k, const Target& target)
      : func_(f), kernel_(k), target_(target) {}

  Problem Run() {
    arith::BindKernel(&analyzer_, func_, kernel_);
    threads_ = kernel_->total_threads();
    problem_.program.threads = threads_;
    Visit(kernel_->body);
    return std::move(problem_);
  }

  // -- LayoutConstraints: what the current op says
  // ---------------------------------------------------
  void Anchor(const Buffer& b, const Layout& layout, std::string why) override {
    Add(solver::Anchor{Fragment(b), layout, std::move(why), solver::AnchorUse::kDef, weight_}, {b});
  }
  void Operand(const Buffer& b, const Layout& layout, std::string why) override {
    Add(solver::Anchor{Fragment(b), layout, std::move(why), solver::AnchorUse::kRead, weight_},
        {b});
  }
  void Reduce(const Buffer& src, const Buffer& dst, int dim) override {
    Add(solver::Reduce{Fragment(src), Fragment(dst), dim, weight_, OpReads(dst)}, {src, dst});
  }
  void Scan(const Buffer& b, int dim) override {
    Add(solver::Scan{Fragment(b), dim, weight_}, {b});
  }
  void Permute(const Buffer& src, const Buffer& dst, std::vector<int> dims) override {
    solver::View v;
    v.src = Fragment(src);
    v.dst = Fragment(dst);
    v.kind = solver::ViewKind::kPermute;
    v.alias = false;
    v.order = std::move(dims);
    Add(v, {src, dst});
  }
  void MatrixReads(const Buffer& b, int row_dim, int64_t times) override {
    auto it = problem_.shared_of.find(b->storage.get());
    if (it == problem_.shared_of.end() || it->second < 0) return;
    Add(solver::MatrixReads{it->second, b->dtype.bits, row_dim, times, weight_}, {b});
  }

 private:
  bool OpReads(const Buffer& b) const {
    for (const Effect& e : DefOf(current_.as<TileOpObj>()).effects(current_.as<TileOpObj>())) {
      if (e.mode != ir::Mode::kWrite && e.region->buffer->storage.same_as(b->storage)) return true;
    }
    return false;
  }

  void Add(solver::Op op, std::vector<Buffer> buffers) {
    problem_.program.ops.push_back(std::move(op));
    problem_.sources.push_back({current_, std::move(buffers)});
  }

  int Fragment(const Buffer& b) {
    auto it = problem_.fragment_of.find(b.get());
    TS_CHECK(it != problem_.fragment_of.end())
        << "fragment " << b->name << " has no declaration in scope";
    return it->second;
  }

  int NewFragment(const Buffer& b) {
    solver::Fragment fragment;
    fragment.name = std::string(b->name);
    fragment.shape = ConstShape(b);
    fragment.bits = b->dtype.bits;
    fragment.threads = threads_;
    problem_.program.fragments.push_back(std::move(fragment));
    problem_.fragments.push_back(b);
    int index = static_cast<int>(problem_.fragments.size()) - 1;
    problem_.fragment_of[b.get()] = index;
    return index;
  }

  void Visit(const Stmt& s) {
    if (!s.defined()) return;
    switch (s.kind()) {
      case NodeKind::kSeq:
        for (const Stmt& x : s.as<SeqObj>()->stmts) Visit(x);
        return;
      case NodeKind::kBind:
        OutsideNests(s, s.as<BindObj>()->value);
        analyzer_.Define(s.as<BindObj>()->var, s.as<BindObj>()->value);
        return;
      case NodeKind::kAlloc:
        VisitAlloc(s.as<AllocObj>());
        return;
      case NodeKind::kView:
        VisitView(s.as<ViewObj>());
        return;
      case NodeKind::kFor: {
        const auto* loop = s.as<ForObj>();
        OutsideNests(s, loop->begin);
        OutsideNests(s, loop->extent);
        size_t mark = analyzer_.Mark();
        int64_t outer = weight_;
        auto trips = AsInt(analyzer_.Simplify(loop->extent));
        arith::BindLoop(&analyzer_, loop);
        weight_ =
            std::min(kMaxWeight, weight_ * std::max<int64_t>(1, trips.value_or(kUnknownTrips)));
        Visit(loop->body);
        weight_ = outer;
        analyzer_.Leave(mark);
        return;
      }
      case NodeKind::kWhile: {
        int64_t outer = weight_;
        weight_ = std::min(kMaxWeight, weight_ * kUnknownTrips);
        Visit(s.as<WhileObj>()->head);
        OutsideNests(s, s.as<WhileObj>()->cond);
        Visit(s.as<WhileObj>()->body);
        weight_ = outer;
        return;
      }
      case NodeKind::kIf:
        OutsideNests(s, s.as<IfObj>()->cond);
        Visit(s.as<IfObj>()->then_case);
        Visit(s.as<IfObj>()->else_case);
        return;
      case NodeKind::kGroup: {
        int64_t outer = threads_;
        threads_ = s.as<GroupObj>()->count;
        Visit(s.as<GroupObj>()->body);
        threads_ = outer;
        return;
      }
      case NodeKind::kParallel:
        current_ = s;
        AddNest(s.as<ParallelObj>(), s);
        return;
      case NodeKind::kTileOp: {
        current_ = s;
        const auto* op = s.as<TileOpObj>();
        const Lowering& lowering = LoweringOf(op);
        if (lowering.constrain != nullptr) lowering.constrain(op, threads_, target_, this);
        if (lowering.nest != nullptr) AddNest(lowering.nest(op).as<ParallelObj>(), s);
        return;
      }
      case NodeKind::kStore:
      case NodeKind::kCall:
        OutsideNests(s, s);
        return;
      default:
        return;
    }
  }

  void VisitAlloc(const AllocObj* alloc) {
    if (!alloc->buffer.defined()) return;
    const Buffer& b = alloc->buffer;
    if (b->space() == Space::kFrag || b->space() == Space::kShared) {
      CheckSize(ConstShape(b), "`" + std::string(b->name) + "`", "elements", alloc->span);
    }
    if (b->space() == Space::kFrag) {
      int index = NewFragment(b);
      if (alloc->layout.size() == 0) return;
      AnyLayout given = *ParseAny(Str(alloc->layout));
      if (const Layout* fixed = std::get_if<Layout>(&given)) {
        problem_.program.ops.push_back(
            solver::Anchor{index, *fixed, "T.annotate_layout", solver::AnchorUse::kAnnotated, 1});
        problem_.sources.push_back({ffi::GetRef<Stmt>(alloc), {b}});
      } else {
        problem_.no_digits.emplace_back(alloc->span, "fragment " + std::string(b->name));
      }
    } else if (b->space() == Space::kShared) {
      solver::SharedBuffer shared;
      shared.name = std::string(b->name);
      std::vector<int64_t> shape = ConstShape(b);
      if (alloc->layout.size() > 0) {
        shared.options.push_back({"annotated", *ParseAny(Str(alloc->layout))});
      } else {
        int64_t families = alloc->families != 0 ? alloc->families : int64_t(kLinear);
        shared.options = solver::FamilyOptions(shape, b->dtype.bits, SolverFamilies(families));
      }
      TS_CHECK(!shared.options.empty()) << "shared buffer " << b->name << " has no family";
      problem_.program.buffers.push_back(std::move(shared));
      problem_.shared_of[b->storage.get()] = static_cast<int>(problem_.program.buffers.size()) - 1;
      shared_root_[b->storage.get()] = b;
    }
  }

  void VisitView(const ViewObj* view) {
    const Buffer& b = view->buffer;
    if (view->pointer.defined() || b->space() != Space::kFrag || view->slots) return;
    int src = -1;
    for (size_t i = 0; i < problem_.fragments.size(); ++i) {
      if (problem_.fragments[i]->storage.same_as(b->storage)) {
        src = static_cast<int>(i);
        break;
      }
    }
    TS_CHECK(src >= 0) << "view " << b->name << " of an undeclared fragment";
    const Buffer root = problem_.fragments[src];
    solver::View v;
    v.src = src;
    v.dst = NewFragment(b);
    if (root->dtype.bits != b->dtype.bits) {
      v.kind = solver::ViewKind::kRecast;
      v.dim = b->ndim() - 1;
      v.factor = root->dtype.bits > b->dtype.bits ? root->dtype.bits / b->dtype.bits
                                                  : -(b->dtype.bits / root->dtype.bits);
    }
    Add(v, {root, b});
  }

  // A fragment that `part` of a plain statement touches: every thread needs every element.
  template <class Part>
  void OutsideNests(const Stmt& s, const Part& part) {
    if (!part.defined()) return;
    Walk(part, [&](const NodeObj* n) {
      Buffer b;
      bool read = n->kind == NodeKind::kLoad;
      if (read) b = static_cast<const LoadObj*>(n)->buffer;
      if (n->kind == NodeKind::kStore) b = static_cast<const StoreObj*>(n)->buffer;
      if (n->kind == NodeKind::kRegion) b = static_cast<const RegionObj*>(n)->buffer;
      if (!b.defined() || b->space() != Space::kFrag) return true;
      auto all = solver::Replicated(ConstShape(b), threads_);
      if (all) {
        current_ = s;
        solver::Anchor use{Fragment(b), *all, "used outside T.Parallel"};
        use.weight = weight_;
        use.writes = !read;
        Add(use, {b});
      }
      return true;
    });
  }

  // Indices of a tile are 32 bits.
  static void CheckSize(const std::vector<int64_t>& shape, const std::string& what,
                        const char* unit, const Span& span) {
    constexpr int64_t kMost = INT32_MAX;
    int64_t size = 1;
    std::string text;
    for (int64_t n : shape) {
      // What 32 bits do not hold has wrapped.
      bool wrapped = n < 0;
      text += (text.empty() ? "" : " x ") + (wrapped ? "2147483648 or more" : std::to_string(n));
      size = wrapped || n > kMost / std::max<int64_t>(size, 1) ? kMost + 1 : size * n;
    }
    if (size > kMost) {
      RaiseAt(span, "ValueError", what, " of ", text, " ", unit, ": at most ", kMost,
              " are possible");
    }
  }

  void AddNest(const ParallelObj* nest, const Stmt& source) {
    solver::Nest out;
    out.name = source->label.size() ? std::string(source->label) : "parallel";
    for (const Expr& e : nest->extents) {
      auto n = AsInt(analyzer_.Simplify(e));
      if (!n) return;  // symbolic: partitioned in order, without a layout
      out.shape.push_back(*n);
    }
    if (std::find(out.shape.begin(), out.shape.end(), 0) != out.shape.end()) {
      problem_.empty.insert(source.get());
      return;
    }
    CheckSize(out.shape, "a nest", "points", source->span);
    out.threads = threads_;
    out.weight = weight_;
    if (nest->layout_fixed) {
      AnyLayout given = *ParseAny(Str(nest->layout));
      if (const Layout* fixed = std::get_if<Layout>(&given)) {
        out.anchor = *fixed;
        out.anchor_why = "loop_layout";
      } else {
        problem_.no_digits.emplace_back(nest->span, "nest " + out.name);
      }
    }
    size_t mark = analyzer_.Mark();
    arith::BindParallel(&analyzer_, nest);
    std::vector<Buffer> buffers;
    CollectAccesses(nest, &out, &buffers);
    analyzer_.Leave(mark);
    Add(std::move(out), std::move(buffers));
    problem_.nest_of[source.get()] = static_cast<int>(problem_.program.ops.size()) - 1;
  }

  void CollectAccesses(const ParallelObj* nest, solver::Nest* out, std::vector<Buffer>* buffers) {
    int64_t arithmetic = 0;
    auto access = [&](const Buffer& b, const ffi::Array<Expr>& index, bool write,
                      bool partial = false) {
      if (b->space() == Space::kFrag) {
        solver::FragmentAccess a{
            Fragment(b), FragmentIndex(b, index, nest->vars, &analyzer_, nest->span), partial};
        (write ? out->writes : out->reads).push_back(a);
        buffers->push_back(b);
      } else if (b->space() == Space::kGlobal || b->space() == Space::kShared) {
        Memory(b, index, write, nest, out);
      }
    };
    // Writes of a nest that run at every point.
    std::unordered_set<const NodeObj*> always;
    for (const Stmt& s : StmtsOf(nest->body)) always.insert(s.get());
    Walk(nest->body, [&](const NodeObj* n) {
      if (n->kind == NodeKind::kOp) ++arithmetic;
      if (n->kind == NodeKind::kLoad) {
        const auto* load = static_cast<const LoadObj*>(n);
        access(load->buffer, load->index, false);
      } else if (n->kind == NodeKind::kStore) {
        const auto* store = static_cast<const StoreObj*>(n);
        access(store->buffer, store->index, true, store->guard.defined() || !always.count(n));
      } else if (n->kind == NodeKind::kRegion) {
        const auto* region = static_cast<const RegionObj*>(n);
        access(region->buffer, region->begin, true, true);
      }
      return true;
    });
    out->arithmetic = std::max<int64_t>(1, arithmetic);
  }

  // The address of a global access, or the coordinates of a shared one, as digits of the nest's
  // points. Accesses that are no digits (gathers) cost the same in every layout: they are left out.
  void Memory(const Buffer& b, const ffi::Array<Expr>& index, bool write, const ParallelObj* nest,
              solver::Nest* out) {
    bool shared = b->space() == Space::kShared;
    int buffer = -1;
    if (shared) {
      auto it = problem_.shared_of.find(b->storage.get());
      if (it == problem_.shared_of.end()) return;
      const Buffer& root = shared_root_[b->storage.get()];
      if (root->shape.size() != b->shape.size() || root->dtype.bits != b->dtype.bits) return;
      buffer = it->second;
    }
    std::vector<Strides> steps(nest->vars.size());
    for (size_t d = 0; d < index.size(); ++d) {
      int64_t pitch = shared ? 1 : PitchOf(b, static_cast<int>(d));
      for (size_t v = 0; v < nest->vars.size(); ++v) {
        auto stride = analyzer_.Stride(index[d], nest->vars[v]);
        if (!stride) return;
        if (*stride == 0) continue;
        if (shared) {
          steps[v].Add(Axis::Dim(static_cast<int>(d)), *stride);
        } else {
          steps[v].Add(kAddr, *stride * pitch);
        }
      }
    }
    LayoutBuilder builder(out->shape);
    for (size_t v = 0; v < nest->vars.size(); ++v) {
      tilescale::Mode mode{out->shape[v], steps[v]};
      builder.AddDim(static_cast<int>(v), std::span<const tilescale::Mode>(&mode, 1));
    }
    Expected<Layout> layout = builder.Build();
    if (!layout) return;
    solver::MemoryAccess access;
    access.name = std::string(write ? "st " : "ld ") + std::string(b->name);
    access.space = shared ? MemorySpace::kShared : MemorySpace::kGlobal;
    access.layout = *layout;
    access.bits = b->dtype.bits;
    access.store = write;
    access.buffer = buffer;
    out->memory.push_back(std::move(access));
  }

  // Elements between neighbours of dim d; a symbolic pitch by a multiple of its known divisor that
  // is larger than any tile.
  int64_t PitchOf(const Buffer& b, int d) {
    Expr pitch;
    if (!b->strides.empty()) {
      pitch = b->strides[d];
    } else {
      pitch = MakeConst(1);
      for (int i = b->ndim() - 1; i > d; --i) pitch = Mul(pitch, Cast(b->shape[i], pitch.dtype()));
    }
    if (auto known = AsInt(analyzer_.Simplify(pitch))) return *known;
    arith::Congruence m = analyzer_.Modulo(pitch);
    int64_t divisor = std::gcd(m.divisor, m.remainder);
    if (divisor <= 0) divisor = 1;
    // Dynamic row lengths are assumed to be whole vectors: the variant that relies on it is tried
    // first.
    divisor = std::max<int64_t>(divisor, 16);
    constexpr int64_t kFar = 1 << 16;
    return divisor * ((kFar + divisor - 1) / divisor);
  }

  const Func& func_;
  const Kernel& kernel_;
  const Target& target_;
  arith::Analyzer analyzer_;
  Problem problem_;
  std::unordered_map<const StorageObj*, Buffer> shared_root_;
  Stmt current_;
  int64_t threads_ = 0;
  int64_t weight_ = 1;
};

}  // namespace

solver::IndexMap FragmentIndex(const Buffer& b, const ffi::Array<Expr>& index,
                               const ffi::Array<Var>& vars, arith::Analyzer* analyzer,
                               const Span& span) {
  solver::IndexMap map;
  for (const Expr& raw : index) {
    Expr e = analyzer->Simplify(raw);
    if (auto c = AsInt(e)) {
      if (*c != 0) {
        RaiseAt(span, "ValueError",
                "[Tilelang Semantic Check] Fragment buffer access with non-zero index [", *c,
                "] is not supported. Only fragment[0] access is allowed within T.Parallel loop.");
      }
      map.push_back(solver::Zero());
      continue;
    }
    int found = -1;
    int64_t div = 1;
    const auto* op = e.as<OpObj>();
    Expr base = e;
    if (op != nullptr && (op->op() == OpCode::kFloorDiv || op->op() == OpCode::kTruncDiv)) {
      if (auto c = AsInt(op->args[1])) {
        base = op->args[0];
        div = *c;
      }
    }
    for (size_t v = 0; v < vars.size(); ++v) {
      if (base.same_as(vars[v])) found = static_cast<int>(v);
    }
    if (found < 0) {
      RaiseAt(span, "CompileError", "Layout infer conflict: fragment `", b->name,
              "` is indexed by `", Spelled(raw),
              "`, which is no loop variable of the T.Parallel nest (or one divided by a constant). "
              "Index it by the "
              "nest's variables, go through shared memory, or use T.reduce for sums over one "
              "dimension");
    }
    map.push_back(solver::Var(found, div));
  }
  return map;
}

Problem Collect(const Func& f, const Kernel& k, const Target& target) {
  return Collector(f, k, target).Run();
}

}  // namespace tilescale::layouts
