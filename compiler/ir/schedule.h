// SPDX-License-Identifier: MIT
// A schedule: who runs which statement when. A value in Kernel.schedule, printable
// and parseable. PlanSchedule or the user makes it, ApplySchedule verifies (S1–S6) and applies it;
// nothing else pipelines or specialises.
//
//   schedule {
//     role load warps 4..5    role math warps 0..4
//     pipe ab (%As, %Bs) depth 2 from load(cp_async) to math
//     loop %ko {
//       load: acquire ab; do copy_A; do copy_B; commit ab
//       math: wait ab; do gemm; release ab
//     }
//     after %ko { math: do store_C }
//   }
#pragma once

#include "compiler/ir/expr.h"

namespace tilescale::ir {

// Warps [first_warp, first_warp + warps) of the kernel. nreg 0: not set.
class RoleObj : public NodeObj {
 public:
  ffi::String name;
  int64_t first_warp = 0, warps = 0, nreg = 0, replicas = 1;
  RoleObj() : NodeObj(NodeKind::kRole) {}
  static constexpr auto Fields() {
    return std::make_tuple(F("name", &RoleObj::name), F("first_warp", &RoleObj::first_warp),
                           F("warps", &RoleObj::warps), F("nreg", &RoleObj::nreg),
                           F("replicas", &RoleObj::replicas));
  }
  TS_DECLARE_NODE(Role, Node);
};
TS_DEFINE_REF(Role, Node);

// `depth` slots of buffers, filled by role `from` through `mechanism`, consumed by roles `to`.
class PipeObj : public NodeObj {
 public:
  ffi::String name;
  ffi::Array<Buffer> buffers;
  int64_t depth = 1;
  ffi::String from;
  int64_t mechanism_ = 0;  // Done of the producer's copies: program (plain stores) or cp_async, …
  ffi::Array<ffi::String> to;
  PipeObj() : NodeObj(NodeKind::kPipe) {}
  Done mechanism() const { return static_cast<Done>(mechanism_); }
  static constexpr auto Fields() {
    return std::make_tuple(F("name", &PipeObj::name), F("buffers", &PipeObj::buffers),
                           F("depth", &PipeObj::depth), F("from", &PipeObj::from),
                           F("mechanism", &PipeObj::mechanism_), F("to", &PipeObj::to));
  }
  TS_DECLARE_NODE(Pipe, Node);
};
TS_DEFINE_REF(Pipe, Node);

enum class StepVerb : uint8_t { kDo, kAcquire, kCommit, kWait, kRelease, kAwait, kEnter, kLeave };
const char* StepVerbName(StepVerb verb);

// `verb subject +shift` of one role. Subject: a unit's label (do, await), a pipe or a turn.
class StepObj : public NodeObj {
 public:
  ffi::String role;
  int64_t verb_ = 0;
  ffi::String subject;
  int64_t shift = 0;
  StepObj() : NodeObj(NodeKind::kStep) {}
  StepVerb verb() const { return static_cast<StepVerb>(verb_); }
  static constexpr auto Fields() {
    return std::make_tuple(F("role", &StepObj::role), F("verb", &StepObj::verb_),
                           F("subject", &StepObj::subject), F("shift", &StepObj::shift));
  }
  TS_DECLARE_NODE(Step, Node);
};
TS_DEFINE_REF(Step, Node);

enum class ScopeKind : uint8_t { kRoot, kLoop, kAfter };

// The steps of one region: before the loop (root), in it, or after it. `loop` is its variable.
class ScopeObj : public NodeObj {
 public:
  int64_t kind_ = 0;  // ScopeKind
  Var loop;           // null for root
  ffi::Array<Step> steps;
  ScopeObj() : NodeObj(NodeKind::kScope) {}
  ScopeKind scope() const { return static_cast<ScopeKind>(kind_); }
  static constexpr auto Fields() {
    return std::make_tuple(F("kind", &ScopeObj::kind_), F("loop", &ScopeObj::loop),
                           F("steps", &ScopeObj::steps));
  }
  TS_DECLARE_NODE(Scope, Node);
};
TS_DEFINE_REF(Scope, Node);

class ScheduleObj : public NodeObj {
 public:
  ffi::Array<Role> roles;
  ffi::Array<Pipe> pipes;
  ffi::Array<Scope> scopes;
  ffi::Array<ffi::String> turns;  // "t over warpgroups of math" is stored as "t math"
  ScheduleObj() : NodeObj(NodeKind::kSchedule) {}
  static constexpr auto Fields() {
    return std::make_tuple(F("roles", &ScheduleObj::roles), F("pipes", &ScheduleObj::pipes),
                           F("scopes", &ScheduleObj::scopes), F("turns", &ScheduleObj::turns));
  }
  TS_DECLARE_NODE(Schedule, Node);
};
TS_DEFINE_REF(Schedule, Node);

}  // namespace tilescale::ir
