# SPDX-License-Identifier: MIT
"""Each rank puts its tiles into the next rank's memory, signals, computes meanwhile, and uses what has arrived.

Run: python put_signal.py [--ranks N] [--target sim|cuda] [--size M N] [--iterations I]
"""

import argparse
import time

import harness
import numpy as np
import tilescale
import tilescale.language as T
from tilescale.distributed import World


def put_signal_program(M, N, block_M=32, threads=128, dtype="float32"):
    """C = A of the previous rank + 2 · A of this one. Row block b signals through element b of `flags`."""

    @T.prim_func
    def put_signal(
        A: T.Tensor((M, N), dtype),
        inbox: T.Tensor((M, N), dtype),
        flags: T.Tensor((T.ceildiv(M, block_M),), "int32"),
        C: T.Tensor((M, N), dtype),
        iteration: T.int32,
    ):
        with T.Kernel(T.ceildiv(M, block_M), threads=threads) as b:
            mine = T.alloc_fragment((block_M, N), dtype)
            theirs = T.alloc_fragment((block_M, N), dtype)
            arrived = T.signal(flags, b)
            next_rank = (T.get_rank() + 1) % T.get_num_ranks()
            T.copy(A[b * block_M, 0], mine)
            T.put(mine, inbox[b * block_M, 0], peer=next_rank, signal=arrived)
            for i, j in T.Parallel(block_M, N):
                mine[i, j] = mine[i, j] * 2
            T.wait(arrived, at_least=iteration + 1)
            T.copy(inbox[b * block_M, 0], theirs)
            for i, j in T.Parallel(block_M, N):
                mine[i, j] += theirs[i, j]
            T.copy(mine, C[b * block_M, 0])

    return put_signal


def run(ranks=2, target=None, M=200, N=96, iterations=3):
    """The largest error against float64, the seconds that compiling took, and where it ran."""
    started = time.perf_counter()
    kernel = tilescale.compile(put_signal_program(M, N), target=target)
    compiled = time.perf_counter() - started
    rng = np.random.default_rng()
    error = 0.0
    with World(ranks, target=target) as w:
        A, inbox, C = (w.tensor((M, N), name=name) for name in ("A", "inbox", "C"))
        flags = w.tensor((T.ceildiv(M, 32),), "int32", name="flags")
        for iteration in range(iterations):
            inputs = [rng.standard_normal((M, N)).astype(np.float32) for _ in range(ranks)]
            for r in range(ranks):
                harness.fill(A[r], inputs[r])
            harness.poison(C)
            w.launch(kernel, A, inbox, flags, C, iteration)
            w.barrier()  # the next iteration overwrites what peers have read by now
            for r in range(ranks):
                reference = inputs[r - 1].astype(np.float64) + 2 * inputs[r].astype(np.float64)
                error = float(np.maximum(error, np.abs(harness.numbers(C[r]) - reference).max()))  # a nan stays
        where = w.target.text.split()[0]
    return error, compiled, where


def main(arguments=None) -> float:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--target", default=None)
    parser.add_argument("--size", type=int, nargs=2, default=(200, 96))
    parser.add_argument("--iterations", type=int, default=3)
    options = parser.parse_args(arguments)
    error, compiled, where = run(options.ranks, options.target, *options.size, options.iterations)
    verdict = "no races" if where == "sim" else "ran on the GPU"
    print(
        f"put and signal, {options.ranks} ranks on {where}: compiled in {compiled * 1e3:.0f} ms, "
        f"error {error:.1e}, {verdict}"
    )
    if not error <= 1e-5:
        raise SystemExit("the result is wrong")
    return error


if __name__ == "__main__":
    main()
