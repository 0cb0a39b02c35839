// SPDX-License-Identifier: MIT
// A value, or the reason why there is none. What may legitimately be refused (an algorithm that is
// exact or declines, a choice that does not fit) is an ordinary answer that explain() prints, so it
// is a value and not an exception.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace tilescale {

struct Refusal {
  std::string reason;
};

template <class T>
class [[nodiscard]] Expected {
 public:
  Expected(T value) : state_(std::move(value)) {}            // NOLINT: implicit by design
  Expected(Refusal refusal) : state_(std::move(refusal)) {}  // NOLINT: implicit by design

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // Only after ok().
  const T& operator*() const& { return *std::get_if<T>(&state_); }
  T& operator*() & { return *std::get_if<T>(&state_); }
  T&& operator*() && { return std::move(*std::get_if<T>(&state_)); }
  const T* operator->() const { return std::get_if<T>(&state_); }
  T* operator->() { return std::get_if<T>(&state_); }

  // Only after !ok().
  const std::string& reason() const { return std::get_if<Refusal>(&state_)->reason; }
  Refusal refusal() const { return *std::get_if<Refusal>(&state_); }

 private:
  std::variant<T, Refusal> state_;
};

// lhs = value of expr, or return its refusal from the enclosing function. `lhs` may declare.
#define TS_CONCAT_(a, b) a##b
#define TS_CONCAT(a, b) TS_CONCAT_(a, b)
#define TS_TRY_(held, lhs, expr)         \
  auto held = (expr);                    \
  if (!held.ok()) return held.refusal(); \
  lhs = *std::move(held)
#define TS_TRY(lhs, expr) TS_TRY_(TS_CONCAT(ts_try_, __LINE__), lhs, expr)

}  // namespace tilescale
