# SPDX-License-Identifier: MIT
"""B = A through registers, tile by tile. Run: tilescale run examples/tile_copy.py"""

import tilelang
import tilelang.language as T
import torch
from common import normal, poisoned


@tilelang.jit
def tile_copy(M, N, block_M=8, block_N=512, threads=128, dtype="float16"):
    @T.prim_func
    def kernel(A: T.Tensor((M, N), dtype), B: T.Tensor((M, N), dtype)):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=threads) as (bx, by):
            tile = T.alloc_fragment((block_M, block_N), dtype)
            T.copy(A[by * block_M, bx * block_N], tile)
            T.copy(tile, B[by * block_M, bx * block_N])

    return kernel


def run(M, N):
    """How many elements differ."""
    a, b = normal(M, N, dtype=torch.float16), poisoned(M, N, dtype=torch.float16)
    tile_copy(M, N)(a, b)
    return int((a != b).sum())


if __name__ == "__main__":
    for shape in [(16, 1024), (11, 700)]:
        wrong = run(*shape)
        print(f"tile_copy {shape}: error {wrong} elements")
        assert wrong == 0
