// SPDX-License-Identifier: MIT
// PartitionAndVectorize: mapped → machine (passes.h). Walks a kernel once; declarations become flat
// memories, nests the loops of one thread, accesses flat addresses.
#include "compiler/arith/facts.h"
#include "compiler/ir/diag.h"
#include "compiler/isa/instr.h"
#include "compiler/passes/partition_and_vectorize/partition.h"
#include "support/diagnostics.h"

#include <set>

namespace tilescale {

using namespace ir;  // NOLINT

namespace partition {
namespace {

// Vectors of a nest without registers that are still unrolled.
constexpr int64_t kMaxUnrolled = 64;
// Elements of an array of one thread. A longer one is in memory whatever the text says, and the
// device compiler's time grows with the square of what is unrolled: 0.5 s for 512, 60 s for 2048.
constexpr int64_t kMaxInRegisters = 512;

bool WritesRegisters(const Stmt& body) {
  bool found = false;
  Walk(body, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kStore) {
      const auto* store = static_cast<const StoreObj*>(n);
      found = found || IsRegister(store->buffer->space());
    }
    return !found;
  });
  return found;
}

// Arrays whose elements can be registers, where every index is a constant.
bool TouchesRegisterArrays(const Stmt& body) {
  bool found = false;
  auto array = [&](const Buffer& b) {
    found = found || (b->space() == Space::kLocal && AsInt(b->shape[0]) <= kMaxInRegisters);
  };
  Walk(body, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kStore) array(static_cast<const StoreObj*>(n)->buffer);
    if (n->kind == NodeKind::kLoad) array(static_cast<const LoadObj*>(n)->buffer);
    if (n->kind == NodeKind::kRegion) array(static_cast<const RegionObj*>(n)->buffer);
    return !found;
  });
  return found;
}

// Guards memory writes and calls with `cond`; register writes stay.
class GuardMemory : public Mutator {
 public:
  explicit GuardMemory(Expr cond) : cond_(std::move(cond)) {}
  Stmt MutateStore(const Store& s) override {
    if (IsRegister(s->buffer->space())) return s;
    auto out = CopyNode(s.get());
    out->guard = And(cond_, s->guard);
    return Stmt(out);
  }
  Stmt MutateCall(const Call& c) override { return MakeIf(cond_, c, c->span); }

 private:
  Expr cond_;
};

Expr AlignedTo(const Param& p, int64_t bytes) {
  Expr base =
      Cast(MakeAddr(p->buffer, std::vector<Expr>(p->buffer->ndim(), MakeConst(0))), Int(64));
  return Eq(FloorMod(base, bytes), MakeConst(0, Int(64)));
}

// The widest access of one thread to several elements of a tensor, here or on a peer, that the
// program itself asks for, in bytes; 0: none.
int64_t ProgramWidth(const Kernel& k, const Param& p) {
  if (!p->buffer.defined()) return 0;
  int64_t bytes = 0;
  auto wide = [&](const Buffer& b, int64_t lanes) {
    if (lanes > 1 && b->storage.same_as(p->buffer->storage))
      bytes = std::max(bytes, lanes * b->dtype.bits / 8);
  };
  Walk(k->body, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kLoad) {
      const auto* load = static_cast<const LoadObj*>(n);
      wide(load->buffer, load->dtype.lanes);
    } else if (n->kind == NodeKind::kStore) {
      const auto* store = static_cast<const StoreObj*>(n);
      wide(store->buffer, store->value.dtype().lanes);
    } else if (n->kind == NodeKind::kCall) {
      const auto* call = static_cast<const CallObj*>(n);
      if (isa::Get(Str(call->instr)).issue == isa::Issue::kGroup) return true;
      for (const Expr& a : call->args) {
        const auto* addr = a.as<AddrObj>();
        if (addr == nullptr) continue;
        const Buffer& b = addr->region->buffer;
        if (auto lanes = VectorLanes(addr->region)) wide(b, *lanes);
      }
    }
    return true;
  });
  return bytes > Bytes(p->buffer->dtype) ? bytes : 0;
}

// A check of the host, in every variant, for what the program itself accesses wider than an
// element.
Stmt CheckAlignment(const Func& f, const Param& p) {
  int64_t bytes = 0;
  MapKernels(f, [&](const Kernel& k) {
    bytes = std::max(bytes, ProgramWidth(k, p));
    return k;
  });
  if (bytes == 0) return Stmt();
  const std::string n = std::to_string(bytes);
  auto check = ffi::make_object<CheckObj>();
  check->cond = AlignedTo(p, bytes);
  check->message = std::string(f->name) + ": `" + std::string(p->name) + "` is accessed " + n +
                   " bytes at a time, its address must be a multiple of " + n;
  return Stmt(check);
}

class Partitioner {
 public:
  Partitioner(const Func& f, const Kernel& k, PassContext* ctx)
      : func_(f),
        kernel_(k),
        ctx_(ctx),
        memories_(&analyzer_, ctx, f),
        aliases_(f),
        facts_(f, &analyzer_),
        rewrite_(&memories_, &analyzer_) {}

  Kernel Run() {
    arith::BindKernel(&analyzer_, func_, kernel_);
    for (const Param& p : func_->params) {
      if (p->buffer.defined()) memories_.DeclareGlobal(p->buffer);
    }
    for (const Stmt& s : StmtsOf(func_->body)) {
      const auto* alloc = s.as<AllocObj>();
      if (alloc != nullptr && alloc->buffer.defined()) memories_.DeclareGlobal(alloc->buffer);
    }
    tid_ = kernel_->thread_vars[0];
    int64_t scale = kernel_->threads[0];
    for (int i = 1; i < 3; ++i) {
      if (kernel_->threads[i] > 1) tid_ = Add(tid_, Mul(kernel_->thread_vars[i], scale));
      scale *= kernel_->threads[i];
    }
    threads_ = kernel_->total_threads();
    auto out = CopyNode(kernel_.get());
    out->body = PackBytes(MakeSeq(Visit(kernel_->body)), &analyzer_);
    for (const Expr& fact : memories_.facts()) AddFact(out.get(), fact);
    for (const Param& p : func_->params) {
      RequireAlignment(out.get(), p, ProgramWidth(kernel_, p));
    }
    return Kernel(out);
  }

 private:
  static void AddFact(KernelObj* k, const Expr& fact) {
    for (const Expr& known : k->requires_) {
      if (SameExpr(known, fact)) return;
    }
    k->requires_.push_back(fact);
  }

  // The base address of a tensor is aligned to its widest access; to `checked` bytes it is in every
  // variant.
  static void RequireAlignment(KernelObj* k, const Param& p, int64_t checked) {
    if (!p->buffer.defined()) return;
    // The tensor here and on its peers: symmetric memory has one alignment on all ranks.
    std::set<const StorageObj*> storages = {p->buffer->storage.get()};
    Walk(k->body, [&](const NodeObj* n) {
      if (n->kind != NodeKind::kView) return true;
      const auto* view = static_cast<const ViewObj*>(n);
      const auto* addr = view->pointer.defined() ? view->pointer.as<AddrObj>() : nullptr;
      if (addr != nullptr && addr->region->peer.defined() &&
          storages.count(addr->region->buffer->storage.get())) {
        storages.insert(view->buffer->storage.get());
      }
      return false;
    });
    int64_t bytes = 0;
    auto wide = [&](const Buffer& b, int64_t n) {
      // Elements of a view are PlanHost's business: no variant does without their alignment.
      if (storages.count(b->storage.get()) && n > Bytes(b->dtype) && n > Bytes(p->buffer->dtype))
        bytes = std::max(bytes, n);
    };
    Walk(k->body, [&](const NodeObj* n) {
      // The address that a view begins at is no access; an instruction of the whole group finds out
      // by itself how wide it may go.
      if (n->kind == NodeKind::kView) return false;
      if (n->kind == NodeKind::kCall &&
          isa::Get(Str(static_cast<const CallObj*>(n)->instr)).issue == isa::Issue::kGroup) {
        return false;
      }
      if (n->kind == NodeKind::kLoad) {
        const auto* load = static_cast<const LoadObj*>(n);
        wide(load->buffer, Bytes(load->dtype));
      } else if (n->kind == NodeKind::kStore) {
        const auto* store = static_cast<const StoreObj*>(n);
        wide(store->buffer, Bytes(store->value.dtype()));
      } else if (n->kind == NodeKind::kRegion) {
        const auto* region = static_cast<const RegionObj*>(n);
        auto count = AsInt(region->extent[0]);
        if (count && *count > 1 && *count * region->buffer->dtype.bits <= 128) {
          wide(region->buffer, *count * region->buffer->dtype.bits / 8);
        }
      }
      return true;
    });
    if (bytes > checked) AddFact(k, AlignedTo(p, bytes));
  }

  std::vector<Stmt> Visit(const Stmt& s) {
    std::vector<Stmt> out;
    if (!s.defined()) return out;
    if (s.kind() != NodeKind::kSeq) return VisitOne(s);
    for (const Stmt& x : s.as<SeqObj>()->stmts) {
      for (Stmt& y : VisitOne(x)) out.push_back(std::move(y));
    }
    return out;
  }

  std::vector<Stmt> VisitOne(const Stmt& s) {
    facts_.Enter(s);
    std::vector<Stmt> out = Rewrite(s);
    facts_.Exit(s);
    return out;
  }

  std::vector<Stmt> Rewrite(const Stmt& s) {
    switch (s.kind()) {
      case NodeKind::kSeq:
        return Visit(s);
      case NodeKind::kBind: {
        auto out = CopyNode(s.as<BindObj>());
        out->value = analyzer_.SimplifyValue(rewrite_(out->value));
        analyzer_.Define(out->var, out->value);
        return {Stmt(out)};
      }
      case NodeKind::kAlloc:
        return {memories_.DeclareAlloc(s.as<AllocObj>())};
      case NodeKind::kView: {
        Stmt view = memories_.DeclareView(s.as<ViewObj>());
        if (!view.defined()) return {};
        return {view};
      }
      case NodeKind::kFor:
        return VisitFor(s.as<ForObj>());
      case NodeKind::kParallel:
        return VisitParallel(s.as<ParallelObj>());
      case NodeKind::kWhile: {
        auto out = CopyNode(s.as<WhileObj>());
        if (out->head.defined()) out->head = MakeSeq(Visit(out->head));
        out->cond = rewrite_(out->cond);
        out->body = MakeSeq(Visit(out->body));
        return {Stmt(out)};
      }
      case NodeKind::kIf:
        return VisitIf(s.as<IfObj>());
      case NodeKind::kGroup: {
        auto out = CopyNode(s.as<GroupObj>());
        Expr tid = tid_;
        int64_t threads = threads_;
        Var local = MakeVar((out->name.size() ? std::string(out->name) : "group") + "_tid");
        analyzer_.Bind(local, arith::Interval{0, out->count - 1});
        std::vector<Stmt> body = {MakeBind(local, Add(tid_, -out->first), out->span)};
        tid_ = local;
        threads_ = out->count;
        for (Stmt& x : Visit(out->body)) body.push_back(std::move(x));
        out->body = MakeSeq(body);
        tid_ = tid;
        threads_ = threads;
        return {Stmt(out)};
      }
      default:
        return {rewrite_(s)};
    }
  }

  std::vector<Stmt> VisitIf(const IfObj* s) {
    auto out = CopyNode(s);
    out->cond = analyzer_.SimplifyValue(rewrite_(s->cond));
    if (auto known = AsInt(out->cond)) return Visit(*known ? s->then_case : s->else_case);
    size_t mark = analyzer_.Mark();
    analyzer_.Assume(out->cond);
    out->then_case = MakeSeq(Visit(s->then_case));
    analyzer_.Leave(mark);
    if (s->else_case.defined()) {
      analyzer_.Assume(Not(out->cond));
      out->else_case = MakeSeq(Visit(s->else_case));
    }
    return {Stmt(out)};
  }

  std::vector<Stmt> VisitFor(const ForObj* s) {
    auto out = CopyNode(s);
    out->begin = analyzer_.Simplify(rewrite_(s->begin));
    out->extent = analyzer_.Simplify(rewrite_(s->extent));
    if (s->step.defined()) out->step = analyzer_.Simplify(rewrite_(s->step));
    arith::BindLoop(&analyzer_, out.get());
    std::vector<Stmt> body = Visit(s->body);
    auto extent = AsInt(out->extent);
    if (s->loop() == ForKind::kVector && extent && IsConst(out->begin, 0) && !s->step.defined()) {
      VectorOptions options{.aligned = !ctx_->general, .aliases = &aliases_};
      return VectorizeLoop(s->var, *extent, body, options, &analyzer_, s->span);
    }
    if (s->loop() == ForKind::kVector) out->kind_ = static_cast<int64_t>(ForKind::kUnroll);
    if (s->loop() == ForKind::kPipelined) out->kind_ = static_cast<int64_t>(ForKind::kSerial);
    out->hint = PipelineHint();
    out->body = MakeSeq(body);
    return {Stmt(out)};
  }

  std::vector<Stmt> VisitParallel(const ParallelObj* s) {
    if (s->layout.size() == 0) return SymbolicNest(s);
    size_t mark = analyzer_.Mark();
    Layout layout = Layout::Literal(Str(s->layout));
    NestPlan plan = PlanNest(layout, tid_, threads_, s->vars, &analyzer_, s->span);
    VarMap map;
    for (size_t i = 0; i < s->vars.size(); ++i) map[s->vars[i].get()] = plan.coords[i];
    if (plan.valid.defined()) analyzer_.Assume(plan.valid);
    std::vector<Stmt> body = Visit(Substitute(s->body, map));
    Expr whole = plan.valid;
    if (plan.primary.defined()) {
      if (WritesRegisters(MakeSeq(body))) {
        GuardMemory guard(plan.primary);
        for (Stmt& x : body) x = guard(x);
      } else {
        whole = And(whole, plan.primary);
      }
    }
    std::vector<Stmt> loops = Loops(s, plan, std::move(body), &whole);
    analyzer_.Leave(mark);
    if (!plan.binds.empty()) CheckBytes(MakeSeq(loops));
    std::vector<Stmt> out = plan.binds;
    if (whole.defined()) {
      out.push_back(MakeIf(whole, MakeSeq(loops), s->span));
    } else {
      out.insert(out.end(), loops.begin(), loops.end());
    }
    for (const SlotDigit& d : plan.tried) {
      out = {MakeFor(d.var, MakeConst(d.extent), MakeSeq(out), s->span, ForKind::kUnroll)};
    }
    if (!plan.tried.empty()) {
      ctx_->Record("partition-and-vectorize", s->span, "nest " + std::string(s->label),
                   "no division of the thread index gives its points: each thread looks for them");
    }
    return out;
  }

  // I5: an element that does not fill a byte is written with its neighbours, or by one thread.
  static void CheckBytes(const Stmt& body) {
    Walk(body, [&](const NodeObj* n) {
      if (n->kind != NodeKind::kStore) return true;
      const auto* s = static_cast<const StoreObj*>(n);
      const Buffer& b = s->buffer;
      if (s->value.dtype().lanes > 1 || b->dtype.bits >= 8 || IsRegister(b->space())) return true;
      RaiseAt(s->span, "CompileError", "elements of `", b->name, "` (", LanguageName(b->dtype),
              ") share bytes, and this loop gives those of one byte to different threads; write "
              "rows of "
              "an even extent, in the order of memory");
      return false;
    });
  }

  // The loops over slot digits: the one that walks memory innermost, as vectors.
  std::vector<Stmt> Loops(const ParallelObj* s, const NestPlan& plan, std::vector<Stmt> body,
                          Expr* whole) {
    size_t inner = 0;
    for (size_t i = plan.digits.size(); i-- > 0;) {
      if (WalksMemory(MakeSeq(body), plan.digits[i].var)) inner = i;
    }
    const bool registers = TouchesRegisterArrays(MakeSeq(body));
    int64_t times = 1;  // that the body stands in the unrolled text
    for (size_t i = 0; i < plan.digits.size(); ++i) times *= i == inner ? 1 : plan.digits[i].extent;
    // A condition on slots belongs inside their loops.
    Expr uses_slots;
    if (whole->defined()) SplitCondition(whole, &uses_slots, plan);
    if (uses_slots.defined()) body = Guarded(std::move(body), uses_slots, s->span);
    if (!plan.digits.empty()) {
      const SlotDigit& d = plan.digits[inner];
      VectorOptions options{.max_width = s->width > 0 ? s->width : kMaxLanes,
                            .async = s->prefer_async,
                            .aligned = !ctx_->general,
                            .independent = true,
                            .aliases = &aliases_};
      body = VectorizeLoop(d.var, d.extent, std::move(body), options, &analyzer_, s->span);
      if (std::string why = s->prefer_async ? WhyNotAsync(body) : ""; !why.empty()) {
        ctx_->Record("partition-and-vectorize", s->span, "nest " + std::string(s->label),
                     "plain loads and stores", {"cp_async: " + why});
      }
    } else if (s->prefer_async) {  // an element a thread
      for (Stmt& each : body) each = CopyAsync(each);
    }
    if (body.size() == 1 && body[0].kind() == NodeKind::kFor)
      times *= AsInt(body[0].as<ForObj>()->extent).value_or(1);
    const bool unroll = times <= kMaxUnrolled || registers;
    for (size_t i = 0; i < plan.digits.size(); ++i) {
      if (i == inner) continue;
      const SlotDigit& d = plan.digits[i];
      body = {MakeFor(d.var, MakeConst(d.extent), MakeSeq(body), s->span,
                      unroll ? ForKind::kUnroll : ForKind::kSerial)};
    }
    return body;
  }

  // Simple bodies carry the condition as the guard of each access, so that vectors stay possible;
  // others get an If.
  std::vector<Stmt> Guarded(std::vector<Stmt> body, const Expr& cond, const Span& span) {
    bool simple = true;
    for (const Stmt& x : body) simple = simple && x.kind() == NodeKind::kStore;
    if (!simple) return {MakeIf(cond, MakeSeq(std::move(body)), span)};
    class Guard : public Mutator {
     public:
      Guard(Expr c, arith::Analyzer* analyzer) : cond_(std::move(c)), analyzer_(analyzer) {}
      // A register may be read where the condition fails, one past the end of its array may not:
      // another tile of the body has its slots elsewhere.
      Expr MutateLoad(const Load& l) override {
        if (IsRegister(l->buffer->space()) && Inside(l)) return l;
        auto out = CopyNode(l.get());
        out->guard = And(cond_, l->guard);
        return Expr(out);
      }
      Stmt MutateStore(const Store& s) override {
        auto out = CopyNode(s.get());
        out->value = MutateExpr(s->value);
        out->guard = And(cond_, s->guard);
        return Stmt(out);
      }

     private:
      bool Inside(const Load& l) {
        if (l->index.size() != 1) return true;
        arith::Interval at = analyzer_->Bounds(l->index[0]);
        return at.lo >= 0 && at.hi < NumElements(l->buffer);
      }

      Expr cond_;
      arith::Analyzer* analyzer_;
    } guard(cond, &analyzer_);
    for (Stmt& x : body) x = guard(x);
    return body;
  }

  // Moves the conjuncts that mention slot digits from `whole` to `inner`.
  void SplitCondition(Expr* whole, Expr* inner, const NestPlan& plan) {
    std::vector<Expr> parts;
    auto flatten = [&](auto&& self, const Expr& e) -> void {
      const auto* op = e.as<OpObj>();
      if (op != nullptr && op->op() == OpCode::kAnd) {
        self(self, op->args[0]);
        self(self, op->args[1]);
      } else {
        parts.push_back(e);
      }
    };
    flatten(flatten, *whole);
    *whole = Expr();
    for (const Expr& part : parts) {
      bool slot = false;
      Walk(part, [&](const NodeObj* n) {
        for (const SlotDigit& d : plan.digits) slot = slot || n == d.var.get();
        return !slot;
      });
      Expr* to = slot ? inner : whole;
      *to = And(*to, part);
    }
  }

  bool WalksMemory(const Stmt& body, const Var& digit) {
    bool found = false;
    auto look = [&](const Buffer& b, const ffi::Array<Expr>& index) {
      if (b->space() != Space::kGlobal && b->space() != Space::kShared) return;
      auto stride = analyzer_.Stride(index[0], digit);
      found = found || (stride && *stride == 1);
    };
    Walk(body, [&](const NodeObj* n) {
      if (n->kind == NodeKind::kStore) {
        const auto* store = static_cast<const StoreObj*>(n);
        look(store->buffer, store->index);
      }
      if (n->kind == NodeKind::kLoad) {
        const auto* load = static_cast<const LoadObj*>(n);
        look(load->buffer, load->index);
      }
      return !found;
    });
    return found;
  }

  // Extents that are known at launch only (no fragments): points in row-major
  // order, thread t takes t, t + T, ….
  std::vector<Stmt> SymbolicNest(const ParallelObj* s) {
    size_t mark = analyzer_.Mark();
    Expr total = MakeConst(1, Int(32));
    for (const Expr& e : s->extents) total = Mul(total, Cast(e, Int(32)));
    Var p = MakeVar("p");
    Expr first = tid_;
    Expr rest = p;
    VarMap map;
    for (size_t i = s->vars.size(); i-- > 0;) {
      map[s->vars[i].get()] = i == 0 ? rest : FloorMod(rest, Cast(s->extents[i], Int(32)));
      rest = FloorDiv(rest, Cast(s->extents[i], Int(32)));
    }
    analyzer_.Bind(p, MakeConst(0), total);
    std::vector<Stmt> body = Visit(Substitute(s->body, map));
    CheckBytes(MakeSeq(body));
    analyzer_.Leave(mark);
    auto loop = ffi::make_object<ForObj>();
    loop->var = p;
    loop->begin = first;
    loop->step = MakeConst(threads_);
    // ceil((total - tid) / threads), not below 0.
    Expr count = FloorDiv(Sub(Add(total, threads_ - 1), first), threads_);
    loop->extent = Max(count, MakeConst(0));
    loop->body = MakeSeq(body);
    loop->span = s->span;
    return {Stmt(loop)};
  }

  const Func& func_;
  Kernel kernel_;
  PassContext* ctx_;
  arith::Analyzer analyzer_;
  Memories memories_;
  analysis::Aliases aliases_;
  analysis::FactScope facts_;
  AddressRewriter rewrite_;
  Expr tid_;
  int64_t threads_ = 0;
};

}  // namespace
}  // namespace partition

namespace passes {

Func PartitionAndVectorize(Func f, PassContext& ctx) {
  std::vector<Stmt> body;
  for (const Param& p : f->params) body.push_back(partition::CheckAlignment(f, p));
  f = MapKernels(f, [&](const Kernel& k) { return partition::Partitioner(f, k, &ctx).Run(); });
  auto out = CopyNode(f.get());
  body.push_back(f->body);
  out->body = MakeSeq(body);
  return Func(out);
}

}  // namespace passes
}  // namespace tilescale
