# SPDX-License-Identifier: MIT
"""Messages of T.transpose, exactly."""

import op_errors
import pytest

CASES = [
    (
        "T.transpose(x, A)",
        ValueError,
        ("T.transpose: `A` has shape [4, 8], expected [8, 4], the shape of `x` with its last two dimensions swapped"),
    ),
    (
        "T.transpose(w, s)",
        ValueError,
        (
            "T.transpose: `s` has shape [8, 4], expected [2, 8, 4], the shape of `w` with its last two "
            "dimensions swapped"
        ),
    ),
    ("T.transpose(r, r)", ValueError, "T.transpose: `r` must have at least 2 dimensions, got 1"),
    ("T.transpose(D, s)", ValueError, "T.transpose: the extents of `D` must be constants"),
    ("T.transpose(e, e)", ValueError, "T.transpose: `e` cannot be transposed in place; give another buffer"),
]


@pytest.mark.parametrize(("line", "kind", "text"), CASES, ids=[case[0] for case in CASES])
def test_message(line, kind, text):
    assert op_errors.message(line) == (kind, text)
