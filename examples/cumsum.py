# SPDX-License-Identifier: MIT
"""Running sums of rows longer than a tile, from the left or the right. Run: tilescale run examples/cumsum.py"""

import tilelang
import tilelang.language as T
from common import check, normal, poisoned, relative_error


@tilelang.jit
def cumsum(M, N, block_M=4, block_N=128, reverse=False, threads=128, dtype="float32"):
    blocks = T.ceildiv(N, block_N)

    @T.prim_func
    def kernel(A: T.Tensor((M, N), dtype), B: T.Tensor((M, N), dtype)):
        with T.Kernel(T.ceildiv(M, block_M), threads=threads) as bx:
            tile = T.alloc_fragment((block_M, block_N), "float32")
            sums = T.alloc_fragment((block_M, block_N), "float32")
            total = T.alloc_fragment((block_M,), "float32")
            carry = T.alloc_fragment((block_M,), "float32")
            T.clear(carry)
            for k in T.serial(blocks):
                at = blocks - 1 - k if reverse else k
                T.copy(A[bx * block_M, at * block_N], tile)
                T.cumsum(tile, sums, dim=1, reverse=reverse)
                T.reduce_sum(tile, total, dim=1)
                for i, j in T.Parallel(block_M, block_N):
                    sums[i, j] += carry[i]
                T.copy(sums, B[bx * block_M, at * block_N])
                for i in T.Parallel(block_M):
                    carry[i] += total[i]

    return kernel


def run(M, N, reverse=False, **choice):
    """Relative error of the sums."""
    a, b = normal(M, N), poisoned(M, N)
    cumsum(M, N, reverse=reverse, **choice)(a, b)
    reference = a.double().flip(1).cumsum(1).flip(1) if reverse else a.double().cumsum(1)
    return relative_error(b, reference)


if __name__ == "__main__":
    for shape, choice in [((8, 256), {}), ((5, 300), {"block_N": 100, "threads": 96}), ((3, 257), {"reverse": True})]:
        check(f"cumsum {shape} {choice}", run(*shape, **choice), 1e-5)
