// SPDX-License-Identifier: MIT
#include "compiler/passes/thread_uniform.h"

#include "compiler/ir/build.h"
#include "compiler/ir/numeric.h"
#include "compiler/ir/visit.h"
#include "compiler/isa/instr.h"
#include "compiler/target/target.h"

namespace tilescale::passes {

using namespace ir;  // NOLINT

namespace {

// Registers that each thread has for itself; a fragment is one tile of the group.
bool IsPerThread(Space s) {
  return s == Space::kVar || s == Space::kLocal || s == Space::kDesc;
}

// Instructions whose result is the same for the whole block: a barrier tells all what it counted.
bool HasUniformResult(const CallObj* call) {
  return isa::Get(Str(call->instr)).sync == isa::SyncKind::kCtaBarrier;
}

}  // namespace

Uniformity::Uniformity(const Kernel& kernel) {
  for (size_t d = 0; d < kernel->thread_vars.size(); ++d) {
    if (kernel->threads[d] > 1 || (d == 0 && kernel->extra_threads > 0))
      varying_.insert(kernel->thread_vars[d].get());
  }
  do {
    changed_ = false;
    exited_ = false;
    Visit(kernel->body, false);
  } while (changed_);
}

bool Uniformity::IsUniform(const Expr& e) const {
  bool uniform = true;
  Walk(e, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kVar) uniform = uniform && varying_.count(n) == 0;
    if (n->kind == NodeKind::kOp) {
      OpCode op = static_cast<const OpObj*>(n)->op();
      uniform = uniform && op != OpCode::kLaneId && op != OpCode::kWarpId;
    }
    if (n->kind == NodeKind::kLoad) {
      const auto* load = static_cast<const LoadObj*>(n);
      Space space = load->buffer->space();
      if (IsPerThread(space)) uniform = uniform && varying_.count(load->buffer->storage.get()) == 0;
      // An element of a fragment at constant indices is held by all threads.
      if (space == Space::kFrag) {
        for (const Expr& i : load->index) uniform = uniform && AsInt(i).has_value();
      }
    }
    return uniform;
  });
  return uniform;
}

void Uniformity::Vary(const NodeObj* symbol) {
  changed_ = varying_.insert(symbol).second || changed_;
}

// Registers that a statement writes through addresses or regions.
void Uniformity::VaryWritten(const StmtObj* s) {
  ForEachChild(s, [&](const NodeObj* child) {
    if (child->kind == NodeKind::kSeq) return;
    Walk(child, [&](const NodeObj* n) {
      if (n->kind == NodeKind::kRegion) {
        const auto* region = static_cast<const RegionObj*>(n);
        if (IsPerThread(region->buffer->space())) Vary(region->buffer->storage.get());
      }
      return true;
    });
  });
}

void Uniformity::VisitLoop(const StmtObj* s, const Stmt& body, bool divergent) {
  const StmtObj* outer = loop_;
  loop_ = s;
  Visit(body, divergent || divergent_loops_.count(s) != 0);
  loop_ = outer;
}

void Uniformity::Visit(const Stmt& stmt, bool divergent) {
  if (!stmt.defined()) return;
  const StmtObj* s = stmt.get();
  if (s->kind == NodeKind::kSeq) {
    for (const Stmt& child : static_cast<const SeqObj*>(s)->stmts) Visit(child, divergent);
    return;
  }
  divergent = divergent || exited_;
  if (divergent) changed_ = divergent_.insert(s).second || changed_;
  switch (s->kind) {
    case NodeKind::kBind: {
      const auto* bind = static_cast<const BindObj*>(s);
      if (!IsUniform(bind->value)) Vary(bind->var.get());
      return;
    }
    case NodeKind::kAlloc: {
      const auto* alloc = static_cast<const AllocObj*>(s);
      if (alloc->init.defined() && !IsUniform(alloc->init)) Vary(alloc->buffer->storage.get());
      return;
    }
    case NodeKind::kStore: {
      const auto* store = static_cast<const StoreObj*>(s);
      bool uniform = !divergent && !in_parallel_ && IsUniform(store->value);
      for (const Expr& i : store->index) uniform = uniform && IsUniform(i);
      if (IsPerThread(store->buffer->space()) && !uniform) Vary(store->buffer->storage.get());
      return;
    }
    case NodeKind::kFor: {
      const auto* loop = static_cast<const ForObj*>(s);
      bool uniform = IsUniform(loop->begin) && IsUniform(loop->extent) &&
                     (!loop->step.defined() || IsUniform(loop->step));
      if (!uniform) Vary(loop->var.get());
      if (!uniform || divergent_loops_.count(s) != 0) dividing_.insert(s);
      return VisitLoop(s, loop->body, divergent || !uniform);
    }
    case NodeKind::kWhile: {
      const auto* loop = static_cast<const WhileObj*>(s);
      bool uniform = IsUniform(loop->cond);
      if (!uniform || divergent_loops_.count(s) != 0) dividing_.insert(s);
      Visit(loop->head, divergent || !uniform || divergent_loops_.count(s) != 0);
      return VisitLoop(s, loop->body, divergent || !uniform);
    }
    case NodeKind::kParallel: {
      const auto* nest = static_cast<const ParallelObj*>(s);
      for (const Var& v : nest->vars) Vary(v.get());
      bool outer = std::exchange(in_parallel_, true);
      // Control inside is of a point, not of a thread.
      Visit(nest->body, false);
      in_parallel_ = outer;
      return;
    }
    case NodeKind::kIf: {
      const auto* branch = static_cast<const IfObj*>(s);
      bool uniform = IsUniform(branch->cond);
      if (!uniform) dividing_.insert(s);
      bool inner = divergent || !uniform;
      Visit(branch->then_case, inner);
      return Visit(branch->else_case, inner);
    }
    case NodeKind::kGroup:
      return Visit(static_cast<const GroupObj*>(s)->body, divergent);
    case NodeKind::kJump:
      if (!divergent) return;
      if (static_cast<const JumpObj*>(s)->jump() == JumpKind::kExit) {
        exited_ = true;
      } else if (loop_ != nullptr) {
        changed_ = divergent_loops_.insert(loop_).second || changed_;
      }
      return;
    case NodeKind::kCall: {
      const auto* call = static_cast<const CallObj*>(s);
      VaryWritten(s);
      if (HasUniformResult(call) && !divergent) return;
      for (const Expr& r : call->results) {
        if (r.kind() == NodeKind::kVar) Vary(r.get());
      }
      return;
    }
    case NodeKind::kTileOp:
      return VaryWritten(s);
    default:
      return;
  }
}

void BindPoints(const ParallelObj& nest, arith::Analyzer* analyzer) {
  for (size_t d = 0; d < nest.vars.size(); ++d) {
    if (auto extent = AsInt(nest.extents[d])) analyzer->Bind(nest.vars[d], {0, *extent - 1});
  }
}

bool VariesAlong(const ParallelObj& nest, const Expr& e, const VarObj* v) {
  arith::Analyzer analyzer;
  BindPoints(nest, &analyzer);
  bool varies = false;
  WalkOnce(e, [&](const NodeObj* n) {
    const auto* op = n->kind == NodeKind::kOp ? static_cast<const OpObj*>(n) : nullptr;
    if (op != nullptr && IsInteger(op->dtype)) {
      arith::Interval bounds = analyzer.Bounds(ffi::GetRef<Expr>(op));
      if (bounds.lo == bounds.hi) return false;
    }
    varies = varies || n == v;
    return !varies;
  });
  return varies;
}

// -- conditions on the thread's index
// --------------------------------------------------------------------

namespace {

class ThreadEvaluator {
 public:
  ThreadEvaluator(const Kernel& kernel, const Lets& lets) : kernel_(kernel), lets_(lets) {}

  std::optional<int64_t> At(const Expr& e, int64_t thread) {
    if (auto c = AsInt(e)) return c;
    if (const auto* v = e.as<VarObj>()) {
      for (size_t d = 0; d < 3; ++d) {
        if (kernel_->thread_vars[d].get() == v) return Coordinate(d, thread);
      }
      return OfLet(v, thread);
    }
    const auto* op = e.as<OpObj>();
    if (op == nullptr) return std::nullopt;
    if (op->op() == OpCode::kLaneId) return thread % target::kWarpSize;
    if (op->op() == OpCode::kWarpId) return thread / target::kWarpSize;
    std::vector<int64_t> args;
    for (const Expr& a : op->args) {
      auto value = At(a, thread);
      if (!value) return std::nullopt;
      args.push_back(*value);
    }
    switch (op->op()) {
      case OpCode::kNot:
        return args[0] == 0 ? 1 : 0;
      case OpCode::kAnd:
        return args[0] != 0 && args[1] != 0 ? 1 : 0;
      case OpCode::kOr:
        return args[0] != 0 || args[1] != 0 ? 1 : 0;
      case OpCode::kIf:
      case OpCode::kSelect:
        return args[0] != 0 ? args[1] : args[2];
      case OpCode::kCast:
        if (IsFloat(op->dtype)) return std::nullopt;
        return WrapInt(args[0], op->dtype);
      default:
        if (args.size() != 2 || !(IsInteger(op->args[0].dtype()) || IsBool(op->args[0].dtype()))) {
          return std::nullopt;
        }
        return EvalInt(op->op(), args[0], args[1], op->args[0].dtype());
    }
  }

 private:
  std::optional<int64_t> OfLet(const VarObj* v, int64_t thread) {
    auto it = lets_.find(v);
    if (it == lets_.end() || depth_ == kMaxDepth) return std::nullopt;
    auto [known, fresh] = known_.try_emplace(v, -1, std::nullopt);
    if (fresh || known->second.first != thread) {
      ++depth_;
      std::optional<int64_t> value = At(it->second, thread);
      --depth_;
      known_[v] = {thread, value};
      return value;
    }
    return known->second.second;
  }

  int64_t Coordinate(size_t dim, int64_t thread) const {
    for (size_t d = 0; d < dim; ++d) thread /= kernel_->threads[d];
    return thread % kernel_->threads[dim];
  }

  static constexpr int kMaxDepth = 64;  // names in names
  const Kernel& kernel_;
  const Lets& lets_;
  std::unordered_map<const VarObj*, std::pair<int64_t, std::optional<int64_t>>>
      known_;  // a thread's
  int depth_ = 0;
};

}  // namespace

std::optional<std::vector<bool>> ThreadsWhere(const Kernel& kernel, const Expr& cond,
                                              const Lets& lets) {
  ThreadEvaluator evaluator(kernel, lets);
  std::vector<bool> where;
  for (int64_t t = 0; t < kernel->user_threads(); ++t) {
    auto value = evaluator.At(cond, t);
    if (!value) return std::nullopt;
    where.push_back(*value != 0);
  }
  return where;
}

Expr LinearThread(const KernelObj* kernel) {
  Expr tid = kernel->thread_vars[0];
  if (kernel->threads[1] > 1) tid = Add(tid, Mul(kernel->thread_vars[1], kernel->threads[0]));
  if (kernel->threads[2] > 1) {
    tid = Add(tid, Mul(kernel->thread_vars[2], kernel->threads[0] * kernel->threads[1]));
  }
  return tid;
}

}  // namespace tilescale::passes
