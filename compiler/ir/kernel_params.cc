// SPDX-License-Identifier: MIT
#include "compiler/ir/kernel_params.h"

#include "compiler/ir/build.h"
#include "compiler/ir/visit.h"

#include <algorithm>
#include <set>

namespace tilescale::ir {

namespace {

// What a kernel's statements mention, and which storages they may write.
struct Uses {
  std::set<const VarObj*> vars;
  std::set<const StorageObj*> storages, written;

  void Collect(const Node& node) {
    Walk(node, [&](const NodeObj* n) {
      switch (n->kind) {
        case NodeKind::kVar:
          vars.insert(static_cast<const VarObj*>(n));
          break;
        case NodeKind::kLoad:
          storages.insert(static_cast<const LoadObj*>(n)->buffer->storage.get());
          break;
        case NodeKind::kRegion:
          storages.insert(static_cast<const RegionObj*>(n)->buffer->storage.get());
          shared_with_others =
              shared_with_others || static_cast<const RegionObj*>(n)->peer.defined();
          break;
        case NodeKind::kStore: {
          const StorageObj* s = static_cast<const StoreObj*>(n)->buffer->storage.get();
          storages.insert(s);
          written.insert(s);
          break;
        }
        case NodeKind::kCall:
          // Conservative: an address that a call gets may be written through, except by a copy's
          // source.
          MayWrite(static_cast<const CallObj*>(n));
          break;
        default:
          break;
      }
      return true;
    });
  }

  // A kernel that reaches other ranks, or waits for what another thread writes, reads memory that
  // changes while it runs: the non-coherent cache, which `const` with `restrict` allows, is wrong.
  bool shared_with_others = false;

  static bool WaitsForOthers(const CallObj* call) {
    std::string_view text = Str(call->text);
    return text.starts_with("acq") || text.starts_with("volatile_") || text.ends_with(".sys") ||
           Str(call->instr).starts_with("comm.");
  }

  void MayWrite(const CallObj* call) {
    shared_with_others = shared_with_others || WaitsForOthers(call);
    bool copy =
        Str(call->instr).starts_with("cp_async.") || Str(call->instr).starts_with("ldmatrix.");
    for (const Expr& arg : call->args) {
      const auto* addr = arg.as<AddrObj>();
      if (addr != nullptr && !copy) written.insert(addr->region->buffer->storage.get());
    }
  }
};

// Memory has no elements of less than a byte behind PartitionAndVectorize.
Buffer AsDeclared(const Buffer& b) {
  if (b->dtype.bits >= 8) return b;
  auto out = CopyNode(b.get());
  out->dtype = UInt(8);
  return Buffer(out);
}

}  // namespace

std::vector<KernelParam> KernelParams(const Func& f, const Kernel& k) {
  Uses uses;
  uses.Collect(k->body);
  std::vector<KernelParam> out;
  std::set<const VarObj*> seen;
  auto symbol = [&](const Var& v, KernelParam::Kind kind, int index) {
    if (uses.vars.count(v.get()) && seen.insert(v.get()).second) {
      out.push_back({kind, index, Buffer(), v, false, false});
    }
  };
  // What lies behind a pointer may be any tensor's memory: then none is restrict.
  const bool pointers =
      std::any_of(uses.storages.begin(), uses.storages.end(),
                  [](const StorageObj* s) { return s->root() == Root::kPointer; });
  for (size_t i = 0; i < f->params.size(); ++i) {
    const Param& p = f->params[i];
    if (p->param() == ParamKind::kTensor) {
      const StorageObj* s = p->buffer->storage.get();
      if (!uses.storages.count(s)) continue;
      bool changes = uses.shared_with_others;
      out.push_back({KernelParam::Kind::kData, int(i), AsDeclared(p->buffer), Var(),
                     changes || uses.written.count(s) > 0, p->restrict_ && !changes && !pointers});
    } else if (p->param() == ParamKind::kPointer) {
      if (uses.vars.count(p->var.get()) && seen.insert(p->var.get()).second) {
        out.push_back({KernelParam::Kind::kData, int(i), p->buffer, p->var, true, false});
      }
    } else {
      symbol(p->var, KernelParam::Kind::kScalar, int(i));
    }
  }
  int workspace = 0;
  for (const Stmt& s : StmtsOf(f->body)) {
    const auto* alloc = s.as<AllocObj>();
    if (alloc == nullptr) continue;
    if (uses.storages.count(alloc->buffer->storage.get())) {
      out.push_back(
          {KernelParam::Kind::kWorkspace, workspace, AsDeclared(alloc->buffer), Var(), true, true});
    }
    ++workspace;
  }
  // Symbols of shapes and strides, then host Binds, in the order of their declaration.
  auto symbols = [&](const Expr& e) {
    Walk(e, [&](const NodeObj* n) {
      if (n->kind == NodeKind::kVar) {
        symbol(ffi::GetRef<Var>(static_cast<const VarObj*>(n)), KernelParam::Kind::kSymbol, -1);
      }
      return true;
    });
  };
  for (const Param& p : f->params) {
    if (!p->buffer.defined()) continue;
    for (const Expr& e : p->buffer->shape) symbols(e);
    for (const Expr& e : p->buffer->strides) symbols(e);
  }
  for (const Stmt& s : StmtsOf(f->body)) {
    if (const auto* bind = s.as<BindObj>()) symbol(bind->var, KernelParam::Kind::kSymbol, -1);
  }
  return out;
}

}  // namespace tilescale::ir
