// SPDX-License-Identifier: MIT
// Check: all errors of the user that are known at this level (passes.h). Launches, capabilities and
// control here; nests in check_parallel.cc, uninitialised memory in check_memory.cc.
#include "compiler/passes/check.h"

#include "compiler/ir/build.h"
#include "compiler/ir/diag.h"
#include "compiler/ir/op_def.h"
#include "compiler/ir/text.h"
#include "compiler/ir/visit.h"
#include "compiler/isa/instr.h"
#include "compiler/passes/normalise.h"
#include "compiler/passes/thread_uniform.h"

#include <algorithm>
#include <array>
#include <utility>

namespace tilescale::passes {

using namespace ir;  // NOLINT

std::string SpelledName(const TileOpObj* op) {
  const OpSyntax& syntax = SyntaxOf(op);
  std::string out = std::string("T.") + (syntax.spelled != nullptr ? syntax.spelled : syntax.name);
  if (size_t open = out.find('{'); open != std::string::npos) {
    const size_t close = out.find('}', open);
    const std::string param = out.substr(open + 1, close - open - 1);
    out.replace(open, close - open + 1, StringArg(op, param));
  }
  return out;
}

void CheckLaunch(const Kernel& kernel, const PassContext& ctx) {
  constexpr int64_t kLimit = target::kMaxThreadsPerBlock;
  if (kernel->user_threads() > kLimit) {
    RaiseAt(kernel->span, "ValueError", "threads=", kernel->user_threads(),
            " of T.Kernel exceed the limit of ", kLimit, " threads of a block");
  }
  for (size_t d = 0; d < kernel->grid.size(); ++d) {
    auto n = AsInt(kernel->grid[d]);
    if (n && *n <= 0) {
      RaiseAt(kernel->span, "ValueError", "grid extent ", d, " of T.Kernel must be positive, got ",
              *n);
    }
  }
  const target::Arch& arch = *ctx.target.arch;
  Walk(kernel->body, [&](const NodeObj* n) {
    if (n->kind != NodeKind::kAlloc) return true;
    const auto* alloc = static_cast<const AllocObj*>(n);
    if (alloc->buffer.defined() && alloc->buffer->space() == Space::kMbar && !arch.has_bulk) {
      RaiseAt(alloc->span, "ValueError",
              "T.alloc_barrier() requires sm_90 (Hopper) or later, but the current target is ",
              arch.name, ". Barrier `", std::string(alloc->buffer->name), "` cannot be made there");
    }
    return true;
  });
}

namespace {

// Walks with the innermost condition that divides the threads, for the message.
class ControlChecker {
 public:
  explicit ControlChecker(const Kernel& kernel)
      : uniformity_(kernel), threads_(kernel->user_threads()) {}

  void Visit(const Stmt& stmt, const StmtObj* divider) {
    if (!stmt.defined()) return;
    const StmtObj* s = stmt.get();
    switch (s->kind) {
      case NodeKind::kSeq:
        for (const Stmt& child : static_cast<const SeqObj*>(s)->stmts) Visit(child, divider);
        return;
      case NodeKind::kIf: {
        const auto* branch = static_cast<const IfObj*>(s);
        const StmtObj* inner = uniformity_.IsUniform(branch->cond) ? divider : s;
        Visit(branch->then_case, inner);
        return Visit(branch->else_case, inner);
      }
      case NodeKind::kFor: {
        const auto* loop = static_cast<const ForObj*>(s);
        bool uniform = uniformity_.IsUniform(loop->begin) && uniformity_.IsUniform(loop->extent);
        return Visit(loop->body, uniform ? divider : s);
      }
      case NodeKind::kWhile: {
        const auto* loop = static_cast<const WhileObj*>(s);
        const StmtObj* inner = uniformity_.IsUniform(loop->cond) ? divider : s;
        Visit(loop->head, inner);
        return Visit(loop->body, inner);
      }
      case NodeKind::kGroup: {
        const GroupObj* outer = std::exchange(group_, static_cast<const GroupObj*>(s));
        Visit(group_->body, divider);
        group_ = outer;
        return;
      }
      case NodeKind::kTileOp: {
        const auto* op = static_cast<const TileOpObj*>(s);
        if (SyntaxOf(op).participants != Participants::kGroup) return;
        return Collective(s, SpelledName(op), divider);
      }
      case NodeKind::kParallel:
        return Collective(s, "T.Parallel", divider);
      case NodeKind::kCall: {
        const auto* call = static_cast<const CallObj*>(s);
        if (isa::Get(Str(call->instr)).sync != isa::SyncKind::kCtaBarrier) return;
        Collective(s, "T.sync_threads", divider, ": T.sync_threads(id, count)");
        if (group_ != nullptr && group_->count < threads_) {
          RaiseAt(s->span, "CompileError", "T.sync_threads is a barrier of all ", threads_,
                  " threads of the block, and only threads ", group_->first, " to ",
                  group_->first + group_->count - 1,
                  " get here: T.sync_threads(id, count) is one of a range of threads");
        }
        return;
      }
      default:
        return;
    }
  }

 private:
  // `instead`: what serves a range of threads.
  void Collective(const StmtObj* s, const std::string& what, const StmtObj* divider,
                  const char* instead = " write a condition on the thread index alone, or T.ws") {
    if (uniformity_.IsReachedByAll(s)) return;
    if (divider == nullptr) {
      RaiseAt(s->span, "CompileError", what,
              " comes after some threads of the group have left: all threads ",
              "run it together, so none may return or break before it");
    }
    RaiseAt(s->span, "CompileError", what, " is reached by some threads of the group only: `",
            Condition(divider),
            "` differs between them. All threads run it together; for a range of threads", instead);
  }
  static std::string Condition(const StmtObj* s) {
    if (s->kind == NodeKind::kIf) return Spelled(static_cast<const IfObj*>(s)->cond);
    if (s->kind == NodeKind::kWhile) return Spelled(static_cast<const WhileObj*>(s)->cond);
    return Spelled(static_cast<const ForObj*>(s)->extent);
  }

  Uniformity uniformity_;
  int64_t threads_;
  const GroupObj* group_ = nullptr;  // the innermost around
};

}  // namespace

// No machine computes in float formats of 8 bits and less: they are stored, converted, chosen, and
// multiplied by matrix units.
void CheckArithmetic(const Kernel& kernel) {
  Walk(kernel->body, [&](const NodeObj* n) {
    if (!IsStmtKind(n->kind)) return true;
    const auto* s = static_cast<const StmtObj*>(n);
    ForEachExpr(s, [&](const Expr& e) {
      const auto* op = e.as<OpObj>();
      if (op == nullptr) return;
      OpClass cls = Info(op->op()).cls;
      if (cls == OpClass::kCast || cls == OpClass::kLogic || cls == OpClass::kVector) return;
      for (const Expr& arg : op->args) {
        if (!IsFloat(arg.dtype()) || arg.dtype().bits >= 16) continue;
        RaiseAt(s->span, "CompileError", "`", Spelled(e), "` computes in ",
                LanguageName(Element(arg.dtype())),
                ", which has no arithmetic: cast the operands to float32 first");
      }
    });
    return true;
  });
}

void CheckControl(const Kernel& kernel) {
  ControlChecker(kernel).Visit(kernel->body, nullptr);
}

Func Check(Func f, PassContext& ctx) {
  bool launches = false;
  Walk(f->body, [&](const NodeObj* n) {
    launches = launches || n->kind == NodeKind::kKernel;
    return !launches;
  });
  if (!launches) {
    RaiseAt(Span(), "ValueError", "`", std::string(f->name),
            "` launches nothing: its body needs a `with T.Kernel(...)`");
  }
  MapKernels(f, [&](const Kernel& kernel) {
    CheckLaunch(kernel, ctx);
    CheckNests(kernel, &ctx);
    CheckArithmetic(kernel);
    CheckControl(kernel);
    CheckRanks(kernel, &ctx);
    if (!SkipsInitialisation(f)) CheckInitialised(kernel);
    return kernel;
  });
  return f;
}

}  // namespace tilescale::passes
