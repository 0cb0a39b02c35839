# SPDX-License-Identifier: MIT
"""Runs of elements between neighbours by a block or a warp: T.put_block, T.put_warp, T.get_block, T.get_warp.

Run: python put_get.py [--ranks N] [--target sim|cuda]
"""

import harness
import tilescale
import tilescale.language as T
from tilescale.distributed import World

WARPS = 4


def put_program(kind, N, block=512, dtype="float32"):
    """The next rank's `inbox` gets 2 · this rank's A, which its `out` then shows."""

    @T.prim_func
    def put(
        A: T.Tensor((N,), dtype),
        mine: T.Tensor((N,), dtype),
        inbox: T.Tensor((N,), dtype),
        out: T.Tensor((N,), dtype),
        signals: T.Tensor((T.ceildiv(N, block), 2), "int32"),
        iteration: T.int32,
    ):
        with T.Kernel(T.ceildiv(N, block), threads=32 * WARPS) as b:
            warp = T.get_thread_binding() // 32
            right = (T.get_rank() + 1) % T.get_num_ranks()
            left = (T.get_rank() + T.get_num_ranks() - 1) % T.get_num_ranks()
            arrived, free = T.signal(signals, (b, 0)), T.signal(signals, (b, 1))
            for i in T.Parallel(block):
                mine[b * block + i] = A[b * block + i] * 2
            T.wait(free, at_least=iteration)  # the neighbour has read what came before
            if kind == "block":
                T.put_block(T.address_of(mine[b * block]), T.address_of(inbox[b * block]), block, right)
            else:
                at = b * block + warp * (block // WARPS)
                T.put_warp(T.address_of(mine[at]), T.address_of(inbox[at]), block // WARPS, right)
            T.notify(arrived, peer=right)
            T.wait(arrived, at_least=iteration + 1)
            T.copy(inbox[b * block : (b + 1) * block], out[b * block : (b + 1) * block])
            T.notify(free, peer=left)

    return put


def get_program(kind, N, block=512, dtype="float32"):
    """`out` = 2 · A of the next rank, fetched from its `mine`."""

    @T.prim_func
    def get(
        A: T.Tensor((N,), dtype),
        mine: T.Tensor((N,), dtype),
        inbox: T.Tensor((N,), dtype),
        out: T.Tensor((N,), dtype),
        signals: T.Tensor((T.ceildiv(N, block), 2), "int32"),
        iteration: T.int32,
    ):
        with T.Kernel(T.ceildiv(N, block), threads=32 * WARPS) as b:
            warp = T.get_thread_binding() // 32
            right = (T.get_rank() + 1) % T.get_num_ranks()
            left = (T.get_rank() + T.get_num_ranks() - 1) % T.get_num_ranks()
            written, fetched = T.signal(signals, (b, 0)), T.signal(signals, (b, 1))
            T.wait(fetched, at_least=iteration)  # the neighbour has what came before
            for i in T.Parallel(block):
                mine[b * block + i] = A[b * block + i] * 2
            T.notify(written, peer=left)
            T.wait(written, at_least=iteration + 1)
            if kind == "block":
                T.get_block(T.address_of(mine[b * block]), T.address_of(inbox[b * block]), block, right)
            else:
                at = b * block + warp * (block // WARPS)
                T.get_warp(T.address_of(mine[at]), T.address_of(inbox[at]), block // WARPS, right)
            T.notify(fetched, peer=right)
            T.copy(inbox[b * block : (b + 1) * block], out[b * block : (b + 1) * block])

    return get


def run_one(make, kind, ranks, target, N, iterations, block):
    """How many elements are wrong. The launches follow each other without a barrier of the host."""
    kernel = tilescale.compile(make(kind, N, block), target=target)
    with World(ranks, target=target) as w:
        late = harness.Late(w)
        A = [w.tensor((N,), name=f"A{i}") for i in range(iterations)]
        out = [w.tensor((N,), name=f"out{i}") for i in range(iterations)]
        mine, inbox = w.tensor((N,), name="mine"), w.tensor((N,), name="inbox")
        signals = w.tensor((T.ceildiv(N, block), 2), "int32", name="signals")
        inputs = harness.normal(iterations, ranks, N)
        harness.poison(mine, inbox, *out)
        for i in range(iterations):
            harness.spread(A[i], inputs[i])
        for i in range(iterations):
            late()
            w.launch(kernel, A[i], mine, inbox, out[i], signals, i)
        w.barrier()
        origin = [(r + (1 if make is get_program else -1)) % ranks for r in range(ranks)]
        return sum(harness.wrong(harness.gathered(out[i]), 2 * inputs[i][origin]) for i in range(iterations))


def run(ranks=2, target=None, N=1300, iterations=3, block=512, kinds=("block", "warp")):
    forms = [(make, kind) for make in (put_program, get_program) for kind in kinds]
    return sum(run_one(make, kind, ranks, target, N, iterations, block) for make, kind in forms)


def main(arguments=None):
    return harness.main("put and get", __doc__, run, 0, arguments)


if __name__ == "__main__":
    main()
