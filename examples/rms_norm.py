# SPDX-License-Identifier: MIT
"""B = A / sqrt(mean(A * A) + eps) * W for each row. Run: tilescale run examples/rms_norm.py"""

import tilelang
import tilelang.language as T
import torch
from common import check, normal, poisoned, relative_error


@tilelang.jit
def rms_norm(M, N, block_M=1, threads=128, dtype="float16", eps=1e-6):
    @T.prim_func
    def kernel(A: T.Tensor((M, N), dtype), W: T.Tensor((N,), dtype), B: T.Tensor((M, N), dtype)):
        with T.Kernel(T.ceildiv(M, block_M), threads=threads) as bx:
            x = T.alloc_fragment((block_M, N), dtype)
            square = T.alloc_fragment((block_M, N), "float32")
            scale = T.alloc_fragment((block_M,), "float32")
            T.copy(A[bx * block_M : (bx + 1) * block_M, :], x)
            for i, j in T.Parallel(block_M, N):
                square[i, j] = T.cast(x[i, j], "float32") * T.cast(x[i, j], "float32")
            T.reduce_sum(square, scale, dim=1)
            for i in T.Parallel(block_M):
                scale[i] = T.rsqrt(scale[i] / N + eps)
            for i, j in T.Parallel(block_M, N):
                x[i, j] = x[i, j] * scale[i] * W[j]
            T.copy(x, B[bx * block_M : (bx + 1) * block_M, :])

    return kernel


def run(M, N, **choice):
    """Relative error of one normalisation."""
    a, w = normal(M, N, dtype=torch.float16), normal(N, dtype=torch.float16)
    b = poisoned(M, N, dtype=torch.float16)
    rms_norm(M, N, **choice)(a, w, b)
    x = a.double()
    return relative_error(b, x * torch.rsqrt((x * x).mean(1, keepdim=True) + 1e-6) * w.double())


if __name__ == "__main__":
    for shape, choice in [((8, 512), {}), ((5, 257), {"block_M": 2, "threads": 96}), ((3, 300), {"block_M": 3})]:
        check(f"rms_norm {shape} {choice}", run(*shape, **choice), 2e-3)
