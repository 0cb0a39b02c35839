# SPDX-License-Identifier: MIT
"""C = A @ B, as a TileLang user writes it. Run: tilescale run examples/gemm.py"""

import numpy as np
import tilelang
import tilelang.language as T


@tilelang.jit
def matmul(M, N, K, block_M, block_N, block_K, dtype="float16", accum_dtype="float32", num_stages=3, threads=128):
    @T.prim_func
    def gemm(
        A: T.Tensor((M, K), dtype),
        B: T.Tensor((K, N), dtype),
        C: T.Tensor((M, N), accum_dtype),
    ):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=threads) as (bx, by):
            A_shared = T.alloc_shared((block_M, block_K), dtype)
            B_shared = T.alloc_shared((block_K, block_N), dtype)
            C_local = T.alloc_fragment((block_M, block_N), accum_dtype)
            T.clear(C_local)
            for ko in T.Pipelined(T.ceildiv(K, block_K), num_stages=num_stages):
                T.copy(A[by * block_M, ko * block_K], A_shared)
                T.copy(B[ko * block_K, bx * block_N], B_shared)
                T.gemm(A_shared, B_shared, C_local)
            T.copy(C_local, C[by * block_M, bx * block_N])

    return gemm


def run(M, N, K, target="auto"):
    """Largest error of one product against float64, relative to the largest element."""
    rng = np.random.default_rng()
    a = rng.standard_normal((M, K)).astype(np.float16)
    b = rng.standard_normal((K, N)).astype(np.float16)
    c = np.full((M, N), np.nan, np.float32)
    kernel = matmul(M, N, K, 128, 128, 32)
    kernel(a, b, c)
    reference = a.astype(np.float64) @ b.astype(np.float64)
    return float(np.abs(c - reference).max() / np.abs(reference).max())


if __name__ == "__main__":
    for shape in [(256, 256, 128), (200, 136, 72)]:
        error = run(*shape)
        print(f"gemm {shape}: error {error:.1e}")
        assert error < 1e-3
