// SPDX-License-Identifier: MIT
// Matrix descriptors: PTX ISA, "Shared memory matrix layout" and "Strides". The canonical form for
// T elements in 16 bytes and W 16-byte units in the swizzle span is
//   K-major    8:(W T)a m:(SBO)a | T:1a 2:(T, or LBO without a swizzle)a
//   MN-major   (W T):1a m:(LBO, or SBO without)a | 8:(W T)a k:(SBO, or LBO without)a
// It is read at one-hot points, rebuilt and compared, so it cannot be wrong silently.
#include "compiler/layout/descriptor.h"

#include "compiler/layout/memory.h"

#include <algorithm>

namespace tilescale {
namespace {

int64_t AddrAt(const Layout& l, int64_t i, int64_t j) {
  int64_t point[] = {i, j};
  return l.At(kAddr, point);
}

struct Canonical {
  MatrixDescriptor descriptor;
  Layout form;
};

// (MN, K) with the modes of each dim, innermost first.
Expected<Layout> Form(int64_t mn, int64_t k, std::initializer_list<Mode> rows,
                      std::initializer_list<Mode> cols) {
  int64_t shape[] = {mn, k};
  return LayoutBuilder(shape)
      .AddDim(0, std::span(rows.begin(), rows.size()))
      .AddDim(1, std::span(cols.begin(), cols.size()))
      .Build();
}

Mode Step(int64_t n, int64_t addr) {
  return Mode{n, Strides(kAddr, addr)};
}

// l: the layout without its swizzle.
Expected<Canonical> ReadCanonical(const Layout& l, int64_t mn, int64_t k, int64_t w, int64_t t) {
  Canonical out;
  int64_t origin = AddrAt(l, 0, 0);
  auto step = [&](int64_t i, int64_t j) { return AddrAt(l, i, j) - origin; };
  MatrixDescriptor& d = out.descriptor;
  d.mn_major = step(0, 1) != 1;
  if (!d.mn_major) {
    int64_t row = w == 1 ? t : w * t;
    int64_t lbo = step(0, t);
    int64_t sbo = mn > 8 ? step(8, 0) : 0;
    TS_TRY(out.form, Form(mn, k, {Step(8, row), Step(mn / 8, sbo)},
                          {Step(t, 1), Step(k / t, w > 1 ? t : lbo)}));
    d.lbo = w > 1 ? 0 : lbo;
    d.sbo = sbo;
  } else {
    int64_t mn_step = mn > w * t ? step(w * t, 0) : 0;
    int64_t k_step = step(0, 8);
    TS_TRY(out.form, Form(mn, k, {Step(w * t, 1), Step(CeilDiv(mn, w * t), mn_step)},
                          {Step(8, w * t), Step(k / 8, k_step)}));
    d.lbo = w == 1 ? k_step : mn_step;
    d.sbo = w == 1 ? mn_step : k_step;
  }
  return out;
}

}  // namespace

MatrixDescriptor::Fields MatrixDescriptor::Wgmma() const {
  return {std::max<int64_t>(lbo >> 4, 1), sbo >> 4,
          swizzle == 128  ? 1
          : swizzle == 64 ? 2
          : swizzle == 32 ? 3
                          : 0};
}

MatrixDescriptor::Fields MatrixDescriptor::Tcgen05() const {
  return {std::max<int64_t>(lbo >> 4, 1), sbo >> 4,
          swizzle == 128  ? 2
          : swizzle == 64 ? 4
          : swizzle == 32 ? 6
                          : 0};
}

Expected<MatrixDescriptor> MatrixDescriptorOf(const Layout& shared, int bits, int64_t mn,
                                              int64_t k) {
  if (k == 0) k = 256 / bits;
  TS_TRY(int64_t span, SwizzleBytes(shared, bits));
  int64_t w = std::max<int64_t>(span / 16, 1), t = 128 / bits;
  if (shared.rank() != 2 || shared.extent(0) % mn || shared.extent(1) % k) {
    std::string tile;
    for (int64_t e : shared.shape()) tile += (tile.empty() ? "" : "x") + std::to_string(e);
    return Refusal{"tile " + tile + " is not a multiple of the instruction " + std::to_string(mn) +
                   "x" + std::to_string(k)};
  }
  TS_TRY(Layout l, shared.Normal().WithSwizzle(Swizzle{}));
  auto part = [&](int64_t i, int64_t j) -> Expected<Layout> {
    TS_TRY(Layout rows, l.Slice(0, i, mn));
    return rows.Slice(1, j, k);
  };
  TS_TRY(Layout first, part(0, 0));
  Expected<Canonical> canonical = ReadCanonical(l, mn, k, w, t);
  // Digits that do not cover the tile are no canonical form either.
  if (!canonical.ok() || !first.WithOffset({}).Equals(canonical->form)) {
    std::string against = canonical.ok() ? " against " + canonical->form.Text() : "";
    return Refusal{std::string("not the canonical ") +
                   (AddrAt(l, 0, 1) - AddrAt(l, 0, 0) == 1 ? "K" : "MN") +
                   "-major form: " + first.Text() + against};
  }
  MatrixDescriptor out = canonical->descriptor;
  out.swizzle = span;
  out.lbo = out.lbo * bits / 8;
  out.sbo = out.sbo * bits / 8;
  Layout want = first.WithOffset({});
  for (int64_t i = 0; i < l.extent(0); i += mn) {
    for (int64_t j = 0; j < l.extent(1); j += k) {
      std::string at = std::to_string(i) + "," + std::to_string(j);
      TS_TRY(Layout tile, part(i, j));
      if (!tile.WithOffset({}).Equals(want)) {
        return Refusal{"instruction tile at " + at + " has another form"};
      }
      int64_t start = AddrAt(l, i, j) * bits / 8;
      if (start % 16 || start / 128 % w) {
        return Refusal{"instruction tile at " + at + " starts " + std::to_string(start) +
                       " bytes in, inside a swizzle pattern"};
      }
      out.starts.push_back(MatrixDescriptor::Start{i, j, start});
    }
  }
  return out;
}

}  // namespace tilescale
