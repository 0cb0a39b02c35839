// SPDX-License-Identifier: MIT
// Names that every file of the simulator uses.
#pragma once

#include <cstdint>
#include <utility>

namespace tilescale::sim {

using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;

struct Dim3 {
  u32 x = 1, y = 1, z = 1;
  u64 Count() const { return u64{x} * y * z; }
};

// Same values as ts::Scope and ts::Sem of the twin headers (checked in ptx/ldst.cc).
enum class Scope : u8 { kCta = 0, kCluster = 1, kGpu = 2, kSys = 3 };
enum class Sem : u8 { kWeak, kRelaxed, kAcquire, kRelease, kAcqRel, kVolatile };

inline bool Acquires(Sem s) {
  return s == Sem::kAcquire || s == Sem::kAcqRel;
}
inline bool Releases(Sem s) {
  return s == Sem::kRelease || s == Sem::kAcqRel;
}

// Intrusive reference of one thread: what it points to has a member `refs`.
template <class T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(T* p) : p_(p) {
    if (p_) ++p_->refs;
  }
  Ref(const Ref& o) : Ref(o.p_) {}
  Ref(Ref&& o) noexcept : p_(o.p_) { o.p_ = nullptr; }
  Ref& operator=(Ref o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  ~Ref() {
    if (p_ && --p_->refs == 0) delete p_;
  }
  T* get() const { return p_; }
  T* operator->() const { return p_; }
  T& operator*() const { return *p_; }
  explicit operator bool() const { return p_ != nullptr; }

 private:
  T* p_ = nullptr;
};

}  // namespace tilescale::sim
