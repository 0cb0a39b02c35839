// SPDX-License-Identifier: MIT
#include "compiler/layout/solver_model.h"

#include "compiler/target/constants.h"

#include <algorithm>
#include <bit>

namespace tilescale::solver {
namespace {

void Mix(uint64_t* h, uint64_t x) {
  *h = (*h ^ x) * 0x9e3779b97f4a7c15u ^ (*h >> 29);
}

void MixModes(uint64_t* h, std::span<const Mode> modes) {
  for (const Mode& m : modes) {
    Mix(h, uint64_t(m.n));
    for (const Term& t : m.v) Mix(h, uint64_t(t.stride) << 4 | uint64_t(t.axis.place() & 15));
  }
}

uint64_t HashOf(const Layout& l) {
  uint64_t h = 1469598103934665603u;
  for (int64_t e : l.shape()) Mix(&h, uint64_t(e));
  for (int i = 0; i < l.num_groups(); ++i) {
    LayoutGroup g = l.group(i);
    for (int8_t d : g.dims) Mix(&h, uint64_t(d));
    Mix(&h, uint64_t(g.bound));
    MixModes(&h, g.modes);
  }
  MixModes(&h, l.reps());
  return h;
}

uint64_t Pair(int a, int b) {
  return uint64_t(uint32_t(a)) << 32 | uint32_t(b);
}

Derived ToDerived(Pool* pool, const Expected<Layout>& l) {
  if (!l.ok()) return Derived{kNoLayout, l.reason()};
  return Derived{pool->Add(*l), {}};
}

std::vector<int64_t> ShapeOf(const Layout& l) {
  return {l.shape().begin(), l.shape().end()};
}

bool SameAny(const AnyLayout& a, const AnyLayout& b) {
  const Layout* x = std::get_if<Layout>(&a);
  const Layout* y = std::get_if<Layout>(&b);
  return x && y && x->Identical(*y);
}

}  // namespace

LayoutId Pool::Add(const Layout& layout) {
  Layout n = layout.Normal();
  uint64_t h = HashOf(n);
  auto [begin, end] = by_hash_.equal_range(h);
  for (auto it = begin; it != end; ++it) {
    if ((*this)[it->second].Identical(n)) return it->second;
  }
  LayoutId id = LayoutId(entries_.size());
  entries_.push_back(Entry{n, n.Extent(kSlot), CeilDiv(n.Extent(kThread), target::kWarpSize)});
  by_hash_.emplace(h, id);
  return id;
}

Model::Model(const Program& program) : p_(program) {
  size_t n = p_.ops.size();
  reads_.resize(n);
  writes_.resize(n);
  memory_.resize(n);
  for (size_t i = 0; i < n; ++i) {
    if (const Nest* nest = std::get_if<Nest>(&p_.ops[i])) AddNest(int(i), *nest);
  }
}

int64_t Model::ThreadsOfNest(int op) const {
  int64_t own = std::get<Nest>(p_.ops[size_t(op)]).threads;
  return own ? own : p_.threads;
}

int64_t Model::ThreadsOfFragment(int fragment) const {
  int64_t own = p_.fragments[size_t(fragment)].threads;
  return own ? own : p_.threads;
}

void Model::AddNest(int op, const Nest& nest) {
  for (const FragmentAccess& a : nest.reads) {
    reads_[size_t(op)].push_back(int(uses_.size()));
    uses_.push_back(UseOf(op, nest, a));
  }
  for (const FragmentAccess& a : nest.writes) {
    writes_[size_t(op)].push_back(int(uses_.size()));
    uses_.push_back(UseOf(op, nest, a));
  }
  for (const MemoryAccess& a : nest.memory) {
    MemoryUse use{op, &a, {}};
    if (a.buffer < 0) {
      use.kinds.push_back(AddKind(a.layout, a.bits, a.space));
    } else {
      for (const FamilyOption& o : p_.buffers[size_t(a.buffer)].options) {
        Expected<AnyLayout> l = ComposeAny(o.layout, a.layout);
        use.kinds.push_back(l.ok() ? AddKind(*std::move(l), a.bits, a.space) : -1);
      }
    }
    memory_[size_t(op)].push_back(int(memory_uses_.size()));
    memory_uses_.push_back(std::move(use));
  }
}

FragmentUse Model::UseOf(int op, const Nest& nest, const FragmentAccess& access) const {
  const Fragment& f = p_.fragments[size_t(access.fragment)];
  FragmentUse use{op, &access, access.index.size() == nest.shape.size(), true, {}, {}};
  for (size_t d = 0; d < access.index.size(); ++d) {
    const Index& i = access.index[d];
    use.identity &= i == Var(int(d));
    int64_t size = i.var < 0 ? 1 : CeilDiv(nest.shape[size_t(i.var)], i.div);
    size = std::min(size, f.shape[d] - i.offset);
    use.whole &= i.offset == 0 && size == f.shape[d];
    use.begin.push_back(i.offset);
    use.size.push_back(size);
  }
  use.identity &= f.shape == nest.shape && ThreadsOfFragment(access.fragment) == ThreadsOfNest(op);
  return use;
}

int Model::AddKind(AnyLayout layout, int bits, MemorySpace space) {
  for (size_t i = 0; i < kinds_.size(); ++i) {
    const Kind& k = kinds_[i];
    if (k.bits == bits && k.space == space && SameAny(k.layout, layout)) return int(i);
  }
  kinds_.push_back(Kind{std::move(layout), bits, space});
  return int(kinds_.size()) - 1;
}

template <class F>
const Derived& Model::Memo(Question q, int which, LayoutId layout, F&& compute) {
  uint64_t key = uint64_t(q) << 56 | uint64_t(uint32_t(which + 1)) << 28 | uint32_t(layout + 1);
  auto at = derived_.find(key);
  if (at == derived_.end()) {
    Derived d = ToDerived(&pool_, compute());
    at = derived_.emplace(key, std::move(d)).first;
  }
  return at->second;
}

// -- neighbours
// -------------------------------------------------------------------------------------

const Derived& Model::PulledBy(int u, LayoutId nest) {
  return Memo(Question::kPull, u, nest, [&]() -> Expected<Layout> {
    const FragmentUse& use = uses_[size_t(u)];
    if (use.identity) return pool_[nest];
    return Pull(pool_[nest], use.access->index, use.size);
  });
}

const Derived& Model::PushedBy(int u, LayoutId fragment) {
  return Memo(Question::kPush, u, fragment, [&]() -> Expected<Layout> {
    const FragmentUse& use = uses_[size_t(u)];
    return Push(pool_[fragment], use.access->index, std::get<Nest>(p_.ops[size_t(use.op)]).shape);
  });
}

const Derived& Model::RegionOf(int u, LayoutId fragment) {
  return Memo(Question::kRegion, u, fragment, [&]() -> Expected<Layout> {
    const FragmentUse& use = uses_[size_t(u)];
    Layout out = pool_[fragment];
    for (int d = 0; d < out.rank() && !use.whole; ++d) {
      if (use.begin[size_t(d)] == 0 && use.size[size_t(d)] == out.extent(d)) continue;
      TS_TRY(out, out.Slice(d, use.begin[size_t(d)], use.size[size_t(d)]));
    }
    return out;
  });
}

const Derived& Model::ReplicatedRegion(int u) {
  return Memo(Question::kReplicated, u, 0, [&]() -> Expected<Layout> {
    const FragmentUse& use = uses_[size_t(u)];
    return Replicated(use.size, ThreadsOfNest(use.op));
  });
}

const Derived& Model::ReplicatedFragment(int fragment, int op) {
  return Memo(Question::kReplicatedFragment, fragment, LayoutId(op), [&]() -> Expected<Layout> {
    return Replicated(p_.fragments[size_t(fragment)].shape, ThreadsOfNest(op));
  });
}

namespace {

Expected<Layout> Reducible(const Layout& src, int dim, int64_t threads, bool scan) {
  if (scan) {
    int g = src.group_index(dim);
    if (g < 0 || !src.group(g).Is(dim)) return Refusal{"flattened"};
    return src;
  }
  Expected<Layout> result = ReduceResult(src, dim);
  if (!result.ok()) return result.refusal();
  if (result->Extent(kThread) > threads) return Refusal{"butterflies of lanes that do not exist"};
  return src;
}

}  // namespace

const Derived& Model::ReducibleFrom(int op, LayoutId src, bool force) {
  return Memo(force ? Question::kForced : Question::kFriendly, op, src, [&]() -> Expected<Layout> {
    const Reduce* r = std::get_if<Reduce>(&p_.ops[size_t(op)]);
    const Scan* s = std::get_if<Scan>(&p_.ops[size_t(op)]);
    int dim = r ? r->dim : s->dim, fragment = r ? r->src : s->src;
    int64_t threads = ThreadsOfFragment(fragment);
    Expected<Layout> own = Reducible(pool_[src], dim, threads, !r);
    if (own.ok() || !force) return own;
    int fast[] = {dim};
    const Fragment& f = p_.fragments[size_t(fragment)];
    for (const Candidate& c : Candidates(f.shape, threads, f.bits, fast, true)) {
      if (Reducible(c.layout, dim, threads, !r).ok()) return c.layout;
    }
    return own;
  });
}

const Derived& Model::ReduceResultOf(int op, LayoutId src, bool force) {
  Question q = force ? Question::kForcedResult : Question::kResult;
  return Memo(q, op, src, [&]() -> Expected<Layout> {
    const Reduce& r = std::get<Reduce>(p_.ops[size_t(op)]);
    const Derived& from = ReducibleFrom(op, src, force);
    if (from.id == kNoLayout) return Refusal{from.refusal};
    TS_TRY(Layout out, ReduceResult(pool_[from.id], r.dim));
    const std::vector<int64_t>& shape = p_.fragments[size_t(r.dst)].shape;
    if (ShapeOf(out) == shape) return out;
    return out.Reshape(shape);
  });
}

const Derived& Model::ViewOf(int op, LayoutId src) {
  return Memo(Question::kView, op, src, [&]() -> Expected<Layout> {
    const solver::View& v = std::get<solver::View>(p_.ops[size_t(op)]);
    switch (v.kind) {
      case ViewKind::kPermute:
        return pool_[src].Permute(v.order);
      case ViewKind::kRecast:
        return pool_[src].Recast(v.dim, v.factor, kSlot);
      default:
        return pool_[src].Reshape(p_.fragments[size_t(v.dst)].shape);
    }
  });
}

const Derived& Model::ViewSourceOf(int op, LayoutId dst) {
  return Memo(Question::kViewSource, op, dst, [&]() -> Expected<Layout> {
    const solver::View& v = std::get<solver::View>(p_.ops[size_t(op)]);
    switch (v.kind) {
      case ViewKind::kPermute: {
        std::vector<int> inverse(v.order.size());
        for (size_t k = 0; k < v.order.size(); ++k) inverse[size_t(v.order[k])] = int(k);
        return pool_[dst].Permute(inverse);
      }
      case ViewKind::kRecast:
        return pool_[dst].Recast(v.dim, -v.factor, kSlot);
      default:
        return pool_[dst].Reshape(p_.fragments[size_t(v.src)].shape);
    }
  });
}

// -- conversions
// ------------------------------------------------------------------------------------

bool Model::Contains(LayoutId f, LayoutId g) {
  if (f == g) return true;
  auto [at, fresh] = contains_.try_emplace(Pair(f, g), false);
  if (fresh) at->second = tilescale::Contains(pool_[f], pool_[g]);
  return at->second;
}

Model::ConversionCost Model::ConvertCost(LayoutId from, LayoutId to, int bits) {
  if (from == to) return {};
  uint64_t key =
      uint64_t(uint32_t(from)) << 36 | uint64_t(uint32_t(to)) << 8 | uint32_t(bits & 255);
  auto [at, fresh] = converts_.try_emplace(key);
  if (!fresh) return at->second;
  const Weights& w = p_.weights;
  Conversion how{ConversionKind::kShared, 0, 0};
  if (!CertainlyCrossesWarps(pool_[from], pool_[to])) {
    Expected<Conversion> exact = ConversionOf(pool_[from], pool_[to], bits);
    if (exact.ok()) how = *exact;
  }
  ConversionCost out{how.kind, 0};
  if (how.kind == ConversionKind::kShuffle) {
    out.cost = (w.shuffle + 2 * w.issue) * CeilDiv(how.values * bits, target::kRegisterBits);
  } else if (how.kind == ConversionKind::kShared) {
    out.cost =
        2 * w.barrier +
        4 * w.wavefront * CeilDiv(pool_[to].Size() * bits, 8 * target::kBanks * target::kBankBytes);
  }
  return at->second = out;
}

// -- costs
// ------------------------------------------------------------------------------------------

int64_t Model::ArithmeticCost(int op, LayoutId nest) const {
  const Nest& n = std::get<Nest>(p_.ops[size_t(op)]);
  return p_.weights.issue * n.arithmetic * pool_.Slots(nest) * CeilDiv(pool_.Warps(nest), 4);
}

const MemoryCost& Model::KindCost(LayoutId one, int kind) {
  auto [at, fresh] = kind_costs_.try_emplace(Pair(one, kind));
  if (fresh) {
    const Kind& k = kinds_[size_t(kind)];
    at->second = MemoryCostOf(AnyLayout(pool_[one]), k.layout, k.bits, k.space);
  }
  return at->second;
}

int64_t Model::CopiesFactor(const MemoryAccess& access, LayoutId nest, LayoutId* one) {
  auto [at, fresh] = without_replicas_.try_emplace(uint64_t(nest), kNoLayout);
  if (fresh) {
    LayoutId id = pool_.Add(pool_[nest].WithoutReplicas());
    without_replicas_[uint64_t(nest)] = id;
    *one = id;
  } else {
    *one = at->second;
  }
  // Replica 0 alone stores; copies inside a warp share its access.
  if (access.store || pool_[nest].NumReplicas() == 1) return 1;
  return CeilDiv(pool_.Warps(nest), std::max<int64_t>(pool_.Warps(*one), 1));
}

int64_t Model::MemoryUseCost(int u, int option, LayoutId nest) {
  const MemoryUse& use = memory_uses_[size_t(u)];
  int kind = use.kinds[size_t(option)];
  if (kind < 0) return kRefused;
  LayoutId one;
  int64_t copies = CopiesFactor(*use.access, nest, &one);
  const MemoryCost& c = KindCost(one, kind);
  const Weights& w = p_.weights;
  int64_t out = copies * c.accesses * w.issue;
  if (use.access->space == MemorySpace::kShared) return out + copies * c.transfers * w.wavefront;
  // Further copies come out of the first-level cache.
  return out + c.transfers * w.sector + (copies - 1) * c.transfers * w.sector / 4;
}

MemoryCost Model::MemoryDetail(int u, int option, LayoutId nest) {
  LayoutId one;
  CopiesFactor(*memory_uses_[size_t(u)].access, nest, &one);
  return KindCost(one, memory_uses_[size_t(u)].kinds[size_t(option)]);
}

int64_t Model::MemoryIssues(int u, int option, LayoutId nest) {
  LayoutId one;
  int64_t copies = CopiesFactor(*memory_uses_[size_t(u)].access, nest, &one);
  return copies * KindCost(one, memory_uses_[size_t(u)].kinds[size_t(option)]).accesses;
}

int64_t Model::ReduceCost(int op, LayoutId src) {
  auto [at, fresh] = reduce_costs_.try_emplace(Pair(op, src), 0);
  if (!fresh) return at->second;
  const Weights& w = p_.weights;
  const Layout& l = pool_[src];
  int64_t warps = pool_.Warps(src), c = 0;
  if (const Reduce* r = std::get_if<Reduce>(&p_.ops[size_t(op)])) {
    Expected<ReducePlan> plan = PlanReduce(l, r->dim);
    Expected<Layout> rest = l.Project(r->dim);
    int64_t outs = rest.ok() ? rest->Extent(kSlot) : 1;
    for (const ReduceStage& s : *plan) {
      switch (s.kind) {
        case StageKind::kSlots:
          c += w.issue * (s.n - 1) * outs * CeilDiv(warps, 4);
          break;
        case StageKind::kLanes:
          c += (w.shuffle + w.issue) * (std::bit_width(uint64_t(s.n)) - 1) * outs * warps;
          break;
        case StageKind::kWarps:
          c += 2 * w.barrier + w.wavefront * outs * (warps + s.n) + w.issue * s.n * outs;
          break;
      }
    }
  } else {
    // Serial inside each run of slots, a warp scan of run totals, one carry over warps a run.
    int64_t runs = 1, lanes = 1;
    bool seen_thread = false;
    for (const Mode& m : l.group_of(std::get<Scan>(p_.ops[size_t(op)]).dim).modes) {
      bool thread = !m.v.empty() && m.v[0].axis == kThread;
      if (thread) lanes *= m.n;
      if (!thread && seen_thread) runs *= m.n;
      seen_thread |= thread;
    }
    c = w.issue * 2 * pool_.Slots(src) * CeilDiv(warps, 4);
    if (lanes > 1) c += (w.shuffle + w.issue) * runs * 5 * warps;
    if (lanes > target::kWarpSize) c += 2 * w.barrier * runs;
  }
  return at->second = c;
}

int64_t Model::MatrixReadCost(int op, int option) {
  auto [at, fresh] = matrix_costs_.try_emplace(Pair(op, option), kRefused);
  if (!fresh) return at->second;
  const MatrixReads& m = std::get<MatrixReads>(p_.ops[size_t(op)]);
  Expected<int64_t> cycles = MatrixReadCycles(
      p_.buffers[size_t(m.buffer)].options[size_t(option)].layout, m.bits, m.row_dim);
  if (cycles.ok()) at->second = *cycles * m.times * p_.weights.wavefront;
  return at->second;
}

}  // namespace tilescale::solver
