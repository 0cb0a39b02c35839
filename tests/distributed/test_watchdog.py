# SPDX-License-Identifier: MIT
"""TILESCALE_WATCHDOG: waits that the host can see and end. The simulator runs the text; the host's side runs over a
stub of the driver (tests/runtime/test_cuda_calls.py); on GPUs both."""

import inspect
import re
import threading
import time

import numpy as np
import pytest
import tilescale
import tilescale.language as T
from tilescale import sim
from tilescale.distributed import World, abort_waits, waiting_threads


def waiting(turns):
    """Block 0 waits for what nobody does; block 1 is busy meanwhile."""

    @T.prim_func
    def waits(flags: T.Tensor((4,), "int32"), out: T.Tensor((2,), "int32")):
        with T.Kernel(2, threads=32) as b:
            tx = T.get_thread_binding()
            if b == 0:
                if tx == 0:
                    T.wait_ge(flags[3], 7)  # here
                out[0] = 1 + T.get_rank()
            else:
                for i in T.serial(turns):
                    if tx == 0:
                        out[1] = i

    return waits


def line_of(function, text):
    lines, first = inspect.getsourcelines(function)
    return first + next(i for i, line in enumerate(lines) if text in line)


@pytest.fixture
def watched(monkeypatch):
    monkeypatch.setenv("TILESCALE_WATCHDOG", "5s")


def test_the_host_ends_the_waits_of_a_simulated_kernel(watched):
    kernel = tilescale.compile(waiting(10_000_000), target="sim")
    with World(2, target="sim") as w:
        flags, out = w.tensor((4,), "int32", name="flags"), w.tensor((2,), "int32", name="out")
        np.asarray(flags[1])[3] = -2
        w.launch(kernel, flags, out)

        def end_the_waits():
            while waiting_threads() < 2:
                time.sleep(0.005)
            abort_waits()

        host = threading.Thread(target=end_the_waits)
        host.start()
        with pytest.raises(sim.Deadlock) as found:
            w.barrier()
        host.join()
        here = f"CTA (0,0,0) at test_watchdog.py:{line_of(waiting, '# here')}"
        assert str(found.value).splitlines() == [
            "deadlock: the host has ended the waits of all kernels",
            f"    1 thread of rank 0 {here}: wait_ge: flags[3] of rank 0 is 0, waits for at least 7 "
            "(first: warp 0 lane 0)",
            f"    1 thread of rank 1 {here}: wait_ge: flags[3] of rank 1 is -2, waits for at least 7 "
            "(first: warp 0 lane 0)",
        ]
        for r in range(2):
            np.testing.assert_array_equal(np.asarray(out[r]), [0, 9_999_999])  # the other threads have gone on
            np.asarray(flags[r])[3] = 7
        w.launch(kernel, flags, out)  # and all is as before
        w.barrier()
        assert [int(np.asarray(out[r])[0]) for r in range(2)] == [1, 2]


def test_texts_differ_only_when_watched(monkeypatch):
    plain = tilescale.compile(waiting(1), target="sim").get_kernel_source()
    monkeypatch.setenv("TILESCALE_WATCHDOG", "1s")
    assert tilescale.compile(waiting(1), target="sim").get_kernel_source() == "#define TS_WATCHDOG 1\n" + plain


@pytest.mark.parametrize("text", ["5", "soon", "-1s", "0s", "5 s"])
def test_a_time_that_is_none(monkeypatch, text):
    monkeypatch.setenv("TILESCALE_WATCHDOG", text)
    kernel = tilescale.compile(waiting(1), target="sim")
    with World(2, target="sim") as w:
        flags = w.tensor((4,), "int32")
        message = f"TILESCALE_WATCHDOG: expected a time such as 5s or 500ms, got '{text}'"
        with pytest.raises(ValueError, match=re.escape(message)):
            w.launch(kernel, flags, w.tensor((2,), "int32"))


@pytest.mark.gpu
def test_a_hang_on_gpus_is_reported_and_ended(monkeypatch):
    """Two ranks: on one GPU, or on one each."""
    monkeypatch.setenv("TILESCALE_WATCHDOG", "2s")
    kernel = tilescale.compile(waiting(1), target="cuda")
    with World(2, target="cuda") as w:
        flags, out = w.tensor((4,), "int32", name="flags"), w.tensor((2,), "int32", name="out")
        flags[1][3] = 7
        w.barrier()
        w.launch(kernel, flags, out)
        started = time.perf_counter()
        with pytest.raises(sim.Deadlock) as found:
            w.barrier()
        assert 1 < time.perf_counter() - started < 2.5
        here = f"CTA (0,0,0) at test_watchdog.py:{line_of(waiting, '# here')}"
        assert str(found.value).splitlines() == [
            "deadlock: a wait has lasted 2s (TILESCALE_WATCHDOG)",
            f"    1 thread of rank 0 {here}: wait_ge: flags[3] of rank 0 is 0, waits for at least 7 "
            "(first: warp 0 lane 0)",
            "    rank 1: `waits`, its last launch, has ended",
        ]
        flags[0][3] = 7
        w.barrier()
        w.launch(kernel, flags, out)  # the GPU is free, and all is as before
        w.barrier()
        assert [int(out[r][0]) for r in range(2)] == [1, 2]
