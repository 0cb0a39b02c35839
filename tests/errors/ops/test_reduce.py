# SPDX-License-Identifier: MIT
"""Messages of T.reduce_*, exactly."""

import op_errors
import pytest

CASES = [
    (
        'T.reduce(x, r, "median", 1)',
        ValueError,
        (
            'T.reduce: unknown reduce_type "median"; expected one of sum, max, min, absmax, abssum, '
            "bitand, bitor, bitxor"
        ),
    ),
    (
        "T.reduce_sum(x, c, dim=1)",
        ValueError,
        (
            "Invalid reduce output shape, buffer shape is [4, 8], dim is 1, output shape is [8], "
            "expected shapes are [[4], [4, 1]]"
        ),
    ),
    ("T.reduce_sum(x, r, dim=2)", ValueError, "T.reduce: dim 2 is out of bounds for buffer with shape [4, 8]"),
    ('T.reduce_sum(x, r, dim="rows")', TypeError, "dim must be a constant integer, got 'rows'"),
    ("T.reduce_sum(x, r, dim=1, batch=0)", ValueError, "batch must be >= 1, got 0"),
    ("T.reduce_bitand(x, r, dim=1)", ValueError, "reduce_bitand requires an integer/bool buffer, got dtype float32"),
    ("T.reduce_sum(x, p, dim=1)", ValueError, "Invalid buffer scopes: local.fragment and local"),
    ("T.reduce_max(A, r, dim=1)", ValueError, "Invalid buffer scopes: global and local.fragment"),
]


@pytest.mark.parametrize(("line", "kind", "text"), CASES, ids=[case[0] for case in CASES])
def test_message(line, kind, text):
    assert op_errors.message(line) == (kind, text)
