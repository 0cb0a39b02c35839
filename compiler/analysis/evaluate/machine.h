// SPDX-License-Identifier: MIT
// The machine of the sequential oracle: memories, the values of names, and one function a kind of
// statement. Threads of a block run each statement in lockstep under a set of active threads.
//
// A value is the same for all threads until something that differs among them enters it: the
// index of the thread, or memory of its own. Eval() notes that in `varies_`, so that what is the
// same is computed once.
#pragma once

#include "compiler/analysis/evaluate/scalar.h"
#include "compiler/ir/func.h"

#include <bitset>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

namespace tilescale::analysis {

inline constexpr size_t kMaxThreads = 1024;  // of a block, in CUDA
using Threads = std::bitset<kMaxThreads>;

// One value for all threads, or one for each.
struct Lanes {
  bool same = true;
  std::vector<Value> values;
  const Value& operator[](size_t lane) const { return values[same ? 0 : lane]; }
};

// The bytes of one storage. Register memory has a copy for each thread once the threads' contents
// differ.
struct Memory {
  ir::Space space = ir::Space::kGlobal;
  uint8_t* data = nullptr;
  int64_t bytes = 0;             // of one copy
  std::vector<uint8_t> own;      // what `data` points to, unless it is an argument
  std::vector<uint8_t> written;  // for each byte of `own`
  bool by_thread = false;        // each thread has its own
  bool same = true;              // all threads' copies are equal: there is one
  Threads scope;                 // threads that the declaration reached
  uint64_t touched = 0;          // the last nest that stored to it
};

class Machine final : public EvalContext {
 public:
  void Bind(const ir::Func& f, const ffi::Array<ffi::Any>& inputs);
  void RunHost(const ir::Stmt& s);

  // EvalContext
  std::vector<int64_t> Extents(const ir::Region& r) override;
  Real Read(const ir::Region& r, const std::vector<int64_t>& offset) override;
  void Write(const ir::Region& r, const std::vector<int64_t>& offset, Real value) override;
  Real Scalar(const ir::Expr& e) override;

 private:
  // -- expr.cc: one thread, `lane_`
  Value Eval(const ir::Expr& e);
  Value EvalOp(const ir::OpObj* op);
  Value EvalLoad(const ir::LoadObj* load);
  bool EvalBool(const ir::Expr& e) { return IsTrue(Eval(e), e.dtype()); }
  int64_t EvalInt(const ir::Expr& e) { return Eval(e).i; }
  Lanes EvalAll(const ir::Expr& e, const Threads& threads);
  // The threads of `threads` for which `e` holds.
  Threads Where(const ir::Expr& e, const Threads& threads);

  // -- memory.cc
  Memory& MemoryOf(const ir::Buffer& buffer);
  void Allocate(const ir::Buffer& buffer, const Threads& threads);
  // Is every coordinate inside? On chip, outside is an error; global accesses outside are skipped.
  bool InRange(const ir::Buffer& buffer, const std::vector<int64_t>& index);
  int64_t BitOf(const ir::Buffer& buffer, const std::vector<int64_t>& index);
  Value ReadElement(const ir::Buffer& buffer, const std::vector<int64_t>& index);
  void WriteElement(const ir::Buffer& buffer, const std::vector<int64_t>& index, Value v);
  uint8_t* CopyOf(Memory& memory, size_t* at);
  void Diverge(Memory& memory);
  std::vector<int64_t> EvalIndex(const ir::Buffer& buffer, const ffi::Array<ir::Expr>& index);
  Value Outside(const ir::Buffer& buffer, const ir::Expr& other);

  // -- stmt.cc
  void Run(const ir::Stmt& s, const Threads& threads);
  void RunSeq(const ir::SeqObj* s, const Threads& threads);
  void RunAlloc(const ir::AllocObj* s, const Threads& threads);
  void RunStore(const ir::StoreObj* s, const Threads& threads);
  void RunFor(const ir::ForObj* s, const Threads& threads);
  void RunWhile(const ir::WhileObj* s, const Threads& threads);
  void RunIf(const ir::IfObj* s, const Threads& threads);
  void RunParallel(const ir::ParallelObj* s, const Threads& threads);
  void RunTileOp(const ir::TileOpObj* s, const Threads& threads);
  void RunGroup(const ir::GroupObj* s, const Threads& threads);
  void RunCheck(const ir::CheckObj* s, const Threads& threads);
  void RunKernel(const ir::Kernel& kernel);
  void RunBlock(const ir::Kernel& kernel, const int64_t (&block)[3]);
  void Dispatch(const ir::Stmt& s, const Threads& threads);
  // The active threads of a collective statement must be the whole group.
  void NeedGroup(const char* what, const Threads& threads);
  Threads Active(const Threads& threads) const {
    return threads & ~(broken_ | continued_ | exited_);
  }
  void Set(const ir::Var& var, Lanes value) { env_[var.get()] = std::move(value); }
  void SetOne(const ir::Var& var, int64_t i) { Set(var, {true, {Value{i, 0}}}); }

  // -- call.cc
  void RunCall(const ir::CallObj* s, const Threads& threads);
  void RunAtomic(const ir::CallObj* s, const Threads& threads);
  void RunShuffle(const ir::CallObj* s, const Threads& threads);
  void RunVote(const ir::CallObj* s, const Threads& threads);
  void RunBarrier(const ir::CallObj* s, const Threads& threads);
  void SetResult(const ir::CallObj* s, Lanes value);

  [[noreturn]] void Refuse(const char* kind, const std::string& text) const;

  std::unordered_map<const ir::VarObj*, Lanes> env_;
  std::unordered_map<const ir::StorageObj*, Memory> memories_;
  const ir::KernelObj* kernel_ = nullptr;
  size_t num_threads_ = 1;
  Threads group_;  // of the statement that runs
  Threads broken_, continued_, exited_;
  size_t lane_ = 0;      // the thread that Eval is for
  bool varies_ = false;  // something that differs among threads was read
  uint64_t point_ = 0;   // of a nest: its number, counted from 1; 0 outside
  uint64_t nests_ = 0;
  uint64_t steps_ = 0;
};

}  // namespace tilescale::analysis
