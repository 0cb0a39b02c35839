# SPDX-License-Identifier: MIT
"""Row softmax with any number of columns. Run: tilescale run examples/softmax.py"""

import numpy as np
import tilelang
import tilelang.language as T


@tilelang.jit
def softmax(M, N, block_M=4, threads=128, dtype="float32"):
    @T.prim_func
    def kernel(A: T.Tensor((M, N), dtype), B: T.Tensor((M, N), dtype)):
        with T.Kernel(T.ceildiv(M, block_M), threads=threads) as bx:
            x = T.alloc_fragment((block_M, N), "float32")
            top = T.alloc_fragment((block_M,), "float32")
            total = T.alloc_fragment((block_M,), "float32")
            T.copy(A[bx * block_M, 0], x)
            T.reduce_max(x, top, dim=1)
            for i, j in T.Parallel(block_M, N):
                x[i, j] = T.exp(x[i, j] - top[i])
            T.reduce_sum(x, total, dim=1)
            for i, j in T.Parallel(block_M, N):
                x[i, j] = x[i, j] / total[i]
            T.copy(x, B[bx * block_M, 0])

    return kernel


def run(M, N):
    """Largest error against float64."""
    a = np.random.default_rng().standard_normal((M, N)).astype(np.float32)
    b = np.full((M, N), np.nan, np.float32)
    softmax(M, N)(a, b)
    e = np.exp(a.astype(np.float64) - a.max(axis=1, keepdims=True))
    return float(np.abs(b - e / e.sum(axis=1, keepdims=True)).max())


if __name__ == "__main__":
    for shape in [(8, 300), (5, 257)]:
        error = run(*shape)
        print(f"softmax {shape}: error {error:.1e}")
        assert error < 1e-6
