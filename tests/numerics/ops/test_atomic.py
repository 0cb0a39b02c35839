# SPDX-License-Identifier: MIT
"""Atomics on tiles: several blocks add into the same elements."""

import numpy as np
import pytest
import tilescale
import tilescale.language as T


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
