// SPDX-License-Identifier: MIT
// What one statement of the machine stage does to shared and global memory, as InsertSync compares
// it.
#pragma once

#include "compiler/analysis/covered.h"
#include "compiler/arith/analyzer.h"
#include "compiler/ir/build.h"
#include "compiler/ir/visit.h"
#include "compiler/passes/passes.h"
#include "compiler/passes/thread_uniform.h"

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace tilescale::sync {

using analysis::Access;
using analysis::Cover;
using analysis::Place;

// Collects the accesses of a statement and what is nested in it. Declared facts (offsets, binds,
// loops) are kept while walking the kernel.
class AccessReader {
 public:
  // `uniformity`: of `k`; outlives the reader.
  AccessReader(const ir::Kernel& k, const passes::Uniformity& uniformity);

  void DeclareAlloc(const ir::AllocObj* s);
  void DeclareBind(const ir::BindObj* s);
  void DeclareView(const ir::ViewObj* s);
  void EnterLoop(const ir::ForObj* s);
  // What is read next happens only where `cond` holds (does not hold).
  void EnterBranch(const ir::Expr& cond, bool holds);
  void LeaveBranch() { conditions_.pop_back(); }
  // The threads that run what is read next.
  void SetThreads(int64_t first, int64_t count) {
    first_thread_ = first;
    threads_ = count;
  }

  // Accesses of the statement and of what is nested in it, at the slots of now. A statement is read
  // once; later only its slots are new.
  std::vector<Access> Read(const ir::Stmt& s);

  // As Read, in one round of the loops around `s`: only what such a reading finds may be compared.
  std::vector<Access> ReadOneRound(const ir::Stmt& s);

  // Token counters, advanced by the walker.
  std::unordered_map<const ir::TokenObj*, int64_t> acquired, waited;
  int64_t commits = 0;

 private:
  struct Found {
    Access access;
    const ir::VarObj* slot = nullptr;  // the variable that holds its slot
  };
  struct Reading {
    std::vector<Found> found;
    std::vector<const ir::BindObj*> slots;  // binds of slots in the statement
  };
  void Collect(const ir::Stmt& s, Reading* out);
  std::vector<Access> AtNow(const Reading& reading);
  void ReadExpr(const ir::Expr& e, const ir::Expr& guard, const ir::Span& span, Reading* out);
  // A read; the caller says what else it is. Null: of no memory that threads share.
  Access* Add(const ir::Buffer& b, const ir::Expr& index, int64_t count, const ir::Expr& guard,
              const ir::Span& span, Reading* out);
  void AddCall(const ir::CallObj* call, Reading* out);
  std::shared_ptr<const Place> PlaceOf(const ir::Buffer& b, const ir::Expr& index, int64_t count,
                                       const ir::Expr& guard, const Access& a, bool from_start);
  void TakeShift(analysis::Place* place) const;
  void AddGuards(const ir::Expr& cond, analysis::Place* place) const;
  bool IsRowOf(const ir::VarObj* stride, const ir::Expr& index, const ir::Expr& guard) const;
  ir::Expr Inline(const ir::Expr& e);
  // The same for all threads, wherever it is compared: it moves the places of all alike.
  bool Shifts(const ir::VarObj* v) const;
  bool IsOfBlock(const ir::VarObj* v) const;   // a block's or the rank's
  bool IsGiven(const ir::VarObj* v) const;     // by the caller
  void Know(arith::Analyzer* analyzer) const;  // how far variables go

  const ir::Kernel& kernel_;
  const passes::Uniformity& uniformity_;
  ir::Var rank_ = ir::MakeVar("rank", ir::Int(32)), ranks_ = ir::MakeVar("ranks", ir::Int(32));
  int64_t first_thread_ = 0, threads_ = 0;
  struct Placed {
    int64_t offset, bytes;
  };
  std::unordered_map<const ir::StorageObj*, Placed> placed_;
  ir::VarMap binds_;
  const ir::StmtObj* reading_ = nullptr;            // the innermost statement that is read
  std::unordered_set<const ir::VarObj*> declared_;  // by statements of the kernel
  std::vector<ir::Expr> conditions_;                // of the branches around
  // Memory of a tensor on another rank, which may be this one: the tensor's storage, and whether it
  // begins where that does.
  struct Home {
    const ir::StorageObj* storage;
    bool whole;
  };
  std::unordered_map<const ir::StorageObj*, Home> home_;
  struct SlotOf {
    const ir::TokenObj* token;
    int64_t counter;
  };
  std::unordered_map<const ir::VarObj*, SlotOf> slots_;
  // In the text of a shift: one name for all slots of a token, as counters tell them apart, and of
  // its own for each name around one round.
  ir::VarMap shift_names_;
  std::unordered_map<const ir::VarObj*, const ir::ForObj*> loops_;
  bool one_round_ = false;
  std::unordered_set<const ir::VarObj*>
      inside_;  // loops entered since the reading of a round began
  std::map<std::pair<const ir::StorageObj*, std::string>, std::shared_ptr<const Place>> places_;
  std::unordered_map<const ir::StmtObj*, Reading> readings_;
};

}  // namespace tilescale::sync
