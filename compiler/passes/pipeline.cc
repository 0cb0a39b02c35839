// SPDX-License-Identifier: MIT
// The pipeline as data, and the driver of passes: runs a range, verifies each stage, measures.
#include "compiler/ir/diag.h"
#include "compiler/ir/verify.h"
#include "compiler/passes/passes.h"
#include "support/diagnostics.h"

#include <chrono>
#include <string_view>
#include <utility>

namespace tilescale {

using ir::Func;
using ir::Stage;

void PassContext::Record(std::string pass, ir::Span span, std::string subject, std::string chosen,
                         std::vector<std::string> refused) {
  decisions.push_back({std::move(pass), std::move(span), std::move(subject), std::move(chosen),
                       std::move(refused)});
}

const std::vector<PassInfo>& Pipeline() {
  static const std::vector<PassInfo> pipeline = {
      {"ingest", passes::Ingest, Stage::kTile},
      {"normalise", passes::Normalise, Stage::kTile},
      {"check", passes::Check, Stage::kTile},
      {"guard-bounds", passes::GuardBounds, Stage::kTile},
      {"select-ops", passes::SelectOps, Stage::kTile},
      {"plan-schedule", passes::PlanSchedule, Stage::kTile},
      {"apply-schedule", passes::ApplySchedule, Stage::kTile},
      {"solve-layouts", passes::SolveLayouts, Stage::kMapped},
      {"plan-reductions", passes::PlanReductions, Stage::kMapped},
      {"lower-tile-ops", passes::LowerTileOps, Stage::kMapped},
      {"partition-and-vectorize", passes::PartitionAndVectorize, Stage::kMachine},
      {"place-memory", passes::PlaceMemory, Stage::kMachine},
      {"insert-sync", passes::InsertSync, Stage::kMachine},
      {"optimise", passes::Optimise, Stage::kMachine},
      {"check-registers", passes::CheckRegisters, Stage::kMachine},
      {"assign-resources", passes::AssignResources, Stage::kMachine},
  };
  return pipeline;
}

namespace {

size_t IndexOf(const std::string& name) {
  for (size_t i = 0; i < Pipeline().size(); ++i) {
    if (name == Pipeline()[i].name) return i;
  }
  std::string known;
  for (const PassInfo& p : Pipeline()) known += (known.empty() ? "" : ", ") + std::string(p.name);
  ir::Raise("ValueError", "no pass is named `", name, "`; the passes are ", known);
}

// What a pass guarantees beyond its stage, from then on.
constexpr std::pair<std::string_view, void (*)(const Func&)> kGuarantees[] = {
    {"apply-schedule", ir::VerifyScheduleApplied},
    {"lower-tile-ops", ir::VerifyLowered},
    {"place-memory", ir::VerifyPlaced},
    {"insert-sync", ir::VerifyNoTokens},
    {"optimise", ir::VerifyTruncOnly},
};

// The stage's spec, and the guarantees of all passes up to `index`.
void VerifyAfter(const Func& f, size_t index) {
  ir::Verify(f);
  for (const auto& [pass, verify] : kGuarantees) {
    if (IndexOf(std::string(pass)) <= index) verify(f);
  }
}

}  // namespace

Func RunPasses(Func f, PassContext& ctx, const std::string& first, const std::string& last,
               const std::function<void(const PassInfo&, const Func&, int64_t)>& observe) {
  size_t begin = first.empty() ? 0 : IndexOf(first);
  size_t end = last.empty() ? Pipeline().size() - 1 : IndexOf(last);
  Stage need = begin == 0 ? Stage::kTile : Pipeline()[begin - 1].stage_after;
  if (f->stage() != need) {
    ir::Raise("ValueError", "pass `", Pipeline()[begin].name, "` runs on the ", ir::StageName(need),
              " stage, the program is at the ", ir::StageName(f->stage()), " stage");
  }
  for (size_t i = begin; i <= end; ++i) {
    const PassInfo& pass = Pipeline()[i];
    auto start = std::chrono::steady_clock::now();
    f = pass.run(std::move(f), ctx);
    if (f->stage() != pass.stage_after) {
      auto out = ir::CopyNode(f.get());
      out->stage_ = static_cast<int64_t>(pass.stage_after);
      f = Func(out);
    }
    auto us = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now() - start);
    if (ctx.verify) VerifyAfter(f, i);
    if (observe) observe(pass, f, us.count());
  }
  return f;
}

}  // namespace tilescale
