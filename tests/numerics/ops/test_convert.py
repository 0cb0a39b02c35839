# SPDX-License-Identifier: MIT
"""Fragments that two matrix products want in two layouts: SolveLayouts inserts a convert, through registers or shared
memory, and every element arrives."""

import pytest
import tilescale
import tilescale.language as T
import torch

ROWS, COLS = T.GemmWarpPolicy.FullRow, T.GemmWarpPolicy.FullCol


@pytest.mark.parametrize("threads", [64, 128])
@pytest.mark.parametrize(("first", "second"), [(ROWS, COLS), (COLS, ROWS), (ROWS, ROWS)])
def test_result_of_one_product_in_another(first, second, threads):
    n = 64

    @T.prim_func
    def main(A: T.Tensor((n, n), "float16"), B: T.Tensor((n, n), "float16"), C: T.Tensor((n, n), "float32")):
        with T.Kernel(1, threads=threads):
            a = T.alloc_shared((n, n), "float16")
            b = T.alloc_shared((n, n), "float16")
            x = T.alloc_fragment((n, n), "float32")
            p = T.alloc_fragment((n, n), "float16")
            y = T.alloc_fragment((n, n), "float32")
            T.copy(A, a)
            T.copy(B, b)
            T.clear(x)
            T.gemm(a, b, x, policy=first)
            T.copy(x, p)
            T.clear(y)
            T.gemm(p, b, y, policy=second)
            T.copy(y, C)

    a, b = torch.randint(-1, 2, (n, n)), torch.randint(-1, 2, (n, n))
    c = torch.full((n, n), float("nan"))
    kernel = tilescale.compile(main, target="sim")
    kernel(a.half(), b.half(), c)
    assert torch.equal(c.long(), a @ b @ b)  # sums stay below 2048, exact in float16
    assert ("convert" in kernel.explain()) == ((first, second) != (ROWS, ROWS))


def test_to_fewer_replicas_and_back():
    """A row that every thread needs, computed by a reduction that leaves it elsewhere."""
    m, n = 32, 48

    @T.prim_func
    def main(A: T.Tensor((m, n), "float32"), O: T.Tensor((m, n), "float32")):
        with T.Kernel(1, threads=128):
            x = T.alloc_fragment((m, n), "float32")
            rows = T.alloc_fragment((m,), "float32")
            cols = T.alloc_fragment((n,), "float32")
            T.copy(A, x)
            T.reduce_max(x, rows, dim=1)
            T.reduce_min(x, cols, dim=0)
            for i, j in T.Parallel(m, n):
                x[i, j] = rows[i] * 1000 + cols[j]
            T.copy(x, O)

    a = torch.randint(-9, 10, (m, n)).float()
    out = torch.full((m, n), float("nan"))
    tilescale.compile(main, target="sim")(a, out)
    assert torch.equal(out, a.max(1, keepdim=True).values * 1000 + a.min(0, keepdim=True).values)
