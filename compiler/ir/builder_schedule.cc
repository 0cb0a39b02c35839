// SPDX-License-Identifier: MIT
#include "compiler/ir/builder_schedule.h"

#include "compiler/ir/build.h"
#include "compiler/ir/visit.h"

#include <map>
#include <set>

namespace tilescale::ir {

namespace {

using Values = std::vector<ffi::Any>;

Values List(const ffi::Any& v) {
  auto array = v.cast<ffi::Array<ffi::Any>>();
  return Values(array.begin(), array.end());
}
std::string Word(const ffi::Any& v) {
  return std::string(v.cast<ffi::String>());
}

// Where a step goes: kind, and the loop that it speaks of.
struct Where {
  ScopeKind kind = ScopeKind::kRoot;
  Var loop;
  bool operator==(const Where& o) const { return kind == o.kind && loop.same_as(o.loop); }
};

class Maker {
 public:
  Maker(const KernelObj* kernel, const Values& args) : kernel_(kernel), args_(args) {}

  Schedule Run() {
    for (const ffi::Any& scope : List(args_.at(2))) {
      std::string id = Word(List(scope).at(0));
      if (!id.empty()) named_.insert(id);
    }
    Locate(kernel_->body, {});
    auto out = ffi::make_object<ScheduleObj>();
    for (const ffi::Any& v : List(args_.at(0))) out->roles.push_back(MakeRole(List(v)));
    for (const ffi::Any& v : List(args_.at(2))) Steps(List(v));
    for (const ffi::Any& v : List(args_.at(1))) out->pipes.push_back(MakePipe(List(v)));
    for (const auto& [where, steps] : scopes_) {
      auto scope = ffi::make_object<ScopeObj>();
      scope->kind_ = static_cast<int64_t>(where.kind);
      scope->loop = where.loop;
      scope->steps = ffi::Array<Step>(steps.begin(), steps.end());
      out->scopes.push_back(Scope(scope));
    }
    return Schedule(out);
  }

 private:
  bool HoldsNamed(const Stmt& s) const {
    bool found = false;
    Walk(s, [&](const NodeObj* n) {
      found = found || (n->kind == NodeKind::kFor &&
                        named_.count(std::string(static_cast<const ForObj*>(n)->label)) > 0);
      return !found;
    });
    return found;
  }

  // The place of every label. A loop around a scheduled one is scheduled too, without shifts.
  void Locate(const Stmt& body, Where where) {
    for (const Stmt& s : StmtsOf(body)) {
      if (!s->label.empty()) places_.emplace(std::string(s->label), where);
      const auto* loop = s.as<ForObj>();
      if (loop == nullptr || !HoldsNamed(s)) continue;
      loops_.emplace(std::string(s->label), loop->var);
      Locate(loop->body, {ScopeKind::kLoop, loop->var});
      where = {ScopeKind::kAfter, loop->var};
    }
  }

  static Role MakeRole(const Values& v) {
    auto role = ffi::make_object<RoleObj>();
    role->name = Word(v.at(0));
    role->first_warp = v.at(1).cast<int64_t>();
    role->warps = v.at(2).cast<int64_t>() - role->first_warp;
    role->nreg = v.at(3).cast<int64_t>();
    return Role(role);
  }

  Pipe MakePipe(const Values& v) {
    auto pipe = ffi::make_object<PipeObj>();
    pipe->name = Word(v.at(0));
    for (const ffi::Any& b : List(v.at(1))) pipe->buffers.push_back(b.cast<Buffer>());
    pipe->depth = v.at(2).cast<int64_t>();
    pipe->mechanism_ = static_cast<int64_t>(Done::kCpAsync);
    std::set<std::string> readers;
    for (const auto& [where, steps] : scopes_) {
      for (const Step& s : steps) {
        if (s->subject != pipe->name) continue;
        if (s->verb() == StepVerb::kAcquire) pipe->from = s->role;
        if (s->verb() == StepVerb::kWait && readers.insert(std::string(s->role)).second)
          pipe->to.push_back(s->role);
      }
    }
    if (pipe->from.empty() || pipe->to.empty()) {
      Raise("ValueError", "T.annotate_ws_schedule: no role ",
            pipe->from.empty() ? "acquires" : "waits for", " pipeline `", pipe->name, "`");
    }
    return Pipe(pipe);
  }

  void Steps(const Values& scope) {
    std::string id = Word(scope.at(0));
    Where start;
    if (!id.empty()) {
      auto it = loops_.find(id);
      if (it == loops_.end())
        Raise("ValueError", "T.annotate_ws_schedule: no loop of the kernel is named `", id, "`");
      start = {ScopeKind::kLoop, it->second};
    }
    for (const ffi::Any& body : List(scope.at(1))) {
      std::string role = Word(List(body).at(0));
      Where at = start;
      int64_t stage = 0;
      for (const ffi::Any& v : List(List(body).at(1))) {
        Values instr = List(v);
        std::string verb = Word(instr.at(0)), subject = Word(instr.at(1));
        auto step = ffi::make_object<StepObj>();
        step->role = role;
        step->subject = subject;
        for (int i = 0; i <= static_cast<int>(StepVerb::kLeave); ++i) {
          if (verb == StepVerbName(static_cast<StepVerb>(i))) step->verb_ = i;
        }
        step->shift = instr.at(2).cast<int64_t>();
        switch (step->verb()) {
          case StepVerb::kDo: {
            // The loop itself, in the list of the place it stands in: what follows is behind it.
            if (auto loop = loops_.find(subject); loop != loops_.end()) {
              at = {ScopeKind::kAfter, loop->second};
              continue;
            }
            auto place = places_.find(subject);
            if (place == places_.end()) {
              Raise("ValueError", "T.annotate_ws_schedule: nothing in the kernel is named `",
                    subject, "` by T.ws_op");
            }
            at = place->second;
            step->shift = stage;
            break;
          }
          case StepVerb::kCommit:
          case StepVerb::kRelease:
            stage = 0;
            break;
          default:
            stage = step->shift;
        }
        Add(at, Step(step));
      }
    }
  }

  void Add(const Where& where, const Step& step) {
    for (auto& [place, steps] : scopes_) {
      if (!(place == where)) continue;
      steps.push_back(step);
      return;
    }
    scopes_.push_back({where, {step}});
  }

  const KernelObj* kernel_;
  const Values& args_;
  std::set<std::string> named_;  // labels of loops with scopes
  std::map<std::string, Where> places_;
  std::map<std::string, Var> loops_;
  std::vector<std::pair<Where, std::vector<Step>>> scopes_;
};

}  // namespace

Schedule MakeWsSchedule(const KernelObj* kernel, const Values& args) {
  return Maker(kernel, args).Run();
}

}  // namespace tilescale::ir
