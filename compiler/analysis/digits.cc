// SPDX-License-Identifier: MIT
#include "compiler/analysis/digits.h"

#include "compiler/ir/text.h"
#include "compiler/ir/visit.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <unordered_set>

namespace tilescale::analysis {

using namespace ir;  // NOLINT
namespace {

struct Digit {
  Expr value;
  int64_t factor;
  arith::Interval range;
  bool of_thread;
  int64_t reach() const { return factor * (range.hi - range.lo); }
};

// A guard that says of a sum of digits that it is below a limit.
struct Limit {
  std::vector<size_t> digits;
  int64_t reach;  // how far the sum goes
};

enum class Depends { kOnThread, kOnOthers, kOnBoth };

Depends WhatDecides(const Expr& e, const Threads& threads) {
  bool thread = false, others = false;
  WalkOnce(e, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kVar) {
      bool of_thread = n == threads.vars[0] || n == threads.vars[1] || n == threads.vars[2];
      (of_thread ? thread : others) = true;
    } else if (n->kind == NodeKind::kLoad) {
      others = true;
    } else if (n->kind == NodeKind::kOp) {
      OpCode op = static_cast<const OpObj*>(n)->op();
      thread = thread || op == OpCode::kLaneId || op == OpCode::kWarpId;
    }
    return true;
  });
  if (!thread) return Depends::kOnOthers;
  return others ? Depends::kOnBoth : Depends::kOnThread;
}

class Sum {
 public:
  Sum(const Threads& threads, arith::Analyzer* analyzer) : threads_(threads), analyzer_(analyzer) {}

  // False: the index is no such sum.
  bool Take(const Expr& index) {
    if (!AddDigits(index, 1)) return false;
    std::stable_sort(digits_.begin(), digits_.end(),
                     [](const Digit& a, const Digit& b) { return a.factor < b.factor; });
    return true;
  }

  void Bound(const Expr& guard) {
    const auto* op = guard.as<OpObj>();
    if (op == nullptr) return;
    if (op->op() == OpCode::kAnd) {
      for (const Expr& part : op->args) Bound(part);
      return;
    }
    const bool strict = op->op() == OpCode::kLt;
    if ((!strict && op->op() != OpCode::kLe) || !IsInteger(op->args[0].dtype())) return;
    arith::LinearForm room = analyzer_->Linear(Sub(op->args[1], op->args[0]));
    if (room.overflow) return;
    // Σ factor · digit - lost <= scale · room, where of a digit that is divided the rest is lost.
    Limit limit{{}, 0};
    int64_t scale = 0, least = 0, lost = 0, step = 0;
    for (const std::pair<Expr, int64_t>& term : room.terms) {
      std::optional<size_t> at = Find(term.first);
      int64_t parts = 1;
      if (const auto* div = term.first.as<OpObj>(); !at && div && div->op() == OpCode::kFloorDiv) {
        at = Find(div->args[0]);
        parts = AsInt(div->args[1]).value_or(0);
        if (!at || parts <= 0 || digits_[*at].range.lo != 0) return;
      }
      if (!at || term.second >= 0 || !IsNear(digits_[*at]) || parts > kMaxParts) return;
      if (std::find(limit.digits.begin(), limit.digits.end(), *at) != limit.digits.end()) return;
      const Digit& d = digits_[*at];
      const int64_t own = d.factor * parts / -term.second;
      if (d.factor * parts % term.second != 0 || (scale != 0 && own != scale)) return;
      scale = own;
      least += d.factor * d.range.lo;
      lost += d.factor * (parts - 1);
      step = std::gcd(step, d.factor);
      limit.digits.push_back(*at);
    }
    if (limit.digits.empty() || std::abs(room.constant) > kFar / scale) return;
    limit.reach = scale * (room.constant - (strict ? 1 : 0)) + lost - least;
    if (limit.reach < 0) return;
    limit.reach = limit.reach / step * step;
    limits_.push_back(std::move(limit));
  }

  // Is every digit's factor more than what stands below it reaches? Above the last digit of the
  // threads it is enough that all are multiples of what is more.
  bool Separate(int64_t count) {
    reach_ = count - 1;
    for (below_ = 0; below_ < digits_.size(); ++below_) {
      above_ = FactorAbove();
      if (above_ > reach_) return true;
      const Digit& d = digits_[below_];
      if (d.factor <= reach_ || !IsNear(d)) return false;
      reach_ += d.reach();
      for (const Limit& limit : limits_) reach_ = std::min(reach_, ReachWith(limit, count));
    }
    above_ = 0;
    return true;
  }

  // Do the digits of any two threads differ?
  bool TellThreads() const {
    Expr sum = MakeConst(0, Int(64));
    for (const Digit& d : digits_) {
      if (d.of_thread) sum = Add(sum, Mul(Cast(d.value, Int(64)), MakeConst(d.factor, Int(64))));
    }
    LaneProgram program(threads_, sum, [](const VarObj*) { return Meaning{}; });
    if (!program.exact()) return false;
    program.Run({});
    std::unordered_set<int64_t> seen;
    for (size_t t = 0; t < static_cast<size_t>(threads_.count); ++t) {
      if (!seen.insert(program.value(t)).second) return false;
    }
    return true;
  }

  // Behind Separate.
  Digits Result() const {
    std::string text = std::to_string(threads_.first) + "+" + std::to_string(threads_.count) + ":";
    for (size_t i = 0; i < below_; ++i) {
      const Digit& d = digits_[i];
      text += " " + std::to_string(d.factor) + "*" +
              (d.of_thread ? Print(d.value) : std::to_string(d.range.lo));
    }
    const int64_t rest = above_ == 0 ? constant_ : (constant_ % above_ + above_) % above_;
    return {text + " + " + std::to_string(rest), above_, reach_};
  }

 private:
  // Farther than any index; sums of some stay in an int64.
  static constexpr int64_t kFar = int64_t{1} << 48;
  static constexpr int64_t kMaxFactor = int64_t{1} << 40, kMaxParts = int64_t{1} << 20;
  static bool IsNear(const Digit& d) {
    return d.range.lo >= -kFar / d.factor && d.range.hi <= kFar / d.factor;
  }

  bool AddDigits(const Expr& e, int64_t factor) {
    arith::LinearForm form = analyzer_->Linear(e);
    if (form.overflow || std::abs(form.constant) > kFar / factor) return false;
    constant_ += factor * form.constant;
    for (const std::pair<Expr, int64_t>& term : form.terms) {
      if (term.second <= 0 || term.second > kMaxFactor / factor) return false;
      const auto* op = term.first.as<OpObj>();
      const int64_t own = factor * term.second;
      if (op != nullptr && op->op() == OpCode::kCast && IsInteger(op->args[0].dtype()) &&
          op->dtype.bits >= op->args[0].dtype().bits) {
        if (!AddDigits(op->args[0], own)) return false;
        continue;
      }
      Depends on = WhatDecides(term.first, threads_);
      if (on == Depends::kOnBoth) return false;
      if (auto at = Find(term.first)) {
        digits_[*at].factor += own;
      } else {
        digits_.push_back(
            {term.first, own, analyzer_->Bounds(term.first), on == Depends::kOnThread});
      }
    }
    return true;
  }

  std::optional<size_t> Find(const Expr& value) const {
    for (size_t i = 0; i < digits_.size(); ++i) {
      if (SameExpr(digits_[i].value, value)) return i;
    }
    return std::nullopt;
  }

  // What divides the factors of all digits that are left, which no thread decides; else 0.
  int64_t FactorAbove() const {
    int64_t factor = 0;
    for (size_t i = below_; i < digits_.size(); ++i) {
      if (digits_[i].of_thread) return 0;
      factor = std::gcd(factor, digits_[i].factor);
    }
    return factor;
  }

  // How far the digits up to this one reach together, if the limit is of some of them.
  int64_t ReachWith(const Limit& limit, int64_t count) const {
    int64_t reach = count - 1 + limit.reach;
    for (size_t i : limit.digits) {
      if (i > below_) return arith::Interval::kMax;
    }
    for (size_t i = 0; i <= below_; ++i) {
      if (std::find(limit.digits.begin(), limit.digits.end(), i) == limit.digits.end())
        reach += digits_[i].reach();
    }
    return reach;
  }

  const Threads& threads_;
  arith::Analyzer* analyzer_;
  std::vector<Digit> digits_;
  std::vector<Limit> limits_;
  int64_t constant_ = 0;
  size_t below_ = 0;  // digits that Separate has seen
  int64_t above_ = 0, reach_ = 0;
};

}  // namespace

Digits DigitsOf(const Expr& index, int64_t count, const std::vector<Expr>& guards,
                const Threads& threads, arith::Analyzer* analyzer) {
  Sum sum(threads, analyzer);
  if (!sum.Take(index)) return {};
  for (const Expr& g : guards) sum.Bound(g);
  return sum.Separate(count) && sum.TellThreads() ? sum.Result() : Digits();
}

bool DigitsDiffer(const Digits& a, const Digits& b) {
  if (a.text.empty() || a.text != b.text) return false;
  const int64_t above = std::gcd(a.above, b.above);
  return above == 0 || above > std::max(a.reach, b.reach);
}

}  // namespace tilescale::analysis
