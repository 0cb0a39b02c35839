# SPDX-License-Identifier: MIT
"""Every rank gets the rows of all ranks: each pushes its own to all, and works on a peer's as soon as they have come.

Run: python allgather.py [--ranks N] [--target sim|cuda]
"""

import argparse

import numpy as np
import tilescale
import tilescale.language as T
from put_signal import fill, numbers
from tilescale.distributed import World


def allgather_program(ranks, M, N, block_M=16, threads=128, dtype="float32"):
    """all[r] = the rows of rank r; sums = their sum over r. `arrived[r, b]`: how often block b of rank r came."""
    blocks = (M + block_M - 1) // block_M

    @T.prim_func
    def allgather(
        mine: T.Tensor((M, N), dtype),
        all: T.Tensor((ranks, M, N), dtype),
        sums: T.Tensor((M, N), dtype),
        arrived: T.Tensor((ranks, blocks), "int32"),
        iteration: T.int32,
    ):
        with T.Kernel(blocks, threads=threads) as b:
            tile = T.alloc_fragment((block_M, N), dtype)
            total = T.alloc_fragment((block_M, N), dtype)
            rank = T.get_rank()
            T.copy(mine[b * block_M, 0], tile)
            for step in T.serial(ranks):  # each rank begins with another peer
                T.put(
                    tile,
                    all[rank, b * block_M : (b + 1) * block_M, 0:N],
                    peer=(rank + step) % ranks,
                    signal=T.signal(arrived, (rank, b)),
                )
            T.clear(total)
            for step in T.serial(ranks):
                origin = (rank + ranks - step) % ranks
                T.wait(T.signal(arrived, (origin, b)), at_least=iteration + 1)
                T.copy(all[origin, b * block_M : (b + 1) * block_M, 0:N], tile)
                for i, j in T.Parallel(block_M, N):
                    total[i, j] += tile[i, j]
            T.copy(total, sums[b * block_M, 0])

    return allgather


def run(ranks=2, target=None, M=70, N=48, iterations=2):
    """The largest error of the sums against float64, how many gathered elements are wrong, and where it ran."""
    kernel = tilescale.compile(allgather_program(ranks, M, N), target=target)
    rng = np.random.default_rng()
    error, wrong = 0.0, 0
    with World(ranks, target=target) as w:
        mine, sums = w.tensor((M, N), name="mine"), w.tensor((M, N), name="sums")
        gathered = w.tensor((ranks, M, N), name="all")
        arrived = w.tensor((ranks, T.ceildiv(M, 16)), "int32", name="arrived")
        for iteration in range(iterations):
            inputs = rng.standard_normal((ranks, M, N)).astype(np.float32)
            for r in range(ranks):
                fill(mine[r], inputs[r])
                fill(sums[r], np.full((M, N), np.nan, np.float32))
                fill(gathered[r], np.full((ranks, M, N), np.nan, np.float32))
            w.launch(kernel, mine, gathered, sums, arrived, iteration)
            w.barrier()
            for r in range(ranks):
                wrong += int((numbers(gathered[r]) != inputs).sum())
                difference = np.abs(numbers(sums[r]) - inputs.astype(np.float64).sum(0))
                error = float(np.maximum(error, difference.max()))  # a nan stays
    return error, wrong, w.target.text.split()[0]


def main(arguments=None) -> float:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--target", default=None)
    options = parser.parse_args(arguments)
    error, wrong, where = run(options.ranks, options.target)
    print(f"all-gather, {options.ranks} ranks on {where}: error {error:.1e}, {wrong} gathered elements are wrong")
    if not error <= 1e-5 or wrong:
        raise SystemExit(1)
    return error


if __name__ == "__main__":
    main()
