// SPDX-License-Identifier: MIT
#include "compiler/analysis/evaluate/machine.h"
#include "compiler/ir/build.h"
#include "compiler/ir/diag.h"
#include "compiler/ir/op_def.h"
#include "compiler/ir/text.h"

#include <utility>

namespace tilescale::analysis {

using namespace ir;  // NOLINT

namespace {

// Statements beyond this are a loop that waits for something that never comes.
constexpr uint64_t kMaxSteps = uint64_t{1} << 28;

}  // namespace

void Machine::Refuse(const char* kind, const std::string& text) const {
  throw Refusal{kind, text};
}

void Machine::Run(const Stmt& s, const Threads& threads) {
  if (!s.defined() || threads.none()) return;
  if (++steps_ > kMaxSteps) {
    RaiseAt(s->span, "CompileError",
            "evaluate: the program does not end, or waits for another block");
  }
  try {
    Dispatch(s, threads);
  } catch (const Refusal& refusal) {
    RaiseAt(s->span, refusal.kind, "evaluate: ", refusal.text);
  }
}

void Machine::Dispatch(const Stmt& s, const Threads& threads) {
  switch (s.kind()) {
    case NodeKind::kSeq:
      return RunSeq(s.as<SeqObj>(), threads);
    case NodeKind::kBind: {
      const auto* bind = s.as<BindObj>();
      return Set(bind->var, EvalAll(bind->value, threads));
    }
    case NodeKind::kAlloc:
      return RunAlloc(s.as<AllocObj>(), threads);
    case NodeKind::kView:
      if (s.as<ViewObj>()->pointer.defined() || s.as<ViewObj>()->version.defined()) {
        Refuse("NotImplementedError", "a view of a pointer or of a version");
      }
      return;
    case NodeKind::kStore:
      return RunStore(s.as<StoreObj>(), threads);
    case NodeKind::kFor:
      return RunFor(s.as<ForObj>(), threads);
    case NodeKind::kParallel:
      return RunParallel(s.as<ParallelObj>(), threads);
    case NodeKind::kWhile:
      return RunWhile(s.as<WhileObj>(), threads);
    case NodeKind::kIf:
      return RunIf(s.as<IfObj>(), threads);
    case NodeKind::kJump:
      switch (s.as<JumpObj>()->jump()) {
        case JumpKind::kBreak:
          broken_ |= threads;
          return;
        case JumpKind::kContinue:
          continued_ |= threads;
          return;
        case JumpKind::kExit:
          exited_ |= threads;
          return;
      }
      return;
    case NodeKind::kGroup:
      return RunGroup(s.as<GroupObj>(), threads);
    case NodeKind::kCall:
      return RunCall(s.as<CallObj>(), threads);
    case NodeKind::kCheck:
      return RunCheck(s.as<CheckObj>(), threads);
    case NodeKind::kTileOp:
      return RunTileOp(s.as<TileOpObj>(), threads);
    default:
      Refuse("NotImplementedError", "a statement of a schedule cannot be run sequentially");
  }
}

void Machine::RunSeq(const SeqObj* s, const Threads& threads) {
  for (const Stmt& child : s->stmts) {
    const Threads active = Active(threads);
    if (active.none()) return;
    Run(child, active);
  }
}

void Machine::RunAlloc(const AllocObj* s, const Threads& threads) {
  if (!s->buffer.defined()) Refuse("NotImplementedError", "tokens need a schedule");
  if (s->buffer->space() == Space::kMbar) return;
  Allocate(s->buffer, threads);
  if (!s->init.defined()) return;
  const Lanes values = EvalAll(s->init, threads);
  Memory& memory = MemoryOf(s->buffer);
  if (!values.same) Diverge(memory);
  const std::vector<int64_t> first(static_cast<size_t>(s->buffer->ndim()), 0);
  for (size_t t = 0; t < (values.same ? 1 : num_threads_); ++t) {
    if (!values.same && !threads[t]) continue;
    lane_ = t;
    WriteElement(s->buffer, first, CastValue(values[t], s->init.dtype(), s->buffer->dtype));
  }
}

// All threads read before any of them writes.
void Machine::RunStore(const StoreObj* s, const Threads& threads) {
  if (s->value.dtype().lanes > 1) Refuse("NotImplementedError", "a vector store");
  Threads writers = s->guard.defined() ? Where(s->guard, threads) : threads;
  if (writers.none()) return;
  struct Write {
    size_t lane;
    std::vector<int64_t> index;
    Value value;
  };
  std::vector<Write> writes;
  varies_ = false;
  for (size_t t = writers._Find_first(); t < num_threads_; ++t) {
    if (!writers[t]) continue;
    lane_ = t;
    std::vector<int64_t> index = EvalIndex(s->buffer, s->index);
    Value v = Eval(s->value);
    if (InRange(s->buffer, index)) {
      writes.push_back({t, index, CastValue(v, s->value.dtype(), s->buffer->dtype)});
    }
    if (!varies_) break;
  }
  const bool same = !varies_;
  Memory& memory = MemoryOf(s->buffer);
  if (memory.by_thread && point_ == 0) {
    const bool all = (memory.scope & ~writers).none();
    if (memory.same && !(same && all)) Diverge(memory);
    if (!memory.same && same && !writes.empty()) {
      const Write first = writes[0];
      writes.clear();
      for (size_t t = 0; t < num_threads_; ++t) {
        if (writers[t]) writes.push_back({t, first.index, first.value});
      }
    }
  }
  for (const Write& w : writes) {
    lane_ = w.lane;
    WriteElement(s->buffer, w.index, w.value);
  }
}

void Machine::RunFor(const ForObj* s, const Threads& threads) {
  const Lanes begin = EvalAll(s->begin, threads), extent = EvalAll(s->extent, threads);
  Lanes step{true, {Value{1, 0}}};
  if (s->step.defined()) step = EvalAll(s->step, threads);
  const Threads broken = std::exchange(broken_, Threads()),
                continued = std::exchange(continued_, Threads());
  const bool same = begin.same && step.same;
  for (int64_t k = 0;; ++k) {
    Threads active = Active(threads);
    for (size_t t = 0; t < num_threads_; ++t) {
      if (active[t] && k >= extent[t].i) active.reset(t);
    }
    if (active.none()) break;
    Lanes value{same, std::vector<Value>(same ? 1 : num_threads_)};
    for (size_t t = 0; t < value.values.size(); ++t) {
      value.values[t].i = begin[t].i + k * step[t].i;
    }
    Set(s->var, std::move(value));
    Run(s->body, active);
    continued_.reset();
  }
  broken_ = broken;
  continued_ = continued;
}

void Machine::RunWhile(const WhileObj* s, const Threads& threads) {
  const Threads broken = std::exchange(broken_, Threads()),
                continued = std::exchange(continued_, Threads());
  Threads active = threads;
  while (true) {
    active = Active(active);
    if (active.none()) break;
    if (s->head.defined()) Run(s->head, active);
    active = Where(s->cond, Active(active));
    Run(s->body, active);
    continued_.reset();
  }
  broken_ = broken;
  continued_ = continued;
}

void Machine::RunIf(const IfObj* s, const Threads& threads) {
  const Threads yes = Where(s->cond, threads);
  Run(s->then_case, yes);
  Run(s->else_case, threads & ~yes);
}

void Machine::NeedGroup(const char* what, const Threads& threads) {
  if (point_ != 0) Refuse("ValueError", std::string(what) + " inside T.Parallel");
  if (threads == (group_ & ~exited_)) return;
  Refuse("ValueError", std::string(what) + " is reached by " + std::to_string(threads.count()) +
                           " of the " + std::to_string(group_.count()) +
                           " threads that run it together");
}

// Cells that a point writes are its own: they hold nothing behind the nest.
void Machine::RunParallel(const ParallelObj* s, const Threads& threads) {
  if (point_ == 0) NeedGroup("T.Parallel", threads);
  const uint64_t outer = point_;
  if (outer == 0) point_ = ++nests_;
  std::vector<int64_t> extents;
  int64_t total = 1;
  Threads one;
  one.set(threads._Find_first());
  for (const Expr& e : s->extents) {
    extents.push_back(EvalInt(e));
    total *= std::max<int64_t>(extents.back(), 0);
  }
  std::vector<int64_t> at(extents.size(), 0);
  for (int64_t i = 0; i < total; ++i) {
    for (size_t d = 0; d < at.size(); ++d) SetOne(s->vars[d], at[d]);
    Run(s->body, one);
    for (size_t d = at.size(); d-- > 0;) {
      if (++at[d] < extents[d]) break;
      at[d] = 0;
    }
  }
  if (outer == 0) {
    for (auto& [storage, memory] : memories_) {
      if (!memory.by_thread || memory.touched != point_) continue;
      std::fill(memory.written.begin(), memory.written.end(), 0);
    }
    point_ = 0;
  }
}

void Machine::RunTileOp(const TileOpObj* s, const Threads& threads) {
  const TileOpDef& def = DefOf(s);
  const char* spelled = def.syntax.spelled;
  const std::string name = "T." + (spelled != nullptr ? spelled : std::string(s->op));
  if (def.evaluate == nullptr) {
    Refuse("NotImplementedError", name + " has no meaning in a sequential run");
  }
  if (SyntaxOf(s).participants == Participants::kGroup) {
    NeedGroup(name.c_str(), threads);
    lane_ = threads._Find_first();
    varies_ = false;
    def.evaluate(s, this);
    if (varies_) Refuse("ValueError", name + " has operands that differ among the threads");
    return;
  }
  if (SyntaxOf(s).participants == Participants::kWarp) {
    Refuse("NotImplementedError", name + " of a warp");
  }
  for (size_t t = 0; t < num_threads_; ++t) {
    if (!threads[t]) continue;
    lane_ = t;
    def.evaluate(s, this);
  }
}

void Machine::RunGroup(const GroupObj* s, const Threads& threads) {
  Threads inside;
  for (int64_t t = s->first; t < s->first + s->count; ++t) inside.set(static_cast<size_t>(t));
  const Threads outer = std::exchange(group_, inside);
  Run(s->body, threads & inside);
  group_ = outer;
}

void Machine::RunCheck(const CheckObj* s, const Threads& threads) {
  if (Where(s->cond, threads) == threads) return;
  std::string what =
      s->assume ? "what T.assume states does not hold" : "an assertion does not hold";
  what += ": `" + Spelled(s->cond) + "`";
  if (!s->message.empty()) what += ", " + std::string(s->message);
  Refuse("AssertionError", what);
}

void Machine::RunBlock(const Kernel& kernel, const int64_t (&block)[3]) {
  broken_.reset();
  continued_.reset();
  exited_.reset();
  const auto x = static_cast<size_t>(kernel->threads[0]),
             y = static_cast<size_t>(kernel->threads[1]);
  for (size_t d = 0; d < 3; ++d) {
    SetOne(kernel->block_vars[d], block[d]);
    Lanes index{num_threads_ == 1 || kernel->threads[d] == 1, {}};
    for (size_t t = 0; t < num_threads_; ++t) {
      const size_t at = d == 0 ? t % x : d == 1 ? t / x % y : t / (x * y);
      index.values.push_back({static_cast<int64_t>(at), 0});
    }
    Set(kernel->thread_vars[d], std::move(index));
  }
  Threads all;
  for (size_t t = 0; t < num_threads_; ++t) all.set(t);
  group_ = all;
  Run(kernel->body, all);
}

void Machine::RunKernel(const Kernel& kernel) {
  if (kernel->schedule.defined()) Refuse("NotImplementedError", "a kernel with a schedule");
  if (kernel->user_threads() > static_cast<int64_t>(kMaxThreads)) {
    Refuse("ValueError", "a block of " + std::to_string(kernel->user_threads()) + " threads");
  }
  int64_t grid[3];
  for (size_t d = 0; d < 3; ++d) grid[d] = EvalInt(kernel->grid[d]);
  kernel_ = kernel.get();
  num_threads_ = static_cast<size_t>(kernel->user_threads());
  for (int64_t z = 0; z < grid[2]; ++z) {
    for (int64_t y = 0; y < grid[1]; ++y) {
      for (int64_t x = 0; x < grid[0]; ++x) RunBlock(kernel, {x, y, z});
    }
  }
  kernel_ = nullptr;
  num_threads_ = 1;
  broken_.reset();
  continued_.reset();
  exited_.reset();
}

// Host statements run as one thread.
void Machine::RunHost(const Stmt& s) {
  Threads host;
  host.set(0);
  for (const Stmt& child : StmtsOf(s)) {
    if (child.kind() == NodeKind::kKernel) {
      try {
        RunKernel(
            Kernel(ffi::GetObjectPtr<KernelObj>(const_cast<KernelObj*>(child.as<KernelObj>()))));
      } catch (const Refusal& refusal) {
        RaiseAt(child->span, refusal.kind, "evaluate: ", refusal.text);
      }
    } else if (const auto* branch = child.as<IfObj>()) {
      const bool yes = Where(branch->cond, host).any();
      const Stmt& taken = yes ? branch->then_case : branch->else_case;
      if (taken.defined()) RunHost(taken);
    } else {
      Run(child, host);
    }
  }
}

}  // namespace tilescale::analysis
