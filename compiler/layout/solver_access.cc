// SPDX-License-Identifier: MIT
// Layouts seen through index maps, and the candidates that the solver generates.
#include "compiler/layout/solver.h"
#include "compiler/target/constants.h"

#include <algorithm>
#include <bit>

namespace tilescale::solver {
namespace {

std::string ShapeText(std::span<const int64_t> shape) {
  std::string out;
  for (int64_t e : shape) out += (out.empty() ? "" : ",") + std::to_string(e);
  return "(" + out + ")";
}

// l with the shape's extents, which may be smaller: the region from 0.
Expected<Layout> Cropped(const Layout& l, std::span<const int64_t> shape) {
  Layout out = l;
  for (int d = 0; d < out.rank(); ++d) {
    if (out.extent(d) > shape[size_t(d)]) {
      TS_TRY(out, out.Slice(d, 0, shape[size_t(d)]));
    }
  }
  return out;
}

}  // namespace

Expected<Layout> Pull(const Layout& nest, const IndexMap& index,
                      std::span<const int64_t> fragment_shape) {
  Layout out = nest.Normal();
  std::vector<int> kept;
  for (const Index& i : index) {
    if (i.var < 0) continue;
    if (i.var >= nest.rank() || std::find(kept.begin(), kept.end(), i.var) != kept.end()) {
      return Refusal{"loop variable " + std::to_string(i.var) + " indexes two dims"};
    }
    kept.push_back(i.var);
    if (i.div > 1) {
      TS_TRY(out, out.Divide(i.var, i.div));
      TS_TRY(out, out.Project(i.var + 1));
    }
  }
  for (int v = nest.rank() - 1; v >= 0; --v) {
    if (std::find(kept.begin(), kept.end(), v) == kept.end()) {
      TS_TRY(out, out.Project(v));
    }
  }
  FixedVec<int, kMaxDims> order;
  for (int v : kept) {
    order.push_back(int(std::count_if(kept.begin(), kept.end(), [&](int u) { return u < v; })));
  }
  TS_TRY(out, out.Permute(order));
  for (size_t d = 0; d < index.size(); ++d) {
    if (index[d].var < 0) {
      TS_TRY(out, out.Broadcast(int(d), 1));
    }
  }
  if (out.rank() != int(fragment_shape.size())) {
    return Refusal{"an access of " + std::to_string(out.rank()) + " indices to a fragment " +
                   ShapeText(fragment_shape)};
  }
  // An index that runs beyond the fragment is guarded by the program.
  TS_TRY(out, Cropped(out, fragment_shape));
  return out.Normal();
}

Expected<Layout> Push(const Layout& fragment, const IndexMap& index,
                      std::span<const int64_t> nest_shape) {
  std::vector<ModeList> modes(nest_shape.size());
  Strides start;
  for (size_t v = 0; v < nest_shape.size(); ++v) modes[v].push_back(Mode{nest_shape[v], {}});
  for (size_t d = 0; d < index.size(); ++d) {
    const Index& i = index[d];
    start.Add(Axis::Dim(int(d)), i.offset);
    if (i.var < 0) continue;
    if (i.div > 1) return Refusal{"divided index"};
    if (i.var >= int(nest_shape.size()) || !modes[size_t(i.var)][0].v.empty()) {
      return Refusal{"loop variable " + std::to_string(i.var) + " indexes two dims"};
    }
    if (nest_shape[size_t(i.var)] + i.offset > fragment.extent(int(d))) {
      return Refusal{"the nest reaches beyond the fragment"};
    }
    modes[size_t(i.var)] = {Mode{nest_shape[size_t(i.var)], Strides(Axis::Dim(int(d)), 1)}};
  }
  LayoutBuilder map(nest_shape);
  for (size_t v = 0; v < modes.size(); ++v) map.AddDim(int(v), modes[v]);
  TS_TRY(Layout inner, map.SetOffset(start).Build());
  TS_TRY(Layout owners, Compose(fragment, inner));
  // What the fragment does not see runs in the thread, in slots after the fragment's.
  int64_t slots = std::max<int64_t>(fragment.Extent(kSlot), 1);
  LayoutBuilder out(nest_shape);
  for (int i = 0; i < owners.num_groups(); ++i) {
    LayoutGroup g = owners.group(i);
    int v = g.dims[0];
    bool seen = std::any_of(index.begin(), index.end(), [&](const Index& x) { return x.var == v; });
    if (seen || nest_shape[size_t(v)] <= 1) {
      out.AddGroup(g.dims, g.bound, g.modes);
      continue;
    }
    Mode serial{nest_shape[size_t(v)], Strides(kSlot, slots)};
    out.AddDim(v, {&serial, 1});
    slots *= nest_shape[size_t(v)];
  }
  return out.AddReps(owners.reps()).SetOffset(owners.off()).SetSwizzle(owners.swz()).Build();
}

Expected<Layout> Replicated(std::span<const int64_t> shape, int64_t threads) {
  LayoutBuilder b(shape);
  int64_t slot = 1;
  for (int d = int(shape.size()) - 1; d >= 0; --d) {
    Mode m{shape[size_t(d)], Strides(kSlot, slot)};
    b.AddDim(d, {&m, 1});
    slot *= shape[size_t(d)];
  }
  if (threads > 1) b.AddRep(Mode{threads, Strides(kThread, 1)});
  TS_TRY(Layout out, b.SortGroups().Build());
  return out.Normal();
}

// -- candidates -----------------------------------------------------------------------------------

namespace {

struct Spread {
  int64_t vector;  // slots along the fastest dim
  int64_t along;   // threads along it
  bool fill;       // threads that are left go to the outer parts of the dims, else become copies
};

// All dims as one index.
Expected<Layout> Flat(std::span<const int64_t> shape, int64_t v, int64_t threads) {
  DimList dims;
  int64_t size = 1;
  for (int d = 0; d < int(shape.size()); ++d) {
    dims.push_back(int8_t(d));
    size *= shape[size_t(d)];
  }
  int64_t n = std::min(threads, CeilDiv(size, v));
  Mode modes[] = {
      {v, Strides(kSlot, 1)}, {n, Strides(kThread, 1)}, {CeilDiv(size, v * n), Strides(kSlot, v)}};
  LayoutBuilder b(shape);
  b.AddGroup(dims, size, modes);
  if (threads / n > 1) b.AddRep(Mode{threads / n, Strides(kThread, n)});
  return b.Build();
}

// Digits for any extents: V slots, then `along` threads on the fastest dim; the next dims, in
// order, take the threads that are left, any number; the rest of each dim is slots; idle whole
// digits become replicas.
Expected<Layout> SpreadOver(std::span<const int64_t> shape, std::span<const int> order,
                            int64_t threads, const Spread& s) {
  std::vector<ModeList> modes(shape.size());
  std::vector<int64_t> covered(shape.size(), 1);
  int64_t t = 1, slots = 1;
  auto take = [&](int d, int64_t n, Axis axis, int64_t* at) {
    if (n <= 1) return;
    modes[size_t(d)].push_back(Mode{n, Strides(axis, *at)});
    covered[size_t(d)] *= n;
    *at *= n;
  };
  for (size_t k = 0; k < order.size(); ++k) {
    int d = order[k];
    int64_t e = shape[size_t(d)];
    if (k == 0) {
      take(d, s.vector, kSlot, &slots);
      // A power of two along the fastest dim: lane stages of a reduction are butterflies.
      int64_t n = std::min(s.along, CeilDiv(e, slots));
      n = std::min(int64_t(std::bit_ceil(uint64_t(n))), s.along);
      take(d, n, kThread, &t);
    } else {
      take(d, std::min(threads / t, e), kThread, &t);
    }
  }
  for (int d : order) {
    int64_t left = CeilDiv(shape[size_t(d)], covered[size_t(d)]);
    int64_t n = s.fill ? std::min(threads / t, left) : 1;
    take(d, n, kThread, &t);
    take(d, CeilDiv(left, std::max<int64_t>(n, 1)), kSlot, &slots);
  }
  LayoutBuilder b(shape);
  for (int d = 0; d < int(shape.size()); ++d) b.AddDim(d, modes[size_t(d)]);
  if (threads / t > 1) b.AddRep(Mode{threads / t, Strides(kThread, t)});
  return b.Build();
}

}  // namespace

std::vector<Candidate> Candidates(std::span<const int64_t> shape, int64_t threads, int bits,
                                  std::span<const int> fast_dims, bool reduced) {
  std::vector<Candidate> out;
  auto add = [&](std::string why, Expected<Layout> l) {
    if (!l.ok()) return;
    Layout n = l->Normal();
    for (const Candidate& c : out) {
      if (c.layout.Identical(n)) return;
    }
    out.push_back(Candidate{std::move(why), n});
  };
  int rank = int(shape.size());
  int64_t size = 1;
  for (int64_t e : shape) size *= e;
  if (rank == 0 || size == 0) {
    add("in every thread", Replicated(shape, threads));
    return out;
  }
  std::vector<int> fast(fast_dims.begin(), fast_dims.end());
  fast.push_back(rank - 1);
  std::vector<int> done;
  int64_t whole =
      threads % target::kWarpSize ? int64_t(std::bit_floor(uint64_t(threads))) : threads;
  int64_t warp = std::min<int64_t>(target::kWarpSize, whole);
  std::vector<int64_t> alongs;
  for (int64_t a : {warp, whole, int64_t(16), int64_t(8), int64_t(4), int64_t(1)}) {
    bool known = std::find(alongs.begin(), alongs.end(), a) != alongs.end();
    if (a <= threads && !known) alongs.push_back(a);
  }
  for (int f : fast) {
    if (std::find(done.begin(), done.end(), f) != done.end()) continue;
    done.push_back(f);
    std::vector<int> order{f};
    for (int d = rank - 1; d >= 0; --d) {
      if (d != f) order.push_back(d);
    }
    int64_t e = shape[size_t(f)];
    std::string head = "dim " + std::to_string(f) + " fastest, ";
    for (int64_t v : {32, 16, 8, 4, 2, 1}) {
      if (v * bits > 128 || v > int64_t(std::bit_ceil(uint64_t(e))) || e % v) continue;
      std::string each = head + std::to_string(v) + " a thread, ";
      for (int64_t along : alongs) {
        add(each + std::to_string(along) + " along",
            SpreadOver(shape, order, threads, Spread{v, along, true}));
      }
      if (reduced) {
        add(each + std::to_string(warp) + " along, copies",
            SpreadOver(shape, order, threads, Spread{v, warp, false}));
      }
    }
    if (reduced || f != rank - 1) continue;
    int widths = 0;
    for (int64_t v : {32, 16, 8, 4, 2, 1}) {
      if (v * bits > 128 || size % v || ++widths > 2) continue;
      add("flat, " + std::to_string(v) + " a thread", Flat(shape, v, threads));
    }
  }
  return out;
}

std::vector<FamilyOption> FamilyOptions(std::span<const int64_t> shape, int bits, int64_t mask) {
  std::vector<FamilyOption> out;
  auto add = [&](const SharedFamily& family) {
    if (!(mask >> int(family.kind) & 1)) return;
    Expected<Layout> l = SharedLayout(shape, bits, family);
    if (l.ok()) {
      out.push_back(FamilyOption{family.Text(), *l, SpanOf(family.kind) ? kSwizzleAlign : 0});
    }
  };
  add({FamilyKind::kLinear, 0, false});
  add({FamilyKind::kSwizzle128, 0, false});
  add({FamilyKind::kSwizzle64, 0, false});
  add({FamilyKind::kSwizzle32, 0, false});
  for (int64_t bytes : {16, 4}) {
    if (bytes * 8 % bits == 0) add({FamilyKind::kPadded, bytes * 8 / bits, false});
  }
  add({FamilyKind::kInterleaved, 0, false});
  return out;
}

}  // namespace tilescale::solver
