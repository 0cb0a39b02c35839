# SPDX-License-Identifier: MIT
"""T.ld of each semantics, scope and width, from the next rank."""

import itertools

import numpy as np
import pytest
import tilescale.language as T
from rank_programs import RANKS, launch, raw

STORES = list(itertools.product(["weak", "volatile", "relaxed", "release"], ["cta", "gpu", "sys"]))
LOADS = list(itertools.product(["weak", "volatile", "relaxed", "acquire"], ["cta", "gpu", "sys"]))
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
            for i, (sem, scope) in enumerate(LOADS):
                if tx == i:
                    T.ld(T.address_of(B[i]), v, scope=scope, sem=sem, src_pe=peer)
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
