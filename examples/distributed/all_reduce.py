# SPDX-License-Identifier: MIT
"""The sum over ranks, on every rank: in one step (each reads all) or two (each sums its shard, then gives it to all).

Run: python all_reduce.py [--ranks N] [--target sim|cuda]
"""

import harness
import numpy as np
import tilescale
import tilescale.language as T
from tilescale.distributed import World


def one_shot_program(ranks, N, block=256, threads=128):
    """Every rank puts its row into all inboxes and sums its own, in the order of ranks: all get the same bits.

    There are two inboxes in turn. A peer that has signalled in the launch before is done with the one before that, so
    nothing else need be said before it is written again.
    """
    blocks = (N + block - 1) // block

    @T.prim_func
    def one_shot(
        x: T.Tensor((N,), "float32"),
        inbox: T.Tensor((2, ranks, N), "float32"),
        out: T.Tensor((N,), "float32"),
        arrived: T.Tensor((ranks, blocks), "int32"),
        iteration: T.int32,
    ):
        with T.Kernel(blocks, threads=threads) as b:
            rank = T.get_rank()
            turn = iteration % 2
            tile = T.alloc_fragment((block,), "float32")
            total = T.alloc_fragment((block,), "float32")
            part = slice(b * block, (b + 1) * block)
            T.copy(x[part], tile)
            for step in T.serial(ranks):
                T.put(tile, inbox[turn, rank, part], peer=(rank + step) % ranks, signal=T.signal(arrived, (rank, b)))
            T.clear(total)
            for r in T.serial(ranks):
                T.wait(T.signal(arrived, (r, b)), at_least=iteration + 1)
                T.copy(inbox[turn, r, part], tile)
                for i in T.Parallel(block):
                    total[i] += tile[i]
            T.copy(total, out[part])

    return one_shot


def two_shot_program(ranks, N, block=256, threads=128):
    """Rank r fetches shard r of every rank, sums, and puts the sum into every rank's `out`."""
    shard = N // ranks
    blocks = (shard + block - 1) // block

    @T.prim_func
    def two_shot(
        x: T.Tensor((ranks, shard), "float32"),
        out: T.Tensor((ranks, shard), "float32"),
        ready: T.Tensor((ranks, blocks), "int32"),
        arrived: T.Tensor((ranks, blocks), "int32"),
        iteration: T.int32,
    ):
        with T.Kernel(blocks, threads=threads) as b:
            rank = T.get_rank()
            tile = T.alloc_fragment((block,), "float32")
            total = T.alloc_fragment((block,), "float32")
            part = slice(b * block, (b + 1) * block)
            for p in T.serial(ranks):  # x may be read and `out` written
                T.notify(T.signal(ready, (rank, b)), peer=p)
            T.clear(total)
            for r in T.serial(ranks):
                T.wait(T.signal(ready, (r, b)), at_least=iteration + 1)
                T.get(x[rank, part], tile, peer=r)
                for i in T.Parallel(block):
                    total[i] += tile[i]
            for step in T.serial(ranks):
                T.put(total, out[rank, part], peer=(rank + step) % ranks, signal=T.signal(arrived, (rank, b)))
            for r in T.serial(ranks):  # a rank whose sum has come has also read this rank's x
                T.wait(T.signal(arrived, (r, b)), at_least=iteration + 1)

    return two_shot


def run_one_shot(ranks, target, N, iterations):
    kernel = tilescale.compile(one_shot_program(ranks, N), target=target)
    with World(ranks, target=target) as w:
        late = harness.Late(w)
        x = [w.tensor((N,), name=f"x{i}") for i in range(iterations)]
        out = [w.tensor((N,), name=f"out{i}") for i in range(iterations)]
        inbox = w.tensor((2, ranks, N), name="inbox")
        arrived = w.tensor((ranks, T.ceildiv(N, 256)), "int32", name="arrived")
        inputs = harness.normal(iterations, ranks, N)
        harness.poison(inbox, *out)
        for i in range(iterations):
            harness.spread(x[i], inputs[i])
        for i in range(iterations):
            late()
            w.launch(kernel, x[i], inbox, out[i], arrived, i)
        w.barrier()
        return judge(out, inputs)


def run_two_shot(ranks, target, N, iterations):
    N -= N % ranks
    kernel = tilescale.compile(two_shot_program(ranks, N), target=target)
    with World(ranks, target=target) as w:
        late = harness.Late(w)
        given = [w.tensor((N,), name=f"given{i}") for i in range(iterations)]
        got = [w.tensor((N,), name=f"got{i}") for i in range(iterations)]
        x, out = (w.tensor((ranks, N // ranks), name=name) for name in ("x", "out"))
        ready, arrived = (
            w.tensor((ranks, T.ceildiv(N // ranks, 256)), "int32", name=name) for name in ("ready", "arrived")
        )
        inputs = harness.normal(iterations, ranks, N)
        harness.poison(x, out, *got)
        for i in range(iterations):
            harness.spread(given[i], inputs[i])
        fetch, keep = (tilescale.compile(harness.copy_program(*p), target=target) for p in ((got[0], x), (x, got[0])))
        for i in range(iterations):  # x and `out` are the same each time
            w.launch(fetch, given[i], x)
            late()
            w.launch(kernel, x, out, ready, arrived, i)
            w.launch(keep, out, got[i])
        w.barrier()
        return judge(got, inputs)


def judge(out, inputs):
    """The largest error; nan where ranks differ."""
    found = 0.0
    for i, tensor in enumerate(out):
        got = harness.gathered(tensor)
        found = float(np.maximum(found, harness.error(got, np.broadcast_to(inputs[i].sum(0, np.float64), got.shape))))
        if harness.wrong(got, got[0]):
            found = float("nan")
    return found


def run(ranks=2, target=None, N=777, iterations=4):
    """The larger error of the two forms."""
    return float(np.maximum(run_one_shot(ranks, target, N, iterations), run_two_shot(ranks, target, N, iterations)))


def main(arguments=None):
    return harness.main("all-reduce", __doc__, run, 1e-5, arguments)


if __name__ == "__main__":
    main()
