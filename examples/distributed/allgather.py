# SPDX-License-Identifier: MIT
"""Every rank gets the rows of all ranks: each pushes its own to all, and works on a peer's as soon as they have come.

Run: python allgather.py [--ranks N] [--target sim|cuda]
"""

import harness
import numpy as np
import tilescale
import tilescale.language as T
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
    """The error of the sums, and how many gathered elements are wrong."""
    kernel = tilescale.compile(allgather_program(ranks, M, N), target=target)
    found = 0.0
    with World(ranks, target=target) as w:
        late = harness.Late(w)
        mine, sums = w.tensor((M, N), name="mine"), w.tensor((M, N), name="sums")
        all = w.tensor((ranks, M, N), name="all")
        arrived = w.tensor((ranks, T.ceildiv(M, 16)), "int32", name="arrived")
        for iteration in range(iterations):
            inputs = harness.normal(ranks, M, N)
            harness.spread(mine, inputs)
            harness.poison(sums, all)
            late()
            w.launch(kernel, mine, all, sums, arrived, iteration)
            w.barrier()
            for r in range(ranks):
                found += harness.wrong(harness.numbers(all[r]), inputs)
                sum_error = harness.error(harness.numbers(sums[r]), inputs.astype(np.float64).sum(0))
                found = float(np.maximum(found, sum_error))  # a nan stays
    return found


def main(arguments=None):
    return harness.main("all-gather", __doc__, run, 1e-5, arguments)


if __name__ == "__main__":
    main()
