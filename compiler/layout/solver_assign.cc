// SPDX-License-Identifier: MIT
// Choosing: one class at a time, largest first, the others completed by default.
#include "compiler/layout/solver_engine.h"

#include <algorithm>
#include <numeric>

namespace tilescale::solver {

namespace {

// Do all points have one element?
bool IsOneElement(const Layout& l) {
  for (int g = 0; g < l.num_groups(); ++g) {
    for (const tilescale::Mode& m : l.group(g).modes) {
      if (m.n > 1 && !m.v.empty()) return false;
    }
  }
  return true;
}

}  // namespace

const Derived& Solver::Derive(const Edge& e, LayoutId from) {
  static const Derived kPartial{kNoLayout, "only a region of the fragment is accessed"};
  switch (e.kind) {
    case Edge::kReduce:
      return model_.ReduceResultOf(e.op, from, classes_[size_t(e.from)].hard || lenient_);
    case Edge::kPull:
      return model_.use(e.use).whole ? model_.PulledBy(e.use, from) : kPartial;
    case Edge::kPush:
      return model_.PushedBy(e.use, from);
    case Edge::kView:
      return model_.ViewOf(e.op, from);
    default:
      return model_.ViewSourceOf(e.op, from);
  }
}

const std::vector<std::pair<std::string, LayoutId>>& Solver::CandidatesOf(int index) {
  Class& c = classes_[size_t(index)];
  if (c.candidates) return *c.candidates;
  int bits = 0;
  int64_t threads = 0;
  std::vector<int> fast;
  std::span<const int64_t> shape = ShapeOf(c.members[0]);
  for (int v : c.members) {
    bool nest = v >= num_fragments();
    int op = nest ? nest_op_[size_t(v - num_fragments())] : -1;
    if (!threads) threads = nest ? model_.ThreadsOfNest(op) : model_.ThreadsOfFragment(v);
    if (!nest) continue;
    for (int u : model_.Memory(op)) {
      const MemoryAccess& m = *model_.memory_use(u).access;
      // Where all points read one element, as an index of a row, vectors may be of any width.
      if (!IsOneElement(m.layout)) bits = std::max(bits, m.bits);
      std::vector<AnyLayout> views;
      if (m.buffer < 0) {
        views.push_back(m.layout);
      } else {
        for (const FamilyOption& o : p_.buffers[size_t(m.buffer)].options) {
          Expected<AnyLayout> l = ComposeAny(o.layout, m.layout);
          if (l.ok()) views.push_back(*std::move(l));
        }
      }
      for (const AnyLayout& any : views) {
        const Layout* l = std::get_if<Layout>(&any);
        if (!l) continue;
        Shape x(l->shape());
        for (int64_t& e : x) e = 0;
        int64_t origin = l->At(kAddr, x);
        for (int d = l->rank() - 1; d >= 0; --d) {
          if (l->extent(d) < 2) continue;
          x[d] = 1;
          if (l->At(kAddr, x) - origin == 1) fast.push_back(d);
          x[d] = 0;
        }
      }
    }
  }
  // A class without memory is offered what suits the narrowest access: neighbours will follow it.
  if (bits == 0) {
    bits = 32;
    for (const auto& op : p_.ops) {
      const Nest* nest = std::get_if<Nest>(&op);
      if (nest == nullptr) continue;
      for (const MemoryAccess& m : nest->memory) bits = std::min(bits, m.bits);
    }
  }
  c.candidates.emplace();
  auto offer = [&](bool reduced) {
    for (const Candidate& k : Candidates(shape, threads, bits, fast, reduced)) {
      c.candidates->emplace_back(k.why, model_.pool().Add(k.layout));
    }
  };
  offer(c.reduced);
  // A ragged tile has views of other shapes only where one index runs over all of it: what is
  // reduced is then converted first.
  auto views = [](const Edge& e) { return e.kind == Edge::kView || e.kind == Edge::kViewSource; };
  if (c.reduced && std::any_of(c.edges.begin(), c.edges.end(), views)) offer(false);
  return *c.candidates;
}

// Gives every open class a layout: follow the neighbours; where nobody speaks, the first candidate.
void Solver::Complete(Assignment* a, std::span<const int> open) {
  size_t left = 0;
  for (int c : open) left += (*a)[size_t(c)] == kNoLayout;
  while (left > 0) {
    bool progress = false;
    for (int c : open) {
      if ((*a)[size_t(c)] != kNoLayout) continue;
      for (const Edge& e : classes_[size_t(c)].edges) {
        LayoutId from = (*a)[size_t(e.from)];
        if (from == kNoLayout) continue;
        LayoutId id = Derive(e, from).id;
        if (id == kNoLayout) continue;
        (*a)[size_t(c)] = id;
        progress = true;
        break;
      }
      if (progress) break;
    }
    for (size_t k = 0; !progress && k < open.size(); ++k) {
      LayoutId& id = (*a)[size_t(open[k])];
      if (id != kNoLayout) continue;
      id = CandidatesOf(open[k])[0].second;
      progress = true;
    }
    --left;
  }
}

// The unsolved classes that c's layout can reach without passing a solved one, c included.
std::vector<int> Solver::OpenRegion(int c, const Assignment& solved) const {
  std::vector<char> in(classes_.size(), 0);
  std::vector<int> todo{c};
  in[size_t(c)] = 1;
  while (!todo.empty()) {
    int x = todo.back();
    todo.pop_back();
    for (int y = 0; y < int(classes_.size()); ++y) {
      if (in[size_t(y)] || solved[size_t(y)] != kNoLayout) continue;
      auto joins = [](const Class& k, int other) {
        return std::any_of(k.edges.begin(), k.edges.end(),
                           [&](const Edge& e) { return e.from == other; });
      };
      if (joins(classes_[size_t(x)], y) || joins(classes_[size_t(y)], x)) {
        in[size_t(y)] = 1;
        todo.push_back(y);
      }
    }
  }
  std::vector<int> out;
  for (int k = 0; k < int(in.size()); ++k) {
    if (in[size_t(k)]) out.push_back(k);
  }
  return out;
}

std::optional<Refusal> Solver::Assign(int c, bool lenient) {
  lenient_ = lenient;
  Class& k = classes_[size_t(c)];
  std::vector<std::pair<std::string, LayoutId>> options;
  auto offer = [&](const std::string& why, LayoutId id) {
    for (const auto& o : options) {
      if (o.second == id) return;
    }
    options.emplace_back(why, id);
  };
  for (const Edge& e : k.edges) {
    LayoutId from = solved_[size_t(e.from)];
    if (from == kNoLayout) continue;
    LayoutId id = Derive(e, from).id;
    if (id != kNoLayout) offer(e.why, id);
  }
  if (k.memory || options.empty()) {
    for (const auto& [why, id] : CandidatesOf(c)) offer(why, id);
  }
  // Only the classes around c depend on its option; the others are completed once.
  std::vector<int> all(classes_.size());
  std::iota(all.begin(), all.end(), 0);
  Assignment base = solved_;
  Complete(&base, all);
  std::vector<int> region = OpenRegion(c, solved_);
  ClassRecord& record = records_[size_t(c)];
  record.options.clear();
  std::optional<Score> best;
  for (size_t i = 0; i < options.size(); ++i) {
    Assignment a = base;
    for (int r : region) a[size_t(r)] = kNoLayout;
    a[size_t(c)] = options[i].second;
    Complete(&a, region);
    Score s = Evaluate(a, nullptr, nullptr);
    record.options.push_back(OptionRecord{options[i].first, model_.pool()[options[i].second],
                                          s.ok ? s.cost : -1, s.refusal});
    if (!s.ok || (best && !(s < *best))) continue;
    best = s;
    record.chosen = int(i);
  }
  if (best) {
    const auto& [why, id] = options[size_t(record.chosen)];
    solved_[size_t(c)] = id;
    why_[size_t(c)] = options.size() == 1 ? why
                                          : std::to_string(record.chosen + 1) + " of " +
                                                std::to_string(options.size()) + ": " + why;
    return std::nullopt;
  }
  std::string reason = "no layout for " + NameOf(k.members[0]);
  for (const OptionRecord& o : record.options) {
    if (!o.refusal.empty()) return Refusal{reason + ": " + o.refusal};
  }
  return Refusal{reason};
}

}  // namespace tilescale::solver
