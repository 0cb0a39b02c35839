// SPDX-License-Identifier: MIT
#include "compiler/passes/plan_schedule/pipes.h"

#include "compiler/ir/build.h"
#include "compiler/ir/diag.h"
#include "compiler/ir/visit.h"

#include <algorithm>
#include <limits>
#include <set>

namespace tilescale::plan {

using namespace ir;  // NOLINT

namespace {

// A buffer with versions: who fills it, and who uses what was filled.
struct Piped {
  const StorageObj* storage = nullptr;
  Buffer buffer;
  std::vector<size_t> fills, users;
  bool async = false;
  int pipe = -1;
};

class Planner {
 public:
  Planner(const Kernel& kernel, const Loop& loop) : loop_(loop) {
    for (size_t i = 0; i < loop.units.size(); ++i) out_.order.push_back(i);
    std::stable_sort(out_.order.begin(), out_.order.end(), [&](size_t a, size_t b) {
      return loop.units[a].position < loop.units[b].position;
    });
    rank_.resize(out_.order.size());
    for (size_t r = 0; r < out_.order.size(); ++r) rank_[out_.order[r]] = r;
    Walk(kernel->body, [&](const NodeObj* n) {
      if (n->kind != NodeKind::kAlloc) return true;
      const auto* alloc = static_cast<const AllocObj*>(n);
      if (alloc->buffer.defined()) declared_[alloc->buffer->storage.get()] = alloc->buffer;
      return true;
    });
  }

  Steps Run() {
    Find();
    Join();
    for (size_t p = 0; p < out_.pipes.size(); ++p) Place(static_cast<int>(p));
    // What joined another pipe left an empty one.
    out_.pipes.erase(std::remove_if(out_.pipes.begin(), out_.pipes.end(),
                                    [](const PipePlan& p) { return p.buffers.empty(); }),
                     out_.pipes.end());
    return std::move(out_);
  }

 private:
  int64_t Shift(size_t unit) const { return loop_.units[unit].shift; }

  // Buffers whose iterations overlap, and those that copies fill asynchronously, in program order.
  void Find() {
    std::set<const StorageObj*> seen;
    for (const Unit& u : loop_.units) {
      for (const analysis::Use& use : u.uses) {
        if (!loop_.Versioned(use.storage) || !seen.insert(use.storage).second) continue;
        Piped p;
        p.storage = use.storage;
        p.buffer = declared_.at(use.storage);
        Split(&p);
        bool overlap = std::any_of(
            loop_.dependences.begin(), loop_.dependences.end(), [&](const Dependence& d) {
              return d.carried && d.storage == p.storage && !Loop::Holds(d, loop_.units);
            });
        bool copied = p.async && p.storage->space() == Space::kShared && !p.users.empty();
        if (overlap || copied) piped_.push_back(std::move(p));
      }
    }
  }

  // The first writers of an iteration fill; from the first reader on, all are users.
  void Split(Piped* p) const {
    for (size_t i = 0; i < loop_.units.size(); ++i) {
      const Unit& u = loop_.units[i];
      if (!loop_.Touches(u, p->storage)) continue;
      bool fills = p->users.empty() && !loop_.Reads(u, p->storage) &&
                   (p->fills.empty() || u.shift == Shift(p->fills[0]));
      (fills ? p->fills : p->users).push_back(i);
      for (const analysis::Use& use : u.uses)
        p->async = p->async || (use.storage == p->storage && use.done != Done::kProgram);
    }
  }

  bool Uses(size_t unit, int pipe) const {
    return std::any_of(piped_.begin(), piped_.end(), [&](const Piped& p) {
      return p.pipe == pipe && std::find(p.users.begin(), p.users.end(), unit) != p.users.end();
    });
  }

  // Copies of one group that follow each other fill one pipe: they complete together. Registers
  // have no completion, each buffer is a pipe.
  void Join() {
    int open = -1;
    const Unit* last = nullptr;
    for (size_t unit : out_.order) {
      const Unit& u = loop_.units[unit];
      bool fills = false;
      for (Piped& p : piped_) {
        if (std::find(p.fills.begin(), p.fills.end(), unit) == p.fills.end()) continue;
        if (IsRegister(p.storage->space())) {
          if (p.pipe < 0) p.pipe = New();
          continue;
        }
        bool joins =
            open >= 0 && last->shift == u.shift && last->group == u.group && !Uses(unit, open);
        if (p.pipe < 0) p.pipe = joins ? open : New();
        if (open >= 0 && fills && p.pipe != open) Merge(p.pipe, open);
        open = p.pipe;
        last = &u;
        fills = true;
      }
      if (!fills) open = -1;
    }
    for (const Piped& p : piped_) out_.pipes[p.pipe].buffers.push_back(p.buffer);
  }

  int New() {
    out_.pipes.emplace_back();
    return static_cast<int>(out_.pipes.size()) - 1;
  }
  // A unit fills both.
  void Merge(int into, int from) {
    for (Piped& p : piped_) {
      if (p.pipe == from) p.pipe = into;
    }
  }

  void Place(int index) {
    PipePlan& pipe = out_.pipes[index];
    if (pipe.buffers.empty()) return;
    pipe.first_fill = out_.order.size();
    int64_t least = std::numeric_limits<int64_t>::max();
    pipe.wait_shift = std::numeric_limits<int64_t>::min();
    for (const Piped& p : piped_) {
      if (p.pipe != index) continue;
      pipe.async = pipe.async || p.async;
      for (size_t f : p.fills) {
        pipe.fill_shift = Shift(f);
        pipe.first_fill = std::min(pipe.first_fill, rank_[f]);
        pipe.last_fill = std::max(pipe.last_fill, rank_[f]);
      }
      for (size_t u : p.users) {
        least = std::min(least, Shift(u));
        pipe.wait_shift = std::max(pipe.wait_shift, Shift(u));
      }
    }
    bool freed = true;  // the slot's last users run before it is filled again
    pipe.wait = out_.order.size();
    for (const Piped& p : piped_) {
      if (p.pipe != index) continue;
      for (size_t u : p.users) {
        if (Shift(u) == least) freed = freed && rank_[u] < pipe.first_fill;
        if (Shift(u) == pipe.wait_shift) pipe.wait = std::min(pipe.wait, rank_[u]);
        if (rank_[u] > pipe.first_fill && rank_[u] < pipe.last_fill) Between(p, u);
      }
    }
    pipe.depth = std::max<int64_t>(1, pipe.fill_shift - least + (freed ? 0 : 1));
    // Before the fills that it stands behind, if nothing between reads a slot: one barrier there
    // frees the next slots as well.
    size_t early = pipe.wait;
    while (early > pipe.first_fill && !UsesSlot(out_.order[early - 1])) --early;
    while (early > 0 && Fills(out_.order[early - 1])) --early;
    if (pipe.wait_shift < pipe.fill_shift && pipe.wait > pipe.last_fill &&
        early <= pipe.first_fill) {
      pipe.wait = early;
    }
  }

  bool Fills(size_t unit) const {
    return std::any_of(piped_.begin(), piped_.end(), [&](const Piped& p) {
      return std::find(p.fills.begin(), p.fills.end(), unit) != p.fills.end();
    });
  }
  bool UsesSlot(size_t unit) const {
    return std::any_of(piped_.begin(), piped_.end(), [&](const Piped& p) {
      return std::find(p.users.begin(), p.users.end(), unit) != p.users.end();
    });
  }

  [[noreturn]] void Between(const Piped& p, size_t user) const {
    RaiseAt(loop_.loop->span, "CompileError", "T.Pipelined over `", loop_.loop->var->name,
            "`: order puts ", Loop::Show(loop_.units[user]), ", which uses `", p.storage->name,
            "` of another iteration, between the statements that fill it: put these next to each "
            "other");
  }

  const Loop& loop_;
  Steps out_;
  std::vector<size_t> rank_;
  std::map<const StorageObj*, Buffer> declared_;
  std::vector<Piped> piped_;
};

}  // namespace

int64_t PipePlan::Bytes() const {
  int64_t bytes = 0;
  for (const Buffer& b : buffers) {
    if (b->space() == Space::kShared) bytes += (NumElements(b) * b->dtype.bits + 7) / 8;
  }
  return bytes;
}

int64_t Steps::SharedBytes() const {
  int64_t bytes = 0;
  for (const PipePlan& p : pipes) bytes += p.Bytes() * p.depth;
  return bytes;
}

Steps PlanSteps(const Kernel& kernel, const Loop& loop) {
  return Planner(kernel, loop).Run();
}

}  // namespace tilescale::plan
