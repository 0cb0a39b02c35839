# SPDX-License-Identifier: MIT
"""All-gather and GEMM at a time: C = all rows of A @ this rank's columns of B, where each rank has its rows of A.

push: a few blocks put this rank's rows into the others' copies of A, the rest multiply, each tile as soon as its rows
have come, the rank's own first. copy: the same, but no block puts: a second stream of each rank has the copy engine
move the rows, and signals behind each row block. pull: no copy; a tile's rows are fetched from their rank on the way
to shared memory.

Run: python ag_gemm.py [--ranks N] [--target sim|cuda]
"""

import harness
import numpy as np
import tilescale
import tilescale.language as T
from tilescale.distributed import World


def push_program(
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
    """M: rows of each rank. `arrived[r, m]`: row block m of rank r; `ready[r]`: launches in which rank r let go. With
    no senders the host's streams do what they do: gather_by_streams.

    all_A has the rows of the others only. panel: row blocks whose tiles are neighbours in time and share columns of B.
    """
    rows, columns = (M + block_M - 1) // block_M, (N + block_N - 1) // block_N
    stride = max(senders, 1)

    @T.prim_func
    def ag_gemm_push(
        A: T.Tensor((M, K), dtype),
        B: T.Tensor((K, N), dtype),
        C: T.Tensor((ranks, M, N), out_dtype),
        all_A: T.Tensor((ranks, M, K), dtype),
        ready: T.Tensor((ranks,), "int32"),
        arrived: T.Tensor((ranks, rows), "int32"),
        iteration: T.int32,
    ):
        with T.Kernel(senders + ranks * rows * columns, threads=threads) as bx:
            rank = T.get_rank()
            if bx < senders:  # the first blocks: none that waits for them can keep them from running
                if bx == 0:
                    for step in T.serial(1, ranks):
                        T.notify(T.signal(ready, rank), peer=(rank + step) % ranks)
                for m in T.serial(bx, rows, stride):
                    count = T.min(block_M, M - m * block_M) * K
                    for step in T.serial(1, ranks):  # who needs them first gets them first
                        peer = (rank + ranks - step) % ranks
                        T.wait(T.signal(ready, peer), at_least=iteration + 1)
                        here, there = T.address_of(A[m * block_M, 0]), T.address_of(all_A[rank, m * block_M, 0])
                        T.put_block(here, there, count, peer)
                        T.notify(T.signal(arrived, (rank, m)), peer=peer)
            else:
                C_tile = T.alloc_fragment((block_M, block_N), "float32")
                C_shared = T.alloc_shared((block_M, block_N), out_dtype)
                tile = bx - senders
                step, t = tile // (rows * columns), tile % (rows * columns)
                origin = (rank + step) % ranks
                first = t // (panel * columns) * panel
                high = T.min(panel, rows - first)
                m, n = first + t % (panel * columns) % high, t % (panel * columns) // high
                down, across = slice(m * block_M, (m + 1) * block_M), slice(n * block_N, (n + 1) * block_N)
                T.clear(C_tile)
                if step == 0:
                    A_tile = T.alloc_shared((block_M, block_K), dtype)
                    B_tile = T.alloc_shared((block_K, block_N), dtype)
                    for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=num_stages):
                        T.copy(A[down, k * block_K : (k + 1) * block_K], A_tile)
                        T.copy(B[k * block_K : (k + 1) * block_K, across], B_tile)
                        T.gemm(A_tile, B_tile, C_tile)
                else:
                    A_tile = T.alloc_shared((block_M, block_K), dtype)
                    B_tile = T.alloc_shared((block_K, block_N), dtype)
                    T.wait(T.signal(arrived, (origin, m)), at_least=iteration + 1)
                    for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=num_stages):
                        T.copy(all_A[origin, down, k * block_K : (k + 1) * block_K], A_tile)
                        T.copy(B[k * block_K : (k + 1) * block_K, across], B_tile)
                        T.gemm(A_tile, B_tile, C_tile)
                T.copy(C_tile, C_shared)
                T.copy(C_shared, C[origin, down, across])

    return ag_gemm_push


def pull_program(ranks, M, N, K, block_M=64, block_N=64, block_K=32, threads=128):
    """`ready[r]`: launches in which the rows of rank r may be read; `done`: tiles of all ranks that have read them."""
    rows, columns = (M + block_M - 1) // block_M, (N + block_N - 1) // block_N

    @T.prim_func
    def ag_gemm_pull(
        A: T.Tensor((M, K), "float16"),
        B: T.Tensor((K, N), "float16"),
        C: T.Tensor((ranks, M, N), "float32"),
        ready: T.Tensor((ranks,), "int32"),
        done: T.Tensor((1,), "int32"),
        iteration: T.int32,
    ):
        with T.Kernel(ranks * rows * columns + 1, threads=threads) as bx:
            A_tile = T.alloc_shared((block_M, block_K), "float16")
            B_tile = T.alloc_shared((block_K, block_N), "float16")
            C_tile = T.alloc_fragment((block_M, block_N), "float32")
            rank = T.get_rank()
            origin = (rank + bx // (rows * columns)) % ranks
            m, n = bx // columns % rows, bx % columns
            if bx == 0:
                for p in T.serial(ranks):
                    T.notify(T.signal(ready, rank), peer=p)
            if bx < ranks * rows * columns:
                T.clear(C_tile)
                T.wait(T.signal(ready, origin), at_least=iteration + 1)
                for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=2):
                    T.copy(A[m * block_M, k * block_K], A_tile, src_pe=origin)
                    T.copy(B[k * block_K, n * block_N], B_tile)
                    T.gemm(A_tile, B_tile, C_tile)
                T.notify(T.signal(done), peer=origin)
                T.copy(C_tile, C[origin, m * block_M : (m + 1) * block_M, n * block_N : (n + 1) * block_N])
            else:  # the last block: A is this rank's again when the kernel ends
                T.wait(T.signal(done), at_least=(iteration + 1) * ranks * rows * columns)

    return ag_gemm_pull


def gather_by_streams(w, copies, A, all_A, ready, arrived, full, sent, iteration, block_M=64):
    """On the streams of the launches: A is full, the peers may write all_A, and A may change once all rows are sent.
    Beside them, on `copies`: each row block to each peer, and its signal."""
    M = A.shape[0]
    turn = iteration + 1
    for r in range(w.ranks):
        for p in range(w.ranks):  # what was launched before has read all_A
            w.set_signal(ready[p][r : r + 1], turn, rank=r)
        w.set_signal(full[r], turn, rank=r)
        w.wait_eq(full[r], turn, rank=r, stream=copies)
        for step in range(1, w.ranks):
            peer = (r - step) % w.ranks
            w.wait_eq(ready[r][peer : peer + 1], turn, rank=r, stream=copies)
            for m in range(T.ceildiv(M, block_M)):
                rows = slice(m * block_M, min((m + 1) * block_M, M))
                w.copy(all_A[peer][r, rows], A[r][rows], rank=r, stream=copies)
                w.set_signal(arrived[peer][r, m : m + 1], turn, rank=r, stream=copies)
        w.set_signal(sent[r], turn, rank=r, stream=copies)


def run_one(form, ranks, target, M, N, K, iterations):
    made = (
        pull_program(ranks, M, N, K) if form == "pull" else push_program(ranks, M, N, K, senders=2 * (form == "push"))
    )
    kernel = tilescale.compile(made, target=target)
    with World(ranks, target=target) as w:
        late = harness.Late(w)
        given = [w.tensor((M, K), "float16", name=f"given{i}") for i in range(iterations)]
        A, B = w.tensor((M, K), "float16", name="A"), w.tensor((K, N), "float16", name="B")
        C = [w.tensor((ranks, M, N), name=f"C{i}") for i in range(iterations)]
        rows = T.ceildiv(M, 64)
        ready = w.tensor((ranks,), "int32", name="ready")
        arrived = w.tensor((ranks, rows), "int32", name="arrived")
        done = w.tensor((1,), "int32", name="done")
        all_A = w.tensor((ranks, M, K), "float16", name="all_A")
        full, sent = w.tensor((1,), "int32", name="full"), w.tensor((1,), "int32", name="sent")
        copies = w.stream()
        a = harness.normal(iterations, ranks, M, K, dtype=np.float16)
        b = harness.normal(ranks, K, N, dtype=np.float16)
        harness.poison(A, all_A, *C)
        harness.spread(B, b)
        for i in range(iterations):
            harness.spread(given[i], a[i])
        fetch = tilescale.compile(harness.copy_program(A, A), target=target)
        for i in range(iterations):  # A is the same each time
            w.launch(fetch, given[i], A)
            late()
            if form == "copy":
                gather_by_streams(w, copies, A, all_A, ready, arrived, full, sent, i)
            if form != "pull":
                w.launch(kernel, A, B, C[i], all_A, ready, arrived, i)
            else:
                w.launch(kernel, A, B, C[i], ready, done, i)
            if form == "copy":
                for r in range(ranks):
                    w.wait_eq(sent[r], i + 1, rank=r)
        w.barrier()
        errors = []
        for i in range(iterations):
            want = a[i].astype(np.float64) @ b.astype(np.float64)[:, None]  # rank, origin, M, N
            errors.append(harness.error(harness.gathered(C[i]), want))
        return float(np.max(errors))


def run(ranks=2, target=None, M=72, N=40, K=80, iterations=2):
    """The largest error of the three forms."""
    return float(np.max([run_one(form, ranks, target, M, N, K, iterations) for form in ("push", "copy", "pull")]))


def main(arguments=None):
    return harness.main("all-gather and GEMM", __doc__, run, 1e-3, arguments)


if __name__ == "__main__":
    main()
