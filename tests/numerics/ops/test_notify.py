# SPDX-License-Identifier: MIT
"""T.notify and T.wait carry a tile from rank to rank, for signals of each type, several times through one signal."""

import numpy as np
import pytest
import tilescale.language as T
from rank_programs import RANKS, launch, raw


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "uint64"])
def test_a_tile_goes_round(dtype):
    """Each round every rank hands on what it got; after as many rounds as ranks everyone has its own again."""
    n = 100

    @T.prim_func
    def main(A: T.Tensor((n,), "int32"), box: T.Tensor((RANKS, n), "int32"), came: T.Tensor((2,), dtype)):
        with T.Kernel(1, threads=64):
            x = T.alloc_fragment((n,), "int32")
            T.copy(A, x)
            for i in T.serial(RANKS):
                T.put(x, box[i, 0:n], peer=(T.get_rank() + 1) % T.get_num_ranks())
                T.notify(T.signal(came, 1), (T.get_rank() + 1) % T.get_num_ranks(), add=3)
                T.wait(T.signal(came, 1), at_least=3 * (i + 1))
                T.copy(box[i, 0:n], x)
            T.copy(x, A)

    a = [raw((n,), "int32") for _ in range(RANKS)]
    box = [np.zeros((RANKS, n), np.int32) for _ in range(RANKS)]
    got, _, came = launch(main, {"A": a, "box": box, "came": [np.zeros((2,), dtype) for _ in range(RANKS)]})
    for r in range(RANKS):
        np.testing.assert_array_equal(got[r], a[r])
        assert came[r].tolist() == [0, 3 * RANKS]
