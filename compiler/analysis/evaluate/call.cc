// SPDX-License-Identifier: MIT
// Instructions that a user's program may hold at the tile stage.
#include "compiler/analysis/evaluate/machine.h"
#include "compiler/ir/text.h"
#include "compiler/target/constants.h"

#include <string_view>

namespace tilescale::analysis {

using namespace ir;  // NOLINT

namespace {

bool IsAtomic(std::string_view name) {
  return name.starts_with("red.") || name.starts_with("atom.") || name == "ld.strong" ||
         name == "st.strong";
}

}  // namespace

void Machine::SetResult(const CallObj* s, Lanes value) {
  if (s->results.empty()) return;
  const auto* var = s->results[0].as<VarObj>();
  if (var == nullptr)
    Refuse("NotImplementedError", "`" + std::string(s->instr) + "` into registers");
  env_[var] = std::move(value);
}

void Machine::RunCall(const CallObj* s, const Threads& given) {
  const std::string_view name(s->instr.data(), s->instr.size());
  const Threads threads = s->guard.defined() ? Where(s->guard, given) : given;
  if (IsAtomic(name)) return RunAtomic(s, threads);
  if (name.starts_with("shfl.")) return RunShuffle(s, threads);
  if (name.starts_with("vote.")) return RunVote(s, threads);
  if (name.starts_with("bar.cta") || name == "bar.sync") return RunBarrier(s, threads);
  // Order among threads: statements run in order as they stand.
  if (name == "warp.sync" || name.starts_with("fence.") || name == "print") return;
  if (name.starts_with("setmaxnreg.")) return;
  Refuse("NotImplementedError", "`" + std::string(name) + "` needs threads that run side by side");
}

// Every thread, in order of its index.
void Machine::RunAtomic(const CallObj* s, const Threads& threads) {
  const auto* addr = s->args[0].as<AddrObj>();
  if (addr == nullptr) Refuse("NotImplementedError", "an atomic through a pointer");
  const Buffer& buffer = addr->region->buffer;
  std::string_view op(s->instr.data(), s->instr.size());
  op.remove_prefix(op.find('.') + 1);
  Lanes old{false, std::vector<Value>(num_threads_)};
  for (size_t t = 0; t < num_threads_; ++t) {
    if (!threads[t]) continue;
    lane_ = t;
    const std::vector<int64_t> index = EvalIndex(buffer, addr->region->begin);
    Value v;
    if (s->args.size() > 1) {
      v = CastValue(Eval(s->args[1]), s->args[1].dtype(), buffer->dtype);
    }
    if (!InRange(buffer, index)) continue;
    if (op != "strong" || s->args.size() == 1) old.values[t] = ReadElement(buffer, index);
    if (s->args.size() == 1) continue;  // a load
    const Value pair[2] = {old.values[t], v};
    const OpCode code = op == "add"   ? OpCode::kAdd
                        : op == "max" ? OpCode::kMax
                        : op == "min" ? OpCode::kMin
                        : op == "and" ? OpCode::kBitAnd
                        : op == "or"  ? OpCode::kBitOr
                                      : OpCode::kBitXor;
    const bool stores = op == "exch" || op == "strong";
    if (!stores && code == OpCode::kBitXor && op != "xor") {
      Refuse("NotImplementedError", "`" + std::string(s->instr) + "`");
    }
    WriteElement(buffer, index, stores ? v : Apply(code, buffer->dtype, pair, 2));
  }
  if (point_ != 0) {
    const Value first = old.values[threads.any() ? threads._Find_first() : 0];
    old = {true, {first}};
  }
  SetResult(s, std::move(old));
}

// shfl.<how>(value, lane or delta, width, mask)
void Machine::RunShuffle(const CallObj* s, const Threads& threads) {
  const std::string_view how = std::string_view(s->instr.data(), s->instr.size()).substr(5);
  const Lanes value = EvalAll(s->args[0], threads), delta = EvalAll(s->args[1], threads),
              width = EvalAll(s->args[2], threads);
  Lanes out{false, std::vector<Value>(num_threads_)};
  for (size_t t = 0; t < num_threads_; ++t) {
    if (!threads[t]) continue;
    const auto lane = static_cast<int64_t>(t % target::kWarpSize);
    const int64_t w = width[t].i, first = lane / w * w, d = delta[t].i;
    int64_t from = how == "idx"   ? first + ((d % w) + w) % w
                   : how == "up"  ? lane - d
                   : how == "xor" ? lane ^ d
                                  : lane + d;
    if (from < first || from >= first + w) from = lane;
    const size_t source = t / target::kWarpSize * target::kWarpSize + static_cast<size_t>(from);
    if (source >= num_threads_ || !threads[source]) {
      Refuse("ValueError",
             "a shuffle reads lane " + std::to_string(from) + ", which does not take part in it");
    }
    out.values[t] = value[source];
  }
  SetResult(s, std::move(out));
}

// vote.<how>(predicate, mask)
void Machine::RunVote(const CallObj* s, const Threads& threads) {
  const std::string_view how = std::string_view(s->instr.data(), s->instr.size()).substr(5);
  const Threads yes = Where(s->args[0], threads);
  Lanes out{false, std::vector<Value>(num_threads_)};
  for (size_t base = 0; base < num_threads_; base += target::kWarpSize) {
    int64_t ballot = 0;
    bool all = true;
    for (size_t t = base; t < std::min(base + target::kWarpSize, num_threads_); ++t) {
      if (yes[t]) ballot |= int64_t{1} << (t - base);
      all = all && (yes[t] || !threads[t]);
    }
    for (size_t t = base; t < std::min(base + target::kWarpSize, num_threads_); ++t) {
      out.values[t].i = how == "any" ? ballot != 0 : how == "all" ? all : ballot;
    }
  }
  SetResult(s, std::move(out));
}

void Machine::RunBarrier(const CallObj* s, const Threads& threads) {
  const std::string name(s->instr);
  Threads alive;
  for (size_t t = 0; t < num_threads_; ++t) {
    if (!exited_[t]) alive.set(t);
  }
  const bool counted = name == "bar.sync";
  if (threads != alive || (counted && EvalInt(s->args[1]) != static_cast<int64_t>(alive.count()))) {
    Refuse("NotImplementedError", "`" + name + "` of a part of the block's threads");
  }
  if (name == "bar.cta" || counted) return;
  const auto yes = static_cast<int64_t>(Where(s->args[0], threads).count());
  const int64_t result = name == "bar.cta_count" ? yes
                         : name == "bar.cta_and" ? yes == static_cast<int64_t>(threads.count())
                                                 : yes != 0;
  SetResult(s, {true, {Value{result, 0}}});
}

}  // namespace tilescale::analysis
