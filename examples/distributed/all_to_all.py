# SPDX-License-Identifier: MIT
"""Tokens go to the ranks of their experts, in the names of NVSHMEM: T.putmem_nbi_block, T.quiet, T.signal_op.

Each rank's tokens are sorted by expert; rank p holds the experts p * per_rank .. (p + 1) * per_rank. What rank r sends,
tokens and where each expert's begin, has slot r, so that senders never meet. The receiver adds up each expert's tokens.

Run: python all_to_all.py [--ranks N] [--target sim|cuda]
"""

import harness
import numpy as np
import tilescale
import tilescale.language as T
from tilescale.distributed import World


def all_to_all_program(ranks, per_rank, tokens, hidden, threads=128):
    @T.prim_func
    def all_to_all(
        x: T.Tensor((tokens, hidden), "float16"),
        begin: T.Tensor((ranks * per_rank + 1,), "int32"),
        inbox: T.Tensor((ranks, tokens, hidden), "float16"),
        inbox_begin: T.Tensor((ranks, per_rank + 1), "int32"),
        sums: T.Tensor((ranks, per_rank, hidden), "float32"),
        arrived: T.Tensor((ranks,), "uint64"),
        iteration: T.int32,
    ):
        with T.Kernel(ranks, threads=threads) as peer:
            tx = T.get_thread_binding()
            me = T.get_pe()
            total = T.alloc_fragment((hidden,), "float32")
            first = begin[peer * per_rank]
            count = begin[(peer + 1) * per_rank] - first
            T.putmem_nbi_block(T.address_of(inbox[me, 0, 0]), T.address_of(x[first, 0]), count * hidden * 2, peer)
            T.putmem_nbi_block(
                T.address_of(inbox_begin[me, 0]), T.address_of(begin[peer * per_rank]), (per_rank + 1) * 4, peer
            )
            T.quiet()
            T.sync_threads()
            if tx == 0:
                T.signal_op(T.address_of(arrived[me]), 1, T.Amo.SIGNAL_ADD, peer)
                T.signal_wait_until(T.address_of(arrived[peer]), T.CmpType.GE, iteration + 1)
            T.sync_threads()
            start = inbox_begin[peer, 0]
            for e in T.serial(per_rank):
                T.clear(total)
                for t in T.serial(inbox_begin[peer, e] - start, inbox_begin[peer, e + 1] - start):
                    for j in T.Parallel(hidden):
                        total[j] += inbox[peer, t, j]
                T.copy(total, sums[peer, e, 0:hidden])

    return all_to_all


def run(ranks=2, target=None, per_rank=3, tokens=20, hidden=48, iterations=2):
    """The error of the sums, and how many elements came wrong."""
    rng = np.random.default_rng()
    experts = ranks * per_rank
    kernel = tilescale.compile(all_to_all_program(ranks, per_rank, tokens, hidden), target=target)
    found = 0.0
    with World(ranks, target=target) as w:
        late = harness.Late(w)
        x = w.tensor((tokens, hidden), "float16", name="x")
        begin = w.tensor((experts + 1,), "int32", name="begin")
        inbox = w.tensor((ranks, tokens, hidden), "float16", name="inbox")
        inbox_begin = w.tensor((ranks, per_rank + 1), "int32", name="inbox_begin")
        sums = w.tensor((ranks, per_rank, hidden), name="sums")
        arrived = w.tensor((ranks,), "uint64", name="arrived")
        for iteration in range(iterations):
            inputs = harness.normal(ranks, tokens, hidden, dtype=np.float16)
            expert_of = np.sort(rng.integers(0, experts, (ranks, tokens)), axis=1)
            starts = [np.searchsorted(expert_of[r], np.arange(experts + 1)).astype(np.int32) for r in range(ranks)]
            harness.spread(x, inputs)
            harness.spread(begin, starts)
            harness.poison(inbox, inbox_begin, sums)
            late()
            w.launch(kernel, x, begin, inbox, inbox_begin, sums, arrived, iteration)
            w.barrier()
            want = np.zeros((ranks, ranks, per_rank, hidden))
            came, came_sums = harness.gathered(inbox), harness.gathered(sums)
            for r in range(ranks):
                for t in range(tokens):
                    p, e = divmod(int(expert_of[r, t]), per_rank)
                    want[p, r, e] += inputs[r, t]
                    found += harness.wrong(came[p, r, t - starts[r][p * per_rank]], inputs[r, t])
            found = float(np.maximum(found, harness.error(came_sums, want)))  # a nan stays
    return found


def main(arguments=None):
    return harness.main("all-to-all of tokens", __doc__, run, 1e-5, arguments)


if __name__ == "__main__":
    main()
