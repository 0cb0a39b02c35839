// SPDX-License-Identifier: MIT
#include "compiler/isa/instr.h"

#include "support/diagnostics.h"
#include "support/strings.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

namespace tilescale::isa {

namespace {

std::map<std::string, Instr, std::less<>>& Rows() {
  static auto* rows = new std::map<std::string, Instr, std::less<>>();
  return *rows;
}

ir::Effect EffectOf(const Instr& row, const ArgEffect& e, const ir::CallObj* call,
                    const Ordering& ordering) {
  ir::Effect out;
  const auto& list = e.arg >= 0 ? call->args : call->results;
  size_t i = e.arg >= 0 ? e.arg : -e.arg - 1;
  if (i < list.size()) {
    if (const auto* addr = list[i].as<ir::AddrObj>()) out.region = addr->region;
  }
  out.mode = e.mode;
  out.proxy = e.proxy;
  out.done = e.done;
  out.order = ordering.order;
  out.scope = ordering.scope;
  out.by = row.issue == Issue::kWarp    ? ir::By::kWarp
           : row.issue == Issue::kGroup ? ir::By::kGroup
           : row.issue == Issue::kOne   ? ir::By::kOne
                                        : ir::By::kThread;
  return out;
}

}  // namespace

void Register(Instr row) {
  std::string name = row.name;
  bool fresh = Rows().emplace(name, std::move(row)).second;
  TS_CHECK(fresh) << "instruction " << name << " has two rows";
}

const Instr* Find(std::string_view name) {
  auto it = Rows().find(name);
  return it == Rows().end() ? nullptr : &it->second;
}

const Instr& Get(std::string_view name) {
  const Instr* row = Find(name);
  TS_CHECK(row != nullptr) << "no instruction is named " << name;
  return *row;
}

std::vector<const Instr*> All() {
  std::vector<const Instr*> out;
  for (const auto& [name, row] : Rows()) out.push_back(&row);
  return out;
}

bool IsAvailable(const Instr& row, const Target& target) {
  return row.available == nullptr || row.available(target);
}

Ordering OrderingOf(const ir::CallObj* call) {
  const Instr& row = Get(ir::Str(call->instr));
  Ordering out{row.order, row.scope};
  if (!row.text_is_template) return out;
  static constexpr std::pair<std::string_view, ir::Order> kOrders[] = {
      {"weak", ir::Order::kWeak},         {"relaxed", ir::Order::kRelaxed},
      {"volatile_", ir::Order::kRelaxed}, {"acquire", ir::Order::kAcquire},
      {"release", ir::Order::kRelease},   {"acq_rel", ir::Order::kAcqRel},
      {"seq_cst", ir::Order::kSeqCst}};
  static constexpr std::pair<std::string_view, ir::MemScope> kScopes[] = {
      {"cta", ir::MemScope::kCta},
      {"cluster", ir::MemScope::kCluster},
      {"gpu", ir::MemScope::kGpu},
      {"sys", ir::MemScope::kSys}};
  for (std::string_view word : Split(ir::Str(call->text), '.')) {
    for (const auto& [name, order] : kOrders)
      out.order = word == name ? std::max(row.order, order) : out.order;
    for (const auto& [name, scope] : kScopes) out.scope = word == name ? scope : out.scope;
  }
  return out;
}

ir::Effects EffectsOf(const ir::CallObj* call) {
  const Instr& row = Get(ir::Str(call->instr));
  const Ordering ordering = OrderingOf(call);
  ir::Effects out;
  for (const ArgEffect& e : row.effects) {
    ir::Effect effect = EffectOf(row, e, call, ordering);
    if (effect.region.defined()) out.push_back(std::move(effect));
  }
  if (row.opaque) {
    for (size_t i = 0; i < call->args.size(); ++i) {
      ir::Effect effect = EffectOf(row, ArgEffect{int(i), ir::Mode::kWrite}, call, ordering);
      if (!effect.region.defined()) continue;
      effect.exact = false;
      out.push_back(effect);
      effect.mode = ir::Mode::kRead;
      out.push_back(std::move(effect));
    }
  }
  return out;
}

}  // namespace tilescale::isa
