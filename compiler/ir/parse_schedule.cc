// SPDX-License-Identifier: MIT
#include "compiler/ir/parser.h"
#include "compiler/ir/visit.h"

namespace tilescale::ir::text {

void Parser::UseKernel(const Kernel& kernel) {
  Walk(kernel->body, [&](const NodeObj* n) {
    Node symbol;
    ffi::String name;
    if (n->kind == NodeKind::kFor) {
      const Var var = static_cast<const ForObj*>(n)->var;
      symbol = var;
      name = var->name;
    } else if (n->kind == NodeKind::kAlloc && static_cast<const AllocObj*>(n)->buffer.defined()) {
      const Buffer buffer = static_cast<const AllocObj*>(n)->buffer;
      symbol = buffer;
      name = buffer->name;
    }
    if (symbol.defined()) scheduled_[std::string(name)].push_back(symbol);
    return IsStmtKind(n->kind);
  });
}

// The buffer or loop variable that the kernel declares under this name.
Node Parser::Scheduled(const Lexeme& at, NodeKind kind) const {
  const bool buffer = kind == NodeKind::kBuffer;
  const std::string what = "%" + std::string(at.text);
  Node found;
  auto it = scheduled_.find(at.text);
  if (it != scheduled_.end()) {
    for (const Node& symbol : it->second) {
      if (symbol.kind() != kind) continue;
      if (found.defined()) FailAt(at, what + " is declared twice in the kernel: name it apart");
      found = symbol;
    }
  }
  if (!found.defined())
    FailAt(at, std::string("the kernel has no ") + (buffer ? "buffer " : "loop ") + what);
  return found;
}

Role Parser::ParseRole() {
  auto role = ffi::make_object<RoleObj>();
  role->name = Word("a role's name");
  Expect("warps");
  const Lexeme& at = Now();
  role->first_warp = Integer("the first warp");
  Expect("..");
  const int64_t end = Integer("the end of the warps");
  if (role->first_warp < 0 || end < role->first_warp)
    FailAt(at, "expected warps in order, such as 0..4");
  role->warps = end - role->first_warp;
  if (Accept("nreg")) role->nreg = Integer("how many registers");
  if (Accept("replicas")) role->replicas = Integer("how many replicas");
  return Role(std::move(role));
}

Pipe Parser::ParsePipe() {
  auto pipe = ffi::make_object<PipeObj>();
  pipe->name = Word("a pipe's name");
  Expect("(");
  while (!Is(")")) {
    if (!pipe->buffers.empty()) Expect(",");
    Node buffer = Scheduled(Symbol("a buffer"), NodeKind::kBuffer);
    pipe->buffers.push_back(ffi::GetRef<Buffer>(buffer.as<BufferObj>()));
  }
  Expect(")");
  Expect("depth");
  pipe->depth = Integer("a depth");
  Expect("from");
  pipe->from = Word("a role");
  Expect("(");
  const Lexeme& at = Now();
  const std::string mechanism = Word("a mechanism");
  pipe->mechanism_ = -1;
  for (int i = 0; i <= static_cast<int>(Done::kQuiet); ++i) {
    if (mechanism == DoneName(static_cast<Done>(i))) pipe->mechanism_ = i;
  }
  // What a tensor copy completes on.
  if (mechanism == "tma") pipe->mechanism_ = static_cast<int64_t>(Done::kMbarrier);
  if (pipe->mechanism_ < 0) FailAt(at, "unknown mechanism " + Shown(at));
  Expect(")");
  Expect("to");
  do {
    pipe->to.push_back(Word("a role"));
  } while (Accept(","));
  return Pipe(std::move(pipe));
}

Step Parser::ParseStep(const std::string& role) {
  auto step = ffi::make_object<StepObj>();
  const Lexeme& at = Now();
  const std::string word = Word("a verb");
  step->role = role;
  step->verb_ = -1;
  for (int i = 0; i <= static_cast<int>(StepVerb::kLeave); ++i) {
    if (word == StepVerbName(static_cast<StepVerb>(i))) step->verb_ = i;
  }
  if (step->verb_ < 0) {
    FailAt(at,
           "expected do, acquire, commit, wait, release, await, enter or leave, got " + Shown(at));
  }
  step->subject = Word("a unit, pipe or turn");
  if (Accept("+")) {
    step->shift = Integer("a shift");
  } else if (Is("-")) {
    step->shift = Integer("a shift");
  }
  return Step(std::move(step));
}

Scope Parser::ParseScope() {
  auto scope = ffi::make_object<ScopeObj>();
  const Lexeme& at = Now();
  const std::string word = Word("root, loop or after");
  ScopeKind kind = ScopeKind::kRoot;
  if (word == "loop") {
    kind = ScopeKind::kLoop;
  } else if (word == "after") {
    kind = ScopeKind::kAfter;
  } else if (word != "root") {
    FailAt(at, "expected role, pipe, turn, root, loop or after, got " + Shown(at));
  }
  scope->kind_ = static_cast<int64_t>(kind);
  if (kind != ScopeKind::kRoot) {
    Node loop = Scheduled(Symbol("a loop variable"), NodeKind::kVar);
    scope->loop = ffi::GetRef<Var>(loop.as<VarObj>());
  }
  Expect("{");
  while (!Accept("}")) {
    const std::string role = Word("a role");
    Expect(":");
    do {
      scope->steps.push_back(ParseStep(role));
    } while (Accept(";"));
  }
  return Scope(std::move(scope));
}

Schedule Parser::ParseSchedule() {
  auto schedule = ffi::make_object<ScheduleObj>();
  Expect("schedule");
  Expect("{");
  while (!Accept("}")) {
    if (Accept("role")) {
      schedule->roles.push_back(ParseRole());
    } else if (Accept("pipe")) {
      schedule->pipes.push_back(ParsePipe());
    } else if (Accept("turn")) {
      std::string turn = Word("a turn's name");
      if (Accept("over")) {
        Expect("warpgroups");
        Expect("of");
        turn += " " + Word("a role");
      }
      schedule->turns.push_back(turn);
    } else {
      schedule->scopes.push_back(ParseScope());
    }
  }
  return Schedule(std::move(schedule));
}

}  // namespace tilescale::ir::text

namespace tilescale::ir {

Schedule ParseSchedule(std::string_view text, const Kernel& kernel) {
  text::Parser parser(text);
  parser.UseKernel(kernel);
  Schedule schedule = parser.ParseSchedule();
  parser.ExpectEnd();
  return schedule;
}

}  // namespace tilescale::ir
