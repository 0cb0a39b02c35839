// SPDX-License-Identifier: MIT
// As generated: one million floats, by vectors and by scalars.
#include <tilescale/kernel.cuh>
TS_KERNEL(add_vec, 256, 1)
(const float* TS_RESTRICT A, const float* TS_RESTRICT B, float* TS_RESTRICT C) {
#line 5 "elementwise.py"
  const int i = (ts::bid_x() * 256 + ts::tid_x()) * 4;
#line 5 "elementwise.py"
  const ts::vec<float, 4> a = *(const ts::vec<float, 4>*)(A + i);
#line 5 "elementwise.py"
  const ts::vec<float, 4> b = *(const ts::vec<float, 4>*)(B + i);
#line 5 "elementwise.py"
  ts::vec<float, 4> c;
#line 5 "elementwise.py"
  for (int v = 0; v < 4; ++v) c[v] = a[v] + b[v];
#line 5 "elementwise.py"
  *(ts::vec<float, 4>*)(C + i) = c;
}
TS_LAUNCH(add_vec, (*(const float**)args[0], *(const float**)args[1], *(float**)args[2]))
TS_KERNEL(add_scalar, 256, 1)
(const float* TS_RESTRICT A, const float* TS_RESTRICT B, float* TS_RESTRICT C) {
#line 10 "elementwise.py"
  for (int v = 0; v < 4; ++v) {
#line 10 "elementwise.py"
    const int i = ts::bid_x() * 1024 + v * 256 + ts::tid_x();
#line 10 "elementwise.py"
    C[i] = A[i] + B[i];
  }
}
TS_LAUNCH(add_scalar, (*(const float**)args[0], *(const float**)args[1], *(float**)args[2]))
