// SPDX-License-Identifier: MIT
// SolveLayouts: tile → mapped (passes.h). The solver decides (compiler/layout/solver.h); this pass
// says what it is asked, and writes its answer: a layout on each declaration and nest, a `convert`
// op where two uses of a fragment differ.
#include "compiler/ir/build.h"
#include "compiler/ir/diag.h"
#include "compiler/ops/tile_op.h"
#include "compiler/passes/solve_layouts/collect.h"
#include "support/diagnostics.h"

#include <set>

namespace tilescale {

using namespace ir;  // NOLINT

namespace layouts {
namespace {

// A fragment operand of one statement that is converted for it.
struct Conversion {
  Buffer from, to;
  std::string from_layout, to_layout;
  bool write;
};

// Does the statement set every element of `b`, and read none? Then what was there does not matter.
bool Overwrites(const StmtObj* s, const Buffer& b) {
  bool reads = false, whole = false;
  if (s->kind == NodeKind::kTileOp) {
    const auto* op = static_cast<const TileOpObj*>(s);
    for (const Effect& e : DefOf(op).effects(op)) {
      if (!e.region->buffer.same_as(b)) continue;
      reads = reads || e.mode != ir::Mode::kWrite;
      bool full = true;
      for (size_t d = 0; d < b->shape.size(); ++d) {
        full = full && IsConst(e.region->begin[d], 0) &&
               AsInt(e.region->extent[d]) == AsInt(b->shape[d]);
      }
      whole = whole || full;
    }
    return whole && !reads;
  }
  const auto* nest = static_cast<const ParallelObj*>(s);
  Walk(nest->body, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kLoad)
      reads = reads || static_cast<const LoadObj*>(n)->buffer.same_as(b);
    return true;
  });
  for (const Stmt& x : StmtsOf(nest->body)) {
    const auto* store = x.as<StoreObj>();
    if (store == nullptr || !store->buffer.same_as(b) || store->guard.defined()) continue;
    std::set<const NodeObj*> used;
    for (size_t d = 0; d < store->index.size(); ++d) {
      for (size_t v = 0; v < nest->vars.size(); ++v) {
        if (store->index[d].get() == nest->vars[v].get() &&
            AsInt(nest->extents[v]) == AsInt(b->shape[d]))
          used.insert(nest->vars[v].get());
      }
    }
    whole = whole || used.size() == b->shape.size();
  }
  return whole && !reads;
}

class Writer : public Mutator {
 public:
  Writer(const Problem& problem, const solver::Solution& solution)
      : problem_(problem), solution_(solution) {
    for (const solver::Convert& c : solution.converts) {
      const Source& source = problem.sources[c.op];
      Buffer b = problem.fragments[c.fragment];
      auto copy = CopyNode(b.get());
      copy->name = std::string(b->name) + "_conv";
      copy->storage =
          MakeStorage(std::string(b->name) + "_conv", Space::kFrag, Root::kAlloc, b->storage->bits);
      conversions_[source.stmt.get()].push_back(
          {b, Buffer(copy), c.from.Text(), c.to.Text(), c.write});
    }
  }

  Stmt MutateAlloc(const Alloc& s) override {
    if (!s->buffer.defined()) return s;
    const Buffer& b = s->buffer;
    auto out = CopyNode(s.get());
    if (auto it = problem_.fragment_of.find(b.get()); it != problem_.fragment_of.end()) {
      out->layout = solution_.fragments[it->second].layout.Text();
    } else if (auto sh = problem_.shared_of.find(b->storage.get());
               sh != problem_.shared_of.end()) {
      const solver::FamilyOption& option =
          problem_.program.buffers[sh->second].options[solution_.families[sh->second]];
      out->layout = std::visit([](const auto& l) { return l.Text(); }, option.layout);
      out->families = 0;
      if (option.name.starts_with("swizzle")) out->align = std::max<int64_t>(out->align, 1024);
    } else {
      return s;
    }
    return Stmt(out);
  }

  Stmt MutateParallel(const Parallel& s) override {
    auto it = problem_.nest_of.find(s.get());
    if (it == problem_.nest_of.end()) return s;
    auto out = CopyNode(s.get());
    out->layout = solution_.nests[it->second]->layout.Text();
    return Converted(s.get(), Stmt(out));
  }

  Stmt MutateTileOp(const TileOp& s) override {
    Stmt result = s;
    auto it = problem_.nest_of.find(s.get());
    if (it != problem_.nest_of.end()) {
      auto out = CopyNode(s.get());
      out->layout = solution_.nests[it->second]->layout.Text();
      result = Stmt(out);
    }
    return Converted(s.get(), result);
  }

 private:
  // alloc temporary; convert in, unless the statement overwrites it all; statement on the
  // temporary; convert out.
  Stmt Converted(const StmtObj* key, Stmt s) {
    auto it = conversions_.find(key);
    if (it == conversions_.end()) return s;
    std::vector<Stmt> before, after;
    for (const Conversion& c : it->second) {
      auto alloc = ffi::make_object<AllocObj>();
      alloc->buffer = c.to;
      alloc->layout = c.write ? c.from_layout : c.to_layout;
      alloc->span = s->span;
      before.push_back(Stmt(alloc));
      if (!c.write || !Overwrites(key, c.from))
        before.push_back(MakeConversion(c.from, c.to, s->span));
      if (c.write) after.push_back(MakeConversion(c.to, c.from, s->span));
      s = ReplaceBuffers(s, {{c.from.get(), c.to}});
    }
    before.push_back(s);
    before.insert(before.end(), after.begin(), after.end());
    return MakeSeq(before);
  }

  const Problem& problem_;
  const solver::Solution& solution_;
  std::unordered_map<const StmtObj*, std::vector<Conversion>> conversions_;
};

void Explain(const Problem& problem, const solver::Solution& solution, PassContext* ctx) {
  for (size_t i = 0; i < problem.fragments.size(); ++i) {
    ctx->Record("solve-layouts", Span(), "fragment " + std::string(problem.fragments[i]->name),
                solution.fragments[i].layout.Text() + "  (" + solution.fragments[i].why + ")");
  }
  for (size_t i = 0; i < problem.program.buffers.size(); ++i) {
    const solver::SharedBuffer& b = problem.program.buffers[i];
    std::string chosen = b.options[solution.families[i]].name;
    std::vector<std::string> others;
    for (const solver::FamilyRecord& r : solution.family_costs[i]) {
      const std::string price = r.cost >= 0 ? "cost " + std::to_string(r.cost) : r.refusal;
      if (r.name == b.options[solution.families[i]].name) {
        chosen += ", " + price;
      } else {
        others.push_back(r.name + ": " + price);
      }
    }
    ctx->Record("solve-layouts", Span(), "shared " + b.name, chosen, others);
  }
  for (size_t i = 0; i < problem.program.ops.size(); ++i) {
    if (!solution.nests[i]) continue;
    const Source& source = problem.sources[i];
    ctx->Record("solve-layouts", source.stmt->span,
                "nest " + std::get<solver::Nest>(problem.program.ops[i]).name,
                solution.nests[i]->layout.Text() + "  (" + solution.nests[i]->why + ")");
  }
  for (const solver::Convert& c : solution.converts) {
    ctx->Record("solve-layouts", problem.sources[c.op].stmt->span, "",
                solver::DescribeConvert(problem.program, c) + "; cost " + std::to_string(c.cost));
  }
  for (size_t i = 0; i + 1 < solution.report.size(); ++i) {
    ctx->Record("solve-layouts", Span(), "", solution.report[i]);
  }
  ctx->Record("solve-layouts", Span(), "",
              "all fragments: " + std::to_string(solution.registers) + " registers a thread");
}

Kernel SolveKernel(const Func& f, const Kernel& k, PassContext* ctx) {
  Problem problem = Collect(f, k, ctx->target);
  Expected<solver::Solution> solution = solver::Solve(problem.program);
  if (!solution) RaiseAt(k->span, "CompileError", "Layout infer conflict: ", solution.reason());
  Explain(problem, *solution, ctx);
  auto out = CopyNode(k.get());
  out->body = Writer(problem, *solution)(k->body);
  return Kernel(out);
}

}  // namespace
}  // namespace layouts

namespace passes {

Func SolveLayouts(Func f, PassContext& ctx) {
  return MapKernels(f, [&](const Kernel& k) { return layouts::SolveKernel(f, k, &ctx); });
}

}  // namespace passes
}  // namespace tilescale
