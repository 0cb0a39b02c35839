// SPDX-License-Identifier: MIT
// PlaceMemory (passes.h): the byte address of every shared buffer and mbarrier. Buffers whose lives
// do not overlap share bytes, unless they are small; what is used inside a loop, branch or group
// that its declaration is outside of lives for the whole of it. First fit over decreasing sizes:
// deterministic.
#include "compiler/analysis/shared_lives.h"
#include "compiler/ir/build.h"
#include "compiler/ir/diag.h"
#include "compiler/ir/visit.h"
#include "compiler/passes/passes.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

namespace tilescale {

using namespace ir;  // NOLINT
using analysis::Life;
using analysis::Place;

namespace {

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
    std::vector<Life> lives = analysis::LivesOf(k->body).all;
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
