# SPDX-License-Identifier: MIT
"""Hand-written kernels with their artifacts, for the simulator and for a GPU alike."""

from tests.runtime.artifact_bytes import (
    DATA,
    EXPR,
    SCALAR,
    WORKSPACE,
    Artifact,
    Kernel,
    Param,
    Variant,
    address,
    dim,
    symbol,
)

AXPY_TEXT = """
#include <tilescale/kernel.cuh>
TS_KERNEL(axpy, 128, 1) (const float* TS_RESTRICT A, float* TS_RESTRICT C, int m, float alpha) {
  int at = ts::bid_x() * 128 + ts::tid_x();
  if (at < m) { C[at] = A[at] * alpha + C[at]; }
}
TS_LAUNCH(axpy, (*(const float**)args[0], *(float**)args[1], *(int*)args[2], *(float*)args[3]))
"""

AXPY_VECTOR_TEXT = """
#include <tilescale/kernel.cuh>
TS_KERNEL(axpy, 128, 1) (const float* TS_RESTRICT A, float* TS_RESTRICT C, int m, float alpha) {
  int at = (ts::bid_x() * 128 + ts::tid_x()) * 4;
  if (at < m) {
    ts::vec<float, 4> a = *(const ts::vec<float, 4>*)(A + at);
    ts::vec<float, 4> c = *(ts::vec<float, 4>*)(C + at);
    for (int i = 0; i < 4; ++i) { c[i] = a[i] * alpha + c[i]; }
    *(ts::vec<float, 4>*)(C + at) = c;
  }
}
TS_LAUNCH(axpy, (*(const float**)args[0], *(float**)args[1], *(int*)args[2], *(float*)args[3]))
"""


def axpy(target: tuple) -> Artifact:
    """C += alpha * A in place: vectors of 4 if both are aligned and m divides, else single elements."""
    m = symbol(0)
    args = [(DATA, 0), (DATA, 1), (EXPR, m, "int32"), (SCALAR, 2)]
    facts = [
        (address(0) % 16, "A.data % 16 == 0"),
        (address(1) % 16, "C.data % 16 == 0"),
        (m % 4, "m % 4 == 0"),
    ]
    return Artifact(
        "axpy",
        target,
        [Param("A", "float32", [m]), Param("C", "float32", [m]), Param("alpha", "float32", kind="scalar")],
        [
            Variant(
                AXPY_VECTOR_TEXT,
                [Kernel("axpy", args, grid=(m.ceildiv(512), 1, 1))],
                [(fact.equals(0), text) for fact, text in facts],
            ),
            Variant(AXPY_TEXT, [Kernel("axpy", args, grid=(m.ceildiv(128), 1, 1))]),
        ],
        symbols=[("m", dim(0, 0))],
    )


TWO_STEP_TEXT = """
#include <tilescale/kernel.cuh>
TS_KERNEL(halve, 128, 1) (const float* TS_RESTRICT A, float* TS_RESTRICT partial, int m) {
  int at = ts::bid_x() * 128 + ts::tid_x();
  if (at < m) { partial[at] = A[at] * 0.5f; }
}
TS_KERNEL(reverse, 128, 1) (const float* TS_RESTRICT partial, float* TS_RESTRICT C, int m) {
  TS_SMEM(float, tile, 128, 0);
  int at = ts::bid_x() * 128 + ts::tid_x();
  tile[ts::tid_x()] = at < m ? partial[at] : 0.0f;
  ts::cta_sync();
  if (at < m) { C[m - 1 - at] = tile[ts::tid_x()]; }
}
TS_LAUNCH(halve, (*(const float**)args[0], *(float**)args[1], *(int*)args[2]))
TS_LAUNCH(reverse, (*(const float**)args[0], *(float**)args[1], *(int*)args[2]))
"""


def two_step(target: tuple, shared: int = 512) -> Artifact:
    """Two kernels over a workspace into an output that the launcher allocates: C = reversed(A / 2)."""
    m = symbol(0)
    count = (EXPR, m, "int32")
    grid = (m.ceildiv(128), 1, 1)
    return Artifact(
        "two_step",
        target,
        [Param("A", "float32", [m]), Param("C", "float32", [m], is_output=True)],
        [
            Variant(
                TWO_STEP_TEXT,
                [
                    Kernel("halve", [(DATA, 0), (WORKSPACE, 0), count], grid=grid),
                    Kernel("reverse", [(WORKSPACE, 0), (DATA, 1), count], grid=grid, shared=shared),
                ],
                workspaces=[("partial", m * 4, False)],
            )
        ],
        symbols=[("m", dim(0, 0))],
        outputs=[1],
    )
