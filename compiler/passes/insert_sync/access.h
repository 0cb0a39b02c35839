// SPDX-License-Identifier: MIT
// What one statement of the machine stage does to shared and global memory, as InsertSync compares
// it.
#pragma once

#include "compiler/ir/build.h"
#include "compiler/ir/visit.h"
#include "compiler/passes/passes.h"

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace tilescale::sync {

// Which threads touch which bytes of a storage; made on first use, shared by copies of an access.
struct Footprint {
  bool known = false;          // false: not enumerable, may be any byte
  std::vector<int32_t> owner;  // by granule of `granule` bytes: thread, -1 nobody, -2 several
  int64_t granule = 4;
};

struct Access {
  const ir::StorageObj* storage = nullptr;
  bool shared = false;  // else global
  int64_t base = 0;     // shared: byte address of the storage
  int64_t bytes = 0;    // shared: of the whole storage
  bool write = false, atomic = false;
  bool async = false;  // cp.async not yet waited for by its thread
  // By the elected thread for the whole group. A release comes behind what all its threads did in
  // global memory, an acquire before what they do there.
  bool one = false, release = false, acquire = false;
  int64_t group = 0;  // commits of cp.async before it
  const ir::TokenObj* token = nullptr;
  int64_t slot = 0;  // counter of the token's acquire or wait; slots are equal modulo the depth
  std::string key;   // canonical text of the index: equal keys touch the same bytes at each thread
  bool own = false;  // global: different threads of a block touch different bytes
  std::shared_ptr<Footprint> footprint;
  const ir::GroupObj* group_of = nullptr;  // done by this group, seen from outside of it
  ir::Span span;
};

// Collects the accesses of a statement and what is nested in it. Declared facts (offsets, binds,
// loops) are kept while walking the kernel.
class AccessReader {
 public:
  AccessReader(const ir::Kernel& k);

  void DeclareAlloc(const ir::AllocObj* s);
  void DeclareBind(const ir::BindObj* s);
  void DeclareView(const ir::ViewObj* s);
  void EnterLoop(const ir::ForObj* s) { loops_[s->var.get()] = s; }
  // The threads that run what is read next.
  void SetThreads(int64_t first, int64_t count) {
    first_thread_ = first;
    threads_ = count;
  }

  // Accesses of expressions and of the statement itself, with nested statements for compound ones.
  std::vector<Access> Read(const ir::Stmt& s);

  // Token counters, advanced by the walker.
  std::unordered_map<const ir::TokenObj*, int64_t> acquired, waited;
  int64_t commits = 0;

 private:
  void ReadExpr(const ir::Expr& e, const ir::Span& span, std::vector<Access>* out);
  void Add(const ir::Buffer& b, const ir::Expr& index, int64_t count, bool write, bool atomic,
           bool async, const ir::Span& span, std::vector<Access>* out);
  std::shared_ptr<Footprint> Enumerate(const ir::Expr& index, int64_t elem_bytes, int64_t count,
                                       int64_t bytes);
  bool OwnBytes(const ir::Expr& index, int64_t count);
  ir::Expr Inline(const ir::Expr& e);

  const ir::Kernel& kernel_;
  int64_t first_thread_ = 0, threads_ = 0;
  struct Placed {
    int64_t offset, bytes;
  };
  std::unordered_map<const ir::StorageObj*, Placed> placed_;
  std::unordered_map<const ir::VarObj*, ir::Expr> binds_;
  // Memory of a tensor on another rank, which may be this one: the tensor's storage.
  std::unordered_map<const ir::StorageObj*, const ir::StorageObj*> home_;
  struct SlotOf {
    const ir::TokenObj* token;
    int64_t counter;
  };
  std::unordered_map<const ir::VarObj*, SlotOf> slots_;
  std::unordered_map<const ir::VarObj*, const ir::ForObj*> loops_;
  std::unordered_map<std::string, std::shared_ptr<Footprint>> footprints_;
  std::unordered_map<std::string, bool> own_;
};

enum class Conflict { kNone, kWarp, kBlock };  // kWarp: only between lanes of one warp
// `a` came first. Waits for asynchronous writes are the caller's business.
Conflict Compare(const Access& a, const Access& b);

}  // namespace tilescale::sync
