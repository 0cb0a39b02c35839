# SPDX-License-Identifier: MIT
"""The names of NVSHMEM: moves of bytes by a thread, a warp, a block, at once and completed by quiet; signals."""

import itertools

import numpy as np
import pytest
import tilescale
import tilescale.language as T
from rank_programs import launch, raw
from tilescale import sim

rng = np.random.default_rng()
SCOPES = {"": 1, "_warp": 32, "_block": 64}


def mover(name, scope, n, at, size, of, source):
    """`size` bytes of A from element `at` on to element `of` of B, one on another rank, maybe through shared memory."""
    op = getattr(T, name + scope)
    put = name.startswith("put")

    @T.prim_func
    def main(A: T.Tensor((n,), "float16"), B: T.Tensor((n,), "uint8"), step: T.int32):
        with T.Kernel(1, threads=64):
            tx = T.get_thread_binding()
            pe = (T.get_pe() + step) % T.get_pe_num()
            s = T.alloc_shared((n,), "float16")
            out = T.alloc_shared((n,), "uint8")
            if source == "shared" and put:
                T.copy(A, s)
                T.sync_threads()
            if tx < SCOPES[scope]:
                if put:
                    op(T.address_of(B[of]), T.address_of((s if source == "shared" else A)[at]), size, pe)
                elif source == "shared":
                    op(T.address_of(out[0]), T.address_of(A[at]), size, pe)
                else:
                    op(T.address_of(B[of]), T.address_of(A[at]), size, pe)
            T.quiet()
            if source == "shared" and not put:
                T.sync_threads()
                T.copy(out[0:size], B[of : of + size])

    return main


@pytest.mark.parametrize("source", ["global", "shared"])
@pytest.mark.parametrize("scope", list(SCOPES))
@pytest.mark.parametrize("name", ["putmem", "putmem_nbi", "getmem", "getmem_nbi"])
def test_moves_of_bytes(name, scope, source):
    for ranks, (at, size, of) in zip((2, 4, 2), [(8, 640, 16), (3, 517, 5), (1, 1, 0)], strict=True):
        n, step = 700, int(rng.integers(0, ranks))
        a = [raw((n,), "float16") for _ in range(ranks)]
        b = [raw((n,), "uint8") for _ in range(ranks)]
        want = [x.copy() for x in b]
        for r in range(ranks):
            there = (r + step) % ranks
            source_rank, target = (r, there) if name.startswith("put") else (there, r)
            want[target][of : of + size] = a[source_rank].view(np.uint8)[2 * at : 2 * at + size]
        _, got = launch(mover(name, scope, n, at, size, of, source), {"A": a, "B": b}, ranks, (step,))
        for x, y in zip(got, want, strict=True):
            np.testing.assert_array_equal(x, y)


def message(name, scope, amo, wait_scope="", quiet=True):
    """A message and its signal to the next rank, `rounds` times: the receiver reads it and gives the buffer back."""
    op = getattr(T, name + scope)
    n = 320

    @T.prim_func
    def main(
        A: T.Tensor((3, n), "uint8"),
        inbox: T.Tensor((n,), "uint8"),
        sig: T.Tensor((2,), "uint64"),
        out: T.Tensor((3, n), "uint8"),
    ):
        with T.Kernel(1, threads=64):
            tx = T.get_thread_binding()
            after = (T.get_pe() + 1) % T.get_pe_num()
            before = (T.get_pe() + T.get_pe_num() - 1) % T.get_pe_num()
            for i in T.serial(3):
                value = i + 1 if amo == T.Amo.SIGNAL_SET else 1
                if tx < SCOPES[scope]:
                    if "signal" in name:
                        op(inbox, T.address_of(A[i, 0]), n, T.address_of(sig[0]), value, amo, after)
                    else:
                        op(inbox, T.address_of(A[i, 0]), n, after)
                        if quiet:
                            T.quiet()
                if "signal" not in name:
                    T.sync_threads()
                    if tx == 0:
                        T.signal_op(T.address_of(sig[0]), value, amo, after)
                if tx == 0:
                    T.signal_wait_until(sig[0], T.CmpType.GE, i + 1)
                T.sync_threads()
                T.copy(inbox, out[i, 0:n])
                T.sync_threads()
                if tx == 0:  # the buffer is free again
                    T.signal_op(sig[1], i + 1, T.Amo.SIGNAL_SET, before)
                    T.signal_wait_until(sig[1], T.CmpType.EQ, i + 1)
                T.sync_threads()

    return main


def exchange(func, ranks):
    a = [raw((3, 320), "uint8") for _ in range(ranks)]
    tensors = {
        "A": a,
        "inbox": [raw((320,), "uint8") for _ in range(ranks)],
        "sig": [np.zeros(2, np.uint64) for _ in range(ranks)],
        "out": [raw((3, 320), "uint8") for _ in range(ranks)],
    }
    out = launch(func, tensors, ranks)[3]
    for r in range(ranks):
        np.testing.assert_array_equal(out[r], a[r - 1])


@pytest.mark.parametrize("amo", [T.Amo.SIGNAL_SET, T.Amo.SIGNAL_ADD])
@pytest.mark.parametrize("scope", list(SCOPES))
@pytest.mark.parametrize("name", ["putmem_signal", "putmem_signal_nbi", "putmem", "putmem_nbi"])
def test_messages_with_signals(name, scope, amo, seeds):
    func = message(name, scope, amo)
    for seed, ranks in zip(seeds[:4], (2, 4, 3, 2), strict=False):
        sim.set_seed(seed)
        exchange(func, ranks)


def test_messages_with_signals_are_race_free_under_many_seeds(seeds):
    for seed, name in zip(seeds, itertools.cycle(["putmem_signal_block", "putmem_nbi_warp"])):
        sim.set_seed(seed)
        exchange(message(name.rpartition("_")[0], "_" + name.rpartition("_")[2], T.Amo.SIGNAL_ADD), 2)


@pytest.mark.parametrize("scope", list(SCOPES))
def test_what_nobody_completed_is_not_there(scope, seeds):
    """Without quiet a signal behind an nbi put publishes nothing."""
    func = message("putmem_nbi", scope, T.Amo.SIGNAL_SET, quiet=False)
    for seed in seeds:
        sim.set_seed(seed)
        with pytest.raises(sim.DataRace, match="inbox"):
            exchange(func, 2)


def test_relations_and_elements():
    """signal_wait_until of each relation gives what it saw; int_p writes one element."""

    @T.prim_func
    def main(sig: T.Tensor((6,), "uint64"), seen: T.Tensor((6,), "int32")):
        with T.Kernel(1, threads=32):
            tx = T.get_thread_binding()
            relations = [("EQ", 7, 7), ("NE", 0, 5), ("GT", 6, 7), ("LE", 3, 2), ("LT", 3, 1), ("GE", 7, 9)]
            for i, (relation, value, sent) in enumerate(relations):
                if tx == i:
                    T.signal_op(sig[i], sent, "signal_set", 1 - T.get_pe())
                    T.int_p(seen[i], T.signal_wait_until(sig[i], T.CmpType[relation], value), 1 - T.get_pe())

    sig = [np.array([0, 0, 0, 9, 9, 0], np.uint64) for _ in range(2)]
    _, seen = launch(main, {"sig": sig, "seen": [np.zeros(6, np.int32)] * 2}, 2)
    for s in seen:
        assert s.tolist() == [7, 5, 7, 2, 1, 9]


def meeting(arrive=True, wait=True, blocks=6):
    """Each block writes its part, meets the others, and reads all parts."""

    @T.prim_func
    def main(A: T.Tensor((blocks, 64), "float32"), bar: T.Tensor((1,), "uint32"), out: T.Tensor((blocks,), "float32")):
        with T.Kernel(blocks, threads=64) as bx:
            f = T.alloc_fragment((blocks, 64), "float32")
            total = T.alloc_fragment((1,), "float32")
            T.init_barrier_gpu(bar, blocks)
            for i in T.Parallel(64):
                A[bx, i] = bx + 1
            if arrive and wait:
                T.sync_barrier_gpu(bar)
            elif arrive:
                T.arrive_barrier_gpu(bar)
            T.copy(A, f)
            flat = T.reshape(f, (1, blocks * 64))
            T.reduce_sum(flat, total, dim=1)
            out[bx] = total[0]

    return main


def test_blocks_of_one_gpu_meet(seeds):
    kernel = tilescale.compile(meeting(), target="sim")
    for seed in seeds:
        sim.set_seed(seed)
        A, bar, out = np.full((6, 64), np.nan, np.float32), np.zeros(1, np.uint32), np.zeros(6, np.float32)
        kernel(A, bar, out)
        assert out.tolist() == [64 * 21.0] * 6 and bar[0] == 0x80000000
    kernel = tilescale.compile(meeting(wait=False), target="sim")
    for seed in seeds:
        sim.set_seed(seed)
        with pytest.raises(sim.DataRace, match=r"A\["):
            kernel(A, np.zeros(1, np.uint32), out)


def collective(name, scope):
    """Data that only the meeting orders; twice, so that its words serve again."""

    @T.prim_func
    def main(A: T.Tensor((2, 40), "float32"), B: T.Tensor((2, 5, 40), "float32"), C: T.Tensor((2, 5, 40), "float32")):
        with T.Kernel(1, threads=64):
            tx = T.get_thread_binding()
            after = (T.get_pe() + 1) % T.get_pe_num()
            for i in T.serial(2):
                if tx < SCOPES[scope]:
                    if name in ("barrier_all", "sync_all"):
                        getattr(T, f"putmem{'_nbi' if name == 'barrier_all' else ''}{scope}")(
                            T.address_of(B[i, 0, 0]), T.address_of(A[i, 0]), 160, after
                        )
                        getattr(T, name + scope)()
                    elif name == "fcollect":
                        getattr(T, name + scope)(T.Team.WORLD, T.address_of(B[i, 0, 0]), T.address_of(A[i, 0]), 40)
                    else:
                        count = 160 if name == "broadcastmem" else 40
                        getattr(T, name + scope)(0, T.address_of(B[i, 0, 0]), T.address_of(A[i, 0]), count, 1)
                T.sync_threads()
                T.copy(B[i, 0:5, 0:40], C[i, 0:5, 0:40])
                T.sync_threads()

    return main


COLLECTIVES = [(n, s) for n in ("barrier_all", "sync_all", "broadcast", "fcollect") for s in SCOPES]


@pytest.mark.parametrize(("name", "scope"), [*COLLECTIVES, ("broadcastmem", "_block")])
def test_collectives(name, scope, seeds):
    func = collective(name, scope)
    for seed, ranks in zip(seeds[: 20 if scope == "_block" else 3], itertools.cycle([2, 4])):
        sim.set_seed(seed)
        a = [raw((2, 40), "float32") for _ in range(ranks)]
        b = [raw((2, 5, 40), "float32") for _ in range(ranks)]
        want = [x.copy() for x in b]
        for r in range(ranks):
            if name == "fcollect":
                for i in range(ranks):
                    want[r][:, i] = a[i]
            else:
                want[r][:, 0] = a[1] if name.startswith("broadcast") else a[r - 1]
        poison = [raw((2, 5, 40), "float32") for _ in range(ranks)]
        got = launch(func, {"A": a, "B": b, "C": poison}, ranks)[2]
        for r in range(ranks):
            np.testing.assert_array_equal(got[r].view(np.uint32), want[r].view(np.uint32))


def test_a_meeting_of_no_copies_completes_none(seeds):
    """T.sync_all leaves what nbi copies move open."""

    @T.prim_func
    def main(A: T.Tensor((64,), "float32"), B: T.Tensor((64,), "float32"), C: T.Tensor((64,), "float32")):
        with T.Kernel(1, threads=64):
            T.putmem_nbi_block(B, A, 256, 1 - T.get_pe())
            T.sync_all_block()
            T.copy(B, C)

    for seed in seeds:
        sim.set_seed(seed)
        with pytest.raises(sim.DataRace, match="B"):
            launch(main, {x: [raw((64,), "float32") for _ in range(2)] for x in "ABC"}, 2)


def test_a_barrier_of_the_launch(seeds):
    """T.alloc_barrier_gpu starts as zero at every launch."""

    @T.prim_func
    def main(A: T.Tensor((5,), "int32"), out: T.Tensor((5, 5), "int32")):
        with T.Kernel(5, threads=32) as bx:
            bar = T.alloc_barrier_gpu()
            T.init_barrier_gpu(bar, 5)
            A[bx] = bx * bx
            T.sync_barrier_gpu(bar)
            T.copy(A, out[bx, 0:5])

    kernel = tilescale.compile(main, target="sim")
    for seed in seeds:
        sim.set_seed(seed)
        A, out = np.full(5, -1, np.int32), np.zeros((5, 5), np.int32)
        kernel(A, out)
        assert (out == np.arange(5) ** 2).all()
