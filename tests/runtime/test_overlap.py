# SPDX-License-Identifier: MIT
"""Parameters have memory of their own: a call that passes memory twice where the kernel writes it is refused."""

import numpy as np
import pytest
import tilescale
import tilescale.language as T


def add_one(named=False):
    n = T.dynamic("n")

    @T.prim_func
    def add(A: T.Tensor((n,), "float32"), B: T.Tensor((n,), "float32"), C: T.Tensor((n,), "float32")):
        with T.Kernel(1, threads=32):
            if named:
                T.annotate_restrict_buffers(A, B, C)
            for i in T.Parallel(n):
                C[i] = A[i] + B[i]

    return tilescale.compile(add, target="sim")


TEXT = (
    "add: `{}` and `{}` share memory, and the kernel writes it; pass a copy of one, or name both in "
    "T.annotate_restrict_buffers"
)


@pytest.mark.parametrize(("a", "c", "n"), [(0, 0, 64), (0, 32, 64), (32, 0, 64), (0, 63, 64)])
def test_overlap_of_what_is_written(a, c, n):
    data = np.zeros(256, np.float32)
    with pytest.raises(ValueError) as error:
        add_one()(data[a : a + n], np.zeros(n, np.float32), data[c : c + n])
    assert str(error.value) == TEXT.format("A", "C")
    with pytest.raises(ValueError) as error:
        add_one()(np.zeros(n, np.float32), data[a : a + n], data[c : c + n])
    assert str(error.value) == TEXT.format("B", "C")


def test_neighbours_and_inputs_may_meet():
    data = np.random.default_rng().standard_normal(256).astype(np.float32)
    add_one()(data[:64], data[:64], data[64:128])
    np.testing.assert_array_equal(data[64:128], data[:64] * 2)
    add_one()(data[64:128], data[32:96], data[128:192])
    np.testing.assert_array_equal(data[128:192], data[64:128] + data[32:96])


def test_named_parameters_may_be_the_same():
    data = np.random.default_rng().standard_normal(64).astype(np.float32)
    want = data * 2
    add_one(named=True)(data, data, data)
    np.testing.assert_array_equal(data, want)
