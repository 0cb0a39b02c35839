# SPDX-License-Identifier: MIT
"""Messages of T.cumsum and T.cummax, exactly."""

import op_errors
import pytest

CASES = [
    ("T.cumsum(x, dim=2)", ValueError, "Dimension 2 is out of bounds for buffer with shape [4, 8]"),
    ("T.cumsum(x, dim=-3)", ValueError, "Dimension -3 is out of bounds for buffer with shape [4, 8]"),
    ("T.cumsum(x, s)", ValueError, "cumsum dst shape [8, 4] must match src shape [4, 8] (dim 0 mismatch)"),
    ("T.cummax(x, r)", ValueError, "cummax dst shape [4] must match src shape [4, 8] (rank mismatch)"),
    ("T.cumsum(p)", ValueError, "T.cumsum: `p` is local memory; use a fragment, shared or global buffer"),
    ("T.cumsum(D, q)", ValueError, "T.cumsum: the extents of `D` must be constants"),
]


@pytest.mark.parametrize(("line", "kind", "text"), CASES, ids=[case[0] for case in CASES])
def test_message(line, kind, text):
    assert op_errors.message(line) == (kind, text)
