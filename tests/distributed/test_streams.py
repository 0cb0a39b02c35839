# SPDX-License-Identifier: MIT
"""What streams of a World do without a kernel of the program: copies, signals, waits, in order with its kernels."""

import importlib
import re

import numpy as np
import pytest
import tilescale
import tilescale.language as T
from tilescale import sim
from tilescale.distributed import World

N = 1500


@T.prim_func
def fill(A: T.Tensor((N,), "float32"), value: T.float32):
    with T.Kernel(3, threads=128) as b:
        for i in T.Parallel(512):
            A[b * 512 + i] = value + T.cast(b * 512 + i, "float32")


@T.prim_func
def double(A: T.Tensor((N,), "float32"), B: T.Tensor((N,), "float32")):
    with T.Kernel(3, threads=128) as b:
        for i in T.Parallel(512):
            B[b * 512 + i] = A[b * 512 + i] * 2


def exchange(w, given, write=True, wait=True):
    """Each rank fills A, its copy engine moves it to the next rank's inbox, whose kernel doubles it."""
    A, inbox, out = (w.tensor((N,), name=name) for name in ("A", "inbox", "out"))
    full, come = w.tensor((1,), "int32", name="full"), w.tensor((2,), "int64", name="come")
    copies = w.stream()
    w.launch(given[0], A, 0.5)
    for r in range(w.ranks):
        to = (r + 1) % w.ranks
        if write:
            w.set_signal(full[r], 1, rank=r)
        if wait:
            w.wait_eq(full[r], 1, rank=r, stream=copies)
        w.copy(inbox[to], A[r], rank=r, stream=copies)
        w.set_signal(come[to][1:], 5 + to, rank=r, stream=copies)
        w.wait_eq(come[r][1:], 5 + r, rank=r)
    w.launch(given[1], inbox, out)
    w.barrier()
    return out


def kernels(target):
    return [tilescale.compile(f, target=target) for f in (fill, double)]


@pytest.mark.parametrize("ranks", [2, 3])
def test_copies_and_signals_are_ordered_with_kernels(ranks, seeds):
    given = kernels("sim")
    for seed in seeds:
        sim.set_seed(seed)
        with World(ranks, target="sim") as w:
            for part in exchange(w, given):
                np.testing.assert_array_equal(np.asarray(part), 2 * (0.5 + np.arange(N, dtype=np.float32)))


def test_a_copy_that_nothing_orders_is_a_race(seeds):
    given = kernels("sim")
    for seed in seeds:
        sim.set_seed(seed)
        with World(2, target="sim") as w, pytest.raises(sim.DataRace) as found:
            exchange(w, given, wait=False)
        text = str(found.value)
        assert re.search(r"on (A|source)\[", text) and "streams.py" in text and "test_streams.py" in text, text


def test_a_stream_that_waits_for_ever_is_a_deadlock(seeds):
    sim.set_seed(seeds[0])
    with World(2, target="sim") as w, pytest.raises(sim.Deadlock, match=r"spins on signal\[0\] = 0"):
        exchange(w, kernels("sim"), write=False)


def test_what_cannot_be_copied():
    with World(2, target="sim") as w:
        A, B = w.tensor((4, 6), name="A"), w.tensor((4, 5), name="B")
        with pytest.raises(ValueError) as found:
            w.copy(A[0], B[1], rank=0)
        assert str(found.value) == (
            "a copy needs two tensors of one shape and type, got float32[4, 6] and float32[4, 5]"
        )
        with pytest.raises(ValueError) as found:
            w.copy(A[0][:, :2], A[1][:, 2:4], rank=0)
        assert str(found.value) == "a copy moves consecutive elements, its target has gaps"
        with pytest.raises(TypeError, match="set_signal needs a signal of one int32 or uint32 or int64 or uint64"):
            w.set_signal(A[0], 1, rank=0)
        with pytest.raises(IndexError, match="there is no rank 2 in a world of 2"):
            w.copy(A[0], A[1], rank=2)


@pytest.mark.gpu
def test_copies_and_signals_on_gpus():
    importlib.import_module("torch")
    with World(2, target="cuda") as w:
        for _ in range(5):
            for part in exchange(w, kernels("cuda")):
                np.testing.assert_array_equal(part.cpu().numpy(), 2 * (0.5 + np.arange(N, dtype=np.float32)))
