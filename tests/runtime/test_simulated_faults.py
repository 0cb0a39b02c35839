# SPDX-License-Identifier: MIT
"""Kernels that end in no result: the simulator names the line, whatever they do, and never takes Python with it."""

import os
import signal
import threading
import time

import numpy as np
import pytest
import tilescale
import tilescale.language as T
from tilescale.sim import Deadlock

SIM = {"kind": "sim", "arch": "sm_90a"}
HERE = os.path.basename(__file__)  # reports may have it below the working folder
SEED = f"reproduce with TILESCALE_SIM_SEED={os.environ.get('TILESCALE_SIM_SEED', '0')}"


def line_of(function, text: str) -> str:
    """ "file.py:12": the line of a kernel that holds this text."""
    first = function.__code__.co_firstlineno
    with open(__file__, encoding="utf-8") as file:
        lines = file.read().split("\n")
    return f"{HERE}:{next(n for n, line in enumerate(lines, 1) if n >= first and text in line)}"


def endless_loop_with_accesses():
    @T.prim_func
    def main(O: T.Tensor((64,), "int32")):
        with T.Kernel(1, threads=32):
            while O[0] == 0:
                O[1] = 1

    return main


def endless_loop_in_registers():
    @T.prim_func
    def main(O: T.Tensor((64,), "int32")):
        with T.Kernel(1, threads=32):
            x = T.alloc_var("int32", 1)
            while x > 0:
                x = x % 7 + 1
            O[0] = x

    return main


def endless_for_loop():
    @T.prim_func
    def main(O: T.Tensor((64,), "int32")):
        with T.Kernel(1, threads=32):
            for _ in T.serial(1 << 30):
                for j in T.serial(1 << 30):
                    O[T.get_thread_binding()] = j

    return main


def endless_barriers():
    @T.prim_func
    def main(O: T.Tensor((64,), "int32")):
        with T.Kernel(1, threads=64):
            while O[0] == 0:
                T.sync_threads()

    return main


ENDLESS = [endless_loop_with_accesses, endless_loop_in_registers, endless_for_loop, endless_barriers]


def test_an_endless_loop_with_accesses_is_reported(monkeypatch):
    monkeypatch.setenv("TILESCALE_SIM_HANG_MS", "40")
    kernel = tilescale.compile(endless_loop_with_accesses(), target=SIM)
    with pytest.raises(Deadlock) as error:
        kernel(np.zeros(64, np.int32))
    first, place, last = str(error.value).split("\n")
    assert first == (
        "deadlock: a loop runs without end: for 200 ms no thread has passed a barrier, ended, or changed what another "
        "could wait for (if it is only long: raise TILESCALE_SIM_HANG_MS)"
    )
    assert place.startswith("    rank 0 CTA 0 warp 0 lane ")
    assert place.endswith(line_of(endless_loop_with_accesses, "while O[0]"))
    assert last == f"  kernel main on sim sm_90a, 1 rank; {SEED}"


def test_an_endless_loop_without_accesses_is_reported(monkeypatch):
    monkeypatch.setenv("TILESCALE_SIM_HANG_MS", "100")
    kernel = tilescale.compile(endless_loop_in_registers(), target=SIM)
    with pytest.raises(Deadlock, match="runs without end and without any visible event") as error:
        kernel(np.zeros(64, np.int32))
    assert f"{HERE}:" in str(error.value)


@pytest.mark.parametrize("program", ENDLESS, ids=lambda f: f.__name__)
def test_ctrl_c_ends_a_simulation(program, monkeypatch):
    monkeypatch.setenv("TILESCALE_SIM_HANG_MS", "100000")
    kernel = tilescale.compile(program(), target=SIM)
    sent = []

    def interrupt():
        sent.append(time.process_time())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.3, interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        kernel(np.zeros(64, np.int32))
    assert time.process_time() - sent[0] < 1

    # The machine is clean for the next launch.
    @T.prim_func
    def three(O: T.Tensor((64,), "int32")):
        with T.Kernel(1, threads=32):
            for i in T.Parallel(64):
                O[i] = 3

    out = np.zeros(64, np.int32)
    tilescale.compile(three, target=SIM)(out)
    assert (out == 3).all()
