# SPDX-License-Identifier: MIT
"""The oracle's meaning of each tile op against numpy in float64: random shapes, dtypes and options."""

import numpy as np
import pytest
import tilescale.language as T
import torch
from tilescale.testing import evaluate

FLOATS = ["float16", "bfloat16", "float32", "float64"]
INTEGERS = ["int8", "uint8", "int32", "uint32", "int64"]
TOLERANCE = {"float16": 1e-3, "bfloat16": 8e-3, "float32": 1e-6, "float64": 1e-12}


@pytest.fixture
def rng():
    seed = int(np.random.default_rng().integers(1 << 32))
    print("seed", seed)  # of a failure
    return np.random.default_rng(seed)


def sample(rng, shape, dtype):
    kind = getattr(torch, dtype)
    if not kind.is_floating_point:
        return torch.from_numpy(rng.integers(0 if dtype[0] == "u" else -9, 10, shape)).to(kind)
    return torch.from_numpy(rng.standard_normal(shape)).to(kind)


def poisoned(shape, dtype):
    kind = getattr(torch, dtype)
    return torch.full(tuple(int(n) for n in shape), float("nan") if kind.is_floating_point else 99, dtype=kind)


def wide(x):
    return x.clone().to(torch.float64).numpy() if x.dtype.is_floating_point else x.numpy().astype(object)


def assert_close(got, want, dtype):
    if dtype in INTEGERS:
        bits = 8 * got.element_size()
        wrap = np.vectorize(lambda v: int(v) & ((1 << bits) - 1), otypes=[object])
        want, got = wrap(want), wrap(got.numpy())
        np.testing.assert_array_equal(got, want)
    else:
        np.testing.assert_allclose(wide(got), want, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
@pytest.mark.parametrize("out", ["float32", "float16", "int32"])
def test_copy(rng, dtype, out):
    m, n = (int(x) for x in rng.integers(1, 40, 2))
    row, col = (int(x) for x in rng.integers(0, 9, 2))

    @T.prim_func
    def main(A: T.Tensor((m, n), dtype), O: T.Tensor((16, 24), out)):
        with T.Kernel(1, threads=32):
            x = T.alloc_shared((16, 24), dtype)
            T.copy(A[row, col], x)
            T.copy(x, O)

    a, o = sample(rng, (m, n), dtype), poisoned((16, 24), out)
    evaluate(main, a, o)
    want = np.zeros((16, 24), object if dtype in INTEGERS else np.float64)
    part = wide(a)[row : row + 16, col : col + 24]
    want[: part.shape[0], : part.shape[1]] = part
    assert_close(o, np.trunc(want.astype(np.float64)) if out == "int32" else want.astype(np.float64), out)


def test_copy_keeps_every_bit_of_64():
    @T.prim_func
    def main(A: T.Tensor((3,), "int64"), O: T.Tensor((3,), "int64")):
        with T.Kernel(1, threads=32):
            x = T.alloc_fragment((3,), "int64")
            T.copy(A, x)
            T.copy(x, O)

    a, o = torch.tensor([2**63 - 1, -(2**63), 2**53 + 1]), poisoned((3,), "int64")
    evaluate(main, a, o)
    assert torch.equal(a, o)


@pytest.mark.parametrize("dtype", [*FLOATS, "int8", "uint8", "int32"])
@pytest.mark.parametrize("transpose", [(False, False), (False, True), (True, False), (True, True)])
def test_gemm(rng, dtype, transpose):
    m, n, k = (int(x) for x in rng.integers(1, 30, 3))
    acc = dtype if dtype in ("float64", "int32") else "float32" if dtype in FLOATS else "int32"
    clear = bool(rng.integers(2))
    ta, tb = transpose
    shape_a, shape_b = (k, m) if ta else (m, k), (n, k) if tb else (k, n)

    @T.prim_func
    def main(A: T.Tensor(shape_a, dtype), B: T.Tensor(shape_b, dtype), C: T.Tensor((m, n), acc)):
        with T.Kernel(1, threads=32):
            a = T.alloc_shared(shape_a, dtype)
            b = T.alloc_shared(shape_b, dtype)
            c = T.alloc_fragment((m, n), acc)
            T.copy(A, a)
            T.copy(B, b)
            T.copy(C, c)
            T.gemm(a, b, c, transpose_A=ta, transpose_B=tb, clear_accum=clear)
            T.copy(c, C)

    a, b, c = sample(rng, shape_a, dtype), sample(rng, shape_b, dtype), sample(rng, (m, n), acc)
    x, y = wide(a).T if ta else wide(a), wide(b).T if tb else wide(b)
    want = x @ y + (0 if clear else wide(c))
    evaluate(main, a, b, c)
    assert_close(c, want, acc)


REDUCERS = {
    "sum": np.sum,
    "max": np.max,
    "min": np.min,
    "absmax": lambda x, axis: np.max(np.abs(x), axis),
    "abssum": lambda x, axis: np.sum(np.abs(x), axis),
}
BITS = {"bitand": np.bitwise_and, "bitor": np.bitwise_or, "bitxor": np.bitwise_xor}
REDUCED = [(kind, dtype) for kind in REDUCERS for dtype in [*FLOATS, "int32", "int64"]]


@pytest.mark.parametrize(("kind", "dtype"), REDUCED + [(k, d) for k in BITS for d in ("int32", "uint32", "int64")])
def test_reduce(rng, kind, dtype):
    shape = tuple(int(x) for x in rng.integers(1, 20, rng.integers(1, 4)))
    dim, clear = int(rng.integers(len(shape))), bool(rng.integers(2))
    clear = clear or kind == "abssum"  # it has no such option
    options = {} if clear else {"clear": False}
    kept = tuple(1 if d == dim else n for d, n in enumerate(shape))

    @T.prim_func
    def main(A: T.Tensor(shape, dtype), O: T.Tensor(kept, dtype)):
        with T.Kernel(1, threads=32):
            x = T.alloc_fragment(shape, dtype)
            r = T.alloc_fragment(kept, dtype)
            T.copy(A, x)
            T.copy(O, r)
            getattr(T, "reduce_" + kind)(x, r, dim=dim, **options)
            T.copy(r, O)

    a, o = sample(rng, shape, dtype), sample(rng, kept, dtype)
    old, step = (
        wide(o),
        BITS.get(kind) or {"max": np.maximum, "min": np.minimum, "absmax": np.maximum}.get(kind, np.add),
    )
    if kind in BITS:
        value = step.reduce(a.numpy().astype(np.int64), axis=dim)
        old = o.numpy().astype(np.int64)
    else:
        value = REDUCERS[kind](wide(a), dim)
    value = np.asarray(value).reshape(kept)
    evaluate(main, a, o)
    assert_close(o, value if clear else step(old, value), dtype)


@pytest.mark.parametrize("op", ["cumsum", "cummax"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_scan(rng, op, dtype):
    shape = tuple(int(x) for x in rng.integers(1, 20, rng.integers(1, 3)))
    dim, reverse = int(rng.integers(len(shape))), bool(rng.integers(2))

    @T.prim_func
    def main(A: T.Tensor(shape, dtype), O: T.Tensor(shape, dtype)):
        with T.Kernel(1, threads=32):
            x = T.alloc_fragment(shape, dtype)
            T.copy(A, x)
            getattr(T, op)(x, dim=dim, reverse=reverse)
            T.copy(x, O)

    a, o = sample(rng, shape, dtype), poisoned(shape, dtype)
    x = np.flip(wide(a), dim) if reverse else wide(a)
    want = np.cumsum(x, dim) if op == "cumsum" else np.maximum.accumulate(x, dim)
    evaluate(main, a, o)
    assert_close(o, np.flip(want, dim) if reverse else want, dtype)


@pytest.mark.parametrize("kind", ["add", "max", "min"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint32"])
def test_atomic(rng, kind, dtype):
    m, n = (int(x) for x in rng.integers(2, 20, 2))

    @T.prim_func
    def main(A: T.Tensor((m, n), dtype), O: T.Tensor((m, n), dtype)):
        with T.Kernel(3, threads=64):
            x = T.alloc_fragment((m, n), dtype)
            T.copy(A, x)
            getattr(T, "atomic_" + kind)(O, x)

    a, o = sample(rng, (m, n), dtype), sample(rng, (m, n), dtype)
    combine = {"add": lambda x, y: x + 3 * y, "max": np.maximum, "min": np.minimum}[kind]
    want = combine(wide(o), wide(a))
    evaluate(main, a, o)
    assert_close(o, want, dtype)


@pytest.mark.parametrize("dtype", [*FLOATS, "int8", "int64"])
def test_fill_and_transpose(rng, dtype):
    m, n = (int(x) for x in rng.integers(1, 20, 2))
    value = int(rng.integers(-5, 6))

    @T.prim_func
    def main(A: T.Tensor((m, n), dtype), O: T.Tensor((n, m), dtype), F: T.Tensor((m, 7), dtype)):
        with T.Kernel(1, threads=32):
            x = T.alloc_shared((m, n), dtype)
            y = T.alloc_shared((n, m), dtype)
            f = T.alloc_fragment((m, 7), dtype)
            T.copy(A, x)
            T.transpose(x, y)
            T.copy(y, O)
            T.fill(f, value)
            T.copy(f, F)

    a, o, f = sample(rng, (m, n), dtype), poisoned((n, m), dtype), poisoned((m, 7), dtype)
    evaluate(main, a, o, f)
    assert torch.equal(o, a.T)
    assert bool((f == value).all())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float8_e4m3fn", "float8_e5m2"])
def test_casts_round_to_nearest(rng, dtype):
    bits = torch.from_numpy(rng.integers(0, 1 << 32, 2000, dtype=np.uint32).view(np.float32))
    a = torch.cat([bits, torch.from_numpy(rng.standard_normal(2000) * 2.0 ** rng.integers(-18, 10, 2000)).float()])
    a = torch.where(a.isfinite() & (a.abs() < 400), a, 0.25)  # torch's fp8 does not saturate

    @T.prim_func
    def main(A: T.Tensor((4000,), "float32"), O: T.Tensor((4000,), dtype), B: T.Tensor((4000,), "float32")):
        with T.Kernel(1, threads=32):
            for i in T.Parallel(4000):
                O[i] = T.cast(A[i], dtype)
                B[i] = T.cast(T.cast(A[i], dtype), "float32")

    o, b = torch.zeros(4000, dtype=getattr(torch, dtype)), poisoned((4000,), "float32")
    evaluate(main, a, o.view(torch.uint8) if "8" in dtype[5:7] else o, b)
    want = a.to(getattr(torch, dtype))
    assert torch.equal(o.float(), want.float())
    assert torch.equal(b, want.float())
