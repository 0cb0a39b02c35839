# SPDX-License-Identifier: MIT
"""One rank's data on every rank, down a chain in pieces: a rank hands on each piece as soon as it has come.

Run: python broadcast.py [--ranks N] [--target sim|cuda]
"""

import harness
import tilescale
import tilescale.language as T
from tilescale.distributed import World


def broadcast_program(N, block=128, threads=64):
    """Block b moves piece b. `arrived`: pieces that came; `ready`: launches in which the next rank let go."""
    blocks = (N + block - 1) // block

    @T.prim_func
    def broadcast(
        x: T.Tensor((N,), "float32"),
        buffer: T.Tensor((N,), "float32"),
        out: T.Tensor((N,), "float32"),
        ready: T.Tensor((blocks,), "int32"),
        arrived: T.Tensor((blocks,), "int32"),
        root: T.int32,
        iteration: T.int32,
    ):
        with T.Kernel(blocks, threads=threads) as b:
            rank, ranks = T.get_rank(), T.get_num_ranks()
            right, left = (rank + 1) % ranks, (rank + ranks - 1) % ranks
            position = (rank + ranks - root) % ranks
            tile = T.alloc_fragment((block,), "float32")
            part = slice(b * block, (b + 1) * block)
            T.notify(T.signal(ready, b), peer=left)
            if position == 0:
                T.notify(T.signal(arrived, b), peer=rank)  # so that all counters agree, whoever is the root
                T.copy(x[part], tile)
            else:
                T.wait(T.signal(arrived, b), at_least=iteration + 1)
                T.copy(buffer[part], tile)
            if position != ranks - 1:
                T.wait(T.signal(ready, b), at_least=iteration + 1)
                T.put(tile, buffer[part], peer=right, signal=T.signal(arrived, b))
            T.copy(tile, out[part])

    return broadcast


def run(ranks=2, target=None, N=500):
    """How many elements are wrong. Every rank is the root once; launches follow without a barrier of the host."""
    kernel = tilescale.compile(broadcast_program(N), target=target)
    with World(ranks, target=target) as w:
        late = harness.Late(w)
        roots = [*range(ranks), 0]
        x = [w.tensor((N,), name=f"x{i}") for i in range(len(roots))]
        out = [w.tensor((N,), name=f"out{i}") for i in range(len(roots))]
        buffer = w.tensor((N,), name="buffer")
        ready, arrived = (w.tensor((T.ceildiv(N, 128),), "int32", name=name) for name in ("ready", "arrived"))
        inputs = harness.normal(len(roots), ranks, N)
        harness.poison(buffer, *out)
        for i in range(len(roots)):
            harness.spread(x[i], inputs[i])
        for i, root in enumerate(roots):
            late()
            w.launch(kernel, x[i], buffer, out[i], ready, arrived, root, i)
        w.barrier()
        return sum(harness.wrong(harness.gathered(out[i]), inputs[i][root]) for i, root in enumerate(roots))


def main(arguments=None):
    return harness.main("broadcast", __doc__, run, 0, arguments)


if __name__ == "__main__":
    main()
