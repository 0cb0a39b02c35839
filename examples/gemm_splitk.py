# SPDX-License-Identifier: MIT
"""C += A @ B: blocks share a tile of C, each takes a part of K. Run: tilescale run examples/gemm_splitk.py"""

import tilelang
import tilelang.language as T
import torch
from common import DEVICE, check, normal, relative_error


@tilelang.jit
def matmul_splitk(M, N, K, split, block_M=128, block_N=128, block_K=32, dtype="float16", num_stages=3, threads=128):
    steps = T.ceildiv(T.ceildiv(K, block_K), split)  # of one block

    @T.prim_func
    def gemm(A: T.Tensor((M, K), dtype), B: T.Tensor((K, N), dtype), C: T.Tensor((M, N), "float32")):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), split, threads=threads) as (bx, by, bz):
            A_shared = T.alloc_shared((block_M, block_K), dtype)
            B_shared = T.alloc_shared((block_K, block_N), dtype)
            C_local = T.alloc_fragment((block_M, block_N), "float32")
            T.clear(C_local)
            for ko in T.Pipelined(steps, num_stages=num_stages):
                T.copy(A[by * block_M, (bz * steps + ko) * block_K], A_shared)
                T.copy(B[(bz * steps + ko) * block_K, bx * block_N], B_shared)
                T.gemm(A_shared, B_shared, C_local)
            T.atomic_add(C[by * block_M, bx * block_N], C_local)

    return gemm


def run(M, N, K, split, **choice):
    """Relative error of C = 1 + A @ B."""
    a, b = normal(M, K, dtype=torch.float16), normal(K, N, dtype=torch.float16)
    c = torch.ones(M, N, device=DEVICE)
    matmul_splitk(M, N, K, split, **choice)(a, b, c)
    return relative_error(c, a.double() @ b.double() + 1)


if __name__ == "__main__":
    for shape in [(128, 128, 512, 4), (100, 75, 300, 3)]:
        check(f"gemm_splitk {shape}", run(*shape), 1e-3)
