// SPDX-License-Identifier: MIT
// PlaceMemory (passes.h): the byte address of every shared buffer and mbarrier. Buffers whose lives
// do not overlap share bytes, unless they are small; what is used inside a loop, branch or group
// that its declaration is outside of lives for the whole of it. First fit over decreasing sizes:
// deterministic.
#include "compiler/ir/build.h"
#include "compiler/ir/diag.h"
#include "compiler/ir/visit.h"
#include "compiler/passes/passes.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

namespace tilescale {

using namespace ir;  // NOLINT

namespace {

struct Life {
  Buffer buffer;  // or
  Token token;    // its mbarriers: `full` of each slot, then `empty`
  const NodeObj* key() const {
    return buffer.defined() ? static_cast<const NodeObj*>(buffer.get()) : token.get();
  }
  std::string name() const { return std::string(buffer.defined() ? buffer->name : token->name); }
  int64_t bytes = 0, align = 16;
  int first = -1, last = -1;  // statement numbers
  int declared = 0;
  int64_t offset = -1;
  bool pinned = false;  // mbarriers live as long as the kernel
};

class Lives {
 public:
  explicit Lives(const Stmt& body) {
    Visit(body);
    for (Life& life : all) {
      if (life.first < 0) life.first = life.last = life.declared;
      if (life.pinned) {
        life.first = 0;
        life.last = time_;
      }
    }
  }
  std::vector<Life> all;

 private:
  struct Scope {
    int begin;
    std::vector<size_t> used;  // lives touched inside
  };

  void Visit(const Stmt& s) {
    if (!s.defined()) return;
    ++time_;
    switch (s.kind()) {
      case NodeKind::kSeq:
        Sequence(s.as<SeqObj>()->stmts);
        return;
      case NodeKind::kAlloc:
        Declare(s.as<AllocObj>());
        return;
      case NodeKind::kFor:
        Body([&] { Visit(s.as<ForObj>()->body); });
        return;
      case NodeKind::kWhile:
        Body([&] {
          Visit(s.as<WhileObj>()->head);
          Touch(s.as<WhileObj>()->cond.get());
          Visit(s.as<WhileObj>()->body);
        });
        return;
      case NodeKind::kIf:
        // Threads may run a branch apart from each other, without a barrier inside that could
        // order the end of one life before the beginning of the next.
        Body([&] {
          Touch(s.as<IfObj>()->cond.get());
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
      size_t outside = all.size();
      Body([&] {
        for (; i < last; ++i) Visit(stmts[i]);
        Visit(stmts[last]);
      });
      for (size_t k = outside; first < last && k < all.size(); ++k) all[k].last = time_;
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
      if (all[i].declared >= scope.begin) continue;
      all[i].first = std::min(all[i].first, scope.begin);
      all[i].last = std::max(all[i].last, end);
    }
  }

  void Declare(const AllocObj* alloc) {
    if (alloc->token.defined() && alloc->arrivals > 0) {
      Life life;
      life.token = alloc->token;
      life.bytes = 2 * 8 * alloc->token->depth;
      life.declared = time_;
      life.pinned = true;
      all.push_back(life);
    }
    if (!alloc->buffer.defined()) return;
    Space space = alloc->buffer->space();
    if (space != Space::kShared && space != Space::kMbar) return;
    Life life;
    life.buffer = alloc->buffer;
    life.bytes = StorageBytes(alloc->buffer);
    life.align = std::max<int64_t>(alloc->align, 16);
    life.declared = time_;
    life.pinned = space == Space::kMbar;
    index_[alloc->buffer->storage.get()] = all.size();
    all.push_back(life);
  }

  void Touch(const NodeObj* node) {
    Walk(node, [&](const NodeObj* n) {
      const StorageObj* s = nullptr;
      if (n->kind == NodeKind::kLoad) s = static_cast<const LoadObj*>(n)->buffer->storage.get();
      if (n->kind == NodeKind::kStore) s = static_cast<const StoreObj*>(n)->buffer->storage.get();
      if (n->kind == NodeKind::kRegion) s = static_cast<const RegionObj*>(n)->buffer->storage.get();
      auto it = index_.find(s);
      if (s == nullptr || it == index_.end()) return true;
      Life& life = all[it->second];
      life.first = life.first < 0 ? time_ : std::min(life.first, time_);
      life.last = std::max(life.last, time_);
      for (Scope& scope : scopes_) scope.used.push_back(it->second);
      return true;
    });
  }

  int time_ = 0;
  std::vector<Scope> scopes_;
  std::unordered_map<const StorageObj*, size_t> index_;
};

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

// Reusing the bytes of another buffer costs a barrier. Buffers that are small, as workspaces are,
// keep their own as long as all of them together are few bytes and the block's limit allows it.
constexpr int64_t kSmall = 512, kSmallInAll = 2048;

int64_t PlaceSmallApart(std::vector<Life>* lives, bool reuse, int64_t limit) {
  std::vector<Life> apart = *lives;
  int64_t small = 0;
  for (Life& l : apart) {
    if (l.bytes > kSmall) continue;
    small += (l.bytes + l.align - 1) / l.align * l.align;
    l.first = 0;
    l.last = std::numeric_limits<int>::max();
  }
  if (small <= kSmallInAll) {
    int64_t total = Place(&apart, reuse);
    if (total <= limit) {
      *lives = std::move(apart);
      return total;
    }
  }
  return Place(lives, reuse);
}

void CheckFits(const Kernel& k, std::vector<Life> lives, int64_t total, const target::Arch& arch) {
  if (total <= arch.shared_per_block) return;
  std::stable_sort(lives.begin(), lives.end(),
                   [](const Life& a, const Life& b) { return a.bytes > b.bytes; });
  std::string table;
  for (const Life& l : lives) {
    table += "\n  `" + l.name() + "`: " + std::to_string(l.bytes) + " bytes at " +
             std::to_string(l.offset);
  }
  RaiseAt(k->span, "CompileError", "kernel `", k->name, "` needs ", total,
          " bytes of shared memory, ", arch.name, " has ", arch.shared_per_block,
          " for a block; use smaller tiles or fewer stages", table);
}

// Per-thread arrays that are not registers live in local memory: 512 KB for a thread on every
// architecture (CUDA C++ Programming Guide, "Technical Specifications per Compute Capability").
constexpr int64_t kLocalPerThread = int64_t{512} << 10;

void CheckLocal(const Kernel& k) {
  int64_t total = 0, most = 0;
  const AllocObj* largest = nullptr;
  Walk(k->body, [&](const NodeObj* n) {
    if (n->kind != NodeKind::kAlloc) return true;
    const auto* alloc = static_cast<const AllocObj*>(n);
    if (!alloc->buffer.defined() || alloc->buffer->space() != Space::kLocal) return true;
    const int64_t bytes = (NumElements(alloc->buffer) * alloc->buffer->dtype.bits + 7) / 8;
    total += bytes;
    if (bytes <= most) return true;
    most = bytes;
    largest = alloc;
    return true;
  });
  if (total <= kLocalPerThread) return;
  RaiseAt(largest->span, "CompileError", "kernel `", k->name, "` needs ", total,
          " bytes of local memory for a thread, ", kLocalPerThread, " is the limit; `",
          largest->buffer->name, "` alone has ", most,
          " bytes: spread it over the threads of the block "
          "(T.alloc_fragment), or keep it in shared or global memory");
}

class WriteOffsets : public Mutator {
 public:
  explicit WriteOffsets(const std::vector<Life>& lives) {
    for (const Life& l : lives) offset_[l.key()] = l.offset;
  }
  Stmt MutateAlloc(const Alloc& s) override {
    const NodeObj* key =
        s->buffer.defined() ? static_cast<const NodeObj*>(s->buffer.get()) : s->token.get();
    auto it = offset_.find(key);
    if (it == offset_.end()) return s;
    auto out = CopyNode(s.get());
    out->offset = it->second;
    return Stmt(out);
  }

 private:
  std::unordered_map<const NodeObj*, int64_t> offset_;
};

}  // namespace

namespace passes {

Func PlaceMemory(Func f, PassContext& ctx) {
  return MapKernels(f, [&](const Kernel& k) {
    std::vector<Life> lives = Lives(k->body).all;
    int64_t total = PlaceSmallApart(&lives, !f->options->disable_shared_reuse,
                                    ctx.target.arch->shared_per_block);
    CheckFits(k, lives, total, *ctx.target.arch);
    CheckLocal(k);
    for (const Life& l : lives) {
      ctx.Record("place-memory", k->span, "shared " + l.name(),
                 std::to_string(l.bytes) + " bytes at " + std::to_string(l.offset));
    }
    auto out = CopyNode(k.get());
    out->body = WriteOffsets(lives).MutateStmt(k->body);
    out->shared_bytes = total;
    return Kernel(out);
  });
}

}  // namespace passes
}  // namespace tilescale
