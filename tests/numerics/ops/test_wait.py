# SPDX-License-Identifier: MIT
"""T.wait_eq to T.wait_lt of each type, at home and on a peer."""

import numpy as np
import pytest
import tilescale.language as T
from rank_programs import launch


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "uint64"])
def test_waits_of_each_relation_and_type(dtype):
    """Rank 0 writes a value that fulfils each relation; all wait for it there, and give what they saw."""
    relations = [("eq", 7, 7), ("ne", 0, 7), ("ge", 7, 7), ("gt", 6, 7), ("le", 3, 2), ("lt", 3, 2)]

    @T.prim_func
    def main(flags: T.Tensor((6,), dtype), seen: T.Tensor((6,), dtype)):
        with T.Kernel(1, threads=32):
            tx = T.get_thread_binding()
            if T.get_rank() == 0:
                for i, (_, _, value) in enumerate(relations):
                    if tx == i:
                        T.st(T.address_of(flags[i]), value, scope="sys", sem="release")
            for i, (relation, expected, _) in enumerate(relations):
                if tx == i:
                    seen[i] = getattr(T, f"wait_{relation}")(flags[i], expected, peer=0)

    flags = [np.full((6,), 9, dtype) for _ in range(2)]
    for f in flags:
        f[0] = f[1] = f[2] = f[3] = 0
    _, seen = launch(main, {"flags": flags, "seen": [np.zeros((6,), dtype) for _ in range(2)]}, ranks=2)
    for s in seen:
        assert s.tolist() == [value for _, _, value in relations]
