// SPDX-License-Identifier: MIT
// What kind of number a float is, from its bits: the same on the machine and on the simulator.
#pragma once
#include <tilescale/numeric/types.cuh>

namespace ts {

TS_DEVICE bool isnan(float x) {
  return (bits<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}
TS_DEVICE bool isinf(float x) {
  return (bits<u32>(x) & 0x7fffffffu) == 0x7f800000u;
}
TS_DEVICE bool isfinite(float x) {
  return (bits<u32>(x) & 0x7fffffffu) < 0x7f800000u;
}
TS_DEVICE bool isnan(double x) {
  return (bits<u64>(x) << 1) > 0xffe0000000000000ull;
}
TS_DEVICE bool isinf(double x) {
  return (bits<u64>(x) << 1) == 0xffe0000000000000ull;
}
TS_DEVICE bool isfinite(double x) {
  return (bits<u64>(x) << 1) < 0xffe0000000000000ull;
}
TS_DEVICE bool isnan(f16 x) {
  return (x.x & 0x7fff) > 0x7c00;
}
TS_DEVICE bool isinf(f16 x) {
  return (x.x & 0x7fff) == 0x7c00;
}
TS_DEVICE bool isfinite(f16 x) {
  return (x.x & 0x7fff) < 0x7c00;
}
TS_DEVICE bool isnan(bf16 x) {
  return (x.x & 0x7fff) > 0x7f80;
}
TS_DEVICE bool isinf(bf16 x) {
  return (x.x & 0x7fff) == 0x7f80;
}
TS_DEVICE bool isfinite(bf16 x) {
  return (x.x & 0x7fff) < 0x7f80;
}

}  // namespace ts
