# SPDX-License-Identifier: MIT
"""T.st of each semantics, scope and width, to the next rank; and atomics on peers."""

import itertools

import numpy as np
import pytest
import tilescale.language as T
from rank_programs import RANKS, launch, raw

STORES = list(itertools.product(["weak", "volatile", "relaxed", "release"], ["cta", "gpu", "sys"]))
WIDTHS = ["uint8", "int8", "bool", "float16", "int16", "float32", "int32", "uint64", "float64"]


@pytest.mark.parametrize("dtype", WIDTHS)
def test_each_semantics_scope_and_width(dtype):
    """Stored on the next rank, loaded from there after a barrier. The access is as wide as the element."""
    n = len(STORES)

    @T.prim_func
    def main(
        A: T.Tensor((n,), dtype), B: T.Tensor((n,), dtype), C: T.Tensor((n,), dtype), bar: T.Tensor((RANKS,), "int32")
    ):
        with T.Kernel(1, threads=32):
            tx = T.get_thread_binding()
            peer = (T.get_rank() + 1) % T.get_num_ranks()
            v = T.alloc_var(dtype)
            for i, (sem, scope) in enumerate(STORES):
                if tx == i:
                    T.st(T.address_of(B[i]), A[i], scope=scope, sem=sem, dst_pe=peer)
            T.barrier_blocks(bar)
            for i in range(n):
                if tx == i:
                    T.ld(T.address_of(B[i]), v, src_pe=peer)
                    C[i] = v

    a = [raw((n,), "uint8").view(bool) & True if dtype == "bool" else raw((n,), dtype) for _ in range(RANKS)]
    if dtype == "bool":
        a = [(x.view(np.uint8) & 1).astype(bool) for x in a]
    zero = [np.zeros((n,), dtype) for _ in range(RANKS)]
    bar = [np.zeros((RANKS,), np.int32) for _ in range(RANKS)]
    _, b, c, after = launch(main, {"A": a, "B": zero, "C": zero, "bar": bar})
    for r in range(RANKS):
        np.testing.assert_array_equal(c[r].view(np.uint8), a[r].view(np.uint8))
        np.testing.assert_array_equal(b[(r + 1) % RANKS].view(np.uint8), a[r].view(np.uint8))
        assert not after[r].any()  # the barrier leaves zeros


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
