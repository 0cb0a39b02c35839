// SPDX-License-Identifier: MIT
// Strong loads and stores, atomics: twins of ptx/ldst.cuh and ptx/atomic.cuh.
#include "sim/collective.h"
#include "sim/core.h"
#include "sim/report.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <tilescale/ptx/atomic.cuh>
#include <tilescale/ptx/ldst.cuh>

namespace sim = tilescale::sim;
using sim::current;
using sim::u32;
using sim::u64;

static_assert(int(ts::Scope::cta) == int(sim::Scope::kCta));
static_assert(int(ts::Scope::cluster) == int(sim::Scope::kCluster));
static_assert(int(ts::Scope::gpu) == int(sim::Scope::kGpu));
static_assert(int(ts::Scope::sys) == int(sim::Scope::kSys));
static_assert(int(ts::Sem::weak) == int(sim::Sem::kWeak));
static_assert(int(ts::Sem::relaxed) == int(sim::Sem::kRelaxed));
static_assert(int(ts::Sem::acquire) == int(sim::Sem::kAcquire));
static_assert(int(ts::Sem::release) == int(sim::Sem::kRelease));
static_assert(int(ts::Sem::acq_rel) == int(sim::Sem::kAcqRel));
static_assert(int(ts::Sem::volatile_) == int(sim::Sem::kVolatile));

namespace {

using ts::ptx::detail::Op;
using ts::ptx::detail::Type;

// A value of `Storage` bits in arithmetic of `Value`.
template <class Value, class Storage>
struct Plain {
  static Value From(u64 bits) { return std::bit_cast<Value>(Storage(bits)); }
  static u64 To(Value v) { return u64(std::bit_cast<Storage>(v)); }
};
struct Half {
  static float From(u64 bits) { return ts::cast<float>(ts::f16{ts::u16(bits)}); }
  static u64 To(float v) { return std::bit_cast<ts::u16>(ts::cast<ts::f16>(v)); }
};
struct Bfloat {
  static float From(u64 bits) { return ts::cast<float>(ts::bf16{ts::u16(bits)}); }
  static u64 To(float v) { return std::bit_cast<ts::u16>(ts::cast<ts::bf16>(v)); }
};

template <class Format>
struct Arithmetic {
  using V = decltype(Format::From(0));
  static u64 Add(u64 a, u64 b, u32) {
    if constexpr (std::is_integral_v<V>) {
      return a + b;
    } else {
      return Format::To(Format::From(a) + Format::From(b));
    }
  }
  // As fmin and fmax: a NaN is ignored.
  static u64 Min(u64 a, u64 b, u32) {
    V x = Format::From(a), y = Format::From(b);
    if constexpr (!std::is_integral_v<V>) {
      if (x != x) return b;
    }
    return y < x ? b : a;
  }
  static u64 Max(u64 a, u64 b, u32) {
    V x = Format::From(a), y = Format::From(b);
    if constexpr (!std::is_integral_v<V>) {
      if (x != x) return b;
    }
    return y > x ? b : a;
  }
};

u64 And(u64 a, u64 b, u32) {
  return a & b;
}
u64 Or(u64 a, u64 b, u32) {
  return a | b;
}
u64 Xor(u64 a, u64 b, u32) {
  return a ^ b;
}
u64 Exchange(u64, u64 b, u32) {
  return b;
}

using Update = u64 (*)(u64, u64, u32);

template <class Format>
Update Pick(int op) {
  if (op == Op::kAdd) return Arithmetic<Format>::Add;
  return op == Op::kMin ? Arithmetic<Format>::Min : Arithmetic<Format>::Max;
}

Update UpdateOf(int op, int type, u32 bytes) {
  switch (op) {
    case Op::kAnd:
      return And;
    case Op::kOr:
      return Or;
    case Op::kXor:
      return Xor;
    case Op::kExch:
    case Op::kCas:
      return Exchange;
    default:
      break;
  }
  const bool wide = bytes == 8;
  switch (type) {
    case Type::kUnsigned:
      return wide ? Pick<Plain<u64, u64>>(op) : Pick<Plain<u32, u32>>(op);
    case Type::kSigned:
      return wide ? Pick<Plain<long, u64>>(op) : Pick<Plain<int, u32>>(op);
    case Type::kFloat:
      return wide ? Pick<Plain<double, u64>>(op) : Pick<Plain<float, u32>>(op);
    case Type::kHalf:
      return Pick<Half>(op);
    default:
      return Pick<Bfloat>(op);
  }
}

sim::StrongAccess Access(void* p, u32 bytes, sim::Op op, int sem, int scope) {
  sim::StrongAccess a;
  a.address = static_cast<sim::u8*>(p);
  a.bytes = bytes;
  a.op = op;
  a.sem = sim::Sem(sem);
  a.scope = sim::Scope(scope);
  if (a.sem == sim::Sem::kVolatile) {  // "Volatile Operations": relaxed, system scope
    a.sem = sim::Sem::kRelaxed;
    a.scope = sim::Scope::kSys;
  }
  return a;
}

void CheckPlace(const void* p, u32 bytes) {
  if (u64(p) & (bytes - 1)) {
    sim::Fail(sim::AlignmentReport(static_cast<const sim::u8*>(p), bytes, bytes, *current));
  }
}

void CheckWeak(void* p, u32 bytes, sim::u8 flags) {
  CheckPlace(p, bytes);
  sim::CheckAccess(static_cast<sim::u8*>(p), bytes, flags, *current);
}

}  // namespace

void ts_sim_check_place(const void* p, ts_u32 bytes) {
  TS_SIM_ENTER();
  CheckPlace(p, bytes);
}

ts_u64 ts_sim_ld(const void* p, ts_u32 bytes, int sem, int scope) {
  TS_SIM_ENTER();
  void* at = const_cast<void*>(p);
  if (sim::Sem(sem) != sim::Sem::kWeak) {
    return sim::Strong(*current, Access(at, bytes, sim::Op::kLoad, sem, scope));
  }
  CheckWeak(at, bytes, 0);
  u64 bits = 0;
  std::memcpy(&bits, p, bytes);
  return bits;
}

void ts_sim_st(void* p, ts_u32 bytes, ts_u64 bits, int sem, int scope) {
  TS_SIM_ENTER();
  if (sim::Sem(sem) == sim::Sem::kWeak) {
    CheckWeak(p, bytes, sim::kWrite);
    std::memcpy(p, &bits, bytes);
    return;
  }
  sim::StrongAccess a = Access(p, bytes, sim::Op::kStore, sem, scope);
  a.operand = bits;
  sim::Strong(*current, a);
}

ts_u64 ts_sim_atom(void* p, ts_u32 bytes, int op, int type, ts_u64 bits, ts_u64 expected, int sem,
                   int scope) {
  TS_SIM_ENTER();
  auto a = Access(p, bytes, op == Op::kCas ? sim::Op::kCas : sim::Op::kRmw, sem, scope);
  a.operand = bits;
  a.expected = expected;
  a.update = UpdateOf(op, type, bytes);
  return sim::Strong(*current, a);
}

void ts_sim_red(void* p, ts_u32 bytes, int op, int type, const void* values, ts_u32 elements,
                int sem, int scope) {
  TS_SIM_ENTER();
  auto* at = static_cast<sim::u8*>(p);
  // A vector is its elements, but its address is that of the whole.
  CheckPlace(at, bytes * elements);
  for (u32 i = 0; i < elements; ++i) {
    auto a = Access(at + i * bytes, bytes, sim::Op::kReduce, sem, scope);
    std::memcpy(&a.operand, static_cast<const sim::u8*>(values) + i * bytes, bytes);
    a.update = UpdateOf(op, type, bytes);
    sim::Strong(*current, a);
  }
}
