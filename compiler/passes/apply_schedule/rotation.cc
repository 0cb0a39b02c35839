// SPDX-License-Identifier: MIT
#include "compiler/passes/apply_schedule/rotation.h"

#include "compiler/ir/build.h"
#include "compiler/ir/visit.h"
#include "support/diagnostics.h"

namespace tilescale::schedule {

using namespace ir;  // NOLINT

Stmt Rotation::Declare(const AllocObj* alloc, int64_t depth) {
  std::vector<Stmt> out;
  std::vector<Buffer> versions;
  for (int64_t v = 0; v < depth; ++v) {
    std::string name = std::string(alloc->buffer->name) + "_" + std::to_string(v);
    auto storage = CopyNode(alloc->buffer->storage.get());
    storage->name = name;
    auto buffer = CopyNode(alloc->buffer.get());
    buffer->name = name;
    buffer->storage = Storage(storage);
    auto copy = CopyNode(alloc);
    copy->buffer = Buffer(buffer);
    versions.push_back(copy->buffer);
    out.push_back(Stmt(copy));
  }
  versions_[alloc->buffer->storage.get()] = std::move(versions);
  return MakeSeq(out);
}

Buffer Rotation::Version(const StorageObj* storage, int64_t back) const {
  const std::vector<Buffer>& versions = versions_.at(storage);
  int64_t index = static_cast<int64_t>(versions.size()) - 1 - back;
  TS_CHECK(index >= 0 && back >= 0)
      << storage->name << " has no version of " << back << " fills ago";
  return versions[index];
}

void Rotation::Rotate(const StorageObj* storage, const Expr& at, int64_t shift, const ForObj* loop,
                      bool in_loop, std::vector<Stmt>* out) const {
  const std::vector<Buffer>& versions = versions_.at(storage);
  for (size_t v = 1; v < versions.size(); ++v) {
    // Version v holds this iteration.
    int64_t age = static_cast<int64_t>(versions.size() - v);
    Expr held = Add(at, -age), filled;
    if (auto n = AsInt(held); n && *n < 0) continue;
    if (!in_loop || shift > age) filled = Lt(held, loop->extent);
    if (in_loop && shift < age) filled = And(filled, Ge(held, MakeConst(0, held.dtype())));
    std::vector<Var> vars;
    std::vector<Expr> extents, index;
    for (const Expr& extent : versions[v]->shape) {
      vars.push_back(MakeVar("i"));
      index.push_back(vars.back());
      extents.push_back(extent);
    }
    Stmt move = MakeParallel(
        vars, extents, MakeStore(versions[v - 1], index, MakeLoad(versions[v], index), loop->span),
        loop->span);
    if (filled.defined() && !IsConst(filled, 1)) move = MakeIf(filled, move, loop->span);
    out->push_back(move);
  }
}

}  // namespace tilescale::schedule
