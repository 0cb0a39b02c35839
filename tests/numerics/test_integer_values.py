# SPDX-License-Identifier: MIT
"""Values keep their dtype: what a program computes of integers wraps as the dtype does, before a division, a comparison
or a widening looks at it. Each expression over random and extreme inputs on the simulator, against numpy and the
oracle."""

import numpy as np
import pytest
import tilescale
import tilescale.language as T
from tilescale.testing import evaluate

N = 256
DTYPES = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"]

# Of x, y (tensors) and constants c(n) of their dtype; `//` and `%` round down in both worlds.
EXPRESSIONS = [
    "(x * c(2)) // c(2)",
    "(x * c(64)) // c(64)",
    "(x + c(7)) % c(7)",
    "(x * c(8) + y) % c(8)",
    "((x + y) // c(4)) // c(8)",
    "(x * c(4) + (y & c(3))) // c(4)",
    "((x & c(15)) * c(4) + (y & c(3))) // c(4)",
    "((x * c(16)) ^ c(3)) + c(1)",
    "T.max(x + c(1), x)",
    "T.min(x - c(1), x)",
    "T.if_then_else(x - c(1) < x, x, y)",
    "T.if_then_else(x + c(100) > x + c(99), x, y)",
    "T.if_then_else(x * c(2) == y * c(2), c(1), c(2))",
    "T.if_then_else((x * c(6)) % c(3) == c(0), x, y)",
    "(x - y) // c(3) + (y - x) % c(5)",
    "(x * y) // c(2) - (x * y) % c(2)",
]


def python(expression):
    """The expression in numpy."""
    return (
        expression.replace("T.max", "np.maximum").replace("T.min", "np.minimum").replace("T.if_then_else", "np.where")
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_wrap(dtype):
    stores = "\n".join(f"            O[{k}, i] = {e}" for k, e in enumerate(EXPRESSIONS))
    vector, matrix = f'T.Tensor(({N},), "{dtype}")', f'T.Tensor(({len(EXPRESSIONS)}, {N}), "{dtype}")'
    source = f"""
@T.prim_func
def main(A: {vector}, B: {vector}, O: {matrix}):
    with T.Kernel(1, threads=64):
        for i in T.Parallel({N}):
            x = A[i]
            y = B[i]
{stores.replace("c(", f"T.{dtype}(")}
"""
    names = {"T": T}
    T.exec_source(source, names, f"<values {dtype}>")
    info, rng = np.iinfo(dtype), np.random.default_rng()
    x, y = (rng.integers(info.min, info.max, N, dtype=dtype, endpoint=True) for _ in range(2))
    ends = [info.min, info.min + 1, info.max - 1, info.max, 0, 1, info.max // 2, info.max // 2 + 1]
    x[: len(ends)] = ends
    y[len(ends) : 2 * len(ends)] = ends
    x[-40:] = y[-40:]
    scope = {"np": np, "x": x, "y": y, "c": np.dtype(dtype).type}
    with np.errstate(over="ignore"):
        want = np.stack([np.asarray(eval(python(e), scope), dtype) for e in EXPRESSIONS])
    for run in (evaluate, tilescale.compile(names["main"], target="sim")):
        got = rng.integers(0, 9, want.shape).astype(dtype)
        run(*((names["main"], x, y, got) if run is evaluate else (x, y, got)))
        for k, e in enumerate(EXPRESSIONS):
            np.testing.assert_array_equal(got[k], want[k], err_msg=f"{dtype} {e}")


def test_a_fact_about_a_wrapped_value_is_no_fact_about_its_operands():
    """x + 100 < x holds where the sum wraps; it says nothing of x < 50."""

    @T.prim_func
    def main(A: T.Tensor((N,), "uint8"), O: T.Tensor((N,), "int32")):
        with T.Kernel(1, threads=64):
            for i in T.Parallel(N):
                O[i] = 0
                if A[i] + T.uint8(100) < T.uint8(50):
                    O[i] = T.if_then_else(A[i] < T.uint8(50), 1, 2)

    a = np.arange(N).astype(np.uint8)
    want = np.where((a + np.uint8(100)) < 50, np.where(a < 50, 1, 2), 0)
    for run in (evaluate, tilescale.compile(main, target="sim")):
        got = np.full(N, -1, np.int32)
        run(*((main, a, got) if run is evaluate else (a, got)))
        np.testing.assert_array_equal(got, want)


def test_an_index_is_an_integer():
    """The arithmetic of addresses cancels as integers do: no division is left in them."""

    @T.prim_func
    def main(A: T.Tensor((N * 8,), "float32"), O: T.Tensor((N * 8,), "float32"), n: T.int32):
        with T.Kernel(T.ceildiv(n, 64), threads=64) as bx:
            for i in T.Parallel(64):
                O[(bx * 256 + i * 4) // 4] = A[(bx * 256 + i * 4) // 4]

    text = tilescale.compile(main, target={"kind": "cuda", "arch": "sm_90a"}).get_kernel_source()
    assert ">>" not in text and "/ 4" not in text


def test_masks_of_64_bits_are_bounded():
    """The interval of an XOR with a mask beyond 2^62 was searched for without an end."""

    @T.prim_func
    def main(A: T.Tensor((N,), "int64"), O: T.Tensor((N,), "int32")):
        with T.Kernel(1, threads=64):
            for i in T.Parallel(N):
                masked = (A[i] & T.int64(0x7FFFFFFFFFFFFFFE)) ^ T.int64(5)
                O[i] = T.if_then_else(masked > T.int64(-1), 1, 2)

    a = np.random.default_rng().integers(-(2**62), 2**62, N)
    got = np.zeros(N, np.int32)
    tilescale.compile(main, target="sim")(a, got)
    np.testing.assert_array_equal(got, 1)
