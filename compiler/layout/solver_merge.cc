// SPDX-License-Identifier: MIT
// Variables become classes: identity accesses join them, and every access says what one class
// knows about another.
#include "compiler/layout/solver_engine.h"

#include <algorithm>
#include <numeric>

namespace tilescale::solver {

std::span<const int64_t> Solver::ShapeOf(int var) const {
  if (var < num_fragments()) return p_.fragments[size_t(var)].shape;
  return std::get<Nest>(p_.ops[size_t(nest_op_[size_t(var - num_fragments())])]).shape;
}

const std::string& Solver::NameOf(int var) const {
  if (var < num_fragments()) return p_.fragments[size_t(var)].name;
  return std::get<Nest>(p_.ops[size_t(nest_op_[size_t(var - num_fragments())])]).name;
}

int64_t Solver::SizeOf(int var) const {
  std::span<const int64_t> s = ShapeOf(var);
  return std::accumulate(s.begin(), s.end(), int64_t(1), std::multiplies<>());
}

std::optional<Refusal> Solver::Merge() {
  nest_var_.assign(p_.ops.size(), -1);
  for (size_t i = 0; i < p_.ops.size(); ++i) {
    if (!std::holds_alternative<Nest>(p_.ops[i])) continue;
    nest_var_[i] = num_fragments() + int(nest_op_.size());
    nest_op_.push_back(int(i));
  }
  parent_.resize(size_t(num_fragments()) + nest_op_.size());
  std::iota(parent_.begin(), parent_.end(), 0);
  hard_.assign(parent_.size(), {kNoLayout, ""});
  for (size_t i = 0; i < p_.ops.size(); ++i) {
    if (const Anchor* a = std::get_if<Anchor>(&p_.ops[i]); a && a->use != AnchorUse::kRead) {
      auto& hard = hard_[size_t(a->fragment)];
      if (hard.first == kNoLayout) hard = {model_.pool().Add(a->layout), "anchor: " + a->why};
    }
    if (const Nest* n = std::get_if<Nest>(&p_.ops[i]); n && n->anchor) {
      hard_[size_t(nest_var_[i])] = {model_.pool().Add(*n->anchor), "anchor: " + n->anchor_why};
    }
  }
  if (auto conflict = CheckAnnotations()) return conflict;
  struct Join {
    int order;  // writes before reads
    int64_t bits;
    int op, fragment;
  };
  std::vector<Join> joins;
  for (int pass = 0; pass < 2; ++pass) {
    for (int op : nest_op_) {
      if (pass && model_.Writes(op).empty()) continue;
      for (int u : pass ? model_.Reads(op) : model_.Writes(op)) {
        if (!model_.use(u).identity) continue;
        int f = model_.use(u).access->fragment;
        joins.push_back(Join{pass, SizeOf(f) * p_.fragments[size_t(f)].bits, op, f});
      }
    }
  }
  std::stable_sort(joins.begin(), joins.end(), [](const Join& a, const Join& b) {
    return a.order != b.order ? a.order < b.order : a.bits > b.bits;
  });
  for (const Join& j : joins) {
    int x = Find(nest_var_[size_t(j.op)]), y = Find(j.fragment);
    if (x == y) continue;
    auto& hx = hard_[size_t(x)];
    auto& hy = hard_[size_t(y)];
    if (hx.first != kNoLayout && hy.first != kNoLayout && hx.first != hy.first) continue;
    parent_[size_t(y)] = x;
    if (hy.first != kNoLayout) hx = hy;
  }
  return std::nullopt;
}

// A loop_layout against an annotated fragment that the nest writes is the user's contradiction.
std::optional<Refusal> Solver::CheckAnnotations() {
  for (const Op& op : p_.ops) {
    const Anchor* a = std::get_if<Anchor>(&op);
    if (!a || a->use != AnchorUse::kAnnotated) continue;
    for (int i : nest_op_) {
      const Nest& n = std::get<Nest>(p_.ops[size_t(i)]);
      if (!n.anchor) continue;
      for (int u : model_.Writes(i)) {
        if (model_.use(u).access->fragment != a->fragment) continue;
        const Derived& owners = model_.PulledBy(u, model_.pool().Add(*n.anchor));
        const Derived& region = model_.RegionOf(u, model_.pool().Add(a->layout));
        if (owners.id != kNoLayout && region.id != kNoLayout &&
            model_.Contains(owners.id, region.id) && model_.Contains(region.id, owners.id)) {
          continue;
        }
        return Refusal{"Layout infer conflict: " + n.name + " (" + n.anchor_why + ") writes " +
                       p_.fragments[size_t(a->fragment)].name +
                       " with threads that do not own it (" + a->why + "): expected owners " +
                       a->layout.Text() + ", got " + n.anchor->Text()};
      }
    }
  }
  return std::nullopt;
}

void Solver::MakeClasses() {
  std::vector<int> roots;
  for (int v = 0; v < int(parent_.size()); ++v) {
    if (Find(v) == v) roots.push_back(v);
  }
  std::stable_sort(roots.begin(), roots.end(), [&](int a, int b) { return SizeOf(a) > SizeOf(b); });
  class_of_.assign(parent_.size(), -1);
  for (int r : roots) {
    class_of_[size_t(r)] = int(classes_.size());
    Class c;
    c.hard = hard_[size_t(r)].first != kNoLayout;
    c.anchor = hard_[size_t(r)].first;
    c.why = hard_[size_t(r)].second;
    for (int v = 0; v < int(parent_.size()); ++v) {
      if (Find(v) != r) continue;
      c.members.push_back(v);
      if (v < num_fragments()) continue;
      c.memory |= !model_.Memory(nest_op_[size_t(v - num_fragments())]).empty();
    }
    classes_.push_back(std::move(c));
  }
  for (const Op& op : p_.ops) {
    if (const Reduce* r = std::get_if<Reduce>(&op)) {
      classes_[size_t(ClassOfFragment(r->src))].reduced = true;
    }
    if (const Scan* s = std::get_if<Scan>(&op)) {
      classes_[size_t(ClassOfFragment(s->src))].reduced = true;
    }
  }
}

void Solver::MakeEdges() {
  auto add = [&](int to, Edge e) {
    if (e.from != to) classes_[size_t(to)].edges.push_back(std::move(e));
  };
  buffer_uses_.resize(p_.buffers.size());
  for (int i = 0; i < int(p_.ops.size()); ++i) {
    const Op& op = p_.ops[size_t(i)];
    if (const Reduce* r = std::get_if<Reduce>(&op)) {
      add(ClassOfFragment(r->dst),
          Edge{Edge::kReduce, ClassOfFragment(r->src), i, -1, "reduce of " + NameOf(r->src)});
    } else if (const solver::View* v = std::get_if<solver::View>(&op)) {
      int src = ClassOfFragment(v->src), dst = ClassOfFragment(v->dst);
      add(dst, Edge{Edge::kView, src, i, -1, "view of " + NameOf(v->src)});
      add(src, Edge{Edge::kViewSource, dst, i, -1, "viewed as " + NameOf(v->dst)});
    } else if (const MatrixReads* m = std::get_if<MatrixReads>(&op)) {
      buffer_uses_[size_t(m->buffer)].push_back(BufferUse{i, -1});
    } else if (const Nest* n = std::get_if<Nest>(&op)) {
      int nest = ClassOfNest(i);
      for (const std::vector<int>* uses : {&model_.Writes(i), &model_.Reads(i)}) {
        for (int u : *uses) {
          int f = model_.use(u).access->fragment;
          add(ClassOfFragment(f), Edge{Edge::kPull, nest, i, u, "used by " + n->name});
          add(nest, Edge{Edge::kPush, ClassOfFragment(f), i, u, "follows " + NameOf(f)});
        }
      }
      for (int u : model_.Memory(i)) {
        int b = model_.memory_use(u).access->buffer;
        if (b >= 0) buffer_uses_[size_t(b)].push_back(BufferUse{i, u});
      }
    }
  }
}

void Solver::MakeLiveRanges() {
  int last = int(p_.ops.size()) - 1;
  live_.assign(p_.fragments.size(), {last + 1, -1});
  auto touch = [&](int f, int op) {
    live_[size_t(f)].first = std::min(live_[size_t(f)].first, op);
    live_[size_t(f)].second = std::max(live_[size_t(f)].second, op);
  };
  for (int i = 0; i <= last; ++i) {
    const Op& op = p_.ops[size_t(i)];
    if (const Reduce* r = std::get_if<Reduce>(&op)) {
      touch(r->src, i);
      touch(r->dst, i);
    } else if (const Scan* s = std::get_if<Scan>(&op)) {
      touch(s->src, i);
    } else if (const Anchor* a = std::get_if<Anchor>(&op)) {
      touch(a->fragment, i);
    } else if (const solver::View* v = std::get_if<solver::View>(&op)) {
      touch(v->src, i);
      touch(v->dst, i);
    } else if (const Nest* n = std::get_if<Nest>(&op)) {
      for (const FragmentAccess& x : n->reads) touch(x.fragment, i);
      for (const FragmentAccess& x : n->writes) touch(x.fragment, i);
    }
  }
  for (size_t f = 0; f < p_.fragments.size(); ++f) {
    const Fragment& x = p_.fragments[f];
    if (x.last >= 0) live_[f] = {x.first, std::min(x.last, last)};
  }
}

}  // namespace tilescale::solver
