# SPDX-License-Identifier: MIT
"""Single elements into a peer's memory: T.st and T.atom_add_remote of each thread, T.wait_ge of one.

Run: python remote_st.py [--ranks N] [--target sim|cuda]
"""

import harness
import numpy as np
import tilescale
import tilescale.language as T
from tilescale.distributed import World


def remote_st_program(ranks, N, threads=128):
    """Element i of this rank's `src` goes to rank i % ranks, row `rank` of its `dst`; `count`: how many came."""
    blocks = (N + threads - 1) // threads

    @T.prim_func
    def remote_st(
        src: T.Tensor((N,), "float32"),
        dst: T.Tensor((ranks, N), "float32"),
        out: T.Tensor((ranks, N), "float32"),
        count: T.Tensor((1,), "uint32"),
    ):
        with T.Kernel(blocks, threads=threads) as b:
            tx = T.get_thread_binding()
            i = b * threads + tx
            if i < N:
                T.st(T.address_of(dst[T.get_rank(), i]), src[i], dst_pe=i % ranks)
                T.atom_add_remote(count[0], 1, scope="sys", sem="release", dst_pe=i % ranks)
            if b == 0:
                if tx == 0:
                    mine = (N + ranks - 1 - T.get_rank()) // ranks  # of each rank's elements, how many come here
                    T.wait_ge(count[0], T.Cast("uint32", mine * ranks))
                T.sync_threads()
                for r, j in T.Parallel(ranks, T.ceildiv(N, ranks)):
                    at = j * ranks + T.get_rank()
                    if at < N:
                        out[r, at] = dst[r, at]

    return remote_st


def run(ranks=2, target=None, N=333):
    """How many elements are wrong."""
    kernel = tilescale.compile(remote_st_program(ranks, N), target=target)
    with World(ranks, target=target) as w:
        late = harness.Late(w)
        src, dst, out = (w.tensor(s, name=n) for s, n in (((N,), "src"), ((ranks, N), "dst"), ((ranks, N), "out")))
        count = w.tensor((1,), "uint32", name="count")
        inputs = harness.normal(ranks, N)
        harness.spread(src, inputs)
        harness.poison(dst, out)
        late()
        w.launch(kernel, src, dst, out, count)
        w.barrier()
        want = np.where(np.arange(N) % ranks == np.arange(ranks)[:, None, None], inputs, np.nan)
        return float((~np.isclose(harness.gathered(out), want, rtol=0, atol=0, equal_nan=True)).sum())


def main(arguments=None):
    return harness.main("remote stores", __doc__, run, 0, arguments)


if __name__ == "__main__":
    main()
