// SPDX-License-Identifier: MIT
// Ingest: the only entry from the builder or from text (passes.h). What both must deliver is
// verified, and every unit gets the label by which schedules and explain() name it.
#include "compiler/ir/op_def.h"
#include "compiler/ir/unique_names.h"
#include "compiler/ir/verify.h"
#include "compiler/ir/visit.h"
#include "compiler/passes/passes.h"

#include <string>
#include <unordered_map>

namespace tilescale::passes {

using namespace ir;  // NOLINT

namespace {

// Labels tile ops and nests everywhere, and what stands directly in a pipelined loop. A label says
// what the statement does and to what: copy_A, store_C, gemm.
class Labeller : public Mutator {
 public:
  explicit Labeller(const Kernel& kernel) {
    Walk(kernel->body, [&](const NodeObj* n) {
      const auto* s = dynamic_cast_stmt(n);
      if (s != nullptr && !s->label.empty()) ++users_[std::string(s->label)];
      return s != nullptr;
    });
  }

  // A statement is named before what it holds.
  Stmt MutateStmt(const Stmt& s) override {
    if (!s.defined()) return s;
    bool unit = std::exchange(unit_, false);
    std::string base = s->label.empty() ? Base(s, unit) : std::string(s->label);
    std::string label = base.empty() ? base : Unique(base, !s->label.empty());
    Stmt inner = Mutator::MutateStmt(s);
    return label == std::string(inner->label) ? inner : WithLabel(inner, label);
  }

  Stmt MutateSeq(const Seq& s) override {
    bool pipelined = std::exchange(pipelined_, false);
    ffi::Array<Stmt> out;
    bool same = true;
    for (const Stmt& child : s->stmts) {
      unit_ = pipelined;
      Stmt mutated = MutateStmt(child);
      same = same && mutated.same_as(child);
      out.push_back(mutated);
    }
    if (same) return s;
    auto copy = CopyNode(s.get());
    copy->stmts = out;
    return Stmt(copy);
  }

  Stmt MutateFor(const For& s) override {
    pipelined_ = s->loop() == ForKind::kPipelined;
    return DefaultStmt(s);
  }

 private:
  static const StmtObj* dynamic_cast_stmt(const NodeObj* n) {
    return n->IsInstance<StmtObj>() ? static_cast<const StmtObj*>(n) : nullptr;
  }

  // The buffer that names a unit: what it reads from global memory, else what it writes there.
  static std::string TileLabel(const TileOpObj* op) {
    const OpSyntax& syntax = SyntaxOf(op);
    std::string written;
    for (size_t i = 0; i < syntax.params.size(); ++i) {
      auto region = op->args[i].as<Region>();
      if (!region || !region->defined() || (*region)->buffer->space() != Space::kGlobal) continue;
      std::string name = (*region)->buffer->name;
      if (syntax.params[i].mode == 'r') return std::string(op->op) + "_" + name;
      if (written.empty()) written = "store_" + name;
    }
    return written.empty() ? std::string(op->op) : written;
  }

  // The first memory it stores to; a cell only if there is nothing else.
  static std::string NestLabel(const Stmt& s) {
    std::string name, cell;
    Walk(s, [&](const NodeObj* n) {
      if (n->kind != NodeKind::kStore) return true;
      const Buffer& buffer = static_cast<const StoreObj*>(n)->buffer;
      std::string& target = buffer->space() == Space::kVar ? cell : name;
      if (target.empty()) target = buffer->name;
      return true;
    });
    if (name.empty()) name = cell;
    return name.empty() ? "nest" : "set_" + name;
  }

  static std::string Base(const Stmt& s, bool unit) {
    switch (s.kind()) {
      case NodeKind::kTileOp:
        return TileLabel(s.as<TileOpObj>());
      case NodeKind::kParallel:
        return NestLabel(s);
      case NodeKind::kFor:
        return unit ? "loop" : "";
      case NodeKind::kWhile:
        return unit ? "loop" : "";
      case NodeKind::kIf:
        return unit ? "branch" : "";
      case NodeKind::kStore:
        return unit ? NestLabel(s) : "";
      case NodeKind::kCall:
      case NodeKind::kGroup:
      case NodeKind::kCheck:
        return unit ? "step" : "";
      default:
        return "";
    }
  }

  // The first user of a label keeps it; others get a number that nobody wrote.
  std::string Unique(const std::string& base, bool from_user) {
    if (from_user && taken_.Take(base)) return base;
    return taken_.Make(base, [&](const std::string& label) { return users_.count(label) != 0; });
  }

  std::unordered_map<std::string, int> users_;  // labels that the program has
  UniqueNames taken_{2};
  bool pipelined_ = false;  // the next Seq is the body of a pipelined loop
  bool unit_ = false;       // the next statement stands directly in one
};

}  // namespace

Func Ingest(Func f, PassContext&) {
  Verify(f);
  return MapKernels(f, [](const Kernel& kernel) {
    Labeller labeller(kernel);
    Stmt body = labeller(kernel->body);
    if (body.same_as(kernel->body)) return kernel;
    auto copy = CopyNode(kernel.get());
    copy->body = body;
    return Kernel(copy);
  });
}

}  // namespace tilescale::passes
