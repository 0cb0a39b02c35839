# SPDX-License-Identifier: MIT
"""Programs that race without the barriers they get: on the simulator under many seeds, against NumPy."""

import numpy as np
import pytest
import tilescale
import tilescale.language as T
from tilescale.sim import DataRace

SEEDS = range(20)


def check(program, inputs, expected, monkeypatch, tolerance=0.0):
    kernel = tilescale.compile(program, target="sim")
    for seed in SEEDS:
        monkeypatch.setenv("TILESCALE_SIM_SEED", str(seed))
        outputs = [np.full(e.shape, np.nan if e.dtype.kind == "f" else -77, e.dtype) for e in expected]
        kernel(*inputs, *outputs)
        for got, want in zip(outputs, expected, strict=True):
            difference = np.abs(got.astype(np.float64) - want.astype(np.float64))
            assert difference.max() <= tolerance, (seed, got, want)


def floats(*shape, dtype="float32"):
    return np.random.default_rng().standard_normal(shape).astype(dtype)


@T.prim_func
def shifted(A: T.Tensor((128,), "float32"), B: T.Tensor((4, 128), "float32")):
    with T.Kernel(4, threads=128) as bx:
        S = T.alloc_shared((128,), "float32")
        tx = T.get_thread_binding()
        S[tx] = A[tx]
        B[bx, tx] = S[(tx + bx) % 128]


@T.prim_func
def scaled(A: T.Tensor((4, 128), "float32"), B: T.Tensor((4, 512), "float32"), C: T.Tensor((4, 128), "float32")):
    with T.Kernel(4, threads=128) as bx:
        tx = T.get_thread_binding()
        B[bx, (tx * (1 + 2 * bx)) % 128] = A[bx, tx]
        C[bx, tx] = B[bx, (tx * (1 + 2 * bx) + bx) % 128]


@T.prim_func
def twice(A: T.Tensor((128,), "float32"), B: T.Tensor((128,), "float32"), C: T.Tensor((128,), "float32")):
    with T.Kernel(1, threads=128) as bx:
        S = T.alloc_shared((128,), "float32")
        tx = T.get_thread_binding()
        S[tx] = A[tx]
        B[tx] = S[tx ^ 1]
        C[tx] = S[(tx + 32) % 128]


def test_every_block_is_looked_at(monkeypatch):
    a = floats(128)
    check(shifted, [a], [np.stack([np.roll(a, -b) for b in range(4)])], monkeypatch)


def test_global_memory_of_every_block(monkeypatch):
    a, kernel = floats(4, 128), tilescale.compile(scaled, target="sim")
    tx = np.arange(128)
    for seed in SEEDS:
        monkeypatch.setenv("TILESCALE_SIM_SEED", str(seed))
        b, c = np.full((4, 512), np.nan, "float32"), np.full((4, 128), np.nan, "float32")
        kernel(a, b, c)
        for block in range(4):
            stored = np.empty(128, "float32")
            stored[tx * (1 + 2 * block) % 128] = a[block]
            assert np.array_equal(c[block], stored[(tx * (1 + 2 * block) + block) % 128]), (seed, block)


def test_a_warp_barrier_orders_a_warp_only(monkeypatch):
    a = floats(128)
    check(twice, [a], [a[np.arange(128) ^ 1], np.roll(a, -32)], monkeypatch)


def lengths_of(how: str):
    """Rows of a varlen GEMM: the steps that a block takes stand in memory."""
    loop = {
        "pipelined": "for k in T.Pipelined(T.ceildiv(L[bx], 32), num_stages=2):",
        "serial": "for k in T.serial(T.ceildiv(L[bx], 32)):",
        "variable": "n = T.alloc_var('int32')\n        n = T.ceildiv(L[bx], 32)\n        for k in T.serial(n):",
        "bound": "n = L[bx]\n        for k in T.serial(T.ceildiv(n, 32)):",
        "while": "k = T.alloc_var('int32')\n        k = 0\n        while k * 32 < L[bx]:",
    }[how]
    step = "\n            k = k + 1" if how == "while" else ""
    text = f"""@T.prim_func
def varlen(L: T.Tensor((2,), "int32"), A: T.Tensor((128, 256), "float16"), W: T.Tensor((256, 64), "float16"),
           C: T.Tensor((128, 64), "float32")):
    with T.Kernel(2, threads=128) as bx:
        As = T.alloc_shared((64, 32), "float16")
        Ws = T.alloc_shared((32, 64), "float16")
        acc = T.alloc_fragment((64, 64), "float32")
        T.clear(acc)
        {loop}
            T.copy(A[bx * 64, k * 32], As)
            T.copy(W[k * 32, 0], Ws)
            T.gemm(As, Ws, acc){step}
        T.copy(acc, C[bx * 64, 0])
"""
    return T.exec_source(text, {"T": T}, f"<varlen-{how}>")["varlen"]


@pytest.mark.parametrize("how", ["pipelined", "serial", "variable", "bound", "while"])
def test_loaded_lengths(how, monkeypatch):
    a, w, lengths = floats(128, 256, dtype="float16"), floats(256, 64, dtype="float16"), np.array([96, 256], "int32")
    wide = a.astype(np.float64).reshape(2, 64, 256)
    want = np.concatenate([wide[b, :, :n] @ w.astype(np.float64)[:n] for b, n in enumerate(lengths)])
    check(lengths_of(how), [lengths, a, w], [want.astype("float32")], monkeypatch, 0.05)


@T.prim_func
def shared_extent(A: T.Tensor((128,), "int32"), B: T.Tensor((128,), "int32")):
    with T.Kernel(1, threads=128) as bx:
        S = T.alloc_shared((128,), "int32")
        R = T.alloc_shared((128,), "int32")
        tx = T.get_thread_binding()
        S[tx] = A[tx]
        total = T.alloc_var("int32")
        total = 0
        for k in T.serial(S[69]):
            R[tx] = tx + k
            total = total + R[127 - tx]
        B[tx] = total


@T.prim_func
def shared_condition(A: T.Tensor((128,), "int32"), B: T.Tensor((128,), "int32")):
    with T.Kernel(1, threads=128) as bx:
        S = T.alloc_shared((128,), "int32")
        tx = T.get_thread_binding()
        S[tx] = A[tx]
        B[tx] = 0
        if S[69] > 2:
            S[tx] = tx + 7
            B[tx] = S[127 - tx]


@T.prim_func
def shared_while(A: T.Tensor((128,), "int32"), B: T.Tensor((128,), "int32")):
    with T.Kernel(1, threads=128) as bx:
        S = T.alloc_shared((128,), "int32")
        tx = T.get_thread_binding()
        S[tx] = A[tx]
        B[tx] = 0
        while S[69] > 0:
            S[tx] = S[tx] - 1
            B[tx] = B[tx] + S[127 - tx]


def test_control_from_shared_memory(monkeypatch):
    tx, a = np.arange(128), np.random.default_rng().integers(3, 6, 128).astype("int32")
    check(shared_extent, [a], [sum(127 - tx + k for k in range(a[69])).astype("int32")], monkeypatch)
    check(shared_condition, [a], [(127 - tx + 7).astype("int32")], monkeypatch)
    rounds = np.arange(1, a[69] + 1)[:, None]
    check(shared_while, [a], [(a[::-1][None, :] - rounds).sum(0).astype("int32")], monkeypatch)


@T.prim_func
def named(A: T.Tensor((128,), "float32"), B: T.Tensor((64,), "float32")):
    with T.Kernel(1, threads=128) as bx:
        S = T.alloc_shared((128,), "float32")
        tx = T.get_thread_binding()
        if tx < 64:
            S[tx] = A[tx]
            T.sync_threads(1, 64)
            B[tx] = S[63 - tx]


@T.prim_func
def in_warps(A: T.Tensor((128,), "float32"), B: T.Tensor((64,), "float32")):
    with T.Kernel(1, threads=128) as bx:
        S = T.alloc_shared((128,), "float32")
        tx = T.get_thread_binding()
        if tx < 64:
            S[tx] = A[tx]
            T.sync_warp()
            B[tx] = S[tx ^ 5]


def test_barriers_of_the_user_in_divided_control(monkeypatch):
    a = floats(128)
    check(named, [a], [a[:64][::-1]], monkeypatch)
    check(in_warps, [a], [a[np.arange(64) ^ 5]], monkeypatch)
    for program in (named, in_warps):
        assert "cta_sync" not in tilescale.compile(program, target="sim").get_kernel_source()


DIVIDED = {
    "if": ("if A[tx] >= 64.0:", "`A[tx] >= 64.0`"),
    "while": ("while v < A[tx]:", "`v < A[tx]`"),
    "for": ("for k in T.serial(T.cast(A[tx], 'int32')):", "the number of iterations of `k`"),
}


def rows_of_warps(apart):
    """Each warp moves rows of its own, or of the next warp too, as often as its number says."""

    @T.prim_func
    def main(A: T.Tensor((8, 32), "float32"), B: T.Tensor((9, 32), "float32")):
        with T.Kernel(1, threads=128):
            tx = T.get_thread_binding()
            warp, lane = tx // 32, tx % 32
            n = T.alloc_var("int32", init=0)
            while n < 1 + warp % 2:
                B[warp * 2 + n + apart, lane] = A[warp * 2 + n, lane]
                T.sync_warp()
                A[warp * 2 + n, lane] = B[warp * 2 + n, lane] + 1.0
                n += 1

    return main


def test_global_memory_is_left_to_programs_whose_control_is_divided():
    kernel = tilescale.compile(rows_of_warps(0), target="sim")
    assert "cta_sync" not in kernel.get_kernel_source()
    assert (
        "left to the program: where control divides them, threads read at line 209 what others write at line 207, "
        "ordered by flags or atomics of its own if at all"
    ) in kernel.explain(), kernel.explain()
    given = np.random.default_rng().standard_normal((8, 32), np.float32)
    A, B = given.copy(), np.full((9, 32), np.nan, np.float32)
    kernel(A, B)
    moved = [w * 2 + n for w in range(4) for n in range(1 + w % 2)]
    np.testing.assert_array_equal(B[moved], given[moved])
    np.testing.assert_array_equal(A[moved], given[moved] + 1)
    with pytest.raises(DataRace):  # what a warp reads another one may write
        tilescale.compile(rows_of_warps(1), target="sim")(A, B)


@pytest.mark.parametrize("control", DIVIDED)
def test_no_barrier_in_divided_control(control):
    head, condition = DIVIDED[control]
    text = f"""@T.prim_func
def main(A: T.Tensor((128,), "float32"), B: T.Tensor((128,), "float32")):
    with T.Kernel(1, threads=128) as bx:
        S = T.alloc_shared((128,), "float32")
        tx = T.get_thread_binding()
        v = T.alloc_var("float32")
        v = 0.0
        {head}
            v = v + 1.0
            S[tx] = A[tx]
            T.sync_warp()
            B[tx] = S[127 - tx]
"""
    main = T.exec_source(text, {"T": T}, f"<divided-{control}>")["main"]
    with pytest.raises(tilescale.CompileError) as error:
        tilescale.compile(main, target="sim")
    assert (
        "threads read `S` here, which others write at line 10: a barrier of all threads must stand between, and only "
        f"some of them get here, as {condition} at line 8 differs between them. Move both accesses to where all "
        "threads get"
    ) in str(error.value)


def queue(stages, order):
    """Block 0 makes rows, block 1 takes each when the count of rows says that it is there."""

    @T.prim_func
    def main(A: T.Tensor((16, 128), "float32"), B: T.Tensor((16, 128), "float32"), F: T.Tensor((1,), "int32")):
        with T.Kernel(2, threads=128) as b:
            tx = T.get_thread_binding()
            row = T.alloc_shared((128,), "float32")
            if b == 0:
                for k in T.serial(16):
                    for i in T.Parallel(128):
                        A[k, i] = k
                    T.sync_threads()
                    if tx == 0:
                        T.atomic_add(F[0], 1, memory_order="release")
            else:
                for k in T.Pipelined(16, num_stages=stages):
                    while T.atomic_add(F[0], 0, memory_order=order, return_prev=True) <= k:
                        T.evaluate(0)
                    T.copy(A[k, :], row)
                    T.copy(row, B[k, :])

    return main


@pytest.mark.parametrize("order", ["acquire", "acq_rel"])
def test_nothing_is_fetched_before_an_atomic_that_acquires(order, monkeypatch):
    kernel = tilescale.compile(queue(3, order), target="sim")
    for seed in range(5):
        monkeypatch.setenv("TILESCALE_SIM_SEED", str(seed))
        A, B = np.full((16, 128), np.nan, np.float32), np.full((16, 128), np.nan, np.float32)
        kernel(A, B, np.zeros(1, np.int32))
        np.testing.assert_array_equal(B, np.arange(16.0)[:, None] + np.zeros(128))
