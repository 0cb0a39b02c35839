// SPDX-License-Identifier: MIT
// Checks that the host compiler puts into kernel text (-fsanitize=…, sim/compile.cc): divisions of
// integers without a result, and indices of per-thread arrays. It believes in its own runtime, and
// we are it; the layout of the records is that of GCC and clang.
#include "sim/core.h"
#include "sim/module.h"
#include "sim/report.h"

#include <cstdlib>
#include <cstring>

#define TS_UBSAN extern "C" __attribute__((visibility("default")))

namespace tilescale::sim {
namespace {

struct SourceLocation {
  const char* file;
  u32 line, column;
};

struct TypeDescriptor {
  u16 kind, info;  // of an integer: twice the logarithm of its bits, and 1 if it is signed
  char name[1];    // "'int [4]'"

  bool is_signed() const { return info & 1; }
  u32 bits() const { return 1u << (info >> 1); }
};

struct DivisionData {
  SourceLocation location;
  const TypeDescriptor* type;
};

struct BoundsData {
  SourceLocation location;
  const TypeDescriptor *array, *index;
};

// A value of at most 64 bits, which is passed as it is.
long Number(const TypeDescriptor& type, u64 value) {
  const u32 unused = type.bits() < 64 ? 64 - type.bits() : 0;
  return type.is_signed() ? long(value << unused) >> unused : long(value << unused >> unused);
}

std::string ValueText(const TypeDescriptor& type, u64 value) {
  const long number = Number(type, value);
  return type.is_signed() ? std::to_string(number) : std::to_string(u64(number));
}

Fiber& Enter(void* return_address) {
  Fiber& f = *current;
  f.site = u32(u64(return_address) - code_bias);
  return f;
}

[[noreturn]] void BadDivision(const DivisionData& data, u64 left, u64 right, void* from) {
  Fiber& f = Enter(from);
  const TypeDescriptor& type = *data.type;
  std::string text = Number(type, right) == 0
                         ? "integer division of " + ValueText(type, left) + " by zero"
                         : "integer division of " + ValueText(type, left) + " by " +
                               ValueText(type, right) + ": the quotient does not fit int" +
                               std::to_string(type.bits());
  Fail(FaultReport(text, f));
}

[[noreturn]] void BadIndex(const BoundsData& data, u64 index, void* from) {
  Fiber& f = Enter(from);
  const char* extent = std::strrchr(data.array->name, '[');
  const u64 count = extent ? std::strtoull(extent + 1, nullptr, 10) : 0;
  const Launch& launch = *f.cta->launch;
  Fail(LocalBoundsReport(launch.module->LocalOf(launch.info.entry, count),
                         Number(*data.index, index), f));
}

}  // namespace
}  // namespace tilescale::sim

TS_UBSAN void __ubsan_handle_divrem_overflow(void* data, unsigned long left, unsigned long right) {
  namespace sim = tilescale::sim;
  sim::BadDivision(*static_cast<const sim::DivisionData*>(data), left, right,
                   __builtin_return_address(0));
}

TS_UBSAN void __ubsan_handle_out_of_bounds(void* data, unsigned long index) {
  namespace sim = tilescale::sim;
  sim::BadIndex(*static_cast<const sim::BoundsData*>(data), index, __builtin_return_address(0));
}
