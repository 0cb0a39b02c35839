// SPDX-License-Identifier: MIT
// ApplySchedule (passes.h): a schedule, checked (S1–S6), becomes program text. Each role becomes a
// Group of its threads, or the kernel's body if it is alone; each pipe a token and versions of its
// buffers. Asynchronous ops that no schedule names are completed on the spot.
#include "compiler/analysis/schedule_check.h"
#include "compiler/ir/build.h"
#include "compiler/ir/visit.h"
#include "compiler/passes/apply_schedule/emit_role.h"
#include "compiler/passes/passes.h"

#include <algorithm>

namespace tilescale {

using namespace ir;  // NOLINT

namespace {

// A kernel without a schedule is one role without pipes.
Kernel WithSchedule(const Kernel& k) {
  if (k->schedule.defined()) return k;
  constexpr int64_t kWarp = target::kWarpSize;
  auto role = ffi::make_object<RoleObj>();
  role->name = "all";
  role->warps = (k->user_threads() + kWarp - 1) / kWarp;
  auto schedule = ffi::make_object<ScheduleObj>();
  schedule->roles = {Role(role)};
  auto out = CopyNode(k.get());
  out->schedule = Schedule(schedule);
  return Kernel(out);
}

// A pipe inside one role completes in groups that its threads wait for; between roles on mbarriers:
// `full`, where every thread of the producer arrives, and `empty`, one arrival of each warp that
// reads.
Stmt TokenOf(const analysis::Model& m, const analysis::PipeFacts& p, schedule::Tokens* tokens) {
  bool async = p.local ? p.any_async : p.all_async;
  auto alloc = ffi::make_object<AllocObj>();
  alloc->token =
      MakeToken(Str(p.pipe->name), async ? Done::kCpAsync : Done::kProgram, p.pipe->depth);
  alloc->span = m.kernel->span;
  if (!p.local) {
    alloc->arrivals = m.Threads(p.from);
    for (int to : p.to) alloc->release_arrivals += m.roles[to]->warps;
  }
  tokens->push_back(alloc->token);
  return Stmt(alloc);
}

void CollectShared(const analysis::Model& m, std::vector<Stmt>* out) {
  analysis::ForEachSegment(m.root.get(), [&](analysis::Region*, analysis::Segment* s) {
    for (const Stmt& x : s->stmts) {
      if (schedule::DeclaresShared(x)) out->push_back(schedule::WithVersions(m, x));
    }
  });
}

Kernel Apply(const Kernel& kernel, PassContext* ctx) {
  analysis::Model m = analysis::BuildModel(WithSchedule(kernel));
  if (kernel->schedule.defined()) analysis::CheckSchedule(m, ctx->target);
  std::vector<Stmt> body;
  schedule::Tokens tokens;
  for (const analysis::PipeFacts& p : m.pipes) {
    if (p.registers) {
      tokens.emplace_back();  // program order completes it
    } else {
      body.push_back(TokenOf(m, p, &tokens));
    }
  }
  auto out = CopyNode(kernel.get());
  if (!m.many()) {
    body.push_back(schedule::EmitRole(m, tokens, 0));
  } else {
    CollectShared(m, &body);
    int64_t end = kernel->user_threads();
    for (int role = 0; role < static_cast<int>(m.roles.size()); ++role) {
      auto group = ffi::make_object<GroupObj>();
      group->first = m.FirstThread(role);
      group->count = m.Threads(role);
      group->name = m.roles[role]->name;
      group->span = kernel->span;
      int64_t nreg = m.roles[role]->nreg;
      if (nreg != 0 && ctx->target.arch->has_setmaxnreg) {
        group->nreg = nreg;
      } else if (nreg != 0) {
        ctx->Record("apply-schedule", kernel->span, "role " + std::string(m.roles[role]->name),
                    "registers as compiled",
                    {"nreg " + std::to_string(nreg) + ": " + ctx->target.arch->name +
                     " cannot move registers between warps"});
      }
      group->body = MakeSeq({schedule::EmitRole(m, tokens, role)});
      end = std::max(end, group->first + group->count);
      body.push_back(Stmt(group));
    }
    out->extra_threads = end - kernel->user_threads();
  }
  out->body = MakeSeq(body);
  out->schedule = Schedule();
  return Kernel(out);
}

}  // namespace

namespace passes {

Func ApplySchedule(Func f, PassContext& ctx) {
  return MapKernels(f, [&](const Kernel& k) { return Apply(k, &ctx); });
}

}  // namespace passes
}  // namespace tilescale
