# SPDX-License-Identifier: MIT
"""One kernel for products of any size: a call binds M, N and K. Run: tilescale run examples/gemm_dynamic.py"""

import tilelang
import tilelang.language as T
import torch
from common import check, normal, poisoned, relative_error


@tilelang.jit
def matmul_dynamic(block_M=64, block_N=64, block_K=32, dtype="float16", num_stages=2, threads=128):
    M, N, K = T.dynamic("M"), T.dynamic("N"), T.dynamic("K")

    @T.prim_func
    def gemm(A: T.Tensor((M, K), dtype), B: T.Tensor((K, N), dtype), C: T.Tensor((M, N), "float32")):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=threads) as (bx, by):
            A_shared = T.alloc_shared((block_M, block_K), dtype)
            B_shared = T.alloc_shared((block_K, block_N), dtype)
            C_local = T.alloc_fragment((block_M, block_N), "float32")
            T.clear(C_local)
            for ko in T.Pipelined(T.ceildiv(K, block_K), num_stages=num_stages):
                T.copy(A[by * block_M, ko * block_K], A_shared)
                T.copy(B[ko * block_K, bx * block_N], B_shared)
                T.gemm(A_shared, B_shared, C_local)
            T.copy(C_local, C[by * block_M, bx * block_N])

    return gemm


def run(kernel, M, N, K):
    """Relative error of one product."""
    a, b, c = normal(M, K, dtype=torch.float16), normal(K, N, dtype=torch.float16), poisoned(M, N)
    kernel(a, b, c)
    return relative_error(c, a.double() @ b.double())


if __name__ == "__main__":
    kernel = matmul_dynamic()
    for shape in [(128, 128, 64), (96, 200, 72), (65, 33, 17), (1, 64, 128)]:
        check(f"gemm_dynamic {shape}", run(kernel, *shape), 1e-3)
