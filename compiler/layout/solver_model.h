// SPDX-License-Identifier: MIT
// The solver's view of a program: interned layouts, memoised costs, what one variable's layout says
// about its neighbours'. Everything is a function of small integers, so an option is priced by
// lookups.
#pragma once

#include "compiler/layout/solver.h"

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace tilescale::solver {

using LayoutId = int32_t;
inline constexpr LayoutId kNoLayout = -1;
inline constexpr int64_t kRefused = -1;

// Normal forms, each once. Ids are given in the order of first use.
class Pool {
 public:
  LayoutId Add(const Layout& layout);  // takes the normal form
  const Layout& operator[](LayoutId id) const { return entries_[size_t(id)].layout; }
  int64_t Slots(LayoutId id) const { return entries_[size_t(id)].slots; }
  int64_t Warps(LayoutId id) const { return entries_[size_t(id)].warps; }

 private:
  struct Entry {
    Layout layout;
    int64_t slots;
    int64_t warps;
  };
  std::deque<Entry> entries_;
  std::unordered_multimap<uint64_t, LayoutId> by_hash_;
};

// A layout, or why there is none.
struct Derived {
  LayoutId id = kNoLayout;
  std::string refusal;
};

// An access of a nest to a fragment.
struct FragmentUse {
  int op;
  const FragmentAccess* access;
  bool identity;  // the nest's variables are the fragment's dims, in order and as a whole
  bool whole;     // the region is the whole fragment
  std::vector<int64_t> begin;  // region of the fragment
  std::vector<int64_t> size;
};

// An access of a nest to memory: its cost is a function of the nest's layout and a kind.
struct MemoryUse {
  int op;
  const MemoryAccess* access;
  std::vector<int> kinds;  // one; for a buffer one an option, -1 where it is refused
};

class Model {
 public:
  explicit Model(const Program& program);

  const Program& program() const { return p_; }
  Pool& pool() { return pool_; }
  int64_t ThreadsOfNest(int op) const;
  int64_t ThreadsOfFragment(int fragment) const;

  // Of nest `op`, in program order.
  const std::vector<int>& Reads(int op) const { return reads_[size_t(op)]; }
  const std::vector<int>& Writes(int op) const { return writes_[size_t(op)]; }
  const std::vector<int>& Memory(int op) const { return memory_[size_t(op)]; }
  const FragmentUse& use(int i) const { return uses_[size_t(i)]; }
  const MemoryUse& memory_use(int i) const { return memory_uses_[size_t(i)]; }

  // What the nest's layout asks of the fragment's region, and the other way round.
  const Derived& PulledBy(int use, LayoutId nest);
  const Derived& PushedBy(int use, LayoutId fragment);
  const Derived& RegionOf(int use, LayoutId fragment);
  const Derived& ReplicatedRegion(int use);
  const Derived& ReplicatedFragment(int fragment, int nest_op);
  // Layout to reduce or scan from: itself where that works, else, if `force`, one to convert to.
  const Derived& ReducibleFrom(int op, LayoutId src, bool force);
  const Derived& ReduceResultOf(int op, LayoutId src, bool force);
  // dst of a View from src, and src from dst.
  const Derived& ViewOf(int op, LayoutId src);
  const Derived& ViewSourceOf(int op, LayoutId dst);

  bool Contains(LayoutId f, LayoutId g);
  // Cost class only; values and bytes are exact in ConversionOf's answer.
  struct ConversionCost {
    ConversionKind kind = ConversionKind::kSame;
    int64_t cost = 0;
  };
  ConversionCost ConvertCost(LayoutId from, LayoutId to, int bits);

  int64_t ArithmeticCost(int op, LayoutId nest) const;
  int64_t MemoryUseCost(int use, int option, LayoutId nest);
  MemoryCost MemoryDetail(int use, int option, LayoutId nest);
  int64_t MemoryIssues(int use, int option, LayoutId nest);  // copies included
  int64_t ReduceCost(int op, LayoutId src);                  // of a layout that ReducibleFrom gave
  int64_t MatrixReadCost(int op, int option);

 private:
  struct Kind {
    AnyLayout layout;
    int bits;
    MemorySpace space;
  };
  int AddKind(AnyLayout layout, int bits, MemorySpace space);
  void AddNest(int op, const Nest& nest);
  FragmentUse UseOf(int op, const Nest& nest, const FragmentAccess& access) const;
  const MemoryCost& KindCost(LayoutId one, int kind);
  int64_t CopiesFactor(const MemoryAccess& access, LayoutId nest, LayoutId* one);

  // A memo of one kind of question: (which, layout) -> answer.
  enum class Question {
    kPull,
    kPush,
    kRegion,
    kReplicated,
    kReplicatedFragment,
    kFriendly,
    kForced,
    kResult,
    kForcedResult,
    kView,
    kViewSource
  };
  template <class F>
  const Derived& Memo(Question q, int which, LayoutId layout, F&& compute);

  const Program& p_;
  Pool pool_;
  std::vector<FragmentUse> uses_;
  std::vector<MemoryUse> memory_uses_;
  std::vector<std::vector<int>> reads_, writes_, memory_;
  std::vector<Kind> kinds_;
  std::unordered_map<uint64_t, Derived> derived_;
  std::unordered_map<uint64_t, bool> contains_;
  std::unordered_map<uint64_t, ConversionCost> converts_;
  std::unordered_map<uint64_t, MemoryCost> kind_costs_;
  std::unordered_map<uint64_t, LayoutId> without_replicas_;
  std::unordered_map<uint64_t, int64_t> reduce_costs_, matrix_costs_;
};

}  // namespace tilescale::solver
