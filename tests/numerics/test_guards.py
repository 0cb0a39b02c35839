# SPDX-License-Identifier: MIT
"""Guards of global accesses: whatever the index's dtype, wherever an assumption was made, however many elements an
effect has. Each program on the simulator, which reports what lies outside, against numpy and the oracle."""

import numpy as np
import pytest
import tilescale
import tilescale.language as T
from tilescale.testing import evaluate

N = 128


def check(func, arrays, want):
    """Runs `func` on copies of `arrays`, whose last is its output, and compares that with `want`."""
    for run in (evaluate, tilescale.compile(func, target="sim")):
        got = [a.copy() for a in arrays]
        run(*((func, *got) if run is evaluate else got))
        np.testing.assert_array_equal(got[-1], want)


@pytest.mark.parametrize("extent", [100, 200, 256, 300, 40000])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"])
def test_an_index_of_any_dtype_reaches_what_is_in_range(dtype, extent):
    @T.prim_func
    def main(A: T.Tensor((N,), dtype), H: T.Tensor((extent,), "int32")):
        with T.Kernel(1, threads=N):
            tx = T.get_thread_binding()
            T.atomic_add(H[A[tx]], 1)

    info = np.iinfo(dtype)
    rng = np.random.default_rng()
    low, high = max(info.min, -50), min(info.max, extent + 50)
    a = rng.integers(low, high + 1, N).astype(dtype)
    a[:2] = [info.max, info.max // 2 + 1]
    h = rng.integers(0, 9, extent).astype(np.int32)
    want = h.copy()
    for x in a.astype(object):
        if 0 <= x < extent:
            want[x] += 1
    check(main, [a, h], want)


@pytest.mark.parametrize(
    "block",
    [
        "while v > 0:\n    T.assume(tx < 64)\n    v = v - 1",
        "for k in T.serial(v):\n    T.assume(tx < 64)",
        "if v > 0:\n    T.assume(tx < 64)",
        "if v > 0:\n    v = 1\nelse:\n    if v > 7:\n        T.assume(tx < 64)",
        "with T.ws(0):\n    T.assume(tx < 64 + v)",
    ],
)
def test_an_assumption_ends_with_the_block_it_stands_in(block):
    """None of these blocks runs on the threads above 64, whose store is out of range."""
    lines = "\n".join("        " + line for line in block.split("\n"))
    source = f"""
@T.prim_func
def main(A: T.Tensor((1,), "int32"), B: T.Tensor((64,), "int32")):
    with T.Kernel(1, threads=256):
        tx = T.get_thread_binding()
        v = T.alloc_var("int32")
        v = A[0]
{lines}
        B[tx] = 1
"""
    names = {"T": T}
    T.exec_source(source, names, f"<guards {abs(hash(source))}>")
    v = 64 if "ws" in block else 0
    check(names["main"], [np.array([v], np.int32), np.zeros(64, np.int32)], np.ones(64, np.int32))


@pytest.mark.parametrize("lanes", [2, 4])
def test_an_effect_of_several_elements_is_guarded_by_its_last(lanes):
    size = 32 * lanes - 1  # the last thread's effect would end one element behind the tensor

    @T.prim_func
    def main(C: T.Tensor((32 * lanes,), "float32"), A: T.Tensor((size,), "float32")):
        with T.Kernel(1, threads=32):
            tx = T.get_thread_binding()
            if lanes == 2:
                T.atomic_addx2(A[tx * 2], C[tx * 2])
            else:
                T.atomic_addx4(A[tx * 4], C[tx * 4])

    rng = np.random.default_rng()
    c = rng.integers(1, 99, 32 * lanes).astype(np.float32)
    a = rng.integers(1, 99, size).astype(np.float32)
    got = a.copy()
    tilescale.compile(main, target="sim")(c.copy(), got)
    np.testing.assert_array_equal(got[: 31 * lanes], (a + c[:size])[: 31 * lanes])


def test_views_of_one_pointer():
    rng = np.random.default_rng()

    @T.prim_func
    def main(p: T.ptr("float32"), B: T.Tensor((64,), "float32"), C: T.Tensor((64,), "int32")):
        with T.Kernel(1, threads=64):
            tx = T.get_thread_binding()
            first = T.make_tensor(p, (64,), "float32")
            bits = T.make_tensor(p, (64,), "int32")
            if tx < 32:
                inner = T.make_tensor(p, (8, 8), "float32")
                B[tx] = inner[tx // 8, tx % 8]
            else:
                B[tx] = first[tx] * 2.0
            C[tx] = bits[tx]

    a = rng.standard_normal(64, np.float32)
    b, c = np.full(64, np.nan, np.float32), np.zeros(64, np.int32)
    tilescale.compile(main, target="sim")(a, b, c)
    np.testing.assert_array_equal(b, np.where(np.arange(64) < 32, a, a * 2))
    np.testing.assert_array_equal(c, a.view(np.int32))


@pytest.mark.parametrize("size", [5, 8, 16])
def test_an_index_below_zero_is_out_of_range_whatever_is_proven(size):
    """Of one block the compiler knows that `bx * 8 - 1` is negative. Only a constant counts from the end."""

    @T.prim_func
    def main(A: T.Tensor((size,), "int32"), B: T.Tensor((size,), "int32")):
        with T.Kernel(T.ceildiv(size, 8), threads=32) as bx:
            s = T.alloc_shared((10,), "int32")
            T.copy(A[bx * 8 - 1 : bx * 8 + 9], s)
            for i in T.Parallel(8):
                B[bx * 8 + i] = s[i] + s[i + 1] + s[i + 2] + A[-1]
            B[bx - 2] = 7

    a = np.random.default_rng().integers(-99, 99, size).astype(np.int32)
    wide = np.pad(a, 1)
    check(main, [a, np.zeros(size, np.int32)], wide[:-2] + wide[1:-1] + wide[2:] + a[-1])


@pytest.mark.parametrize("use", ["load", "store", "atomic", "copy"])
def test_an_index_that_is_itself_loaded_out_of_range(use):
    """The rows are 100, the points 128: an index beyond them reads 0."""

    @T.prim_func
    def main(I: T.Tensor((100,), "int32"), A: T.Tensor((100, 7), "int32"), B: T.Tensor((128, 7), "int32")):
        with T.Kernel(4, threads=32) as bx:
            if use == "copy":
                s = T.alloc_shared((1, 7), "int32")
                for k in T.serial(32):
                    T.copy(A[I[bx * 32 + k], 0], s)
                    for j in T.Parallel(7):
                        B[bx * 32 + k, j] = s[0, j]
            else:
                for i, j in T.Parallel(32, 7):
                    if use == "load":
                        B[bx * 32 + i, j] = A[I[bx * 32 + i], j]
                    elif use == "store":
                        B[I[bx * 32 + i], j] = 5
                    else:
                        T.atomic_add(B[I[bx * 32 + i], j], 1)

    rng = np.random.default_rng()
    index = rng.permutation(100).astype(np.int32)
    index[index == 0] = 100  # out of the rows of A, in those of B; row 0 is what the points beyond reach
    a, b = rng.integers(1, 99, (100, 7)).astype(np.int32), rng.integers(1, 99, (128, 7)).astype(np.int32)
    reached = np.concatenate([index, np.zeros(28, np.int32)])
    want = b.copy()
    if use in ("load", "copy"):
        want = np.where(reached[:, None] < 100, a[np.minimum(reached, 99)], 0)
    elif use == "store":
        want[reached] = 5
    else:
        np.add.at(want, reached, 1)
    check(main, [index, a, b], want)
