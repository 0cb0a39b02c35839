# SPDX-License-Identifier: MIT
"""Atomics on tiles: several blocks add into the same elements."""

import numpy as np
import pytest
import tilescale
import tilescale.language as T
import torch
from rank_programs import compile_text
from tilescale import _ffi


@pytest.mark.parametrize("dtype", ["float32", "int32", "float16"])
def test_add_tiles(dtype):
    blocks, m, n = 3, 10, 33

    @T.prim_func
    def main(A: T.Tensor((blocks, m, n), dtype), O: T.Tensor((m, n), dtype)):
        with T.Kernel(blocks, threads=64) as bx:
            x = T.alloc_fragment((m, n), dtype)
            T.copy(A[bx, 0:m, 0:n], x)
            T.atomic_add(O, x)

    rng = np.random.default_rng()
    # Multiples of 1/8: every order of the additions gives the same sum.
    a = (rng.integers(-64, 64, (blocks, m, n)) / (1 if dtype == "int32" else 8)).astype(dtype)
    out = rng.integers(-8, 8, (m, n)).astype(dtype)
    want = out + a.sum(0)
    tilescale.compile(main, target="sim")(a, out)
    np.testing.assert_array_equal(out, want)


def test_max_min_scalar_and_ragged():
    blocks, tile, n = 3, 32, 75  # the last tile is partly outside

    @T.prim_func
    def main(A: T.Tensor((n,), "int32"), O: T.Tensor((3, n), "int32")):
        with T.Kernel(blocks, threads=32) as bx:
            x = T.alloc_fragment((tile,), "int32")
            s = T.alloc_shared((tile,), "int32")
            T.copy(A[bx * tile], x)
            T.atomic_max(O[0, bx * tile : bx * tile + tile], x)
            T.atomic_min(O[1, bx * tile : bx * tile + tile], x)
            T.fill(s, 5)
            T.atomic_add(s, x)
            T.atomic_add(s, 2)
            T.copy(s, O[2, bx * tile])

    rng = np.random.default_rng()
    a = rng.integers(-100, 100, n, dtype=np.int32)
    out = rng.integers(-100, 100, (3, n), dtype=np.int32)
    want = [np.maximum(out[0], a), np.minimum(out[1], a), a + 7]
    tilescale.compile(main, target="sim")(a, out)
    np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize(("dtype", "lanes"), [("float16", 2), ("bfloat16", 2), ("float32", 2), ("float32", 4)])
@pytest.mark.parametrize("where", ["global", "shared"])
def test_vectors_of_elements(dtype, lanes, where):
    """Neighbours by T.atomic_addx2 and x4: small integers, so that every order of the sum gives the same."""

    @T.prim_func
    def main(A: T.Tensor((32 * lanes,), dtype), C: T.Tensor((lanes,), dtype)):
        with T.Kernel(1, threads=32):
            tx = T.get_thread_binding()
            add = T.atomic_addx2 if lanes == 2 else T.atomic_addx4
            s = T.alloc_shared((lanes,), dtype)
            if where == "global":
                add(C[0], A[tx * lanes])
            else:
                T.clear(s)
                T.sync_threads()
                add(s[0], A[tx * lanes])
                T.sync_threads()
                T.copy(s, C)

    for arch in ("sm_80", "sm_90a"):
        compile_text(main, arch)
    a = torch.randint(-3, 4, (32 * lanes,)).to(getattr(torch, dtype))
    c = torch.zeros(lanes, dtype=a.dtype)
    tilescale.compile(main, target="sim")(a, c)
    torch.testing.assert_close(c.double(), a.double().reshape(32, lanes).sum(0), rtol=0, atol=0)


ORDERS = ["relaxed", "consume", "acquire", "release", "acq_rel", "seq_cst"]


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "uint64", "float32", "float64", "float16", "bfloat16"])
def test_every_memory_order(dtype):
    """With the value before and without, on elements and on tiles: on the simulator, and as NVRTC takes the text."""
    n = 32

    @T.prim_func
    def main(A: T.Tensor((n,), dtype), O: T.Tensor((3, len(ORDERS), n), dtype), P: T.Tensor((len(ORDERS), n), dtype)):
        with T.Kernel(1, threads=n):
            t = T.get_thread_binding()
            x = T.alloc_fragment((n,), dtype)
            T.copy(A, x)
            for k, order in enumerate(ORDERS):
                P[k, t] = T.atomic_add(O[0, k, t], A[t], memory_order=order, return_prev=True)
                T.atomic_max(O[1, k, t], A[t], memory_order=order)
                T.atomic_add(O[2, k, 0:n], x, memory_order=order)

    rng = np.random.default_rng()
    a = torch.tensor(rng.integers(1, 16, n)).to(getattr(torch, dtype))
    out = torch.tensor(rng.integers(0, 16, (3, len(ORDERS), n))).to(a.dtype)
    before = out.to(torch.float64).numpy().copy()
    prev = torch.full((len(ORDERS), n), 99).to(a.dtype)
    tilescale.compile(main, target="sim")(a, out, prev)
    x, got = a.to(torch.float64).numpy(), out.to(torch.float64).numpy()
    np.testing.assert_array_equal(got, [before[0] + x, np.maximum(before[1], x), before[2] + x])
    np.testing.assert_array_equal(prev.to(torch.float64).numpy(), before[0])
    for arch in ("sm_80", "sm_90a"):
        kernel = tilescale.compile(main, target={"kind": "cuda", "arch": arch})
        _ffi.function("runtime.nvrtc_compile")("main", kernel.get_kernel_source(), arch, [])
