# SPDX-License-Identifier: MIT
"""GEMM and reduce-scatter in one kernel: a rank has some columns of A and rows of B, and gets its rows of the sum.

Each tile for another rank goes to its owner as soon as it is there. The owner's tiles begin with what the others have
sent for them instead of zeros. Both take turns, a group of tiles at a time, so that the link has work all along; the
owner is a group behind, so that what it waits for is there.

Run: python gemm_rs.py [--ranks N] [--target sim|cuda]
"""

import harness
import numpy as np
import tilescale
import tilescale.language as T
from tilescale.distributed import World


def gemm_rs_program(
    ranks,
    M,
    N,
    K,
    block_M=64,
    block_N=64,
    block_K=32,
    num_stages=2,
    panel=2,
    threads=128,
    dtype="float16",
    out_dtype="float32",
):
    """M: rows that each rank owns. panel: row blocks whose tiles are a group, which share columns of B.

    The inboxes of two launches take turns: who has all tiles of a launch knows that the others began it, and so had
    ended the one before. `arrived[r, t]`: launches in which tile t of rank r came.
    """
    rows, columns = (M + block_M - 1) // block_M, (N + block_N - 1) // block_N
    tiles, groups, group = rows * columns, (rows + panel - 1) // panel, panel * columns

    @T.prim_func
    def gemm_rs(
        A: T.Tensor((ranks, M, K), dtype),
        B: T.Tensor((K, N), dtype),
        C: T.Tensor((M, N), out_dtype),
        inbox: T.Tensor((2, ranks, tiles, block_M, block_N), out_dtype),
        arrived: T.Tensor((ranks, tiles), "int32"),
        iteration: T.int32,
    ):
        with T.Kernel(ranks * groups * group, threads=threads) as bx:
            rank, turn = T.get_rank(), iteration % 2
            A_tile = T.alloc_shared((block_M, block_K), dtype)
            B_tile = T.alloc_shared((block_K, block_N), dtype)
            C_tile = T.alloc_fragment((block_M, block_N), "float32")
            C_shared = T.alloc_shared((block_M, block_N), out_dtype)  # takes the place of A_tile and B_tile
            # A group of each of the others, then of this rank.
            turns, i = bx // group, bx % group
            g, owner = turns // ranks, (rank + 1 + turns % ranks) % ranks
            high = T.min(panel, rows - g * panel)
            t, m, n = g * group + i, g * panel + i % high, i // high
            down, across = slice(m * block_M, (m + 1) * block_M), slice(n * block_N, (n + 1) * block_N)
            if n < columns:  # the last group may be smaller
                T.clear(C_tile)
                if owner == rank:
                    for other in T.serial(1, ranks):
                        origin = (rank + other) % ranks
                        T.wait(T.signal(arrived, (origin, t)), at_least=iteration + 1)
                        for y, x in T.Parallel(block_M, block_N):
                            C_tile[y, x] += inbox[turn, origin, t, y, x]
                for ko in T.Pipelined(T.ceildiv(K, block_K), num_stages=num_stages):
                    T.copy(A[owner, down, ko * block_K : (ko + 1) * block_K], A_tile)
                    T.copy(B[ko * block_K : (ko + 1) * block_K, across], B_tile)
                    T.gemm(A_tile, B_tile, C_tile)
                T.copy(C_tile, C_shared)
                if owner == rank:
                    T.copy(C_shared, C[down, across])
                else:
                    came = T.signal(arrived, (rank, t))
                    T.put(C_shared, inbox[turn, rank, t, 0:block_M, 0:block_N], peer=owner, signal=came)

    return gemm_rs


def run(ranks=2, target=None, M=72, N=100, K=80, iterations=3):
    """The error of the sums. Launches follow each other without a barrier of the host."""
    kernel = tilescale.compile(gemm_rs_program(ranks, M, N, K), target=target)
    with World(ranks, target=target) as w:
        late = harness.Late(w)
        A = [w.tensor((ranks, M, K), "float16", name=f"A{i}") for i in range(iterations)]
        C = [w.tensor((M, N), name=f"C{i}") for i in range(iterations)]
        B = w.tensor((K, N), "float16", name="B")
        tiles = T.ceildiv(M, 64) * T.ceildiv(N, 64)
        inbox = w.tensor((2, ranks, tiles, 64, 64), name="inbox")
        arrived = w.tensor((ranks, tiles), "int32", name="arrived")
        a = harness.normal(iterations, ranks, ranks, M, K, dtype=np.float16)
        b = harness.normal(ranks, K, N, dtype=np.float16)
        harness.poison(inbox, *C)
        harness.spread(B, b)
        for i in range(iterations):
            harness.spread(A[i], a[i])
        for i in range(iterations):
            late()
            w.launch(kernel, A[i], B, C[i], inbox, arrived, i)
        w.barrier()
        want = (a.astype(np.float64) @ b.astype(np.float64)[:, None]).sum(1)  # iteration, owner, M, N
        return float(np.max([harness.error(harness.gathered(C[i]), want[i]) for i in range(iterations)]))


def main(arguments=None):
    return harness.main("GEMM and reduce-scatter", __doc__, run, 1e-3, arguments)


if __name__ == "__main__":
    main()
