# SPDX-License-Identifier: MIT
"""GEMM and reduce-scatter in one kernel: a rank has some columns of A and rows of B, and gets its rows of the sum.

Tiles for other ranks come first. A few blocks send them on, several at a time, while the others go on multiplying. The
owner's tiles come last, and begin with what the others have sent for them instead of zeros: it is there by then.

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
    senders=2,
    threads=128,
    dtype="float16",
    out_dtype="float32",
):
    """M: rows that each rank owns. panel: row blocks whose tiles are neighbours in time, share columns of B and are
    sent together; outbox and inbox have them tile by tile.

    `done[r, s]`: tiles for rank r in part s of the outbox; `arrived[r, s]`: launches in which part s of rank r came;
    `ready[r]`: launches in which rank r let go of its inbox.
    """
    rows, columns = (M + block_M - 1) // block_M, (N + block_N - 1) // block_N
    tiles = rows * columns
    parts = (tiles + panel - 1) // panel

    @T.prim_func
    def gemm_rs(
        A: T.Tensor((ranks, M, K), dtype),
        B: T.Tensor((K, N), dtype),
        C: T.Tensor((M, N), out_dtype),
        outbox: T.Tensor((ranks, tiles, block_M, block_N), out_dtype),
        inbox: T.Tensor((ranks, tiles, block_M, block_N), out_dtype),
        ready: T.Tensor((ranks,), "int32"),
        done: T.Tensor((ranks, parts), "int32"),
        arrived: T.Tensor((ranks, parts), "int32"),
        iteration: T.int32,
    ):
        with T.Kernel(senders + ranks * tiles, threads=threads) as bx:
            rank = T.get_rank()
            if bx < senders:  # the first blocks: none that waits for them can keep them from running
                if bx == 0:  # what came before is summed
                    for step in T.serial(1, ranks):
                        T.notify(T.signal(ready, rank), peer=(rank + step) % ranks)
                for n in T.serial(bx, (ranks - 1) * parts, senders):
                    owner, part = (rank + 1 + n // parts) % ranks, n % parts
                    several = T.min(panel, tiles - part * panel)
                    T.wait(T.signal(ready, owner), at_least=iteration + 1)
                    T.wait(T.signal(done, (owner, part)), at_least=(iteration + 1) * several)
                    here, there = outbox[owner, part * panel, 0, 0], inbox[rank, part * panel, 0, 0]
                    T.put_block(T.address_of(here), T.address_of(there), several * block_M * block_N, owner)
                    T.notify(T.signal(arrived, (rank, part)), peer=owner)
            else:
                A_tile = T.alloc_shared((block_M, block_K), dtype)
                B_tile = T.alloc_shared((block_K, block_N), dtype)
                C_tile = T.alloc_fragment((block_M, block_N), "float32")
                C_shared = T.alloc_shared((block_M, block_N), out_dtype)  # takes the place of A_tile and B_tile
                owner, t = (rank + 1 + (bx - senders) // tiles) % ranks, (bx - senders) % tiles
                first = t // (panel * columns) * panel
                high = T.min(panel, rows - first)
                m, n = first + t % (panel * columns) % high, t % (panel * columns) // high
                down, across = slice(m * block_M, (m + 1) * block_M), slice(n * block_N, (n + 1) * block_N)
                T.clear(C_tile)
                if owner == rank:
                    for step in T.serial(1, ranks):
                        origin = (rank + step) % ranks
                        T.wait(T.signal(arrived, (origin, t // panel)), at_least=iteration + 1)
                        for i, j in T.Parallel(block_M, block_N):
                            C_tile[i, j] += inbox[origin, t, i, j]
                for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=num_stages):
                    T.copy(A[owner, down, k * block_K : (k + 1) * block_K], A_tile)
                    T.copy(B[k * block_K : (k + 1) * block_K, across], B_tile)
                    T.gemm(A_tile, B_tile, C_tile)
                T.copy(C_tile, C_shared)
                if owner == rank:
                    T.copy(C_shared, C[down, across])
                else:
                    T.copy(C_shared, outbox[owner, t, 0:block_M, 0:block_N])
                    T.notify(T.signal(done, (owner, t // panel)))

    return gemm_rs


def run(ranks=2, target=None, M=72, N=100, K=80, iterations=2):
    """The error of the sums. Launches follow each other without a barrier of the host."""
    kernel = tilescale.compile(gemm_rs_program(ranks, M, N, K), target=target)
    with World(ranks, target=target) as w:
        late = harness.Late(w)
        A = [w.tensor((ranks, M, K), "float16", name=f"A{i}") for i in range(iterations)]
        C = [w.tensor((M, N), name=f"C{i}") for i in range(iterations)]
        B, ready = w.tensor((K, N), "float16", name="B"), w.tensor((ranks,), "int32", name="ready")
        tiles = T.ceildiv(M, 64) * T.ceildiv(N, 64)
        outbox, inbox = (w.tensor((ranks, tiles, 64, 64), name=name) for name in ("outbox", "inbox"))
        done, arrived = (w.tensor((ranks, T.ceildiv(tiles, 2)), "int32", name=name) for name in ("done", "arrived"))
        a = harness.normal(iterations, ranks, ranks, M, K, dtype=np.float16)
        b = harness.normal(ranks, K, N, dtype=np.float16)
        harness.poison(outbox, inbox, *C)
        harness.spread(B, b)
        for i in range(iterations):
            harness.spread(A[i], a[i])
        for i in range(iterations):
            late()
            w.launch(kernel, A[i], B, C[i], outbox, inbox, ready, done, arrived, i)
        w.barrier()
        want = (a.astype(np.float64) @ b.astype(np.float64)[:, None]).sum(1)  # iteration, owner, M, N
        return float(np.max([harness.error(harness.gathered(C[i]), want[i]) for i in range(iterations)]))


def main(arguments=None):
    return harness.main("GEMM and reduce-scatter", __doc__, run, 1e-3, arguments)


if __name__ == "__main__":
    main()
