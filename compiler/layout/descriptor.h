// SPDX-License-Identifier: MIT
// Shared-memory matrix descriptors of wgmma and tcgen05.
#pragma once

#include "compiler/layout/layout.h"

#include <cstdint>
#include <vector>

namespace tilescale {

struct MatrixDescriptor {
  bool mn_major = false;
  int64_t swizzle = 0;  // bytes
  int64_t lbo = 0;      // bytes; 0 where the hardware does not read it
  int64_t sbo = 0;
  struct Start {
    int64_t mn, k;  // of an instruction tile
    int64_t bytes;  // its start address, before the swizzle
    bool operator==(const Start&) const = default;
  };
  std::vector<Start> starts;  // row-major over (mn, k)

  struct Fields {
    int64_t lbo, sbo, layout_type;
    bool operator==(const Fields&) const = default;
  };
  Fields Wgmma() const;    // 14-bit offset fields and the 2-bit layout type
  Fields Tcgen05() const;  // the same offsets, 3-bit layout type
};

// shared: (MN, K) -> addr; tiles of mn x k elements an instruction, k == 0: 256 bits. The canonical
// form is read at one-hot points, rebuilt and compared, for the first and for every other tile.
Expected<MatrixDescriptor> MatrixDescriptorOf(const Layout& shared, int bits, int64_t mn,
                                              int64_t k = 0);

}  // namespace tilescale
