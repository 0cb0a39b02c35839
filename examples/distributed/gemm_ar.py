# SPDX-License-Identifier: MIT
"""GEMM and all-reduce in one kernel: each rank has some columns of A and rows of B; all get the sum of the products.

As in gemm_rs.py each tile has an owner, which sums it; then the owner puts the sum into every rank's C.

Run: python gemm_ar.py [--ranks N] [--target sim|cuda]
"""

import harness
import numpy as np
import tilescale
import tilescale.language as T
from tilescale.distributed import World


def gemm_ar_program(ranks, M, N, K, block_M=64, block_N=64, block_K=32, threads=128):
    """Tile t of owner r holds the rows r * M .. of the product. `done`: tiles of C that have come."""
    rows, columns = (M + block_M - 1) // block_M, (N + block_N - 1) // block_N
    tiles = ranks * rows * columns

    @T.prim_func
    def gemm_ar(
        A: T.Tensor((ranks, M, K), "float16"),
        B: T.Tensor((K, N), "float16"),
        C: T.Tensor((ranks, M, N), "float32"),
        inbox: T.Tensor((ranks, M, N), "float32"),
        ready: T.Tensor((ranks,), "int32"),
        arrived: T.Tensor((ranks, rows * columns), "int32"),
        done: T.Tensor((1,), "int32"),
        iteration: T.int32,
    ):
        with T.Kernel(tiles + 1, threads=threads) as bx:
            A_tile = T.alloc_shared((block_M, block_K), "float16")
            B_tile = T.alloc_shared((block_K, block_N), "float16")
            C_tile = T.alloc_fragment((block_M, block_N), "float32")
            theirs = T.alloc_fragment((block_M, block_N), "float32")
            rank = T.get_rank()
            owner = (rank + 1 + bx // (rows * columns)) % ranks
            t = bx % (rows * columns)
            down = slice(t // columns * block_M, (t // columns + 1) * block_M)
            across = slice(t % columns * block_N, (t % columns + 1) * block_N)
            if bx == 0:  # inbox and C are read
                for p in T.serial(ranks):
                    T.notify(T.signal(ready, rank), peer=p)
            if bx < tiles:
                T.clear(C_tile)
                for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=2):
                    T.copy(A[owner, down, k * block_K : (k + 1) * block_K], A_tile)
                    T.copy(B[k * block_K : (k + 1) * block_K, across], B_tile)
                    T.gemm(A_tile, B_tile, C_tile)
                if owner != rank:
                    T.wait(T.signal(ready, owner), at_least=iteration + 1)
                    T.put(C_tile, inbox[rank, down, across], peer=owner, signal=T.signal(arrived, (rank, t)))
                else:
                    for step in T.serial(1, ranks):
                        origin = (rank + step) % ranks
                        T.wait(T.signal(arrived, (origin, t)), at_least=iteration + 1)
                        T.copy(inbox[origin, down, across], theirs)
                        for i, j in T.Parallel(block_M, block_N):
                            C_tile[i, j] += theirs[i, j]
                    for step in T.serial(ranks):
                        peer = (rank + step) % ranks
                        T.wait(T.signal(ready, peer), at_least=iteration + 1)
                        T.put(C_tile, C[rank, down, across], peer=peer, signal=T.signal(done))
            else:  # one block more, the last, keeps the kernel until all of C is there
                T.wait(T.signal(done), at_least=(iteration + 1) * tiles)

    return gemm_ar


def run(ranks=2, target=None, M=40, N=72, K=80, iterations=2):
    """The error of the sums; nan where ranks differ. Launches follow each other without a barrier of the host."""
    kernel = tilescale.compile(gemm_ar_program(ranks, M, N, K), target=target)
    with World(ranks, target=target) as w:
        late = harness.Late(w)
        A = [w.tensor((ranks, M, K), "float16", name=f"A{i}") for i in range(iterations)]
        got = [w.tensor((ranks, M, N), name=f"got{i}") for i in range(iterations)]
        C, inbox = (w.tensor((ranks, M, N), name=name) for name in ("C", "inbox"))
        B = w.tensor((K, N), "float16", name="B")
        ready, done = w.tensor((ranks,), "int32", name="ready"), w.tensor((1,), "int32", name="done")
        arrived = w.tensor((ranks, T.ceildiv(M, 64) * T.ceildiv(N, 64)), "int32", name="arrived")
        a = harness.normal(iterations, ranks, ranks, M, K, dtype=np.float16)
        b = harness.normal(ranks, K, N, dtype=np.float16)
        harness.poison(inbox, C, *got)
        harness.spread(B, b)
        for i in range(iterations):
            harness.spread(A[i], a[i])
        keep = tilescale.compile(harness.copy_program(C, C), target=target)
        for i in range(iterations):
            late()
            w.launch(kernel, A[i], B, C, inbox, ready, arrived, done, i)
            w.launch(keep, C, got[i])
        w.barrier()
        want = (a.astype(np.float64) @ b.astype(np.float64)[:, None]).sum(1)  # iteration, owner, M, N
        found = [harness.error(harness.numbers(got[i][0]), want[i]) for i in range(iterations)]
        same = all(not harness.wrong(harness.gathered(t), harness.numbers(t[0])) for t in got)
        return float(np.max(found)) if same else float("nan")


def main(arguments=None):
    return harness.main("GEMM and all-reduce", __doc__, run, 1e-3, arguments)


if __name__ == "__main__":
    main()
