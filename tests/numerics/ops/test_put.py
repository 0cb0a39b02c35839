# SPDX-License-Identifier: MIT
"""T.put and its forms between ranks against numpy, on fresh data; and their text through NVRTC."""

import numpy as np
import pytest
import tilescale.language as T
from rank_programs import MOVES, check_run, check_tiles, launch, raw


@pytest.mark.parametrize("form", ["put_block", "put_warp"])
@pytest.mark.parametrize(("dtype", "n", "at", "size", "of"), MOVES)
def test_runs_of_elements(form, dtype, n, at, size, of):
    check_run(form, dtype, n, at, size, of)


@pytest.mark.parametrize("operand", ["global", "shared", "fragment"])
def test_tiles(operand):
    check_tiles("put", operand)


def test_a_run_ends_with_its_tensor():
    """Elements behind the end are left alone, on either side, also with a size of the run time."""

    @T.prim_func
    def main(A: T.Tensor((100,), "float32"), B: T.Tensor((4, 30), "float32"), size: T.int32):
        with T.Kernel(1, threads=32):
            T.put_block(T.address_of(A[0]), T.address_of(B[2, 10]), size, 1 - T.get_rank())

    a = [raw((100,), "float32") for _ in range(2)]
    b = [raw((4, 30), "float32") for _ in range(2)]
    for size in (7, 50, 90, 101):
        _, got = launch(main, {"A": a, "B": b}, ranks=2, scalars=(size,))
        for r in range(2):
            want = b[r].copy().reshape(-1)
            count = min(size, 50, 100)
            want[70 : 70 + count] = a[1 - r][:count]
            np.testing.assert_array_equal(got[r].reshape(-1).view(np.uint32), want.view(np.uint32))
