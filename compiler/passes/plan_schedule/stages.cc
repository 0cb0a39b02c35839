// SPDX-License-Identifier: MIT
#include "compiler/passes/plan_schedule/stages.h"

#include "compiler/ir/diag.h"
#include "compiler/ir/hint.h"

#include <algorithm>
#include <set>

namespace tilescale::plan {

using namespace ir;  // NOLINT

namespace {

using Ints = std::vector<int64_t>;

class Hint {
 public:
  Hint(Loop* loop, int64_t stages)
      : loop_(*loop),
        stages_(stages),
        order_(loop->loop->hint->order.begin(), loop->loop->hint->order.end()),
        stage_(loop->loop->hint->stage.begin(), loop->loop->hint->stage.end()) {}

  void Run() {
    Groups();
    Lengths();
    if (order_.empty() && stage_.empty()) return;
    Order();
    Stages();
    for (size_t i = 0; i < loop_.units.size(); ++i) {
      Unit& u = loop_.units[i];
      size_t e = Entry(i);
      u.position = static_cast<int64_t>(i) + Size() * order_[e];
      u.shift = last_ - std::max<int64_t>(stage_[e], 0);
    }
    for (size_t i = 0; i < loop_.units.size(); ++i) {
      if (Placed(i)) Place(i);
    }
    if (auto d = loop_.Broken(loop_.units)) Fail(*d);
  }

 private:
  template <class... Parts>
  [[noreturn]] void Raise(const Parts&... parts) const {
    RaiseAt(loop_.loop->span, "CompileError", "T.Pipelined over `", loop_.loop->var->name,
            "`: ", parts...);
  }

  int64_t Size() const { return static_cast<int64_t>(loop_.units.size()); }
  size_t Entries() const { return by_group_ ? loop_.loop->hint->group.size() : loop_.units.size(); }
  size_t Entry(size_t unit) const {
    return by_group_ ? static_cast<size_t>(loop_.units[unit].group) : unit;
  }
  bool Placed(size_t unit) const { return stage_[Entry(unit)] == kPlaced; }
  // "statement 2, `gemm` (line 12)"
  std::string Statement(size_t unit) const {
    return "statement " + std::to_string(unit) + ", " + Loop::Show(loop_.units[unit]) + ",";
  }
  std::string Statements() const {
    std::string out;
    for (size_t i = 0; i < loop_.units.size(); ++i)
      out += "\n  " + std::to_string(i) + ": " + Loop::Show(loop_.units[i]);
    return out;
  }

  // The entries of order and stage are of groups, unless there is one for each statement: then
  // groups only say which copies complete together.
  void Groups() {
    const auto& groups = loop_.loop->hint->group;
    if (groups.empty()) return;
    constexpr int64_t kNone = -1;
    for (Unit& u : loop_.units) u.group = kNone;
    for (size_t g = 0; g < groups.size(); ++g) {
      for (int64_t i : groups[g]) {
        if (i < 0 || i >= Size()) {
          Raise("group names statement ", i, "; the loop has ", Size(), ":", Statements());
        }
        if (loop_.units[i].group != kNone) {
          Raise("group names statement ", i, ", ", Loop::Show(loop_.units[i]), ", twice");
        }
        loop_.units[i].group = static_cast<int64_t>(g);
      }
    }
    for (size_t i = 0; i < loop_.units.size(); ++i) {
      if (loop_.units[i].group == kNone)
        Raise("no group names statement ", i, ", ", Loop::Show(loop_.units[i]));
    }
    size_t entries = std::max(order_.size(), stage_.size());
    by_group_ = entries == groups.size() || entries != loop_.units.size();
  }

  void Lengths() const {
    const size_t want = Entries();
    auto check = [&](const char* name, const Ints& list) {
      if (list.empty() || list.size() == want) return;
      if (by_group_) {
        Raise(name, " has ", list.size(), " entries; there are ", want, " groups, of ", Size(),
              " statements:", Statements());
      }
      Raise(name, " has ", list.size(), " entries; the loop has ", want, " statement",
            want == 1 ? ":" : "s:", Statements());
    };
    check("order", order_);
    check("stage", stage_);
  }

  void Order() {
    const size_t want = Entries();
    if (order_.empty()) {
      for (size_t i = 0; i < want; ++i) {
        bool placed = !stage_.empty() && stage_[i] == kPlaced;
        order_.push_back(placed ? kPlaced : static_cast<int64_t>(i));
      }
      return;
    }
    int64_t own = 0;
    for (int64_t o : order_) own += o != kPlaced ? 1 : 0;
    std::set<int64_t> seen;
    for (int64_t o : order_) {
      if (o == kPlaced) continue;
      if (o < 0 || o >= own) {
        Raise("order names position ", o, "; the positions of ", own, " statement",
              own == 1 ? "" : "s", " are 0 to ", own - 1);
      }
      if (!seen.insert(o).second) Raise("order names position ", o, " twice");
    }
  }

  void Stages() {
    if (stage_.empty()) {
      for (int64_t o : order_) stage_.push_back(o == kPlaced ? kPlaced : 0);
    }
    for (size_t i = 0; i < stage_.size(); ++i) {
      if (stage_[i] < kPlaced) Raise("stage must not be negative, got ", stage_[i]);
      if ((stage_[i] == kPlaced) != (order_[i] == kPlaced)) {
        Raise("entry ", i, " has order ", order_[i], " and stage ", stage_[i],
              "; -1 leaves a copy to the compiler and stands in both");
      }
      last_ = std::max(last_, stage_[i]);
    }
  }

  // Ahead of everything in the iteration that runs it.
  void Place(size_t i) {
    Unit& u = loop_.units[i];
    if (!u.async) {
      Raise(Statement(i), " has order -1, which leaves a copy to the compiler, but it is no ",
            "asynchronous copy");
    }
    int64_t first = 0;
    for (const Dependence& d : loop_.dependences) {
      if (d.first == i && !d.carried && !Placed(d.second))
        first = std::max(first, loop_.units[d.second].shift);
    }
    u.shift = first + std::max<int64_t>(stages_, 1) - 1;
    u.position = static_cast<int64_t>(i) - Size();
  }

  [[noreturn]] void Fail(const Dependence& d) const {
    const Unit &x = loop_.units[d.first], &y = loop_.units[d.second];
    const std::string storage = "`" + std::string(d.storage->name) + "`";
    if (!d.carried && x.shift < y.shift) {
      Raise("stage ", stage_[Entry(d.second)], " of ", Statement(d.second), " is before stage ",
            stage_[Entry(d.first)], " of ", Statement(d.first), " which must run first: both use ",
            storage);
    }
    if (!d.carried) {
      Raise("order puts ", Statement(d.second), " before ", Statement(d.first),
            " which must run first: both use ", storage);
    }
    Raise(Statement(d.second), " of the next iteration would run before ", Statement(d.first),
          " of this one: both use ", storage, ", and there is one version of it, because ",
          loop_.shared_version.at(d.storage));
  }

  Loop& loop_;
  int64_t stages_;
  Ints order_, stage_;
  bool by_group_ = false;
  int64_t last_ = 0;  // the last stage
};

// Moves a copy ahead, with what must come before it in its iteration.
class Mover {
 public:
  Mover(Loop* loop, int64_t ahead) : loop_(*loop), ahead_(ahead), moved_(loop->units.size()) {}

  bool Run(std::vector<std::string>* refused) {
    bool any = false;
    for (size_t i = 0; i < loop_.units.size(); ++i) {
      if (!loop_.units[i].async) continue;
      std::string why = Try(i);
      if (why.empty()) {
        any = true;
      } else if (std::find(refused->begin(), refused->end(), why) == refused->end()) {
        refused->push_back(why);
      }
    }
    if (any) loop_.units = Planned(moved_);
    return any;
  }

 private:
  std::vector<Unit> Planned(const std::vector<bool>& moved) const {
    std::vector<Unit> out = loop_.units;
    for (size_t i = 0; i < out.size(); ++i) {
      out[i].shift = moved[i] ? ahead_ : 0;
      if (moved[i]) out[i].position = static_cast<int64_t>(i) - static_cast<int64_t>(out.size());
    }
    return out;
  }

  // Empty: the copy moves.
  std::string Try(size_t copy) {
    const Unit& u = loop_.units[copy];
    for (const analysis::Use& use : u.uses) {
      if (!use.writes()) continue;
      if (use.storage->space() != Space::kShared || !loop_.Versioned(use.storage))
        return loop_.shared_version.at(use.storage);
      bool read = false;
      for (const Unit& other : loop_.units) read = read || loop_.Reads(other, use.storage);
      // A slot is waited for before it is read; without a reader nothing would wait for the copy.
      if (!read)
        return "`" + std::string(use.storage->name) + "` is copied, and not read in the loop";
    }
    std::vector<bool> moved = moved_;
    Take(copy, &moved);
    auto broken = loop_.Broken(Planned(moved));
    if (!broken) {
      moved_ = moved;
      return "";
    }
    const StorageObj* s = broken->storage;
    if (loop_.Reads(u, s)) {
      return "a copy reads `" + std::string(s->name) + "`, which the loop writes";
    }
    return "what a copy needs depends on `" + std::string(s->name) + "` of the iteration before";
  }

  void Take(size_t i, std::vector<bool>* moved) const {
    if ((*moved)[i]) return;
    (*moved)[i] = true;
    for (const Dependence& d : loop_.dependences) {
      if (d.second == i && !d.carried) Take(d.first, moved);
    }
  }

  Loop& loop_;
  int64_t ahead_;
  std::vector<bool> moved_;
};

}  // namespace

void ApplyHint(Loop* loop, int64_t stages) {
  Hint(loop, stages).Run();
}

bool MoveCopies(Loop* loop, int64_t ahead, std::vector<std::string>* refused) {
  return Mover(loop, ahead).Run(refused);
}

}  // namespace tilescale::plan
