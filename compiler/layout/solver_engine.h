// SPDX-License-Identifier: MIT
// The solver's state: classes and what they say about each other, the assignment so far, prices.
// solver_merge.cc makes the classes, solver_assign.cc chooses, solver_price.cc adds up.
#pragma once

#include "compiler/layout/solver.h"
#include "compiler/layout/solver_model.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace tilescale::solver {

// What one class learns from another: through which op, and which access of it.
struct Edge {
  enum Kind { kReduce, kPull, kPush, kView, kViewSource } kind;
  int from;  // class
  int op;
  int use;  // of the model; -1 for ops without accesses
  std::string why;
};

struct Class {
  std::vector<int> members;  // variables, in order
  bool hard = false;
  bool memory = false;   // a member nest touches memory
  bool reduced = false;  // a member is reduced or scanned
  LayoutId anchor = kNoLayout;
  std::string why;
  std::vector<Edge> edges;  // in program order
  std::optional<std::vector<std::pair<std::string, LayoutId>>> candidates;
};

using Assignment = std::vector<LayoutId>;  // by class
inline constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

struct Score {
  bool ok = false;
  int64_t cost = 0;
  int64_t registers = 0;
  std::string refusal;
  bool operator<(const Score& o) const {
    return cost != o.cost ? cost < o.cost : registers < o.registers;
  }
};

struct Direction {
  bool in, out;
};

// A Convert before its details are needed.
struct Edit {
  int fragment, op;
  bool write;
  LayoutId from, to;
  int64_t cost;
};

class Solver {
 public:
  explicit Solver(const Program& program) : p_(program), model_(program) {}
  Expected<Solution> Run();

 private:
  // -- variables and classes: fragments first, then nests in program order
  int num_fragments() const { return int(p_.fragments.size()); }
  int Find(int v) const { return parent_[size_t(v)] == v ? v : Find(parent_[size_t(v)]); }
  int ClassOfFragment(int f) const { return class_of_[size_t(Find(f))]; }
  int ClassOfNest(int op) const { return class_of_[size_t(Find(nest_var_[size_t(op)]))]; }
  std::span<const int64_t> ShapeOf(int var) const;
  const std::string& NameOf(int var) const;
  int64_t SizeOf(int var) const;

  std::optional<Refusal> Merge();
  void MakeClasses();
  void MakeEdges();
  void MakeLiveRanges();
  std::optional<Refusal> CheckAnnotations();

  // -- assigning
  const Derived& Derive(const Edge& e, LayoutId from);
  const std::vector<std::pair<std::string, LayoutId>>& CandidatesOf(int c);
  void Complete(Assignment* a, std::span<const int> open);
  std::vector<int> OpenRegion(int c, const Assignment& solved) const;
  std::optional<Refusal> Assign(int c, bool lenient);

  // -- pricing
  Score Evaluate(const Assignment& a, std::vector<Edit>* edits, std::vector<int>* families);
  bool PriceOp(int op, const Assignment& a, Score* score);
  bool PriceNest(int op, const Nest& n, const Assignment& a, Score* score);
  // The uses of one fragment by a nest.
  bool PriceFragment(int op, const Nest& n, std::span<const int> reads, std::span<const int> writes,
                     const Assignment& a, Score* score);
  // The op finds its operand in `own` and uses it in `temporary`, which it reads, writes, or both.
  void Need(int fragment, int op, LayoutId own, LayoutId temporary, int64_t weight, Direction d,
            Score* score);
  bool PriceFamilies(const Assignment& a, Score* score, std::vector<int>* families);
  // Of all accesses to the buffer, or some cost of at least `limit` that is not the whole.
  int64_t FamilyCost(int buffer, int option, const Assignment& a, int64_t limit = kNoLimit);
  int64_t Registers(const Assignment& a) const;

  Solution Describe(const Score& score, const std::vector<Edit>& edits,
                    const std::vector<int>& families);

  const Program& p_;
  Model model_;
  std::vector<int> parent_;    // union-find over variables
  std::vector<int> nest_var_;  // by op; -1 for other ops
  std::vector<int> nest_op_;   // by variable - num_fragments()
  std::vector<int> class_of_;  // by root variable
  std::vector<Class> classes_;
  std::vector<std::pair<LayoutId, std::string>> hard_;  // by root variable
  std::vector<std::pair<int, int>> live_;
  struct BufferUse {
    int op;
    int use;  // memory use of the model; -1: MatrixReads
  };
  std::vector<std::vector<BufferUse>> buffer_uses_;

  Assignment solved_;
  std::vector<std::string> why_;        // by class
  std::vector<ClassRecord> records_;    // by class
  bool lenient_ = false;                // soft classes may use what only anchors normally do
  std::vector<Edit>* edits_ = nullptr;  // where Evaluate writes Converts
  std::vector<int64_t> extra_;          // registers of temporaries, by op
};

// Report lines of a solution: accesses, reductions, registers.
std::vector<std::string> DescribeAccesses(Model* model, const Solution& solution);

}  // namespace tilescale::solver
