// SPDX-License-Identifier: MIT
// TMA boxes. The limits are those of cuTensorMapEncodeTiled: rank 5, box dims up to 256, an inner
// box of a multiple of 16 bytes that equals the swizzle span, global strides of 16 bytes below
// 2^40; shared addresses of 128 bytes.
#include "compiler/layout/tma.h"

#include "compiler/layout/memory.h"

#include <algorithm>

namespace tilescale {
namespace {

// The largest divisor of n up to 256: what one box dim covers of a longer digit.
int64_t BoxExtent(int64_t n) {
  for (int64_t k = std::min<int64_t>(n, 256); k > 1; --k) {
    if (n % k == 0) return k;
  }
  return 1;
}

}  // namespace

Expected<TmaPlan> PlanTma(const Layout& shared, std::span<const int64_t> global_strides, int bits) {
  Layout l = shared.Normal();
  TS_TRY(int64_t span, SwizzleBytes(l, bits));
  int rank = l.rank();
  if (rank > 5) return Refusal{"rank " + std::to_string(rank) + " > 5"};
  if (rank < 1 || int(global_strides.size()) != rank) {
    return Refusal{"a tile of rank " + std::to_string(rank) + " of a tensor of rank " +
                   std::to_string(global_strides.size())};
  }
  int inner = rank - 1;
  for (int d = rank - 1; d >= 0; --d) {
    if (l.extent(d) > 1) {
      inner = d;
      break;
    }
  }
  if (global_strides[size_t(inner)] * 8 != bits) {
    return Refusal{"global dim " + std::to_string(inner) + " is not contiguous"};
  }
  for (int d = 0; d < rank; ++d) {
    int64_t g = global_strides[size_t(d)];
    if (d != inner && (g % 16 || g >= int64_t(1) << 40)) {
      return Refusal{"global stride " + std::to_string(g) + " of dim " + std::to_string(d) +
                     " is not a multiple of 16 bytes below 2^40"};
    }
  }
  TS_TRY(DigitList digits, l.Digits());
  for (const Digit& d : digits) {
    if (d.name == kRep || d.name.num_dims() > 1) return Refusal{"flattened dims or replicas"};
  }
  std::stable_sort(digits.begin(), digits.end(),
                   [](const Digit& a, const Digit& b) { return a.stride < b.stride; });
  TmaPlan out;
  int64_t at = 1;
  bool open = true;  // the dense run has not ended
  for (const Digit& d : digits) {
    int dim = d.name.dim();
    bool fits = open && d.stride == at && d.weight == 1 && (!out.box.empty() || dim == inner);
    int64_t done = 1;
    if (fits) {
      done = BoxExtent(d.n);
      out.box.push_back(TmaPlan::BoxDim{dim, done});
      at *= done;
    }
    if (done < d.n) {
      open = false;
      out.issues.push_back(TmaPlan::Issue{dim, d.weight * done, d.n / done, d.stride * done});
    }
  }
  if (out.box.empty()) {
    return Refusal{"the innermost dim is not contiguous in shared memory"};
  }
  int64_t row = out.box[0].extent * bits / 8;
  if (row % 16) {
    return Refusal{"inner box of " + std::to_string(row) + " bytes is not a multiple of 16"};
  }
  if (span && row != span) {
    return Refusal{"inner box of " + std::to_string(row) + " bytes under a " +
                   std::to_string(span) + "-byte swizzle"};
  }
  bool aligned = l.off()[kAddr] * bits % 1024 == 0;
  for (const TmaPlan::Issue& i : out.issues) aligned &= i.shared_stride * bits % 1024 == 0;
  if (!aligned) return Refusal{"a box does not start at 128 bytes"};
  out.swizzle = span;
  out.align = span == 0 ? 128 : span * 8;
  return out;
}

}  // namespace tilescale
