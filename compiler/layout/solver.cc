// SPDX-License-Identifier: MIT
// The order of the work: merge, anchor, assign, price once more, describe.
#include "compiler/layout/solver_engine.h"

namespace tilescale::solver {

Expected<Solution> Solver::Run() {
  if (auto refusal = Merge()) return *refusal;
  MakeClasses();
  MakeEdges();
  MakeLiveRanges();
  solved_.assign(classes_.size(), kNoLayout);
  why_.assign(classes_.size(), "");
  records_.assign(classes_.size(), {});
  for (size_t c = 0; c < classes_.size(); ++c) {
    for (int v : classes_[c].members) records_[c].members.push_back(NameOf(v));
    if (!classes_[c].hard) continue;
    solved_[c] = classes_[c].anchor;
    why_[c] = classes_[c].why;
  }
  bool lenient = false;
  for (size_t c = 0; c < classes_.size(); ++c) {
    if (classes_[c].hard) continue;
    auto refusal = Assign(int(c), lenient);
    // No option was legal under the strict rules: temporaries and full copies are allowed from now
    // on.
    if (refusal && !lenient) {
      lenient = true;
      refusal = Assign(int(c), lenient);
    }
    if (refusal) return *refusal;
  }
  std::vector<Edit> edits;
  std::vector<int> families;
  Score score = Evaluate(solved_, &edits, &families);
  if (!score.ok && !lenient_) {
    lenient_ = true;
    edits.clear();
    families.clear();
    score = Evaluate(solved_, &edits, &families);
  }
  if (!score.ok) return Refusal{score.refusal};

  return Describe(score, edits, families);
}

Solution Solver::Describe(const Score& score, const std::vector<Edit>& edits,
                          const std::vector<int>& families) {
  Solution out;
  out.cost = score.cost;
  out.registers = score.registers;
  out.families = families;
  for (size_t b = 0; b < p_.buffers.size(); ++b) {
    out.family_costs.emplace_back();
    for (size_t o = 0; o < p_.buffers[b].options.size(); ++o) {
      int64_t c = FamilyCost(int(b), int(o), solved_);
      out.family_costs.back().push_back(FamilyRecord{
          p_.buffers[b].options[o].name, c, c == kRefused ? "a user cannot access it" : ""});
    }
  }
  auto choice = [&](int c) { return Choice{model_.pool()[solved_[size_t(c)]], why_[size_t(c)]}; };
  for (int f = 0; f < num_fragments(); ++f) out.fragments.push_back(choice(ClassOfFragment(f)));
  out.nests.resize(p_.ops.size());
  for (int op : nest_op_) out.nests[size_t(op)] = choice(ClassOfNest(op));
  for (const Edit& e : edits) {
    const Layout& from = model_.pool()[e.from];
    const Layout& to = model_.pool()[e.to];
    Expected<Conversion> how = ConversionOf(from, to, p_.fragments[size_t(e.fragment)].bits);
    out.converts.push_back(Convert{e.fragment, e.op, e.write, from, to,
                                   how.ok() ? *how : Conversion{ConversionKind::kShared, 0, 0},
                                   e.cost});
  }
  out.classes = records_;
  out.report = DescribeAccesses(&model_, out);
  return out;
}

Expected<Solution> Solve(const Program& program) {
  return Solver(program).Run();
}

}  // namespace tilescale::solver
