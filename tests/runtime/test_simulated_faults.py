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
from tilescale.sim import Deadlock, OutOfBounds, SimulationError

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


@pytest.mark.parametrize("program", [endless_loop_with_accesses, endless_barriers], ids=lambda f: f.__name__)
def test_an_endless_loop_with_accesses_is_reported(program, monkeypatch):
    monkeypatch.setenv("TILESCALE_SIM_HANG_MS", "40")
    kernel = tilescale.compile(program(), target=SIM)
    with pytest.raises(Deadlock) as error:
        kernel(np.zeros(64, np.int32))
    first, place, last = str(error.value).split("\n")
    assert first == (
        "deadlock: a loop runs without end: for 200 ms no thread has passed a barrier outside it, ended, or changed "
        "what another could wait for (if it is only long: raise TILESCALE_SIM_HANG_MS)"
    )
    assert place.startswith("    rank 0 CTA 0 warp ")
    assert place.endswith(line_of(program, "while O[0]"))
    assert last == f"  kernel main on sim sm_90a, 1 rank; {SEED}"


def test_an_endless_loop_without_accesses_is_reported(monkeypatch):
    monkeypatch.setenv("TILESCALE_SIM_HANG_MS", "100")
    kernel = tilescale.compile(endless_loop_in_registers(), target=SIM)
    with pytest.raises(Deadlock, match="runs without end and without any visible event") as error:
        kernel(np.zeros(64, np.int32))
    assert f"{HERE}:" in str(error.value)


@pytest.fixture
def heeds_ctrl_c():
    """A job in the background starts with Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_ctrl_c")
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


def divide(dtype: str, left: int, right: int, remainder: bool):
    @T.prim_func
    def main(O: T.Tensor((64,), "int64"), a: dtype, b: dtype):
        with T.Kernel(1, threads=64):
            O[T.get_thread_binding()] = T.Select(remainder, a % b, a // b)

    out = np.zeros(64, np.int64)
    tilescale.compile(main, target=SIM)(out, left, right)
    return out[0]


@pytest.mark.parametrize("remainder", [False, True])
@pytest.mark.parametrize(
    "dtype, left, right, text",
    [
        ("int32", 5, 0, "integer division of 5 by zero"),
        ("int64", -7, 0, "integer division of -7 by zero"),
        ("uint32", 2**32 - 1, 0, "integer division of 4294967295 by zero"),
        ("uint8", 200, 0, "integer division of 200 by zero"),
        ("int32", -(2**31), -1, "integer division of -2147483648 by -1: the quotient does not fit int32"),
        ("int64", -(2**63), -1, "integer division of -9223372036854775808 by -1: the quotient does not fit int64"),
    ],
)
def test_division_without_a_result(dtype, left, right, text, remainder):
    with pytest.raises(SimulationError) as error:
        divide(dtype, left, right, remainder)
    first, place, last = str(error.value).split("\n")
    assert first == text
    assert place.startswith("    by rank 0 CTA 0 warp ")
    assert place.endswith(line_of(divide, "a // b"))
    assert last == f"  kernel main on sim sm_90a, 1 rank; {SEED}"


def test_divisions_next_to_those():
    for left, right in ((2**31 - 1, -1), (-(2**31), 1), (-(2**31) + 1, -1), (-(2**31), -2), (0, -5)):
        assert divide("int32", left, right, False) == left // right
        assert divide("int32", left, right, True) == left % right


def test_indices_of_local_arrays_are_checked():
    @T.prim_func
    def main(O: T.Tensor((64,), "int32"), n: T.int32, m: T.int32):
        with T.Kernel(1, threads=64):
            s = T.alloc_local((4,), "int32")
            h = T.alloc_local((2, 3), "float16")
            for i in T.serial(4):
                s[i] = i
            for i in T.serial(6):
                h[i // 3, i % 3] = i
            s[n] = 77
            O[T.get_thread_binding()] = s[0] + T.cast(h[m, 2], "int32")

    kernel = tilescale.compile(main, target=SIM)
    out = np.zeros(64, np.int32)
    for n in range(4):
        for m in range(2):
            kernel(out, n, m)
            assert (out == (77 if n == 0 else 0) + m * 3 + 2).all()
    with open(__file__, encoding="utf-8") as file:
        lines = file.read().split("\n")
    write = 1 + next(i for i, line in enumerate(lines) if "s[n] = 77" in line)
    cases = [
        *((n, 0, f"s[{n}] (4 elements of int", write) for n in (4, 5, -1, -5000, 1000000, 2**31 - 1, -(2**31))),
        *((0, m, f"h[{3 * m + 2}] (6 elements of ts::f16", write + 1) for m in (2, -1, 100000)),
    ]
    for n, m, text, line in cases:
        with pytest.raises(OutOfBounds) as error:
            kernel(out, n, m)
        first, place, _ = str(error.value).split("\n")
        assert first == f"access out of bounds at {text}, local memory of a thread)"
        assert place.startswith("    by rank 0 CTA 0 warp ")
        assert place.endswith(f"{HERE}:{line}")


def test_several_local_arrays_of_one_size():
    @T.prim_func
    def main(O: T.Tensor((64,), "int32"), n: T.int32):
        with T.Kernel(1, threads=64):
            s = T.alloc_local((4,), "int32")
            t = T.alloc_local((4,), "int32")
            for i in T.serial(4):
                s[i] = i
                t[i] = i
            O[T.get_thread_binding()] = s[n] + t[0]

    with pytest.raises(OutOfBounds, match=r"^access out of bounds at s or t\[4\] \(4 elements of int,"):
        tilescale.compile(main, target=SIM)(np.zeros(64, np.int32), 4)


@pytest.mark.parametrize("elements, extra", [(300000, 8), (131072, 8)])
def test_local_arrays_beyond_a_threads_memory(elements, extra):
    @T.prim_func
    def main(O: T.Tensor((64,), "int32"), n: T.int32):
        with T.Kernel(1, threads=64):
            s = T.alloc_local((elements,), "int32")
            t = T.alloc_local((extra,), "int32")
            s[n] = n
            t[0] = s[n]
            O[T.get_thread_binding()] = t[0]

    with pytest.raises(Exception) as error:
        tilescale.compile(main, target=SIM)
    assert type(error.value).__name__ == "CompileError"
    assert (
        f"kernel `main` needs {4 * (elements + extra)} bytes of local memory for a thread, 524288 is the limit; "
        f"`s` alone has {4 * elements} bytes: spread it over the threads of the block (T.alloc_fragment), or keep it "
        "in shared or global memory"
    ) == str(error.value)


def test_a_local_array_that_just_fits():
    @T.prim_func
    def main(O: T.Tensor((64,), "int32"), n: T.int32):
        with T.Kernel(1, threads=64):
            s = T.alloc_local((131072 - 4,), "int32")
            s[n] = n
            O[T.get_thread_binding()] = s[n]

    out = np.zeros(64, np.int32)
    tilescale.compile(main, target=SIM)(out, 130000)
    assert (out == 130000).all()


def test_a_grid_with_more_blocks_than_can_be_told_apart():
    @T.prim_func
    def main(O: T.Tensor((64,), "int32"), n: T.int32):
        with T.Kernel(n, threads=32):
            O[0] = 1

    with pytest.raises(SimulationError) as error:
        tilescale.compile(main, target=SIM)(np.zeros(64, np.int32), 2**20)
    assert not isinstance(error.value, Deadlock)
    assert str(error.value) == (
        "main_kernel: a grid of 1048576 blocks; the simulator tells at most 1048575 apart\n"
        "help: simulate a smaller problem, or let each block do more"
    )


def test_an_assertion_without_a_message():
    @T.prim_func
    def main(O: T.Tensor((64,), "int32")):
        with T.Kernel(1, threads=32):
            T.device_assert(O[0] > 0)

    with pytest.raises(SimulationError) as error:
        tilescale.compile(main, target=SIM)(np.zeros(64, np.int32))
    assert str(error.value).split("\n")[0] == "device assertion failed"
