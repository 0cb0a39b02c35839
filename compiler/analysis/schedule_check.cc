// SPDX-License-Identifier: MIT
#include "compiler/analysis/schedule_check.h"

#include "compiler/ir/build.h"
#include "compiler/ir/diag.h"
#include "compiler/ir/visit.h"
#include "compiler/isa/instr.h"
#include "compiler/target/registers.h"

#include <set>

namespace tilescale::analysis {

using namespace ir;  // NOLINT

namespace {

template <class... Parts>
[[noreturn]] void Fail(const Span& span, const Parts&... parts) {
  RaiseAt(span, "CompileError", "schedule: ", parts...);
}

std::string Shift(int64_t shift) {
  if (shift == 0) return "";
  return (shift > 0 ? " +" : " ") + std::to_string(shift);
}

class Checker {
 public:
  Checker(const Model& m, const target::Target& target) : m_(m), target_(target) {}

  void Run() {
    Balance(m_.root.get());
    Registers();
    Guards();
    Replays();
    UserBarriers();
    SharedBytes(m_.root.get());
    RegisterFile();
    Barriers();
  }

 private:
  const std::string& RoleName(int role) const {
    static thread_local std::string name;
    name = std::string(m_.roles[role]->name);
    return name;
  }
  std::string PipeName(int pipe) const { return std::string(m_.pipes[pipe].pipe->name); }

  // -- S4: in each region, per role and pipe: acquire and commit alternate with one shift; as many
  // releases as waits, at most one of each.
  void Balance(const Region* r) {
    for (int role = 0; role < static_cast<int>(m_.roles.size()); ++role) {
      for (int pipe = 0; pipe < static_cast<int>(m_.pipes.size()); ++pipe) {
        Produces(r, role, pipe);
        Consumes(r, role, pipe);
      }
    }
    for (const auto& child : r->children) Balance(child.get());
    if (r->otherwise) Balance(r->otherwise.get());
  }

  void Produces(const Region* r, int role, int pipe) {
    const ResolvedStep* open = nullptr;
    int count = 0;
    for (const auto& s : r->segments) {
      for (const ResolvedStep& step : s->steps[role]) {
        if (step.pipe != pipe) continue;
        if (step.verb == StepVerb::kAcquire) {
          if (open != nullptr || ++count > 1) {
            Fail(m_.kernel->span, "role `", RoleName(role), "` acquires `", PipeName(pipe),
                 "` twice in `", s->name, "`");
          }
          open = &step;
        }
        if (step.verb != StepVerb::kCommit) continue;
        if (open == nullptr) {
          Fail(m_.kernel->span, "`commit ", PipeName(pipe), Shift(step.shift), "` in `", s->name,
               "` has no `acquire ", PipeName(pipe), Shift(step.shift), "` before it");
        }
        if (open->shift != step.shift) {
          Fail(m_.kernel->span, "`acquire ", PipeName(pipe), Shift(open->shift), "` and `commit ",
               PipeName(pipe), Shift(step.shift), "` in `", s->name, "` are of two iterations");
        }
        open = nullptr;
      }
      if (open != nullptr) {
        Fail(m_.kernel->span, "`acquire ", PipeName(pipe), Shift(open->shift), "` in `", s->name,
             "` has no `commit ", PipeName(pipe), Shift(open->shift), "` behind it");
      }
    }
  }

  void Consumes(const Region* r, int role, int pipe) {
    int waits = 0, releases = 0;
    std::string where;
    for (const auto& s : r->segments) {
      for (const ResolvedStep& step : s->steps[role]) {
        if (step.pipe != pipe) continue;
        if (step.verb == StepVerb::kWait) ++waits;
        if (step.verb == StepVerb::kRelease) ++releases;
        if (step.verb == StepVerb::kWait || step.verb == StepVerb::kRelease) where = s->name;
      }
    }
    if (waits > 1) {
      Fail(m_.kernel->span, "role `", RoleName(role), "` waits for `", PipeName(pipe),
           "` twice in `", where, "`");
    }
    if (m_.pipes[pipe].local && releases == 0) return;  // one role: program order frees the slot
    if (waits > releases) {
      Fail(m_.kernel->span, "role `", RoleName(role), "` waits for `", PipeName(pipe), "` in `",
           where, "` and never releases it: add `release ", PipeName(pipe),
           "` behind its last reader");
    }
    if (releases > waits) {
      Fail(m_.kernel->span, "role `", RoleName(role), "` releases `", PipeName(pipe), "` in `",
           where, "` and never waits for it: add `wait ", PipeName(pipe), "`");
    }
  }

  // Registers belong to the threads of one role.
  void Registers() {
    std::map<const StorageObj*, const Unit*> owner;
    for (const Unit& u : m_.units) {
      for (const Use& use : u.uses) {
        if (!IsRegister(use.storage->space())) continue;
        auto [it, fresh] = owner.emplace(use.storage, &u);
        if (fresh || it->second->role == u.role) continue;
        Fail(u.stmt->span, "`", use.storage->name, "` is in registers of role `",
             std::string(m_.roles[it->second->role]->name), "` by ", Model::Show(*it->second),
             ", but role `", std::string(m_.roles[u.role]->name), "` uses it by ", Model::Show(u),
             ": pass it through shared memory");
      }
    }
  }

  // A slot that is not filled holds what an earlier iteration left: its readers are under the same
  // condition.
  void Guards() {
    for (const Unit& filler : m_.units) {
      if (!filler.guard.defined()) continue;
      for (const Use& use : filler.uses) {
        auto pipe = m_.pipe_of.find(use.storage);
        if (!use.writes() || pipe == m_.pipe_of.end()) continue;
        if (FilledBefore(filler, use.storage)) continue;
        for (const Unit& reader : m_.units) {
          for (const Use& read : reader.uses) {
            if (read.storage != use.storage || !read.reads()) continue;
            if (reader.guard.defined() && Implies(reader.guard, filler.guard)) continue;
            Fail(reader.stmt->span, Model::Show(reader), " reads `", use.storage->name,
                 "` of pipe `", PipeName(pipe->second), "` in every iteration, but ",
                 Model::Show(filler), " fills it under a condition: put both under it");
          }
        }
      }
    }
  }

  // By a unit that always runs, or by one that runs where the filler does not: the slot holds
  // nothing of an earlier iteration.
  bool FilledBefore(const Unit& filler, const StorageObj* storage) const {
    for (const Unit& u : m_.units) {
      if (u.segment != filler.segment || u.role != filler.role) continue;
      bool other = u.guard.defined() &&
                   (SameExpr(Not(u.guard), filler.guard) || SameExpr(Not(filler.guard), u.guard));
      if (!other && (u.guard.defined() || u.order >= filler.order)) continue;
      for (const Use& use : u.uses) {
        if (use.storage == storage && use.writes() && !use.reads()) return true;
      }
    }
    return false;
  }

  // Binds are evaluated again by each role that reads them, at each shift. What is written before
  // or behind a loop is the same in all its iterations; roles may be in several loops at a time.
  void Replays() {
    bool shifts = false;
    ForEachSegment(m_.root.get(), [&](Region*, Segment* s) {
      for (const auto& steps : s->steps) {
        for (const ResolvedStep& step : steps) shifts = shifts || step.shift != 0;
      }
    });
    ForEachSegment(m_.root.get(), [&](Region* r, Segment* s) {
      if (!m_.many() && !(shifts && r->leaf())) return;
      for (const Stmt& x : s->stmts) {
        const auto* bind = x.as<BindObj>();
        if (bind == nullptr) continue;
        for (const Use& read : UsesOf(bind->value)) {
          for (const Unit& u : m_.units) {
            if (!m_.many() && !Holds(*r, u)) continue;
            for (const Use& w : u.uses) {
              if (w.storage != read.storage || !w.writes()) continue;
              Fail(bind->span, "`", bind->var->name, "` reads `", read.storage->name, "`, which ",
                   Model::Show(u), " writes, so it cannot be evaluated again for each role");
            }
          }
        }
      }
    });
  }

  static bool Holds(const analysis::Region& leaf, const Unit& u) {
    return std::any_of(leaf.segments.begin(), leaf.segments.end(),
                       [&](const auto& s) { return s.get() == u.segment; });
  }

  // T.sync_threads() waits for all of the user's threads.
  void UserBarriers() {
    if (!m_.many()) return;
    for (const Unit& u : m_.units) {
      Walk(u.stmt, [&](const NodeObj* n) {
        if (n->kind != NodeKind::kCall) return true;
        const auto* call = static_cast<const CallObj*>(n);
        if (isa::Get(Str(call->instr)).sync != isa::SyncKind::kCtaBarrier) return true;
        bool all = m_.FirstThread(u.role) == 0 && m_.Threads(u.role) == m_.kernel->user_threads();
        if (all) return true;
        Fail(call->span, "a barrier of all ", m_.kernel->user_threads(),
             " threads stands in role `", RoleName(u.role), "`, which has ", m_.Threads(u.role));
      });
    }
  }

  // -- S6
  void SharedBytes(const Region* r) {
    if (r->leaf()) {
      std::set<int> pipes;
      for (const auto& steps : r->segments[0]->steps) {
        for (const ResolvedStep& step : steps) {
          if (step.pipe >= 0) pipes.insert(step.pipe);
        }
      }
      int64_t total = 0;
      std::string table;
      for (int pipe : pipes) {
        const PipeFacts& p = m_.pipes[pipe];
        for (const Buffer& b : p.pipe->buffers) {
          if (b->space() != Space::kShared) continue;
          int64_t bytes = StorageBytes(b);
          total += bytes * p.pipe->depth;
          table += "\n  " + std::string(b->name) + ": " + std::to_string(bytes) +
                   " bytes x depth " + std::to_string(p.pipe->depth) + " of pipe `" +
                   PipeName(pipe) + "`";
        }
        if (!p.local) {
          total += 16 * p.pipe->depth;
          table += "\n  barriers of `" + PipeName(pipe) + "`: 16 bytes x depth " +
                   std::to_string(p.pipe->depth);
        }
      }
      if (total > target_.arch->shared_per_block) {
        Fail(r->owner->span, "the pipes of `", r->segments[0]->name, "` need ", total,
             " bytes of shared memory, ", target_.arch->name, " has ",
             target_.arch->shared_per_block, " for a block:", table);
      }
    }
    for (const auto& child : r->children) SharedBytes(child.get());
    if (r->otherwise) SharedBytes(r->otherwise.get());
  }

  void RegisterFile() {
    int64_t sum = 0, threads = 0;
    std::string terms;
    bool moves = false;
    for (int role = 0; role < static_cast<int>(m_.roles.size()); ++role) {
      threads = std::max(threads, m_.FirstThread(role) + m_.Threads(role));
      moves = moves || (m_.roles[role]->nreg != 0 && target_.arch->has_setmaxnreg);
    }
    for (int role = 0; role < static_cast<int>(m_.roles.size()); ++role) {
      int64_t nreg = m_.roles[role]->nreg;
      const Role& r = m_.roles[role];
      constexpr int64_t kWarpgroup = target::kWarpsPerWarpgroup;
      if (nreg == 0 && !moves) continue;
      if (nreg == 0) {
        nreg = target::LaunchedRegisters(threads);  // it keeps what the launch gives
      } else if (moves && (r->first_warp % kWarpgroup != 0 || r->warps % kWarpgroup != 0)) {
        Fail(m_.kernel->span, "role `", RoleName(role), "`: nreg moves registers of whole ",
             "warpgroups, of ", kWarpgroup, " warps; it has warps ", r->first_warp, "..",
             r->first_warp + r->warps);
      }
      if (nreg % target::kMoveStep != 0 || nreg < target::kFewestRegisters ||
          nreg > target::kMostRegisters) {
        Fail(m_.kernel->span, "role `", RoleName(role), "`: nreg ", nreg, " is no multiple of ",
             target::kMoveStep, " between ", target::kFewestRegisters, " and ",
             target::kMostRegisters);
      }
      sum += nreg * m_.Threads(role);
      terms += (terms.empty() ? "" : " + ") + std::to_string(nreg) + " x " +
               std::to_string(m_.Threads(role)) + " of `" + RoleName(role) + "`";
    }
    if (sum > target::kRegistersPerSm) {
      Fail(m_.kernel->span, "the roles need ", sum, " registers (", terms, "), a block has ",
           target::kRegistersPerSm);
    }
  }

  // One named barrier for each role of several warps, besides those that the user names.
  void Barriers() {
    if (!m_.many()) return;
    std::set<int64_t> named;
    Walk(m_.kernel->body, [&](const NodeObj* n) {
      if (n->kind != NodeKind::kCall) return true;
      const auto* call = static_cast<const CallObj*>(n);
      auto sync = isa::Get(Str(call->instr)).sync;
      if (sync == isa::SyncKind::kNamedBarrier || sync == isa::SyncKind::kBarrierArrive) {
        if (auto id = AsInt(call->args[0])) named.insert(*id);
      }
      return true;
    });
    int64_t need = static_cast<int64_t>(named.size());
    for (const Role& r : m_.roles) need += r->warps > 1 ? 1 : 0;
    if (need < target::kMaxNamedBarriers) return;
    Fail(m_.kernel->span, "the roles need ", need - static_cast<int64_t>(named.size()),
         " barriers and the kernel names ", named.size(), "; a block has ",
         target::kMaxNamedBarriers - 1, " besides its own");
  }

  const Model& m_;
  const target::Target& target_;
};

}  // namespace

void CheckSchedule(const Model& model, const target::Target& target) {
  Checker(model, target).Run();
  CheckOrder(model);
}

}  // namespace tilescale::analysis
