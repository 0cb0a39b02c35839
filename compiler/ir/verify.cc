// SPDX-License-Identifier: MIT
// The rules of every stage.
#include "compiler/ir/verify.h"

#include "compiler/ir/build.h"
#include "compiler/ir/spec.h"
#include "compiler/ir/text.h"
#include "compiler/ir/visit.h"
#include "support/diagnostics.h"

#include <unordered_set>
#include <vector>

namespace tilescale::ir {
namespace {

class Verifier {
 public:
  explicit Verifier(const Func& f) : func_(f) {}

  void Run() {
    Require(func_->body.defined(), nullptr, "flat", "the function has no body");
    Require(func_->options.defined(), nullptr, "program", "the function has no options");
    scopes_.emplace_back();
    for (const Param& param : func_->params) DeclareParam(param.get());
    Body(func_->body, nullptr);
  }

 private:
  static void Require(bool holds, const StmtObj* s, const char* rule, const std::string& message) {
    if (!holds) BreaksRule(rule, s, message);
  }

  // -- scopes (I3)
  // ---------------------------------------------------------------------------------

  void Declare(const NodeObj* symbol, const ffi::String& name, const StmtObj* s) {
    Require(declared_.insert(symbol).second, s, "I3",
            "%" + std::string(name) + " is declared a second time");
    live_.insert(symbol);
    scopes_.back().push_back(symbol);
  }
  void Pop() {
    for (const NodeObj* symbol : scopes_.back()) live_.erase(symbol);
    scopes_.pop_back();
  }
  void Use(const NodeObj* symbol, const ffi::String& name, const StmtObj* s) {
    Require(live_.count(symbol) != 0, s, "I3",
            "%" + std::string(name) + " is used outside its scope");
  }

  // The machine stage knows memories: one flat array for a storage, whatever its element type.
  void UseBuffer(const BufferObj* b, const StmtObj* s) {
    if (func_->stage() == Stage::kMachine) {
      Use(b->storage.get(), b->storage->name, s);
    } else {
      Use(b, b->name, s);
    }
  }

  void DeclareParam(const ParamObj* param) {
    if (param->var.defined() && declared_.count(param->var.get()) == 0) {
      Declare(param->var.get(), param->var->name, nullptr);
    }
    if (!param->buffer.defined()) return;
    const BufferObj* b = param->buffer.get();
    const std::function<bool(const NodeObj*)> declare = [&](const NodeObj* n) {
      const bool fresh = n->kind == NodeKind::kVar && declared_.count(n) == 0;
      if (fresh) Declare(n, static_cast<const VarObj*>(n)->name, nullptr);
      return true;
    };
    for (const Expr& e : b->shape) Walk(e, declare);
    for (const Expr& e : b->strides) Walk(e, declare);
    Walk(b->offset, declare);
    DeclareBuffer(b, nullptr, true);
  }

  void DeclareBuffer(const BufferObj* b, const StmtObj* s, bool owns) {
    Require(b->storage.defined(), s, "memory", "%" + std::string(b->name) + " has no storage");
    for (const Expr& e : b->shape) Expression(e, s);
    for (const Expr& e : b->strides) Expression(e, s);
    if (b->offset.defined()) Expression(b->offset, s);
    Require(b->strides.empty() || b->strides.size() == b->shape.size(), s, "rank",
            "%" + std::string(b->name) + " has another number of strides than dimensions");
    if (IsOnChip(b->space())) {
      for (const Expr& e : b->shape) {
        Require(AsInt(e).has_value(), s, "memory",
                "on-chip %" + std::string(b->name) + " has a shape that is no constant");
      }
    }
    Declare(b, b->name, s);
    if (owns) Declare(b->storage.get(), b->storage->name, s);
  }

  // -- expressions
  // -----------------------------------------------------------------------------------

  void Symbols(const NodeObj* root, const StmtObj* s) {
    Walk(root, [&](const NodeObj* n) {
      if (n->kind == NodeKind::kVar) Use(n, static_cast<const VarObj*>(n)->name, s);
      if (n->kind == NodeKind::kBuffer) UseBuffer(static_cast<const BufferObj*>(n), s);
      if (n->kind == NodeKind::kToken) Use(n, static_cast<const TokenObj*>(n)->name, s);
      return true;
    });
  }

  void Expression(const Expr& e, const StmtObj* s) {
    Require(e.defined(), s, "types", "a null expression");
    VerifyExprTypes(e, s);
    Symbols(e.get(), s);
  }
  void Integer(const Expr& e, const StmtObj* s, DataType dtype) {
    Expression(e, s);
    Require(SameType(e.dtype(), dtype), s, "types",
            "a bound of type " + ShortName(e.dtype()) + ", expected " + ShortName(dtype));
  }
  void Condition(const Expr& e, const StmtObj* s) {
    Expression(e, s);
    Require(SameType(e.dtype(), Bool()), s, "types", "a condition of type " + ShortName(e.dtype()));
  }

  // -- statements
  // ------------------------------------------------------------------------------------

  void Body(const Stmt& body, const StmtObj* owner) {
    scopes_.emplace_back();
    Flat(body, owner);
    Pop();
  }
  // The statements of a Seq, without a scope of their own.
  void Flat(const Stmt& body, const StmtObj* owner) {
    const SeqObj* seq = body.as<SeqObj>();
    Require(seq != nullptr, owner, "flat", "a body that is no Seq");
    for (const Stmt& s : seq->stmts) {
      Require(s.defined() && s.kind() != NodeKind::kSeq, owner, "flat",
              "a Seq in a Seq, or a null");
      Statement(s.get());
    }
  }

  void Statement(const StmtObj* s) {
    if (!in_kernel_) HostStatement(s);
    switch (s->kind) {
      case NodeKind::kBind:
        return BindStmt(static_cast<const BindObj*>(s));
      case NodeKind::kAlloc:
        return AllocStmt(static_cast<const AllocObj*>(s));
      case NodeKind::kView:
        return ViewStmt(static_cast<const ViewObj*>(s));
      case NodeKind::kStore:
        return StoreStmt(static_cast<const StoreObj*>(s));
      case NodeKind::kFor:
        return ForStmt(static_cast<const ForObj*>(s));
      case NodeKind::kParallel:
        return ParallelStmt(static_cast<const ParallelObj*>(s));
      case NodeKind::kWhile:
        return WhileStmt(static_cast<const WhileObj*>(s));
      case NodeKind::kIf:
        return IfStmt(static_cast<const IfObj*>(s));
      case NodeKind::kJump:
        return JumpStmt(static_cast<const JumpObj*>(s));
      case NodeKind::kGroup:
        return GroupStmt(static_cast<const GroupObj*>(s));
      case NodeKind::kCall:
        return CallStmt(static_cast<const CallObj*>(s));
      case NodeKind::kTokenOp: {
        const Token& token = static_cast<const TokenOpObj*>(s)->token;
        return Use(token.get(), token->name, s);
      }
      case NodeKind::kCheck:
        return Condition(static_cast<const CheckObj*>(s)->cond, s);
      case NodeKind::kTileOp:
        VerifyTileOp(static_cast<const TileOpObj*>(s));
        return Symbols(s, s);
      case NodeKind::kKernel:
        return KernelStmt(static_cast<const KernelObj*>(s));
      default:
        BreaksRule("flat", s, "not a statement");
    }
  }

  static void HostStatement(const StmtObj* s) {
    switch (s->kind) {
      case NodeKind::kBind:
      case NodeKind::kIf:
      case NodeKind::kCheck:
      case NodeKind::kAlloc:
      case NodeKind::kView:
      case NodeKind::kFor:
      case NodeKind::kKernel:
        return;
      default:
        BreaksRule("program", s, "a device statement outside every kernel");
    }
  }

  void BindStmt(const BindObj* s) {
    Expression(s->value, s);
    Require(SameType(s->var->dtype, s->value.dtype()), s, "types",
            "%" + std::string(s->var->name) + " of type " + ShortName(s->var->dtype) +
                " is bound to a value of type " + ShortName(s->value.dtype()));
    Declare(s->var.get(), s->var->name, s);
  }

  void AllocStmt(const AllocObj* s) {
    Require(s->buffer.defined() != s->token.defined(), s, "memory", "neither a buffer nor a token");
    if (s->token.defined()) {
      Require(s->token->depth >= 1, s, "memory",
              "a token of depth " + std::to_string(s->token->depth));
      return Declare(s->token.get(), s->token->name, s);
    }
    Require(s->versions >= 1, s, "memory", "versions " + std::to_string(s->versions));
    Require(
        in_kernel_ == IsOnChip(s->buffer->space()), s, "memory",
        in_kernel_ ? "global memory is allocated by the host" : "on-chip memory outside a kernel");
    if (s->init.defined()) Expression(s->init, s);
    DeclareBuffer(s->buffer.get(), s, true);
  }

  void ViewStmt(const ViewObj* s) {
    if (s->pointer.defined()) {
      Expression(s->pointer, s);
      Require(IsHandle(s->pointer.dtype()), s, "types", "a view of a value that is no pointer");
      DeclareBuffer(s->buffer.get(), s, declared_.count(s->buffer->storage.get()) == 0);
    } else {
      Use(s->buffer->storage.get(), s->buffer->storage->name, s);
      DeclareBuffer(s->buffer.get(), s, false);
    }
    if (s->version.defined()) Expression(s->version, s);
  }

  void StoreStmt(const StoreObj* s) {
    UseBuffer(s->buffer.get(), s);
    Require(s->index.size() == s->buffer->shape.size(), s, "rank",
            std::to_string(s->index.size()) + " indices of a buffer of rank " +
                std::to_string(s->buffer->shape.size()));
    for (const Expr& e : s->index) {
      Expression(e, s);
      Require(IsInteger(e.dtype()), s, "types", "an index of type " + ShortName(e.dtype()));
    }
    Expression(s->value, s);
    Require(SameType(Element(s->value.dtype()), Element(s->buffer->dtype)), s, "types",
            "a value of type " + ShortName(s->value.dtype()) + " into elements of type " +
                ShortName(s->buffer->dtype));
    if (s->guard.defined()) {
      Expression(s->guard, s);
      Require(IsBool(s->guard.dtype()), s, "types",
              "a guard of type " + ShortName(s->guard.dtype()));
    }
  }

  void ForStmt(const ForObj* s) {
    const DataType dtype = s->var->dtype;
    Require(IsInteger(dtype), s, "types", "a loop variable of type " + ShortName(dtype));
    Integer(s->begin, s, dtype);
    Integer(s->extent, s, dtype);
    if (s->step.defined()) Integer(s->step, s, dtype);
    scopes_.emplace_back();
    Declare(s->var.get(), s->var->name, s);
    ++loops_;
    Flat(s->body, s);
    --loops_;
    Pop();
  }

  void ParallelStmt(const ParallelObj* s) {
    Require(s->vars.size() == s->extents.size() && !s->vars.empty(), s, "rank",
            "a nest of " + std::to_string(s->vars.size()) + " variables and " +
                std::to_string(s->extents.size()) + " extents");
    for (size_t i = 0; i < s->vars.size(); ++i) Integer(s->extents[i], s, s->vars[i].dtype());
    scopes_.emplace_back();
    for (const Var& v : s->vars) Declare(v.get(), v->name, s);
    // A jump would leave the points of other threads.
    const int loops = std::exchange(loops_, 0);
    Flat(s->body, s);
    loops_ = loops;
    Pop();
  }

  void WhileStmt(const WhileObj* s) {
    scopes_.emplace_back();
    ++loops_;
    if (s->head.defined()) Flat(s->head, s);
    Condition(s->cond, s);
    Flat(s->body, s);
    --loops_;
    Pop();
  }

  void IfStmt(const IfObj* s) {
    Condition(s->cond, s);
    Body(s->then_case, s);
    if (s->else_case.defined()) Body(s->else_case, s);
  }

  void JumpStmt(const JumpObj* s) {
    Require(s->jump() == JumpKind::kExit || loops_ > 0, s, "control", "a jump outside every loop");
  }

  void GroupStmt(const GroupObj* s) {
    Require(s->first >= 0 && s->count > 0 && s->first + s->count <= threads_, s, "control",
            "threads " + std::to_string(s->first) + " to " + std::to_string(s->first + s->count) +
                " of " + std::to_string(threads_));
    Body(s->body, s);
  }

  void CallStmt(const CallObj* s) {
    Require(!s->instr.empty(), s, "control", "a call of nothing");
    for (const Expr& e : s->args) {
      if (e.defined()) Expression(e, s);
    }
    if (s->guard.defined()) Condition(s->guard, s);
    for (const Expr& e : s->results) {
      Require(e.defined(), s, "types", "a null result");
      if (e.kind() != NodeKind::kVar) Expression(e, s);
    }
    for (const Expr& e : s->results) {
      if (const VarObj* v = e.as<VarObj>()) Declare(v, v->name, s);
    }
  }

  void KernelStmt(const KernelObj* s) {
    Require(!in_kernel_, s, "program", "a kernel in a kernel");
    const bool axes = s->grid.size() == 3 && s->block_vars.size() == 3 && s->threads.size() == 3 &&
                      s->thread_vars.size() == 3 && s->cluster.size() == 3;
    Require(axes, s, "program", "grid, threads and cluster have 3 axes each");
    // Launch facts and the grid are the host's: no block or thread variable is known yet.
    for (const Expr& e : s->grid) Expression(e, s);
    for (const Expr& e : s->requires_) Condition(e, s);
    Require(s->safe_buffers.size() == s->safe_values.size(), s, "program", "safe values");
    scopes_.emplace_back();
    for (const Var& v : s->block_vars) Declare(v.get(), v->name, s);
    for (const Var& v : s->thread_vars) Declare(v.get(), v->name, s);
    in_kernel_ = true;
    const int loops = std::exchange(loops_, 0);
    threads_ = s->total_threads();
    Require(s->user_threads() > 0, s, "program", "a kernel of no threads");
    Body(s->body, s);
    if (s->schedule.defined()) ScheduleSymbols(s);
    loops_ = loops;
    in_kernel_ = false;
    Pop();
  }

  // A schedule names what the kernel declares, wherever in its body.
  void ScheduleSymbols(const KernelObj* s) {
    for (const Pipe& pipe : s->schedule->pipes) {
      for (const Buffer& b : pipe->buffers) {
        Require(
            declared_.count(b.get()) != 0, s, "I3",
            "the schedule names %" + std::string(b->name) + ", which the kernel does not declare");
      }
    }
    for (const Scope& scope : s->schedule->scopes) {
      const bool known = !scope->loop.defined() || declared_.count(scope->loop.get()) != 0;
      Require(known, s, "I3", "the schedule names a loop that the kernel does not have");
    }
  }

  const Func& func_;
  std::unordered_set<const NodeObj*> live_, declared_;
  std::vector<std::vector<const NodeObj*>> scopes_;
  bool in_kernel_ = false;
  int loops_ = 0;
  int64_t threads_ = 0;
};

}  // namespace

void BreaksRule(const std::string& rule, const StmtObj* s, const std::string& message) {
  std::string text = "rule " + rule + ": " + message;
  if (s != nullptr) {
    const std::string printed = Print(ffi::GetRef<Stmt>(s));
    text += "\n  in: " + printed.substr(0, printed.find('\n'));
    if (s->span.defined()) {
      text += "\n  at: " + std::string(s->span->file) + ":" + std::to_string(s->span->line);
    }
  }
  detail::FailInternal(__FILE__, __LINE__, text);
}

void ForEachKernelStmt(const Func& f, const std::function<void(const StmtObj*)>& visit) {
  bool inside = false;
  Walk(
      f->body,
      [&](const NodeObj* n) {
        if (!IsStmtKind(n->kind)) return false;
        inside |= n->kind == NodeKind::kKernel;
        if (inside) visit(static_cast<const StmtObj*>(n));
        return true;
      },
      [&](const NodeObj* n) { inside &= n->kind != NodeKind::kKernel; });
}

void VerifyCommon(const Func& f) {
  Verifier(f).Run();
}

void Verify(const Func& f) {
  VerifyCommon(f);
  switch (f->stage()) {
    case Stage::kTile:
      return VerifyTile(f);
    case Stage::kMapped:
      return VerifyMapped(f);
    case Stage::kMachine:
      return VerifyMachine(f);
  }
}

}  // namespace tilescale::ir
