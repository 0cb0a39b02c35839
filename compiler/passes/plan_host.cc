// SPDX-License-Identifier: MIT
// PlanHost (passes.h): the launch program as data. Every symbol of shapes and strides is bound from
// an argument, every launch fact becomes a condition of the variant.
#include "compiler/arith/facts.h"
#include "compiler/ir/diag.h"
#include "compiler/ir/kernel_params.h"
#include "compiler/ir/text.h"
#include "compiler/isa/instr.h"
#include "compiler/passes/passes.h"
#include "support/diagnostics.h"

#include <map>
#include <set>

namespace tilescale {

using namespace ir;  // NOLINT
using runtime::HostExpr;
using runtime::HostOp;

namespace {

class HostPlanner {
 public:
  HostPlanner(const Func& f, runtime::Artifact* artifact) : func_(f), out_(artifact) {}

  void Params() {
    for (size_t i = 0; i < func_->params.size(); ++i) {
      const ir::Param& p = func_->params[i];
      if (p->buffer.defined()) param_of_[p->buffer->storage.get()] = static_cast<int>(i);
      if (p->var.defined()) param_of_[p->var.get()] = static_cast<int>(i);
      runtime::Param q;
      q.name = std::string(p->name);
      q.kind = p->param() == ParamKind::kTensor   ? runtime::ParamKind::kTensor
               : p->param() == ParamKind::kScalar ? runtime::ParamKind::kScalar
                                                  : runtime::ParamKind::kPointer;
      q.dtype = p->buffer.defined() ? p->buffer->dtype : p->var.dtype();
      if (q.dtype.code == kTf32Code) q.dtype = Float(32);
      // What the launcher allocates has a type that frameworks know.
      if (Packed(p) > 1 && p->is_out) q.dtype = IsInt(q.dtype) ? Int(8) : UInt(8);
      q.is_output = p->is_out;
      out_->params.push_back(std::move(q));
      if (p->is_out) out_->outputs.push_back(static_cast<int32_t>(i));
    }
    for (size_t i = 0; i < func_->params.size(); ++i) {
      if (!func_->params[i]->is_out) BindSymbols(static_cast<int>(i));
    }
    for (size_t i = 0; i < func_->params.size(); ++i) {
      const ir::Param& p = func_->params[i];
      if (p->param() != ParamKind::kTensor) continue;
      auto given = [&](const Expr& e, int64_t parts) {
        return parts == 1 ? Host(e) : FloorDiv(Host(e), HostExpr(parts));
      };
      for (int d = 0; d < p->buffer->ndim(); ++d) {
        out_->params[i].shape.push_back(given(p->buffer->shape[d], ShapeParts(p, d)));
      }
      for (size_t d = 0; d < p->buffer->strides.size(); ++d) {
        out_->params[i].strides.push_back(given(p->buffer->strides[d], StrideParts(p, d)));
      }
    }
  }

  void HostBody() {
    for (const Stmt& s : StmtsOf(func_->body)) {
      if (const auto* bind = s.as<BindObj>()) {
        AddSymbol(bind->var, Host(bind->value));
      } else if (const auto* check = s.as<CheckObj>()) {
        std::string text(check->message);
        // Conditions on addresses come from PartitionAndVectorize: an argument is at fault.
        bool argument = false;
        Walk(check->cond, [&](const NodeObj* n) {
          argument = argument || n->kind == NodeKind::kAddr;
          return !argument;
        });
        out_->checks.push_back({Host(check->cond), argument ? "ValueError" : "RuntimeError",
                                text.empty() ? Spelled(check->cond) : text});
      }
    }
  }

  // Parameters are told to the device compiler as memory of their own (`restrict`): a call must not
  // pass memory twice where a kernel writes it. Of tensors with strides of their own only bounds
  // are known, which may interleave; those are the caller's.
  void Overlaps() {
    std::set<std::pair<int, int>> seen;
    auto whole = [&](const KernelParam& p) {
      return p.kind == KernelParam::Kind::kData && p.restrict_ && p.buffer->strides.empty() &&
             func_->params[p.index]->param() == ParamKind::kTensor &&
             !func_->params[p.index]->is_out;
    };
    MapKernels(func_, [&](const Kernel& k) {
      std::vector<KernelParam> params = KernelParams(func_, k);
      for (const KernelParam& p : params) {
        for (const KernelParam& q : params) {
          if (p.index >= q.index || !whole(p) || !whole(q) || !(p.written || q.written)) continue;
          if (seen.emplace(p.index, q.index).second) Apart(p, q);
        }
      }
      return k;
    });
  }

  // A view of wider elements than its tensor has needs their alignment, in every variant.
  void Alignment() {
    std::map<int, int64_t> needed;
    auto access = [&](const Buffer& b) {
      auto it = param_of_.find(b->storage.get());
      if (it == param_of_.end()) return;
      const ir::Param& p = func_->params[it->second];
      int64_t bytes = b->dtype.bits / 8, own = p->buffer.defined() ? p->buffer->dtype.bits / 8 : 1;
      if (bytes > std::max<int64_t>(own, 1)) {
        needed[it->second] = std::max(needed[it->second], bytes);
      }
    };
    MapKernels(func_, [&](const Kernel& k) {
      Walk(k->body, [&](const NodeObj* n) {
        if (n->kind == NodeKind::kLoad) {
          access(static_cast<const LoadObj*>(n)->buffer);
        } else if (n->kind == NodeKind::kStore) {
          access(static_cast<const StoreObj*>(n)->buffer);
        }
        return true;
      });
      return k;
    });
    for (const auto& [index, bytes] : needed) {
      HostExpr rest = FloorMod(HostExpr::Address(index), HostExpr(bytes));
      std::string n = std::to_string(bytes);
      out_->checks.push_back({HostExpr::Make(HostOp::kEq, {rest, HostExpr(0)}), "ValueError",
                              std::string(func_->name) + ": `" +
                                  std::string(func_->params[index]->name) +
                                  "` is accessed as elements of " + n +
                                  " bytes, its address must be a multiple of " + n});
    }
  }

  static std::string LineOf(const Span& span) {
    if (!span.defined()) return "it";
    std::string file(span->file);
    return "line " + std::to_string(span->line) + " of " + file.substr(file.rfind('/') + 1);
  }

  // Whether some thread of every world comes under the condition, as far as can be told: it is that
  // the rank is 0, or about the place in the grid only.
  static bool OfAnyWorld(const Expr& cond, const Kernel& k) {
    const auto* equal = cond.as<OpObj>();
    if (equal != nullptr && equal->op() == OpCode::kEq && IsConst(equal->args[1], 0)) {
      const auto* rank = equal->args[0].as<OpObj>();
      if (rank != nullptr && rank->op() == OpCode::kRank) return true;
    }
    std::set<const VarObj*> places;
    for (const Var& v : k->thread_vars) places.insert(v.get());
    for (const Var& v : k->block_vars) places.insert(v.get());
    bool out = true;
    Walk(cond, [&](const NodeObj* n) {
      if (n->kind == NodeKind::kVar) out = out && places.count(static_cast<const VarObj*>(n)) != 0;
      if (n->kind == NodeKind::kLoad) out = false;
      if (n->kind == NodeKind::kOp) {
        const OpCode op = static_cast<const OpObj*>(n)->op();
        out = out && op != OpCode::kNumRanks && op != OpCode::kRank;
      }
      return out;
    });
    return out;
  }

  // The highest rank that a launch is sure to reach by its number.
  void LeastRanks() {
    MapKernels(func_, [&](const Kernel& k) {
      Span span;
      Walk(k->body, [&](const NodeObj* n) {
        if (IsStmtKind(n->kind)) span = static_cast<const StmtObj*>(n)->span;
        if (n->kind == NodeKind::kIf) return OfAnyWorld(static_cast<const IfObj*>(n)->cond, k);
        if (n->kind == NodeKind::kCall) {
          const Expr& guard = static_cast<const CallObj*>(n)->guard;
          if (guard.defined() && !OfAnyWorld(guard, k)) return false;
        }
        if (n->kind == NodeKind::kWhile) return false;
        if (n->kind == NodeKind::kFor) {
          return AsInt(static_cast<const ForObj*>(n)->extent).value_or(0) > 0;
        }
        if (n->kind != NodeKind::kRegion) return true;
        const Expr& peer = static_cast<const RegionObj*>(n)->peer;
        const std::optional<int64_t> rank = peer.defined() ? AsInt(peer) : std::nullopt;
        if (!rank || *rank < out_->min_ranks) return true;
        out_->min_ranks = static_cast<int32_t>(*rank) + 1;
        out_->min_ranks_by = LineOf(span);
        return true;
      });
      return k;
    });
  }

  // Which tensors are reached on other ranks, and where.
  void Remote() {
    auto reach = [&](const Region& r, const Span& span) {
      out_->uses_heap = true;
      auto it = param_of_.find(r->buffer->storage.get());
      if (it == param_of_.end() || !out_->params[it->second].remote.empty()) return;
      out_->params[it->second].remote = LineOf(span);
    };
    MapKernels(func_, [&](const Kernel& k) {
      Span span;
      Walk(k->body, [&](const NodeObj* n) {
        if (IsStmtKind(n->kind)) span = static_cast<const StmtObj*>(n)->span;
        if (n->kind == NodeKind::kOp) {
          OpCode op = static_cast<const OpObj*>(n)->op();
          out_->uses_heap = out_->uses_heap || op == OpCode::kRank || op == OpCode::kNumRanks;
        }
        if (n->kind == NodeKind::kRegion) {
          const auto* r = static_cast<const RegionObj*>(n);
          if (r->peer.defined()) reach(ffi::GetRef<Region>(r), span);
        }
        if (n->kind == NodeKind::kCall) {
          const auto* call = static_cast<const CallObj*>(n);
          if (!isa::Get(Str(call->instr)).needs_heap) return true;
          out_->uses_heap = true;
          for (const Expr& a : call->args) {
            if (const auto* addr = a.as<AddrObj>()) reach(addr->region, call->span);
          }
        }
        return true;
      });
      return k;
    });
  }

  runtime::Variant Variant() {
    runtime::Variant v;
    for (const Stmt& s : StmtsOf(func_->body)) {
      const auto* alloc = s.as<AllocObj>();
      if (alloc == nullptr) continue;
      HostExpr count(1);
      for (const Expr& e : alloc->buffer->shape) count = count * Host(e);
      HostExpr bytes =
          FloorDiv(count * HostExpr(alloc->buffer->dtype.bits) + HostExpr(7), HostExpr(8));
      v.workspaces.push_back({std::string(alloc->buffer->name), bytes, alloc->init.defined(),
                              alloc->buffer->storage->root() == Root::kHeap});
    }
    const runtime::HostNames names = out_->Names();
    MapKernels(func_, [&](const Kernel& k) {
      v.kernels.push_back(Launch(k));
      for (const Expr& fact : k->requires_) {
        HostExpr condition = Host(fact);
        std::string text = condition.ToString(names);
        runtime::LaunchFact f{std::move(condition), std::move(text)};
        bool known = false;
        for (const runtime::LaunchFact& g : v.facts) known = known || g.text == f.text;
        if (!known) v.facts.push_back(std::move(f));
      }
      return k;
    });
    return v;
  }

 private:
  // Tensors of less than a byte an element are given as tensors of bytes: extents of the last
  // dimension and strides of the others are divided.
  static int64_t Packed(const ir::Param& p) {
    return p->buffer.defined() && p->buffer->dtype.bits < 8 ? 8 / p->buffer->dtype.bits : 1;
  }
  static int64_t ShapeParts(const ir::Param& p, int d) {
    return d + 1 == p->buffer->ndim() ? Packed(p) : 1;
  }
  static int64_t StrideParts(const ir::Param& p, size_t d) {
    return d + 1 == p->buffer->strides.size() ? 1 : Packed(p);
  }

  void Apart(const KernelParam& p, const KernelParam& q) {
    auto end = [&](const KernelParam& x) {
      const Buffer& b = func_->params[x.index]->buffer;  // the kernel's may count bytes
      int64_t elements = 1;
      HostExpr bytes;  // few operations: a call takes a microsecond
      for (const Expr& e : b->shape) {
        if (auto c = AsInt(e)) {
          elements *= *c;
        } else {
          bytes = bytes.empty() ? Host(e) : bytes * Host(e);
        }
      }
      int64_t bits = elements * b->dtype.bits;
      if (bytes.empty()) {
        bytes = HostExpr(bits / 8);
      } else if (bits % 8 == 0) {
        bytes = bytes * HostExpr(bits / 8);
      } else {
        bytes = FloorDiv(bytes * HostExpr(bits), HostExpr(8));
      }
      return HostExpr::Address(x.index) + bytes;
    };
    HostExpr before = HostExpr::Make(HostOp::kLe, {end(p), HostExpr::Address(q.index)});
    HostExpr behind = HostExpr::Make(HostOp::kLe, {end(q), HostExpr::Address(p.index)});
    std::string a(func_->params[p.index]->name), b(func_->params[q.index]->name);
    out_->checks.push_back(
        {HostExpr::Make(HostOp::kOr, {before, behind}), "ValueError",
         std::string(func_->name) + ": `" + a + "` and `" + b +
             "` share memory, and the kernel writes it; pass a copy of one, or name both in "
             "T.annotate_restrict_buffers"});
  }

  void AddSymbol(const Var& v, HostExpr bind) {
    symbol_of_[v.get()] = static_cast<int>(out_->symbols.size());
    out_->symbols.push_back({std::string(v->name), std::move(bind)});
  }

  // Symbols of one tensor's shape, then strides: a plain variable takes the value, c·v is divided.
  void BindSymbols(int i) {
    const ir::Param& p = func_->params[i];
    if (p->param() != ParamKind::kTensor) return;
    auto whole = [](const HostExpr& e, int64_t parts) {
      return parts == 1 ? e : e * HostExpr(parts);
    };
    for (int d = 0; d < p->buffer->ndim(); ++d) {
      Solve(p->buffer->shape[d], whole(HostExpr::Dim(i, d), ShapeParts(p, d)));
    }
    for (size_t d = 0; d < p->buffer->strides.size(); ++d) {
      HostExpr stride = HostExpr::Stride(i, static_cast<int>(d));
      Solve(p->buffer->strides[d], whole(stride, StrideParts(p, d)));
    }
  }

  void Solve(const Expr& e, const HostExpr& value) {
    if (const auto* v = e.as<VarObj>()) {
      if (!symbol_of_.count(v) && !param_of_.count(v)) AddSymbol(ffi::GetRef<Var>(v), value);
      return;
    }
    arith::LinearForm f = analyzer_.Linear(e);
    Expr unknown;
    int64_t factor = 0;
    HostExpr rest = value - HostExpr(f.constant);
    for (const auto& [atom, k] : f.terms) {
      const auto* v = atom.as<VarObj>();
      if (v == nullptr) return;  // bound elsewhere, or an error when it is used
      if (symbol_of_.count(v) || param_of_.count(v)) {
        rest = rest - HostExpr(k) * Host(atom);
      } else if (unknown.defined()) {
        return;
      } else {
        unknown = atom;
        factor = k;
      }
    }
    if (unknown.defined() && factor > 0) {
      AddSymbol(unknown.as_or_throw<Var>(), factor == 1 ? rest : FloorDiv(rest, HostExpr(factor)));
    }
  }

  HostExpr Host(const Expr& e) {
    if (auto c = AsInt(e)) return HostExpr(*c);
    if (const auto* v = e.as<VarObj>()) {
      if (auto it = symbol_of_.find(v); it != symbol_of_.end()) return HostExpr::Symbol(it->second);
      if (auto it = param_of_.find(v); it != param_of_.end()) return HostExpr::Scalar(it->second);
      RaiseAt(Span(), "CompileError", "`", v->name,
              "` is in the shape of an output or a launch, but no argument gives its value");
    }
    if (const auto* addr = e.as<AddrObj>()) {
      auto it = param_of_.find(addr->region->buffer->storage.get());
      TS_CHECK(it != param_of_.end())
          << "address of " << addr->region->buffer->name << " on the host";
      return HostExpr::Address(it->second);
    }
    const auto* op = e.as<OpObj>();
    TS_CHECK(op != nullptr) << "host expression " << Print(e);
    std::vector<HostExpr> a;
    for (const Expr& x : op->args) a.push_back(Host(x));
    switch (op->op()) {
      case OpCode::kAdd:
        return HostExpr::Make(HostOp::kAdd, a);
      case OpCode::kSub:
        return HostExpr::Make(HostOp::kSub, a);
      case OpCode::kNeg:
        return HostExpr(0) - a[0];
      case OpCode::kMul:
        return HostExpr::Make(HostOp::kMul, a);
      case OpCode::kTruncDiv:
      case OpCode::kFloorDiv:
        return HostExpr::Make(HostOp::kFloorDiv, a);
      case OpCode::kTruncMod:
      case OpCode::kFloorMod:
        return HostExpr::Make(HostOp::kFloorMod, a);
      case OpCode::kMin:
        return HostExpr::Make(HostOp::kMin, a);
      case OpCode::kMax:
        return HostExpr::Make(HostOp::kMax, a);
      case OpCode::kEq:
        return HostExpr::Make(HostOp::kEq, a);
      case OpCode::kNe:
        return HostExpr::Make(HostOp::kNe, a);
      case OpCode::kLt:
        return HostExpr::Make(HostOp::kLt, a);
      case OpCode::kLe:
        return HostExpr::Make(HostOp::kLe, a);
      case OpCode::kGt:
        return HostExpr::Make(HostOp::kLt, {a[1], a[0]});
      case OpCode::kGe:
        return HostExpr::Make(HostOp::kLe, {a[1], a[0]});
      case OpCode::kAnd:
        return HostExpr::Make(HostOp::kAnd, a);
      case OpCode::kOr:
        return HostExpr::Make(HostOp::kOr, a);
      case OpCode::kNot:
        return HostExpr::Make(HostOp::kNot, a);
      case OpCode::kIf:
      case OpCode::kSelect:
        return HostExpr::Make(HostOp::kSelect, a);
      case OpCode::kCast:
        return a[0];
      default:
        RaiseAt(Span(), "CompileError", "`", Spelled(e), "` cannot be evaluated on the host");
    }
  }

  runtime::KernelLaunch Launch(const Kernel& k) {
    runtime::KernelLaunch launch;
    launch.entry = std::string(k->name);
    for (size_t i = 0; i < 3; ++i) {
      if (i < k->grid.size()) launch.grid[i] = Host(k->grid[i]);
      launch.block[i] = HostExpr(k->threads[i] + (i == 0 ? k->extra_threads : 0));
      launch.cluster[i] = HostExpr(i < k->cluster.size() ? k->cluster[i] : 1);
    }
    launch.dynamic_shared_bytes = HostExpr(k->shared_bytes);
    launch.min_blocks = static_cast<int32_t>(std::max<int64_t>(1, k->min_blocks));
    launch.cooperative = k->cooperative;
    for (const KernelParam& p : KernelParams(func_, k)) {
      runtime::KernelArg arg;
      switch (p.kind) {
        case KernelParam::Kind::kData:
          arg.kind = runtime::ArgKind::kTensorData;
          arg.index = p.index;
          break;
        case KernelParam::Kind::kScalar:
          arg.kind = runtime::ArgKind::kScalarParam;
          arg.index = p.index;
          break;
        case KernelParam::Kind::kWorkspace:
          arg.kind = runtime::ArgKind::kWorkspace;
          arg.index = p.index;
          break;
        case KernelParam::Kind::kSymbol:
          arg.kind = runtime::ArgKind::kExpr;
          arg.value = Host(p.var);
          arg.dtype = p.var.dtype();
          break;
      }
      launch.args.push_back(std::move(arg));
    }
    return launch;
  }

  const Func& func_;
  runtime::Artifact* out_;
  arith::Analyzer analyzer_;
  std::map<const NodeObj*, int> param_of_, symbol_of_;
};

}  // namespace

namespace passes {

void PlanHost(const Func& f, PassContext& ctx, runtime::Artifact* artifact) {
  bool first = artifact->params.empty();
  runtime::Artifact scratch;
  runtime::Artifact* out = first ? artifact : &scratch;
  HostPlanner planner(f, out);
  planner.Params();
  planner.HostBody();
  planner.Overlaps();
  planner.Alignment();
  planner.Remote();
  planner.LeastRanks();
  out->name = std::string(f->name);
  out->target_kind = target::KindName(ctx.target.kind);
  out->target_arch = ctx.target.arch->name;
  artifact->variants.push_back(planner.Variant());
}

}  // namespace passes
}  // namespace tilescale
