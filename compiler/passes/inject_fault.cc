// SPDX-License-Identifier: MIT
// Seeded faults for `./dev mutants`: enumerates the places of a lowered function where one change
// makes it wrong, and makes one of them. What an instruction is for comes from its row; nothing
// here knows an op or an instruction by name.
#include "compiler/ir/build.h"
#include "compiler/ir/text.h"
#include "compiler/ir/visit.h"
#include "compiler/isa/instr.h"
#include "compiler/passes/passes.h"
#include "compiler/target/constants.h"
#include "support/diagnostics.h"

#include <algorithm>
#include <utility>

namespace tilescale::passes {

namespace {

using ir::Expr;
using ir::NodeKind;
using ir::OpCode;
using ir::Space;
using ir::Stmt;
using isa::SyncKind;

bool IsNumber(const Expr& e) {
  return ir::AsInt(e).has_value();
}

// `e` with a literal added.
Expr Plus(const Expr& e, int64_t n) {
  return ir::Add(e, ir::MakeConst(n, e.dtype()));
}

// Shared memory and global memory hold what indices reach; so do barriers.
bool InMemory(const ir::Buffer& b) {
  return IsMemory(b->space()) || b->space() == Space::kMbar;
}

// The comparison that is true at one integer more or one less.
OpCode Loosened(OpCode op) {
  switch (op) {
    case OpCode::kLt:
      return OpCode::kLe;
    case OpCode::kLe:
      return OpCode::kLt;
    case OpCode::kGt:
      return OpCode::kGe;
    default:
      return OpCode::kGt;
  }
}

bool IsOrder(OpCode op) {
  return op == OpCode::kLt || op == OpCode::kLe || op == OpCode::kGt || op == OpCode::kGe;
}

// The first two variables of an index, exchanged; the index itself if it has fewer.
Expr Swapped(const Expr& index) {
  std::vector<ir::Var> vars;
  ir::Walk(index, [&](const ir::NodeObj* n) {
    if (n->kind == NodeKind::kLoad) return false;
    const auto* v = n->kind == NodeKind::kVar ? static_cast<const ir::VarObj*>(n) : nullptr;
    if (v != nullptr && (vars.empty() || vars[0].get() != v)) {
      vars.push_back(ffi::GetRef<ir::Var>(v));
    }
    return true;
  });
  if (vars.size() < 2 || !ir::SameType(vars[0].dtype(), vars[1].dtype())) return index;
  return ir::Substitute(index, {{vars[0].get(), vars[1]}, {vars[1].get(), vars[0]}});
}

// Does an index of a thread's own array name `v`? One iteration more would leave the array, which
// the simulated machine, like a GPU, does not notice.
bool IndexesRegisters(const Stmt& body, const ir::VarObj* v) {
  bool found = false;
  auto names = [&](const ir::Buffer& b, const ffi::Array<Expr>& index) {
    if (InMemory(b)) return;
    for (const Expr& i : index) {
      ir::Walk(i, [&](const ir::NodeObj* n) {
        found = found || n == v;
        return true;
      });
    }
  };
  ir::Walk(body, [&](const ir::NodeObj* n) {
    if (n->kind == NodeKind::kLoad) {
      const auto* load = static_cast<const ir::LoadObj*>(n);
      names(load->buffer, load->index);
    } else if (n->kind == NodeKind::kStore) {
      const auto* store = static_cast<const ir::StoreObj*>(n);
      names(store->buffer, store->index);
    } else if (n->kind == NodeKind::kRegion) {
      const auto* region = static_cast<const ir::RegionObj*>(n);
      names(region->buffer, region->begin);
    }
    return !found;
  });
  return found;
}

bool ReadsStorage(const Expr& e, const ir::StorageObj* storage) {
  bool found = false;
  ir::Walk(e, [&](const ir::NodeObj* n) {
    if (n->kind == NodeKind::kLoad) {
      found = found || static_cast<const ir::LoadObj*>(n)->buffer->storage.get() == storage;
    }
    return !found;
  });
  return found;
}

// "release.sys" -> "relaxed.sys"; the same text if it orders nothing.
std::string Relaxed(const std::string& text) {
  const size_t dot = text.find('.');
  const std::string order = text.substr(0, dot);
  if (dot == std::string::npos || order == "relaxed") return text;
  return "relaxed" + text.substr(dot);
}

// The next smaller scope; the same text if there is none.
std::string Narrowed(const std::string& text) {
  const size_t dot = text.rfind('.');
  const size_t begin = dot == std::string::npos ? 0 : dot + 1;
  const std::string scope = text.substr(begin);
  if (scope == "sys") return text.substr(0, begin) + "gpu";
  if (scope == "gpu") return text.substr(0, begin) + "cta";
  return text;
}

// The conjuncts of a condition.
void Conjuncts(const Expr& e, std::vector<Expr>* out) {
  const auto* op = e.as<ir::OpObj>();
  if (op == nullptr || op->op() != OpCode::kAnd) return out->push_back(e);
  for (const Expr& arg : op->args) Conjuncts(arg, out);
}

// Is each conjunct of `weak` one of `strong`?
bool Implies(const Expr& strong, const Expr& weak) {
  if (!strong.defined()) return false;
  std::vector<Expr> have, need;
  Conjuncts(strong, &have);
  Conjuncts(weak, &need);
  return std::all_of(need.begin(), need.end(), [&](const Expr& n) {
    return std::any_of(have.begin(), have.end(), [&](const Expr& h) { return ir::SameExpr(h, n); });
  });
}

// Counts the places in program order; makes the fault at the one that is asked for.
class Injector : public ir::Mutator {
 public:
  explicit Injector(int64_t wanted) : wanted_(wanted) {}
  std::vector<Fault> faults;

  Stmt MutateStmt(const Stmt& s) override {
    Stmt outer = std::exchange(stmt_, s);
    Stmt result = Mutator::MutateStmt(s);
    stmt_ = outer;
    return result;
  }

  // Grid and launch facts are the launcher's, not the kernel's.
  Stmt MutateKernel(const ir::Kernel& k) override {
    shared_.clear();
    Stmt body = MutateStmt(k->body);
    auto out = ir::CopyNode(k.get());
    out->body = body.defined() ? body : ir::MakeSeq({});
    return ir::Kernel(out);
  }

  Stmt MutateAlloc(const ir::Alloc& s) override {
    if (!s->buffer.defined()) return s;
    auto out = ir::CopyNode(s.get());
    if (s->buffer->space() == Space::kVar && s->init.defined() && ir::AsInt(s->init)) {
      const int64_t start = *ir::AsInt(s->init);
      const Expr other = ir::MakeConst(start > 0 ? start - 1 : start + 1, s->init.dtype());
      if (Here("wrong start")) out->init = other;
    }
    if (s->buffer->space() == Space::kShared) {
      if (!shared_.empty() && shared_.back() != s->offset && Here("overlapping buffers")) {
        out->offset = shared_.back();
      }
      shared_.push_back(s->offset);
    }
    return ir::Alloc(out);
  }

  Stmt MutateStore(const ir::Store& s) override {
    const ir::StorageObj* storage = s->buffer->storage.get();
    if (s->buffer->space() == Space::kVar && ReadsStorage(s->value, storage) &&
        Here("dropped advance")) {
      return Stmt();
    }
    auto out = ir::CopyNode(s.get());
    out->index = Index(s->buffer, s->index, s->value.dtype().lanes);
    const Expr outer = std::exchange(guard_, s->guard);
    out->value = MutateExpr(s->value);
    guard_ = outer;
    out->guard = Guard(s->guard);
    return ir::Store(out);
  }

  Expr MutateLoad(const ir::Load& e) override {
    auto out = ir::CopyNode(e.get());
    out->index = Index(e->buffer, e->index, e.dtype().lanes);
    // Behind a guard that says the same, that of a load decides nothing.
    if (e->guard.defined() && !Implies(guard_, e->guard)) out->guard = Guard(e->guard);
    out->other = MutateExpr(e->other);
    return ir::Load(out);
  }

  ir::Region MutateRegion(const ir::Region& r) override {
    int64_t width = 1;
    if (!r->extent.empty()) width = ir::AsInt(r->extent[r->extent.size() - 1]).value_or(1);
    auto out = ir::CopyNode(r.get());
    if (!in_view_) out->begin = Index(r->buffer, r->begin, width);
    out->peer = Peer(r->peer);
    return ir::Region(out);
  }

  // The memory that a view names, not an access.
  Stmt MutateView(const ir::View& s) override {
    in_view_ = true;
    Stmt out = DefaultStmt(s);
    in_view_ = false;
    return out;
  }

  Expr MutateOp(const ir::Op& e) override {
    if (!in_condition_ || !IsOrder(e->op())) return DefaultExpr(e);
    const bool here = Here("bound off by one");
    Expr same = DefaultExpr(e);
    const auto* op = same.as<ir::OpObj>();
    return here ? ir::Compare(Loosened(op->op()), op->args[0], op->args[1]) : same;
  }

  Stmt MutateIf(const ir::If& s) override {
    if (!s->else_case.defined() && Here("dropped guard")) return s->then_case;
    auto out = ir::CopyNode(s.get());
    out->cond = Condition(s->cond);
    out->then_case = Body(s->then_case);
    if (s->else_case.defined()) out->else_case = Body(s->else_case);
    return ir::If(out);
  }

  Stmt MutateFor(const ir::For& s) override {
    if (s->loop() == ir::ForKind::kVector) return DefaultStmt(s);
    auto out = ir::CopyNode(s.get());
    if (Here("loop one short")) out->extent = Plus(s->extent, -1);
    if (s->loop() == ir::ForKind::kSerial && !IndexesRegisters(s->body, s->var.get()) &&
        Here("loop one long")) {
      out->extent = Plus(s->extent, 1);
    }
    out->body = Body(s->body);
    return ir::For(out);
  }

  // A loop without a body waits for what its head reads.
  Stmt MutateWhile(const ir::While& s) override {
    if (ir::StmtsOf(s->body).empty() && Here("dropped wait")) return Stmt();
    return DefaultStmt(s);
  }

  Stmt MutateCall(const ir::Call& s) override {
    const isa::Instr& row = isa::Get(ir::Str(s->instr));
    if (row.sync != SyncKind::kNone && s->results.empty() && Here(DropName(row.sync))) {
      return Stmt();
    }
    auto out = ir::CopyNode(s.get());
    Sync(row, out.get());
    if (row.text_is_template && Ordering(row, out.get())) return Stmt();
    ffi::Array<Expr> args;
    for (const Expr& arg : out->args) {
      const bool is_guard = arg.dtype().code == kDLBool && !IsNumber(arg);
      Expr guarded = is_guard ? Guard(arg) : MutateExpr(arg);
      args.push_back(guarded.defined() ? guarded : ir::MakeConst(1, arg.dtype()));
    }
    out->args = args;
    out->results = MutateExprs(s->results);
    out->guard = Guard(s->guard);
    return ir::Call(out);
  }

 private:
  // A place for a fault of this kind: true if it is to be made here.
  bool Here(const char* kind) {
    const auto index = static_cast<int64_t>(faults.size());
    std::string text = wanted_ < 0 ? ir::Print(stmt_) : "";
    faults.push_back({kind, text.substr(0, text.find('\n')), stmt_->span});
    return index == wanted_;
  }

  static const char* DropName(SyncKind sync) {
    switch (sync) {
      case SyncKind::kWarpBarrier:
        return "dropped warp barrier";
      case SyncKind::kAsyncCommit:
        return "dropped commit";
      case SyncKind::kAsyncWait:
      case SyncKind::kMbarWait:
        return "dropped wait";
      case SyncKind::kMbarInit:
        return "dropped init";
      case SyncKind::kBarrierArrive:
      case SyncKind::kMbarArrive:
        return "dropped arrive";
      case SyncKind::kFence:
        return "dropped fence";
      default:
        return "dropped barrier";
    }
  }

  static Stmt WarpBarrier(const ir::Span& span) {
    for (const isa::Instr* row : isa::All()) {
      if (row->sync == SyncKind::kWarpBarrier) {
        return ir::MakeCall(row->name, {ir::MakeConst(target::kAllLanes, ir::UInt(32))}, span);
      }
    }
    TS_UNREACHABLE("no instruction is a barrier of the warp");
  }

  void Replace(ir::CallObj* call, size_t arg, Expr value) {
    ffi::Array<Expr> args;
    for (size_t i = 0; i < call->args.size(); ++i) args.push_back(i == arg ? value : call->args[i]);
    call->args = args;
  }

  // Weaker forms of a synchronisation.
  void Sync(const isa::Instr& row, ir::CallObj* call) {
    const bool is_barrier =
        row.sync == SyncKind::kCtaBarrier || row.sync == SyncKind::kNamedBarrier;
    if (is_barrier && call->results.empty() && Here("barrier of the warp only")) {
      Stmt weak = WarpBarrier(call->span);
      call->instr = weak.as<ir::CallObj>()->instr;
      call->args = weak.as<ir::CallObj>()->args;
      return;
    }
    const size_t n = call->args.size();
    switch (row.sync) {
      case SyncKind::kNamedBarrier:
      case SyncKind::kBarrierArrive:
        if (Here("wrong barrier")) Replace(call, 0, Plus(call->args[0], 1));
        if (Here("wrong count")) {
          Replace(call, 1, Plus(call->args[1], target::kWarpSize));
        }
        return;
      case SyncKind::kAsyncWait:
        if (Here("wait for one less")) Replace(call, n - 1, Plus(call->args[n - 1], 1));
        return;
      case SyncKind::kMbarWait: {
        const Expr phase = call->args[n - 1];
        if (Here("wrong phase")) {
          Replace(
              call, n - 1,
              ir::MakeOp(OpCode::kBitXor, {phase, ir::MakeConst(1, phase.dtype())}, phase.dtype()));
        }
        return;
      }
      case SyncKind::kMbarInit: {
        const Expr count = call->args[n - 1];
        if (Here("one arrival more")) Replace(call, n - 1, Plus(count, 1));
        if (ir::AsInt(count).value_or(1) > 1 && Here("one arrival less")) {
          Replace(call, n - 1, Plus(count, -1));
        }
        return;
      }
      default:
        return;
    }
  }

  // Order and scope of a strong access; true if the access itself is to go.
  bool Ordering(const isa::Instr& row, ir::CallObj* call) {
    const std::string text = call->text;
    const std::string relaxed = Relaxed(text), narrowed = Narrowed(text);
    if (relaxed != text && Here("order weakened")) call->text = relaxed;
    if (narrowed != text && Here("scope narrowed")) call->text = narrowed;
    const bool only_effect = call->results.empty() && row.sync == SyncKind::kNone;
    return only_effect && Here(relaxed != text ? "dropped signal" : "dropped update");
  }

  ffi::Array<Expr> Index(const ir::Buffer& b, const ffi::Array<Expr>& index, int64_t width) {
    if (index.empty() || !InMemory(b)) return MutateExprs(index);
    const size_t last = index.size() - 1;
    Expr changed = index[last];
    if (Here("index off by one")) changed = Plus(changed, width);
    const Expr swapped = Swapped(index[last]);
    if (!ir::SameExpr(swapped, index[last]) && Here("swapped index")) changed = swapped;
    ffi::Array<Expr> out;
    for (size_t i = 0; i < index.size(); ++i) {
      out.push_back(MutateExpr(i == last ? changed : index[i]));
    }
    return out;
  }

  // Null, that is always true, where the guard is to go.
  Expr Guard(const Expr& guard) {
    if (!guard.defined()) return guard;
    if (Here("dropped guard")) return Expr();
    return Condition(guard);
  }

  Expr Condition(const Expr& cond) {
    const bool outer = std::exchange(in_condition_, true);
    Expr out = MutateExpr(cond);
    in_condition_ = outer;
    return out;
  }

  Expr Peer(const Expr& peer) {
    if (!peer.defined()) return peer;
    return Here("wrong peer") ? Expr() : MutateExpr(peer);
  }

  Stmt Body(const Stmt& body) {
    Stmt out = MutateStmt(body);
    return out.defined() ? out : ir::MakeSeq({});
  }

  const int64_t wanted_;  // -1: none
  Stmt stmt_;             // the statement that is visited
  Expr guard_;            // of the store whose value is visited
  bool in_condition_ = false, in_view_ = false;
  std::vector<int64_t> shared_;  // addresses of the shared buffers so far
};

}  // namespace

std::vector<Fault> Faults(const Func& f) {
  Injector injector(-1);
  (void)injector(f->body);
  return injector.faults;
}

Func InjectFault(const Func& f, int64_t index) {
  Injector injector(index);
  auto out = ir::CopyNode(f.get());
  out->body = injector(f->body);
  TS_CHECK(index >= 0 && index < static_cast<int64_t>(injector.faults.size()))
      << "fault " << index << " of " << injector.faults.size();
  return Func(out);
}

}  // namespace tilescale::passes
