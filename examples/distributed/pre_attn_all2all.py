# SPDX-License-Identifier: MIT
"""Before attention: every rank has all heads of a piece of the sequence, and gets all of the sequence for its heads.

[batch, heads, seq / ranks, dim] of each rank becomes [batch, heads / ranks, seq, dim]; with transposed input
[batch, seq / ranks, heads, dim], as a projection leaves it.

Run: python pre_attn_all2all.py [--ranks N] [--target sim|cuda]
"""

import harness
import numpy as np
import tilescale
import tilescale.language as T
from tilescale.distributed import World


def pre_attn_program(
    ranks, batch, heads, seq, dim, transposed=False, block=16, threads=128, dtype="float16", resident=4, stages=3
):
    """`out` has the sequence as (ranks, seq / ranks). `ready[r]`: launches in which rank r has its `src`; `done[r]`:
    blocks of rank r that have read, each of which fetches one tile after another, `stages` in flight. Links carry more
    reads than writes.
    """
    mine, part = heads // ranks, seq // ranks
    blocks = (part + block - 1) // block

    @T.prim_func
    def pre_attn(
        src: T.Tensor((batch, part, heads, dim) if transposed else (batch, heads, part, dim), dtype),
        out: T.Tensor((batch, mine, ranks, part, dim), dtype),
        ready: T.Tensor((ranks,), "int32"),
        done: T.Tensor((ranks,), "int32"),
        iteration: T.int32,
    ):
        with T.Kernel(resident, threads=threads) as bx:
            rank = T.get_rank()
            tile = T.alloc_shared((block, dim), dtype)
            if bx == 0:
                for step in T.serial(ranks):
                    T.notify(T.signal(ready, rank), peer=(rank + 1 + step) % ranks)
            for r in T.serial(ranks):
                T.wait(T.signal(ready, r), at_least=iteration + 1)
            tiles = batch * mine * blocks * ranks  # what is near comes between what is far
            for i in T.Pipelined((tiles - bx + resident - 1) // resident, num_stages=stages):
                n = bx + i * resident
                peer, bs, head, b = (
                    (rank + n) % ranks,
                    n // ranks % blocks,
                    n // ranks // blocks % mine,
                    n // ranks // blocks // mine,
                )
                rows = slice(bs * block, (bs + 1) * block)
                if transposed:
                    T.copy(src[b, rows, rank * mine + head, 0:dim], tile, src_pe=peer)
                else:
                    T.copy(src[b, rank * mine + head, rows, 0:dim], tile, src_pe=peer)
                T.copy(tile, out[b, head, peer, rows, 0:dim])
            for step in T.serial(ranks):
                T.notify(T.signal(done, rank), peer=(rank + 1 + step) % ranks)
            if bx == 0:  # `src` is this rank's again when the kernel ends
                for r in T.serial(ranks):
                    T.wait(T.signal(done, r), at_least=(iteration + 1) * resident)

    return pre_attn


def run(ranks=2, target=None, batch=2, seq=20, dim=24, iterations=2):
    """How many elements are wrong."""
    found = 0.0
    heads, seq = 2 * ranks, seq * ranks
    for transposed in (False, True):
        kernel = tilescale.compile(pre_attn_program(ranks, batch, heads, seq, dim, transposed), target=target)
        with World(ranks, target=target) as w:
            late = harness.Late(w)
            shape = (batch, seq // ranks, heads, dim) if transposed else (batch, heads, seq // ranks, dim)
            src = w.tensor(shape, "float16", name="src")
            out = w.tensor((batch, heads // ranks, ranks, seq // ranks, dim), "float16", name="out")
            ready, done = (w.tensor((ranks,), "int32", name=name) for name in ("ready", "done"))
            for iteration in range(iterations):
                inputs = harness.normal(ranks, *shape, dtype=np.float16)
                harness.spread(src, inputs)
                harness.poison(out)
                late()
                w.launch(kernel, src, out, ready, done, iteration)
                w.barrier()
                if transposed:
                    inputs = inputs.swapaxes(2, 3)
                whole = np.concatenate(list(inputs), axis=2)  # batch, heads, seq, dim
                for r, part in enumerate(np.split(whole, ranks, axis=1)):
                    found += harness.wrong(harness.numbers(out[r]).reshape(part.shape), part)
    return found


def main(arguments=None):
    return harness.main("all-to-all before attention", __doc__, run, 0, arguments)


if __name__ == "__main__":
    main()
