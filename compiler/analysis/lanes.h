// SPDX-License-Identifier: MIT
// Values of an integer or boolean expression for all threads of a group at once: compiled to a list
// of operations once, run at many points of loops. What cannot be evaluated is unknown, thread by
// thread: `unknown and false` is false.
#pragma once

#include "compiler/ir/func.h"

#include <functional>
#include <unordered_map>
#include <vector>

namespace tilescale::analysis {

// The threads of one group, and how the thread variables count them.
struct Threads {
  int64_t first = 0, count = 0;
  int64_t wide = 1, high = 1;  // threads of the block along x and y
  const ir::VarObj* vars[3] = {};
};

// What a variable that is no thread variable stands for.
struct Meaning {
  enum Kind { kLoop, kBound, kSame, kUnknown } kind = kUnknown;
  size_t loop = 0;  // kLoop: which of the loops
  ir::Expr value;   // kBound
};

class LaneProgram {
 public:
  using Names = std::function<Meaning(const ir::VarObj*)>;
  // A variable that is kSame has one value for all threads, of which nothing matters but that: it
  // counts as 0.
  LaneProgram(const Threads& threads, const ir::Expr& e, const Names& names);

  // The values with loop i at at[i].
  void Run(const std::vector<int64_t>& at);
  // Of the i-th thread of the group, after Run.
  bool known(size_t i) const { return !root().vague || root().unknown[root().wide ? i : 0] == 0; }
  int64_t value(size_t i) const { return root().value[root().wide ? i : 0]; }
  // One value for all threads.
  bool uniform() const { return !root().wide; }
  bool depends_on_loops() const { return root().looped; }
  // Nothing of it can be unknown.
  bool exact() const { return !root().vague; }

 private:
  struct Step {
    enum Kind { kOperation, kConstant, kLoop } kind = kOperation;
    ir::OpCode op = ir::OpCode::kAdd;
    int a = -1, b = -1, c = -1;
    size_t loop = 0;
    bool wide = false;    // differs between threads: else one value
    bool vague = false;   // may be unknown
    bool looped = false;  // depends on a loop
    std::vector<int64_t> value;
    std::vector<uint8_t> unknown;  // if vague
  };
  const Step& root() const { return steps_[root_]; }

  int Push(Step s);
  int Constant(int64_t value);
  int Unknown();
  int PerThread(const std::function<int64_t(int64_t)>& f);
  int Compile(const ir::Expr& e);
  int Make(const ir::Expr& e);
  int Variable(const ir::VarObj* v);
  void Evaluate(Step* s);
  void Logic(Step* s);

  Threads threads_;
  Names names_;
  size_t width_;
  int root_ = 0;
  int depth_ = 0;
  std::vector<Step> steps_;
  std::unordered_map<const ir::NodeObj*, int> known_;
};

}  // namespace tilescale::analysis
