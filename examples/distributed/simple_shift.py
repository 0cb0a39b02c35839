# SPDX-License-Identifier: MIT
"""Every rank's rows move to the next rank, in the low-level forms: T.put_block, T.st with release, T.wait_ge.

Run: python simple_shift.py [--ranks N] [--target sim|cuda]
"""

import harness
import numpy as np
import tilescale
import tilescale.language as T
from tilescale.distributed import World


def simple_shift_program(M, N, block_M=16, threads=128, dtype="float16"):
    @T.prim_func
    def simple_shift(
        src: T.Tensor((M, N), dtype),
        dst: T.Tensor((M, N), dtype),
        flags: T.Tensor((T.ceildiv(M, block_M),), "uint32"),
    ):
        with T.Kernel(T.ceildiv(M, block_M), threads=threads) as b:
            tx = T.get_thread_binding()
            to = (T.get_rank() + 1) % T.get_num_ranks()
            # The last block may be short: what lies behind the end of the tensors is left alone.
            T.put_block(T.address_of(src[b * block_M, 0]), T.address_of(dst[b * block_M, 0]), block_M * N, to)
            T.sync_threads()
            if tx == 0:
                T.st(T.address_of(flags[b]), 1, scope="sys", sem="release", dst_pe=to)
                T.wait_ge(flags[b], 1)  # until this rank's rows have come, too: then the kernel may end

    return simple_shift


def run(ranks=2, target=None, M=150, N=80):
    """How many elements are wrong."""
    kernel = tilescale.compile(simple_shift_program(M, N), target=target)
    with World(ranks, target=target) as w:
        src, dst = w.tensor((M, N), "float16", name="src"), w.tensor((M, N), "float16", name="dst")
        flags = w.tensor((T.ceildiv(M, 16),), "uint32", name="flags")
        inputs = harness.normal(ranks, M, N, dtype=np.float16)
        harness.spread(src, inputs)
        harness.poison(dst)
        w.launch(kernel, src, dst, flags)
        w.barrier()
        return harness.wrong(harness.gathered(dst), np.roll(inputs, 1, axis=0))


def main(arguments=None):
    return harness.main("simple shift", __doc__, run, 0, arguments)


if __name__ == "__main__":
    main()
