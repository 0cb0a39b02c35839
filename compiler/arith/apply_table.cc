// SPDX-License-Identifier: MIT
#include "compiler/arith/apply_table.h"

#include "compiler/arith/analyzer.h"

#include <algorithm>
#include <bit>
#include <optional>

namespace tilescale::arith {

using namespace ir;  // NOLINT

namespace {

// Values over the row-major box.
struct Grid {
  std::span<const int64_t> shape;
  std::vector<int64_t> v;

  int64_t Coordinate(int64_t p, size_t dim) const {
    for (size_t d = shape.size(); d-- > dim + 1;) p /= shape[d];
    return p % shape[dim];
  }
  int64_t Step(size_t dim) const {  // between neighbours, of points
    int64_t n = 1;
    for (size_t d = dim + 1; d < shape.size(); ++d) n *= shape[d];
    return n;
  }
};

// v = sum of coefficient · coordinate + origin, modulo n.
std::optional<std::vector<int64_t>> FitModulo(const Grid& g, int64_t n) {
  std::vector<int64_t> coefficients;
  for (size_t d = 0; d < g.shape.size(); ++d) {
    int64_t step = g.shape[d] > 1 ? g.v[size_t(g.Step(d))] - g.v[0] : 0;
    coefficients.push_back(((step % n) + n) % n);
  }
  for (size_t p = 0; p < g.v.size(); ++p) {
    int64_t sum = g.v[0];
    for (size_t d = 0; d < g.shape.size(); ++d) {
      sum += coefficients[d] * g.Coordinate(int64_t(p), d);
    }
    if (sum % n != g.v[p]) return std::nullopt;
  }
  return coefficients;
}

// n · Layout + (linear sum modulo n): rows that are rotated against each other.
Expr Skewed(const Grid& g, const std::vector<Expr>& point, DataType t) {
  int64_t top = *std::max_element(g.v.begin(), g.v.end());
  std::vector<int64_t> moduli;
  int64_t n = 1;
  for (size_t d = g.shape.size(); d-- > 0;) {
    n *= g.shape[d];
    moduli.push_back(n);
    moduli.push_back(g.shape[d]);
  }
  moduli.push_back(top + 1);
  std::sort(moduli.begin(), moduli.end());
  for (int64_t m : moduli) {
    if (m < 2) continue;
    Grid low{g.shape, g.v}, high{g.shape, g.v};
    for (size_t p = 0; p < g.v.size(); ++p) {
      low.v[p] = g.v[p] % m;
      high.v[p] = g.v[p] / m;
    }
    auto coefficients = FitModulo(low, m);
    if (!coefficients) continue;
    AxisSamples samples{kAddr, high.v};
    Expected<AnyLayout> rest = FromValues(g.shape, {&samples, 1});
    const Layout* layout = rest ? std::get_if<Layout>(&*rest) : nullptr;
    if (layout == nullptr) continue;
    Expr sum = MakeConst(low.v[0], t);
    for (size_t d = 0; d < point.size(); ++d) {
      sum = Add(sum, Mul(Cast(point[d], t), (*coefficients)[d]));
    }
    return Add(Mul(ApplyLayout(*layout, kAddr, point), m), FloorMod(sum, m));
  }
  return Expr();
}

// origin ^ (the columns of the bits that the row-major index has).
Expr XorOfBits(const Grid& g, const Expr& index, DataType t) {
  std::vector<int64_t> columns;
  for (size_t b = 1; b < g.v.size(); b *= 2) columns.push_back(g.v[b] ^ g.v[0]);
  for (size_t p = 0; p < g.v.size(); ++p) {
    int64_t x = g.v[0];
    for (size_t b = 0; b < columns.size(); ++b) x ^= (p >> b & 1) != 0 ? columns[b] : 0;
    if (x != g.v[p]) return Expr();
  }
  Expr out = MakeConst(g.v[0], t);
  for (size_t b = 0; b < columns.size(); ++b) {
    Expr bit = FloorMod(FloorDiv(index, int64_t(1) << b), 2);
    out = MakeOp(OpCode::kBitXor, {out, Mul(bit, columns[b])}, t);
  }
  return out;
}

// Words of several values each, the word by halving, the value by shifting.
Expr Packed(const Grid& g, const Expr& index, DataType t) {
  int64_t top = *std::max_element(g.v.begin(), g.v.end());
  int bits = int(std::bit_ceil(unsigned(std::max(1, int(std::bit_width(uint64_t(top)))))));
  if (bits > 32) return Expr();
  DataType word = UInt(64);
  size_t each = size_t(64 / bits);
  std::vector<Expr> words;
  for (size_t p = 0; p < g.v.size(); p += each) {
    uint64_t w = 0;
    for (size_t k = 0; k < each && p + k < g.v.size(); ++k) {
      w |= uint64_t(g.v[p + k]) << (k * size_t(bits));
    }
    words.push_back(MakeConst(int64_t(w), word));
  }
  auto among = [&](auto&& self, size_t first, size_t n) -> Expr {
    if (n == 1) return words[first];
    size_t half = std::bit_ceil(n) / 2;
    return Select(Lt(index, int64_t((first + half) * each)), self(self, first, half),
                  self(self, first + half, n - half));
  };
  Expr shift = Cast(Mul(FloorMod(index, int64_t(each)), bits), word);
  Expr shifted = MakeOp(OpCode::kShr, {among(among, 0, words.size()), shift}, word);
  Expr mask = MakeConst(int64_t((uint64_t(1) << bits) - 1), word);
  return Cast(MakeOp(OpCode::kBitAnd, {shifted, mask}, word), t);
}

}  // namespace

Expr ApplyTable(const Table& table, Axis axis, const std::vector<Expr>& point) {
  DataType t = point.empty() ? Int(32) : point[0].dtype();
  std::span<const int64_t> values = table.Values(axis);
  if (values.empty()) return MakeConst(0, t);
  Grid g{table.shape(), {values.begin(), values.end()}};
  if (Expr skewed = Skewed(g, point, t); skewed.defined()) return skewed;
  Expr index;
  for (size_t d = 0; d < point.size(); ++d) {
    Expr x = Cast(point[d], t);
    index = index.defined() ? Add(Mul(index, g.shape[d]), x) : x;
  }
  if (Expr bits = XorOfBits(g, index, t); bits.defined()) return bits;
  if (table.box() > kLookupLimit) return Expr();
  return Packed(g, index, t);
}

}  // namespace tilescale::arith
