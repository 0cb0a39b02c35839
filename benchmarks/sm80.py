# SPDX-License-Identifier: MIT
"""GEMM through mma.sync against cuBLAS in the same process, interleaved, on random data. Needs a GPU and torch."""

import argparse
import statistics
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))

import tilescale
import tilescale.language as T


def gemm_program(M, N, K, tile_m=128, tile_n=128, tile_k=32, stages=3, threads=128):
    @T.prim_func
    def gemm(A: T.Tensor((M, K), "bfloat16"), B: T.Tensor((K, N), "bfloat16"), C: T.Tensor((M, N), "bfloat16")):
        with T.Kernel(T.ceildiv(N, tile_n), T.ceildiv(M, tile_m), threads=threads) as (bx, by):
            T.use_swizzle(8)
            A_tile = T.alloc_shared((tile_m, tile_k), "bfloat16")
            B_tile = T.alloc_shared((tile_k, tile_n), "bfloat16")
            C_tile = T.alloc_fragment((tile_m, tile_n), "float32")
            T.clear(C_tile)
            for k in T.Pipelined(T.ceildiv(K, tile_k), num_stages=stages):
                T.copy(A[by * tile_m, k * tile_k], A_tile)
                T.copy(B[k * tile_k, bx * tile_n], B_tile)
                T.gemm(A_tile, B_tile, C_tile)
            T.copy(C_tile, C[by * tile_m, bx * tile_n])

    return gemm


def milliseconds(call) -> float:
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def compare(size: int, rounds: int, **choice) -> None:
    """Prints both medians, the ratio of rates, and the relative error against float64."""
    kernel = tilescale.compile(gemm_program(size, size, size, **choice), target="cuda")
    a = torch.randn(size, size, device="cuda", dtype=torch.bfloat16)
    b = torch.randn(size, size, device="cuda", dtype=torch.bfloat16)
    c = torch.full((size, size), float("nan"), device="cuda", dtype=torch.bfloat16)
    ours, theirs = [], []
    for i in range(rounds + 3):
        mine = milliseconds(lambda: kernel(a, b, c))
        other = milliseconds(lambda: torch.mm(a, b))
        if i >= 3:
            ours.append(mine)
            theirs.append(other)
    rows = torch.randint(0, size, (64,), device="cuda")
    reference = a[rows].double() @ b.double()
    error = float((c[rows].double() - reference).norm() / reference.norm())
    x, y = statistics.median(ours), statistics.median(theirs)
    rate = 2 * size**3 / x * 1e-9
    print(f"gemm bf16 {size} {choice}: {x:.3f} ms ({rate:.0f} TFLOP/s),", end=" ")
    print(f"cuBLAS {y:.3f} ms, ratio {y / x:.3f}, error {error:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    choices = [
        {"tile_m": 128, "tile_n": 128, "tile_k": 32, "stages": 3, "threads": 128},
        {"tile_m": 128, "tile_n": 256, "tile_k": 32, "stages": 4, "threads": 256},
        {"tile_m": 256, "tile_n": 128, "tile_k": 32, "stages": 4, "threads": 256},
        {"tile_m": 128, "tile_n": 256, "tile_k": 64, "stages": 3, "threads": 256},
        {"tile_m": 128, "tile_n": 128, "tile_k": 64, "stages": 3, "threads": 256},
    ]
    for size in (4096, 8192):
        for choice in choices:
            compare(size, rounds, **choice)


if __name__ == "__main__":
    main()
