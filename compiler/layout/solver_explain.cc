// SPDX-License-Identifier: MIT
// What explain() prints of a solution.
#include "compiler/layout/solver_engine.h"

#include <algorithm>

namespace tilescale::solver {
namespace {

std::string Padded(const std::string& s, size_t width) {
  return s.size() < width ? s + std::string(width - s.size(), ' ') : s;
}

std::string AccessLine(Model* model, int u, int option, LayoutId nest, const std::string& where) {
  const MemoryAccess& a = *model->memory_use(u).access;
  MemoryCost c = model->MemoryDetail(u, option, nest);
  const char* unit = a.space == MemorySpace::kGlobal ? " sectors (ideal " : " wavefronts (ideal ";
  return where + ": " + a.name + ": " + std::to_string(c.width) + " x " + std::to_string(a.bits) +
         " bit, " + std::to_string(c.transfers) + unit + std::to_string(c.ideal) + "), " +
         std::to_string(model->MemoryIssues(u, option, nest)) + " accesses";
}

}  // namespace

std::vector<std::string> DescribeAccesses(Model* model, const Solution& s) {
  const Program& p = model->program();
  std::vector<std::string> out;
  for (int i = 0; i < int(p.ops.size()); ++i) {
    if (const Nest* n = std::get_if<Nest>(&p.ops[size_t(i)])) {
      LayoutId nest = model->pool().Add(s.nests[size_t(i)]->layout);
      for (int u : model->Memory(i)) {
        int b = model->memory_use(u).access->buffer;
        out.push_back(AccessLine(model, u, b < 0 ? 0 : s.families[size_t(b)], nest, n->name));
      }
    } else if (const Reduce* r = std::get_if<Reduce>(&p.ops[size_t(i)])) {
      LayoutId src = model->pool().Add(s.fragments[size_t(r->src)].layout);
      const Derived& from = model->ReducibleFrom(i, src, true);
      std::string line =
          "reduce " + p.fragments[size_t(r->src)].name + " over " + std::to_string(r->dim) + ": ";
      bool first = true;
      if (from.id != kNoLayout) {
        Expected<ReducePlan> plan = PlanReduce(model->pool()[from.id], r->dim);
        for (const ReduceStage& stage : *plan) {
          line += std::string(first ? "" : ", ") + Name(stage.kind) + " " + std::to_string(stage.n);
          if (stage.kind == StageKind::kLanes) line += " x" + std::to_string(stage.stride);
          first = false;
        }
      }
      out.push_back(line);
    }
  }
  out.push_back(std::to_string(s.registers) + " registers a thread");
  return out;
}

std::string DescribeConvert(const Program& program, const Convert& c) {
  const Op& op = program.ops[size_t(c.op)];
  std::string at = "a reduction";
  if (const Nest* n = std::get_if<Nest>(&op)) at = n->name;
  if (const Anchor* a = std::get_if<Anchor>(&op)) at = a->why;
  if (std::holds_alternative<Scan>(op)) at = "a scan";
  if (std::holds_alternative<solver::View>(op)) at = "a view";
  return "convert " + program.fragments[size_t(c.fragment)].name + (c.write ? " from " : " for ") +
         at + ": " + Name(c.how.kind) + ", " + std::to_string(c.how.values) + " values a thread, " +
         std::to_string(c.how.bytes) + " bytes";
}

std::string ExplainText(const Program& program, const Solution& s, bool options) {
  std::string out;
  auto variable = [&](const std::string& name, const Choice& c) {
    out += Padded(name, 8) + " " + c.layout.Text() + "    [" + c.why + "]\n";
  };
  for (size_t f = 0; f < s.fragments.size(); ++f) {
    variable(program.fragments[f].name, s.fragments[f]);
  }
  for (size_t i = 0; i < s.nests.size(); ++i) {
    if (s.nests[i]) variable(std::get<Nest>(program.ops[i]).name, *s.nests[i]);
  }
  for (size_t b = 0; b < s.families.size(); ++b) {
    out += Padded(program.buffers[b].name, 8) + " " +
           program.buffers[b].options[size_t(s.families[b])].name + "    [";
    for (size_t o = 0; o < s.family_costs[b].size(); ++o) {
      const FamilyRecord& r = s.family_costs[b][o];
      out += (o ? ", " : "") + r.name + " " + (r.cost < 0 ? r.refusal : std::to_string(r.cost));
    }
    out += "]\n";
  }
  for (const std::string& line : s.report) out += "  " + line + "\n";
  for (const Convert& c : s.converts) {
    out += "  " + DescribeConvert(program, c) + ", cost " + std::to_string(c.cost) + " -> " +
           c.to.Text() + "\n";
  }
  out += "  cost " + std::to_string(s.cost);
  if (!options) return out;
  for (const ClassRecord& c : s.classes) {
    if (c.chosen < 0) continue;
    out += "\noptions of";
    for (const std::string& m : c.members) out += " " + m;
    for (size_t i = 0; i < c.options.size(); ++i) {
      const OptionRecord& o = c.options[i];
      out += "\n  " + std::string(int(i) == c.chosen ? "* " : "  ") +
             (o.cost < 0 ? "refused" : std::to_string(o.cost)) + "  " + o.layout.Text() + "  [" +
             o.why + "]" + (o.refusal.empty() ? "" : " " + o.refusal);
    }
  }
  return out;
}

}  // namespace tilescale::solver
