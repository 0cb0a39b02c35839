# SPDX-License-Identifier: MIT
"""Loads and stores through T.Ramp: every lane, each with a bound of its own, at any alignment; and arithmetic of
the lanes."""

import re

import numpy as np
import pytest
import tilescale
import tilescale.language as T

SIM = {"kind": "sim", "arch": "sm_80"}
N = 126  # the last vectors reach over it


def run(program, *arrays):
    tilescale.compile(program, target=SIM)(*arrays)


@pytest.mark.parametrize(("lanes", "stride"), [(4, 1), (2, 1), (2, 2), (4, 5)])
def test_vectors(lanes, stride):
    @T.prim_func
    def main(A: T.Tensor((N,), "float32"), B: T.Tensor((N,), "float32")):
        with T.Kernel(1, threads=32):
            tx = T.get_thread_binding()
            B[T.Ramp(tx * lanes * stride, stride, lanes)] = A[T.Ramp(tx * lanes, 1, lanes)]

    a = np.random.default_rng().standard_normal(N + 1).astype(np.float32)[1:]  # no multiple of 16 bytes
    b = np.full(N, np.nan, np.float32)
    want = b.copy()
    for t in range(32):
        for i in range(lanes):
            if (t * lanes + i) * stride < N:
                want[(t * lanes + i) * stride] = a[t * lanes + i] if t * lanes + i < N else 0.0
    run(main, a, b)
    np.testing.assert_array_equal(b, want)


def test_one_value_for_all_lanes():
    @T.prim_func
    def main(B: T.Tensor((N,), "float32"), C: T.Tensor((N,), "int32")):
        with T.Kernel(1, threads=32):
            tx = T.get_thread_binding()
            B[T.Ramp(tx * 4, 1, 4)] = 2.0
            C[T.Ramp(tx * 4, 1, 4)] = T.Broadcast(tx, 4)

    b, c = np.full(N, np.nan, np.float32), np.full(N, -1, np.int32)
    run(main, b, c)
    np.testing.assert_array_equal(b, np.full(N, 2.0, np.float32))
    np.testing.assert_array_equal(c, np.arange(N) // 4)


def test_onto_what_it_reads():
    @T.prim_func
    def main(A: T.Tensor((8,), "float32")):
        with T.Kernel(1, threads=1):
            A[T.Ramp(1, 1, 4)] = A[T.Ramp(0, 1, 4)]

    a = np.arange(8, dtype=np.float32)
    run(main, a)
    assert a.tolist() == [0, 0, 1, 2, 3, 5, 6, 7]


OPERATIONS = {
    "sum": ("x + y", lambda x, y: x + y),
    "with a number": ("2 - x", lambda x, y: 2 - x),
    "product of sums": ("(x + y) * (x - y)", lambda x, y: (x + y) * (x - y)),
    "maximum": ("T.max(x, y)", np.maximum),
    "magnitude": ("T.abs(x)", lambda x, y: np.abs(x)),
    "minus": ("-x", lambda x, y: -x),
    "choice": ("T.if_then_else(x < y, x, 0)", lambda x, y: np.where(x < y, x, 0)),
    "selection": ("T.Select(T.And(x < y, x < 0), x, y)", lambda x, y: np.where((x < y) & (x < 0), x, y)),
    "limits": ("T.clamp(x, y, 9)", lambda x, y: np.minimum(np.maximum(x, y), 9)),
    "another type": ("T.Cast('float64', x) / 4", lambda x, y: np.trunc(x.astype(np.float64) / 4)),
}


@pytest.mark.parametrize("dtype", ["int32", "float32"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_arithmetic_of_vectors(name, dtype):
    text, reference = OPERATIONS[name]
    if dtype == "float32" and name == "another type":
        text, reference = "T.exp2(x)", lambda x, y: np.exp2(x.astype(np.float64))
    operands = {"x": "A[T.Ramp(tx * 4, 1, 4)]", "y": "B[T.Ramp(tx * 8, 2, 4)]"}
    value = re.sub(r"\b[xy]\b", lambda found: operands[found[0]], text)
    program = f"""
@T.prim_func
def main(A: T.Tensor((128,), "{dtype}"), B: T.Tensor((256,), "{dtype}"), C: T.Tensor((128,), "{dtype}")):
    with T.Kernel(1, threads=32):
        tx = T.get_thread_binding()
        C[T.Ramp(tx * 4, 1, 4)] = {value}
"""
    rng = np.random.default_rng()
    a, b = (rng.integers(-20, 20, n).astype(dtype) for n in (128, 256))
    c = np.full(128, 77, dtype)
    run(T.exec_source(program, {"T": T}, f"<vectors-{name}-{dtype}>")["main"], a, b, c)
    np.testing.assert_allclose(c, reference(a, b[::2]), rtol=1e-6)


def test_an_update_of_a_vector():
    @T.prim_func
    def main(A: T.Tensor((128,), "int32"), B: T.Tensor((128,), "int32")):
        with T.Kernel(1, threads=32):
            tx = T.get_thread_binding()
            B[T.Ramp(tx * 4, 1, 4)] += A[T.Ramp(tx * 4, 1, 4) + 1]

    rng = np.random.default_rng()
    a, b = (rng.integers(-1000, 1000, 128, dtype=np.int32) for _ in range(2))
    want = b + np.append(a[1:], 0)
    run(main, a, b)
    np.testing.assert_array_equal(b, want)


def test_places_that_are_read_where_it_stores():
    @T.prim_func
    def main(A: T.Tensor((16,), "int32"), B: T.Tensor((16,), "int32"), C: T.Tensor((16,), "int32")):
        with T.Kernel(1, threads=1):
            A[T.Ramp(A[0], 1, 4)] = 9
            B[B[T.Ramp(0, 1, 4)]] = 7
            C[T.Ramp(C[0], 1, 4)] += 5

    a, b, c = np.zeros(16, np.int32), np.zeros(16, np.int32), np.zeros(16, np.int32)
    b[:4] = np.random.default_rng().permutation(16)[:4]
    want = b.copy()
    want[b[:4]] = 7
    run(main, a, b, c)
    assert a.tolist() == [9] * 4 + [0] * 12
    np.testing.assert_array_equal(b, want)
    assert c.tolist() == [5] * 4 + [0] * 12


def test_a_ramp_as_a_value():
    @T.prim_func
    def main(A: T.Tensor((32,), "int32"), B: T.Tensor((32,), "int32"), C: T.Tensor((8,), "int32")):
        with T.Kernel(1, threads=8):
            tx = T.get_thread_binding()
            A[T.Ramp(tx * 4, 1, 4)] = T.Ramp(tx, 2, 4)
            B[T.Ramp(tx * 4, 1, 4)] = A[T.Ramp(tx * 4, 1, 4)] + T.Ramp(0, 1, 4) * 3
            C[T.Ramp(tx, 1, 1)] = T.Ramp(tx, 5, 1)

    a, b, c = np.zeros(32, np.int32), np.zeros(32, np.int32), np.zeros(8, np.int32)
    run(main, a, b, c)
    lane = np.arange(32) % 4
    np.testing.assert_array_equal(a, np.arange(32) // 4 + 2 * lane)
    np.testing.assert_array_equal(b, a + 3 * lane)
    assert c.tolist() == list(range(8))


def test_a_narrow_base_does_not_wrap():
    @T.prim_func
    def main(I: T.Tensor((8,), "uint8"), A: T.Tensor((300,), "int32"), B: T.Tensor((8, 4), "int32")):
        with T.Kernel(1, threads=8):
            tx = T.get_thread_binding()
            B[tx, T.Ramp(0, 1, 4)] = A[T.Ramp(I[tx], 2, 4)]

    i = np.random.default_rng().integers(240, 256, 8).astype(np.uint8)
    a, b = np.arange(300, dtype=np.int32), np.zeros((8, 4), np.int32)
    run(main, i, a, b)
    np.testing.assert_array_equal(b, i[:, None].astype(np.int32) + 2 * np.arange(4))


REFUSED = {
    "B[T.Ramp(B[0], 1, 4)] = 1": (TypeError, "T.Ramp needs an integer base and stride, got float32 and float32"),
    "B[T.Ramp(0, 1, 4)] = B[T.Ramp(0, 1, 4)] + B[T.Ramp(0, 1, 2)]": (
        TypeError,
        "`+` of vectors of 4 and 2 lanes: give them the same number",
    ),
    "if B[T.Ramp(0, 1, 2)] > 1: B[0] = 1": (
        TypeError,
        "a condition is one value, got boolx2: test each lane, with T.extract_lane",
    ),
    "B[T.Ramp(0, 1, 0)] = 1": (ValueError, "a vector of 0 lanes: it has from 1 to 128"),
    "B[T.Ramp(0, 1, -1)] = 1": (ValueError, "a vector of -1 lanes: it has from 1 to 128"),
    "B[T.Ramp(0, 1, 2**40)] = 1": (ValueError, f"a vector of {2**40} lanes: it has from 1 to 128"),
    "B[T.Ramp(0, 1, 4)] = T.Broadcast(1, 2**16 + 4)": (ValueError, "a vector of 65540 lanes: it has from 1 to 128"),
    "I[T.Ramp(0, 1, 4)] = 1": (
        TypeError,
        "a vector index of elements of int4 is not supported: access them in a T.vectorized loop",
    ),
}


@pytest.mark.parametrize("line", REFUSED)
def test_refused(line):
    kind, why = REFUSED[line]
    text = (
        "@T.prim_func\ndef main(B: T.Tensor((8,), 'float32'), I: T.Tensor((8,), 'int4')):\n"
        f"    with T.Kernel(1, threads=1):\n        {line}\n"
    )
    with pytest.raises(kind) as error:
        T.exec_source(text, {"T": T}, f"<vectors-{line}>")
    assert str(error.value).split("\n")[0] == why


@pytest.mark.parametrize(("lanes", "dtype"), [(3, "float32"), (4, "float64"), (8, "float32")])
def test_no_vector(lanes, dtype):
    text = f"@T.prim_func\ndef main(B: T.Tensor((8,), '{dtype}')):\n    with T.Kernel(1, threads=1):\n        "
    with pytest.raises(ValueError) as error:
        T.exec_source(text + f"B[T.Ramp(0, 1, {lanes})] = 1\n", {"T": T}, f"<vector-{lanes}-{dtype}>")
    assert str(error.value) == (
        f"a vector of {lanes} lanes of {dtype}: the number of lanes is a power of 2, and a vector has at most 16 bytes"
    )
