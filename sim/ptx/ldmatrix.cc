// SPDX-License-Identifier: MIT
// ldmatrix and stmatrix (twin of ptx/ldmatrix.cuh).
#include "sim/collective.h"

#include <cstring>
#include <tilescale/ptx/ldmatrix.cuh>

namespace tilescale::sim {
namespace {

constexpr u32 kRowBytes = 16;  // eight elements of 16 bits

struct Lane {
  u32* registers;
  u8* row;
};

// Lane 8m+r has row r of matrix m. Lane l's register m holds row l/4, columns 2(l%4) and +1.
template <u32 kMatrices, bool kTranspose>
void Load(const Lanes& lanes) {
  u16 matrix[kMatrices * 8][8];
  for (u32 l = 0; l < kMatrices * 8; ++l) {
    const u8* row = lanes.As<Lane>(l).row;
    lanes.Read(l, row, kRowBytes, kRowBytes);
    std::memcpy(matrix[l], row, kRowBytes);
  }
  for (u32 l = 0; l < 32; ++l) {
    const u32 row = l / 4, column = l % 4 * 2;
    for (u32 m = 0; m < kMatrices; ++m) {
      const u16(*rows)[8] = matrix + 8 * m;
      lanes.As<Lane>(l).registers[m] = kTranspose
                                           ? rows[column][row] | u32{rows[column + 1][row]} << 16
                                           : rows[row][column] | u32{rows[row][column + 1]} << 16;
    }
  }
}

template <u32 kMatrices, bool kTranspose>
void Store(const Lanes& lanes) {
  u16 matrix[kMatrices * 8][8];
  for (u32 l = 0; l < 32; ++l) {
    const u32 row = l / 4, column = l % 4 * 2;
    for (u32 m = 0; m < kMatrices; ++m) {
      const u32 pair = lanes.As<Lane>(l).registers[m];
      u16(*rows)[8] = matrix + 8 * m;
      (kTranspose ? rows[column][row] : rows[row][column]) = u16(pair);
      (kTranspose ? rows[column + 1][row] : rows[row][column + 1]) = u16(pair >> 16);
    }
  }
  for (u32 l = 0; l < kMatrices * 8; ++l) {
    u8* row = lanes.As<Lane>(l).row;
    lanes.Write(l, row, kRowBytes, kRowBytes);
    std::memcpy(row, matrix[l], kRowBytes);
  }
}

void Collect(const char* name, u32* r, const void* smem, void (*execute)(const Lanes&)) {
  Lane lane{r, static_cast<u8*>(const_cast<void*>(smem))};
  CollectLanes(name, ~u32{0}, &lane, execute, ExitedLanes::kError);
}

}  // namespace
}  // namespace tilescale::sim

namespace ts::ptx {
namespace sim = tilescale::sim;

#define TS_MATRIX(count, suffix, transpose)                                          \
  void ldmatrix_x##count##suffix(u32* r, const void* smem) {                         \
    TS_SIM_ENTER();                                                                  \
    sim::Collect("ldmatrix.x" #count #suffix, r, smem, sim::Load<count, transpose>); \
  }                                                                                  \
  void stmatrix_x##count##suffix(void* smem, const u32* r) {                         \
    TS_SIM_ENTER();                                                                  \
    sim::Collect("stmatrix.x" #count #suffix, const_cast<u32*>(r), smem,             \
                 sim::Store<count, transpose>);                                      \
  }
TS_MATRIX(1, , false)
TS_MATRIX(2, , false)
TS_MATRIX(4, , false)
TS_MATRIX(1, _trans, true)
TS_MATRIX(2, _trans, true)
TS_MATRIX(4, _trans, true)
#undef TS_MATRIX

}  // namespace ts::ptx
