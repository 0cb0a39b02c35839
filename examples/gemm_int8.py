# SPDX-License-Identifier: MIT
"""C = A @ B^T in 8-bit integers, exact in 32 bits. Run: tilescale run examples/gemm_int8.py"""

import tilelang
import tilelang.language as T
import torch
from common import DEVICE, check, poisoned, relative_error


@tilelang.jit
def matmul_int8(M, N, K, dtype="int8", block_M=128, block_N=128, block_K=64, num_stages=3, threads=128):
    @T.prim_func
    def gemm(A: T.Tensor((M, K), dtype), B: T.Tensor((N, K), dtype), C: T.Tensor((M, N), "int32")):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=threads) as (bx, by):
            A_shared = T.alloc_shared((block_M, block_K), dtype)
            B_shared = T.alloc_shared((block_N, block_K), dtype)
            C_local = T.alloc_fragment((block_M, block_N), "int32")
            T.clear(C_local)
            for ko in T.Pipelined(T.ceildiv(K, block_K), num_stages=num_stages):
                T.copy(A[by * block_M, ko * block_K], A_shared)
                T.copy(B[bx * block_N, ko * block_K], B_shared)
                T.gemm(A_shared, B_shared, C_local, transpose_B=True)
            T.copy(C_local, C[by * block_M, bx * block_N])

    return gemm


def run(M, N, K, dtype="int8", **choice):
    """Relative error of one product: zero, as the sums are exact."""
    limits = torch.iinfo(getattr(torch, dtype))
    a, b = (
        torch.randint(limits.min, limits.max + 1, (rows, K), device=DEVICE, dtype=getattr(torch, dtype))
        for rows in (M, N)
    )
    c = poisoned(M, N, dtype=torch.int32)
    matmul_int8(M, N, K, dtype, **choice)(a, b, c)
    return relative_error(c, a.double() @ b.double().T)


if __name__ == "__main__":
    for dtype in ["int8", "uint8"]:
        for shape in [(128, 128, 128), (100, 130, 80)]:
            check(f"gemm_int8 {dtype} {shape}", run(*shape, dtype), 0.0)
