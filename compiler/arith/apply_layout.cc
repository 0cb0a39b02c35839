// SPDX-License-Identifier: MIT
// Layouts on expressions: the digits of symbolic coordinates.
#include "compiler/arith/analyzer.h"

namespace tilescale::arith {

using namespace ir;  // NOLINT

Expr ApplyLayout(const Layout& layout, Axis axis, const std::vector<Expr>& point) {
  DataType t = point.empty() ? Int(32) : point[0].dtype();
  Expr place = MakeConst(layout.off()[axis], t);
  for (int g = 0; g < layout.num_groups(); ++g) {
    LayoutGroup group = layout.group(g);
    Expr y;
    for (int8_t dim : group.dims) {
      Expr x = Cast(point[dim], t);
      y = y.defined() ? Add(Mul(y, layout.extent(dim)), x) : x;
    }
    if (!y.defined()) continue;
    int64_t weight = 1;
    for (size_t i = 0; i < group.modes.size(); ++i) {
      const Mode& mode = group.modes[i];
      int64_t stride = mode.v[axis];
      if (stride != 0) {
        Expr digit = FloorDiv(y, weight);
        // The top digit needs no modulo: y < bound ≤ weight · n.
        if (i + 1 < group.modes.size()) digit = FloorMod(digit, mode.n);
        place = Add(place, Mul(digit, stride));
      }
      weight *= mode.n;
    }
  }
  const Swizzle& swz = layout.swz();
  if (swz && axis == kAddr) {
    Expr bits =
        FloorMod(FloorDiv(place, int64_t(1) << (swz.base + swz.shift)), int64_t(1) << swz.bits);
    place = MakeOp(OpCode::kBitXor, {place, Mul(bits, int64_t(1) << swz.base)}, t);
  }
  return place;
}

}  // namespace tilescale::arith
