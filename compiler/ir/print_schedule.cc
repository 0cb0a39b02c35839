// SPDX-License-Identifier: MIT
#include "compiler/ir/printer.h"
#include "compiler/ir/text_rules.h"

namespace tilescale::ir::text {
namespace {

std::string Text(const ffi::String& s) {
  return std::string(s.data(), s.size());
}

// "t math" is stored, "turn t over warpgroups of math" written.
std::string TurnText(const std::string& turn) {
  const size_t space = turn.find(' ');
  if (space == std::string::npos) return "turn " + WordOrQuoted(turn);
  return "turn " + WordOrQuoted(turn.substr(0, space)) + " over warpgroups of " +
         WordOrQuoted(turn.substr(space + 1));
}

std::string RoleText(const RoleObj* role) {
  std::string text = "role " + WordOrQuoted(Text(role->name)) + " warps " +
                     std::to_string(role->first_warp) + ".." +
                     std::to_string(role->first_warp + role->warps);
  if (role->nreg != 0) text += " nreg " + std::to_string(role->nreg);
  if (role->replicas != 1) text += " replicas " + std::to_string(role->replicas);
  return text;
}

std::string StepText(const StepObj* step) {
  std::string text =
      std::string(StepVerbName(step->verb())) + " " + WordOrQuoted(Text(step->subject));
  if (step->shift > 0) text += " +" + std::to_string(step->shift);
  if (step->shift < 0) text += " " + std::to_string(step->shift);
  return text;
}

}  // namespace

void Printer::PrintSchedule(const Schedule& s) {
  out_ += "schedule {";
  ++indent_;
  for (const Role& role : s->roles) {
    Line();
    out_ += RoleText(role.get());
  }
  for (const Pipe& pipe : s->pipes) {
    Line();
    out_ += "pipe " + WordOrQuoted(Text(pipe->name)) + " (";
    for (size_t i = 0; i < pipe->buffers.size(); ++i) {
      out_ += (i > 0 ? ", %" : "%") + NameOf(pipe->buffers[i].get());
    }
    out_ += ") depth " + std::to_string(pipe->depth) + " from " + WordOrQuoted(Text(pipe->from)) +
            "(" + DoneName(pipe->mechanism()) + ") to ";
    for (size_t i = 0; i < pipe->to.size(); ++i) {
      out_ += (i > 0 ? ", " : "") + WordOrQuoted(Text(pipe->to[i]));
    }
  }
  for (const ffi::String& turn : s->turns) {
    Line();
    out_ += TurnText(Text(turn));
  }
  constexpr const char* kScopes[] = {"root", "loop", "after"};
  for (const Scope& scope : s->scopes) {
    Line();
    out_ += kScopes[scope->kind_];
    if (scope->loop.defined()) out_ += " %" + names_.Of(scope->loop.get(), View(scope->loop->name));
    out_ += " {";
    ++indent_;
    std::string role;
    for (size_t i = 0; i < scope->steps.size(); ++i) {
      const Step step = scope->steps[i];
      if (i == 0 || Text(step->role) != role) {
        role = Text(step->role);
        Line();
        out_ += WordOrQuoted(role) + ": ";
      } else {
        out_ += "; ";
      }
      out_ += StepText(step.get());
    }
    --indent_;
    Line();
    out_ += "}";
  }
  --indent_;
  Line();
  out_ += "}";
}

}  // namespace tilescale::ir::text

namespace tilescale::ir {

using text::Printer;

std::string Print(const Func& f, const PrintOptions& options) {
  Printer printer(options.spans);
  printer.PrintFunc(f);
  return printer.Take();
}
std::string Print(const Stmt& s) {
  Printer printer(false);
  printer.PrintStmt(s);
  return printer.Take();
}
std::string Print(const Expr& e) {
  Printer printer(false);
  printer.PrintExpr(e);
  return printer.Take();
}
std::string Print(const Region& r) {
  Printer printer(false);
  printer.PrintRegion(r);
  return printer.Take();
}
std::string Spelled(const Stmt& s) {
  Printer printer(false, Printer::Notation::kUser);
  printer.PrintStmt(s);
  return printer.Take();
}
std::string Spelled(const Expr& e) {
  Printer printer(false, Printer::Notation::kUser);
  printer.PrintExpr(e);
  return printer.Take();
}
std::string Spelled(const Region& r) {
  Printer printer(false, Printer::Notation::kUser);
  printer.PrintRegion(r);
  return printer.Take();
}
std::string Print(const Schedule& s) {
  Printer printer(false);
  printer.PrintSchedule(s);
  return printer.Take() + "\n";
}

}  // namespace tilescale::ir
