# SPDX-License-Identifier: MIT
"""C = A @ B by two roles: four warps copy, four warps multiply, and each block walks over several tiles.
Run: tilescale run examples/gemm_two_roles.py"""

import tilelang
import tilelang.language as T
import torch
from common import DEVICE, check, normal, relative_error


@tilelang.jit
def matmul_two_roles(M, N, K, block_M=128, block_N=128, block_K=32, dtype="float16", depth=3, workers=4):
    tiles_N = T.ceildiv(N, block_N)
    tiles = tiles_N * T.ceildiv(M, block_M)
    sync = T.WSSync
    schedule = {
        "load": [
            sync.producer_acquire("ab"),
            T.WSOpRef("copy_A"),
            T.WSOpRef("copy_B"),
            sync.producer_commit("ab"),
        ],
        "math": [sync.consumer_wait("ab"), T.WSOpRef("multiply"), sync.consumer_release("ab")],
    }

    @T.prim_func
    def gemm(A: T.Tensor((M, K), dtype), B: T.Tensor((K, N), dtype), C: T.Tensor((M, N), "float32")):
        with T.Kernel(workers, threads=128) as bx:
            A_shared = T.alloc_shared((block_M, block_K), dtype)
            B_shared = T.alloc_shared((block_K, block_N), dtype)
            C_local = T.alloc_fragment((block_M, block_N), "float32")
            T.annotate_ws_schedule(
                T.WSSchedule(
                    num_warps=8,
                    roles=[T.WSRole("math", warps_lo=0, warps_hi=4), T.WSRole("load", warps_lo=4, warps_hi=8)],
                    pipelines=[T.WSPipeline("ab", [A_shared, B_shared], depth)],
                    scopes=[T.WSScope("steps", schedule)],
                )
            )
            for turn in T.serial(T.ceildiv(tiles - bx, workers)):
                row = (bx + turn * workers) // tiles_N * block_M
                column = (bx + turn * workers) % tiles_N * block_N
                T.clear(C_local)
                for ko in T.serial(T.ceildiv(K, block_K), annotations={T.WSID: "steps"}):
                    with T.ws_op("copy_A"):
                        T.copy(A[row, ko * block_K], A_shared)
                    with T.ws_op("copy_B"):
                        T.copy(B[ko * block_K, column], B_shared)
                    with T.ws_op("multiply"):
                        T.gemm(A_shared, B_shared, C_local)
                T.copy(C_local, C[row, column])

    return gemm


def run(M, N, K, **choice):
    """Relative error of the product."""
    a, b = normal(M, K, dtype=torch.float16), normal(K, N, dtype=torch.float16)
    c = torch.full((M, N), float("nan"), device=DEVICE)
    matmul_two_roles(M, N, K, **choice)(a, b, c)
    return relative_error(c, a.double() @ b.double())


if __name__ == "__main__":
    for shape in [(256, 256, 256), (200, 136, 104)]:
        check(f"gemm_two_roles {shape}", run(*shape, workers=2), 1e-3)
