# SPDX-License-Identifier: MIT
"""T.st of each semantics, scope and width, to the next rank; and atomics on peers."""

import numpy as np
import pytest
import tilescale.language as T
from rank_programs import RANKS, STORES, WIDTHS, check_store_and_load, launch


@pytest.mark.parametrize("dtype", WIDTHS)
def test_each_semantics_scope_and_width(dtype):
    check_store_and_load(dtype, [{}] * len(STORES))


def test_atomics_on_peers():
    @T.prim_func
    def main(total: T.Tensor((1,), "uint32"), old: T.Tensor((64,), "uint32")):
        with T.Kernel(1, threads=64):
            tx = T.get_thread_binding()
            old[tx] = T.atom_add_remote(total[0], 2, dst_pe=0)

    start = [np.zeros((1,), np.uint32) for _ in range(RANKS)]
    total, old = launch(main, {"total": start, "old": [np.zeros((64,), np.uint32) for _ in range(RANKS)]})
    assert [int(t[0]) for t in total] == [2 * 64 * RANKS, 0, 0]
    assert sorted(np.concatenate(old).tolist()) == list(range(0, 2 * 64 * RANKS, 2))
