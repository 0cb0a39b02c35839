// SPDX-License-Identifier: MIT
#include "compiler/analysis/evaluate/machine.h"
#include "compiler/ir/text.h"
#include "compiler/target/constants.h"

namespace tilescale::analysis {

using namespace ir;  // NOLINT

Value Machine::Eval(const Expr& e) {
  if (e.dtype().lanes > 1) Refuse("NotImplementedError", "a vector value: `" + Spelled(e) + "`");
  switch (e.kind()) {
    case NodeKind::kConst: {
      const auto* c = static_cast<const ConstObj*>(e.get());
      return {c->i, c->f};
    }
    case NodeKind::kVar: {
      const auto* var = static_cast<const VarObj*>(e.get());
      auto found = env_.find(var);
      if (found == env_.end()) {
        Refuse("ValueError", "`" + std::string(var->name) + "` has no value here");
      }
      const Lanes& lanes = found->second;
      if (!lanes.same) {
        if (point_ != 0) {
          Refuse("NotImplementedError", "`" + std::string(var->name) +
                                            "` inside T.Parallel depends on the thread that runs "
                                            "the point");
        }
        varies_ = true;
      }
      return lanes[lane_];
    }
    case NodeKind::kOp:
      return EvalOp(static_cast<const OpObj*>(e.get()));
    case NodeKind::kLoad:
      return EvalLoad(static_cast<const LoadObj*>(e.get()));
    default:
      Refuse("NotImplementedError", "`" + Spelled(e) + "` has no value in a sequential run");
  }
}

Value Machine::EvalOp(const OpObj* op) {
  const OpCode code = op->op();
  switch (code) {
    case OpCode::kAnd:
      return {EvalBool(op->args[0]) && EvalBool(op->args[1]), 0};
    case OpCode::kOr:
      return {EvalBool(op->args[0]) || EvalBool(op->args[1]), 0};
    case OpCode::kIf:
      return Eval(EvalBool(op->args[0]) ? op->args[1] : op->args[2]);
    case OpCode::kSelect: {
      const bool first = EvalBool(op->args[0]);
      const Value a = Eval(op->args[1]), b = Eval(op->args[2]);
      return first ? a : b;
    }
    case OpCode::kCast:
      return CastValue(Eval(op->args[0]), op->args[0].dtype(), op->dtype);
    case OpCode::kBitcast:
      return FromBits(ToBits(Eval(op->args[0]), op->args[0].dtype()), op->dtype);
    case OpCode::kLaneId:
    case OpCode::kWarpId:
      if (point_ != 0) Refuse("NotImplementedError", "a thread's index inside T.Parallel");
      varies_ = true;
      return {static_cast<int64_t>(code == OpCode::kLaneId ? lane_ % target::kWarpSize
                                                           : lane_ / target::kWarpSize),
              0};
    default:
      break;
  }
  const OpClass cls = Info(code).cls;
  if (cls == OpClass::kVector || cls == OpClass::kSpecial || op->args.size() > 3) {
    Refuse("NotImplementedError", std::string("`") + Info(code).text + "`");
  }
  Value args[3];
  for (size_t i = 0; i < op->args.size(); ++i) args[i] = Eval(op->args[i]);
  return Apply(code, op->args[0].dtype(), args, op->args.size());
}

Value Machine::EvalLoad(const LoadObj* load) {
  if (load->guard.defined() && !EvalBool(load->guard)) return Outside(load->buffer, load->other);
  const std::vector<int64_t> index = EvalIndex(load->buffer, load->index);
  return InRange(load->buffer, index) ? ReadElement(load->buffer, index)
                                      : Outside(load->buffer, load->other);
}

Lanes Machine::EvalAll(const Expr& e, const Threads& threads) {
  Lanes out;
  varies_ = false;
  lane_ = threads._Find_first();
  out.values.push_back(Eval(e));
  if (!varies_) return out;
  out.same = false;
  out.values.resize(num_threads_, out.values[0]);
  for (size_t t = 0; t < num_threads_; ++t) {
    if (!threads[t]) continue;
    lane_ = t;
    out.values[t] = Eval(e);
  }
  return out;
}

Threads Machine::Where(const Expr& e, const Threads& threads) {
  const Lanes values = EvalAll(e, threads);
  if (values.same) return IsTrue(values[0], e.dtype()) ? threads : Threads();
  Threads out;
  for (size_t t = 0; t < num_threads_; ++t) {
    if (threads[t] && IsTrue(values[t], e.dtype())) out.set(t);
  }
  return out;
}

}  // namespace tilescale::analysis
