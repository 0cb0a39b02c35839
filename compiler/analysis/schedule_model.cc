// SPDX-License-Identifier: MIT
#include "compiler/analysis/schedule_model.h"

#include "compiler/ir/build.h"
#include "compiler/ir/diag.h"
#include "compiler/ir/size.h"
#include "compiler/ir/visit.h"
#include "compiler/target/target.h"

#include <set>

namespace tilescale::analysis {

using namespace ir;  // NOLINT

namespace {

constexpr int kMaxGuard = 1024;  // nodes

std::string Line(const Stmt& s) {
  return s->span.defined() ? " (line " + std::to_string(s->span->line) + ")" : "";
}

template <class... Parts>
[[noreturn]] void Fail(const Span& span, const Parts&... parts) {
  RaiseAt(span, "CompileError", "schedule: ", parts...);
}

// "a, b"
template <typename Array>
std::string Names(const Array& items) {
  std::string out;
  for (const auto& item : items) out += (out.empty() ? "" : ", ") + std::string(item->name);
  return out.empty() ? "none" : out;
}

class Builder {
 public:
  explicit Builder(const Kernel& k) : kernel_(k) {}

  Model Run() {
    model_.kernel = kernel_;
    model_.schedule = kernel_->schedule;
    Roles();
    Pipes();
    Scopes();
    model_.root = MakeRegion(Stmt(), kernel_->body);
    NameSegments();
    Steps();
    Fillers();
    Rest();
    return std::move(model_);
  }

 private:
  void Roles() {
    std::set<std::string> names;
    int64_t end = 0, covered = 0;
    for (const Role& r : kernel_->schedule->roles) {
      std::string name(r->name);
      if (!names.insert(name).second) Fail(kernel_->span, "role `", name, "` is declared twice");
      if (r->warps < 1) Fail(kernel_->span, "role `", name, "` has no warps");
      int64_t last = r->first_warp + r->warps;
      constexpr int64_t kMaxWarps = target::kMaxThreadsPerBlock / target::kWarpSize;
      if (last > kMaxWarps) {
        Fail(kernel_->span, "role `", name, "` takes warps ", r->first_warp, "..", last,
             "; a block has at most ", kMaxWarps);
      }
      for (const Role& other : model_.roles) {
        if (r->first_warp < other->first_warp + other->warps && other->first_warp < last) {
          Fail(kernel_->span, "roles `", other->name, "` (warps ", other->first_warp, "..",
               other->first_warp + other->warps, ") and `", name, "` (warps ", r->first_warp, "..",
               last, ") overlap");
        }
      }
      if (r->replicas != 1) Fail(kernel_->span, "role `", name, "`: replicas are not supported");
      end = std::max(end, last);
      covered += r->warps;
      model_.roles.push_back(r);
    }
    if (model_.roles.empty()) Fail(kernel_->span, "there is no role");
    int64_t threads = kernel_->user_threads();
    constexpr int64_t kWarp = target::kWarpSize;
    if (!model_.many() && end == (threads + kWarp - 1) / kWarp && covered == end) return;
    if (threads % kWarp != 0) {
      Fail(kernel_->span, "roles are made of whole warps; the kernel has ", threads, " threads");
    }
    if (covered != end || end < threads / kWarp) {
      Fail(kernel_->span, "the roles take ", covered, " of warps 0..",
           std::max(end, threads / kWarp), "; every warp of the block needs a role");
    }
    if (end > threads / kWarp && kernel_->threads[1] * kernel_->threads[2] != 1) {
      Fail(kernel_->span,
           "roles add warps behind the kernel's, so its threads have one dimension; got ",
           kernel_->threads[0], " x ", kernel_->threads[1], " x ", kernel_->threads[2]);
    }
  }

  int RoleNamed(std::string_view name, const std::string& where) {
    int role = model_.RoleIndex(name);
    if (role < 0) {
      Fail(kernel_->span, where, " names role `", std::string(name), "`; the roles are ",
           Names(model_.roles));
    }
    return role;
  }

  void Pipes() {
    std::set<std::string> names;
    for (const Pipe& p : kernel_->schedule->pipes) {
      std::string where = "pipe `" + std::string(p->name) + "`";
      if (!names.insert(std::string(p->name)).second)
        Fail(kernel_->span, where, " is declared twice");
      if (p->depth < 1) Fail(kernel_->span, where, " has depth ", p->depth, "; it needs 1 or more");
      PipeFacts facts;
      facts.pipe = p;
      facts.from = RoleNamed(Str(p->from), where);
      for (const ffi::String& to : p->to) facts.to.push_back(RoleNamed(Str(to), where));
      if (p->mechanism() != Done::kProgram && p->mechanism() != Done::kCpAsync) {
        Fail(kernel_->span, where, ": no copy completes by ", DoneName(p->mechanism()),
             " here; use ", DoneName(Done::kCpAsync), " or ", DoneName(Done::kProgram));
      }
      bool same = false;
      for (int to : facts.to) same = same || to == facts.from;
      if (same && facts.to.size() > 1) {
        Fail(kernel_->span, where, " goes from `", p->from,
             "` to itself and to others; give the others a pipe of their own");
      }
      facts.local = same;
      int index = static_cast<int>(model_.pipes.size());
      if (p->buffers.empty()) Fail(kernel_->span, where, " has no buffers");
      for (const Buffer& b : p->buffers) {
        if (b->space() != Space::kShared && !(same && b->space() == Space::kFrag)) {
          Fail(kernel_->span, where, ": `", b->name, "` is ", SpaceName(b->space()),
               " memory; pipes are of shared memory, those of one role also of fragments");
        }
        facts.registers = facts.registers || b->space() == Space::kFrag;
        if (b->space() == Space::kFrag) NoView(b, where);
        if (!model_.pipe_of.emplace(b->storage.get(), index).second) {
          Fail(kernel_->span, "`", b->name, "` is in two pipes");
        }
      }
      if (facts.registers && p->buffers.size() > 1) {
        Fail(kernel_->span, where, " has ", p->buffers.size(),
             " buffers; a pipe of a fragment has no other");
      }
      model_.pipes.push_back(std::move(facts));
    }
  }

  // Versions of a fragment are buffers of their own.
  void NoView(const Buffer& b, const std::string& where) const {
    Walk(kernel_->body, [&](const NodeObj* n) {
      if (n->kind != NodeKind::kView) return true;
      const auto* view = static_cast<const ViewObj*>(n);
      if (!view->buffer->storage.same_as(b->storage)) return true;
      Fail(view->span, where, ": `", b->name, "` has the view `", view->buffer->name,
           "`; a fragment in a pipe has none");
    });
  }

  void Scopes() {
    for (const Scope& s : kernel_->schedule->scopes) {
      std::string name = ScopeName(s->scope(), s->loop);
      if (!scopes_.emplace(name, s).second) Fail(kernel_->span, "`", name, "` is given twice");
      if (s->scope() == ScopeKind::kLoop) loops_.insert(s->loop.get());
    }
  }

  static std::string ScopeName(ScopeKind kind, const Var& loop) {
    if (kind == ScopeKind::kRoot) return "root";
    return (kind == ScopeKind::kLoop ? "loop %" : "after %") + std::string(loop->name);
  }

  bool HoldsLoop(const Stmt& s) const {
    bool found = false;
    Walk(s, [&](const NodeObj* n) {
      found = found || (n->kind == NodeKind::kFor &&
                        loops_.count(static_cast<const ForObj*>(n)->var.get()) > 0);
      return !found;
    });
    return found;
  }

  std::unique_ptr<Region> MakeRegion(const Stmt& owner, const Stmt& body) {
    auto r = std::make_unique<Region>();
    r->owner = owner;
    r->segments.push_back(std::make_unique<Segment>());
    for (const Stmt& s : StmtsOf(body)) {
      if (!HoldsLoop(s)) {
        Append(r->segments.back().get(), s);
        continue;
      }
      r->children.push_back(Child(s));
      r->segments.push_back(std::make_unique<Segment>());
    }
    return r;
  }

  std::unique_ptr<Region> Child(const Stmt& s) {
    switch (s.kind()) {
      case NodeKind::kFor: {
        auto r = MakeRegion(s, s.as<ForObj>()->body);
        r->scheduled_loop = loops_.count(s.as<ForObj>()->var.get()) > 0;
        return r;
      }
      case NodeKind::kIf: {
        auto r = MakeRegion(s, s.as<IfObj>()->then_case);
        if (s.as<IfObj>()->else_case.defined())
          r->otherwise = MakeRegion(s, s.as<IfObj>()->else_case);
        return r;
      }
      case NodeKind::kWhile:
        if (!model_.many()) return MakeRegion(s, s.as<WhileObj>()->body);
        Fail(s->span, "a loop of a schedule with several roles stands in a `while`");
      case NodeKind::kGroup:
        if (!model_.many()) return MakeRegion(s, s.as<GroupObj>()->body);
        Fail(s->span, "a loop of a schedule with several roles stands in a group of threads");
      default:
        Fail(s->span, "a scheduled loop stands in a ", NodeKindName(s.kind()));
    }
  }

  void Append(Segment* segment, const Stmt& s) {
    segment->stmts.push_back(s);
    if (const auto* bind = s.as<BindObj>())
      binds_[bind->var.get()] = Substitute(bind->value, binds_);
    if (IsDeclaration(s)) return;
    Unit unit;
    unit.name = std::string(s->label);
    unit.stmt = s;
    unit.uses = UsesOf(s);
    for (const Use& u : unit.uses) unit.async = unit.async || u.done != Done::kProgram;
    if (const auto* branch = s.as<IfObj>(); branch != nullptr && !branch->else_case.defined()) {
      unit.guard = Substitute(branch->cond, binds_);
      if (LargerThan(unit.guard, kMaxGuard)) {
        RaiseAt(s->span, "CompileError", "the condition of this `if` has more than ", kMaxGuard,
                " operations with the names in it: too large for a scheduled loop");
      }
    }
    unit.segment = segment;
    unit.order = static_cast<int>(model_.units.size());
    model_.units.push_back(std::move(unit));
    segment->units.push_back(&model_.units.back());
  }

  void NameSegments() {
    std::set<std::string> used;
    ForEachSegment(model_.root.get(), [&](Region* r, Segment* s) {
      s->steps.resize(model_.roles.size());
      size_t at = 0;
      while (r->segments.size() > at && r->segments[at].get() != s) ++at;
      std::string name;
      if (at == 0) {
        if (!r->owner.defined()) name = "root";
        if (r->scheduled_loop) name = ScopeName(ScopeKind::kLoop, r->owner.as<ForObj>()->var);
      } else if (const auto* loop = r->children[at - 1]->owner.as<ForObj>();
                 loop != nullptr && r->children[at - 1]->scheduled_loop) {
        name = ScopeName(ScopeKind::kAfter, loop->var);
      }
      s->name = name;
      auto it = scopes_.find(name);
      if (it == scopes_.end()) return;
      s->scope = it->second;
      used.insert(name);
    });
    for (const auto& [name, scope] : scopes_) {
      if (used.count(name)) continue;
      Fail(kernel_->span, "`", name, "` is no place of the kernel: name the loop by `loop` first");
    }
  }

  Unit* UnitNamed(Segment* segment, std::string_view label) {
    for (Unit* u : segment->units) {
      if (u->name == label) return u;
    }
    for (const Unit& u : model_.units) {
      if (u.name != label) continue;
      Fail(kernel_->span, Model::Show(u), " stands in `",
           u.segment->name.empty() ? "no scope" : u.segment->name, "`, not in `", segment->name,
           "`");
    }
    std::string known;
    for (Unit* u : segment->units) known += (known.empty() ? "" : ", ") + u->name;
    Fail(kernel_->span, "`", segment->name, "` has no unit `", std::string(label),
         "`; its units are ", known.empty() ? "none" : known);
  }

  void Steps() {
    ForEachSegment(model_.root.get(), [&](Region* r, Segment* s) {
      if (!s->scope.defined()) return;
      bool leaf = r->leaf();
      for (const Step& step : s->scope->steps) {
        std::string verb = StepVerbName(step->verb());
        std::string subject(step->subject);
        ResolvedStep out;
        out.verb = step->verb();
        out.shift = step->shift;
        int role = RoleNamed(Str(step->role), "`" + s->name + "`");
        if (step->shift != 0 && !leaf) {
          Fail(kernel_->span, "`", verb, " ", subject, " ", step->shift > 0 ? "+" : "", step->shift,
               "` in `", s->name, "`: only the innermost scheduled loops have shifts");
        }
        switch (step->verb()) {
          case StepVerb::kDo:
            out.unit = UnitNamed(s, subject);
            if (out.unit->role >= 0) {
              Fail(out.unit->stmt->span, Model::Show(*out.unit), " runs twice: `do ", subject,
                   "` of `", model_.roles[out.unit->role]->name, "` and of `",
                   model_.roles[role]->name, "`");
            }
            out.unit->role = role;
            break;
          case StepVerb::kAwait:
            out.unit = UnitNamed(s, subject);
            break;
          case StepVerb::kEnter:
          case StepVerb::kLeave:
            Fail(kernel_->span, "`", verb, " ", subject, "`: turns are not supported");
          default:
            PipeStep(*s, role, step, &out);
        }
        s->steps[role].push_back(out);
      }
    });
    ForEachSegment(model_.root.get(), [&](Region*, Segment* s) {
      if (!s->scope.defined()) return;
      for (Unit* u : s->units) {
        if (u->role >= 0) continue;
        std::string what = u->name.empty() ? "a statement without a label" : "`" + u->name + "`";
        Fail(u->stmt->span, "no role runs ", what, Line(u->stmt), ": add `do ",
             u->name.empty() ? "…" : u->name, "` to `", s->name, "`");
      }
      for (int role = 0; role < static_cast<int>(model_.roles.size()); ++role) {
        for (const ResolvedStep& step : s->steps[role]) {
          if (step.verb != StepVerb::kAwait || step.unit->role == role) continue;
          Fail(step.unit->stmt->span, "`await ", step.unit->name, "` of role `",
               model_.roles[role]->name, "`: role `", model_.roles[step.unit->role]->name,
               "` runs it, and only who issued work can await it");
        }
      }
    });
  }

  void PipeStep(const Segment& s, int role, const Step& step, ResolvedStep* out) {
    std::string verb = StepVerbName(step->verb());
    out->pipe = model_.PipeIndex(Str(step->subject));
    if (out->pipe < 0) {
      std::vector<Pipe> pipes(kernel_->schedule->pipes.begin(), kernel_->schedule->pipes.end());
      Fail(kernel_->span, "`", verb, " ", step->subject, "` in `", s.name, "`: the pipes are ",
           Names(pipes));
    }
    const PipeFacts& p = model_.pipes[out->pipe];
    bool produces = step->verb() == StepVerb::kAcquire || step->verb() == StepVerb::kCommit;
    bool mine = produces ? p.from == role : false;
    for (int to : p.to) mine = mine || (!produces && to == role);
    if (mine) return;
    Fail(kernel_->span, "role `", model_.roles[role]->name, "` does `", verb, " ", step->subject,
         "`, but the pipe goes from `", p.pipe->from, "` to `", std::string(p.pipe->to[0]), "`");
  }

  // Which pipes are filled by copies only, and by whom.
  void Fillers() {
    for (const Unit& u : model_.units) {
      for (const Use& use : u.uses) {
        if (!use.writes()) continue;
        auto it = model_.pipe_of.find(use.storage);
        if (it == model_.pipe_of.end()) continue;
        PipeFacts& p = model_.pipes[it->second];
        if (u.role >= 0 && u.role != p.from) continue;
        if (use.done == Done::kProgram) p.all_async = false;
        if (use.done == Done::kCpAsync) p.any_async = true;
      }
    }
  }

  // The roles of the units that use registers which this one uses.
  std::set<int> RolesOfRegisters(const Unit& unit) const {
    std::set<int> roles;
    for (const Use& use : unit.uses) {
      if (!IsRegister(use.storage->space())) continue;
      for (const Unit& other : model_.units) {
        if (other.role < 0) continue;
        for (const Use& o : other.uses) {
          if (o.storage == use.storage) roles.insert(other.role);
        }
      }
    }
    return roles;
  }

  // Units that no scope names: with one role in place; with several by the role that alone has
  // their registers.
  void Rest() {
    if (!model_.many()) {
      for (Unit& u : model_.units) u.role = 0;
    } else {
      bool changed = true;
      while (changed) {
        changed = false;
        for (Unit& u : model_.units) {
          if (u.role >= 0) continue;
          std::set<int> roles = RolesOfRegisters(u);
          if (roles.size() != 1) continue;
          u.role = *roles.begin();
          changed = true;
        }
      }
    }
    ForEachSegment(model_.root.get(), [&](Region*, Segment* s) {
      if (s->scope.defined()) return;
      for (Unit* u : s->units) {
        if (u->role < 0) {
          Fail(u->stmt->span, "no role runs ", Model::Show(*u), ": name it in a scope",
               s->name.empty() ? "" : ", `" + s->name + "`");
        }
        ResolvedStep step;
        step.unit = u;
        s->steps[u->role].push_back(step);
      }
    });
  }

  Kernel kernel_;
  Model model_;
  std::map<std::string, Scope> scopes_;
  std::set<const VarObj*> loops_;
  VarMap binds_;
};

}  // namespace

int Model::RoleIndex(std::string_view name) const {
  for (size_t i = 0; i < roles.size(); ++i) {
    if (Str(roles[i]->name) == name) return static_cast<int>(i);
  }
  return -1;
}

int Model::PipeIndex(std::string_view name) const {
  for (size_t i = 0; i < pipes.size(); ++i) {
    if (Str(pipes[i].pipe->name) == name) return static_cast<int>(i);
  }
  return -1;
}

std::string Model::Show(const Unit& unit) {
  return (unit.name.empty() ? "the statement" : "`" + unit.name + "`") + Line(unit.stmt);
}

Model BuildModel(const Kernel& kernel) {
  return Builder(kernel).Run();
}

}  // namespace tilescale::analysis
