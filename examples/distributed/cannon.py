# SPDX-License-Identifier: MIT
"""Cannon's product on a square mesh of ranks: blocks of A travel to the left, blocks of B up, C stays in registers.

Rank (i, j) begins with block (i, j) of A and B and owns that of C. First A(i, j) moves i ranks to the left and B(i, j)
moves j ranks up; then in each step the ranks multiply what they have and hand it on.

Run: python cannon.py [--ranks 4] [--target sim|cuda]
"""

import math

import harness
import numpy as np
import tilescale
import tilescale.language as T
from tilescale.distributed import World


def cannon_program(side, M, N, K, block_M=64, block_N=64, block_K=32, threads=128):
    """M, N, K: of one rank. `arrived[s, 0]`: block of A of step s; `[s, 1]`: of B; `ready[r]`: launches of rank r."""
    columns = (N + block_N - 1) // block_N
    tiles = (M + block_M - 1) // block_M * columns
    ranks = side * side

    @T.prim_func
    def cannon(
        A: T.Tensor((M, K), "float16"),
        B: T.Tensor((K, N), "float16"),
        C: T.Tensor((M, N), "float32"),
        from_right: T.Tensor((side, M, K), "float16"),
        from_below: T.Tensor((side, K, N), "float16"),
        ready: T.Tensor((ranks,), "int32"),
        arrived: T.Tensor((side, 2), "int32"),
        iteration: T.int32,
    ):
        with T.Kernel(2 + tiles, threads=threads) as bx:
            A_tile = T.alloc_shared((block_M, block_K), "float16")
            B_tile = T.alloc_shared((block_K, block_N), "float16")
            C_tile = T.alloc_fragment((block_M, block_N), "float32")
            rank = T.get_rank()
            i, j = rank // side, rank % side
            if bx < 2:
                if bx == 0:
                    for p in T.serial(ranks):
                        T.notify(T.signal(ready, rank), peer=p)
                for p in T.serial(ranks):
                    T.wait(T.signal(ready, p), at_least=iteration + 1)
            if bx == 0:
                left = i * side + (j + side - 1) % side
                T.put(A, from_right[0, 0:M, 0:K], i * side + (j + side - i) % side, T.signal(arrived, (0, 0)))
                for s in T.serial(side - 1):
                    T.wait(T.signal(arrived, (s, 0)), at_least=iteration + 1)
                    T.put(from_right[s, 0:M, 0:K], from_right[s + 1, 0:M, 0:K], left, T.signal(arrived, (s + 1, 0)))
            elif bx == 1:
                up = (i + side - 1) % side * side + j
                T.put(B, from_below[0, 0:K, 0:N], (i + side - j) % side * side + j, T.signal(arrived, (0, 1)))
                for s in T.serial(side - 1):
                    T.wait(T.signal(arrived, (s, 1)), at_least=iteration + 1)
                    T.put(from_below[s, 0:K, 0:N], from_below[s + 1, 0:K, 0:N], up, T.signal(arrived, (s + 1, 1)))
            else:
                down = slice((bx - 2) // columns * block_M, ((bx - 2) // columns + 1) * block_M)
                across = slice((bx - 2) % columns * block_N, ((bx - 2) % columns + 1) * block_N)
                T.clear(C_tile)
                for s in T.serial(side):
                    T.wait(T.signal(arrived, (s, 0)), at_least=iteration + 1)
                    T.wait(T.signal(arrived, (s, 1)), at_least=iteration + 1)
                    for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=2):
                        T.copy(from_right[s, down, k * block_K : (k + 1) * block_K], A_tile)
                        T.copy(from_below[s, k * block_K : (k + 1) * block_K, across], B_tile)
                        T.gemm(A_tile, B_tile, C_tile)
                T.copy(C_tile, C[down, across])

    return cannon


def run(ranks=4, target=None, M=72, N=40, K=48, iterations=2):
    """The error of the product. Launches follow each other without a barrier of the host."""
    side = math.isqrt(ranks)
    if side * side != ranks:
        raise SystemExit(f"Cannon's product needs a square number of ranks, not {ranks}")
    kernel = tilescale.compile(cannon_program(side, M, N, K), target=target)
    with World(ranks, target=target) as w:
        late = harness.Late(w)
        A = [w.tensor((M, K), "float16", name=f"A{i}") for i in range(iterations)]
        B = [w.tensor((K, N), "float16", name=f"B{i}") for i in range(iterations)]
        C = [w.tensor((M, N), name=f"C{i}") for i in range(iterations)]
        from_right = w.tensor((side, M, K), "float16", name="from_right")
        from_below = w.tensor((side, K, N), "float16", name="from_below")
        ready = w.tensor((ranks,), "int32", name="ready")
        arrived = w.tensor((side, 2), "int32", name="arrived")
        a = harness.normal(iterations, ranks, M, K, dtype=np.float16)
        b = harness.normal(iterations, ranks, K, N, dtype=np.float16)
        harness.poison(from_right, from_below, *C)
        for i in range(iterations):
            harness.spread(A[i], a[i])
            harness.spread(B[i], b[i])
        for i in range(iterations):
            late()
            w.launch(kernel, A[i], B[i], C[i], from_right, from_below, ready, arrived, i)
        w.barrier()
        errors = []
        for i in range(iterations):
            whole_a, whole_b, got = (harness.whole(x, side) for x in (a[i], b[i], harness.gathered(C[i])))
            errors.append(harness.error(got, whole_a.astype(np.float64) @ whole_b.astype(np.float64)))
        return float(np.max(errors))


def main(arguments=None):
    return harness.main("Cannon's product", __doc__, run, 1e-3, arguments, ranks=4)


if __name__ == "__main__":
    main()
