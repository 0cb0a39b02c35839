// SPDX-License-Identifier: MIT
// LowerTileOps: every op's chosen lowering runs; what is left are loops, Parallel nests with
// layouts, Calls and indices (passes.h). PlanReductions asks each lowering for the shared memory it
// needs besides its operands, once the layouts are known.
#include "compiler/analysis/shared_lives.h"
#include "compiler/arith/facts.h"
#include "compiler/layout/table.h"
#include "compiler/ops/tile_op.h"
#include "compiler/passes/passes.h"
#include "compiler/target/target.h"
#include "support/diagnostics.h"

#include <unordered_map>

namespace tilescale {

using namespace ir;  // NOLINT

namespace {

// Layouts of the declarations in scope, and of their views.
class LayoutTable {
 public:
  void Declare(const AllocObj* alloc) {
    if (!alloc->buffer.defined() || alloc->layout.size() == 0) return;
    // No op asks where a shared tile of an exact table lies: they use logical coordinates.
    AnyLayout layout = *ParseAny(Str(alloc->layout));
    if (const Layout* modes = std::get_if<Layout>(&layout)) layouts_[alloc->buffer.get()] = *modes;
    roots_[alloc->buffer->storage.get()] = alloc->buffer;
  }
  const Layout& Of(const Buffer& b) {
    auto it = layouts_.find(b.get());
    if (it != layouts_.end()) return it->second;
    auto root = roots_.find(b->storage.get());
    TS_CHECK(root != roots_.end() && layouts_.count(root->second.get()))
        << "buffer " << b->name << " has no layout";
    return layouts_[b.get()] = ViewLayout(root->second, b);
  }

 private:
  Layout ViewLayout(const Buffer& root, const Buffer& view) {
    Layout layout = layouts_[root.get()];
    int64_t a = root->dtype.bits, b = view->dtype.bits;
    if (a != b) {
      Axis axis = root->space() == Space::kFrag ? kSlot : kAddr;
      Expected<Layout> recast = layout.Recast(root->ndim() - 1, a > b ? a / b : -(b / a), axis);
      TS_CHECK(bool(recast)) << "view " << view->name << ": " << recast.reason();
      layout = *recast;
    }
    Expected<Layout> reshaped = layout.Reshape(ConstShape(view));
    TS_CHECK(bool(reshaped)) << "view " << view->name << ": " << reshaped.reason();
    return *reshaped;
  }

  std::unordered_map<const BufferObj*, Layout> layouts_;
  std::unordered_map<const StorageObj*, Buffer> roots_;
};

// Walks a kernel and calls OnOp for each tile op with a context that knows its group and its facts.
class OpWalker : public Mutator {
 public:
  OpWalker(const Func& f, const Kernel& k, PassContext* ctx) : func_(f), kernel_(k), ctx_(ctx) {}

  Kernel Run() {
    arith::BindKernel(&analyzer_, func_, kernel_);
    threads_ = kernel_->total_threads();
    tid_ = kernel_->thread_vars[0];
    int64_t scale = kernel_->threads[0];
    for (int i = 1; i < 3; ++i) {
      if (kernel_->threads[i] > 1) tid_ = Add(tid_, Mul(kernel_->thread_vars[i], scale));
      scale *= kernel_->threads[i];
    }
    auto out = CopyNode(kernel_.get());
    out->body = MutateStmt(kernel_->body);
    return Kernel(out);
  }

  Stmt MutateAlloc(const Alloc& s) override {
    table_.Declare(s.get());
    return s;
  }
  Stmt MutateFor(const For& s) override {
    size_t mark = analyzer_.Mark();
    arith::BindLoop(&analyzer_, s.get());
    Stmt out = DefaultStmt(s);
    analyzer_.Leave(mark);
    return out;
  }
  Stmt MutateBind(const Bind& s) override {
    analyzer_.Define(s->var, s->value);
    return s;
  }
  Stmt MutateGroup(const Group& s) override {
    Expr tid = tid_;
    int64_t threads = threads_;
    tid_ = Add(tid_, -s->first);
    threads_ = s->count;
    Stmt out = DefaultStmt(s);
    tid_ = tid;
    threads_ = threads;
    return out;
  }

 protected:
  const Func& func_;
  const Kernel& kernel_;
  PassContext* ctx_;
  arith::Analyzer analyzer_;
  LayoutTable table_;
  Expr tid_;
  int64_t threads_ = 0;
};

class Context : public LowerContext {
 public:
  Context(LayoutTable* table, PassContext* ctx, const TileOp& op)
      : table_(table), ctx_(ctx), op_(op) {
    target = &ctx->target;
    span = op->span;
  }
  const Layout& LayoutOf(const Buffer& b) override { return table_->Of(b); }

  Buffer Slots(const Buffer& fragment) override {
    auto it = slots_.find(fragment.get());
    if (it != slots_.end()) return it->second;
    int64_t n = LayoutOf(fragment).Extent(kSlot);
    auto copy = CopyNode(fragment.get());
    copy->name = std::string(fragment->name) + "_regs";
    copy->shape = {MakeConst(n)};
    copy->strides = {};
    copy->offset = Expr();
    Buffer b(copy);
    auto view = ffi::make_object<ViewObj>();
    view->buffer = b;
    view->slots = true;
    view->span = span;
    stmts.insert(stmts.begin(), Stmt(view));
    return slots_[fragment.get()] = b;
  }

  Buffer Local(std::string_view name, DataType dtype, int64_t count) override {
    Buffer b =
        MakeBuffer(name, dtype, {MakeConst(count)}, MakeStorage(name, Space::kLocal, Root::kAlloc));
    auto alloc = ffi::make_object<AllocObj>();
    alloc->buffer = b;
    alloc->span = span;
    Emit(Stmt(alloc));
    return b;
  }
  void Emit(Stmt s) override { stmts.push_back(std::move(s)); }
  void Note(std::string text) override {
    std::string subject = op_->label.size() ? std::string(op_->label) : std::string(op_->op);
    ctx_->Record("lower-tile-ops", span, subject, std::move(text));
  }

  std::vector<Stmt> stmts;

 private:
  LayoutTable* table_;
  PassContext* ctx_;
  TileOp op_;
  std::unordered_map<const BufferObj*, Buffer> slots_;
};

class Lowerer : public OpWalker {
 public:
  using OpWalker::OpWalker;

  Stmt MutateTileOp(const TileOp& op) override {
    const Lowering& lowering = LoweringOf(op.get());
    Context c(&table_, ctx_, op);
    c.threads = threads_;
    c.tid = tid_;
    c.analyzer = &analyzer_;
    if (lowering.lower != nullptr) {
      lowering.lower(op.get(), &c);
    } else {
      TileOp here = Reachable(op, &c);
      auto nest = CopyNode(lowering.nest(here.get()).as<ParallelObj>());
      nest->layout = op->layout;
      c.Emit(Stmt(nest));
    }
    return MakeSeq(c.stmts);
  }

 private:
  // A nest reads and writes what it can address: a region of a peer becomes one of a view over the
  // peer's memory, which is declared first. It is as aligned there as here.
  static TileOp Reachable(const TileOp& op, Context* c) {
    auto out = CopyNode(op.get());
    for (size_t i = 0; i < op->args.size(); ++i) {
      auto region = op->args[i].as<Region>();
      if (!region || !region->defined() || !(*region)->peer.defined()) continue;
      const Buffer& b = (*region)->buffer;
      auto whole = CopyNode(FullRegion(b).get());
      whole->peer = (*region)->peer;
      auto copy = CopyNode(b.get());
      copy->name = std::string(b->name) + "_peer";
      copy->storage = MakeStorage(Str(copy->name), Space::kGlobal, Root::kHeap);
      copy->offset = Expr();
      auto view = ffi::make_object<ViewObj>();
      view->buffer = Buffer(copy);
      view->pointer = MakeAddr(Region(whole));
      view->span = op->span;
      c->Emit(Stmt(view));
      auto there = CopyNode(region->get());
      there->buffer = view->buffer;
      there->peer = Expr();
      out->args.Set(static_cast<int64_t>(i), Region(there));
    }
    return TileOp(out);
  }
};

class Planner : public OpWalker {
 public:
  Planner(const Func& f, const Kernel& k, PassContext* ctx)
      : OpWalker(f, k, ctx), reuse_(!f->options->disable_shared_reuse) {}

  Stmt MutateTileOp(const TileOp& op) override {
    const Lowering& lowering = LoweringOf(op.get());
    if (lowering.workspace == nullptr) return op;
    Context c(&table_, ctx_, op);
    c.threads = threads_;
    c.tid = tid_;
    c.analyzer = &analyzer_;
    c.shared_left = SharedLeft(op.get());
    auto need = lowering.workspace(op.get(), &c);
    if (!need) return op;
    std::string name = std::string(op->label.size() ? op->label : op->op) + "_ws";
    int64_t bits = need->elements * need->dtype.bits;
    Take(op.get(), bits / 8);
    Buffer b =
        MakeBuffer(name, need->dtype, {MakeConst(need->elements)},
                   MakeStorage(name, Space::kShared, Root::kAlloc, MakeConst(bits, Int(64))));
    auto alloc = ffi::make_object<AllocObj>();
    alloc->buffer = b;
    alloc->layout = RowMajor(std::vector<int64_t>{need->elements}).Text();
    alloc->span = op->span;
    return MakeSeq({Stmt(alloc), WithArg(op, "workspace", FullRegion(b))});
  }

 private:
  // Of the block's memory, what the op can have while as many blocks stay resident as the kernel's
  // own buffers, threads and grid allow.
  int64_t SharedLeft(const TileOpObj* op) {
    if (!lives_) {
      lives_ = analysis::LivesOf(kernel_->body);
      const target::Arch& arch = *ctx_->target.arch;
      std::vector<analysis::Life> own = lives_->all;
      int64_t bytes = analysis::Place(&own, reuse_), grid = 1;
      int64_t resident = BlocksPerSm(arch, kernel_->total_threads(), 0, bytes).blocks;
      for (const Expr& extent : kernel_->grid) {
        auto n = AsInt(extent);
        grid = n && grid > 0 ? grid * *n : 0;  // 0: not known
      }
      if (grid > 0) resident = std::min<int64_t>(resident, (grid + arch.sms - 1) / arch.sms);
      budget_ = std::min<int64_t>(
          arch.shared_per_sm / std::max<int64_t>(1, resident) - target::kSystemSharedBytes,
          arch.shared_per_block);
    }
    int64_t most = 0;
    for (int64_t step = budget_ / 2 / kGrain * kGrain; step >= kGrain;
         step = step / 2 / kGrain * kGrain) {
      while (Fits(op, most + step)) most += step;
    }
    return most;
  }

  analysis::Life Workspace(const TileOpObj* op, int64_t bytes) const {
    analysis::Life out;
    out.bytes = bytes;
    out.align = kGrain;
    out.first = out.last = lives_->at.at(op);
    return out;
  }
  bool Fits(const TileOpObj* op, int64_t bytes) const {
    std::vector<analysis::Life> all = lives_->all;
    all.push_back(Workspace(op, bytes));
    return analysis::Place(&all, reuse_) <= budget_;
  }
  void Take(const TileOpObj* op, int64_t bytes) { lives_->all.push_back(Workspace(op, bytes)); }

  static constexpr int64_t kGrain = 128;

  bool reuse_;
  std::optional<analysis::Lives> lives_;
  int64_t budget_ = 0;
};

}  // namespace

namespace passes {

Func PlanReductions(Func f, PassContext& ctx) {
  return MapKernels(f, [&](const Kernel& k) { return Planner(f, k, &ctx).Run(); });
}

Func LowerTileOps(Func f, PassContext& ctx) {
  return MapKernels(f, [&](const Kernel& k) { return Lowerer(f, k, &ctx).Run(); });
}

}  // namespace passes
}  // namespace tilescale
