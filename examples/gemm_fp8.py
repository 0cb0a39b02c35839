# SPDX-License-Identifier: MIT
"""C = (A @ B^T) * scale_A * scale_B in 8-bit floats, a scale each row. Run: tilescale run examples/gemm_fp8.py"""

import tilelang
import tilelang.language as T
import torch
from common import check, normal, poisoned, relative_error


@tilelang.jit
def matmul_fp8(
    M,
    N,
    K,
    dtype="float8_e4m3fn",
    out_dtype="bfloat16",
    block_M=128,
    block_N=128,
    block_K=64,
    num_stages=3,
    threads=256,
):
    @T.prim_func
    def gemm(
        A: T.Tensor((M, K), dtype),
        B: T.Tensor((N, K), dtype),
        scale_A: T.Tensor((M,), "float32"),
        scale_B: T.Tensor((N,), "float32"),
        C: T.Tensor((M, N), out_dtype),
    ):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=threads) as (bx, by):
            A_shared = T.alloc_shared((block_M, block_K), dtype)
            B_shared = T.alloc_shared((block_N, block_K), dtype)
            C_local = T.alloc_fragment((block_M, block_N), "float32")
            T.clear(C_local)
            for ko in T.Pipelined(T.ceildiv(K, block_K), num_stages=num_stages):
                T.copy(A[by * block_M, ko * block_K], A_shared)
                T.copy(B[bx * block_N, ko * block_K], B_shared)
                T.gemm(A_shared, B_shared, C_local, transpose_B=True)
            for i, j in T.Parallel(block_M, block_N):
                C_local[i, j] *= scale_A[by * block_M + i] * scale_B[bx * block_N + j]
            T.copy(C_local, C[by * block_M, bx * block_N])

    return gemm


def quantise(x, dtype):
    """8-bit floats and the scale of each row."""
    scale = x.abs().amax(1) / torch.finfo(dtype).max
    return (x / scale[:, None]).to(dtype), scale


def run(M, N, K, dtype="float8_e4m3fn", **choice):
    """Relative error of the product of the quantised values."""
    a, scale_a = quantise(normal(M, K), getattr(torch, dtype))
    b, scale_b = quantise(normal(N, K), getattr(torch, dtype))
    c = poisoned(M, N, dtype=torch.bfloat16)
    matmul_fp8(M, N, K, dtype, **choice)(a, b, scale_a, scale_b, c)
    product = (a.double() * scale_a.double()[:, None]) @ (b.double() * scale_b.double()[:, None]).T
    return relative_error(c, product)


if __name__ == "__main__":
    for dtype in ["float8_e4m3fn", "float8_e5m2"]:
        for shape in [(128, 128, 128), (100, 130, 80)]:
            check(f"gemm_fp8 {dtype} {shape}", run(*shape, dtype), 8e-3)
