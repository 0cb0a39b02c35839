# SPDX-License-Identifier: MIT
"""Rank r gets the sum over ranks of shard r: directly, each rank to each; or round the ring, where partial sums travel.

Run: python reduce_scatter.py [--ranks N] [--target sim|cuda]
"""

import harness
import numpy as np
import tilescale
import tilescale.language as T
from tilescale.distributed import World


def direct_program(ranks, shard, block=256, threads=128):
    blocks = (shard + block - 1) // block

    @T.prim_func
    def direct(
        x: T.Tensor((ranks, shard), "float32"),
        inbox: T.Tensor((ranks, shard), "float32"),
        out: T.Tensor((shard,), "float32"),
        ready: T.Tensor((ranks, blocks), "int32"),
        arrived: T.Tensor((ranks, blocks), "int32"),
        iteration: T.int32,
    ):
        with T.Kernel(blocks, threads=threads) as b:
            rank = T.get_rank()
            tile = T.alloc_fragment((block,), "float32")
            total = T.alloc_fragment((block,), "float32")
            part = slice(b * block, (b + 1) * block)
            for p in T.serial(ranks):  # what came before is summed
                T.notify(T.signal(ready, (rank, b)), peer=p)
            for step in T.serial(ranks):
                peer = (rank + 1 + step) % ranks
                T.copy(x[peer, part], tile)
                T.wait(T.signal(ready, (peer, b)), at_least=iteration + 1)
                T.put(tile, inbox[rank, part], peer=peer, signal=T.signal(arrived, (rank, b)))
            T.clear(total)
            for r in T.serial(ranks):
                T.wait(T.signal(arrived, (r, b)), at_least=iteration + 1)
                T.copy(inbox[r, part], tile)
                for i in T.Parallel(block):
                    total[i] += tile[i]
            T.copy(total, out[part])

    return direct


def ring_program(ranks, shard, block=256, threads=128):
    """In step s a rank sends the partial sum of shard rank - 1 - s on; behind the last step it has all of its own.

    inbox[s]: what came in step s. `ready` and `arrived` have an element a step, and one more.
    """
    blocks = (shard + block - 1) // block

    @T.prim_func
    def ring(
        x: T.Tensor((ranks, shard), "float32"),
        inbox: T.Tensor((ranks, shard), "float32"),
        out: T.Tensor((shard,), "float32"),
        ready: T.Tensor((ranks, blocks), "int32"),
        arrived: T.Tensor((ranks, blocks), "int32"),
        iteration: T.int32,
    ):
        with T.Kernel(blocks, threads=threads) as b:
            rank = T.get_rank()
            right, left = (rank + 1) % ranks, (rank + ranks - 1) % ranks
            tile = T.alloc_fragment((block,), "float32")
            total = T.alloc_fragment((block,), "float32")
            part = slice(b * block, (b + 1) * block)
            T.copy(x[left, part], total)
            for s in T.serial(ranks - 1):
                T.wait(T.signal(ready, (s, b)), at_least=iteration)
                T.put(total, inbox[s, part], peer=right, signal=T.signal(arrived, (s, b)))
                T.wait(T.signal(arrived, (s, b)), at_least=iteration + 1)
                T.copy(inbox[s, part], total)
                T.notify(T.signal(ready, (s, b)), peer=left)
                T.copy(x[(rank + 2 * ranks - 2 - s) % ranks, part], tile)
                for i in T.Parallel(block):
                    total[i] += tile[i]
            T.copy(total, out[part])

    return ring


def run_one(make, ranks, target, shard, iterations):
    kernel = tilescale.compile(make(ranks, shard), target=target)
    with World(ranks, target=target) as w:
        late = harness.Late(w)
        x = [w.tensor((ranks, shard), name=f"x{i}") for i in range(iterations)]
        out = [w.tensor((shard,), name=f"out{i}") for i in range(iterations)]
        inbox = w.tensor((ranks, shard), name="inbox")
        ready, arrived = (w.tensor((ranks, T.ceildiv(shard, 256)), "int32", name=name) for name in ("ready", "arrived"))
        inputs = harness.normal(iterations, ranks, ranks, shard)
        harness.poison(inbox, *out)
        for i in range(iterations):
            harness.spread(x[i], inputs[i])
        for i in range(iterations):
            late()
            w.launch(kernel, x[i], inbox, out[i], ready, arrived, i)
        w.barrier()
        errors = [harness.error(harness.gathered(out[i]), inputs[i].sum(0, np.float64)) for i in range(iterations)]
        return float(np.max(errors))


def run(ranks=2, target=None, shard=333, iterations=3):
    """The larger error of the two forms."""
    return float(np.max([run_one(make, ranks, target, shard, iterations) for make in (direct_program, ring_program)]))


def main(arguments=None):
    return harness.main("reduce-scatter", __doc__, run, 1e-5, arguments)


if __name__ == "__main__":
    main()
