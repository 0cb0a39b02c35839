# SPDX-License-Identifier: MIT
"""What a condition says of memory holds until the memory is written: each program on the simulator against numpy and
against the oracle."""

import numpy as np
import pytest
import tilescale
import tilescale.language as T
from tilescale.testing import evaluate

N = 128


def build(body, setup=""):
    lines = "\n".join("        " + line for line in (setup + body).strip("\n").split("\n"))
    source = f"""
@T.prim_func
def main(A: T.Tensor(({N},), "int32"), B: T.Tensor(({N},), "int32"), P: T.Tensor((4,), "int32")):
    with T.Kernel(1, threads={N}) as bx:
        tx = T.get_thread_binding()
        v = T.alloc_var("int32")
        S = T.alloc_shared((4,), "int32")
        v = A[tx]
{lines}
"""
    names = {"T": T}
    T.exec_source(source, names, f"<facts {abs(hash(source))}>")
    return names["main"]


def moved(a, b):
    for x in a:
        if 0 <= x + 100 < N and 0 <= x < N:
            b[x + 100] = 1


def chosen(a, b):
    b[:] = np.where(a < 64, np.where(a + 100 < 64, 1, 2), b)


def counted(a, b):
    # A thread's loop goes on while its cell is small; what it adds is chosen by the cell as it is then.
    for i, x in enumerate(a):
        v, n = int(x), 0
        if v < 3:
            for _ in range(5):
                n += 1 if v < 3 else 10
                v += 1
        b[i] = n


PROGRAMS = {
    "a guard": ("if v < 128 and v >= 0:\n    v = v + 100\n    B[v] = 1", moved),
    "an assumption": ("if v >= 0 and v < 28:\n    T.assume(v < 28)\n    v = v + 100\n    B[v] = 1", moved),
    "a choice": ("if v < 64:\n    v = v + 100\n    B[tx] = T.if_then_else(v < 64, 1, 2)", chosen),
    "a nested branch": (
        "if v < 64:\n    if tx >= 0:\n        v = v + 100\n    B[tx] = T.if_then_else(v < 64, 1, 2)",
        chosen,
    ),
    "the next iteration": (
        "n = T.alloc_var('int32')\nn = 0\nif v < 3:\n    for k in T.serial(5):\n"
        "        n = n + T.if_then_else(v < 3, 1, 10)\n        v = v + 1\nB[tx] = n",
        counted,
    ),
}


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_a_fact_ends_where_its_memory_is_written(name):
    body, want = PROGRAMS[name]
    func = build(body)
    rng = np.random.default_rng()
    a = rng.permutation(np.arange(-60, N - 60)).astype(np.int32)
    b = rng.integers(-9, 9, N).astype(np.int32)
    expected = b.copy()
    want(a, expected)
    for run in (evaluate, tilescale.compile(func, target="sim")):
        got, p = b.copy(), np.zeros(4, np.int32)
        run(*((func, a, got, p) if run is evaluate else (a, got, p)))
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("write", "kept"),
    [
        ("P[1] = 0", False),
        ("T.atomic_add(P[1], 1)", False),
        ("T.copy(S, P)", False),
        ("B[0] = 0", True),
        ("S[0] = 0", True),
        ("T.sync_threads()", False),
    ],
)
def test_what_ends_a_fact(write, kept):
    """P[0] < 128 makes the guard of B[P[0]] needless, until P may have changed."""
    body = f"""
if P[0] >= 0 and P[0] < {N}:
    {write}
    B[P[0]] = tx
"""
    setup = "for i in T.Parallel(4):\n    S[i] = 0\n"
    from tilescale._ffi import function

    text = str(function("driver.lower")(build(body, setup).func, "sim sm_90a", {}, "guard-bounds"))
    [store] = [line for line in text.splitlines() if "store %B[%P" in line]
    assert ("guard" in store) != kept, store


def test_the_bounds_of_a_loop_are_evaluated_once():
    @T.prim_func
    def main(A: T.Tensor((N,), "int32"), B: T.Tensor((N,), "int32"), P: T.Tensor((4,), "int32")):
        with T.Kernel(1, threads=N):
            tx = T.get_thread_binding()
            v = T.alloc_var("int32")
            n = T.alloc_var("int32")
            v = A[tx] % 7
            n = 0
            for k in T.serial(v):
                v = 200
                n = n + k + 1
            for k in T.serial(v % 3, v % 3 + 2):
                v = v + 1
                n = n + k
            B[tx] = n

    rng = np.random.default_rng()
    a, p = rng.integers(0, 99, N).astype(np.int32), np.zeros(4, np.int32)
    want = []
    for x in a % 7:
        v = 200 if x else 0
        want.append(sum(range(1, x + 1)) + v % 3 + v % 3 + 1)
    for run in (evaluate, tilescale.compile(main, target="sim")):
        got = np.full(N, -1, np.int32)
        run(*((main, a, got, p) if run is evaluate else (a, got, p)))
        np.testing.assert_array_equal(got, want)
