# SPDX-License-Identifier: MIT
"""Programs that race without the barriers they get: on the simulator under many seeds, against NumPy."""

import numpy as np
import tilescale
import tilescale.language as T

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
