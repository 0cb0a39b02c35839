# SPDX-License-Identifier: MIT
"""T.transpose, and fragments whose uses need different layouts (convert)."""

import numpy as np
import pytest
import tilescale
import tilescale.language as T


@pytest.mark.parametrize(("m", "n", "dtype"), [(16, 48, "float16"), (33, 7, "float32")])
def test_shared(m, n, dtype):
    @T.prim_func
    def main(A: T.Tensor((m, n), dtype), O: T.Tensor((n, m), dtype)):
        with T.Kernel(1, threads=64):
            s = T.alloc_shared((m, n), dtype)
            t = T.alloc_shared((n, m), dtype)
            T.copy(A, s)
            T.transpose(s, t)
            T.copy(t, O)

    a = np.random.default_rng().standard_normal((m, n)).astype(dtype)
    out = np.full((n, m), np.nan, dtype)
    tilescale.compile(main, target="sim")(a, out)
    np.testing.assert_array_equal(out, a.T)


def test_convert_between_reductions():
    """Rows and columns of one tile: no layout is good for both, and an annotated one forces a conversion."""
    m, n = 64, 32

    @T.prim_func
    def main(A: T.Tensor((m, n), "float32"), R: T.Tensor((m,), "float32"), C: T.Tensor((n,), "float32")):
        with T.Kernel(1, threads=64):
            x = T.alloc_fragment((m, n), "float32")
            y = T.alloc_fragment((m, n), "float32")
            # x: a row a thread; y: a column in two threads.
            T.annotate_layout(
                {
                    x: T.Fragment((m, n), forward_fn=lambda i, j: (i, j)),
                    y: T.Fragment((m, n), forward_fn=lambda i, j: (j + 32 * (i // 32), i % 32)),
                }
            )
            r = T.alloc_fragment((m,), "float32")
            c = T.alloc_fragment((n,), "float32")
            T.copy(A, x)
            T.copy(x, y)
            T.reduce_sum(x, r, dim=1)
            T.reduce_sum(y, c, dim=0)
            T.copy(r, R)
            T.copy(c, C)

    a = np.random.default_rng().standard_normal((m, n)).astype(np.float32)
    r, c = np.full(m, np.nan, np.float32), np.full(n, np.nan, np.float32)
    tilescale.compile(main, target="sim")(a, r, c)
    np.testing.assert_allclose(r, a.astype(np.float64).sum(1), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(c, a.astype(np.float64).sum(0), rtol=1e-5, atol=1e-5)
