// SPDX-License-Identifier: MIT
// SolveLayouts: tile → mapped (passes.h). The solver decides (compiler/layout/solver.h); this pass
// says what it is asked, and writes its answer: a layout on each declaration and nest, a `convert`
// op where two uses of a fragment differ.
#include "compiler/ir/diag.h"
#include "compiler/ir/visit.h"
#include "compiler/passes/solve_layouts/collect.h"
#include "support/diagnostics.h"

#include <functional>
#include <unordered_map>

namespace tilescale {

using namespace ir;  // NOLINT

namespace layouts {
namespace {

// The temporary of one fragment operand of a statement.
struct Temporary {
  Buffer of, buffer;
  std::string layout;
  bool in = false, out = false;  // converted before, after the statement
};

class Writer : public Mutator {
 public:
  Writer(const Problem& problem, const solver::Solution& solution)
      : problem_(problem), solution_(solution) {
    for (const solver::Convert& c : solution.converts) {
      Temporary& t = TemporaryOf(problem.sources[c.op].stmt.get(), problem.fragments[c.fragment],
                                 c.write ? c.from : c.to);
      (c.write ? t.out : t.in) = true;
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
      out->align = std::max<int64_t>(out->align, option.align);
    } else {
      return s;
    }
    return Stmt(out);
  }

  Stmt MutateParallel(const Parallel& s) override {
    if (problem_.empty.count(s.get())) return MakeSeq({});
    auto it = problem_.nest_of.find(s.get());
    if (it == problem_.nest_of.end()) return s;
    auto out = CopyNode(s.get());
    out->layout = solution_.nests[it->second]->layout.Text();
    return Converted(s.get(), Stmt(out));
  }

  Stmt MutateTileOp(const TileOp& s) override {
    if (problem_.empty.count(s.get())) return MakeSeq({});
    Stmt result = s;
    auto it = problem_.nest_of.find(s.get());
    if (it != problem_.nest_of.end()) {
      auto out = CopyNode(s.get());
      out->layout = solution_.nests[it->second]->layout.Text();
      result = Stmt(out);
    }
    return Converted(s.get(), result);
  }

  // Statements outside nests: what their own expressions use is converted; bodies are statements of
  // their own.
  Stmt MutateStore(const Store& s) override { return Converted(s.get(), s); }
  Stmt MutateCall(const Call& s) override { return Converted(s.get(), s); }
  Stmt MutateBind(const Bind& s) override { return Converted(s.get(), s); }
  Stmt MutateIf(const If& s) override {
    auto head = CopyNode(s.get());
    head->then_case = head->else_case = Stmt();
    return Converted(s.get(), Stmt(head), [&](const Stmt& converted) {
      auto out = CopyNode(converted.as<IfObj>());
      out->then_case = MutateStmt(s->then_case);
      if (s->else_case.defined()) out->else_case = MutateStmt(s->else_case);
      return Stmt(out);
    });
  }
  Stmt MutateFor(const For& s) override {
    auto head = CopyNode(s.get());
    head->body = Stmt();
    return Converted(s.get(), Stmt(head), [&](const Stmt& converted) {
      auto out = CopyNode(converted.as<ForObj>());
      out->body = MutateStmt(s->body);
      return Stmt(out);
    });
  }
  // The condition is evaluated after the head, every time.
  Stmt MutateWhile(const While& s) override {
    auto out = CopyNode(s.get());
    if (s->head.defined()) out->head = MutateStmt(s->head);
    out->body = MutateStmt(s->body);
    Around around = AroundOf(s.get(), s->span);
    if (around.before.empty()) return Stmt(out);
    auto cond = CopyNode(s.get());
    cond->head = cond->body = Stmt();
    out->cond = ReplaceBuffers(Stmt(cond), around.buffers).as<WhileObj>()->cond;
    if (out->head.defined()) around.before.insert(around.before.begin(), out->head);
    out->head = MakeSeq(around.before);
    return Stmt(out);
  }

 private:
  Temporary& TemporaryOf(const StmtObj* s, const Buffer& fragment, const Layout& layout) {
    std::vector<Temporary>& all = temporaries_[s];
    for (Temporary& t : all) {
      if (t.of.same_as(fragment)) {
        TS_CHECK(t.layout == layout.Text()) << "two temporaries of " << fragment->name;
        return t;
      }
    }
    auto copy = CopyNode(fragment.get());
    copy->name = std::string(fragment->name) + "_conv";
    copy->shape = {};
    for (int64_t e : layout.shape()) copy->shape.push_back(MakeConst(e));
    copy->storage = MakeStorage(std::string(copy->name), Space::kFrag, Root::kAlloc,
                                MakeConst(layout.Size() * fragment->dtype.bits, Int(64)));
    all.push_back({fragment, Buffer(copy), layout.Text()});
    return all.back();
  }

  struct Around {
    std::vector<Stmt> before, after;
    BufferMap buffers;
  };
  Around AroundOf(const StmtObj* key, const Span& span) {
    Around out;
    auto it = temporaries_.find(key);
    if (it == temporaries_.end()) return out;
    for (const Temporary& t : it->second) {
      auto alloc = ffi::make_object<AllocObj>();
      alloc->buffer = t.buffer;
      alloc->layout = t.layout;
      alloc->span = span;
      out.before.push_back(Stmt(alloc));
      Region whole = FullRegion(t.buffer);
      auto part = CopyNode(whole.get());
      part->buffer = t.of;
      if (t.in) out.before.push_back(MakeConversion(Region(part), whole, span));
      if (t.out) out.after.push_back(MakeConversion(whole, Region(part), span));
      out.buffers[t.of.get()] = t.buffer;
    }
    return out;
  }

  // Temporaries; conversions in; the statement on the temporaries; conversions out.
  Stmt Converted(const StmtObj* key, const Stmt& s,
                 const std::function<Stmt(const Stmt&)>& complete = nullptr) {
    Around around = AroundOf(key, s->span);
    Stmt out = ReplaceBuffers(s, around.buffers);
    if (complete) out = complete(out);
    if (around.before.empty()) return out;
    around.before.push_back(out);
    around.before.insert(around.before.end(), around.after.begin(), around.after.end());
    return MakeSeq(around.before);
  }

  const Problem& problem_;
  const solver::Solution& solution_;
  std::unordered_map<const StmtObj*, std::vector<Temporary>> temporaries_;
};

// A fragment that fills a thread's registers alone.
void WarnOfSpills(const Kernel& kernel, const Problem& problem, const solver::Solution& solution,
                  PassContext* ctx) {
  constexpr int64_t kMost = target::kMaxRegistersPerThread;
  std::unordered_map<const StorageObj*, Span> declared;
  Walk(kernel->body, [&](const NodeObj* n) {
    if (n->kind != NodeKind::kAlloc) return true;
    const auto* alloc = static_cast<const AllocObj*>(n);
    if (alloc->buffer.defined()) declared.emplace(alloc->buffer->storage.get(), alloc->span);
    return true;
  });
  for (size_t i = 0; i < problem.fragments.size(); ++i) {
    const solver::Fragment& f = problem.program.fragments[i];
    const int64_t slots = solution.fragments[i].layout.Extent(kSlot);
    const int64_t registers = CeilDiv(slots * f.bits, target::kRegisterBits);
    if (registers <= kMost) continue;
    const int64_t threads = f.threads > 0 ? f.threads : problem.program.threads;
    ctx->Record("warning", declared[problem.fragments[i]->storage.get()],
                std::string(problem.fragments[i]->name),
                std::to_string(slots) + " elements of " +
                    LanguageName(problem.fragments[i]->dtype) + " on each of " +
                    std::to_string(threads) + " threads take " + std::to_string(registers) +
                    " registers, a thread has at most " + std::to_string(kMost) +
                    ": the rest is in slow local memory. Take a smaller tile or more threads");
  }
}

void Explain(const Problem& problem, const solver::Solution& solution, PassContext* ctx) {
  for (const auto& [span, subject] : problem.no_digits) {
    ctx->Record(
        "solve-layouts", span, subject,
        "the annotated layout has no digits of threads and registers: the solver's is used");
  }
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
  WarnOfSpills(k, problem, *solution, ctx);
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
