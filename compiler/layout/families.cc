// SPDX-License-Identifier: MIT
// The layouts that shared memory may take: linear, padded, and the panels of the hardware's
// swizzles (16-byte units, XOR with the row of 128 bytes; PTX ISA, "Shared memory matrix layout").
#include "compiler/layout/memory.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>

namespace tilescale {

int64_t SpanOf(FamilyKind kind) {
  switch (kind) {
    case FamilyKind::kSwizzle128:
      return 128;
    case FamilyKind::kSwizzle64:
      return 64;
    case FamilyKind::kSwizzle32:
      return 32;
    default:
      return 0;
  }
}

std::string SharedFamily::Text() const {
  std::string out;
  switch (kind) {
    case FamilyKind::kLinear:
      out = "linear";
      break;
    case FamilyKind::kPadded:
      out = "pad " + std::to_string(pad);
      break;
    case FamilyKind::kInterleaved:
      out = "interleaved";
      break;
    default:
      out = "swizzle " + std::to_string(SpanOf(kind));
  }
  return transposed ? out + ", transposed" : out;
}

Expected<SharedFamily> ParseSharedFamily(std::string_view text) {
  SharedFamily out;
  std::string_view tail = ", transposed";
  std::string_view s = text;
  if (s.ends_with(tail)) {
    out.transposed = true;
    s.remove_suffix(tail.size());
  }
  for (FamilyKind kind : {FamilyKind::kLinear, FamilyKind::kSwizzle128, FamilyKind::kSwizzle64,
                          FamilyKind::kSwizzle32, FamilyKind::kInterleaved}) {
    out.kind = kind;
    if (SharedFamily{kind, 0, false}.Text() == s) return out;
  }
  if (s.starts_with("pad ")) {
    s.remove_prefix(4);
    auto [end, err] = std::from_chars(s.data(), s.data() + s.size(), out.pad);
    if (err == std::errc() && end == s.data() + s.size() && out.pad > 0) {
      out.kind = FamilyKind::kPadded;
      return out;
    }
  }
  return Refusal{
      "expected linear, pad N, swizzle 32, swizzle 64, swizzle 128 or interleaved as a shared "
      "layout family, got \"" +
      std::string(text) + "\""};
}

namespace {

// The last two dims of `shape` in panels of `span` bytes (0: 16-byte columns without a swizzle).
Expected<Layout> Panels(std::span<const int64_t> shape, int bits, int64_t span) {
  int rank = int(shape.size());
  int64_t rows = rank > 1 ? shape[size_t(rank) - 2] : 1;
  int64_t cols = shape[size_t(rank) - 1];
  int64_t p = std::max<int64_t>(span, 16) * 8 / bits;
  if (128 % bits || cols % p || rows % 8) {
    return Refusal{std::to_string(rows) + "x" + std::to_string(cols) + " does not divide into 8x" +
                   std::to_string(p) + " atoms"};
  }
  LayoutBuilder b(shape);
  int64_t at = rows * cols;
  for (int d = rank - 3; d >= 0; --d) {  // sorted at the end
    Mode m{shape[size_t(d)], Strides(kAddr, at)};
    b.AddDim(d, {&m, 1});
    at *= shape[size_t(d)];
  }
  Mode row{rows, Strides(kAddr, p)};
  if (rank > 1) b.AddDim(rank - 2, {&row, 1});
  Mode col[] = {{p, Strides(kAddr, 1)}, {cols / p, Strides(kAddr, rows * p)}};
  b.AddDim(rank - 1, col);
  if (span) {
    int bits_of_span = int(std::bit_width(uint64_t(span / 16))) - 1;
    int base = int(std::bit_width(uint64_t(128 / bits))) - 1;
    b.SetSwizzle(Swizzle{bits_of_span, base, 3});
  }
  return b.SortGroups().Build();
}

}  // namespace

Expected<Layout> SharedPanels(int64_t rows, int64_t cols, int bits, int64_t span, bool transpose) {
  int64_t shape[] = {transpose ? cols : rows, transpose ? rows : cols};
  TS_TRY(Layout out, Panels(shape, bits, span));
  int swap[] = {1, 0};
  return transpose ? out.Permute(swap) : Expected<Layout>(out);
}

Expected<Layout> SharedLayout(std::span<const int64_t> shape, int bits,
                              const SharedFamily& family) {
  int rank = int(shape.size());
  if (rank < 1 || rank > kMaxDims) {
    return Refusal{"a shared buffer of " + std::to_string(rank) + " dims"};
  }
  if (family.transposed && rank < 2) return Refusal{"a shared buffer of one dim, transposed"};
  Shape stored(shape);
  FixedVec<int, kMaxDims> order;
  for (int d = 0; d < rank; ++d) order.push_back(d);
  if (family.transposed) {
    std::swap(stored[rank - 1], stored[rank - 2]);
    std::swap(order[rank - 1], order[rank - 2]);
  }
  Layout out;
  if (family.kind == FamilyKind::kLinear) {
    out = RowMajor(stored);
  } else if (family.kind == FamilyKind::kPadded) {
    out = RowMajor(stored, stored[rank - 1] + family.pad);
  } else {
    TS_TRY(out, Panels(stored, bits, SpanOf(family.kind)));
  }
  return family.transposed ? out.Permute(order) : Expected<Layout>(out);
}

Expected<int64_t> SwizzleBytes(const Layout& layout, int bits) {
  const Swizzle& s = layout.swz();
  if (!s) return int64_t(0);
  // The unit in bytes must be 16: base counts elements.
  int base = bits >= 8 ? s.base + int(std::bit_width(unsigned(bits / 8))) - 1
                       : s.base - int(std::bit_width(unsigned(8 / bits))) + 1;
  if (base != 4 || s.shift != 3 || s.bits > 3) {
    return Refusal{"swizzle " + std::to_string(s.bits) + "," + std::to_string(s.base) + "," +
                   std::to_string(s.shift) + " is not a hardware swizzle for " +
                   std::to_string(bits) + "-bit elements"};
  }
  return int64_t(16) << s.bits;
}

namespace {

// Addresses of a tile of two dims, by row and column of the matrices.
class TileAddresses {
 public:
  static Expected<TileAddresses> Of(const AnyLayout& tile, int row_dim) {
    TileAddresses out;
    out.row_dim_ = row_dim;
    const Layout* l = std::get_if<Layout>(&tile);
    std::span<const int64_t> shape = l ? l->shape() : std::get<Table>(tile).shape();
    if (shape.size() != 2 || row_dim < 0 || row_dim > 1) {
      return Refusal{"ldmatrix reads 8x8 matrices of the last two dims"};
    }
    out.rows = shape[size_t(row_dim)];
    out.cols = shape[size_t(1 - row_dim)];
    // Dims that do not share digits add up; then the box need not be walked.
    if (l && l->num_groups() == 2 && l->NumPoints() == l->Size()) {
      Layout linear = l->WithoutReplicas().WithOffset({});
      out.swz_ = l->swz();
      TS_TRY(linear, linear.WithSwizzle(Swizzle{}));
      int64_t point[2] = {0, 0};
      for (int64_t& r = point[row_dim]; r < out.rows; ++r) {
        out.by_row_.push_back(linear.At(kAddr, point) + l->off()[kAddr]);
      }
      point[row_dim] = 0;
      for (int64_t& c = point[1 - row_dim]; c < out.cols; ++c) {
        out.by_col_.push_back(linear.At(kAddr, point));
      }
      return out;
    }
    TS_TRY(Table t, TableOf(tile));
    out.table_ = t.MutableValues(kAddr);
    return out;
  }

  int64_t At(int64_t r, int64_t c) const {
    if (table_.empty()) {
      int64_t a = by_row_[size_t(r)] + by_col_[size_t(c)];
      return swz_ ? swz_(a) : a;
    }
    return table_[size_t(row_dim_ == 1 ? c * rows + r : r * cols + c)];
  }

  int64_t rows = 0;
  int64_t cols = 0;

 private:
  int row_dim_ = 0;
  Swizzle swz_;
  std::vector<int64_t> by_row_, by_col_, table_;
};

}  // namespace

Expected<int64_t> MatrixReadCycles(const AnyLayout& shared, int bits, int row_dim) {
  AnyLayout tile = shared;
  // Outer dims (versions, batches) are whole blocks: the first one stands for all.
  if (Layout* l = std::get_if<Layout>(&tile)) {
    for (; l->rank() > 2; --row_dim) {
      TS_TRY(*l, l->Drop(0, 0));
    }
  }
  if (bits < 1 || 128 % bits) {
    return Refusal{std::to_string(bits) + "-bit elements do not fill 16 bytes"};
  }
  TS_TRY(TileAddresses addr, TileAddresses::Of(tile, row_dim));
  int64_t unit = 128 / bits;  // elements of one row of 16 bytes
  if (addr.rows % 8 || addr.cols % unit) {
    return Refusal{std::to_string(addr.rows) + "x" + std::to_string(addr.cols) +
                   " is not made of 8x" + std::to_string(unit) + " matrices"};
  }
  int64_t worst = 0;
  for (int64_t r = 0; r < addr.rows; r += 8) {
    for (int64_t c = 0; c < addr.cols; c += unit) {
      // Aligned rows of 16 bytes fill one of 8 groups of four banks each.
      std::array<int64_t, 8> hits{};
      for (int64_t i = 0; i < 8; ++i) {
        int64_t at = addr.At(r + i, c);
        for (int64_t k = 1; k < unit; ++k) {
          if (addr.At(r + i, c + k) != at + k) {
            return Refusal{"a row of 16 bytes is not in one piece"};
          }
        }
        if (at % unit) return Refusal{"rows are not 16-byte aligned"};
        worst = std::max(worst, ++hits[size_t(at / unit & 7)]);
      }
    }
  }
  return worst;
}

}  // namespace tilescale
