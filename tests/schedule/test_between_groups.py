# SPDX-License-Identifier: MIT
"""Two groups of threads that touch the same memory: something that both take part in must stand between, or the program
is refused with both lines. What the program's own flags and atomics order is left to it, and listed by explain()."""

import itertools
import textwrap

import numpy as np
import pytest
import tilescale
import tilescale.language as T

_number = itertools.count()


def program(first: str, second: str, setup: str = ""):
    """128 threads; the first half runs `first`, the second half `second`. Line 6 is the first of `setup`."""
    head = """@T.prim_func
def main(A: T.Tensor((64,), "float32"), B: T.Tensor((64,), "float32"), F: T.Tensor((4,), "int32")):
    with T.Kernel(1, threads=128) as bx:
        S = T.alloc_shared((64,), "float32")
        tx = T.get_thread_binding()
"""
    lines = textwrap.dedent(setup).strip()
    for condition, body in (("if tx < 64:", first), ("if tx >= 64:", second)):
        lines += f"\n{condition}\n" + textwrap.indent(textwrap.dedent(body).strip(), "    ")
    text = head + textwrap.indent(lines.strip(), " " * 8) + "\n"
    return T.exec_source(text, {"T": T}, f"<between-groups-{next(_number)}>")["main"]


def compiled(*parts):
    return tilescale.compile(program(*parts), target={"kind": "sim", "arch": "sm_90a"})


WRITE, READ = "T.copy(A, S)", "T.copy(S, B)"
BAR = "full = T.alloc_barrier(64)\nother = T.alloc_barrier(64)\n"
ORDERED = {
    "a barrier of both": (f"{WRITE}\nT.sync_threads(3, 128)", f"T.sync_threads(3, 128)\n{READ}"),
    "an mbarrier": (f"{WRITE}\nT.barrier_arrive(full[0])", f"T.barrier_wait(full[0], 0)\n{READ}", BAR),
    "the reader first": (f"T.barrier_wait(full[0], 0)\n{READ}", f"{WRITE}\nT.barrier_arrive(full[0])", BAR),
}
REFUSED = {
    "nothing": (WRITE, READ, ""),
    "barriers of their own": (f"{WRITE}\nT.sync_threads(3, 64)", f"T.sync_threads(3, 64)\n{READ}", ""),
    "two numbers": (f"{WRITE}\nT.sync_threads(3, 128)", f"T.sync_threads(4, 128)\n{READ}", ""),
    "two mbarriers": (f"{WRITE}\nT.barrier_arrive(full[0])", f"T.barrier_wait(other[0], 0)\n{READ}", BAR),
    "too early": (f"T.barrier_arrive(full[0])\n{WRITE}", f"T.barrier_wait(full[0], 0)\n{READ}", BAR),
    "too late": (f"{WRITE}\nT.barrier_arrive(full[0])", f"{READ}\nT.barrier_wait(full[0], 0)", BAR),
    "nobody waits": (f"{WRITE}\nT.barrier_arrive(full[0])", f"T.barrier_arrive(full[0])\n{READ}", BAR),
    "a flag of one side": (f"{WRITE}\nT.atomic_add(F[0], 1)", READ, ""),
    "weak flags": (
        f"{WRITE}\nT.st(F[0], 1, sem='weak')",
        f"{READ}\nv = T.alloc_var('int32')\nT.ld(F[0], v, sem='weak')",
        "",
    ),
}


@pytest.mark.parametrize("name", ORDERED)
def test_ordered(name, monkeypatch):
    kernel = compiled(*ORDERED[name])
    for seed in range(10):
        monkeypatch.setenv("TILESCALE_SIM_SEED", str(seed))
        a, b = np.random.default_rng().standard_normal(64, np.float32), np.full(64, np.nan, np.float32)
        kernel(a, b, np.zeros(4, np.int32))
        assert (a == b).all(), f"seed {seed}"


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    first, second, setup = REFUSED[name]
    func = program(first, second, setup)
    with pytest.raises(tilescale.CompileError) as error:
        tilescale.compile(func, target={"kind": "sim", "arch": "sm_90a"})
    at = 7 + len(setup.splitlines())
    write = at + first.splitlines().index(WRITE)
    read = at + len(first.splitlines()) + 1 + second.splitlines().index(READ)
    assert str(error.value) == (
        f"threads 0 to 63 write `S` at line {write} and threads 64 to 127 read `S` at line {read}, and no barrier "
        "orders them: use T.sync_threads() or a barrier of both"
    )


def test_flags_are_left_to_the_program():
    kernel = compiled(f"{WRITE}\nT.atomic_add(F[0], 1, memory_order='release')", f"while F[0] < 64:\n    pass\n{READ}")
    assert (
        "left to the program: threads 0 to 63 write `S` at line 7 and threads 64 to 127 read `S` at line 12, ordered "
        "by flags or atomics of its own if at all"
    ) in kernel.explain()


def test_the_same_threads_again():
    """They are one group: the barrier between is theirs to get."""
    text = """@T.prim_func
def main(A: T.Tensor((64,), "float32"), B: T.Tensor((64,), "float32")):
    with T.Kernel(1, threads=128) as bx:
        S = T.alloc_shared((64,), "float32")
        tx = T.get_thread_binding()
        if tx < 64:
            T.copy(A, S)
        if tx < 64:
            for i in T.Parallel(64):
                B[i] = S[63 - i]
"""
    main = T.exec_source(text, {"T": T}, f"<between-groups-{next(_number)}>")["main"]
    kernel = tilescale.compile(main, target="sim")
    a, b = np.random.default_rng().standard_normal(64, np.float32), np.full(64, np.nan, np.float32)
    kernel(a, b)
    assert (a[::-1] == b).all() and kernel.get_kernel_source().count("cta_sync()") == 1


def test_memory_of_two_groups_is_apart(monkeypatch):
    """They run side by side, so their workspaces do not share bytes."""

    @T.prim_func
    def main(A: T.Tensor((2, 64, 64), "float32"), B: T.Tensor((2, 64), "float32")):
        with T.Kernel(1, threads=256) as bx:
            tx = T.get_thread_binding()
            if tx < 128:
                x = T.alloc_fragment((64, 64), "float32")
                y = T.alloc_fragment((64,), "float32")
                T.copy(A[0, :, :], x)
                T.reduce_sum(x, y, dim=0)
                T.copy(y, B[0, :])
            if tx >= 128:
                z = T.alloc_fragment((64, 64), "float32")
                w = T.alloc_fragment((64,), "float32")
                T.copy(A[1, :, :], z)
                T.reduce_sum(z, w, dim=0)
                T.copy(w, B[1, :])

    kernel = tilescale.compile(main, target="sim")
    for seed in range(10):
        monkeypatch.setenv("TILESCALE_SIM_SEED", str(seed))
        a, b = np.random.default_rng().standard_normal((2, 64, 64), np.float32), np.full((2, 64), np.nan, np.float32)
        kernel(a, b)
        assert np.abs(b - a.astype(np.float64).sum(1)).max() < 1e-4, f"seed {seed}"
