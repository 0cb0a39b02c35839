// SPDX-License-Identifier: MIT
#include "compiler/analysis/shared_lives.h"

#include "compiler/ir/build.h"
#include "compiler/ir/visit.h"
#include "compiler/layout/table.h"

#include <algorithm>

namespace tilescale::analysis {

using namespace ir;  // NOLINT

namespace {

// As laid out, where that is known.
int64_t BytesOf(const AllocObj* alloc) {
  const Buffer& b = alloc->buffer;
  int64_t elements = alloc->layout.size() == 0
                         ? NumElements(b)
                         : ExtentOf(*ParseAny(std::string(alloc->layout)), kAddr);
  return (elements * alloc->versions * b->dtype.bits * b->dtype.lanes + 7) / 8;
}

class Finder {
 public:
  explicit Finder(const Stmt& body) {
    Visit(body);
    for (Life& life : all_) {
      if (life.first < 0) life.first = life.last = life.declared;
      if (life.pinned) {
        life.first = 0;
        life.last = time_;
      }
    }
  }
  Lives Take() { return {std::move(all_), std::move(at_)}; }

 private:
  struct Scope {
    int begin;
    std::vector<size_t> used;  // lives touched inside
  };

  void Visit(const Stmt& s) {
    if (!s.defined()) return;
    at_[s.get()] = ++time_;
    switch (s.kind()) {
      case NodeKind::kSeq:
        Sequence(s.as<SeqObj>()->stmts);
        return;
      case NodeKind::kAlloc:
        Declare(s.as<AllocObj>());
        return TouchOwn(s);
      case NodeKind::kFor:
        TouchOwn(s);
        Body([&] { Visit(s.as<ForObj>()->body); });
        return;
      case NodeKind::kWhile:
        Body([&] {
          Visit(s.as<WhileObj>()->head);
          TouchOwn(s);
          Visit(s.as<WhileObj>()->body);
        });
        return;
      case NodeKind::kIf:
        // Threads may run a branch apart from each other, without a barrier inside that could
        // order the end of one life before the beginning of the next.
        Body([&] {
          TouchOwn(s);
          Visit(s.as<IfObj>()->then_case);
          Visit(s.as<IfObj>()->else_case);
        });
        return;
      case NodeKind::kGroup:
        Body([&] { Visit(s.as<GroupObj>()->body); });
        return;
      default:
        Touch(s.get());
    }
  }

  // Groups run side by side: what one touches, or declares, is live while any of them runs.
  void Sequence(const ffi::Array<Stmt>& stmts) {
    size_t first = stmts.size(), last = 0;
    for (size_t i = 0; i < stmts.size(); ++i) {
      if (stmts[i].kind() != NodeKind::kGroup) continue;
      first = std::min(first, i);
      last = i;
    }
    for (size_t i = 0; i < stmts.size(); ++i) {
      if (i != first) {
        Visit(stmts[i]);
        continue;
      }
      size_t outside = all_.size();
      Body([&] {
        for (; i < last; ++i) Visit(stmts[i]);
        Visit(stmts[last]);
      });
      for (size_t k = outside; first < last && k < all_.size(); ++k) all_[k].last = time_;
    }
  }

  template <typename F>
  void Body(F visit) {
    scopes_.push_back({time_, {}});
    visit();
    Scope scope = scopes_.back();
    scopes_.pop_back();
    int end = ++time_;
    for (size_t i : scope.used) {
      if (all_[i].declared >= scope.begin) continue;
      all_[i].first = std::min(all_[i].first, scope.begin);
      all_[i].last = std::max(all_[i].last, end);
    }
  }

  void Declare(const AllocObj* alloc) {
    if (alloc->token.defined() && alloc->arrivals > 0) {
      Life life;
      life.token = alloc->token;
      life.bytes = 2 * 8 * alloc->token->depth;
      life.declared = time_;
      life.pinned = true;
      all_.push_back(life);
    }
    if (!alloc->buffer.defined()) return;
    Space space = alloc->buffer->space();
    if (space != Space::kShared && space != Space::kMbar) return;
    Life life;
    life.buffer = alloc->buffer;
    life.bytes = BytesOf(alloc);
    life.align = std::max<int64_t>(alloc->align, 16);
    life.declared = time_;
    life.pinned = space == Space::kMbar;
    index_[alloc->buffer->storage.get()] = all_.size();
    all_.push_back(life);
  }

  // What a statement itself reads, without those inside of it.
  void TouchOwn(const Stmt& s) {
    ForEachChild(s.get(), [&](const NodeObj* child) {
      if (!IsStmtKind(child->kind)) Touch(child);
    });
  }

  void Touch(const NodeObj* node) {
    Walk(node, [&](const NodeObj* n) {
      const StorageObj* s = nullptr;
      if (n->kind == NodeKind::kLoad) s = static_cast<const LoadObj*>(n)->buffer->storage.get();
      if (n->kind == NodeKind::kStore) s = static_cast<const StoreObj*>(n)->buffer->storage.get();
      if (n->kind == NodeKind::kRegion) s = static_cast<const RegionObj*>(n)->buffer->storage.get();
      auto it = index_.find(s);
      if (s == nullptr || it == index_.end()) return true;
      Life& life = all_[it->second];
      life.first = life.first < 0 ? time_ : std::min(life.first, time_);
      life.last = std::max(life.last, time_);
      for (Scope& scope : scopes_) scope.used.push_back(it->second);
      return true;
    });
  }

  int time_ = 0;
  std::vector<Life> all_;
  std::unordered_map<const StmtObj*, int> at_;
  std::vector<Scope> scopes_;
  std::unordered_map<const StorageObj*, size_t> index_;
};

}  // namespace

Lives LivesOf(const Stmt& body) {
  return Finder(body).Take();
}

int64_t Place(std::vector<Life>* lives, bool reuse) {
  std::vector<Life*> order;
  for (Life& l : *lives) order.push_back(&l);
  std::stable_sort(order.begin(), order.end(),
                   [](const Life* a, const Life* b) { return a->bytes > b->bytes; });
  int64_t total = 0;
  std::vector<Life*> placed;
  for (Life* l : order) {
    std::vector<std::pair<int64_t, int64_t>> taken;  // bytes in use while l lives
    for (Life* p : placed) {
      bool apart = reuse && (p->last < l->first || l->last < p->first);
      if (!apart) taken.emplace_back(p->offset, p->offset + p->bytes);
    }
    std::sort(taken.begin(), taken.end());
    int64_t at = 0;
    for (const auto& [begin, end] : taken) {
      if (at + l->bytes <= begin) break;
      at = std::max(at, (end + l->align - 1) / l->align * l->align);
    }
    l->offset = at;
    total = std::max(total, at + l->bytes);
    placed.push_back(l);
  }
  return total;
}

}  // namespace tilescale::analysis
