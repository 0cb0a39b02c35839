# SPDX-License-Identifier: MIT
"""GEMM and reduce-scatter in one kernel: a rank has some columns of A and rows of B, and gets its rows of the sum.

A tile goes to the rank that owns its rows as soon as it is done. The owner's own tiles come last: what it waits for is
then on the way already, on any number of resident blocks.

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
    """M: rows that each rank owns. `arrived[r, t]`: tile t of rank r; `ready[r]`: launches in which rank r let go.

    panel: row blocks whose tiles are neighbours in time and share columns of B.
    """
    rows, columns = (M + block_M - 1) // block_M, (N + block_N - 1) // block_N

    @T.prim_func
    def gemm_rs(
        A: T.Tensor((ranks, M, K), dtype),
        B: T.Tensor((K, N), dtype),
        C: T.Tensor((M, N), out_dtype),
        inbox: T.Tensor((ranks, M, N), out_dtype),
        ready: T.Tensor((ranks,), "int32"),
        arrived: T.Tensor((ranks, rows * columns), "int32"),
        iteration: T.int32,
    ):
        with T.Kernel(ranks * rows * columns, threads=threads) as bx:
            A_tile = T.alloc_shared((block_M, block_K), dtype)
            B_tile = T.alloc_shared((block_K, block_N), dtype)
            C_tile = T.alloc_fragment((block_M, block_N), "float32")
            C_shared = T.alloc_shared((block_M, block_N), out_dtype)  # takes the place of A_tile and B_tile
            rank = T.get_rank()
            owner = (rank + 1 + bx // (rows * columns)) % ranks
            t = bx % (rows * columns)
            first = t // (panel * columns) * panel
            high = T.min(panel, rows - first)
            m, n = first + t % (panel * columns) % high, t % (panel * columns) // high
            down, across = slice(m * block_M, (m + 1) * block_M), slice(n * block_N, (n + 1) * block_N)
            if bx == 0:  # what came before is summed
                for step in T.serial(1, ranks):
                    T.notify(T.signal(ready, rank), peer=(rank + step) % ranks)
            T.clear(C_tile)
            for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=num_stages):
                T.copy(A[owner, down, k * block_K : (k + 1) * block_K], A_tile)
                T.copy(B[k * block_K : (k + 1) * block_K, across], B_tile)
                T.gemm(A_tile, B_tile, C_tile)
            if owner != rank:
                T.copy(C_tile, C_shared)
                T.wait(T.signal(ready, owner), at_least=iteration + 1)
                T.put(C_shared, inbox[rank, down, across], peer=owner, signal=T.signal(arrived, (rank, t)))
            else:
                for step in T.serial(1, ranks):
                    origin = (rank + step) % ranks
                    T.wait(T.signal(arrived, (origin, t)), at_least=iteration + 1)
                    T.copy(inbox[origin, down, across], C_shared)
                    for i, j in T.Parallel(block_M, block_N):
                        C_tile[i, j] += C_shared[i, j]
                T.copy(C_tile, C_shared)
                T.copy(C_shared, C[down, across])

    return gemm_rs


def run(ranks=2, target=None, M=40, N=72, K=80, iterations=2):
    """The error of the sums. Launches follow each other without a barrier of the host."""
    kernel = tilescale.compile(gemm_rs_program(ranks, M, N, K), target=target)
    with World(ranks, target=target) as w:
        late = harness.Late(w)
        A = [w.tensor((ranks, M, K), "float16", name=f"A{i}") for i in range(iterations)]
        C = [w.tensor((M, N), name=f"C{i}") for i in range(iterations)]
        B, inbox = w.tensor((K, N), "float16", name="B"), w.tensor((ranks, M, N), name="inbox")
        ready = w.tensor((ranks,), "int32", name="ready")
        arrived = w.tensor((ranks, T.ceildiv(M, 64) * T.ceildiv(N, 64)), "int32", name="arrived")
        a = harness.normal(iterations, ranks, ranks, M, K, dtype=np.float16)
        b = harness.normal(ranks, K, N, dtype=np.float16)
        harness.poison(inbox, *C)
        harness.spread(B, b)
        for i in range(iterations):
            harness.spread(A[i], a[i])
        for i in range(iterations):
            late()
            w.launch(kernel, A[i], B, C[i], inbox, ready, arrived, i)
        w.barrier()
        want = (a.astype(np.float64) @ b.astype(np.float64)[:, None]).sum(1)  # iteration, owner, M, N
        return float(np.max([harness.error(harness.gathered(C[i]), want[i]) for i in range(iterations)]))


def main(arguments=None):
    return harness.main("GEMM and reduce-scatter", __doc__, run, 1e-3, arguments)


if __name__ == "__main__":
    main()
