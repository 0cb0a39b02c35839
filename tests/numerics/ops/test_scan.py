# SPDX-License-Identifier: MIT
"""T.cumsum and T.cummax against float64 on the simulator."""

import numpy as np
import pytest
import tilescale
import tilescale.language as T


def reference(a, dim, reverse, scan):
    x = np.flip(a, dim) if reverse else a
    y = scan.accumulate(x, axis=dim)
    return np.flip(y, dim) if reverse else y


@pytest.mark.parametrize(
    ("m", "n", "dim", "reverse", "threads"), [(5, 257, 1, False, 96), (70, 9, 0, True, 64), (3, 6, 1, True, 48)]
)
def test_fragment_and_shared(m, n, dim, reverse, threads):
    @T.prim_func
    def main(A: T.Tensor((m, n), "float32"), O: T.Tensor((3, m, n), "float32")):
        with T.Kernel(1, threads=threads):
            x = T.alloc_fragment((m, n), "float32")
            y = T.alloc_fragment((m, n), "float32")
            s = T.alloc_shared((m, n), "float32")
            T.copy(A, x)
            T.copy(A, s)
            T.cumsum(x, y, dim=dim, reverse=reverse)
            T.copy(y, O[0, 0:m, 0:n])
            T.cummax(x, dim=dim, reverse=reverse)  # in place
            T.copy(x, O[1, 0:m, 0:n])
            T.cumsum(s, dim=dim, reverse=reverse)
            T.copy(s, O[2, 0:m, 0:n])

    a = np.random.default_rng().standard_normal((m, n)).astype(np.float32)
    out = np.full((3, m, n), np.nan, np.float32)
    tilescale.compile(main, target="sim")(a, out)
    sums = reference(a.astype(np.float64), dim, reverse, np.add)
    np.testing.assert_allclose(out[0], sums, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(out[1], reference(a, dim, reverse, np.maximum))
    np.testing.assert_array_equal(out[2], out[0])


def test_integers_one_dimension():
    n = 300

    @T.prim_func
    def main(A: T.Tensor((n,), "int32"), O: T.Tensor((n,), "int32")):
        with T.Kernel(1, threads=64):
            x = T.alloc_fragment((n,), "int32")
            T.copy(A, x)
            T.cumsum(x)
            T.copy(x, O)

    a = np.random.default_rng().integers(-(2**31), 2**31, n, dtype=np.int32)
    out = np.zeros(n, np.int32)
    tilescale.compile(main, target="sim")(a, out)
    np.testing.assert_array_equal(out, np.add.accumulate(a, dtype=np.int32))
