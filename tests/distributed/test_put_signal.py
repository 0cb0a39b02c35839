# SPDX-License-Identifier: MIT
"""A tile, a signal, a wait: clean programs are race-free under any seed; without the release, the wait or a barrier the
simulator shows both lines."""

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import tilescale
import tilescale.language as T
from rank_programs import launch
from tilescale import sim
from tilescale.distributed import World

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "distributed"
M, N = 48, 40


@pytest.fixture
def example(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
    return importlib.import_module("put_signal")


@pytest.mark.parametrize("ranks", [2, 4])
def test_example_is_race_free(example, ranks, seeds):
    for seed in seeds:
        sim.set_seed(seed)
        error, _, _ = example.run(ranks, "sim", 70, 24, iterations=2)
        assert error <= 1e-6


@pytest.mark.gpu
@pytest.mark.parametrize("ranks", [2, 4])
def test_example_on_gpus(example, ranks):
    assert example.main(["--ranks", str(ranks), "--target", "cuda", "--iterations", "50"]) <= 1e-5


def program(store="release", wait=True, barrier_before=True, barrier_behind=True, fence=False):
    """The exchange in its low-level forms, one part at a time left out."""

    @T.prim_func
    def exchange(
        A: T.Tensor((M, N), "float32"),
        inbox: T.Tensor((M, N), "float32"),
        flag: T.Tensor((1,), "int32"),
        C: T.Tensor((M, N), "float32"),
    ):
        with T.Kernel(1, threads=64):
            tx = T.get_thread_binding()
            peer = (T.get_rank() + 1) % T.get_num_ranks()
            T.put_block(T.address_of(A[0, 0]), T.address_of(inbox[0, 0]), M * N, peer)
            if barrier_before:
                T.sync_threads()
            if tx == 0:
                if fence:
                    T.fence_sys()
                T.st(T.address_of(flag[0]), 1, scope="sys", sem=store, dst_pe=peer)
                if wait:
                    T.wait_ge(flag[0], 1)
            if barrier_behind:
                T.sync_threads()
            T.copy(inbox, C)

    return exchange


def run(func, ranks=2):
    kernel = tilescale.compile(func, target="sim")
    with World(ranks, target="sim") as w:
        A, inbox, C = (w.tensor((M, N), name=name) for name in ("A", "inbox", "C"))
        flag = w.tensor((1,), "int32", name="flag")
        inputs = [np.random.default_rng().standard_normal((M, N)).astype(np.float32) for _ in range(ranks)]
        for r in range(ranks):
            np.asarray(A[r])[...] = inputs[r]
            np.asarray(C[r])[...] = np.nan
        w.launch(kernel, A, inbox, flag, C)
        w.barrier()
        for r in range(ranks):
            np.testing.assert_array_equal(np.asarray(C[r]), inputs[r - 1])


@pytest.mark.parametrize(
    "parts", [{}, {"store": "relaxed", "fence": True}], ids=["release", "fence and a relaxed store"]
)
@pytest.mark.parametrize("ranks", [2, 4])
def test_low_level_forms_are_race_free(parts, ranks, seeds):
    func = program(**parts)
    for seed in seeds:
        sim.set_seed(seed)
        run(func, ranks)


@pytest.mark.parametrize(
    "fault",
    [{"store": "relaxed"}, {"wait": False}, {"barrier_before": False}, {"barrier_behind": False}],
    ids=["no release", "no wait", "no barrier before the signal", "no barrier behind the wait"],
)
def test_a_missing_part_is_a_race_at_every_seed(fault, seeds):
    func = program(**fault)
    for seed in seeds:
        sim.set_seed(seed)
        with pytest.raises(sim.DataRace) as found:
            run(func)
        text = str(found.value)
        lines = set(re.findall(r"test_put_signal\.py:(\d+)", text))
        assert "inbox[" in text and len(lines) == 2, text
        assert f"TILESCALE_SIM_SEED={seed}" in text or str(seed) in text


def counts(kernel):
    """Block barriers in the text, and what explain() says about signals."""
    text = kernel.get_kernel_source()
    return text.count("ts::cta_sync()"), [x for x in kernel.explain().splitlines() if "release" in x or "acquire" in x]


def signalling(sync_before, sync_behind):
    @T.prim_func
    def main(A: T.Tensor((256,), "float32"), B: T.Tensor((256,), "float32"), flags: T.Tensor((1,), "uint64")):
        with T.Kernel(1, threads=128):
            sig = T.signal(flags)
            x = T.alloc_fragment((256,), "float32")
            T.copy(A, x)
            T.put(x, B, peer=1 - T.get_rank())
            if sync_before:
                T.sync_threads()
            T.notify(sig, 1 - T.get_rank())
            T.wait(sig)
            if sync_behind:
                T.sync_threads()
            T.copy(B, x)
            T.copy(x, A)

    return tilescale.compile(main, target="sim")


def test_what_orders_a_signal_is_inserted_once():
    count, notes = counts(signalling(False, False))
    assert count == 2
    assert any("(release)" in n for n in notes) and any("(acquire)" in n for n in notes), notes
    for before, behind in ((True, False), (False, True), (True, True)):
        count, notes = counts(signalling(before, behind))
        assert count == 2  # the user's are enough
        assert [any(f"({side})" in n for n in notes) for side in ("release", "acquire")] == [not before, not behind]


def test_tensors_that_peers_write_are_not_read_through_the_constant_cache():
    text = signalling(False, False).get_kernel_source()
    signature = text[text.index("TS_KERNEL") : text.index("{", text.index("TS_KERNEL"))]
    assert "const" not in signature and "TS_RESTRICT" not in signature


def test_elements_out_of_range_are_skipped(seeds):
    """Of accesses whose index is only known at run time: what lies behind a row is the next row, or nothing."""

    @T.prim_func
    def main(A: T.Tensor((3, 4), "int32"), line: T.Tensor((4,), "int32"), out: T.Tensor((6,), "int32"), n: T.int32):
        with T.Kernel(1, threads=32):
            tx = T.get_thread_binding()
            peer = 1 - T.get_rank()
            v = T.alloc_var("int32")
            for m in T.serial(n):
                if tx == 0:
                    T.st(T.address_of(A[0, m]), m + 1)
                    T.st(T.address_of(line[m]), m + 1)
                    T.atomic_add(A[1, m], 5)
                T.notify(T.signal(A, (2, m)), peer=peer)
                T.wait(T.signal(A, (2, m)))
                if tx == 0:
                    T.wait_ge(A[2, m], 1)
                    T.ld(T.address_of(A[1, m]), v)
                    out[m] = v

    sim.set_seed(seeds[0])
    a = [np.zeros((3, 4), np.int32) for _ in range(2)]
    zero = [np.zeros(4, np.int32) for _ in range(2)]
    got = launch(main, {"A": a, "line": zero, "out": [np.full(6, -1, np.int32) for _ in range(2)]}, 2, (6,))
    for r in range(2):
        np.testing.assert_array_equal(got[0][r], [[1, 2, 3, 4], [5, 5, 5, 5], [1, 1, 1, 1]])
        np.testing.assert_array_equal(got[1][r], [1, 2, 3, 4])
        np.testing.assert_array_equal(got[2][r], [5, 5, 5, 5, 0, 0])


def test_the_value_of_a_wait_is_stored_in_a_variable():
    @T.prim_func
    def main(flags: T.Tensor((2,), "int32"), out: T.Tensor((32,), "int32")):
        with T.Kernel(1, threads=32):
            tx = T.get_thread_binding()
            seen = T.alloc_var("int32", init=-1)
            if tx < 2:
                seen = T.wait_ge(flags[tx], 5)
            out[tx] = seen

    flags = [np.array([5 + r, 7], np.int32) for r in range(2)]
    _, out = launch(main, {"flags": flags, "out": [np.zeros(32, np.int32) for _ in range(2)]}, 2)
    for r in range(2):
        np.testing.assert_array_equal(out[r], [5 + r, 7] + [-1] * 30)
