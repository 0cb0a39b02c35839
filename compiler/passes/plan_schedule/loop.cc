// SPDX-License-Identifier: MIT
#include "compiler/passes/plan_schedule/loop.h"

#include "compiler/ir/build.h"
#include "compiler/ir/visit.h"
#include "compiler/ops/tile_op.h"

#include <algorithm>

namespace tilescale::plan {

using namespace ir;  // NOLINT
using analysis::Use;

namespace {

// What a statement surely writes when it runs: a region, or all of a buffer (`region` null).
struct Written {
  const BufferObj* buffer = nullptr;
  Region region;
};

bool WholeStorage(const BufferObj* b) {
  if (!b->storage->bits.defined()) return false;
  auto bits = AsInt(b->storage->bits);
  if (!bits || b->offset.defined() || !b->strides.empty()) return false;
  int64_t elements = 1;
  for (const Expr& e : b->shape) elements *= AsInt(e).value_or(0);
  return elements * b->dtype.bits == *bits;
}

bool WholeBuffer(const Region& r) {
  for (size_t d = 0; d < r->begin.size(); ++d) {
    if (!IsConst(r->begin[d], 0) || !SameExpr(r->extent[d], r->buffer->shape[d])) return false;
  }
  return true;
}

bool SameBox(const Written& a, const Written& b) {
  if (a.buffer != b.buffer || a.region.defined() != b.region.defined()) return false;
  if (!a.region.defined()) return true;
  for (size_t d = 0; d < a.region->begin.size(); ++d) {
    if (!SameExpr(a.region->begin[d], b.region->begin[d])) return false;
    if (!SameExpr(a.region->extent[d], b.region->extent[d])) return false;
  }
  return true;
}

void AddWritten(const Stmt& s, std::vector<Written>* out);

// `parallel i, j in shape(b): b[i, j] = …`
void NestWritten(const ParallelObj* nest, std::vector<Written>* out) {
  for (const Stmt& s : StmtsOf(nest->body)) {
    const auto* store = s.as<StoreObj>();
    if (store == nullptr || store->guard.defined()) continue;
    const Buffer& b = store->buffer;
    bool whole = store->index.size() == nest->vars.size();
    for (size_t d = 0; whole && d < store->index.size(); ++d) {
      whole = store->index[d].same_as(nest->vars[d]) && SameExpr(nest->extents[d], b->shape[d]);
    }
    if (whole) out->push_back({b.get(), Region()});
  }
}

void AddWritten(const Stmt& s, std::vector<Written>* out) {
  switch (s.kind()) {
    case NodeKind::kTileOp: {
      const auto* op = s.as<TileOpObj>();
      for (const Effect& e : DefOf(op).effects(op)) {
        if (e.mode != ir::Mode::kWrite || !e.exact) continue;
        out->push_back({e.region->buffer.get(), WholeBuffer(e.region) ? Region() : e.region});
      }
      return;
    }
    case NodeKind::kSeq:
      for (const Stmt& x : s.as<SeqObj>()->stmts) AddWritten(x, out);
      return;
    case NodeKind::kParallel:
      NestWritten(s.as<ParallelObj>(), out);
      return;
    case NodeKind::kIf: {
      // What both branches write.
      if (!s.as<IfObj>()->else_case.defined()) return;
      std::vector<Written> a, b;
      AddWritten(s.as<IfObj>()->then_case, &a);
      AddWritten(s.as<IfObj>()->else_case, &b);
      for (const Written& x : a) {
        if (std::any_of(b.begin(), b.end(), [&](const Written& y) { return SameBox(x, y); }))
          out->push_back(x);
      }
      return;
    }
    default:
      return;
  }
}

// Constant boxes in coordinates of the region that is read.
struct Box {
  std::vector<int64_t> begin, end;
  int64_t Volume() const {
    int64_t v = 1;
    for (size_t d = 0; d < begin.size(); ++d) v *= std::max<int64_t>(0, end[d] - begin[d]);
    return v;
  }
};

std::optional<Box> Relative(const Region& write, const Region& read) {
  Box box;
  for (size_t d = 0; d < read->begin.size(); ++d) {
    const Expr &w = write->begin[d], &r = read->begin[d];
    std::optional<int64_t> at = SameExpr(w, r) ? std::optional<int64_t>(0) : AsInt(Sub(w, r));
    auto extent = AsInt(write->extent[d]), limit = AsInt(read->extent[d]);
    if (SameExpr(write->extent[d], read->extent[d]) && !limit) extent = limit = 1;
    if (!at || !extent || !limit) return std::nullopt;
    box.begin.push_back(std::max<int64_t>(0, *at));
    box.end.push_back(std::min(*limit, *at + *extent));
  }
  return box;
}

bool Disjoint(const Box& a, const Box& b) {
  for (size_t d = 0; d < a.begin.size(); ++d) {
    if (a.end[d] <= b.begin[d] || b.end[d] <= a.begin[d]) return true;
  }
  return false;
}

// Names of the loop's own Binds replaced by their values, so that conditions can be compared.
VarMap BindsOf(const std::vector<Stmt>& stmts) {
  VarMap out;
  for (const Stmt& s : stmts) {
    if (const auto* bind = s.as<BindObj>()) out[bind->var.get()] = Substitute(bind->value, out);
  }
  return out;
}

}  // namespace

Loop::Loop(const Kernel& kernel, const For& l) : loop(l), stmts(StmtsOf(l->body)) {
  VarMap binds = BindsOf(stmts);
  for (size_t i = 0; i < stmts.size(); ++i) {
    if (IsDeclaration(stmts[i])) continue;
    Unit u;
    u.stmt = stmts[i];
    u.at = i;
    u.uses = analysis::UsesOf(stmts[i]);
    for (const Use& use : u.uses) u.async = u.async || use.done != Done::kProgram;
    if (const auto* branch = stmts[i].as<IfObj>();
        branch != nullptr && !branch->else_case.defined()) {
      u.guard = Substitute(branch->cond, binds);
    }
    u.position = static_cast<int64_t>(units.size());
    units.push_back(std::move(u));
  }
  for (const Unit& u : units) {
    for (const Use& use : u.uses) {
      if (use.writes() && !shared_version.count(use.storage))
        shared_version[use.storage] = WhyShared(kernel, use.storage);
    }
  }
  FindDependences();
}

bool Loop::Writes(const Unit& u, const StorageObj* s) const {
  return std::any_of(u.uses.begin(), u.uses.end(),
                     [&](const Use& use) { return use.storage == s && use.writes(); });
}

bool Loop::Reads(const Unit& u, const StorageObj* s) const {
  return std::any_of(u.uses.begin(), u.uses.end(),
                     [&](const Use& use) { return use.storage == s && use.reads(); });
}

// One of each kind for a pair of units and a storage is enough.
void Loop::FindDependences() {
  for (size_t x = 0; x < units.size(); ++x) {
    for (size_t y = 0; y < units.size(); ++y) {
      if (x == y) continue;
      std::vector<const StorageObj*> same, next;
      for (const Use& a : units[x].uses) {
        for (const Use& b : units[y].uses) {
          if (x < y && std::find(same.begin(), same.end(), a.storage) == same.end() &&
              analysis::Conflicts(a, b, true)) {
            same.push_back(a.storage);
            dependences.push_back({x, y, a.storage, false});
          }
          if (std::find(next.begin(), next.end(), a.storage) == next.end() &&
              analysis::Conflicts(a, b, false)) {
            next.push_back(a.storage);
            dependences.push_back({x, y, a.storage, true});
          }
        }
      }
    }
  }
}

std::string Loop::WhyShared(const Kernel& kernel, const StorageObj* s) const {
  const std::string name = "`" + std::string(s->name) + "`";
  if (!IsOnChip(s->space())) return name + " is global memory";
  if (s->space() != Space::kShared && s->space() != Space::kFrag)
    return name + " is " + SpaceName(s->space()) + " memory";
  bool outside = false;
  Walk(kernel->body, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kFor && static_cast<const ForObj*>(n)->var.same_as(loop->var))
      return false;
    const StorageObj* used = nullptr;
    if (n->kind == NodeKind::kLoad) used = static_cast<const LoadObj*>(n)->buffer->storage.get();
    if (n->kind == NodeKind::kStore) used = static_cast<const StoreObj*>(n)->buffer->storage.get();
    if (n->kind == NodeKind::kRegion)
      used = static_cast<const RegionObj*>(n)->buffer->storage.get();
    outside = outside || used == s;
    return !outside;
  });
  bool viewed = false;
  Walk(kernel->body, [&](const NodeObj* n) {
    viewed = viewed || (n->kind == NodeKind::kView && s->space() == Space::kFrag &&
                        static_cast<const ViewObj*>(n)->buffer->storage.get() == s);
    return !viewed;
  });
  if (viewed) return name + " has a view";
  if (outside) return name + " is used outside the loop";
  for (size_t j = 0; j < units.size(); ++j) {
    for (const Use& use : units[j].uses) {
      if (use.storage != s || !use.reads() || Covered(use, j)) continue;
      return Show(units[j]) + " may read what an earlier iteration left in " + name;
    }
  }
  return "";
}

// Did this iteration write all that the unit reads, whenever the unit runs?
bool Loop::Covered(const Use& read, size_t reader) const {
  std::vector<Box> boxes;
  std::vector<Expr> conditions;  // under which all of it is written
  for (size_t i = 0; i < reader; ++i) {
    const Unit& u = units[i];
    const Expr& guard = units[reader].guard;
    bool runs = !u.guard.defined() || (guard.defined() && analysis::Implies(guard, u.guard));
    std::vector<Written> written;
    AddWritten(u.guard.defined() ? u.stmt.as<IfObj>()->then_case : u.stmt, &written);
    for (const Written& w : written) {
      if (w.buffer->storage.get() != read.storage) continue;
      if (!runs) {
        if (w.region.defined() || !WholeStorage(w.buffer)) continue;
        // One or the other of two branches.
        for (const Expr& c : conditions) {
          if (SameExpr(Not(c), u.guard)) return true;
        }
        conditions.push_back(u.guard);
        continue;
      }
      if (!w.region.defined() && WholeStorage(w.buffer)) return true;
      if (!read.region.defined() || read.region->buffer.get() != w.buffer) continue;
      if (!w.region.defined()) return true;
      auto box = Relative(w.region, read.region);
      if (!box) continue;
      bool apart =
          std::all_of(boxes.begin(), boxes.end(), [&](const Box& b) { return Disjoint(*box, b); });
      if (apart) boxes.push_back(*box);
    }
  }
  if (boxes.empty()) return false;
  int64_t need = 1, have = 0;
  for (const Expr& n : read.region->extent) need *= AsInt(n).value_or(1);
  for (const Box& b : boxes) have += b.Volume();
  return have == need;
}

bool Loop::Holds(const Dependence& d, const std::vector<Unit>& units) {
  const Unit &x = units[d.first], &y = units[d.second];
  int64_t distance = x.shift - y.shift + (d.carried ? 1 : 0);
  return distance > 0 || (distance == 0 && x.position < y.position);
}

std::optional<Dependence> Loop::Broken(const std::vector<Unit>& planned) const {
  for (const Dependence& d : dependences) {
    if (d.carried && Versioned(d.storage)) continue;
    if (!Holds(d, planned)) return d;
  }
  return std::nullopt;
}

std::string Loop::Show(const Unit& u) {
  std::string line =
      u.stmt->span.defined() ? " (line " + std::to_string(u.stmt->span->line) + ")" : "";
  std::string label(u.stmt->label);
  return (label.empty() ? "a statement" : "`" + label + "`") + line;
}

}  // namespace tilescale::plan
