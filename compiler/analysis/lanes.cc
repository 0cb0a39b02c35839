// SPDX-License-Identifier: MIT
#include "compiler/analysis/lanes.h"

#include "compiler/ir/build.h"
#include "compiler/ir/numeric.h"

#include <algorithm>

namespace tilescale::analysis {

using namespace ir;  // NOLINT

namespace {

constexpr int kMaxDepth = 2000;

bool CanEvaluate(const OpObj* op) {
  switch (op->op()) {
    case OpCode::kAdd:
    case OpCode::kSub:
    case OpCode::kMul:
    case OpCode::kFloorDiv:
    case OpCode::kFloorMod:
    case OpCode::kTruncDiv:
    case OpCode::kTruncMod:
    case OpCode::kMin:
    case OpCode::kMax:
    case OpCode::kBitXor:
    case OpCode::kBitAnd:
    case OpCode::kBitOr:
    case OpCode::kLt:
    case OpCode::kLe:
    case OpCode::kGt:
    case OpCode::kGe:
    case OpCode::kEq:
    case OpCode::kNe:
    case OpCode::kAnd:
    case OpCode::kOr:
    case OpCode::kNot:
    case OpCode::kSelect:
    case OpCode::kIf:
      break;
    case OpCode::kCast: {
      DataType from = op->args[0].dtype();
      return IsInteger(op->dtype) && (IsInteger(from) || IsBool(from)) &&
             (op->dtype.bits > from.bits || op->dtype.bits >= 32);
    }
    default:
      return false;
  }
  DataType t = op->args.back().dtype();
  return IsInteger(t) || IsBool(t);
}

int64_t Floor(int64_t x, int64_t y) {
  return y == 0 ? 0 : FloorDivInt(x, y);
}

}  // namespace

LaneProgram::LaneProgram(const Threads& threads, const Expr& e, const Names& names)
    : threads_(threads), names_(names), width_(static_cast<size_t>(threads.count)) {
  root_ = Compile(e);
  names_ = nullptr;
}

int LaneProgram::Push(Step s) {
  s.value.resize(s.wide ? width_ : 1);
  if (s.vague) s.unknown.resize(s.value.size());
  steps_.push_back(std::move(s));
  return static_cast<int>(steps_.size()) - 1;
}

int LaneProgram::Constant(int64_t value) {
  Step s;
  s.kind = Step::kConstant;
  int id = Push(std::move(s));
  steps_[id].value[0] = value;
  return id;
}

int LaneProgram::Unknown() {
  Step s;
  s.kind = Step::kConstant;
  s.vague = true;
  int id = Push(std::move(s));
  steps_[id].unknown[0] = 1;
  return id;
}

int LaneProgram::PerThread(const std::function<int64_t(int64_t)>& f) {
  Step s;
  s.kind = Step::kConstant;
  s.wide = true;
  int id = Push(std::move(s));
  for (size_t i = 0; i < width_; ++i)
    steps_[id].value[i] = f(threads_.first + static_cast<int64_t>(i));
  return id;
}

int LaneProgram::Compile(const Expr& e) {
  if (auto it = known_.find(e.get()); it != known_.end()) return it->second;
  if (depth_ == kMaxDepth) return Unknown();
  ++depth_;
  int id = Make(e);
  --depth_;
  known_[e.get()] = id;
  return id;
}

int LaneProgram::Make(const Expr& e) {
  if (auto c = AsInt(e)) return Constant(*c);
  if (const auto* v = e.as<VarObj>()) return Variable(v);
  const auto* op = e.as<OpObj>();
  if (op == nullptr || op->dtype.lanes > 1 || op->args.empty() || !CanEvaluate(op))
    return Unknown();
  Step s;
  s.op = op->op();
  for (size_t i = 0; i < op->args.size(); ++i) {
    int id = Compile(op->args[i]);
    (i == 0 ? s.a : i == 1 ? s.b : s.c) = id;
    s.wide = s.wide || steps_[id].wide;
    s.vague = s.vague || steps_[id].vague;
    s.looped = s.looped || steps_[id].looped;
  }
  return Push(std::move(s));
}

int LaneProgram::Variable(const VarObj* v) {
  if (v == threads_.vars[0]) return PerThread([&](int64_t i) { return i % threads_.wide; });
  if (v == threads_.vars[1])
    return PerThread([&](int64_t i) { return i / threads_.wide % threads_.high; });
  if (v == threads_.vars[2])
    return PerThread([&](int64_t i) { return i / threads_.wide / threads_.high; });
  Meaning meaning = names_(v);
  switch (meaning.kind) {
    case Meaning::kLoop: {
      Step s;
      s.kind = Step::kLoop;
      s.loop = meaning.loop;
      s.looped = true;
      return Push(std::move(s));
    }
    case Meaning::kBound:
      return Compile(meaning.value);
    case Meaning::kSame:
      return Constant(0);
    default:
      return Unknown();
  }
}

void LaneProgram::Run(const std::vector<int64_t>& at) {
  for (Step& s : steps_) {
    if (s.kind == Step::kLoop) s.value[0] = at[s.loop];
    if (s.kind == Step::kOperation) Evaluate(&s);
  }
}

// Logic decides by one side where it can.
void LaneProgram::Logic(Step* s) {
  const Step& x = steps_[s->a];
  const Step& y = steps_[s->b];
  bool decides = s->op == OpCode::kOr;  // this value on one side decides
  for (size_t i = 0; i < s->value.size(); ++i) {
    size_t p = x.wide ? i : 0, q = y.wide ? i : 0;
    bool left = !x.vague || x.unknown[p] == 0, right = !y.vague || y.unknown[q] == 0;
    bool decided =
        (left && (x.value[p] != 0) == decides) || (right && (y.value[q] != 0) == decides);
    s->value[i] = decided == decides;
    if (s->vague) s->unknown[i] = !decided && !(left && right);
  }
}

void LaneProgram::Evaluate(Step* s) {
  if (s->op == OpCode::kAnd || s->op == OpCode::kOr) return Logic(s);
  const Step* of[3] = {&steps_[s->a], s->b < 0 ? &steps_[s->a] : &steps_[s->b],
                       s->c < 0 ? &steps_[s->a] : &steps_[s->c]};
  const int64_t *a = of[0]->value.data(), *b = of[1]->value.data(), *c = of[2]->value.data();
  const size_t da = of[0]->wide, db = of[1]->wide, dc = of[2]->wide;
  std::vector<int64_t>& out = s->value;
  for (size_t i = 0; s->vague && i < out.size(); ++i) {
    s->unknown[i] = 0;
    for (const Step* arg : of) {
      if (arg->vague) s->unknown[i] |= arg->unknown[arg->wide ? i : 0];
    }
  }
  auto each = [&](auto f) {
    for (size_t i = 0; i < out.size(); ++i) out[i] = f(a[i * da], b[i * db], c[i * dc]);
  };
  switch (s->op) {
    case OpCode::kAdd:
      return each([](int64_t x, int64_t y, int64_t) { return x + y; });
    case OpCode::kSub:
      return each([](int64_t x, int64_t y, int64_t) { return x - y; });
    case OpCode::kMul:
      return each([](int64_t x, int64_t y, int64_t) { return x * y; });
    case OpCode::kFloorDiv:
      return each([](int64_t x, int64_t y, int64_t) { return Floor(x, y); });
    case OpCode::kFloorMod:
      return each([](int64_t x, int64_t y, int64_t) { return x - Floor(x, y) * y; });
    case OpCode::kTruncDiv:
      return each([](int64_t x, int64_t y, int64_t) { return y == 0 ? 0 : x / y; });
    case OpCode::kTruncMod:
      return each([](int64_t x, int64_t y, int64_t) { return y == 0 ? 0 : x % y; });
    case OpCode::kMin:
      return each([](int64_t x, int64_t y, int64_t) { return std::min(x, y); });
    case OpCode::kMax:
      return each([](int64_t x, int64_t y, int64_t) { return std::max(x, y); });
    case OpCode::kBitXor:
      return each([](int64_t x, int64_t y, int64_t) { return x ^ y; });
    case OpCode::kBitAnd:
      return each([](int64_t x, int64_t y, int64_t) { return x & y; });
    case OpCode::kBitOr:
      return each([](int64_t x, int64_t y, int64_t) { return x | y; });
    case OpCode::kLt:
      return each([](int64_t x, int64_t y, int64_t) { return int64_t(x < y); });
    case OpCode::kLe:
      return each([](int64_t x, int64_t y, int64_t) { return int64_t(x <= y); });
    case OpCode::kGt:
      return each([](int64_t x, int64_t y, int64_t) { return int64_t(x > y); });
    case OpCode::kGe:
      return each([](int64_t x, int64_t y, int64_t) { return int64_t(x >= y); });
    case OpCode::kEq:
      return each([](int64_t x, int64_t y, int64_t) { return int64_t(x == y); });
    case OpCode::kNe:
      return each([](int64_t x, int64_t y, int64_t) { return int64_t(x != y); });
    case OpCode::kNot:
      return each([](int64_t x, int64_t, int64_t) { return int64_t(x == 0); });
    case OpCode::kSelect:
    case OpCode::kIf:
      return each([](int64_t x, int64_t y, int64_t z) { return x != 0 ? y : z; });
    default:  // an integer cast
      return each([](int64_t x, int64_t, int64_t) { return x; });
  }
}

}  // namespace tilescale::analysis
