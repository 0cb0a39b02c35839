# SPDX-License-Identifier: MIT
"""GEMM and reduce-scatter in one kernel: a rank has some columns of A and rows of B, and gets its rows of the sum.

Each tile for another rank goes to its owner as soon as it is there. An owner's own tile comes some tiles later than
the others made theirs, so that what they sent for it is there when it is added.

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
    lead=2,
    threads=128,
    dtype="float16",
    out_dtype="float32",
):
    """M: rows that each rank owns. panel: row blocks whose tiles are neighbours in time and share columns of B.
    lead: by how many tiles a rank's own are later than those for others. If all of those came first, the links would
    rest while the own ones are made.

    The inboxes of two launches take turns: who has all tiles of a launch knows that the others began it, and so had
    ended the one before. `arrived[r, t]`: launches in which tile t of rank r came.
    """
    rows, columns = (M + block_M - 1) // block_M, (N + block_N - 1) // block_N
    tiles = rows * columns
    lead, others = min(lead, tiles), ranks - 1

    def place(bx):
        """The tile of a block, and of which rank it is: so many after this one."""
        turn = bx - lead * others
        group, i = turn // ranks, turn % ranks
        first, last = turn < 0, group >= tiles - lead
        tile = T.if_then_else(last, bx - tiles * others, T.if_then_else(i < others, group + lead, group))
        step = T.if_then_else(last, others, i)
        if others == 0:
            return tile, 0
        return T.if_then_else(first, bx // others, tile), (T.if_then_else(first, bx % others, step) + 1) % ranks

    @T.prim_func
    def gemm_rs(
        A: T.Tensor((ranks, M, K), dtype),
        B: T.Tensor((K, N), dtype),
        C: T.Tensor((M, N), out_dtype),
        inbox: T.Tensor((2, ranks, tiles, block_M, block_N), out_dtype),
        arrived: T.Tensor((ranks, tiles), "int32"),
        iteration: T.int32,
    ):
        with T.Kernel(ranks * tiles, threads=threads) as bx:
            rank, turn = T.get_rank(), iteration % 2
            A_tile = T.alloc_shared((block_M, block_K), dtype)
            B_tile = T.alloc_shared((block_K, block_N), dtype)
            C_tile = T.alloc_fragment((block_M, block_N), "float32")
            C_shared = T.alloc_shared((block_M, block_N), out_dtype)  # takes the place of A_tile and B_tile
            t, step = place(bx)
            owner = (rank + step) % ranks
            first = t // (panel * columns) * panel
            high = T.min(panel, rows - first)
            m, n = first + t % (panel * columns) % high, t % (panel * columns) // high
            down, across = slice(m * block_M, (m + 1) * block_M), slice(n * block_N, (n + 1) * block_N)
            T.clear(C_tile)
            for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=num_stages):
                T.copy(A[owner, down, k * block_K : (k + 1) * block_K], A_tile)
                T.copy(B[k * block_K : (k + 1) * block_K, across], B_tile)
                T.gemm(A_tile, B_tile, C_tile)
            if owner == rank:
                for i in T.serial(1, ranks):
                    origin = (rank + i) % ranks
                    T.wait(T.signal(arrived, (origin, t)), at_least=iteration + 1)
                    T.copy(inbox[turn, origin, t, 0:block_M, 0:block_N], C_shared)
                    for i, j in T.Parallel(block_M, block_N):
                        C_tile[i, j] += C_shared[i, j]
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
