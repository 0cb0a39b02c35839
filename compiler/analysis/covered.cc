// SPDX-License-Identifier: MIT
#include "compiler/analysis/covered.h"

#include "compiler/arith/analyzer.h"
#include "compiler/ir/build.h"
#include "compiler/ir/numeric.h"
#include "compiler/target/target.h"

#include <algorithm>
#include <numeric>

namespace tilescale::analysis {

using namespace ir;  // NOLINT

namespace {

constexpr int64_t kMaxPoints = int64_t(1) << 18;  // of one place
constexpr int32_t kNobody = -1, kSeveral = -2;

// An integer expression as a list of operations, each evaluated for all threads at once.
class Program {
 public:
  Program(const Place& place) : place_(place), width_(static_cast<size_t>(place.threads.count)) {
    root_ = Compile(place.index);
  }
  bool ok() const { return ok_; }

  // The index at each thread, the loops standing at `at`.
  const std::vector<int64_t>& Run(const std::vector<int64_t>& at) {
    for (Step& s : steps_) Evaluate(&s, at);
    return steps_[root_].value;
  }

 private:
  struct Step {
    OpCode op = OpCode::kAdd;
    int kind = 0;  // 0 operation, 1 constant or thread (filled once), 2 loop
    int a = -1, b = -1, c = -1;
    size_t loop = 0;
    std::vector<int64_t> value;
  };

  int Push(Step s) {
    s.value.resize(width_);
    steps_.push_back(std::move(s));
    return static_cast<int>(steps_.size()) - 1;
  }

  int Fill(const std::function<int64_t(int64_t)>& f) {
    Step s;
    s.kind = 1;
    int id = Push(std::move(s));
    for (size_t i = 0; i < width_; ++i)
      steps_[id].value[i] = f(place_.threads.first + static_cast<int64_t>(i));
    return id;
  }

  int Compile(const Expr& e) {
    if (auto it = known_.find(e.get()); it != known_.end()) return it->second;
    int id = Make(e);
    known_[e.get()] = id;
    return id;
  }

  int Make(const Expr& e) {
    if (auto c = AsInt(e)) return Fill([&](int64_t) { return *c; });
    if (const auto* v = e.as<VarObj>()) return Variable(v);
    const auto* op = e.as<OpObj>();
    if (op == nullptr || op->dtype.lanes > 1 || op->args.empty() || !Known(op)) {
      ok_ = false;
      return Fill([](int64_t) { return 0; });
    }
    Step s;
    s.op = op->op();
    s.a = Compile(op->args[0]);
    if (op->args.size() > 1) s.b = Compile(op->args[1]);
    if (op->args.size() > 2) s.c = Compile(op->args[2]);
    return Push(std::move(s));
  }

  int Variable(const VarObj* v) {
    const Threads& t = place_.threads;
    if (v == t.vars[0]) return Fill([&](int64_t i) { return i % t.wide; });
    if (v == t.vars[1]) return Fill([&](int64_t i) { return i / t.wide % t.high; });
    if (v == t.vars[2]) return Fill([&](int64_t i) { return i / t.wide / t.high; });
    for (size_t i = 0; i < place_.loops.size(); ++i) {
      if (place_.loops[i].var != v) continue;
      Step s;
      s.kind = 2;
      s.loop = i;
      return Push(std::move(s));
    }
    return Fill([](int64_t) { return 0; });  // the same for all threads
  }

  static bool Known(const OpObj* op) {
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
      case OpCode::kEq:
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

  void Evaluate(Step* s, const std::vector<int64_t>& at) {
    if (s->kind == 1) return;
    std::vector<int64_t>& out = s->value;
    if (s->kind == 2) {
      std::fill(out.begin(), out.end(), at[s->loop]);
      return;
    }
    const int64_t* a = steps_[s->a].value.data();
    const int64_t* b = s->b < 0 ? a : steps_[s->b].value.data();
    const int64_t* c = s->c < 0 ? a : steps_[s->c].value.data();
    auto each = [&](auto f) {
      for (size_t i = 0; i < width_; ++i) out[i] = f(a[i], b[i], c[i]);
    };
    auto floor = [](int64_t x, int64_t y) { return y == 0 ? 0 : FloorDivInt(x, y); };
    switch (s->op) {
      case OpCode::kAdd:
        return each([](int64_t x, int64_t y, int64_t) { return x + y; });
      case OpCode::kSub:
        return each([](int64_t x, int64_t y, int64_t) { return x - y; });
      case OpCode::kMul:
        return each([](int64_t x, int64_t y, int64_t) { return x * y; });
      case OpCode::kFloorDiv:
        return each([&](int64_t x, int64_t y, int64_t) { return floor(x, y); });
      case OpCode::kFloorMod:
        return each([&](int64_t x, int64_t y, int64_t) { return x - floor(x, y) * y; });
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
      case OpCode::kEq:
        return each([](int64_t x, int64_t y, int64_t) { return int64_t(x == y); });
      case OpCode::kSelect:
      case OpCode::kIf:
        return each([](int64_t x, int64_t y, int64_t z) { return x != 0 ? y : z; });
      default:  // an integer cast
        return each([](int64_t x, int64_t, int64_t) { return x; });
    }
  }

  const Place& place_;
  size_t width_;
  bool ok_ = true;
  int root_ = 0;
  std::vector<Step> steps_;
  std::unordered_map<const NodeObj*, int> known_;
};

// Calls f(thread, index) for each thread and each point of the loops; false: not enumerable.
template <typename F>
bool ForEachPoint(const Place& p, int64_t cost, const F& f) {
  if (!p.bounded || p.count == Place::kUnknown) return false;
  int64_t points = 1;
  for (const Place::Loop& l : p.loops) {
    points *= std::max<int64_t>(1, l.extent);
    if (points > kMaxPoints) return false;
  }
  if (points * p.threads.count * std::max<int64_t>(1, cost) > kMaxPoints) return false;
  Program program(p);
  if (!program.ok()) return false;
  std::vector<int64_t> at;
  at.reserve(p.loops.size());
  for (const Place::Loop& l : p.loops) at.push_back(l.begin);
  for (int64_t n = 0; n < points; ++n) {
    const std::vector<int64_t>& index = program.Run(at);
    for (size_t t = 0; t < index.size(); ++t)
      f(p.threads.first + static_cast<int64_t>(t), index[t]);
    for (size_t i = 0; i < at.size(); ++i) {
      if (++at[i] < p.loops[i].begin + p.loops[i].extent) break;
      at[i] = p.loops[i].begin;
    }
  }
  return true;
}

// Bytes of two places that two different threads touch.
Cover CompareOwners(const Place& a, const Place& b) {
  const Place::Owners *x = a.owners(), *y = b.owners();
  if (x == nullptr || y == nullptr) return Cover::kBlock;
  int64_t g = std::min(x->granule, y->granule);
  size_t n = std::min(x->by.size() * x->granule, y->by.size() * y->granule) / g;
  Cover worst = Cover::kNothing;
  for (size_t i = 0; i < n; ++i) {
    int32_t p = x->by[i * g / x->granule], q = y->by[i * g / y->granule];
    if (p == kNobody || q == kNobody) continue;
    if (p == q && p >= 0) continue;
    if (p < 0 || q < 0 || p / target::Arch::kWarpSize != q / target::Arch::kWarpSize)
      return Cover::kBlock;
    worst = Cover::kWarp;
  }
  return worst;
}

}  // namespace

const Place::Owners* Place::owners() const {
  if (enumerated_) return owners_.get();
  enumerated_ = true;
  auto out = std::make_shared<Owners>();
  int64_t width = count * elem_bytes;
  out->granule = std::min<int64_t>(std::gcd<int64_t>(width, 16), 16);
  out->by.assign(bytes / out->granule + 1, kNobody);
  auto size = static_cast<int64_t>(out->by.size());
  bool done = ForEachPoint(*this, width / 16, [&](int64_t thread, int64_t at) {
    int64_t begin = at * elem_bytes, end = begin + width;
    for (int64_t g = begin / out->granule; g < (end + out->granule - 1) / out->granule; ++g) {
      if (g < 0 || g >= size) continue;
      int32_t& owner = out->by[g];
      auto t = static_cast<int32_t>(thread);
      owner = owner == kNobody || owner == t ? t : kSeveral;
    }
  });
  if (done) owners_ = out;
  return owners_.get();
}

bool Place::own() const {
  if (own_) return *own_;
  std::vector<std::pair<int64_t, int64_t>> touched;  // element, thread
  bool done = ForEachPoint(*this, count, [&](int64_t thread, int64_t at) {
    for (int64_t i = 0; i < count; ++i) touched.emplace_back(at + i, thread);
  });
  std::sort(touched.begin(), touched.end());
  for (size_t i = 1; done && i < touched.size(); ++i) {
    if (touched[i].first == touched[i - 1].first && touched[i].second != touched[i - 1].second)
      done = false;
  }
  own_ = done;
  return done;
}

Cover Coverage::Needed(const Access& a, const Access& b) {
  if (a.one && b.one) return Cover::kNothing;  // of the same thread
  if ((a.acquire && !b.shared) || (b.release && !a.shared)) return Cover::kBlock;
  if (!a.write && !b.write) return Cover::kNothing;
  if (a.atomic && b.atomic) return Cover::kNothing;
  if (a.shared != b.shared) return Cover::kNothing;
  if (a.storage != b.storage) {
    if (!a.shared) return Cover::kNothing;  // parameters do not alias
    bool apart = a.base + a.bytes <= b.base || b.base + b.bytes <= a.base;
    return apart ? Cover::kNothing : Cover::kBlock;
  }
  if (a.token != nullptr && a.token == b.token) {
    int64_t depth = a.token->depth, distance = a.slot - b.slot;
    if ((distance % depth + depth) % depth != 0) return Cover::kNothing;
  }
  if (!a.shared) {
    bool same = a.place == b.place && !a.atomic && !b.atomic && a.place->own();
    return same ? Cover::kNothing : Cover::kBlock;
  }
  auto [it, fresh] = known_.try_emplace({a.place.get(), b.place.get()}, Cover::kNothing);
  if (fresh) it->second = CompareOwners(*a.place, *b.place);
  return it->second;
}

}  // namespace tilescale::analysis
