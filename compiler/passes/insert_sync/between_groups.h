// SPDX-License-Identifier: MIT
// What orders two groups of threads (I9, docs/ir.md): nothing is repaired between them, so
// something that both take part in must come behind the one access and before the other.
#pragma once

#include "compiler/ir/stmt.h"

#include <string>
#include <unordered_map>
#include <vector>

namespace tilescale::sync {

class BetweenGroups {
 public:
  // kTrusted: both signal and look by means of the user's own, whose order nobody here can follow.
  enum class Order : uint8_t { kNone, kTrusted, kOrdered };

  // Of an access by statement `a` inside group `x`, and one by `b` inside `y`.
  Order Of(const ir::GroupObj* x, const ir::StmtObj* a, const ir::GroupObj* y,
           const ir::StmtObj* b);

 private:
  struct Place {
    int at = 0;
    std::vector<const ir::StmtObj*> loops;  // around it, in the group
    // Can this come behind `other` in some iteration?
    bool Follows(const Place& other) const;
  };
  struct Event {
    Place place;
    bool signals = false, waits = false;
    // A barrier of either kind, or a token's side; null: the user's own means.
    const void* object = nullptr;
    static constexpr int64_t kAny = -1;
    int64_t index = kAny;    // of an array of mbarriers; the number of a named barrier
    int64_t threads = kAny;  // that meet at a named barrier
  };
  struct Facts {
    std::unordered_map<const ir::StmtObj*, Place> places;
    std::vector<Event> events;
  };
  const Facts& FactsOf(const ir::GroupObj* g);
  void Collect(const ir::Stmt& s, std::vector<const ir::StmtObj*>* loops, Facts* out);
  void AddCall(const ir::CallObj* call, const Place& place, Facts* out);
  // Does `x` signal behind `a` what `y` waits for before `b`?
  Order Directed(const ir::GroupObj* x, const ir::StmtObj* a, const ir::GroupObj* y,
                 const ir::StmtObj* b);
  // Does `a` set what `b` waits for, by means of the user's own?
  bool IsFlag(const ir::GroupObj* x, const ir::StmtObj* a, const ir::GroupObj* y,
              const ir::StmtObj* b);

  std::unordered_map<const ir::GroupObj*, Facts> facts_;
};

}  // namespace tilescale::sync
