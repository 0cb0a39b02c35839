# SPDX-License-Identifier: MIT
"""C = max(A * scale + bias, 0) with a bias for each column. Run: tilescale run examples/elementwise.py"""

import numpy as np
import tilelang
import tilelang.language as T


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


def run(M, N):
    """Largest error against float64."""
    rng = np.random.default_rng()
    a = rng.standard_normal((M, N)).astype(np.float32)
    bias = rng.standard_normal(N).astype(np.float32)
    c = np.full((M, N), np.nan, np.float32)
    scale_bias_relu(M, N)(a, bias, c, 1.5)
    reference = np.maximum(a.astype(np.float64) * 1.5 + bias, 0)
    return float(np.abs(c - reference).max())


if __name__ == "__main__":
    for shape in [(64, 128), (37, 301)]:
        error = run(*shape)
        print(f"elementwise {shape}: error {error:.1e}")
        assert error < 1e-5
