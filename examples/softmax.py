# SPDX-License-Identifier: MIT
"""Row softmax with any number of columns. Run: tilescale run examples/softmax.py"""

import math

import tilelang
import tilelang.language as T
from common import check, normal, poisoned, relative_error


@tilelang.jit
def softmax(M, N, block_M=4, threads=128, dtype="float32"):
    log2e = math.log2(math.e)

    @T.prim_func
    def kernel(A: T.Tensor((M, N), dtype), B: T.Tensor((M, N), dtype)):
        with T.Kernel(T.ceildiv(M, block_M), threads=threads) as bx:
            x = T.alloc_fragment((block_M, N), "float32")
            top = T.alloc_fragment((block_M,), "float32")
            total = T.alloc_fragment((block_M,), "float32")
            T.copy(A[bx * block_M, 0], x)
            T.reduce_max(x, top, dim=1)
            for i, j in T.Parallel(block_M, N):
                x[i, j] = T.exp2(x[i, j] * log2e - top[i] * log2e)
            T.reduce_sum(x, total, dim=1)
            for i in T.Parallel(block_M):
                total[i] = 1.0 / total[i]
            for i, j in T.Parallel(block_M, N):
                x[i, j] = x[i, j] * total[i]
            T.copy(x, B[bx * block_M, 0])

    return kernel


def run(M, N, **choice):
    """Relative error of one softmax."""
    a, b = normal(M, N), poisoned(M, N)
    softmax(M, N, **choice)(a, b)
    return relative_error(b, a.double().softmax(1))


if __name__ == "__main__":
    for shape, choice in [((8, 300), {}), ((5, 257), {"threads": 96})]:
        check(f"softmax {shape} {choice}", run(*shape, **choice), 1e-6)
