# SPDX-License-Identifier: MIT
"""Loads and stores through T.Ramp: every lane, each with a bound of its own, at any alignment."""

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


@pytest.mark.parametrize("line", ["B[T.Ramp(0, 1, 4)] += 1.0", "B[T.Ramp(0, 1, 4)] = B[T.Ramp(0, 1, 4)] + 1.0"])
def test_arithmetic_of_vectors(line):
    text = f"@T.prim_func\ndef main(B: T.Tensor((8,), 'float32')):\n    with T.Kernel(1, threads=1):\n        {line}\n"
    with pytest.raises(NotImplementedError) as error:
        T.exec_source(text, {"T": T}, f"<vectors-{len(line)}>")
    assert str(error.value) == (
        "`+` of vectors (float32x4 and float32) is not supported yet: compute with the lanes, in a T.vectorized loop "
        "over elements"
    )


@pytest.mark.parametrize(("lanes", "dtype"), [(3, "float32"), (4, "float64"), (8, "float32")])
def test_no_vector(lanes, dtype):
    text = f"@T.prim_func\ndef main(B: T.Tensor((8,), '{dtype}')):\n    with T.Kernel(1, threads=1):\n        "
    with pytest.raises(ValueError) as error:
        T.exec_source(text + f"B[T.Ramp(0, 1, {lanes})] = 1\n", {"T": T}, f"<vector-{lanes}-{dtype}>")
    assert str(error.value) == (
        f"a vector of {lanes} lanes of {dtype}: the number of lanes is a power of 2, and a vector has at most 16 bytes"
    )
