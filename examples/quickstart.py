# SPDX-License-Identifier: MIT
"""The first programs: a GEMM, two ranks that exchange tiles, and a GEMM that four ranks gather its rows for, on the
simulator and on the GPUs that there are."""

import sys
import time
from pathlib import Path

import numpy as np
import tilescale
import tilescale.language as T
from tilescale.targets import gpu_arch


def gemm_program(M, N, K, tile_m=128, tile_n=128, tile_k=32, stages=3):
    @T.prim_func
    def gemm(A: T.Tensor((M, K), "float16"), B: T.Tensor((K, N), "float16"), C: T.Tensor((M, N), "float32")):
        with T.Kernel(T.ceildiv(N, tile_n), T.ceildiv(M, tile_m), threads=128) as (bx, by):
            A_tile = T.alloc_shared((tile_m, tile_k), "float16")
            B_tile = T.alloc_shared((tile_k, tile_n), "float16")
            C_tile = T.alloc_fragment((tile_m, tile_n), "float32")
            T.clear(C_tile)
            for k in T.Pipelined(T.ceildiv(K, tile_k), num_stages=stages):
                T.copy(A[by * tile_m, k * tile_k], A_tile)
                T.copy(B[k * tile_k, bx * tile_n], B_tile)
                T.gemm(A_tile, B_tile, C_tile)
            T.copy(C_tile, C[by * tile_m, bx * tile_n])

    return gemm


def run_gemm(target: str, size: int = 256) -> float:
    """Compiles and runs one product; prints what it took; returns the error relative to the largest element."""
    started = time.perf_counter()
    kernel = tilescale.compile(gemm_program(size, size, size), target=target)
    compiled = time.perf_counter() - started
    rng = np.random.default_rng()
    a = rng.standard_normal((size, size)).astype(np.float16)
    b = rng.standard_normal((size, size)).astype(np.float16)
    c = np.full((size, size), np.nan, np.float32)
    if target.startswith("cuda"):
        import torch

        device = [torch.from_numpy(x).cuda() for x in (a, b, c)]
        kernel(*device)
        c = device[2].cpu().numpy()
    else:
        kernel(a, b, c)
    reference = a.astype(np.float64) @ b.astype(np.float64)
    error = float(np.abs(c - reference).max() / np.abs(reference).max())
    verdict = "no races" if target.startswith("sim") else "ran on the GPU"
    print(f"gemm {size}x{size}x{size} on {target}: compiled in {compiled * 1e3:.0f} ms, error {error:.1e}, {verdict}")
    return error


def gpus() -> int:
    """How many GPUs the ranks of a program can have here."""
    if gpu_arch() is None:
        return 0
    import torch

    return int(torch.cuda.device_count())


def main() -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parent / "distributed"))
    import ag_gemm
    import put_signal

    errors = [run_gemm("sim")]
    put_signal.main(["--target", "sim"])
    if gpu_arch() is not None:
        errors.append(run_gemm("cuda"))
        put_signal.main(["--target", "cuda"])
    ag_gemm.main(["--ranks", "4", "--target", "sim"])
    if gpus() > 1:
        ag_gemm.main(["--ranks", str(gpus()), "--target", "cuda"])
    if max(errors) > 1e-3:
        raise SystemExit("the result is wrong")
    print("next: read examples/gemm.py, print kernel.get_kernel_source() and kernel.explain();")
    print("      run examples/distributed/ag_gemm.py --ranks 8, and take one of its T.wait away")


if __name__ == "__main__":
    main()
