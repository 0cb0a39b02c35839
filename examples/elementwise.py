# SPDX-License-Identifier: MIT
"""C = max(A * scale + bias, 0) with a bias for each column. Run: tilescale run examples/elementwise.py"""

import tilelang
import tilelang.language as T
from common import check, normal, poisoned, relative_error


@tilelang.jit
def scale_bias_relu(M, N, block_M=32, block_N=64, threads=128, dtype="float32"):
    @T.prim_func
    def kernel(
        A: T.Tensor((M, N), dtype),
        bias: T.Tensor((N,), dtype),
        C: T.Tensor((M, N), dtype),
        scale: T.float32,
    ):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=threads) as (bx, by):
            for i, j in T.Parallel(block_M, block_N):
                row = by * block_M + i
                col = bx * block_N + j
                C[row, col] = T.max(A[row, col] * scale + bias[col], 0.0)

    return kernel


def run(M, N, **choice):
    """Relative error of one call."""
    a, bias, c = normal(M, N), normal(N), poisoned(M, N)
    scale_bias_relu(M, N, **choice)(a, bias, c, 1.5)
    return relative_error(c, (a.double() * 1.5 + bias.double()).clamp(min=0))


if __name__ == "__main__":
    for shape, choice in [((64, 128), {}), ((37, 301), {"threads": 96})]:
        check(f"elementwise {shape} {choice}", run(*shape, **choice), 1e-6)
