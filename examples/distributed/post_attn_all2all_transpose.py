# SPDX-License-Identifier: MIT
"""Behind attention: every rank has all of the sequence for its heads, and gets all heads of its piece of the sequence.

[batch, heads / ranks, seq, dim] of each rank becomes [batch, seq / ranks, heads, dim]. The program goes there and back:
pre_attn_all2all.py, and this one right behind it.

Run: python post_attn_all2all_transpose.py [--ranks N] [--target sim|cuda]
"""

import harness
import numpy as np
import tilescale
import tilescale.language as T
from pre_attn_all2all import pre_attn_program
from tilescale.distributed import World


def post_attn_program(ranks, batch, heads, seq, dim, block=16, threads=128, dtype="float16"):
    """`src` has the sequence as (ranks, seq / ranks), `out` the heads as (ranks, heads / ranks)."""
    mine, part = heads // ranks, seq // ranks
    blocks = (part + block - 1) // block

    @T.prim_func
    def post_attn(
        src: T.Tensor((batch, mine, ranks, part, dim), dtype),
        out: T.Tensor((batch, part, ranks, mine, dim), dtype),
        ready: T.Tensor((ranks,), "int32"),
        arrived: T.Tensor((1,), "int32"),
        iteration: T.int32,
    ):
        with T.Kernel(blocks, heads, batch, threads=threads) as (bs, h, b):
            rank = T.get_rank()
            peer = (h // mine + rank) % ranks
            head = h % mine
            tile = T.alloc_fragment((block, dim), dtype)
            first = bs == 0 and h == 0 and b == 0
            if first:
                for p in T.serial(ranks):
                    T.notify(T.signal(ready, rank), peer=p)
            rows = slice(bs * block, (bs + 1) * block)
            T.copy(src[b, head, peer, rows, 0:dim], tile)
            T.wait(T.signal(ready, peer), at_least=iteration + 1)
            T.put(tile, out[b, rows, rank, head, 0:dim], peer=peer, signal=T.signal(arrived))
            if first:
                T.wait(T.signal(arrived), at_least=(iteration + 1) * blocks * heads * batch)

    return post_attn


def run(ranks=2, target=None, batch=2, seq=20, dim=24, iterations=3):
    """How many elements are not what they were. The launches follow each other without a barrier of the host."""
    heads, seq = 2 * ranks, seq * ranks
    there = tilescale.compile(pre_attn_program(ranks, batch, heads, seq, dim), target=target)
    back = tilescale.compile(post_attn_program(ranks, batch, heads, seq, dim), target=target)
    with World(ranks, target=target) as w:
        late = harness.Late(w)
        names = range(iterations)
        src = [w.tensor((batch, heads, seq // ranks, dim), "float16", name=f"src{i}") for i in names]
        got = [w.tensor((batch, seq // ranks, heads, dim), "float16", name=f"got{i}") for i in names]
        middle = w.tensor((batch, heads // ranks, ranks, seq // ranks, dim), "float16", name="middle")
        out = w.tensor((batch, seq // ranks, ranks, heads // ranks, dim), "float16", name="out")
        ready = [w.tensor((ranks,), "int32", name=f"ready_{name}") for name in ("there", "back")]
        arrived = [w.tensor((n,), "int32", name=f"arrived_{n}") for n in (ranks, 1)]
        inputs = harness.normal(iterations, ranks, batch, heads, seq // ranks, dim, dtype=np.float16)
        harness.poison(middle, out, *got)
        for i in names:
            harness.spread(src[i], inputs[i])
        keep = tilescale.compile(harness.copy_program(out, got[0]), target=target)
        for i in names:
            late()
            w.launch(there, src[i], middle, ready[0], arrived[0], i)
            late()
            w.launch(back, middle, out, ready[1], arrived[1], i)
            w.launch(keep, out, got[i])
        w.barrier()
        want = inputs.swapaxes(3, 4)  # iterations, ranks, batch, seq / ranks, heads, dim
        return sum(harness.wrong(harness.gathered(got[i]), want[i]) for i in names)


def main(arguments=None):
    return harness.main("all-to-all behind attention, there and back", __doc__, run, 0, arguments)


if __name__ == "__main__":
    main()
