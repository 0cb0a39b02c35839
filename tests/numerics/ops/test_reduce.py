# SPDX-License-Identifier: MIT
"""T.reduce_* against float64 on the simulator: kinds, dtypes, ragged tiles, every level of the plan."""

import numpy as np
import pytest
import tilescale
import tilescale.language as T
import torch

KINDS = {
    "sum": lambda x, axis: x.sum(axis),
    "max": lambda x, axis: x.max(axis),
    "min": lambda x, axis: x.min(axis),
    "absmax": lambda x, axis: np.abs(x).max(axis),
    "abssum": lambda x, axis: np.abs(x).sum(axis),
}
BITS = {"bitand": np.bitwise_and, "bitor": np.bitwise_or, "bitxor": np.bitwise_xor}


def compile_sim(func):
    return tilescale.compile(func, target="sim")


def all_kinds(m, n, dim, threads, dtype="float32", kinds=tuple(KINDS)):
    """One kernel that reduces the same tile in every way: O[k] is kind k."""
    size = m if dim == 1 else n

    @T.prim_func
    def main(A: T.Tensor((m, n), dtype), O: T.Tensor((len(kinds), size), dtype)):
        with T.Kernel(1, threads=threads):
            x = T.alloc_fragment((m, n), dtype)
            T.copy(A, x)
            for k, kind in enumerate(kinds):
                r = T.alloc_fragment((size,), dtype)
                getattr(T, "reduce_" + kind)(x, r, dim=dim)
                T.copy(r, O[k, 0:size])

    return compile_sim(main)


@pytest.mark.parametrize(("m", "n", "dim", "threads"), [(6, 257, 1, 96), (40, 33, 0, 64), (1, 600, -1, 128)])
def test_float32(m, n, dim, threads):
    axis = dim % 2
    a = np.random.default_rng().standard_normal((m, n)).astype(np.float32)
    out = np.full((len(KINDS), m if axis else n), np.nan, np.float32)
    all_kinds(m, n, axis, threads)(a, out)
    for k, reference in enumerate(KINDS.values()):
        np.testing.assert_allclose(out[k], reference(a.astype(np.float64), axis), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_integers(dtype):
    m, n = 5, 100
    info = np.iinfo(dtype)
    a = np.random.default_rng().integers(info.min // 256, info.max // 256, (m, n), dtype=dtype)
    kinds = ("sum", "max", "min", *BITS)
    out = np.zeros((len(kinds), m), dtype)
    all_kinds(m, n, 1, 64, dtype, kinds)(a, out)
    for k, kind in enumerate(kinds):
        want = BITS[kind].reduce(a, axis=1) if kind in BITS else KINDS[kind](a, 1)
        np.testing.assert_array_equal(out[k], want)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_keeps_float32_sums(dtype):
    m, n = 8, 512

    @T.prim_func
    def main(A: T.Tensor((m, n), dtype), O: T.Tensor((m,), dtype)):
        with T.Kernel(1, threads=64):
            x = T.alloc_fragment((m, n), dtype)
            r = T.alloc_fragment((m,), dtype)
            T.copy(A, x)
            T.copy(O, r)
            T.reduce_sum(x, r, dim=1, clear=False)
            T.copy(r, O)

    torch_dtype = getattr(torch, dtype)
    a = torch.rand(m, n).to(torch_dtype)
    old = torch.randn(m).to(torch_dtype)
    out = old.clone()
    compile_sim(main)(a, out)
    want = a.double().sum(1) + old.double()
    ulp = 2.0 ** -(10 if dtype == "float16" else 7)
    assert torch.all((out.double() - want).abs() <= want.abs() * ulp)


def test_nan():
    m, n = 4, 64

    @T.prim_func
    def main(A: T.Tensor((m, n), "float16"), O: T.Tensor((4, m), "float16")):
        with T.Kernel(1, threads=32):
            x = T.alloc_fragment((m, n), "float16")
            T.copy(A, x)
            for k in (0, 1, 2, 3):
                r = T.alloc_fragment((m,), "float16")
                if k % 2:
                    T.reduce_max(x, r, dim=1, nan_propagate=k >= 2)
                else:
                    T.reduce_min(x, r, dim=1, nan_propagate=k >= 2)
                T.copy(r, O[k, 0:m])

    a = np.random.default_rng().standard_normal((m, n)).astype(np.float16)
    a[1, 7] = np.nan
    out = np.zeros((4, m), np.float16)
    compile_sim(main)(a, out)
    np.testing.assert_array_equal(out, [np.nanmin(a, 1), np.nanmax(a, 1), a.min(1), a.max(1)])


def test_shared_operands_and_kept_dim():
    m, n = 12, 50

    @T.prim_func
    def main(A: T.Tensor((m, n), "float32"), O: T.Tensor((3, m), "float32")):
        with T.Kernel(1, threads=64):
            s = T.alloc_shared((m, n), "float32")
            x = T.alloc_fragment((m, n), "float32")
            r = T.alloc_fragment((m, 1), "float32")
            u = T.alloc_shared((m,), "float32")
            v = T.alloc_shared((m,), "float32")
            T.copy(A, s)
            T.copy(s, x)
            T.reduce_sum(x, r, dim=1)  # fragment to fragment, dim kept
            for i in T.Parallel(m):
                O[0, i] = r[i, 0]
            T.reduce_sum(x, u, dim=1)  # fragment to shared
            T.copy(u, O[1, 0:m])
            T.reduce_sum(s, v, dim=1)  # shared to shared
            T.reduce_sum(s, v, dim=1, clear=False)
            T.copy(v, O[2, 0:m])

    a = np.random.default_rng().standard_normal((m, n)).astype(np.float32)
    out = np.full((3, m), np.nan, np.float32)
    compile_sim(main)(a, out)
    want = a.astype(np.float64).sum(1)
    np.testing.assert_allclose(out, [want, want, 2 * want], rtol=1e-5, atol=1e-5)


def test_result_feeds_the_tile():
    """Softmax: the reduced row is read by the tile's owners, in a loop."""
    m, n, steps = 16, 96, 2

    @T.prim_func
    def main(A: T.Tensor((steps * m, n), "float32"), O: T.Tensor((steps * m, n), "float32")):
        with T.Kernel(1, threads=128):
            x = T.alloc_fragment((m, n), "float32")
            r = T.alloc_fragment((m,), "float32")
            for k in T.serial(steps):
                T.copy(A[k * m, 0], x)
                T.reduce_max(x, r, dim=1)
                for i, j in T.Parallel(m, n):
                    x[i, j] = T.exp(x[i, j] - r[i])
                T.reduce_sum(x, r, dim=1)
                for i, j in T.Parallel(m, n):
                    x[i, j] = x[i, j] / r[i]
                T.copy(x, O[k * m, 0])

    a = np.random.default_rng().standard_normal((steps * m, n)).astype(np.float32)
    out = np.full_like(a, np.nan)
    compile_sim(main)(a, out)
    e = np.exp(a.astype(np.float64) - a.max(1, keepdims=True))
    np.testing.assert_allclose(out, e / e.sum(1, keepdims=True), rtol=1e-5, atol=1e-7)


def test_thread_local():
    n = 7

    @T.prim_func
    def main(A: T.Tensor((32, n), "float32"), O: T.Tensor((32,), "float32")):
        with T.Kernel(1, threads=32):
            tx = T.get_thread_binding(0)
            x = T.alloc_local((n,), "float32")
            r = T.alloc_local((1,), "float32")
            for i in T.serial(n):
                x[i] = A[tx, i]
            T.reduce_sum(x, r, dim=0)
            O[tx] = r[0]

    a = np.random.default_rng().standard_normal((32, n)).astype(np.float32)
    out = np.full(32, np.nan, np.float32)
    compile_sim(main)(a, out)
    np.testing.assert_allclose(out, a.astype(np.float64).sum(1), rtol=1e-5, atol=1e-6)
