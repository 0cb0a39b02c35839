# SPDX-License-Identifier: MIT
"""The message-passing litmus: a payload and a flag go round the ring; nobody may see the flag without the payload.

Each form orders the two in another way. A receiver counts payloads that are not of this round.

Run: python message_passing.py [--ranks N] [--target sim|cuda]
"""

import harness
import tilescale
import tilescale.language as T
from tilescale.distributed import World

FORMS = ("signal", "release", "fence", "block")


def message_passing_program(form, rounds, words=4, threads=64):
    """In round i word k of the payload is rank * 1000000 + i * 1000 + k, of the rank that sent it."""

    @T.prim_func
    def message_passing(
        payload: T.Tensor((words,), "int32"),
        flags: T.Tensor((2,), "int32"),
        old: T.Tensor((words,), "int32"),
    ):
        with T.Kernel(1, threads=threads):
            tx = T.get_thread_binding()
            right = (T.get_rank() + 1) % T.get_num_ranks()
            left = (T.get_rank() + T.get_num_ranks() - 1) % T.get_num_ranks()
            for i in T.serial(rounds):
                sent = T.get_rank() * 1000000 + i * 1000
                expected = left * 1000000 + i * 1000
                if form == "signal":  # the compiler puts in what orders them
                    if tx < words:
                        T.st(T.address_of(payload[tx]), sent + tx, dst_pe=right)
                    T.notify(T.signal(flags, 0), peer=right)
                    T.wait(T.signal(flags, 0), at_least=i + 1)
                    if tx < words and payload[tx] != expected + tx:
                        old[tx] += 1
                    T.notify(T.signal(flags, 1), peer=left)
                    T.wait(T.signal(flags, 1), at_least=i + 1)
                elif form == "block":  # threads that write, one that signals; one that waits, threads that read
                    if tx < words:
                        T.st(T.address_of(payload[tx]), sent + tx, dst_pe=right)
                    T.sync_threads()
                    if tx == 0:
                        T.st(T.address_of(flags[0]), i + 1, scope="sys", sem="release", dst_pe=right)
                        T.wait_ge(flags[0], i + 1)
                    T.sync_threads()
                    if tx < words and payload[tx] != expected + tx:
                        old[tx] += 1
                    T.sync_threads()
                    if tx == 0:
                        T.st(T.address_of(flags[1]), i + 1, scope="sys", sem="release", dst_pe=left)
                        T.wait_ge(flags[1], i + 1)
                    T.sync_threads()
                elif tx == 0:  # one thread on each side
                    for k in T.serial(words):
                        T.st(T.address_of(payload[k]), sent + k, dst_pe=right)
                    if form == "release":
                        T.st(T.address_of(flags[0]), i + 1, scope="sys", sem="release", dst_pe=right)
                        T.wait_ge(flags[0], i + 1)
                    else:
                        T.fence_sys()
                        T.st(T.address_of(flags[0]), i + 1, scope="sys", sem="relaxed", dst_pe=right)
                        T.wait_ge(flags[0], i + 1, semantics="relaxed")
                        T.fence_sys()
                    for k in T.serial(words):
                        if payload[k] != expected + k:
                            old[k] += 1
                    T.st(T.address_of(flags[1]), i + 1, scope="sys", sem="release", dst_pe=left)
                    T.wait_ge(flags[1], i + 1)

    return message_passing


def run(ranks=2, target=None, rounds=None):
    """How many words of all payloads were old."""
    found = 0.0
    for form in FORMS:
        with World(ranks, target=target) as w:
            times = rounds or (10000 if w.on_gpu else 6)
            kernel = tilescale.compile(message_passing_program(form, times), target=target)
            late = harness.Late(w)
            payload, old = (w.tensor((4,), "int32", name=name) for name in ("payload", "old"))
            flags = w.tensor((2,), "int32", name="flags")
            harness.poison(payload)
            late()
            w.launch(kernel, payload, flags, old)
            w.barrier()
            found += harness.gathered(old).sum()
            last = harness.gathered(payload)[:, 0]
            found += harness.wrong(last, [(r - 1) % ranks * 1000000 + (times - 1) * 1000 for r in range(ranks)])
    return float(found)


def main(arguments=None):
    return harness.main("message passing", __doc__, run, 0, arguments)


if __name__ == "__main__":
    main()
