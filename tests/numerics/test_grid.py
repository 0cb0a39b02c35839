# SPDX-License-Identifier: MIT
"""T.sync_grid: what any block did before it, every block sees behind it."""

import re

import numpy as np
import pytest
import tilescale
import tilescale.language as T
from tilescale import sim
from tilescale._ffi import function

SIM = {"kind": "sim", "arch": "sm_90a"}
BLOCKS, N = 6, 64
TARGETS = [SIM, pytest.param("cuda", marks=pytest.mark.gpu)]


def tensors(target, *arrays):
    if target is SIM:
        return arrays, lambda x: x
    import torch

    return [torch.from_numpy(x).cuda() for x in arrays], lambda x: x.cpu().numpy()


def stencil(steps, meets=True):
    """`steps` times: each block replaces its row by the mean of its neighbours' rows."""

    @T.prim_func
    def main(A: T.Tensor((BLOCKS, N), "float32"), B: T.Tensor((BLOCKS, N), "float32")):
        with T.Kernel(BLOCKS, threads=64) as bx:
            row = T.alloc_fragment((N,), "float32")
            for _ in T.serial(steps):
                for j in T.Parallel(N):
                    row[j] = (A[(bx + 1) % BLOCKS, j] + A[(bx + BLOCKS - 1) % BLOCKS, j]) * 0.5
                T.copy(row, B[bx, 0])
                if meets:
                    T.sync_grid()
                for j in T.Parallel(N):
                    row[j] = B[(bx + 1) % BLOCKS, j] - B[(bx + BLOCKS - 1) % BLOCKS, j]
                T.copy(row, A[bx, 0])
                if meets:
                    T.sync_grid()

    return main


def stencil_reference(a, steps):
    a, b = a.astype(np.float64), None
    for _ in range(steps):
        b = (np.roll(a, -1, 0) + np.roll(a, 1, 0)) / 2
        a = np.roll(b, -1, 0) - np.roll(b, 1, 0)
    return a, b


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("target", TARGETS)
def test_phases(target, seed, monkeypatch):
    monkeypatch.setenv("TILESCALE_SIM_SEED", str(seed + 1))
    a = np.random.default_rng().standard_normal((BLOCKS, N), np.float32)
    b = np.full_like(a, np.nan)
    want_a, want_b = stencil_reference(a, 3)
    args, back = tensors(target, a, b)
    tilescale.compile(stencil(3), target=target)(*args)
    np.testing.assert_allclose(back(args[0]), want_a, atol=1e-5)
    np.testing.assert_allclose(back(args[1]), want_b, atol=1e-5)


def test_without_the_meeting_blocks_race():
    a = np.zeros((BLOCKS, N), np.float32)
    with pytest.raises(sim.DataRace):
        tilescale.compile(stencil(1, meets=False), target=SIM)(a, a.copy())


@pytest.mark.parametrize("target", TARGETS)
def test_each_kernel_has_its_own_meeting(target):
    """Sums through a workspace, in a grid of two dimensions, and a second kernel that meets twice."""

    @T.prim_func
    def main(A: T.Tensor((12, 32), "float32"), B: T.Tensor((12, 32), "float32"), C: T.Tensor((4,), "float32")):
        W = T.alloc_global((12,), "float32")
        with T.Kernel(4, 3, threads=32) as (bx, by):
            row = T.alloc_fragment((1, 32), "float32")
            total = T.alloc_fragment((1,), "float32")
            T.copy(A[by * 4 + bx, 0], row)
            T.reduce_sum(row, total, dim=1)
            W[by * 4 + bx] = total[0]
            T.sync_grid()
            for j in T.Parallel(32):
                B[by * 4 + bx, j] = A[by * 4 + bx, j] + W[11 - (by * 4 + bx)]
        with T.Kernel(4, threads=32) as bx:
            tx = T.get_thread_binding()
            if tx == 0:
                C[bx] = B[bx, 0]
            T.sync_grid()
            value = T.alloc_var("float32")
            value = C[3 - bx]
            T.sync_grid()
            if tx == 0:
                C[bx] = value + 1.0

    a = np.random.default_rng().standard_normal((12, 32), np.float32)
    b, c = np.full_like(a, np.nan), np.full(4, np.nan, np.float32)
    want = a.astype(np.float64) + a.astype(np.float64).sum(1)[::-1, None]
    args, back = tensors(target, a, b, c)
    kernel = tilescale.compile(main, target=target)
    for _ in range(2):
        kernel(*args)
        np.testing.assert_allclose(back(args[1]), want, atol=1e-4)
        np.testing.assert_allclose(back(args[2]), want[3::-1, 0] + 1, atol=1e-4)


def test_copies_stay_behind_the_meeting():
    """A pipelined loop reads what the blocks wrote in its last iteration: nothing is fetched ahead."""

    @T.prim_func
    def main(A: T.Tensor((BLOCKS, N), "float32"), B: T.Tensor((BLOCKS, N), "float32")):
        with T.Kernel(BLOCKS, threads=64) as bx:
            tile = T.alloc_shared((1, N), "float32")
            for _ in T.Pipelined(3, num_stages=2):
                T.copy(A[(bx + 1) % BLOCKS, 0], tile)
                T.sync_grid()
                for j in T.Parallel(N):
                    A[bx, j] = tile[0, j] + 1.0
                T.sync_grid()

    a = np.random.default_rng().standard_normal((BLOCKS, N), np.float32)
    want = np.roll(a.astype(np.float64), -3, 0) + 3
    tilescale.compile(main, target=SIM)(a, a.copy())
    np.testing.assert_allclose(a, want, atol=1e-5)


def test_a_grid_that_does_not_fit_is_refused(monkeypatch):
    monkeypatch.setenv("TILESCALE_SIM_SLOTS", "5")
    a = np.zeros((BLOCKS, N), np.float32)
    text = (
        "main meets in T.sync_grid, so that all its 6 blocks must run at a time; simulated sm_90a holds 5 of them\n"
        "help: launch at most 5 blocks, each for several tiles"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        tilescale.compile(stencil(1), target=SIM)(a, a.copy())


@pytest.mark.parametrize("arch", ["sm_80", "sm_90a"])
def test_nvrtc(arch):
    source = tilescale.compile(stencil(3), target={"kind": "cuda", "arch": arch}).get_kernel_source()
    assert source.count("ts::grid_sync(grid_barrier);") == 2
    assert function("runtime.nvrtc_compile")("main", source, arch, [])["usage"][0]["spill_store_bytes"] == 0
