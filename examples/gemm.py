# SPDX-License-Identifier: MIT
"""C = op(A) @ op(B), as a TileLang user writes it. Run: tilescale run examples/gemm.py"""

import tilelang
import tilelang.language as T
import torch
from common import check, normal, poisoned, relative_error


@tilelang.jit
def matmul(
    M,
    N,
    K,
    block_M,
    block_N,
    block_K,
    transpose_A=False,
    transpose_B=False,
    dtype="float16",
    out_dtype="float32",
    accum_dtype="float32",
    num_stages=3,
    threads=128,
    panel=8,
):
    @T.prim_func
    def gemm(
        A: T.Tensor((K, M) if transpose_A else (M, K), dtype),
        B: T.Tensor((N, K) if transpose_B else (K, N), dtype),
        C: T.Tensor((M, N), out_dtype),
    ):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=threads) as (bx, by):
            A_shared = T.alloc_shared((block_K, block_M) if transpose_A else (block_M, block_K), dtype)
            B_shared = T.alloc_shared((block_N, block_K) if transpose_B else (block_K, block_N), dtype)
            C_local = T.alloc_fragment((block_M, block_N), accum_dtype)
            C_shared = T.alloc_shared((block_M, block_N), out_dtype)  # takes the place of A_shared and B_shared
            T.use_swizzle(panel)
            T.clear(C_local)
            for ko in T.Pipelined(T.ceildiv(K, block_K), num_stages=num_stages):
                if transpose_A:
                    T.copy(A[ko * block_K, by * block_M], A_shared)
                else:
                    T.copy(A[by * block_M, ko * block_K], A_shared)
                if transpose_B:
                    T.copy(B[bx * block_N, ko * block_K], B_shared)
                else:
                    T.copy(B[ko * block_K, bx * block_N], B_shared)
                T.gemm(A_shared, B_shared, C_local, transpose_A=transpose_A, transpose_B=transpose_B)
            T.copy(C_local, C_shared)
            T.copy(C_shared, C[by * block_M, bx * block_N])

    return gemm


def run(M, N, K, block_M=128, block_N=128, block_K=32, transpose_A=False, transpose_B=False, out="float32", **choice):
    """Relative error of one product."""
    a = normal(*((K, M) if transpose_A else (M, K)), dtype=torch.float16)
    b = normal(*((N, K) if transpose_B else (K, N)), dtype=torch.float16)
    c = poisoned(M, N, dtype=getattr(torch, out))
    kernel = matmul(M, N, K, block_M, block_N, block_K, transpose_A, transpose_B, out_dtype=out, **choice)
    kernel(a, b, c)
    return relative_error(c, (a.T if transpose_A else a).double() @ (b.T if transpose_B else b).double())


if __name__ == "__main__":
    for shape in [(256, 256, 128), (200, 136, 72)]:
        for flags in [(False, False), (False, True), (True, False), (True, True)]:
            check(f"gemm {shape} transposes {flags}", run(*shape, 128, 128, 32, *flags), 1e-3)
    check("gemm ragged, float16 result", run(77, 99, 45, 64, 64, 32, out="float16"), 2e-3)
