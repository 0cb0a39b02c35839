# SPDX-License-Identifier: MIT
"""SUMMA on a mesh of ranks: panel by panel, the ranks that have it put A's into their row and B's into their column.

Each rank has two slots for panels. When all tiles have used one, a block grants it to the ranks that own the panels to
come, which fill it. All blocks of the kernel must be resident at once.

Run: python summa.py [--ranks N] [--target sim|cuda]
"""

import math

import harness
import numpy as np
import tilescale
import tilescale.language as T
from tilescale.distributed import World


def summa_program(rows, columns, M, N, panel, mine_A, mine_B, block_M=64, block_N=64, block_K=32, threads=128):
    """A rank has `mine_A` panels of A, M by `panel`, and `mine_B` of B. Panel g of all launches is in slot g % 2.

    `grants[0, r]`: slots that rank r of this row has granted to this rank for A; `[1, r]`: of this column for B.
    """
    panels = columns * mine_A
    across = (N + block_N - 1) // block_N
    tiles = (M + block_M - 1) // block_M * across

    @T.prim_func
    def summa(
        A: T.Tensor((M, mine_A * panel), "float16"),
        B: T.Tensor((mine_B * panel, N), "float16"),
        C: T.Tensor((M, N), "float32"),
        slots_A: T.Tensor((2, M, panel), "float16"),
        slots_B: T.Tensor((2, panel, N), "float16"),
        grants: T.Tensor((2, max(rows, columns)), "int32"),
        arrived: T.Tensor((2,), "int32"),
        used: T.Tensor((2,), "int32"),
        iteration: T.int32,
    ):
        with T.Kernel(1 + tiles, threads=threads) as bx:
            A_tile = T.alloc_shared((block_M, block_K), "float16")
            B_tile = T.alloc_shared((block_K, block_N), "float16")
            C_tile = T.alloc_fragment((block_M, block_N), "float32")
            rank = T.get_rank()
            i, j = rank // columns, rank % columns
            if bx == 0:
                for t in T.serial(panels):
                    g = iteration * panels + t
                    T.wait(T.signal(used, g % 2), at_least=g // 2 * tiles)
                    owner_A, owner_B = t // mine_A, t // mine_B  # a column of the mesh, a row of it
                    T.notify(T.signal(grants, (0, j)), peer=i * columns + owner_A)
                    T.notify(T.signal(grants, (1, i)), peer=owner_B * columns + j)
                    if owner_A == j:
                        at = t % mine_A * panel
                        for c in T.serial(columns):
                            T.wait(T.signal(grants, (0, c)), at_least=iteration * mine_A + t % mine_A + 1)
                            T.put(
                                A[0:M, at : at + panel],
                                slots_A[g % 2, 0:M, 0:panel],
                                peer=i * columns + c,
                                signal=T.signal(arrived, g % 2),
                            )
                    if owner_B == i:
                        at = t % mine_B * panel
                        for r in T.serial(rows):
                            T.wait(T.signal(grants, (1, r)), at_least=iteration * mine_B + t % mine_B + 1)
                            T.put(
                                B[at : at + panel, 0:N],
                                slots_B[g % 2, 0:panel, 0:N],
                                peer=r * columns + j,
                                signal=T.signal(arrived, g % 2),
                            )
            else:
                m = slice((bx - 1) // across * block_M, ((bx - 1) // across + 1) * block_M)
                n = slice((bx - 1) % across * block_N, ((bx - 1) % across + 1) * block_N)
                T.clear(C_tile)
                for t in T.serial(panels):
                    g = iteration * panels + t
                    T.wait(T.signal(arrived, g % 2), at_least=(g // 2 + 1) * 2)  # the panels of A and of B
                    for k in T.Pipelined(T.ceildiv(panel, block_K), num_stages=2):
                        T.copy(slots_A[g % 2, m, k * block_K : (k + 1) * block_K], A_tile)
                        T.copy(slots_B[g % 2, k * block_K : (k + 1) * block_K, n], B_tile)
                        T.gemm(A_tile, B_tile, C_tile)
                    T.notify(T.signal(used, g % 2), peer=rank)
                T.copy(C_tile, C[m, n])

    return summa


def run(ranks=2, target=None, M=72, N=40, panel=48, iterations=2):
    """The error of the product. Launches follow each other without a barrier of the host."""
    rows = max(r for r in range(1, math.isqrt(ranks) + 1) if ranks % r == 0)
    columns = ranks // rows
    panels = 2 * math.lcm(rows, columns)
    mine_A, mine_B = panels // columns, panels // rows
    kernel = tilescale.compile(summa_program(rows, columns, M, N, panel, mine_A, mine_B), target=target)
    with World(ranks, target=target) as w:
        late = harness.Late(w)
        A = [w.tensor((M, mine_A * panel), "float16", name=f"A{i}") for i in range(iterations)]
        B = [w.tensor((mine_B * panel, N), "float16", name=f"B{i}") for i in range(iterations)]
        C = [w.tensor((M, N), name=f"C{i}") for i in range(iterations)]
        slots_A = w.tensor((2, M, panel), "float16", name="slots_A")
        slots_B = w.tensor((2, panel, N), "float16", name="slots_B")
        grants = w.tensor((2, columns), "int32", name="grants")
        arrived, used = (w.tensor((2,), "int32", name=name) for name in ("arrived", "used"))
        a = harness.normal(iterations, ranks, *A[0].shape, dtype=np.float16)
        b = harness.normal(iterations, ranks, *B[0].shape, dtype=np.float16)
        harness.poison(slots_A, slots_B, *C)
        for i in range(iterations):
            harness.spread(A[i], a[i])
            harness.spread(B[i], b[i])
        for i in range(iterations):
            late()
            w.launch(kernel, A[i], B[i], C[i], slots_A, slots_B, grants, arrived, used, i)
        w.barrier()
        errors = []
        for i in range(iterations):
            whole_a, whole_b, got = (harness.whole(x, columns) for x in (a[i], b[i], harness.gathered(C[i])))
            errors.append(harness.error(got, whole_a.astype(np.float64) @ whole_b.astype(np.float64)))
        return float(np.max(errors))


def main(arguments=None):
    return harness.main("SUMMA", __doc__, run, 1e-3, arguments)


if __name__ == "__main__":
    main()
