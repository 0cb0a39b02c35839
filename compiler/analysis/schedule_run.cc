// SPDX-License-Identifier: MIT
// S2, S3 and S5 by running the schedule: every role steps through a few iterations of each loop,
// acquires and waits block as on the machine, and what happens before what is recorded exactly.
// Enough iterations for every slot to come round and every shift to have run: the rest repeats.
#include "compiler/analysis/schedule_check.h"
#include "compiler/ir/diag.h"

#include <algorithm>
#include <optional>

namespace tilescale::analysis {

using namespace ir;  // NOLINT

namespace {

constexpr int64_t kOuterTrips = 2;  // of loops around scheduled loops
constexpr int64_t kMaxTrips = 256;  // of scheduled loops

// The iteration that a step belongs to: indices of the loops around it.
using At = std::vector<int64_t>;

struct Event {
  ResolvedStep step;
  At at;
  const Segment* segment = nullptr;
};

// One run of a unit.
struct Instance {
  const Unit* unit = nullptr;
  At at;
  int64_t order = 0;             // in the sequential program
  int begin = -1, done = -1;     // nodes
  std::vector<int64_t> in, out;  // by pipe: slots acquired and waited for before it
  bool filling(int pipe) const { return open[pipe]; }
  std::vector<bool> open;  // by pipe: between acquire and commit
};

std::string Text(const At& at) {
  if (at.empty()) return "";
  return " in iteration " + std::to_string(at.back());
}

class Runner {
 public:
  explicit Runner(const Model& m) : m_(m) {
    int64_t depth = 1, ahead = 0, behind = 0;
    for (const PipeFacts& p : m.pipes) depth = std::max<int64_t>(depth, p.pipe->depth);
    ForEachSegment(m.root.get(), [&](Region*, Segment* s) {
      for (const auto& steps : s->steps) {
        for (const ResolvedStep& step : steps) {
          ahead = std::max(ahead, step.shift);
          behind = std::min(behind, step.shift);
        }
      }
    });
    trips_ = depth + ahead - behind + 2;
    if (trips_ <= kMaxTrips) return;
    Fail(m.kernel->span, "it has ", depth, " slots and shifts of ", ahead - behind,
         " iterations, which are followed for ", trips_, " iterations, and at most ", kMaxTrips,
         " can be: take fewer stages");
  }

  void Run() {
    size_t roles = m_.roles.size();
    events_.resize(roles);
    for (size_t role = 0; role < roles; ++role) {
      At at;
      Trace(m_.root.get(), static_cast<int>(role), &at);
    }
    At at;
    Sequential(m_.root.get(), &at);
    Execute();
    CheckPairs();
  }

 private:
  template <class... Parts>
  [[noreturn]] void Fail(const Span& span, const Parts&... parts) {
    RaiseAt(span, "CompileError", "schedule: ", parts...);
  }

  // Loops around scheduled ones go round once more in the first iteration of those around them
  // only: each is left and entered again, and a nest costs its depth, not its power of two.
  static int64_t OuterTrips(const Region* r, const At& at) {
    bool first = std::all_of(at.begin(), at.end(), [](int64_t n) { return n == 0; });
    return r->owner.kind() == NodeKind::kFor && first ? kOuterTrips : 1;
  }

  // -- the events of each role, in its order
  void Trace(const Region* r, int role, At* at) {
    for (size_t i = 0; i < r->segments.size(); ++i) {
      const Segment* s = r->segments[i].get();
      for (const ResolvedStep& step : s->steps[role]) events_[role].push_back({step, *at, s});
      if (i >= r->children.size()) continue;
      const Region* child = r->children[i].get();
      if (child->leaf()) {
        Leaf(child, role, at);
        continue;
      }
      for (int64_t n = 0; n < OuterTrips(child, *at); ++n) {
        at->push_back(n);
        Trace(child, role, at);
        at->pop_back();
      }
    }
    if (r->otherwise) Trace(r->otherwise.get(), role, at);
  }

  void Leaf(const Region* r, int role, At* at) {
    const Segment* s = r->segments[0].get();
    int64_t ahead = 0, behind = 0;
    for (const ResolvedStep& step : s->steps[role]) {
      ahead = std::max(ahead, step.shift);
      behind = std::min(behind, step.shift);
    }
    for (int64_t n = -ahead; n < trips_ - behind; ++n) {
      for (const ResolvedStep& step : s->steps[role]) {
        int64_t i = n + step.shift;
        if (i < 0 || i >= trips_) continue;
        // Before the loop run the steps that look ahead, behind it those that lag.
        if ((n < 0 && step.shift <= 0) || (n >= trips_ && step.shift >= 0)) continue;
        at->push_back(i);
        events_[role].push_back({step, *at, s});
        at->pop_back();
      }
    }
  }

  void Sequential(const Region* r, At* at) {
    for (size_t i = 0; i < r->segments.size(); ++i) {
      for (const Unit* u : r->segments[i]->units)
        order_[{u, *at}] = static_cast<int64_t>(order_.size());
      if (i >= r->children.size()) continue;
      const Region* child = r->children[i].get();
      int64_t trips = child->leaf() ? trips_ : OuterTrips(child, *at);
      for (int64_t n = 0; n < trips; ++n) {
        at->push_back(n);
        Sequential(child, at);
        at->pop_back();
      }
    }
    if (r->otherwise) Sequential(r->otherwise.get(), at);
  }

  // -- the machine
  int Node(const std::vector<int>& before) {
    int id = static_cast<int>(before_.size());
    before_.emplace_back(words_, 0);
    for (int b : before) {
      if (b < 0) continue;
      for (size_t w = 0; w < words_; ++w) before_[id][w] |= before_[b][w];
      before_[id][b / 64] |= uint64_t(1) << (b % 64);
    }
    return id;
  }
  bool Before(int a, int b) const { return a == b || (before_[b][a / 64] >> (a % 64) & 1); }

  struct PipeState {
    std::vector<int> commits;                // node of each commit, when its copies are complete
    std::vector<At> committed;               // whose iteration it is
    std::vector<std::vector<int>> releases;  // by consumer
    std::vector<int64_t> waits;              // by consumer
    int64_t acquires = 0;
    bool open = false;
    std::vector<int> filling;  // asynchronous copies since the acquire
  };

  int Consumer(int pipe, int role) const {
    const std::vector<int>& to = m_.pipes[pipe].to;
    return static_cast<int>(std::find(to.begin(), to.end(), role) - to.begin());
  }

  void Execute() {
    size_t total = 0;
    for (const auto& e : events_) total += e.size();
    words_ = (2 * total + 63) / 64;
    pipes_.resize(m_.pipes.size());
    for (size_t p = 0; p < pipes_.size(); ++p) {
      pipes_[p].releases.resize(m_.pipes[p].to.size());
      pipes_[p].waits.resize(m_.pipes[p].to.size(), 0);
    }
    std::vector<size_t> pc(events_.size(), 0);
    last_.assign(events_.size(), -1);
    bool moved = true;
    while (moved) {
      moved = false;
      for (size_t role = 0; role < events_.size(); ++role) {
        while (pc[role] < events_[role].size() &&
               Step(static_cast<int>(role), events_[role][pc[role]])) {
          ++pc[role];
          moved = true;
        }
      }
    }
    for (size_t role = 0; role < events_.size(); ++role) {
      if (pc[role] < events_[role].size()) Stuck(pc);
    }
  }

  // False: it has to wait.
  bool Step(int role, const Event& e) {
    switch (e.step.verb) {
      case StepVerb::kDo:
        Do(role, e);
        return true;
      case StepVerb::kAwait:
        for (Instance& i : instances_) {
          if (i.unit != e.step.unit || i.at != e.at) continue;
          last_[role] = Node({last_[role], i.done});
          return true;
        }
        Fail(e.step.unit->stmt->span, "`await ", e.step.unit->name, "` of role `",
             m_.roles[role]->name, "` stands before `do ", e.step.unit->name,
             "` of that iteration");
      case StepVerb::kAcquire:
        return Acquire(role, e);
      case StepVerb::kCommit: {
        PipeState& p = pipes_[e.step.pipe];
        last_[role] = Node({last_[role]});
        std::vector<int> filled = p.filling;
        filled.push_back(last_[role]);
        p.commits.push_back(filled.size() > 1 ? Node(filled) : last_[role]);
        p.committed.push_back(e.at);
        p.open = false;
        p.filling.clear();
        return true;
      }
      case StepVerb::kWait:
        return Wait(role, e);
      case StepVerb::kRelease: {
        PipeState& p = pipes_[e.step.pipe];
        last_[role] = Node({last_[role]});
        p.releases[Consumer(e.step.pipe, role)].push_back(last_[role]);
        return true;
      }
      default:
        return true;
    }
  }

  bool Acquire(int role, const Event& e) {
    const PipeFacts& facts = m_.pipes[e.step.pipe];
    PipeState& p = pipes_[e.step.pipe];
    std::vector<int> before = {last_[role]};
    if (!facts.local) {
      int64_t need = p.acquires - facts.pipe->depth;  // the use of this slot that must be over
      for (const auto& releases : p.releases) {
        if (need >= static_cast<int64_t>(releases.size())) return false;
        if (need >= 0) before.push_back(releases[need]);
      }
    }
    last_[role] = Node(before);
    ++p.acquires;
    p.open = true;
    return true;
  }

  bool Wait(int role, const Event& e) {
    const PipeFacts& facts = m_.pipes[e.step.pipe];
    PipeState& p = pipes_[e.step.pipe];
    int64_t& n = p.waits[Consumer(e.step.pipe, role)];
    if (n >= static_cast<int64_t>(p.commits.size())) {
      if (!facts.local) return false;
      Fail(m_.kernel->span, "role `", m_.roles[role]->name, "` waits for `", facts.pipe->name, "`",
           Text(e.at), " of `", e.segment->name, "`, which it commits later");
    }
    if (p.committed[n] != e.at) {
      Fail(m_.kernel->span, "role `", m_.roles[role]->name, "` waits for `", facts.pipe->name, "`",
           Text(e.at), " of `", e.segment->name, "`, but takes what was committed",
           Text(p.committed[n]));
    }
    last_[role] = Node({last_[role], p.commits[n]});
    ++n;
    return true;
  }

  void Do(int role, const Event& e) {
    Instance i;
    i.unit = e.step.unit;
    i.at = e.at;
    i.order = order_.at({e.step.unit, e.at});
    i.begin = last_[role] = Node({last_[role]});
    i.done = i.begin;
    for (size_t p = 0; p < pipes_.size(); ++p) {
      int consumer = Consumer(static_cast<int>(p), role);
      bool reads = consumer < static_cast<int>(m_.pipes[p].to.size());
      i.in.push_back(m_.pipes[p].from == role ? pipes_[p].acquires - 1 : -1);
      i.out.push_back(reads ? Waited(static_cast<int>(p), consumer, e.at) : -1);
      i.open.push_back(m_.pipes[p].from == role && pipes_[p].open);
    }
    // Units that no scope names are completed where they stand.
    if (i.unit->async && e.segment->scope.defined()) {
      i.done = Node({i.begin});
      for (const Use& use : i.unit->uses) {
        auto it = m_.pipe_of.find(use.storage);
        if (it != m_.pipe_of.end() && use.writes()) pipes_[it->second].filling.push_back(i.done);
      }
    }
    instances_.push_back(std::move(i));
  }

  // The slot that a consumer has: that of its last wait, or inside one role of its iteration's.
  int64_t Waited(int pipe, int consumer, const At& at) const {
    const PipeState& p = pipes_[pipe];
    int64_t last = p.waits[consumer] - 1;
    for (int64_t n = last; m_.pipes[pipe].local && n >= 0; --n) {
      if (p.committed[n] == at) return n;
    }
    return last;
  }

  std::string Where(const Event& e) {
    return std::string(StepVerbName(e.step.verb)) + " " +
           std::string(m_.pipes[e.step.pipe].pipe->name) + "`" + Text(e.at);
  }

  // S5: nobody can move.
  [[noreturn]] void Stuck(const std::vector<size_t>& pc) {
    std::string text;
    for (size_t role = 0; role < events_.size(); ++role) {
      if (pc[role] >= events_[role].size()) continue;
      const Event& e = events_[role][pc[role]];
      const PipeFacts& p = m_.pipes[e.step.pipe];
      bool acquire = e.step.verb == StepVerb::kAcquire;
      std::string other = acquire ? "" : std::string(p.pipe->from);
      for (int to : p.to) {
        if (acquire) other += (other.empty() ? "" : ", ") + std::string(m_.roles[to]->name);
      }
      text += "\n  `" + std::string(m_.roles[role]->name) + "` at `" + Where(e) + " waits for `" +
              (acquire ? "release " : "commit ") + std::string(p.pipe->name) + "` of `" + other +
              "`";
    }
    Fail(m_.kernel->span, "the roles wait for each other for ever:", text);
  }

  // -- every conflict of the program is ordered
  struct Touch {
    const Instance* instance;
    const Use* use;
    int pipe = -1;
    int64_t slot = -1;  // number of the fill, or of the wait
  };

  std::optional<int64_t> Slot(const Instance& i, int pipe) {
    int64_t n = i.filling(pipe) ? i.in[pipe] : i.out[pipe];
    if (n < 0 && i.in[pipe] >= 0 && m_.pipes[pipe].from == i.unit->role && !m_.pipes[pipe].local)
      n = i.in[pipe];
    if (n < 0) return std::nullopt;
    return n;
  }

  void CheckPairs() {
    std::map<const StorageObj*, std::vector<Touch>> by_storage;
    for (const Instance& i : instances_) {
      for (const Use& use : i.unit->uses) {
        Touch t{&i, &use};
        auto it = m_.pipe_of.find(use.storage);
        if (it != m_.pipe_of.end()) {
          t.pipe = it->second;
          auto slot = Slot(i, t.pipe);
          if (!slot) NoSlot(t);
          if (m_.pipes[t.pipe].from == i.unit->role && use.writes() && !i.filling(t.pipe) &&
              !m_.pipes[t.pipe].local)
            NoSlot(t);
          t.slot = *slot;
        }
        by_storage[use.storage].push_back(t);
      }
    }
    // In the order of units, so that the first error is the same in every run.
    std::vector<std::vector<Touch>*> all;
    for (auto& [storage, touches] : by_storage) all.push_back(&touches);
    for (auto* touches : all) {
      std::stable_sort(touches->begin(), touches->end(), [](const Touch& a, const Touch& b) {
        return a.instance->order < b.instance->order;
      });
    }
    std::sort(all.begin(), all.end(), [](const auto* a, const auto* b) {
      return a->front().instance->order < b->front().instance->order;
    });
    for (auto* touches : all) CheckStorage(*touches);
  }

  [[noreturn]] void NoSlot(const Touch& t) {
    const PipeFacts& p = m_.pipes[t.pipe];
    const Unit& u = *t.instance->unit;
    bool producer = p.from == u.role && (t.use->writes() || !p.local);
    if (producer) {
      Fail(u.stmt->span, Model::Show(u), " fills `", t.use->storage->name, "` outside of `acquire ",
           p.pipe->name, "` and `commit ", p.pipe->name, "`");
    }
    bool reader = p.from == u.role;
    for (int to : p.to) reader = reader || to == u.role;
    if (!reader) {
      Fail(u.stmt->span, Model::Show(u), " of role `", m_.roles[u.role]->name, "` uses `",
           t.use->storage->name, "`, but pipe `", p.pipe->name, "` goes from `", p.pipe->from,
           "` to `", std::string(p.pipe->to[0]), "`");
    }
    Fail(u.stmt->span, Model::Show(u), " uses `", t.use->storage->name, "` before any `wait ",
         p.pipe->name, "` of role `", m_.roles[u.role]->name, "`");
  }

  void CheckStorage(const std::vector<Touch>& touches) {
    for (size_t j = 0; j < touches.size(); ++j) {
      const Touch& b = touches[j];
      bool written = false;  // the last writer before b was seen
      for (size_t i = j; i-- > 0;) {
        const Touch& a = touches[i];
        if (a.instance == b.instance) continue;
        if (!Conflicts(*a.use, *b.use, a.instance->at == b.instance->at)) continue;
        if (b.pipe >= 0) {
          if (!written && a.use->writes() && b.use->reads()) {
            written = true;
            if (a.slot != b.slot) OtherSlot(a, b);
          }
          int64_t depth = m_.pipes[b.pipe].pipe->depth;
          if ((a.slot - b.slot) % depth != 0) continue;
        }
        if (!Before(a.instance->done, b.instance->begin)) Unordered(a, b);
      }
    }
  }

  [[noreturn]] void OtherSlot(const Touch& a, const Touch& b) {
    const Unit &x = *a.instance->unit, &y = *b.instance->unit;
    const std::string pipe(m_.pipes[b.pipe].pipe->name);
    Fail(y.stmt->span, Model::Show(y), Text(b.instance->at), " reads `", b.use->storage->name,
         "` that ", Model::Show(x), " wrote", Text(a.instance->at), ", but by `wait ", pipe,
         "` it has the slot of another iteration: wait with the shift of `do ", y.name, "`");
  }

  [[noreturn]] void Unordered(const Touch& a, const Touch& b) {
    const Unit &x = *a.instance->unit, &y = *b.instance->unit;
    std::string storage(b.use->storage->name);
    const std::string px(m_.roles[x.role]->name), py(m_.roles[y.role]->name);
    bool late = Before(a.instance->begin, b.instance->begin);  // only the completion is missing
    if (b.pipe >= 0) {
      const std::string pipe(m_.pipes[b.pipe].pipe->name);
      if (a.slot != b.slot) {
        if (m_.pipes[b.pipe].local) {
          Fail(y.stmt->span, Model::Show(y), Text(b.instance->at), " fills a slot of pipe `", pipe,
               "` that ", Model::Show(x), Text(a.instance->at), " still uses: depth ",
               m_.pipes[b.pipe].pipe->depth, " is too small");
        }
        Fail(y.stmt->span, Model::Show(y), Text(b.instance->at), " fills a slot of pipe `", pipe,
             "` that ", Model::Show(x), Text(a.instance->at), " may still use: `release ", pipe,
             "` of role `", px, "` must stand behind `do ", x.name, "`");
      }
      Fail(y.stmt->span, Model::Show(y), " uses `", storage, "` before ", Model::Show(x),
           late ? ", which is asynchronous, is committed: `commit " : " has run: `commit ", pipe,
           "` must stand behind `do ", x.name, "`");
    }
    if (x.role != y.role) {
      Fail(y.stmt->span, Model::Show(x), " of role `", px, "` and ", Model::Show(y), " of role `",
           py, "` use `", storage, "`, and nothing orders them: put it in a pipe from `", px,
           "` to `", py, "`");
    }
    if (late) {
      Fail(y.stmt->span, Model::Show(y), " uses `", storage, "` before ", Model::Show(x),
           ", which is asynchronous, is complete: add `await ", x.name, "`");
    }
    Fail(y.stmt->span, Model::Show(y), Text(b.instance->at), " runs before ", Model::Show(x),
         Text(a.instance->at), ", with which it shares `", storage, "`");
  }

  const Model& m_;
  int64_t trips_ = 0;
  std::vector<std::vector<Event>> events_;  // by role
  std::map<std::pair<const Unit*, At>, int64_t> order_;
  size_t words_ = 0;
  std::vector<std::vector<uint64_t>> before_;
  std::vector<int> last_;  // node of each role's last event
  std::vector<PipeState> pipes_;
  std::deque<Instance> instances_;
};

}  // namespace

void CheckOrder(const Model& model) {
  Runner(model).Run();
}

}  // namespace tilescale::analysis
