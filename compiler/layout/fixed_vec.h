// SPDX-License-Identifier: MIT
// A vector with inline storage and a fixed capacity. Layouts are values of plain integers; nothing
// in them is on the heap. A push beyond the capacity is remembered instead of written, and the
// layout builder turns it into a refusal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <type_traits>

namespace tilescale {

template <class T, int kCapacity>
class FixedVec {
  static_assert(std::is_trivially_destructible_v<T>);

 public:
  constexpr FixedVec() {}  // the storage beyond size() stays unset: layouts are made often
  constexpr FixedVec(std::initializer_list<T> items) {
    for (const T& x : items) push_back(x);
  }
  explicit FixedVec(std::span<const T> items) {
    for (const T& x : items) push_back(x);
  }
  // Copies only what is used: most layouts fill a fraction of their storage.
  constexpr FixedVec(const FixedVec& o) { Assign(o); }
  constexpr FixedVec& operator=(const FixedVec& o) {
    if (this != &o) Assign(o);
    return *this;
  }

  constexpr void push_back(const T& x) {
    if (size_ < kCapacity) {
      std::construct_at(items_ + size_++, x);
    } else {
      overflowed_ = true;
    }
  }
  constexpr void pop_back() { --size_; }
  constexpr void clear() { size_ = 0; }
  constexpr void resize(int n) { size_ = n; }  // n <= size(): cuts
  constexpr void insert(int at, const T& x) {
    push_back(x);
    if (overflowed_) return;
    for (int i = size_ - 1; i > at; --i) items_[i] = items_[i - 1];
    items_[at] = x;
  }
  constexpr void erase(int at) {
    for (int i = at; i + 1 < size_; ++i) items_[i] = items_[i + 1];
    --size_;
  }

  constexpr int size() const { return size_; }
  constexpr bool empty() const { return size_ == 0; }
  constexpr bool overflowed() const { return overflowed_; }
  constexpr T& operator[](int i) { return items_[i]; }
  constexpr const T& operator[](int i) const { return items_[i]; }
  constexpr T& back() { return items_[size_ - 1]; }
  constexpr const T& back() const { return items_[size_ - 1]; }
  constexpr T* begin() { return items_; }
  constexpr T* end() { return items_ + size_; }
  constexpr const T* begin() const { return items_; }
  constexpr const T* end() const { return items_ + size_; }
  constexpr operator std::span<const T>() const { return {items_, size_t(size_)}; }

  constexpr bool operator==(const FixedVec& o) const {
    if (size_ != o.size_) return false;
    for (int i = 0; i < size_; ++i) {
      if (!(items_[i] == o.items_[i])) return false;
    }
    return true;
  }

 private:
  constexpr void Assign(const FixedVec& o) {
    size_ = o.size_;
    overflowed_ = o.overflowed_;
    for (int i = 0; i < size_; ++i) std::construct_at(items_ + i, o.items_[i]);
  }

  union {
    T items_[kCapacity];
  };
  int32_t size_ = 0;
  bool overflowed_ = false;
};

}  // namespace tilescale
