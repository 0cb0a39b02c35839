// SPDX-License-Identifier: MIT
// Fragments against memory: vector width, bank conflicts, sectors; and the families of
// shared-memory layouts that the hardware knows.
#pragma once

#include "compiler/layout/layout.h"
#include "compiler/layout/table.h"
#include "compiler/target/constants.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tilescale {

// Widest power of two V, V * bits <= max_bits, such that every aligned run of V slots of a thread
// is outside the domain as a whole, or lies on consecutive addresses that are a multiple of V.
// base_bits: known alignment of the buffer. Where digits cannot tell, the points are enumerated.
int64_t VectorWidth(const Layout& frag, const Layout& mem, int bits,
                    int max_bits = 8 * target::kMaxAccessBytes,
                    int base_bits = 8 * target::kMaxAccessBytes);
// The definition, by enumeration, up to `cap` elements.
int64_t VectorWidthByDefinition(const AnyLayout& frag, const AnyLayout& mem, int64_t cap);

// One lane's access: byte address, or idle.
inline constexpr int64_t kIdle = -1;
// Shared-memory wavefronts of one warp access of `width` bytes a lane. 16-byte accesses go in four
// phases of 8 lanes, 8-byte in two of 16, narrower in one of 32; in a phase each of 32 banks
// serves one 4-byte word, equal words are free.
int64_t BankCycles(std::span<const int64_t> byte_addr, int64_t width);
// Distinct 32-byte sectors (or units) that one warp access touches.
int64_t Sectors(std::span<const int64_t> byte_addr, int64_t width,
                int64_t unit = target::kSectorBytes);

enum class MemorySpace { kGlobal, kShared };
struct MemoryCost {
  int64_t width;      // elements a thread an access
  int64_t transfers;  // wavefronts (shared) or sectors (global), over all warps and steps
  int64_t ideal;      // the least that any layout would need for these bytes
  int64_t accesses;   // warp accesses
  bool operator==(const MemoryCost&) const = default;
};
// All accesses of frag <-> mem; replicas other than the first are idle.
MemoryCost MemoryCostOf(const Layout& frag, const Layout& mem, int bits, MemorySpace space);
MemoryCost MemoryCostOf(const AnyLayout& frag, const AnyLayout& mem, int bits, MemorySpace space);

// Wavefronts of the worst 8x8 matrix (8 rows of 16 bytes, neighbours along row_dim) that ldmatrix
// reads anywhere in a shared tile; refused where a row is not 16 aligned bytes in one piece. The
// matrices are those that tile the last two dims from 0.
Expected<int64_t> MatrixReadCycles(const AnyLayout& shared, int bits, int row_dim);

// -- shared-memory families
// --------------------------------------------------------------------------- Linear rows, rows
// padded by `pad` elements, or panels of 32, 64 or 128 bytes with the swizzle of that span (what
// TMA writes and ldmatrix, wgmma and tcgen05 read). kInterleaved is the no-swizzle matrix form:
// panels of 16 bytes.
enum class FamilyKind { kLinear, kSwizzle128, kSwizzle64, kSwizzle32, kPadded, kInterleaved };
struct SharedFamily {
  FamilyKind kind = FamilyKind::kLinear;
  int64_t pad = 0;           // kPadded: elements
  bool transposed = false;   // the slower of the last two dims is contiguous
  std::string Text() const;  // "linear", "swizzle 128", "pad 8", .. and ", transposed"
  bool operator==(const SharedFamily&) const = default;
};
Expected<SharedFamily> ParseSharedFamily(std::string_view text);
// Bytes of the swizzle span; 0 for families without one.
int64_t SpanOf(FamilyKind kind);
// Bytes after which every swizzle begins anew (8 rows of the widest span): where a tile may start.
constexpr int64_t kSwizzleAlign = 1024;
// (rows, cols), cols contiguous, in panels of `span` bytes; span 0 is the interleaved form.
// transpose: rows contiguous.
Expected<Layout> SharedPanels(int64_t rows, int64_t cols, int bits, int64_t span,
                              bool transpose = false);
// The layout of a buffer of any rank >= 1 in a family: the last two dims as above, outer dims
// (pipeline versions, batches) as whole blocks.
Expected<Layout> SharedLayout(std::span<const int64_t> shape, int bits, const SharedFamily& family);
// Bytes of the swizzle span that this layout's XOR is; 0 without one; refused where the hardware
// has no such swizzle.
Expected<int64_t> SwizzleBytes(const Layout& layout, int bits);

// mem seen from frag's digits, innermost first within each digit: how codegen walks an access and
// what width, banks and ldmatrix are read from.
struct AccessDigit {
  Axis axis;       // thread or slot
  int64_t stride;  // on that axis
  int64_t addr;    // address step
  int64_t n;
  Axis name;  // coordinate of the fragment that it walks
  int64_t weight;
};
struct AccessDigits {
  std::vector<AccessDigit> digits;
  int64_t off = 0;
  Swizzle swz;
  bool padded = false;  // a split digit reaches beyond its own values
};
Expected<AccessDigits> OverDigits(const Layout& frag, const Layout& mem);
// VectorWidth, read off the digits, which are not padded: at most `cap` elements. `frag` is in
// normal form.
int64_t VectorWidthOf(const Layout& frag, const AccessDigits& access, int64_t cap);

}  // namespace tilescale
